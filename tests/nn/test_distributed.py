"""nn.fit on several processes, under mpiexec: the same result as one, and no rank left waiting."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from nn.distributed import share

ROOT = Path(__file__).parents[2]
_BESIDE = Path(sys.executable).parent / "mpiexec"  # where the mpich wheel puts it
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")
under_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason='mpi4py or mpiexec is not installed: pip install "autograd-lite[mpi]"',
)
QUICKLY = 30  # seconds: a rank that waits for another would wait for ever


def mpiexec(ranks: int, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the programs on so many ranks."""
    command = [MPIEXEC, "-n", str(ranks), sys.executable, "-m", "tests.nn.mpi_programs", name, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(  # type: ignore[return-value]  # as text
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def passes(ranks: int, name: str, folder: Path) -> None:
    done = mpiexec(ranks, name, folder)
    assert done.returncode == 0, done.stderr
    assert "passed" in done.stdout


@under_mpi
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("name", ["equal", "norms", "masks"])
def test_the_result_is_that_of_one_process(ranks: int, name: str, tmp_path: Path) -> None:
    passes(ranks, name, tmp_path)


@under_mpi
@pytest.mark.parametrize(("first", "then"), [(2, 3), (3, 2)])
def test_a_run_goes_on_on_another_number_of_ranks(first: int, then: int, tmp_path: Path) -> None:
    passes(first, "files", tmp_path)
    if first == 3:
        passes(2, "foreign", tmp_path)
    passes(then, "resumed", tmp_path)


@under_mpi
def test_models_that_differ_and_nans_are_told_on_all_ranks(tmp_path: Path) -> None:
    passes(2, "differ", tmp_path)


@under_mpi
@pytest.mark.parametrize("name", ["unprepared", "buffers"])
def test_a_rank_that_cannot_begin_is_told_on_all_and_buffers_of_any_dtype_are_kept(name: str, tmp_path: Path) -> None:
    passes(2, name, tmp_path)


@under_mpi
def test_ctrl_c_on_one_rank_stops_all_after_the_same_batch(tmp_path: Path) -> None:
    passes(2, "interrupted", tmp_path)


@under_mpi
@pytest.mark.parametrize(
    ("ranks", "name", "told"),
    [
        (3, "fails", "rank 2 of 3 failed, which ends the run"),
        (2, "fails_before", "OSError: no such file on this rank"),
        (2, "unequal_rows", "a batch has 20 inputs and 18 targets"),
        (2, "other_data", "the ranks have drawn different batches"),
    ],
)
def test_a_rank_that_fails_ends_the_run_with_its_message(ranks: int, name: str, told: str, tmp_path: Path) -> None:
    begun = time.perf_counter()
    done = mpiexec(ranks, name, tmp_path)
    assert time.perf_counter() - begun < QUICKLY
    assert done.returncode != 0
    assert told in done.stderr
    if name == "fails":
        assert "OSError: the disk of this rank is full" in done.stderr


@under_mpi
def test_an_example_runs_on_two_ranks(tmp_path: Path) -> None:
    trainer = ["examples.xor", "--quick", "--epochs", "5", "--out", str(tmp_path)]
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", *trainer]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("xor: ") == 1
    assert (tmp_path / "result.json").exists()


# ---- what needs no other rank ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.MSELoss(), np.random.default_rng(0).random((7, 3))),
        (nn.MSELoss(reduction="sum"), np.random.default_rng(0).random((7, 3))),
        (nn.CrossEntropyLoss([1.0, 5.0, 0.1]), np.array([0, 1, 2, 2, 1, 0, 1])),
        (nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1), np.array([0, 1, 2, 2, 1, 0, 1])),
        (nn.CrossEntropyLoss([1.0, 5.0, 0.1]), np.random.default_rng(1).dirichlet(np.ones(3), 7)),
    ],
)
def test_the_shares_of_parts_make_the_loss_of_the_whole(loss: Any, target: Any) -> None:
    scores = np.random.default_rng(2).standard_normal((7, 3))
    parts = [slice(0, 2), slice(2, 4), slice(4, 7)]
    counted = [(share(loss, target, part), part) for part in parts]
    total = sum(weight * float(loss(scores[part], target[part])) for weight, part in counted if weight)
    assert total == pytest.approx(float(loss(scores, target)), rel=1e-13)


def test_what_is_no_communicator_is_refused() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="comm must be a communicator of mpi4py"):
        nn.fit(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1), [], comm=4)


def test_under_mpiexec_without_mpi4py_the_call_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "import nn\n"
        "try: nn.distributed.world()\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PMI_SIZE": "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert 'pip install "autograd-lite[mpi]"' in done.stdout
