"""nn.fit: resume to the last bit, the files it writes, how it stops."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
import nn.run_files

RNG = np.random.default_rng(0)
X = RNG.standard_normal((22, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
EPOCHS, BATCHES = 3, 6


def all_parts(seed: int, kind: str = "OneCycleLR") -> dict[str, Any]:
    """A run with everything that has a state: two random generators, running statistics, moments, a schedule."""
    nn.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3, rng=np.random.default_rng(seed)),
        nn.Dropout(0.1), nn.Linear(8, 2),
    )  # fmt: skip
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    schedules = nn.optim.lr_scheduler
    if kind == "OneCycleLR":
        scheduler: Any = schedules.OneCycleLR(optimizer, 0.05, total_steps=EPOCHS * BATCHES)
    elif kind == "StepLR":
        scheduler = schedules.StepLR(optimizer, 1, 0.5)
    else:
        scheduler = schedules.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0)
    return {
        "model": model,
        "loss_fn": nn.CrossEntropyLoss(),
        "optimizer": optimizer,
        "train": nn.DataLoader(X, Y, batch_size=4, shuffle=True),
        "valid": nn.DataLoader(X, Y, batch_size=8),
        "metrics": [nn.accuracy],
        "scheduler": scheduler,
        "callbacks": [nn.EarlyStopping(patience=50)],
        "epochs": EPOCHS,
    }


class Interrupting(nn.Module):
    """A loss in whose n-th call Ctrl-C is pressed."""

    def __init__(self, call: int) -> None:
        self.loss = nn.CrossEntropyLoss()
        self.left = call

    def forward(self, x: Any, y: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return self.loss(x, y)


class InterruptingLoader:
    """Batches before whose n-th Ctrl-C is pressed."""

    def __init__(self, batches: Any, call: int) -> None:
        self.batches, self.left = batches, call

    def __iter__(self) -> Any:
        for batch in self.batches:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch


def figures(history: Any) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


class Noisy:
    """Batches that are changed at random, by a generator of their own, as another loader hands them out."""

    def __init__(self, batches: Any, seed: int) -> None:
        self.batches, self.noise = batches, np.random.default_rng(seed)

    def __iter__(self) -> Any:
        for x, y in self.batches:
            yield x + self.noise.normal(0, 0.1, x.shape).astype(np.float32), y


@pytest.mark.parametrize("kind", ["OneCycleLR", "StepLR", "ReduceLROnPlateau", "compiled", "wrapped"])
def test_resume_is_exact_from_every_batch_boundary(
    tmp_path: Path, kind: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.run_files, "curve_png", lambda rows: None)  # a picture takes longer than the run

    def parts(seed: int, kind: str) -> dict[str, Any]:
        run = all_parts(seed, kind)
        if kind == "wrapped":
            run["train"] = Noisy(nn.DataLoader(X, Y, batch_size=4, shuffle=True), seed)
        return run | {"compile": kind == "compiled"}

    whole = parts(1, kind)
    wanted = nn.fit(**whole)
    state = whole["model"].state_dict()
    calls = EPOCHS * (BATCHES if kind == "compiled" else BATCHES + 3)  # three validation batches call the loss too
    for call in range(1, calls + 1, 1 if kind in ("OneCycleLR", "compiled") else 4):
        folder = tmp_path / str(call)
        first = parts(1, kind)
        if kind == "compiled":  # whose loss is traced, not called
            first["train"] = InterruptingLoader(first["train"], call)
        else:
            first["loss_fn"] = Interrupting(call)
        history = nn.fit(**first, out=folder)
        assert history.interrupted
        again = parts(2, kind)  # another beginning, all of which the checkpoint replaces
        history = nn.fit(**again, out=folder, resume=True)
        assert not history.interrupted
        assert figures(history) == figures(wanted)
        for name, value in again["model"].state_dict().items():
            assert (value == state[name]).all(), f"{name} after an interruption in call {call}"
    assert "resume=True" in capsys.readouterr().out


def test_interruption_leaves_the_signal_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    nn.fit(**all_parts(0) | {"loss_fn": Interrupting(2)})
    assert signal.getsignal(signal.SIGINT) is before


def test_files(tmp_path: Path) -> None:
    run = all_parts(3)
    history = nn.fit(**run, out=tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["best.npz", "curve.png", "history.csv", "last.npz"]
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,valid_loss,valid_accuracy,lr,seconds"
    assert len(lines) == EPOCHS + 1
    assert float(lines[2].split(",")[2]) == history["valid_loss"][1]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    run["model"].load_state_dict(nn.load(tmp_path / "best.npz"))
    again = nn.evaluate(run["model"], run["loss_fn"], run["valid"])
    assert again["loss"] == min(history["valid_loss"]) == history["valid_loss"][history.best_epoch - 1]


def test_it_learns_and_more_epochs_continue(tmp_path: Path) -> None:
    run = all_parts(4, "StepLR") | {"scheduler": None}
    run |= {"model": nn.Sequential(nn.Linear(3, 2)), "callbacks": ()}
    run["optimizer"] = nn.optim.Adam(run["model"].parameters(), lr=0.1)
    nn.fit(**run | {"epochs": 2}, out=tmp_path)
    history = nn.fit(**run | {"epochs": 20}, out=tmp_path, resume=True)
    assert history["epoch"] == list(range(1, 21))
    assert history["valid_accuracy"][-1] > 0.9


def test_the_mean_loss_counts_rows_and_metrics_need_no_validation() -> None:
    model = nn.Linear(1, 1, dtype=np.float64)
    x, y = np.ones((5, 1)), np.zeros((5, 1))
    y[4] = 9
    optimizer = nn.optim.SGD(model.parameters(), lr=0.0)

    def error(prediction: Any, target: Any) -> Any:
        return np.abs(prediction - target).mean()

    history = nn.fit(model, nn.MSELoss(), optimizer, nn.DataLoader(x, y, batch_size=4), metrics=[error])
    value = float(model(x[:1]).item())
    assert history["loss"][0] == pytest.approx(np.mean((value - y) ** 2))
    assert history["error"][0] == pytest.approx(np.mean(np.abs(value - y)))
    assert model.training


def test_early_stopping() -> None:
    model = nn.Linear(1, 1)
    run = (model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.0), [(X[:, :1], X[:, :1])])
    history = nn.fit(*run, epochs=50, callbacks=[nn.EarlyStopping(patience=3)])
    assert len(history) == 4
    assert history.stopped
    with pytest.raises(ValueError, match="no column 'auc'"):
        nn.fit(*run, callbacks=[nn.EarlyStopping(monitor="auc")])


def test_early_stopping_counts_on_after_a_resume(tmp_path: Path) -> None:
    def run(epochs: int, resume: bool = False) -> Any:
        model = nn.Linear(1, 1)
        optimizer = nn.optim.SGD(model.parameters(), lr=0.0)
        data = [(X[:, :1], X[:, :1])]
        stop = nn.EarlyStopping(patience=3)
        return nn.fit(
            model, nn.MSELoss(), optimizer, data, epochs=epochs, callbacks=[stop], out=tmp_path, resume=resume
        )

    assert not run(3).stopped
    history = run(50, resume=True)
    assert (len(history), history.stopped) == (4, True)
    assert len(run(50, resume=True)) == 4  # what has stopped stays stopped


def test_callbacks_are_given_the_state_of_the_run(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Watch:
        def on_batch(self, run: Any) -> None:
            gradients = [p.grad for p in run.model.parameters()]
            assert all(np.abs(g).sum() > 0 for g in gradients if g is not None)
            seen.append(("batch", run.epoch, run.batch, run.step, run.loss))

        def __call__(self, run: Any) -> bool:
            assert run.model is parts["model"]
            assert run.optimizer is parts["optimizer"]
            assert run.out == tmp_path
            seen.append(("epoch", run.epoch, run.step, run.history.rows[-1]["loss"]))
            return run.epoch == 2

    parts = all_parts(0, "StepLR") | {"callbacks": [Watch()], "epochs": 5}
    history = nn.fit(**parts, out=tmp_path)
    assert history.stopped
    epochs = [each for each in seen if each[0] == "epoch"]
    assert epochs == [("epoch", 1, 6, history["loss"][0]), ("epoch", 2, 12, history["loss"][1])]
    batches = [each for each in seen if each[0] == "batch"]
    assert [each[1:4] for each in batches] == [(k // 6, k % 6 + 1, k + 1) for k in range(12)]
    losses, rows = [each[4] for each in batches[:6]], [4, 4, 4, 4, 4, 2]
    assert np.average(losses, weights=rows) == pytest.approx(history["loss"][0])


def test_checkpoints_are_written_while_it_runs_and_what_is_best_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.run_files, "PAUSE", 0.0)
    found = []

    def look(run: Any) -> None:
        if run.epoch > 1:
            found.append((nn.load(tmp_path / "last.npz")["epoch"], (tmp_path / "best.npz").exists()))

    nn.fit(**all_parts(0) | {"callbacks": [look]}, out=tmp_path)
    assert found == [(1, True), (2, True)]


@pytest.mark.parametrize("name", ["last.npz", "history.csv", "best.npz"])
def test_a_crash_while_writing_leaves_the_files_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    first = all_parts(0) | {"epochs": 1}
    nn.fit(**first, out=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = os.replace

    def fails(source: Any, target: Any) -> None:
        if Path(target).name == name:
            raise OSError("the disk is full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="full"):
        nn.fit(**all_parts(0) | {"epochs": 2}, out=tmp_path, resume=True)
    assert (tmp_path / name).read_bytes() == before[name]
    assert {path.name for path in tmp_path.iterdir()} == before.keys()  # and nothing half-written beside them
    monkeypatch.undo()
    assert len(nn.fit(**all_parts(0), out=tmp_path, resume=True)) == EPOCHS


def test_a_run_that_is_complete_resumes_to_itself(tmp_path: Path) -> None:
    wanted = nn.fit(**all_parts(1), out=tmp_path)
    again = all_parts(2)
    history = nn.fit(**again, out=tmp_path, resume=True)
    assert history.rows == wanted.rows


class TestNonFinite:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_compiled_too(self, value: float, tmp_path: Path) -> None:
        model = nn.Linear(1, 1, dtype=np.float64)
        before = model.weight.data.copy()
        x = np.ones((2, 1))
        batches = [(x, x), (x * value, x)]
        optimizer = nn.optim.SGD(model.parameters(), lr=0.0)
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="batch 2: the batch itself"):
            nn.fit(model, nn.MSELoss(), optimizer, batches, compile=True, out=tmp_path)
        assert (model.weight.data == before).all()
        assert not (tmp_path / "last.npz").exists()

    def test_the_operation_is_named_and_nothing_is_spoilt(self) -> None:
        class Model(nn.Module):
            def __init__(self) -> None:
                self.w = nn.Parameter([1.0, -1.0])

            def forward(self, x: Any) -> Any:
                return np.log(x * self.w)

        model = Model()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
        x = np.array([[1.0, 0.5]])
        with (
            np.errstate(invalid="ignore"),
            pytest.raises(FloatingPointError, match=r"loss is nan in epoch 1, batch 1: np\.log gives nan"),
        ):
            nn.fit(model, nn.MSELoss(), optimizer, [(x, x)])
        assert model.w.data.tolist() == [1, -1]

    def test_a_spoilt_parameter_or_batch_is_named(self) -> None:
        model = nn.Linear(1, 1)
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
        x = np.full((2, 1), np.inf, np.float32)
        with np.errstate(all="ignore"):
            with pytest.raises(FloatingPointError, match="batch itself"):
                nn.fit(model, nn.MSELoss(), optimizer, [(x, np.zeros_like(x))])
            model.weight.data = [[math.inf]]
            with pytest.raises(FloatingPointError, match="weight is no longer finite. It was so when"):
                nn.fit(model, nn.MSELoss(), optimizer, [(np.ones_like(x), np.zeros_like(x))])

    @pytest.mark.parametrize("epochs", [1, 3])
    @pytest.mark.parametrize("compiled", [False, True])
    def test_a_gradient_that_spoilt_a_parameter_is_found_in_the_steps_before(self, compiled: bool, epochs: int) -> None:
        class Model(nn.Module):
            def __init__(self) -> None:
                self.w = nn.Parameter(np.array([2.0]))
                self.noise = nn.Dropout(0.5, rng=np.random.default_rng(0))

            def forward(self, x: Any) -> Any:
                return np.sqrt(np.abs(self.noise(x) * self.w + x))

        model = Model()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        ones = np.ones((3, 1))
        batches = [(ones, ones), (2 * ones, ones), (0 * ones, ones), (ones, ones), (ones, ones)]
        words = (
            r"epoch 1, batch 4: the parameter w is no longer finite\. In the step of batch 3, .*gradient of np\.sqrt"
        )
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=words):
            nn.fit(model, nn.MSELoss(), optimizer, batches, compile=compiled, epochs=epochs)
        assert np.isfinite(model.w.data).all()  # as it was before that step

    def test_an_update_that_overflows_is_told_from_a_bad_gradient(self) -> None:
        model = nn.Linear(1, 1)
        optimizer = nn.optim.SGD(model.parameters(), lr=3e38)
        x = np.full((2, 1), 100, np.float32)
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="All gradients were finite"):
            nn.fit(model, nn.MSELoss(), optimizer, [(x, 0 * x)], epochs=3)


class TestBadInput:
    def test_calls(self, tmp_path: Path) -> None:
        run = all_parts(0)
        with pytest.raises(ValueError, match="out="):
            nn.fit(**run, resume=True)
        with pytest.raises(ValueError, match="no batches"):
            nn.fit(**run | {"train": []})
        with pytest.raises(ValueError, match="only once"):
            nn.fit(**run | {"train": iter([])})

    def test_checkpoints_of_other_runs_change_nothing(self, tmp_path: Path) -> None:
        nn.fit(**all_parts(0), out=tmp_path)
        kept = (tmp_path / "last.npz").read_bytes()
        other = all_parts(1) | {"model": nn.Linear(3, 2)}
        with pytest.raises((ValueError, RuntimeError)):
            nn.fit(**other, out=tmp_path, resume=True)
        with pytest.raises(ValueError, match="scheduler: OneCycleLR there, none here"):
            nn.fit(**all_parts(1) | {"scheduler": None}, out=tmp_path, resume=True)
        assert (tmp_path / "last.npz").read_bytes() == kept
        (tmp_path / "last.npz").write_bytes(kept[:-30])
        with pytest.raises(ValueError, match="damaged"):
            nn.fit(**all_parts(0), out=tmp_path, resume=True)
        (tmp_path / "last.npz").write_bytes(kept)
        again = all_parts(1)
        again["optimizer"] = nn.optim.AdamW(again["model"].parameters())
        again["scheduler"] = nn.optim.lr_scheduler.OneCycleLR(again["optimizer"], 0.05, total_steps=50)
        before = again["model"].state_dict()
        with pytest.raises(ValueError, match="optimizer: Adam there, AdamW here"):
            nn.fit(**again, out=tmp_path, resume=True)
        state = nn.load(tmp_path / "last.npz")
        state["parts"]["optimizer"]["state"] = {0: {"exp_avg": np.ones(99)}}
        nn.save(state, tmp_path / "last.npz")
        with pytest.raises(ValueError, match="nothing was changed: .*exp_avg"):
            nn.fit(**again | {"optimizer": nn.optim.Adam(again["model"].parameters())}, out=tmp_path, resume=True)
        for name, value in again["model"].state_dict().items():
            assert (value == before[name]).all(), name
        nn.save({"w": np.ones(1)}, tmp_path / "last.npz")
        with pytest.raises(ValueError, match="holds no run"):
            nn.fit(**all_parts(0), out=tmp_path, resume=True)


@pytest.mark.parametrize("data", [(X, Y), [X, Y], X, (nn.Parameter(X), Y)], ids=["pair", "list", "array", "tensor"])
def test_arrays_in_place_of_batches_are_refused_with_the_remedy(data: Any) -> None:
    model = nn.Linear(3, 2)
    optimizer, loss = nn.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    for call in (
        lambda: nn.fit(model, loss, optimizer, data),
        lambda: nn.fit(model, loss, optimizer, [(X, Y)], valid=data),
        lambda: nn.evaluate(model, loss, data),
    ):
        with pytest.raises(TypeError, match=r"^(fit|evaluate): .*nn\.DataLoader\(x, y"):
            call()
    assert len(nn.fit(model, loss, optimizer, [(X, Y)])) == 1


def test_a_model_that_is_no_module_is_refused_with_the_remedy() -> None:
    W = nn.Parameter(np.zeros((3, 2)))
    model: Any = lambda x: x @ W
    with pytest.raises(TypeError, match=r"^fit: the model must be an nn\.Module.*not function.*nn\.TrainStep\("):
        nn.fit(model, nn.CrossEntropyLoss(), nn.optim.SGD([W], lr=0.1), [(X, Y)])
