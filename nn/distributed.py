"""Training on several processes: each takes its share of every batch, and one Allreduce a step adds the gradients.

    # mpiexec -n 4 python train.py
    from mpi4py import MPI
    nn.fit(model, loss_fn, optimizer, train, epochs=10, out="runs/first", comm=MPI.COMM_WORLD)

Every process (a rank) runs the same program with the same data. The run begins with what rank 0 has: parameters,
optimizer, random generators. A batch of `train` is the batch of all ranks together, so the result is that of one
process, up to rounding, and the parameters are the same on all ranks, to the last bit. Rank 0 alone writes files.

Read next: `fitting.py`, `synchronized.py` (batch norm).
"""

from __future__ import annotations

import importlib
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

import autograd_lite as ag

from .data import DataLoader
from .evaluation import evaluate
from .losses import CrossEntropyLoss, NLLLoss
from .modules import Module
from .optim import Optimizer
from .seeding import choose_stream
from .synchronized import Synchronized, synchronize
from .training import NotFinite, TrainStep

Array: TypeAlias = np.ndarray[Any, Any]
LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK")  # what mpiexec leaves in the environment
__all__ = ["Ranks", "ranks_of", "synchronize", "world"]

TAIL = ("loss", "asked", "rows", "fingerprint")  # what goes with the gradients
TOLD = 4096  # a fingerprint below this is exact in float32 after the sum over as many ranks


def world() -> Any:
    """The communicator of all processes that mpiexec started with this one; None where it started none.

    From here on an error that nobody catches ends all of them. Under mpiexec without mpi4py raises ModuleNotFoundError.

    >>> from nn.distributed import world
    >>> world() is None
    True
    """
    if not any(name in os.environ for name in LAUNCHED):
        return None
    try:
        comm = importlib.import_module("mpi4py.MPI").COMM_WORLD
    except ModuleNotFoundError:
        raise ModuleNotFoundError('training under mpiexec needs mpi4py: pip install "autograd-lite[mpi]".') from None
    if comm.size == 1:
        return None
    sys.excepthook = lambda kind, error, trace: _end(comm, error)
    return comm


def _end(comm: Any, error: BaseException) -> None:
    """Tell what went wrong on this rank, and end the others, which would wait for it for ever."""
    import traceback  # here, because few programs need it

    told = "".join(traceback.format_exception(error))
    print(f"\nrank {comm.rank} of {comm.size} failed, which ends the run:\n{told}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    comm.Abort(1)


class Alone:
    """What `fit` asks of the other ranks where there are none."""

    first = True

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something that either succeeds on all ranks, or is an error on all."""
        yield

    def begin(self, run: Any, resume: Callable[[], None] | None) -> None:
        """Take up the run."""
        if resume is not None:
            resume()

    def step(self, model: Any, loss_fn: Any, optimizer: Optimizer, compile: bool) -> TrainStep:
        """A training step."""
        return TrainStep(model, loss_fn, optimizer, compile, finite=True)

    def train(self, data: Any) -> Any:
        """The batches to train on."""
        return data

    def agreed(self, interruption: Any) -> Any:
        """The interruption, as all ranks see it."""
        return interruption

    def settle(self, model: Module) -> None:
        """Bring the ranks together after an epoch."""

    def evaluate(self, model: Module, loss_fn: Any, data: Iterable[Any], metrics: Any) -> dict[str, float]:
        """The mean loss and metrics over the batches of all ranks."""
        return evaluate(model, loss_fn, data, metrics)

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return flag

    def __enter__(self) -> Alone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Ranks(Alone):
    """The ranks of a communicator, of which this process is one."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.rank: int = comm.rank
        self.size: int = comm.size
        self.first = self.rank == 0
        self.share = 1.0  # of this rank in the loss of the batch at hand
        self.asked = False  # whether some rank was told to stop
        self._model: Module | None = None
        self.agree = False  # whether all ranks have seen the same error
        self._interruption: Any = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something that either succeeds on all ranks, or is an error on all: those without one tell the first."""
        mine: Exception | None = None
        try:
            yield
        except Exception as error:
            mine = error
        everybody = self.comm.allgather(None if mine is None else f"{type(mine).__name__}: {mine}")
        if mine is not None:
            raise mine
        for rank, told in enumerate(everybody):
            if told is not None:
                raise RuntimeError(f"fit: rank {rank} cannot begin: {told}")

    def begin(self, run: Any, resume: Callable[[], None] | None) -> None:
        """Compare the models, let rank 0 take up the run, and give everybody its state."""
        self._compare(run)
        problem = None
        if self.first and resume is not None:
            try:
                resume()
            except Exception as error:
                problem = error
        problem = self.comm.bcast(problem)
        if problem is not None:
            raise problem
        state = self.comm.bcast(run.state_dict() if self.first else None)
        with self.together():
            if not self.first:
                run.load_state_dict(state)
        self._model = run.model
        self._connect(self)

    def _connect(self, ranks: Ranks | None) -> None:
        """Tell the model's synchronized batch norms whom to ask."""
        for each in self._model.modules() if self._model is not None else ():
            if isinstance(each, Synchronized):
                each.ranks = ranks

    def _compare(self, run: Any) -> None:
        """Raise ValueError, on all ranks, unless they have the same parameters and as many batches."""
        parts = [(name, each.shape, each.dtype.name) for name, each in run.model.named_parameters()]
        batches = len(run.train) if hasattr(run.train, "__len__") else None
        everybody = self.comm.allgather((parts, batches))
        first, count = everybody[0]
        for rank, (theirs, many) in enumerate(everybody):
            if len(theirs) != len(first):
                raise ValueError(
                    f"fit: rank {rank} has a model of {len(theirs)} parameters and rank 0 one of {len(first)}: every "
                    "rank must build the same."
                )
            for one, other in zip(first, theirs, strict=True):
                if one != other:
                    raise ValueError(
                        f"fit: rank {rank} has the parameter {_told(other)} where rank 0 has {_told(one)}."
                    )
            if many != count:
                raise ValueError(
                    f"fit: rank {rank} has {many} batches and rank 0 has {count}: give both the same data."
                )

    def step(self, model: Any, loss_fn: Any, optimizer: Optimizer, compile: bool) -> TrainStep:
        """A training step that takes the batch of all ranks, and uses this one's part of it."""
        return SharedStep(self, model, loss_fn, optimizer, compile)

    def train(self, data: Any) -> Any:
        """The batches; of a loader's every rank copies its own rows alone."""
        return Undrawn(data) if type(data) is DataLoader and len(data.arrays) == 2 else data

    def agreed(self, interruption: Any) -> Any:
        """An interruption that all ranks see after the same batch."""
        self._interruption = interruption
        return self

    def interrupted_here(self) -> bool:
        """Whether this rank was told to stop."""
        return self._interruption is not None and bool(self._interruption.asked)

    def settle(self, model: Module) -> None:
        """Average what the ranks have seen apart (running statistics), and make sure that they have not drifted."""
        for each in model.buffers():
            if each.dtype.kind not in "fc":  # counts and masks have no mean
                each.data = self.comm.bcast(each.data)
                continue
            mine = np.asarray(each.data, np.result_type(each.dtype, np.float64), order="C")
            total = np.empty_like(mine)
            self.comm.Allreduce(mine, total)
            each.data = (total / self.size).astype(each.dtype)
        prints = self.comm.allgather([fingerprint(each.data) for each in model.parameters()])
        for rank, theirs in enumerate(prints):
            if theirs != prints[0]:
                names = [name for name, _ in model.named_parameters()]
                name = next(name for name, a, b in zip(names, theirs, prints[0], strict=True) if a != b)
                raise RuntimeError(
                    f"fit: {name} is no longer the same on ranks 0 and {rank}: does a callback change it?"
                )

    def evaluate(self, model: Module, loss_fn: Any, data: Iterable[Any], metrics: Any) -> dict[str, float]:
        """Each rank takes every so-manieth batch; the means count all rows."""
        rows = 0

        def own() -> Iterator[Any]:
            nonlocal rows
            for number, (x, y) in enumerate(data):
                if number % self.size == self.rank:
                    rows += len(y)
                    yield x, y

        try:
            figures = evaluate(model, loss_fn, own(), metrics)
        except ValueError:
            if rows:
                raise
            figures = {}
        everybody = self.comm.allgather((rows, figures))
        total = sum(rows for rows, _ in everybody)
        if total == 0:
            raise ValueError("evaluate: the data set is empty.")
        names = next(figures for rows, figures in everybody if rows)
        return {name: sum(rows * theirs[name] for rows, theirs in everybody if rows) / total for name in names}

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return any(self.comm.allgather(bool(flag)))

    def __enter__(self) -> Ranks:
        choose_stream(self.rank if self.size > 1 else None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connect(None)
        choose_stream(None)
        if error is not None and not self.agree and self.size > 1:
            _end(self.comm, error)


def _told(part: tuple[str, tuple[int, ...], str]) -> str:
    name, shape, dtype = part
    return f"{name}, {dtype}{list(shape)}"


def ranks_of(comm: Any) -> Alone:
    """The ranks of a communicator of mpi4py; of None this process alone."""
    if comm is None:
        return Alone()
    if not all(hasattr(comm, name) for name in ("Allreduce", "rank", "size", "bcast")):
        raise TypeError(f"fit: comm must be a communicator of mpi4py (MPI.COMM_WORLD), not {type(comm).__name__}.")
    return Ranks(comm)


class Undrawn:
    """The batches of a loader whose inputs are not copied before somebody takes rows of them."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[tuple[Any, Array]]:
        x, y = self.loader.arrays
        for rows in self.loader.rows():
            yield Picked(x, rows), y[rows]


class Picked:
    """Rows of an array; a slice of it is an array."""

    def __init__(self, array: Array, rows: Any) -> None:
        self.array = array
        self.rows = rows

    def __getitem__(self, part: slice) -> Array:
        found: Array = self.array[self.rows][part] if isinstance(self.rows, slice) else self.array[self.rows[part]]
        return found


def whole(x: Any) -> Any:
    """A batch's inputs, all of them."""
    return x[:] if isinstance(x, Picked) else x


def fingerprint(array: Any) -> int:
    """A number that differs where the bytes do, but for one case in four billions."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


# ---- one step ----------------------------------------------------------------------------------------------------


class SharedStep(TrainStep):
    """A step of all ranks: gradients of this rank's rows, one Allreduce, the same update everywhere.

    `.grad` shows the gradients of all ranks; as those of a compiled step they lie in memory that the next one uses.
    """

    def __init__(self, ranks: Ranks, model: Any, loss_fn: Any, optimizer: Optimizer, compile: bool) -> None:
        super().__init__(model, loss_fn, optimizer, compile)
        self._ranks = ranks
        self._normalises = any(isinstance(each, Synchronized) for each in model.modules())
        self._params: list[ag.Tensor] = [each for group in optimizer.param_groups for each in group["params"]]
        size = sum(each.size for each in self._params) + len(self._params) + len(TAIL)
        dtype = np.result_type(np.float32, *(each.dtype for each in self._params))
        self._mine, self._all = np.zeros(size, dtype), np.zeros(size, dtype)

    def __call__(self, x: Any, y: Any) -> float:
        """Train on one batch, of which this rank computes its part; the loss is the batch's, before the update."""
        ranks = self._ranks
        if hasattr(x, "__len__") and len(x) != len(y):
            raise ValueError(
                f"fit: a batch has {len(x)} inputs and {len(y)} targets; ranks share a batch out by its rows."
            )
        part = slice(*(len(y) * k // ranks.size for k in (ranks.rank, ranks.rank + 1)))
        ranks.share = share(self.loss_fn, y, part)
        if len(y) < ranks.size and self._normalises:
            raise ValueError(
                f"fit: a batch of {len(y)} rows leaves ranks without any to normalise: use drop_last=True."
            )
        loss = 0.0
        if part.stop > part.start and ranks.share > 0:  # there may be fewer rows than ranks, or none that count
            loss = self.gradients(x[part], y[part])
        else:
            self.optimizer.zero_grad()
        batch = (len(y), fingerprint(y) % TOLD)
        loss, asked, *batches = self._reduce((loss * ranks.share, ranks.interrupted_here(), *batch), ranks.share)
        if batches != [each * ranks.size for each in batch]:
            raise RuntimeError(
                "fit: the ranks have drawn different batches. Each must have the same data, and `train` a random "
                "generator of its own (rng=) that nothing else draws from."
            )
        ranks.asked = asked > 0
        if not np.isfinite(loss):
            ranks.agree = True
            raise NotFinite(f"TrainStep: the loss is {loss}.")
        self.optimizer.step()
        return float(loss)

    def _reduce(self, told: tuple[float, ...], weight: float) -> list[float]:
        """Add up the gradients of all ranks, each times its weight, and the numbers that go with them."""
        params, mine, everybody = self._params, self._mine, self._all
        flags = slice(-len(params) - len(TAIL), -len(TAIL))
        there = mine[flags]
        for i, (each, place) in enumerate(zip(params, self._split(mine), strict=True)):
            gradient = each.grad
            there[i] = gradient is not None
            if gradient is None:
                place[...] = 0
            else:
                np.multiply(gradient, weight, out=place)
        mine[-len(TAIL) :] = told
        self._ranks.comm.Allreduce(mine, everybody)
        for each, some, total in zip(params, everybody[flags], self._split(everybody), strict=True):
            if some:
                each._node.grad = total.astype(each.dtype, copy=False)  # overwritten by the next step
        return [float(each) for each in everybody[-len(TAIL) :]]

    def _split(self, flat: Array) -> list[Array]:
        """The parts of a flat array that belong to the parameters."""
        ends = np.cumsum([each.size for each in self._params]).tolist()
        return [flat[end - each.size : end].reshape(each.shape) for end, each in zip(ends, self._params, strict=True)]


def share(loss_fn: Any, y: Any, part: slice) -> float:
    """What a part of a batch counts in the loss of the whole: its share of the rows, of the weights of their classes
    where the loss divides by those, or 1 where it is a sum."""
    if getattr(loss_fn, "reduction", "mean") == "sum":
        return 1.0
    if isinstance(loss_fn, (CrossEntropyLoss, NLLLoss)) and y.dtype.kind in "iu":
        labels = np.asarray(y)
        counted = labels != loss_fn.ignore_index
        weights = counted.astype(np.float64)
        if loss_fn.weight is not None:
            weights *= loss_fn.weight.data[np.where(counted, labels, 0)]
        if weights.any():
            return float(weights[part].sum() / weights.sum())
    rows: int = part.stop - part.start
    return rows / len(y)
