"""What the ranks do in the tests of nn.distributed: `mpiexec -n N python -m tests.nn.mpi_programs NAME [FOLDER]`.

Each program asserts on every rank; rank 0 prints "passed" at the end.

Read next: `test_distributed.py`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import nn

COMM = MPI.COMM_WORLD
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((53, 6)), RNG.integers(0, 3, 53)
SHARES = 12  # rows of a batch: 53 = 4 * 12 + 5 leaves an uneven last one


def network(norm: bool = False, seed: int = 1) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    layers: list[Any] = [nn.Linear(6, 8, bias=not norm, dtype=np.float64, rng=rng)]
    layers += [nn.BatchNorm1d(8, dtype=np.float64)] if norm else []
    return nn.Sequential(*layers, nn.Tanh(), nn.Linear(8, 3, dtype=np.float64, rng=rng))


def loader(batch_size: int = SHARES) -> nn.DataLoader:
    return nn.DataLoader(X, Y, batch_size=batch_size, shuffle=True, rng=np.random.default_rng(3))


def train(model: nn.Module, comm: Any, loss: Any = None, epochs: int = 3, **settings: Any) -> Any:
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    data = settings.pop("train", None) or loader()
    return nn.fit(model, loss or nn.CrossEntropyLoss(), optimizer, data, epochs, comm=comm, **settings)


def same_everywhere(model: nn.Module) -> None:
    """Assert that all ranks have the same bits."""
    for name, value in model.state_dict().items():
        assert len(set(COMM.allgather(value.tobytes()))) == 1, name


def close(model: nn.Module, alone: nn.Module) -> None:
    """Assert that two models agree to 1e-12."""
    for (name, one), other in zip(model.state_dict().items(), alone.state_dict().values(), strict=True):
        assert np.abs(one - other).max() <= 1e-12, (name, np.abs(one - other).max())


def equal(folder: str) -> None:
    """Training is that of one process: eager and compiled, with weights of classes, sums and fewer rows than ranks."""
    assert nn.distributed.world() is COMM
    valid = nn.DataLoader(X, Y, batch_size=20)
    losses = [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss([1, 2, 3], ignore_index=1),
        nn.CrossEntropyLoss(reduction="sum"),
    ]
    cases: list[dict[str, Any]] = [{"loss": loss} for loss in losses]
    cases += [{"compile": True}, {"train": nn.DataLoader(X, Y, batch_size=2), "epochs": 1, "compile": True}]
    hot = nn.one_hot(Y, 3, np.float64)
    batches = [(X[:31], hot[:31]), (X[31:], hot[31:])]
    cases.append({"loss": nn.MSELoss(), "train": batches, "valid": batches, "metrics": []})
    for case in cases:
        settings = {"valid": valid, "metrics": [nn.accuracy], **case}
        model, alone = network(seed=1 + COMM.rank), network()
        found, wanted = train(model, COMM, **settings), train(alone, None, **settings)
        same_everywhere(model)
        close(model, alone)
        for row, other in zip(found.rows, wanted.rows, strict=True):
            assert row.keys() == other.keys()
            assert all(abs(row[key] - other[key]) < 1e-12 for key in row if key != "seconds"), (row, other)


def norms(folder: str) -> None:
    """Synchronized batch norm is that of one process; without, the running statistics still agree between ranks."""
    for compile in (False, True):
        model, alone = nn.distributed.synchronize(network(norm=True)), network(norm=True)
        train(model, COMM, compile=compile)
        train(alone, None)
        same_everywhere(model)
        close(model, alone)
    apart = network(norm=True)
    train(apart, COMM, train=loader(batch_size=53))
    same_everywhere(apart)
    assert np.abs(apart[0].weight.data - alone[0].weight.data).max() > 1e-6
    images = np.random.default_rng(COMM.rank).standard_normal((4, 2, 3, 3))
    plain, shared = (nn.Sequential(nn.BatchNorm2d(2, dtype=np.float64)) for _ in range(2))
    assert np.array_equal(nn.distributed.synchronize(shared)(images).data, plain(images).data)


def files(folder: str) -> None:
    """Rank 0 alone writes, and a run that n ranks began goes on on any number, as if nothing had happened."""
    out = Path(folder) / "run"
    model = network()
    train(model, COMM, epochs=2, out=out if COMM.rank == 0 else Path(folder) / f"rank{COMM.rank}")
    assert COMM.rank == 0 or not (Path(folder) / f"rank{COMM.rank}").exists()
    if COMM.rank == 0:
        assert {"last.npz", "best.npz", "history.csv"} <= {each.name for each in out.iterdir()}


def resumed(folder: str) -> None:
    """Go on with the run in that folder."""
    model, alone = network(seed=9), network()
    history = train(model, COMM, epochs=5, out=Path(folder) / "run", resume=True)
    train(alone, None, epochs=5)
    same_everywhere(model)
    close(model, alone)
    assert len(history) == 5


def foreign(folder: str) -> None:
    """A checkpoint of another architecture is refused on all ranks, every mismatch listed."""
    model = nn.Sequential(nn.Linear(6, 5, dtype=np.float64), nn.Tanh(), nn.Linear(5, 3, bias=False, dtype=np.float64))
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"last\.npz") as caught:
        train(model, COMM, out=Path(folder) / "run", resume=True)
    told = str(caught.value)
    for part in ("0.weight: (8, 6) given, (5, 6)", "0.bias: (8,)", "2.weight: (3, 8)", "unexpected: 2.bias"):
        assert part in told, told
    assert all((before[name] == value).all() for name, value in model.state_dict().items())


def differ(folder: str) -> None:
    """Unequal models, data and losses that are no numbers are told on all ranks, which can go on."""
    model: nn.Module = nn.Sequential(network(), nn.Linear(3, 3)) if COMM.rank == 1 else network()
    for given, told in (
        (model, "rank 1 has a model of 6 parameters and rank 0 one of 4"),
        (nn.Linear(6, 3 + COMM.rank, dtype=np.float64), r"rank 1 has the parameter weight, float64[4, 6] where rank 0"),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            train(given, COMM)
    bad = X.copy()
    bad[-1, 2] = np.nan
    with pytest.raises(FloatingPointError, match="the batch itself holds a NaN"):
        train(network(), COMM, train=nn.DataLoader(bad, Y, batch_size=53))


def masks(folder: str) -> None:
    """Every rank drops other units, eager and compiled, and what is drawn for all stays the same on all."""
    rows = 8 * COMM.size
    x, y = np.ones((rows * 3, 6), np.float32), np.arange(rows * 3) % 3
    for compile in (False, True):
        for bits in (np.random.PCG64, np.random.Philox):
            rng = np.random.Generator(bits(5))
            dropout = nn.Dropout(0.5, rng=rng)
            model = nn.Sequential(nn.Linear(6, 7, dtype=np.float32), dropout, nn.Linear(7, 3, dtype=np.float32))
            data = nn.DataLoader(x, y, batch_size=rows, shuffle=True, rng=rng)
            train(model, COMM, train=data, compile=compile)
            same_everywhere(model)
            states = COMM.allgather(str(rng.bit_generator.state))
            assert len(set(states)) == 1
    dropped = []

    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Any) -> Any:
            mask = nn.functional.dropout(np.ones((64, 6)), rng=drawn)
            dropped.append(mask.tobytes())
            return self.inner(x * mask[: len(x)])

    drawn = np.random.default_rng(5)
    first = np.random.default_rng(5)
    train(Seen(), COMM, train=nn.DataLoader(X[:48], Y[:48], batch_size=12), epochs=2)
    everybody = [each for theirs in COMM.allgather(dropped) for each in theirs]
    assert len(set(everybody)) == len(everybody) == 8 * COMM.size
    wanted = nn.functional.dropout(np.ones((64, 6)), rng=first).tobytes()
    assert (dropped[0] == wanted) == (COMM.rank == 0)


def unprepared(folder: str) -> None:
    """What keeps one rank from beginning is an error on all, which can go on."""

    def told(broken: int, kind: type[Exception], message: str, **settings: Any) -> None:
        expected = kind if broken == COMM.rank else RuntimeError
        optimizer = settings.pop("optimizer", nn.optim.Adam)
        model = network()
        data = settings.pop("train", None) or loader()
        with pytest.raises(expected, match=message):
            nn.fit(model, nn.CrossEntropyLoss(), optimizer(model.parameters(), lr=0.1), data, comm=COMM, **settings)

    (Path(folder) / "file").touch()
    told(0, OSError, "file", out=Path(folder) / "file")
    odd = COMM.rank == 1
    told(1, ValueError, "optimizer: Adam there, SGD here", optimizer=nn.optim.SGD if odd else nn.optim.Adam)
    told(1, TypeError, "arrays are not batches", train=(X, Y) if odd else None)


def buffers(folder: str) -> None:
    """Buffers that no average is defined for, or that it would overflow, stay what they are."""

    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()
            self.bytes = nn.Buffer(np.full(2, 200, np.uint8))
            self.mask = nn.Buffer(np.array([True, False]))
            self.half = nn.Buffer(np.full(2, 1.5, np.float16))

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    model = Held()
    train(model, COMM, epochs=1)
    same_everywhere(model)
    assert model.bytes.data.tolist() == [200, 200]
    assert model.mask.data.tolist() == [True, False]
    assert model.half.data.tolist() == [1.5, 1.5]


def fails(folder: str) -> None:
    """One rank raises in the middle of an epoch."""

    class Failing:
        def __call__(self, run: Any) -> None:
            return None

        def on_batch(self, run: Any) -> None:
            if COMM.rank == COMM.size - 1 and run.step == 3:
                raise OSError("the disk of this rank is full")

    train(network(), COMM, callbacks=[Failing()])


def fails_before(folder: str) -> None:
    """One rank raises before the training, where the others wait for it."""
    comm = nn.distributed.world()
    if comm.rank == 1:
        raise OSError("no such file on this rank")
    train(network(), comm)


def other_data(folder: str) -> None:
    """One rank has other data."""
    train(network(), COMM, train=nn.DataLoader(X, (Y + COMM.rank) % 3, batch_size=10))


def unequal_rows(folder: str) -> None:
    """A batch has more inputs than targets: their shares would pass for whole."""
    train(network(), COMM, train=[(X[:20], Y[:18])])


def interrupted(folder: str) -> None:
    """Ctrl-C on one rank stops all after the same batch."""
    import signal

    class Stop:
        def __call__(self, run: Any) -> None:
            return None

        def on_batch(self, run: Any) -> None:
            if COMM.rank == 1 and run.step == 7:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)

    model = network()
    history = train(model, COMM, out=Path(folder) / "run", callbacks=[Stop()])
    assert history.interrupted
    same_everywhere(model)
    assert len(history) == 1
    if COMM.rank == 0:
        assert nn.load(Path(folder) / "run" / "last.npz")["step"] == 8


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
    COMM.Barrier()
    if COMM.rank == 0:
        print("passed")
