"""Reading data files: what is right is read, what is wrong gets one line that names the file."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from examples import data
from examples.data import (
    BadInput,
    MissingData,
    Shifted,
    cleveland,
    mnist,
    read_idx,
    read_labelled_csv,
    stratified_folds,
)  # fmt: skip

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray) -> bytes:
    """An IDX file as the format describes it: two zeros, the type, the number of axes, their lengths, the bytes."""
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def make_mnist(folder: Path, zipped: bool = True, rows: int = 14) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2 * rows, 28, 28), np.uint8)
    labels = rng.integers(0, 10, 2 * rows, np.uint8)
    for name, array in zip(PARTS, (images[:rows], labels[:rows], images[rows:], labels[rows:]), strict=True):
        content = idx(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return images.reshape(-1, 784), labels


def write_csv(path: Path, images: np.ndarray, labels: np.ndarray, column: int = 0) -> None:
    names = [f"pixel{i}" for i in range(784)]
    names.insert(column, "label")
    rows = np.insert(images, column, labels, axis=1)
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_read_as_they_were_written(tmp_path, zipped):
    images, labels = make_mnist(tmp_path, zipped)
    split = mnist(tmp_path)
    assert np.array_equal(np.concatenate([split.x, split.test_x]), images)
    assert np.array_equal(np.concatenate([split.y, split.test_y]), labels)
    assert split.x.dtype == np.uint8
    assert split.y.dtype == np.int64


def test_the_other_usual_spelling_of_the_names(tmp_path):
    make_mnist(tmp_path, zipped=False)
    for path in tmp_path.iterdir():
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    assert len(mnist(tmp_path).x) == 14


def test_the_small_digits_stand_in_for_mnist():
    split = mnist("digits")
    assert [part.shape for part in split] == [(1438, 784), (1438,), (359, 784), (359,)]
    assert split.x.dtype == np.uint8
    assert split.x.max() == 255
    image = split.x[0].reshape(28, 28)
    assert not image[:2].any()
    assert not image[:, -2:].any()
    corners = image[2:-2:3, 2:-2:3]
    assert all(np.array_equal(corners, image[2 + i : -2 : 3, 2 + j : -2 : 3]) for i in range(3) for j in range(3))
    # The nearest picture in the training rows tells nine of ten digits: pictures and labels belong together.
    near = [np.argmin(np.sum((split.x - each.astype(float)) ** 2, axis=1)) for each in split.test_x[:60]]
    assert np.mean(split.y[near] == split.test_y[:60]) > 0.9


@pytest.mark.parametrize("column", [0, 784, 300])
def test_csv_with_the_label_in_any_column(tmp_path, column):
    images, labels = make_mnist(tmp_path)
    path = tmp_path / "train.csv"
    write_csv(path, images, labels, column)
    x, y = read_labelled_csv(path)
    assert np.array_equal(x, images)
    assert np.array_equal(y, labels)


def test_csv_train_and_test_files(tmp_path):
    images, labels = make_mnist(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    write_csv(tmp_path / "mnist_train.csv", images[:21], labels[:21])
    assert [len(part) for part in mnist(tmp_path)] == [18, 18, 3, 3]  # no test file: every seventh row is held out
    write_csv(tmp_path / "mnist_test.csv", images[21:], labels[21:])
    split = mnist(tmp_path)
    assert np.array_equal(split.x, images[:21])
    assert np.array_equal(split.test_y, labels[21:])
    unlabelled = (tmp_path / "mnist_test.csv").read_text().replace("label,", "index,", 1)
    (tmp_path / "mnist_test.csv").write_text(unlabelled)
    assert len(mnist(tmp_path).test_x) == 3


def test_the_environment_names_the_folder_and_the_option_goes_first(tmp_path, monkeypatch):
    make_mnist(tmp_path)
    monkeypatch.setenv("AUTOGRAD_LITE_DATA", str(tmp_path))
    assert len(mnist().x) == 14
    with pytest.raises(MissingData, match="elsewhere: no such folder; --data"):
        mnist(tmp_path / "elsewhere")
    monkeypatch.setenv("AUTOGRAD_LITE_DATA", str(tmp_path / "gone"))
    with pytest.raises(MissingData, match="AUTOGRAD_LITE_DATA"):
        mnist()


GOOD = idx(np.arange(24).reshape(2, 3, 4))
ZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GOOD[:-1], "promises 24 bytes, it holds 23: cut short"),
        (GOOD + b"x", "it holds more"),
        (GOOD[:10], "cut short inside its header"),
        (b"", "not an IDX file"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "starts with 00000d03, not 00000803"),
        (idx(np.arange(6)), "not an IDX file of 3 axes"),
        (b"<html>404</html>" * 9, "not an IDX file"),
        (ZIPPED[:-9], "damaged or cut short"),
        (ZIPPED[:20], "damaged or cut short"),
        (ZIPPED[:-6] + b"\xff" * 6, "damaged or cut short"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"x", "cut short"),  # a header that asks for 2**96 bytes
    ],
    ids=lambda value: value[:8].hex() if isinstance(value, bytes) else None,
)
def test_a_damaged_idx_file_gets_one_line(tmp_path, content, words):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_gets_one_line(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        read_idx(tmp_path / "images", 3)
    with pytest.raises(MissingData, match="no MNIST here.*--data.*--download"):
        mnist(tmp_path)
    make_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingData, match="t10k-labels"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(np.arange(14), "label 10 of image 10"), (np.zeros(13), "14 images, but 13 labels")],
)
def test_labels_that_cannot_be(tmp_path, labels, words):
    make_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.asarray(labels)))
    with pytest.raises(BadInput, match=words):
        mnist(tmp_path)


def test_images_that_cannot_be(tmp_path):
    make_mnist(tmp_path, zipped=False)
    (tmp_path / PARTS[0]).write_bytes(idx(np.zeros((14, 27, 28))))
    with pytest.raises(BadInput, match="756 pixels"):
        mnist(tmp_path)
    (tmp_path / PARTS[0]).write_bytes(idx(np.zeros((0, 28, 28))))
    (tmp_path / PARTS[1]).write_bytes(idx(np.zeros(0)))
    with pytest.raises(BadInput, match="holds no images"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("label", "digit", 1), "no `label` column"),
        (lambda text: text.replace("pixel0,", "", 1), "784 columns"),
        (lambda text: text.rstrip() + ",7\n", "not a table"),
        (lambda text: text.rstrip() + "7\n" if text.rstrip()[-3] != "," else text + "x\n", "not a table"),
        (
            lambda text: "\n".join([text.splitlines()[0], *(line + ",1" for line in text.splitlines()[1:])]),
            "rows have 786",
        ),
        (lambda text: text.replace("\n", "\n-", 1), "not a table"),
    ],
)
def test_a_damaged_csv_gets_one_line(tmp_path, change, words):
    images, labels = make_mnist(tmp_path)
    path = tmp_path / "train.csv"
    images[-1, -1] = 250
    write_csv(path, images, labels)
    path.write_text(change(path.read_text()))
    with pytest.raises(BadInput, match=words) as caught:
        read_labelled_csv(path)
    assert str(path) in str(caught.value)


def test_an_empty_csv_holds_no_images(tmp_path):
    write_csv(tmp_path / "train.csv", np.zeros((0, 784), np.uint8), np.zeros(0, np.uint8))
    with pytest.raises(BadInput, match="no images"):
        mnist(tmp_path)


def test_a_download_that_is_not_the_published_file_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("pooch", reason="--download needs pooch")
    source = tmp_path / "mirror"
    source.mkdir()
    make_mnist(source)
    monkeypatch.setattr(data, "MNIST_URL", source.as_uri() + "/")
    target = tmp_path / "cache"
    monkeypatch.setenv("AUTOGRAD_LITE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(target))
    with pytest.raises(BadInput, match="could not be fetched"):
        mnist(download=True)
    assert not list(target.rglob("*ubyte*"))


def test_folds_are_stratified_and_cover_every_row_once():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    folds = stratified_folds(labels, 5, np.random.default_rng(1))
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(100))
    for fold in folds:
        assert np.bincount(labels[fold]).tolist() == [10, 6, 4]


def test_shifted_batches_keep_every_pixel():
    images = np.zeros((6, 1, 28, 28), np.float32)
    images[:, 0, 14, 14] = 1
    seen = set()
    for x, y in Shifted([(images, np.arange(6))] * 60, np.random.default_rng(0)):
        assert x.shape == images.shape
        assert np.array_equal(y, np.arange(6))
        assert len(np.unique(np.argmax(x.reshape(6, -1), axis=1))) == 1
        seen.add(int(np.argmax(x[0])))
    middle = 14 * 28 + 14
    assert seen == {middle + 28 * i + j for i in (-1, 0, 1) for j in (-1, 0, 1)}


CLEVELAND = "63,1,1,145,233,1,2,150,0,2.3,3,0,6,0\n67,1,4,160,286,0,2,108,1,1.5,2,?,3,2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no patients"),
        (CLEVELAND.replace("2.3", "x"), "data:1: could not convert"),
        (CLEVELAND.rstrip() + ",9", "data:2: 15 columns"),
        (CLEVELAND.replace("6,0\n", "6,5\n"), "data:1: diagnosis 5"),
        (CLEVELAND[:60], "data:2: "),
    ],
)
def test_a_damaged_patient_table_gets_one_line(tmp_path, text, words):
    (tmp_path / "processed.cleveland.data").write_text(text)
    with pytest.raises(BadInput, match=words):
        cleveland(tmp_path)


def test_a_patient_table_with_a_missing_value(tmp_path):
    (tmp_path / "processed.cleveland.data").write_text(CLEVELAND)
    table = cleveland(tmp_path)
    assert table.shape == (2, 14)
    assert np.argwhere(np.isnan(table)).tolist() == [[1, 11]]
    assert table[1, 13] == 2


def test_the_real_mnist():
    folder = os.environ.get("AUTOGRAD_LITE_DATA") or Path(__file__).parents[3] / "shared" / "data"
    if not (Path(folder) / "train-images-idx3-ubyte.gz").exists():
        pytest.skip("the real MNIST is not here: set AUTOGRAD_LITE_DATA to its folder")
    split = mnist(folder)
    assert split.x.shape == (60_000, 784)
    assert split.test_x.shape == (10_000, 784)
    assert round(np.mean(split.test_y == 1) * 100, 2) == 11.35
    digest = hashlib.sha256(idx(split.x.reshape(-1, 28, 28))).hexdigest()
    assert digest == "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    for name, published in data.MNIST_SHA256.items():
        if name != "train-images-idx3-ubyte.gz":  # compressed anew here
            assert hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() == published
