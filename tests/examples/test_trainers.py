"""The trainers as people run them: what they print, what they write, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from examples import common
from examples.__main__ import NAMES

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
    assert {path.name for path in tmp_path.iterdir()} >= {"result.json", "curve.png", "graph.svg"}
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


@pytest.mark.parametrize("seed", range(20))
def test_xor_is_solved_from_every_seed(seed, tmp_path, capsys):
    from examples.xor import DOCUMENT

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


@pytest.mark.parametrize("epochs", ["0", "-3", "many", "1.5"])
def test_epochs_must_be_a_whole_number(epochs):
    done = command("examples.xor", f"--epochs={epochs}")
    assert done.returncode == 2
    assert f"{epochs!r} is no whole number from 1 up" in done.stderr


def test_all_documents_without_data_say_what_is_missing(tmp_path):
    environment = {"AUTOGRAD_LITE_DATA": "", "XDG_CACHE_HOME": str(tmp_path)}
    done = command("examples", "--quick", "--out", str(tmp_path / "out"), **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.splitlines()[-20:]
    assert any(line.startswith("mnist_ann") and "no data" in line for line in table)
    assert any(line.startswith("xor") and "reached" in line and "100.00%" in line for line in table)


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


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    common.write(path, b"first")

    def fails(source: object, target: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="full"):
        common.write(path, b"second")
    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


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
