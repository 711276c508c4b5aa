"""`python -m benchmarks.scaling`: where a data-parallel step's time goes on 1 and 2 ranks, and what to expect of more.

    python -m benchmarks.scaling [--steps N] [--out DIR]

The network is that of mnist_relu, 784-300-75-10, in float32, its step compiled. Three things are measured: a step of
one process for several numbers of rows, and the drawing of its batch; the Allreduce of two ranks for several numbers
of bytes; and, as a check, the
parts of a step on 1 and on 2 ranks. From the first two follows a prediction for 2 to 1,024 ranks:

    step(p) = fixed + rows / p * (draw + per_row) + allreduce(p)
    allreduce(p) = 2 log2(p) latency + 2 (p - 1) / p bytes / bandwidth

Compute is the process's own time, so that sharing a core does not count; communication and idleness are time by the
clock. A barrier before every Allreduce tells the two apart: what passes until the last rank has come is idleness.
Other work on the machine only adds, and where ranks share a core it adds much: so the fastest of all Allreduces of a
size is taken, and of the steps the fastest tenth.

Read next: `../nn/distributed.py`, `../docs/scaling.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import nn
from nn.distributed import ranks_of

ROOT = Path(__file__).parents[1]
ROWS = (16, 64, 256, 1024)
BATCH = 64  # rows of all ranks together, in the measured parts of a step
BYTES = tuple(8 << k for k in range(0, 23, 2))
PREDICTED = tuple(2**k for k in range(1, 11))
GLOBAL = 8192  # rows of all ranks together, in the prediction
NETWORK = {"latency": 10e-6, "bandwidth": 25e9 / 8}  # assumed: 25 Gbit/s Ethernet


class Timed:
    """A communicator that notes how long the others let it wait, and how long the addition takes."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.rank, self.size = comm.rank, comm.size
        self.bcast, self.allgather = comm.bcast, comm.allgather
        self.idle = self.communication = self.inside = 0.0

    def Allreduce(self, mine: Any, total: Any) -> None:  # mpi4py's name
        """Wait for everybody, then add."""
        began = time.process_time()
        start = time.perf_counter()
        self.comm.Barrier()
        met = time.perf_counter()
        self.comm.Allreduce(mine, total)
        self.communication = time.perf_counter() - met
        self.idle = met - start
        self.inside = time.process_time() - began


def network() -> nn.Sequential:
    """The network of mnist_relu."""
    rng = np.random.default_rng(0)
    sizes = (784, 300, 75, 10)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def data(rows: int) -> tuple[Any, Any]:
    """A batch."""
    rng = np.random.default_rng(1)
    return rng.random((rows, 784), np.float32), rng.integers(0, 10, rows)


def fastest(run: Callable[[], float], times: int) -> float:
    """The least of what `run` gives, after three runs that do not count."""
    for _ in range(3):
        run()
    return min(run() for _ in range(times))


# ---- what every rank measures ------------------------------------------------------------------------------------


def measure(steps: int) -> dict[str, Any]:
    """On this rank: the parts of a step, and with two ranks the Allreduce by bytes, with one the step by rows."""
    from mpi4py import MPI

    comm = Timed(MPI.COMM_WORLD)
    step = Step(BATCH, comm)
    parts = []
    for _ in range(steps):
        compute = step()
        parts.append((compute, comm.communication, comm.idle))
    names = ("compute", "communication", "idle")
    found: dict[str, Any] = dict(zip(names, np.quantile(parts[3:], 0.1, axis=0).tolist(), strict=True))
    if comm.size == 2:
        found["allreduce"] = {size: fastest(partial(allreduce, comm, size), steps) for size in BYTES}
    else:
        times = max(steps // 4, 5)
        found["draw"] = min(draws()) / ROWS[-1]
        found["alone"] = {rows: fastest(Step(rows, None), times) for rows in ROWS}
        found["shared"] = {rows: fastest(Step(rows, comm), times) for rows in ROWS}
    return found


def allreduce(comm: Timed, size: int) -> float:
    """The seconds that two ranks need to add so many bytes."""
    mine = np.ones(size // 8)
    comm.Allreduce(mine, np.empty_like(mine))
    return comm.communication


def draws() -> Iterator[float]:
    """The seconds that it takes to copy shuffled batches out of the data."""
    loader = nn.DataLoader(*data(64 * ROWS[-1]), batch_size=ROWS[-1], shuffle=True, rng=np.random.default_rng(0))
    began = time.process_time()
    for _ in loader:
        yield time.process_time() - began
        began = time.process_time()


class Step:
    """A step of one process, alone or as one of the ranks."""

    def __init__(self, rows: int, comm: Timed | None) -> None:
        model = network()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        self.comm = comm
        ranks = ranks_of(comm)
        self.step = ranks.step(model, nn.CrossEntropyLoss(), optimizer, compile=True)
        self.batch = data(rows)

    def __call__(self) -> float:
        """The seconds of its own that a step takes, communication aside."""
        began = time.process_time()
        self.step(*self.batch)
        inside = 0.0 if self.comm is None else self.comm.inside
        return time.process_time() - began - inside


# ---- the model ---------------------------------------------------------------------------------------------------


Line: TypeAlias = tuple[float, float]


def line(points: dict[int, float]) -> Line:
    """Intercept and slope, both not negative, that fit with the least relative error."""
    x, y = (np.array(each, float) for each in (list(points), list(points.values())))
    rows = np.stack([np.ones_like(x), x], axis=1) / y[:, None]
    both = np.linalg.lstsq(rows, np.ones_like(y), rcond=None)[0]
    if (both >= 0).all():
        return float(both[0]), float(both[1])
    return 0.0, float(np.median(y / x))


def predict(ranks: int, rows: float, draw: float, alone: Line, shared: Line, net: dict[str, float]) -> dict[str, float]:
    """The parts of a step on so many ranks, and how many times as fast as a process alone they are."""
    size = 4 * sum(each.size for each in network().parameters())
    compute = shared[0] + (draw + shared[1]) * rows / ranks
    communication = 2 * np.log2(ranks) * net["latency"] + 2 * (ranks - 1) / ranks * size / net["bandwidth"]
    speedup = (alone[0] + (draw + alone[1]) * rows) / (compute + communication)
    return {"compute": compute, "communication": float(communication), "speedup": float(speedup)}


def report(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The tables, as text, and their numbers."""
    alone, shared = (line({int(rows): value for rows, value in one[0][key].items()}) for key in ("alone", "shared"))
    times = {int(size): max(each["allreduce"][size] for each in two) for size in two[0]["allreduce"]}
    start, per_byte = line(times)
    here = {"latency": start / 2, "bandwidth": 1 / per_byte}
    lines = [f"A step on {BATCH} rows, microseconds by rank", "", "| ranks | rank | compute | communication | idle |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for found in (one, two):
        for rank, each in enumerate(found):
            cells = (f"{1e6 * each[name]:.0f}" for name in ("compute", "communication", "idle"))
            lines.append(f"| {len(found)} | {rank} | {' | '.join(cells)} |")
    lines.append("")
    for name, (fixed, per_row) in (("one process", alone), ("a rank", shared)):
        lines.append(f"{name}: {1e6 * fixed:.0f} us a step and {1e6 * per_row:.1f} us a row")
    lines.append(f"drawing: {1e6 * one[0]['draw']:.2f} us a row")
    lines += [f"Allreduce: latency {1e6 * here['latency']:.1f} us, bandwidth {here['bandwidth'] / 1e9:.1f} GB/s"]
    lines += ["", f"Predicted speedup over one process: {GLOBAL} rows in all, or {BATCH} rows on each rank", ""]
    lines += ["| ranks | in all, as measured | in all, Ethernet | on each, as measured | on each, Ethernet |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    predicted = []
    for ranks in PREDICTED:
        cases = [(rows, net) for rows in (GLOBAL, BATCH * ranks) for net in (here, NETWORK)]
        parts = [predict(ranks, rows, one[0]["draw"], alone, shared, net) for rows, net in cases]
        predicted.append({"ranks": ranks, "parts": parts})
        lines.append(f"| {ranks:,} | " + " | ".join(f"{each['speedup']:.1f}" for each in parts) + " |")
    return "\n".join(lines), {"one": one, "two": two, "alone": alone, "shared": shared, **here, "predicted": predicted}


# ---- the command -------------------------------------------------------------------------------------------------


def launch(ranks: int, steps: int) -> list[dict[str, Any]]:
    """What so many ranks measure."""
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit('the benchmark needs mpiexec: pip install "autograd-lite[mpi]".')
    command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "benchmarks.scaling", "--steps", str(steps), "--rank"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mpiexec -n {ranks} failed:\n{done.stderr}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, print the tables, write result.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Steps on several processes.")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="to measure (default 200)")
    parser.add_argument("--out", type=Path, default=Path("out/scaling"), metavar="DIR", help="default out/scaling")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        from mpi4py import MPI

        everybody = MPI.COMM_WORLD.gather(measure(options.steps))
        if everybody is not None:
            print(json.dumps(everybody))
        return
    text, numbers = report(launch(1, options.steps), launch(2, options.steps))
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    nn.run_files.write_file(options.out / "result.json", json.dumps(numbers, indent=1).encode())


if __name__ == "__main__":
    main()
