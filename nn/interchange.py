"""safetensors: a flat dictionary of arrays in the format in which weights are exchanged, torch's among them.

    nn.save(model.state_dict(), "model.safetensors")
    model.load_state_dict(nn.load("model.safetensors"))

`nn.save` and `nn.load` come here for files of that suffix. A file is eight bytes that say how long the header is, the
header in JSON (of each array the dtype, the shape and where its bytes are), and the bytes.

Read next: `saving.py`.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "C64": "<c8", "BOOL": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
SAVED = {np.dtype(text) for name, text in DTYPES.items() if name != "BF16"} | {np.dtype(bool)}


def _package() -> ModuleType:
    try:
        import safetensors.numpy
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            '.safetensors files need safetensors: pip install "autograd-lite[safetensors]".'
        ) from None
    return safetensors


def encoded(state: Any) -> bytes:
    """The bytes of a file that holds a dictionary of arrays (or tensors) by name.

    Raises TypeError for anything else, and for arrays of a dtype that the format does not have.
    """
    package = _package()
    if not isinstance(state, dict):
        raise TypeError(
            f"a .safetensors file holds a dictionary of arrays, not a {type(state).__name__}: save it as .npz."
        )
    arrays = {}
    for name, value in state.items():
        array = value.detach().data if hasattr(value, "detach") else value
        if not isinstance(name, str) or name == "__metadata__" or not isinstance(array, np.ndarray):
            raise TypeError(
                f"a .safetensors file holds arrays by name; the entry {name!r} is a {type(value).__name__}: save it as "
                ".npz, which can be nested."
            )
        if array.dtype.newbyteorder("<") not in SAVED:
            raise TypeError(
                f"{name!r} holds {array.dtype}, which safetensors does not have: convert it, or save as .npz."
            )
        arrays[name] = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    content: bytes = package.numpy.save(arrays)
    return content


def decoded(content: bytes) -> dict[str, Array]:
    """The arrays of a file by name; bfloat16, which NumPy lacks, becomes float32, which holds it exactly.

    Raises ValueError, in one line, for bytes that are no such file, are cut short, have entries that overlap, leave a
    gap, claim other sizes than they have, are there twice, or are of a dtype that NumPy lacks.
    """
    package = _package()
    try:
        entries = package.deserialize(content)
    except package.SafetensorError as error:
        raise ValueError(str(error)) from None
    _check_keys(content)
    return {name: _array(name, entry) for name, entry in entries}


def _check_keys(content: bytes) -> None:
    """The package lets the last of two entries of one name win."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1}) if len({*names}) < len(names) else []
        if twice:
            raise ValueError(f"the entry {twice[0]!r} is there twice.")
        return dict(pairs)

    end = 8 + int.from_bytes(content[:8], "little")
    json.loads(content[8:end], object_pairs_hook=unique)


def _array(name: str, entry: dict[str, Any]) -> Array:
    kind, shape = entry["dtype"], tuple(entry["shape"])
    if kind not in DTYPES:
        raise ValueError(f"{name!r} is of dtype {kind}, which NumPy does not have.")
    flat: Array = np.frombuffer(entry["data"], DTYPES[kind])
    if kind == "BF16":
        flat = (flat.astype("<u4") << 16).view("<f4")
    elif kind == "BOOL":
        if flat.max(initial=0) > 1:
            raise ValueError(f"{name!r} holds bytes that are neither true nor false.")
        flat = flat.view(bool)
    return flat.astype(flat.dtype.newbyteorder("="), copy=kind != "BF16").reshape(shape)
