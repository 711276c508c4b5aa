"""What one process measures: the first step of one variant and its memory, or the steps of all variants in turns.

    python -m benchmarks.measuring cold CASE VARIANT SECONDS
    python -m benchmarks.measuring turns CASE ROUNDS VARIANT ...

`running.py` runs it, with the allocator's thresholds pinned. The result is the last line of the output, as JSON.
Everything runs on one core, so that no library has more than one thread at work.

Read next: `running.py`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from .cases import CASES, build
from .networks import Step, Wide

try:
    import resource
except ImportError:  # where Unix is not
    resource = None  # type: ignore[assignment]

TURN = 0.02  # seconds that one turn of one variant lasts
LEAST = 5  # rounds, however long they last; there are fewer than asked for when they last longer than
LONGEST = 30.0  # seconds


def cold(name: str, variant: str) -> dict[str, float | None]:
    """Seconds of the first step, which traces and compiles, and the peak of memory, in bytes.

    Memory is what the process grew by, from before the step was built to after the last one. A small network comes
    first, because loading and starting a library is no part of a step.
    """
    if variant.endswith("_scipy"):
        importlib.import_module("scipy.linalg")
    small, _ = build(Wide(8), variant)
    small()
    network = CASES[name]()
    gc.collect()
    before = _start_memory()
    step, _ = build(network, variant)
    start, here = _used(), time.thread_time()
    step()
    first, here = _used() - start, time.thread_time() - here
    # With a limit on its time a process's clock ticks a few times in a hundredth of a second; a thread's stays exact.
    if first < here + 0.02:
        first = here
    for _ in range(5):
        step()
    return {"first": first, "peak": _grown(before)}


def turns(name: str, rounds: int, variants: list[str]) -> dict[str, list[float] | str]:
    """Seconds a step of each variant, one figure a round; in a round each has one turn. The error of one that fails."""
    network = CASES[name]()
    steps: dict[str, Step] = {}
    broken: dict[str, str] = {}
    for variant in variants:
        try:
            step, _ = build(network, variant)
            step()
        except Exception as error:  # whatever it is: the others are measured
            broken[variant] = f"{type(error).__name__}: {error}"
        else:
            steps[variant] = step
    times: dict[str, list[float]] = {variant: [] for variant in steps}
    counts = {}
    for variant, step in steps.items():
        once = min(_seconds(step, 1) for _ in range(3))
        counts[variant] = max(1, round(TURN / _seconds(step, max(1, round(TURN / 10 / once)))))
    start = time.perf_counter()
    for done in range(rounds):
        if done >= LEAST and time.perf_counter() - start > LONGEST:
            break
        for variant, step in steps.items():
            times[variant].append(_seconds(step, counts[variant]))
    return {**times, **broken}


def _seconds(step: Step, count: int) -> float:
    """Seconds a step, of all threads of this process, which share a core, and of compilers that it has called."""
    start = _used()
    for _ in range(count):
        step()
    return (_used() - start) / count


def _used() -> float:
    """Seconds of the processor: they do not pass while the machine does something else."""
    if resource is None:
        return time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _start_memory() -> int | None:
    """Bytes in use, after giving back what is free and forgetting the peak so far; None where Linux is not."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except (AttributeError, OSError):
        return None


def _grown(before: int | None) -> int | None:
    return None if before is None else _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def main(mode: str, name: str, *rest: str) -> None:
    """Measure on one core, and print the result."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if mode == "cold":
        variant, limit = rest
        if resource is not None:  # the system ends the process when its time is up
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(float(limit)), resource.RLIM_INFINITY))
        result: Any = cold(name, variant)
    else:
        result = turns(name, int(rest[0]), list(rest[1:]))
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
