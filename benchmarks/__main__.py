"""`python -m benchmarks`: one table of ratios, each network measured in a fresh process.

    python -m benchmarks [NAME ...] [--rounds N] [--out FILE]

A ratio says how long a step takes against the hand-written NumPy step of the same network: 1.20x is a fifth longer.
Machines differ and are noisy, so times alone say little. In each process the variants take turns, each turn long enough
to time well, and a ratio is the median over the rounds. One thread; the allocator's thresholds are pinned, because the
state of the heap alone was seen to move a ratio several-fold.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .networks import NETWORKS

PINNED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
VARIANTS = ("by_hand", "modules", "plain", "compiled", "compiled_plain")
TURN = 0.02  # seconds that one turn of one variant lasts


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Seconds a step of every variant of one network, and the ratios to the hand-written one, in this process."""
    network = NETWORKS[name]()
    steps = {variant: getattr(network, variant)()[0] for variant in VARIANTS}
    counts = {}
    for variant, step in steps.items():
        step()
        start = time.perf_counter()
        for _ in range(10):
            step()
        counts[variant] = max(1, int(TURN / max((time.perf_counter() - start) / 10, 1e-7)))
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant, step in steps.items():
            start = time.perf_counter()
            for _ in range(counts[variant]):
                step()
            seconds[variant].append((time.perf_counter() - start) / counts[variant])
    ratios = {
        variant: statistics.median(a / b for a, b in zip(seconds[variant], seconds["by_hand"], strict=True))
        for variant in VARIANTS
    }
    microseconds = {variant: statistics.median(times) * 1e6 for variant, times in seconds.items()}
    return {"network": network.name, "microseconds": microseconds, "ratios": ratios}


def main() -> None:
    """Measure the networks named on the command line, or all of them, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios to hand-written NumPy steps.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each variant in a process (default 25)")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes a network; the median is printed")
    parser.add_argument("--out", type=Path, help="also write the figures to this file, as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.rounds)))
        return
    unknown = [name for name in options.names if name not in NETWORKS]
    if unknown:
        parser.error(f"no network is called {', '.join(unknown)}; choose from {', '.join(NETWORKS)}")
    titles = "".join(f"{each.replace('_', ' '):>16}" for each in VARIANTS[1:])
    print(f"{'network':32}{'by hand':>12}{titles}    (one thread; ratios to the step by hand)")
    rows = []
    for name in options.names or NETWORKS:
        runs = [_fresh(name, options.rounds) for _ in range(options.processes)]
        ratios = {v: statistics.median(run["ratios"][v] for run in runs) for v in VARIANTS}
        by_hand = statistics.median(run["microseconds"]["by_hand"] for run in runs)
        rows.append({"name": name, "network": runs[0]["network"], "by_hand_us": by_hand, "ratios": ratios})
        shown = "".join(f"{ratios[each]:15.2f}x" for each in VARIANTS[1:])
        print(f"{runs[0]['network']:32}{by_hand:9.0f} us{shown}", flush=True)
    if options.out:
        part = options.out.with_suffix(".part")
        part.write_text(json.dumps(rows, indent=2) + "\n")
        os.replace(part, options.out)


def _fresh(name: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks", "--worker", name, "--rounds", str(rounds)]
    done = subprocess.run(command, env=os.environ | PINNED, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks: {name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
