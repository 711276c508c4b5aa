"""safetensors: torch's weights give torch's outputs here, ours give them there, and bad files change nothing."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nn

from .weights_cases import FROM_NN, FROM_TORCH, OUTPUTS, disturb, inputs, model

pytest.importorskip("safetensors", reason='safetensors is not installed: pip install "autograd-lite[safetensors]"')

with np.load(OUTPUTS, allow_pickle=False) as _archive:
    RECORDED = {key: _archive[key] for key in _archive.files}


def header(content: bytes) -> dict[str, Any]:
    end = 8 + int.from_bytes(content[:8], "little")
    return {name: entry for name, entry in json.loads(content[8:end]).items() if name != "__metadata__"}


def test_the_model_holds_every_layer_of_nn() -> None:
    def is_layer(each: Any) -> bool:
        return isinstance(each, type) and issubclass(each, nn.Module) and not each.__name__.endswith("Loss")

    layers = {name for name in nn.__all__ if is_layer(getattr(nn, name))}
    held = {type(each).__name__ for each in model(nn).values()}
    assert layers - {"Module", "Sequential", "ModuleList", "ModuleDict"} == held


@pytest.mark.parametrize(("path", "source"), [(FROM_TORCH, "torch"), (FROM_NN, "nn")])
def test_weights_give_the_outputs_that_torch_recorded(path: Path, source: str) -> None:
    net = model(nn)
    net.load_state_dict(nn.load(path))
    net.eval()
    for name, x in inputs().items():
        wanted = RECORDED[f"{source}/{name}"]
        found = np.asarray(net[name](x).detach().data if hasattr(net[name](x), "detach") else net[name](x))
        assert found.dtype == wanted.dtype, name
        assert_allclose(found, wanted, rtol=1e-6, atol=1e-6, err_msg=name)


def test_names_shapes_and_dtypes_are_torchs(tmp_path: Path) -> None:
    nn.save(model(nn).state_dict(), tmp_path / "ours.safetensors")

    def forms(path: Path) -> dict[str, Any]:
        return {name: (each["dtype"], each["shape"]) for name, each in header(path.read_bytes()).items()}

    assert forms(tmp_path / "ours.safetensors") == forms(FROM_TORCH)


def test_torch_itself_reads_and_writes_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed; its recorded results are tested above")
    files = pytest.importorskip("safetensors.torch")
    ours, theirs = model(nn), model(torch.nn)
    ours.load_state_dict(disturb(ours.state_dict(), 3))
    nn.save(ours.state_dict(), tmp_path / "ours.safetensors")
    theirs.load_state_dict(files.load_file(tmp_path / "ours.safetensors"))
    files.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    back = nn.load(tmp_path / "theirs.safetensors")
    for name, value in ours.state_dict().items():
        assert_array_equal(back[name], value)
    ours.eval(), theirs.eval()
    for name, x in inputs().items():
        wanted = theirs[name](torch.tensor(x)).detach().numpy()
        found = ours[name](x)
        assert_allclose(found.detach().data if hasattr(found, "detach") else found, wanted, rtol=1e-6, atol=1e-6)


def test_every_dtype_and_layout_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = {kind: rng.integers(0, 100, (3, 2)).astype(kind) for kind in "f2 f4 f8 c8 i1 i2 i4 i8 u1 u2 u4 u8".split()}
    state |= {"bool": np.array([True, False]), "empty": np.zeros((0, 3)), "none": np.array(7.0)}
    state |= {"fortran": np.asfortranarray(rng.random((3, 4))), "strided": rng.random((6, 6))[::2, ::-1]}
    state |= {"big": np.arange(5, dtype=">f8")}
    nn.save(state, tmp_path / "all.safetensors")
    back = nn.load(tmp_path / "all.safetensors")
    assert back.keys() == state.keys()
    for name, value in state.items():
        assert back[name].dtype == value.dtype.newbyteorder("=")
        assert back[name].shape == value.shape
        assert_array_equal(back[name], value)
        assert back[name].flags.writeable


def file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_bfloat16_becomes_float32_exactly(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 3.140625, np.inf, 1e-40], np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    (tmp_path / "half.safetensors").write_bytes(file({"w": entry("BF16", (5,), (0, 10))}, bits.tobytes()))
    found = nn.load(tmp_path / "half.safetensors")["w"]
    assert found.dtype == np.float32
    assert_array_equal(found[:4], values[:4])
    assert_array_equal(found.view(np.uint32), bits.astype(np.uint32) << 16)


GOOD = file({"weight": entry(shape=(1, 2)), "bias": entry(shape=(1,), offsets=(8, 12))}, bytes(12))
TWICE = b'{"bias":%s,"weight":%s,"b\\u0069as":%s}' % (
    json.dumps(entry(shape=(1,), offsets=(0, 4))).encode(),
    json.dumps(entry(shape=(1, 2), offsets=(4, 12))).encode(),
    json.dumps(entry(shape=(1,), offsets=(0, 4))).encode(),
)
BAD = {
    "empty": b"",
    "cut short in the length": GOOD[:7],
    "cut short in the header": GOOD[:40],
    "cut short in the data": GOOD[:-1],
    "something behind the data": GOOD + b"x",
    "a header longer than the file": struct.pack("<Q", len(GOOD)) + GOOD[8:],
    "a header of exabytes": struct.pack("<Q", 1 << 62) + GOOD[8:],
    "no JSON": file(b"hello"),
    "a list": file([]),
    "nested without end": file(b"[" * 100_000),
    "a name that is no text": file(b'{"\xff": 1}'),
    "entries that overlap": file({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
    "entries at one place": file({"a": entry(), "b": entry()}, bytes(8)),
    "a gap between entries": file({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)),
    "an entry beyond the file": file({"a": entry(shape=(4,), offsets=(0, 16))}, bytes(8)),
    "an entry of exabytes": file({"a": entry(shape=(1 << 40, 1 << 40), offsets=(0, 1 << 62))}, bytes(8)),
    "no entries, of exabytes each": file({"a": entry(shape=(1 << 62, 1 << 62, 0), offsets=(0, 0))}),
    "a shape larger than the entry": file({"a": entry(shape=(3,))}, bytes(8)),
    "a negative size": file({"a": entry(shape=(-2,))}, bytes(8)),
    "a negative offset": file({"a": entry(offsets=(-8, 0))}, bytes(8)),
    "offsets backwards": file({"a": entry(offsets=(8, 0))}, bytes(8)),
    "no offsets": file({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "a key twice": file(TWICE, bytes(12)),
    "an unknown dtype": file({"a": entry("F31")}, bytes(8)),
    "a dtype that NumPy lacks": file({"a": entry("F8_E4M3", (8,))}, bytes(8)),
    "truth values of 2": file({"a": entry("BOOL", (8,))}, b"\2" * 8),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_in_one_line_and_nothing_changes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    net = nn.Linear(2, 1)
    before = net.state_dict()
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        net.load_state_dict(nn.load(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    for name, value in before.items():
        assert_array_equal(net.state_dict()[name], value)


def test_the_good_file_of_those_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.safetensors").write_bytes(GOOD)
    net = nn.Linear(2, 1)
    net.load_state_dict(nn.load(tmp_path / "good.safetensors"))
    assert_array_equal(net.weight.data, [[0, 0]])


def test_weights_of_another_architecture_are_all_listed(tmp_path: Path) -> None:
    nn.save(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict(), tmp_path / "other.safetensors")
    net = nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2), nn.Linear(2, 1, bias=False))
    with pytest.raises(RuntimeError, match="nothing was changed") as caught:
        net.load_state_dict(nn.load(tmp_path / "other.safetensors"))
    told = str(caught.value)
    assert "shape of 0.weight: (2, 3) given, (2, 4) needed" in told
    assert "missing: 2.weight" in told
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert f"unexpected: 1.{name}" in told


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ([np.ones(2)], "a dictionary of arrays, not a list"),
        ({"a": {"b": np.ones(2)}}, "the entry 'a' is a dict"),
        ({"epoch": 3}, "the entry 'epoch' is a int"),
        ({3: np.ones(2)}, "the entry 3"),
        ({"z": np.ones(2, complex)}, "'z' holds complex128"),
        ({"__metadata__": np.ones(2)}, "__metadata__"),
    ],
)
def test_what_the_format_cannot_hold_is_named_and_no_file_is_left(state: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=told):
        nn.save(state, tmp_path / "no.safetensors")
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_call_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['safetensors'] = None\n"
        "import numpy as np, nn\n"
        "for call in (lambda: nn.save({'a': np.ones(1)}, sys.argv[1]), lambda: nn.load(sys.argv[2])):\n"
        "    try: call()\n"
        "    except ModuleNotFoundError as error: print(error)"
    )
    paths = [str(tmp_path / "x.safetensors"), str(FROM_TORCH)]
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.count('pip install "autograd-lite[safetensors]"') == 2
    assert not list(tmp_path.iterdir())
