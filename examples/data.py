"""The data sets of the documents: MNIST as IDX files or CSV, heart disease, Iris, and how rows are split.

Files are looked for in `--data DIR`, else in $AUTOGRAD_LITE_DATA, else where `--download` leaves them; `--data digits`
stands for scikit-learn's small digits instead of MNIST. Whatever is missing, cut short or not what its name says raises
BadInput, one line that names the file and the remedy.

Read next: `common.py`.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

import nn

Array = np.ndarray[Any, Any]

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
PIXELS = 28 * 28
DIGITS = "digits"  # what --data says for the small digits
CLEVELAND_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/heart-disease/"
CLEVELAND_SHA256 = "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8"
CHUNK = 1 << 20  # bytes read at a time: a header cannot ask for memory that the file does not fill
UNSIGNED_BYTE = 8  # the only type code of an IDX file that MNIST uses


class BadInput(Exception):
    """Something the user can put right: a trainer prints it as one line and exits with code 2."""


class MissingData(BadInput):
    """A data set that is not on this machine."""


class Split(NamedTuple):
    """Rows to learn from and rows to be judged on."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array


def data_folder(data: str | os.PathLike[str] | None) -> Path:
    """`--data`, else $AUTOGRAD_LITE_DATA, else the cache folder that `--download` fills."""
    named = data or os.environ.get("AUTOGRAD_LITE_DATA")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            who = "--data" if data else "AUTOGRAD_LITE_DATA"
            raise MissingData(f"{folder}: no such folder; {who} must name the folder that holds the data files.")
        return folder
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "autograd-lite"


def read_idx(path: str | os.PathLike[str], ndim: int) -> Array:
    """The bytes of an IDX file, gzipped or not, as an array of `ndim` axes.

    Raises BadInput for a file that is missing, no IDX file, of another number of axes, or shorter or longer than its
    header says; nothing is allocated before the header has been checked.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _read_idx(raw, path, ndim)
            with gzip.open(raw) as file:
                return _read_idx(file, path, ndim)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: the gzip data is damaged or cut short ({error}). Fetch the file again.") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}).") from None


def _read_idx(file: IO[bytes] | gzip.GzipFile, path: Path, ndim: int) -> Array:
    header = file.read(4 + 4 * ndim)
    expected = bytes([0, 0, UNSIGNED_BYTE, ndim])
    if header[:4] != expected:
        raise BadInput(
            f"{path}: not an IDX file of {ndim} axes of bytes: it starts with {header[:4].hex()}, not "
            f"{expected.hex()}. Is it the right file? Fetch it again."
        )
    shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, 4 + 4 * ndim, 4))
    if len(header) < 4 + 4 * ndim:
        raise BadInput(f"{path}: cut short inside its header. Fetch the file again.")
    body, promised = bytearray(), math.prod(shape)
    while len(body) <= promised and (piece := file.read(CHUNK)):
        body += piece
    if len(body) != promised:
        found = "more" if len(body) > promised else f"{len(body):,}: cut short"
        raise BadInput(f"{path}: its header promises {promised:,} bytes, it holds {found}. Fetch the file again.")
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_labelled_csv(path: str | os.PathLike[str]) -> tuple[Array, Array]:
    """Pixels (N, 784) and labels (N,) of a CSV file with a header, a `label` column and 784 pixel columns."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            header = [name.strip().strip('"').lower() for name in file.readline().split(",")]
            if "label" not in header:
                raise BadInput(f"{path}: its first line names no `label` column. Use a CSV file with labels.")
            if len(header) != PIXELS + 1:
                raise BadInput(f"{path}: {len(header)} columns; a label and {PIXELS} pixels make {PIXELS + 1}.")
            start = file.tell()
            if not file.read(1):
                raise BadInput(f"{path}: holds no images. Fetch it again.")
            file.seek(start)
            rows = np.loadtxt(file, np.uint8, delimiter=",", ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a table of whole numbers 0 to 255 ({error}).") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}).") from None
    if rows.shape[1] != PIXELS + 1:
        raise BadInput(f"{path}: the header has {PIXELS + 1} columns, the rows have {rows.shape[1]}.")
    column = header.index("label")
    return np.delete(rows, column, axis=1), rows[:, column]


def mnist(data: str | os.PathLike[str] | None = None, download: bool = False) -> Split:
    """MNIST: images (N, 784) uint8, labels (N,) int64; 60,000 to learn from and 10,000 to be judged on.

    With "digits" for a folder it is scikit-learn's small digits.

    Reads IDX files, gzipped or not, or `mnist_train.csv`/`train.csv` and `mnist_test.csv`/`test.csv`. A test file
    without labels is of no use here: then every seventh row of the training file is held out.
    """
    if data == DIGITS:
        return digits()
    folder = data_folder(data)
    if download:
        fetch_mnist(folder)
    first = _find(folder, "train-images-idx3-ubyte")
    if first is not None:
        parts = []
        for name, ndim in zip(MNIST_SHA256, (3, 1, 3, 1), strict=True):
            path = _find(folder, name.removesuffix(".gz"))
            if path is None:
                raise MissingData(f"{folder / name}: not found beside {first.name}. Fetch it too, or use --download.")
            parts.append((path, read_idx(path, ndim)))
        return Split(*_labelled(*parts[0], parts[1][1]), *_labelled(*parts[2], parts[3][1]))
    table = _csv(folder, "train")
    if table is None:
        raise MissingData(
            f"{folder}: no MNIST here (train-images-idx3-ubyte.gz and its three companions, or mnist_train.csv). "
            "Name their folder with --data or AUTOGRAD_LITE_DATA, let --download fetch them, or try --data digits."
        )
    x, y = _labelled(table, *read_labelled_csv(table))
    held_out = _csv(folder, "test")
    if held_out is not None and _has_labels(held_out):
        return Split(x, y, *_labelled(held_out, *read_labelled_csv(held_out)))
    test = np.arange(len(x)) % 7 == 6
    return Split(x[~test], y[~test], x[test], y[test])


def _find(folder: Path, name: str) -> Path | None:
    """An IDX file under either of its usual spellings, gzipped or not."""
    for spelling in (name, name.replace("-idx", ".idx")):
        for path in (folder / f"{spelling}.gz", folder / spelling):
            if path.is_file():
                return path
    return None


def _csv(folder: Path, part: str) -> Path | None:
    return next((path for path in (folder / f"mnist_{part}.csv", folder / f"{part}.csv") if path.is_file()), None)


def _has_labels(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return "label" in file.readline(1 << 16).lower()


def _labelled(path: Path, x: Array, y: Array) -> tuple[Array, Array]:
    """Images and labels that fit each other, the labels as int64."""
    if len(x) != len(y):
        raise BadInput(f"{path}: {len(x):,} images, but {len(y):,} labels beside it. Fetch both again.")
    if len(x) == 0:
        raise BadInput(f"{path}: holds no images. Fetch it again.")
    x = x.reshape(len(x), -1)
    if x.shape[1] != PIXELS:
        raise BadInput(f"{path}: images of {x.shape[1]} pixels, where MNIST has {PIXELS}.")
    if y.max() > 9:
        where = int(np.argmax(y > 9))
        raise BadInput(f"{path}: label {y[where]} of image {where} is no digit 0 to 9.")
    return x, y.astype(np.int64)


def fetch_mnist(folder: Path) -> None:
    """Download the four files of MNIST that are not in `folder` yet, each checked against its sha256."""
    for name, digest in MNIST_SHA256.items():
        if _find(folder, name.removesuffix(".gz")) is None:
            _fetch(MNIST_URL, name, digest, folder)


def _fetch(place: str, name: str, sha256: str, folder: Path) -> None:
    """Download a file into a folder, where it appears only if it is the one that was published."""
    try:
        import pooch
    except ModuleNotFoundError:
        raise BadInput('--download needs pooch: pip install "autograd-lite[examples]".') from None
    try:
        pooch.retrieve(place + name, f"sha256:{sha256}", name, folder)
    except (OSError, ValueError) as error:  # no network; another content than the one published
        raise BadInput(f"{place}{name}: could not be fetched ({str(error).splitlines()[0]}).") from None


def cleveland(data: str | os.PathLike[str] | None = None, download: bool = False) -> Array:
    """The heart disease data of Cleveland, (303, 14) float64: 13 features and the diagnosis 0 to 4; `?` becomes NaN."""
    folder = data_folder(data)
    path = folder / "processed.cleveland.data"
    if download and not path.is_file():
        _fetch(CLEVELAND_URL, path.name, CLEVELAND_SHA256, folder)
    if not path.is_file():
        raise MissingData(f"{path}: not found. Name its folder with --data or AUTOGRAD_LITE_DATA, or use --download.")
    rows = []
    for number, line in enumerate(path.read_text("utf-8", "replace").split(), 1):
        try:
            row = [np.nan if cell == "?" else float(cell) for cell in line.split(",")]
        except ValueError as error:
            raise BadInput(f"{path}:{number}: {error}; only numbers and `?` are expected.") from None
        if len(row) != 14:
            raise BadInput(f"{path}:{number}: {len(row)} columns where 14 are expected. Is the file whole?")
        if row[13] not in (0, 1, 2, 3, 4):
            raise BadInput(f"{path}:{number}: diagnosis {row[13]:g} is none of 0 to 4.")
        rows.append(row)
    if not rows:
        raise BadInput(f"{path}: holds no patients. Fetch it again.")
    return np.array(rows)


def iris() -> tuple[Array, Array]:
    """Fisher's Iris, measurements (150, 4) and species (150,), as scikit-learn carries it."""
    try:
        from sklearn.datasets import load_iris
    except ModuleNotFoundError:
        raise MissingData('Iris comes with scikit-learn: pip install "autograd-lite[examples]".') from None
    return load_iris(return_X_y=True)


def digits() -> Split:
    """The 1,797 small digits that scikit-learn carries, each of their 8x8 pixels as 3x3 of MNIST's 28x28.

    Every fifth is held out. They are enough to see a network learn where MNIST is not at hand.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise MissingData('The small digits come with scikit-learn: pip install "autograd-lite[examples]".') from None
    x, y = load_digits(return_X_y=True)
    small = (x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = np.pad(np.kron(small, np.ones((3, 3), np.uint8)), ((0, 0), (2, 2), (2, 2))).reshape(-1, PIXELS)
    test = np.arange(len(y)) % 5 == 4
    return Split(images[~test], y[~test], images[test], y[test])


def pixels(images: Array, dtype: Any = np.float32) -> Array:
    """Bytes 0 to 255 as numbers 0.01 to 1: x * 0.99 / 255 + 0.01.

    >>> pixels(np.array([0, 255], np.uint8)).round(2)
    array([0.01, 1.  ], dtype=float32)
    """
    return images.astype(dtype) * dtype(0.99 / 255) + dtype(0.01)


def stratified_folds(labels: Array, folds: int, rng: np.random.Generator) -> list[Array]:
    """The rows in `folds` groups of nearly equal size, each class spread evenly over them.

    >>> [sorted(fold.tolist()) for fold in stratified_folds(np.array([0, 0, 1, 1]), 2, np.random.default_rng(0))]
    [[0, 2], [1, 3]]
    """
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    return [by_class[k::folds] for k in range(folds)]


def batches(x: Array, y: Array, size: int, rng: np.random.Generator) -> nn.DataLoader:
    """Batches to learn from, in a new order for each epoch; BadInput if there is not even one whole batch."""
    if size > len(x):
        raise BadInput(f"batches of {size} rows, and the data have only {len(x)}. Use a larger training file.")
    return nn.DataLoader(x, y, batch_size=size, shuffle=True, rng=rng)


def held_out(x: Array, y: Array) -> nn.DataLoader:
    """Batches to be judged on, of a size that keeps what is computed in the processor's cache."""
    return nn.DataLoader(x, y, batch_size=min(1000, len(x)))


class Shifted:
    """Batches of MNIST, each moved by up to one pixel up, down, left or right: no pixel alone tells a digit then.

    The border of MNIST's images is blank, so what leaves on one side may come back on the other.
    """

    def __init__(self, batches: Any, rng: np.random.Generator) -> None:
        self.batches, self.rng = batches, rng

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for x, y in self.batches:
            images = x.reshape(len(x), 28, 28)
            yield np.roll(images, self.rng.integers(-1, 2, 2), (1, 2)).reshape(x.shape), y
