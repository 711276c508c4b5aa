"""The trainers as people run them: what they print, what they write, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

import nn
from examples import common
from examples.__main__ import NAMES
from examples.__main__ import main as all_documents

from .test_data import make_mnist

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("AUTOGRAD_LITE_DATA") or ROOT.parent / "shared" / "data")
READS_FILES = {"mnist_ann", "mnist_mat", "mnist_relu", "heart", "lenet"}


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def needs_data(name: str) -> None:
    if name in READS_FILES and not (DATA / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"{name} needs the real data: set AUTOGRAD_LITE_DATA to its folder")


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_reaches_its_figures_and_writes_its_files(name, tmp_path):
    needs_data(name)
    done = command(f"examples.{name}", "--quick", "--out", str(tmp_path), "--data", str(DATA))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["document"] == name
    assert result["reached"] is True
    assert result["interrupted"] is False
    assert result["checks"]
    assert all(check["ok"] == ("posted" not in title) for title, check in result["checks"].items())
    for title, check in result["checks"].items():
        if check["ok"]:
            assert max(check["relative_error"].values()) <= 1e-10, title
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "graph.svg").read_text()
    runs = [tmp_path, *(tmp_path / "parts").glob("*")][bool((tmp_path / "parts").exists()) :]
    for folder in runs:
        assert {path.name for path in folder.iterdir()} >= {"last.npz", "best.npz", "history.csv", "curve.png"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("iris", "lenet")])
def test_as_posted_shows_the_symptom_and_says_why(name, tmp_path):
    needs_data(name)
    done = command(f"examples.{name}", "--as-posted", "--quick", "--out", str(tmp_path), "--data", str(DATA))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Why: " in done.stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["as_posted"] is True
    assert result["reached"] is True
    assert {path.name for path in tmp_path.iterdir()} >= {"graph.svg", "result.json"}


@pytest.mark.parametrize("seed", range(20))
def test_xor_is_solved_from_every_seed(seed, tmp_path, capsys, monkeypatch):
    from examples.xor import DOCUMENT

    for place in ("nn.run_files.curve_png", "examples.common.curve_png"):  # the pictures take longer than the training
        monkeypatch.setattr(place, lambda *args: None)
    monkeypatch.setattr(common.Run, "draw", lambda *args: None)
    assert DOCUMENT.main(["--seed", str(seed), "--out", str(tmp_path)]) == 0
    figures = {each["name"]: each["value"] for each in json.loads((tmp_path / "result.json").read_text())["figures"]}
    assert figures["test accuracy"] == 1.0
    assert figures["test loss"] < 0.01


def test_the_same_seed_gives_the_same_run(tmp_path, capsys):
    from examples.xor import DOCUMENT

    histories = []
    for k in range(2):
        DOCUMENT.main(["--seed", "3", "--epochs", "20", "--out", str(tmp_path / str(k))])
        histories.append(json.loads((tmp_path / str(k) / "result.json").read_text())["history"])
    histories = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows] for rows in histories]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 20


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Bad input: exit code 2, one line on stderr that holds the words, and no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_missing_data_gets_one_line_and_exit_code_2(tmp_path):
    out = tmp_path / "out"
    one_line(command("examples.mnist_ann", "--data", str(tmp_path / "gone"), "--out", str(out)), "gone", "--data")
    one_line(
        command("examples.heart", "--data", str(tmp_path), "--out", str(out)), "processed.cleveland.data", "--data"
    )
    environment = {"AUTOGRAD_LITE_DATA": "", "XDG_CACHE_HOME": str(tmp_path)}
    one_line(command("examples.mnist_ann", "--out", str(out), **environment), "no MNIST here", "--download")


def test_damaged_data_gets_one_line_and_overwrites_nothing(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    (tmp_path / "result.json").write_text("of an earlier run")
    done = command("examples.mnist_ann", "--data", str(tmp_path), "--out", str(tmp_path))
    one_line(done, "train-images-idx3-ubyte.gz", "damaged or cut short", "Fetch")
    assert (tmp_path / "result.json").read_text() == "of an earlier run"


def test_a_folder_that_cannot_be_made_gets_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    one_line(command("examples.xor", "--out", str(tmp_path / "file" / "out")), "--out")


@pytest.mark.parametrize(
    ("option", "number", "least"),
    [("epochs", "0", 1), ("epochs", "-3", 1), ("epochs", "many", 1), ("epochs", "1.5", 1), ("seed", "-1", 0)],
)
def test_epochs_and_seeds_are_whole_numbers(option, number, least):
    done = command("examples.xor", f"--{option}={number}")
    assert done.returncode == 2
    assert f"{number!r} is no whole number from {least} up" in done.stderr


def test_all_documents_without_data_say_what_is_missing(tmp_path):
    environment = {"AUTOGRAD_LITE_DATA": "", "XDG_CACHE_HOME": str(tmp_path)}
    done = command("examples", "--quick", "--out", str(tmp_path / "out"), **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mnist_ann: no data: " in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["xor", "test", "accuracy", "at", "least", "100.00%", "1", "of", "1"] in [row[:9] for row in rows]
    kept = json.loads((tmp_path / "out" / "table.json").read_text())
    assert {each["document"] for each in kept["figures"]} == {"xor", "abs_sin", "iris"}
    assert all(each["reached"] for each in kept["figures"])
    assert "RIGHT" in (tmp_path / "out" / "xor" / "seed-0" / "log.txt").read_text()


def test_the_table_counts_every_seed_and_runs_none_twice(tmp_path, capsys, monkeypatch):
    ran = []

    def story(run: common.Run) -> None:
        ran.append(run.seed)
        run.require("accuracy", 0.9 - 0.1 * run.seed, at_least=0.75)
        run.require("error", [run.seed, run.seed + 1, run.seed + 7], at_most=3)

    document = common.Document("short", "Does it learn?", 1, 1, story, seeds=range(3))
    monkeypatch.setitem(sys.modules, "examples.short", types.SimpleNamespace(DOCUMENT=document))
    monkeypatch.setattr("examples.__main__.NAMES", ("short",))
    assert all_documents(["--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert all_documents(["--out", str(tmp_path), "--resume"]) == 1
    assert ran == [0, 1, 2]
    rows = [line.split("  ") for line in printed.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["short", "accuracy", "at least 75.00%", "2 of 3", "80.00%", "70.00%", "NO", "0 s"] in cells
    assert ["error", "at most 3", "6 of 9", "2", "9", "yes"] in cells
    kept = json.loads((tmp_path / "table.json").read_text())["figures"]
    assert kept[1]["values"] == [0, 1, 7, 1, 2, 8, 2, 3, 9]
    assert [each["reached"] for each in kept] == [False, True]
    all_documents(["--out", str(tmp_path), "--seed", "1"])
    assert ran[3:] == [1]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_saves_what_there_is(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.xor", "--epochs", "1000000", "--out", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == common.INTERRUPTED, stdout + stderr
    assert "Traceback" not in stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["interrupted"] is True
    assert 0 < len(result["history"]) < 1_000_000
    assert (tmp_path / "curve.png").exists()


def test_an_interrupted_run_resumes_to_the_last_bit(tmp_path, capsys, monkeypatch):
    from examples.xor import DOCUMENT

    def run(folder: Path, *more: str) -> int:
        return DOCUMENT.main(["--epochs", "40", "--out", str(folder), *more])

    run(tmp_path / "whole")
    tell = common.Run.tell

    def interrupting(self: common.Run, row: dict[str, float], part: str = "") -> None:
        tell(self, row, part)
        if row["epoch"] == 17:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(common.Run, "tell", interrupting)
    assert run(tmp_path / "parts") == common.INTERRUPTED
    result = json.loads((tmp_path / "parts" / "result.json").read_text())
    assert (result["interrupted"], len(result["history"])) == (True, 17)
    monkeypatch.undo()
    assert run(tmp_path / "parts", "--resume") == 0
    whole, parts = (nn.load(tmp_path / name / "last.npz") for name in ("whole", "parts"))
    assert len(json.loads((tmp_path / "parts" / "result.json").read_text())["history"]) == 40
    for part in ("model", "optimizer"):
        assert nn_equal(whole["parts"][part], parts["parts"][part])
    assert whole["random"] == parts["random"]


def nn_equal(a: object, b: object) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(nn_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(nn_equal, a, b))
    return bool(np.array_equal(a, b))


def test_a_checkpoint_that_does_not_fit_gets_one_line_and_stays(tmp_path, capsys):
    from examples.iris import DOCUMENT as IRIS
    from examples.xor import DOCUMENT

    out = ["--out", str(tmp_path), "--resume"]
    assert DOCUMENT.main([*out, "--epochs", "5"]) == 0
    whole = (tmp_path / "last.npz").read_bytes()

    def refused(document: common.Document, *arguments: str) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        capsys.readouterr()
        assert document.main([*out, *arguments]) == 2
        line = capsys.readouterr().err
        assert line.startswith("error: ")
        assert line.count("\n") == 1
        assert "--resume" in line
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        return line

    assert "seed 0, and this one has 1" in refused(DOCUMENT, "--seed", "1")
    (tmp_path / "last.npz").write_bytes(whole[:-40])
    assert "damaged" in refused(DOCUMENT)
    (tmp_path / "last.npz").write_bytes(whole)
    (tmp_path / "parts" / "fold-1").mkdir(parents=True)
    (tmp_path / "parts" / "fold-1" / "last.npz").write_bytes(whole)
    assert "model: Sequential there, Linear here" in refused(IRIS)
    state = nn.load(tmp_path / "last.npz")
    state["parts"]["model"]["0.weight"] = np.zeros((9, 3), np.float32)
    nn.save(state, tmp_path / "last.npz")
    assert "shape of 0.weight: (9, 3) given, (8, 3) needed" in refused(DOCUMENT)
    assert "--as-posted" in refused(DOCUMENT, "--as-posted")


def test_a_heart_file_with_too_few_patients_gets_one_line(tmp_path):
    line = ",".join(["1"] * 13)
    (tmp_path / "processed.cleveland.data").write_text("".join(f"{line},{d}\n" for d in (0, 0, 1, 0, 0, 0)))
    done = command("examples.heart", "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    one_line(done, "1 patients of one kind", "5 folds")
    assert not list((tmp_path / "out").iterdir())


def test_too_few_rows_for_a_batch_get_one_line(tmp_path):
    make_mnist(tmp_path, rows=14)
    one_line(
        command("examples.lenet", "--data", str(tmp_path), "--out", str(tmp_path / "out")),
        "batches of 32 rows", "only 14",
    )  # fmt: skip


def test_a_loss_that_is_no_number_ends_the_run_in_one_line(tmp_path, capsys):
    def story(run: common.Run) -> None:
        model = nn.Sequential(nn.Linear(1, 1, rng=run.rng))
        x = np.full((2, 1), np.inf, np.float32)
        with np.errstate(all="ignore"):
            run.train(model, nn.MSELoss(), nn.optim.SGD(model.parameters()), [(x, x)], [(x, x)])

    document = common.Document("short", "Does it learn?", 1, 1, story)
    assert document.main(["--out", str(tmp_path)]) == 1
    assert "batch itself holds a NaN" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missed_figure_is_said_and_exits_with_1(tmp_path, capsys):
    def story(run: common.Run) -> None:
        run.require("accuracy", 0.5, at_least=0.9)
        run.require("loss", float("nan"), at_most=1.0)
        run.log(0, loss=float("inf"))

    document = common.Document("short", "Does it learn?", 1, 1, story)
    assert document.main(["--out", str(tmp_path)]) == 1
    assert "MISSED   accuracy 50.00%, required at least 90.00%" in capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["reached"] is False
    assert result["history"][0]["loss"] == "inf"
    assert [figure["reached"] for figure in result["figures"]] == [False, False]
    assert (
        document.main(["--out", str(tmp_path), "--epochs", "1"]) == 0
    )  # the user's own number of epochs is not judged


def test_finite_keeps_everything_that_json_holds():
    plain = {"a": [1, 2.5, "x", None, True], "b": {"c": np.inf}}
    assert common.finite(plain) == {"a": [1, 2.5, "x", None, True], "b": {"c": "inf"}}
