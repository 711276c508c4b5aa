"""Runs the measuring processes of a case and puts together what they found.

    result = Run(rounds=25, processes=3).case("xor")

Read next: `measuring.py` (what one process does), `tables.py` (what a result holds).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from .cases import CASES, variants_of
from .tables import Result

PINNED = {
    # one thread
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    # memory once taken is kept: the state of the heap alone was seen to move a ratio several-fold
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
LONG = 60.0  # seconds of first steps, all variants together, from which one process a case has to do


class Failed(Exception):
    """A measuring process did not come through: why, in a word, and the last line that it said."""

    def __init__(self, word: str, said: str = "") -> None:
        super().__init__(f"{word}: {said}")
        self.word = word
        self.said = said


class Run:
    """Measures case after case.

    `rounds` are the turns of each variant in a process, `processes` the fresh processes a case. `limit` is how many
    seconds of the processor a first step may take. `quick` leaves out the first steps, memory and torch.compile.
    `cache` is a folder in which torch.compile finds again what it compiled, and `say` is told what is being done.
    """

    def __init__(
        self,
        rounds: int,
        processes: int,
        limit: float = 150,
        quick: bool = False,
        cache: str = "",
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.rounds = rounds
        self.processes = processes
        self.limit = limit
        self.quick = quick
        self.say = say
        self.environment = os.environ | PINNED | ({"TORCHINDUCTOR_CACHE_DIR": cache} if cache else {})

    def case(self, name: str) -> Result:
        """The figures of every variant of a case; raises Failed if the variants break down together."""
        variants: dict[str, dict[str, Any]] = {each: {} for each in variants_of(name)}
        if self.quick:
            variants.pop("torch_compile", None)
        else:
            for variant, figures in variants.items():
                self.say(f"{name}, first step: {variant}")
                figures |= self._first(name, variant)
        sound = [each for each, figures in variants.items() if "failed" not in figures]
        slow = sum(variants[each].get("first", 0.0) for each in sound) > LONG
        runs = []
        for i in range(count := 1 if slow else self.processes):
            self.say(f"{name}, turns: process {i + 1} of {count}")
            runs.append(self._measure("turns", name, str(self.rounds), *sound))
        for each in sound:
            errors = [run[each] for run in runs if isinstance(run[each], str)]
            if errors:
                variants[each] |= {"failed": "crash", "said": errors[0]}
                continue
            pairs = [zip(run[each], run["by_hand"], strict=True) for run in runs]
            variants[each]["ratio"] = median(median(mine / by_hand for mine, by_hand in pair) for pair in pairs)
            variants[each]["seconds"] = median(median(run[each]) for run in runs)
        return {"case": name, "title": CASES[name]().name, "variants": variants}

    def _first(self, name: str, variant: str) -> dict[str, Any]:
        try:
            figures: dict[str, Any] = self._measure("cold", name, variant, str(self.limit))
        except Failed as failed:
            return {"failed": failed.word, "said": failed.said}
        return figures

    def _measure(self, *arguments: str) -> Any:
        """The result of one measuring process; raises Failed."""
        command = [sys.executable, "-m", "benchmarks.measuring", *arguments]
        home = Path(__file__).parents[1]
        done = subprocess.run(command, cwd=home, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode == -getattr(signal, "SIGXCPU", 0):
            raise Failed(f">{self.limit:.0f} s")
        if done.returncode:
            said = done.stderr.strip().splitlines() or [""]
            died = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
            raise Failed("crash", said[-1] or died)
        return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """The processor and the versions that the figures belong to."""
    processor = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), processor)
    packages = {}
    for package in ("numpy", "scipy", "autograd", "mygrad", "torch", "jax"):
        try:
            packages[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor,
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": packages,
    }
