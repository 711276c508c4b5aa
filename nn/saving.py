"""Checkpoints: arrays and plain data in one .npz file, without pickle, written so that a crash loses nothing.

    nn.save(model.state_dict(), "model.npz")
    model.load_state_dict(nn.load("model.npz"))

A flat dictionary of arrays is an ordinary .npz file, which np.load reads as well. For anything deeper (an optimizer's
state, a list, a number) the file also holds structure.json, which says how the arrays belong together. What is read may
come from anywhere: every size is checked against the file's own before an array is made, and objects are refused.
A flat dictionary can also go into, and come from, a .safetensors file, by its name: `interchange.py`.

Read next: `fitting.py`.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

import autograd_lite as ag

from .interchange import decoded, encoded

if TYPE_CHECKING:
    from zipfile import ZipFile

Array: TypeAlias = np.ndarray[Any, Any]
STRUCTURE = "structure.json"
SAFETENSORS = ".safetensors"
MAX_HEADER = 10_000  # bytes; a header of ours has about 100


class CheckpointError(ValueError):
    """A file that is damaged, or holds something else than what is needed."""


def save(state: Any, path: str | os.PathLike[str]) -> None:
    """Write dictionaries, lists and tuples of arrays, numbers, strings and None to a file, all of it or nothing.

    The file is written under another name beside `path` and then moved into its place. One named *.safetensors holds a
    flat dictionary of arrays. Raises TypeError for anything else, a module for instance (save its state_dict()), and
    for arrays of objects.

    >>> import numpy as np, nn, tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.save({"w": np.ones(2), "epoch": 3}, os.path.join(folder, "last.npz"))
    ...     nn.load(os.path.join(folder, "last.npz"))
    {'w': array([1., 1.]), 'epoch': 3}
    """
    target = Path(path)
    if target.suffix == SAFETENSORS:
        content = encoded(state)
        with _replacing(target) as file:
            file.write(content)
        return
    import zipfile  # here, because it takes as long to load as the rest of nn

    arrays: dict[str, Array] = {}
    structure = _taken_apart(state, "", arrays)
    if isinstance(state, dict) and all(isinstance(each, (np.ndarray, ag.Tensor)) for each in state.values()):
        flat = all(isinstance(key, str) and key + ".npy" != STRUCTURE and key in arrays for key in state)
    else:
        flat = False
    with _replacing(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        if not flat:
            archive.writestr(STRUCTURE, json.dumps(structure))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file to write to under another name, which is moved to `target` once everything is on the disk."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote; a flat .npz file of np.savez, or anybody's .safetensors file, as a dictionary.

    Raises FileNotFoundError, and CheckpointError (a ValueError), in one line that names the file, if it is damaged,
    holds objects (pickle), compressed, overlapping or duplicate entries, or claims to be larger than it is.
    """
    import zipfile  # here, because it takes as long to load as the rest of nn

    try:
        file = open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"nn.load: there is no file {os.fspath(path)}.") from None
    with file:
        try:
            if Path(path).suffix == SAFETENSORS:
                return decoded(file.read())
            return _read(zipfile.ZipFile(file), os.fstat(file.fileno()).st_size)
        except (*_DAMAGE, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(f"nn.load: {os.fspath(path)} is damaged or no checkpoint: {reason[:300]}") from None


# What the standard library and NumPy raise for bytes that are no archive or no array, zipfile.BadZipFile aside.
_DAMAGE = (
    ValueError, KeyError, IndexError, TypeError, EOFError, NotImplementedError, RuntimeError, OverflowError,
    SyntaxError, struct.error, OSError,
)  # fmt: skip


def _read(archive: ZipFile, size: int) -> Any:
    with archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ValueError(f"the entry {twice[0]!r} is there twice.")
        if any(m.compress_type or m.compress_size != m.file_size for m in members):
            raise ValueError("its entries are compressed; a checkpoint's are not.")
        if sum(member.file_size for member in members) > size:
            raise ValueError("its entries claim to be larger than the file.")
        arrays = {}
        structure = None
        for member in members:
            with archive.open(member) as opened:
                if member.filename == STRUCTURE:
                    structure = json.loads(opened.read())
                elif member.filename.endswith(".npy"):
                    arrays[member.filename.removesuffix(".npy")] = _array(member.filename, opened.read())
                else:
                    raise ValueError(f"the entry {member.filename!r} is no array.")
    if STRUCTURE not in names:
        return arrays
    used: set[str] = set()
    whole = _put_together(structure, arrays, used)
    if used != arrays.keys():
        raise ValueError(f"the array {min(arrays.keys() - used)!r} belongs nowhere.")
    return whole


def _array(name: str, content: bytes) -> Array:
    """The array of one entry, whose bytes are here already: so a shape that lies is found before it is believed."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream, max_header_size=MAX_HEADER)
    else:
        raise ValueError(f"{name!r} has the unknown format {version}.")
    if dtype.hasobject:
        raise ValueError(f"{name!r} holds objects (pickle), which may run code: refused.")
    if dtype.kind not in "biufcSU":
        raise ValueError(f"{name!r} holds {dtype} and no numbers.")
    needed = math.prod(shape) * dtype.itemsize
    here = len(content) - stream.tell()
    if needed != here or any(n < 0 for n in shape):
        raise ValueError(f"{name!r} claims the shape {shape} of {dtype}, {needed} bytes, and has {here}.")
    flat = np.frombuffer(content, dtype, offset=stream.tell()) if needed else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _taken_apart(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Plain JSON for a value; its arrays go into `arrays`, under the path that leads to them."""
    if isinstance(value, ag.Tensor):
        value = value.detach().data
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufcSU":
            raise TypeError(f"nn.save: {name or 'the array'} holds {value.dtype}; arrays of numbers can be saved.")
        key = name
        while key in arrays or not key:
            key += "_"
        arrays[key] = value
        return ["array", key]
    if isinstance(value, dict):
        return [
            "dict",
            [[_plain(key, name), _taken_apart(each, _below(name, key), arrays)] for key, each in value.items()],
        ]
    if isinstance(value, (list, tuple)):
        parts = [_taken_apart(each, _below(name, i), arrays) for i, each in enumerate(value)]
        return ["tuple" if isinstance(value, tuple) else "list", parts]
    return ["value", _plain(value, name)]


def _below(name: str, key: Any) -> str:
    return f"{name}/{key}" if name else str(key)


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"nn.save: {name or 'the state'} is a {type(value).__name__}, which cannot be saved: arrays, numbers, strings, "
        "None and dictionaries, lists and tuples of them can. Of a module save its state_dict()."
    )


def _put_together(structure: Any, arrays: dict[str, Array], used: set[str]) -> Any:
    """The value that plain JSON and the arrays stand for."""
    kind, content = structure
    if kind == "array":
        used.add(content)
        return arrays[content]
    if kind == "value":
        if content is None or isinstance(content, (bool, int, float, str)):
            return content
        raise ValueError(f"{STRUCTURE} holds {content!r} as a value.")
    if kind == "dict":
        pairs = [(key, _put_together(each, arrays, used)) for key, each in content]
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"{STRUCTURE} has a key twice.")
        return dict(pairs)
    if kind in ("list", "tuple"):
        parts = [_put_together(each, arrays, used) for each in content]
        return tuple(parts) if kind == "tuple" else parts
    raise ValueError(f"{STRUCTURE} holds the unknown kind {kind!r}.")
