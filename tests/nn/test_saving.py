"""Checkpoints: what comes back, and what hostile or damaged files get."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn

STATE: dict[str, Any] = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.array([1.5, -2.0], np.float32),
    "count": np.array(7),
}


def same(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(b, dict):
        return isinstance(a, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    if isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def test_a_state_dict_is_an_ordinary_npz(tmp_path: Path) -> None:
    nn.save(STATE, tmp_path / "model.npz")
    assert same(nn.load(tmp_path / "model.npz"), STATE)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        assert same({key: archive[key] for key in archive.files}, STATE)
    np.savez(tmp_path / "theirs.npz", **STATE)
    assert same(nn.load(tmp_path / "theirs.npz"), STATE)


def test_nested_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {
        "model": STATE,
        "optimizer": {
            "state": {0: {"step": 3, "exp_avg": np.ones(2)}},
            "groups": [{"betas": (0.9, 0.999), "lr": 1e-3}],
        },
        "rng": np.random.default_rng(0).bit_generator.state,
        "odd": [None, True, float("inf"), float("nan"), "text", (), [], {}],
        "layout": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3), np.int16),
        "a": {"b": np.array(1)},
        "a/b": np.array(2),
    }
    nn.save(state, tmp_path / "all.npz")
    assert same(nn.load(tmp_path / "all.npz"), state)


def test_modules_and_optimizers_continue(tmp_path: Path) -> None:
    def make(seed: int) -> tuple[Any, Any, nn.TrainStep]:
        model = nn.Sequential(nn.Linear(3, 4, rng=np.random.default_rng(seed)), nn.Tanh(), nn.Linear(4, 1))
        optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
        return model, optimizer, nn.TrainStep(model, nn.MSELoss(), optimizer)

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 3)).astype(np.float32), rng.standard_normal((8, 1)).astype(np.float32)
    model, optimizer, step = make(1)
    step(x, y)
    nn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.npz")
    wanted = [step(x, y) for _ in range(5)]
    again, other, step = make(2)
    state = nn.load(tmp_path / "c.npz")
    again.load_state_dict(state["model"])
    other.load_state_dict(state["optimizer"])
    assert [step(x, y) for _ in range(5)] == wanted
    assert same(again.state_dict(), model.state_dict())


@pytest.mark.parametrize(
    "thing", [nn.Linear(1, 1), {"x": object()}, {"x": np.array([object()])}, {(1, 2): 1}, lambda: 1]
)
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path: Path, thing: Any) -> None:
    nn.save(STATE, tmp_path / "model.npz")
    with pytest.raises(TypeError, match="saved"):
        nn.save(thing, tmp_path / "model.npz")
    assert same(nn.load(tmp_path / "model.npz"), STATE)
    assert [each.name for each in tmp_path.iterdir()] == ["model.npz"]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nn.save(STATE, tmp_path / "model.npz")

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="no space"):
        nn.save({"w": np.zeros(3)}, tmp_path / "model.npz")
    assert same(nn.load(tmp_path / "model.npz"), STATE)
    assert [each.name for each in tmp_path.iterdir()] == ["model.npz"]


def test_the_old_file_is_replaced_in_one_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nn.save(STATE, tmp_path / "model.npz")

    def crash(*args: Any) -> None:
        assert same(nn.load(tmp_path / "model.npz"), STATE)
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        nn.save({"w": np.zeros(3)}, tmp_path / "model.npz")
    assert same(nn.load(tmp_path / "model.npz"), STATE)


# ---- hostile and damaged files ---------------------------------------------------------------------------------------


def refused(path: Path, message: str | None = None) -> None:
    with pytest.raises(ValueError, match=message) as error:
        nn.load(path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text


def npy(header: bytes, body: bytes = b"", version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + body


def write(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        nn.load(tmp_path / "nothing.npz")


class Bomb:
    def __reduce__(self) -> Any:
        return print, ("code from the file was run",)


def test_pickle_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "objects.npz", w=np.array([Bomb()], object))
    refused(tmp_path / "objects.npz", "objects")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path / "pickle.npz")
    write(tmp_path / "member.npz", {"w.npy": pickle.dumps(Bomb())})
    refused(tmp_path / "member.npz")
    assert capsys.readouterr().out == ""


def test_shapes_that_lie(tmp_path: Path) -> None:
    for shape in ("(1000000, 1000000)", "(3,)", "(1,)", "(-2,)", "(2, -1)", f"({10**30},)"):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        path = write(tmp_path / "lie.npz", {"w.npy": npy(header, bytes(16))})
        refused(path, "claims the shape")


def test_long_headers(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }" + b" " * 10_000 + b"\n"
    refused(write(tmp_path / "long.npz", {"w.npy": npy(header, bytes(16))}))
    refused(write(tmp_path / "long2.npz", {"w.npy": npy(header, bytes(16), version=2)}))
    refused(write(tmp_path / "claims.npz", {"w.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"}))


def test_duplicate_entries(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ones(2))
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", buffer.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("w.npy", buffer.getvalue())
    refused(path, "twice")


def test_compressed_entries_are_refused_unread(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000,), }\n"
    refused(write(tmp_path / "bomb.npz", {"w.npy": npy(header, bytes(8_000_000))}, zipfile.ZIP_DEFLATED), "compressed")


def test_structures_that_lie(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ones(2))
    for text in (
        '["array", "v"]', '["dict", [["a", ["array", "w"]], ["a", ["array", "w"]]]]', '["object", []]', "[]", "{",
        '["value", [1]]', '["list", []]', "null", '["dict", [[["k"], ["array", "w"]]]]', "[" * 100_000,
    ):  # fmt: skip
        refused(write(tmp_path / "s.npz", {"structure.json": text.encode(), "w.npy": buffer.getvalue()}))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    nn.save({"model": STATE, "epoch": 3}, tmp_path / "model.npz")
    content = (tmp_path / "model.npz").read_bytes()
    path = tmp_path / "short.npz"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        refused(path)


def test_a_flipped_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    state = {"model": STATE, "epoch": 3}
    nn.save(state, tmp_path / "model.npz")
    content = bytearray((tmp_path / "model.npz").read_bytes())
    path = tmp_path / "flipped.npz"
    harmless = 0
    for i in range(len(content)):
        content[i] ^= 1 << i % 8
        path.write_bytes(content)
        try:
            found = nn.load(path)
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017  # both outcomes are allowed
        else:
            harmless += 1
            assert same(found, state), f"bit {i % 8} of byte {i}"
        content[i] ^= 1 << i % 8
    assert harmless < len(content) / 4  # what is left are dates and other fields that nobody reads
