"""nn.TrainingCharts: it keeps what NumPy and the model say, the training does not notice, the files are whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from nn.chart_files import sections
from nn.charts import BINS, histogram

from ..test_drawing_page import browsed

RNG = np.random.default_rng(3)
X = RNG.normal(size=(64, 5)).astype(np.float32)
Y = RNG.integers(0, 3, size=64)


def network(dropout: float = 0.0) -> nn.Module:
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(5, 6, rng=rng), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, 3, rng=rng)
    )


def trained(charts: Any, epochs: int = 3, lr: float = 0.05, model: Any = None, **more: Any) -> tuple[nn.Module, Any]:
    generator = nn.manual_seed(0)
    model = network() if model is None else model
    optimizer = nn.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    train = nn.DataLoader(X, Y, batch_size=16, shuffle=True, rng=generator)
    callbacks = [charts, *more.pop("callbacks", ())] if charts is not None else []
    return model, nn.fit(model, nn.CrossEntropyLoss(), optimizer, train, epochs=epochs, callbacks=callbacks, **more)


# ---- what is kept ----


def test_a_histogram_is_numpys() -> None:
    values = RNG.normal(size=500)
    low, high, zeros, bad, *counts = histogram(values)
    assert (low, high, zeros, bad) == (values.min(), values.max(), 0, 0)
    assert counts == np.histogram(values, BINS)[0].tolist()


def test_a_histogram_of_sizes_leaves_out_zeros_and_tells_what_is_not_finite() -> None:
    low, high, zeros, bad, *counts = histogram(np.array([0.0, -1e-3, 1e2, 1e2, np.nan, np.inf, 0, 0]), logarithmic=True)
    assert (low, high, zeros, bad) == (pytest.approx(-3), 2, 3 / 8, 2 / 8)
    assert (counts[0], counts[-1], sum(counts)) == (1, 2, 3)


@pytest.mark.parametrize("values", [[], [2.0, 2.0], [np.nan]])
def test_a_histogram_of_hardly_anything(values: list[float]) -> None:
    assert sum(histogram(np.array(values))[4:]) == np.isfinite(values).sum()


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_and_weights_are_those_of_the_step(compiled: bool) -> None:
    seen = []

    class Witness:
        def __call__(self, run: Any) -> None:
            pass

        def on_batch(self, run: Any) -> None:
            gradients = [np.concatenate([run.model[at].weight.grad.ravel(), run.model[at].bias.grad]) for at in (0, 4)]
            weights = [np.concatenate([run.model[at].weight.data.ravel(), run.model[at].bias.data]) for at in (0, 4)]
            seen.append((gradients, weights))

    charts = nn.TrainingCharts(every=1, png=False)
    trained(charts, epochs=2, compile=compiled, callbacks=[Witness()])
    assert charts.layers == ["0", "1", "4"]
    assert len(charts.seen) == len(seen) == 8
    for look, (gradients, weights) in zip(charts.seen, seen, strict=True):
        for at, layer in enumerate((0, 2)):
            logs = np.log10(np.abs(gradients[at][gradients[at] != 0].astype(np.float64)))
            np.testing.assert_allclose(look["gradients"][layer][:2], [logs.min(), logs.max()])
            assert look["gradients"][layer][4:].tolist() == np.histogram(logs, BINS)[0].tolist()
            np.testing.assert_allclose(
                look["weights"][layer], np.quantile(weights[at], [0, 0.05, 0.5, 0.95, 1]), rtol=1e-6
            )


def test_activations_are_what_a_layer_hands_on_to_the_next() -> None:
    charts = nn.TrainingCharts(example=(X, Y), every=1, png=False)
    model, _ = trained(charts, epochs=1, lr=0.0)
    model.eval()
    first = np.asarray(model[0](X).data)
    hidden = np.asarray(model[3](model[2](model[1](model[0](X)))).data)
    scores = np.asarray(model(X).data)
    for layer, wanted in enumerate((first, hidden, scores)):
        found = charts.seen[-1]["activations"][layer]
        np.testing.assert_allclose(found[:2], [wanted.min(), wanted.max()], rtol=1e-5)
        assert found[4:].sum() == wanted.size


def test_a_large_layer_is_looked_at_by_sample_and_its_extremes_are_right() -> None:
    charts = nn.TrainingCharts(every=1, png=False)
    model = nn.Sequential(
        nn.Linear(5, 6000, rng=np.random.default_rng(0)), nn.Linear(6000, 3, rng=np.random.default_rng(0))
    )
    model[0].weight.data[17, 3] = 9.0
    trained(charts, epochs=1, lr=0.0, model=model)
    look = charts.seen[-1]
    weights = np.concatenate([model[0].weight.data.ravel(), model[0].bias.data])
    assert (look["weights"][0][0], look["weights"][0][-1]) == (weights.min(), 9.0)
    assert abs(look["weights"][0][2] - np.median(weights)) < 0.02
    assert 3_500 < look["gradients"][0][4:].sum() <= 4_002


def test_parameters_of_the_model_itself_are_layers_of_their_own() -> None:
    class Formulas(nn.Module):
        def __init__(self) -> None:
            self.W1 = nn.Parameter(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
            self.W2 = nn.Parameter(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))

        def forward(self, x: Any) -> Any:
            return np.tanh(x @ self.W1) @ self.W2

    charts = nn.TrainingCharts(example=(X, Y), every=1, png=False)
    model, _ = trained(charts, epochs=1, lr=0.0, model=Formulas())
    assert charts.layers == ["W1", "W2"]
    handed = np.tanh(X @ model.W1.data)
    np.testing.assert_allclose(charts.seen[0]["activations"][0][:2], [handed.min(), handed.max()], rtol=1e-5)


# ---- when it looks, and that nobody notices ----


def test_it_looks_half_as_often_when_it_has_many_looks() -> None:
    charts = nn.TrainingCharts(every=2, looks=6, png=False)
    trained(charts, epochs=15)  # 60 steps
    steps = [look["step"] for look in charts.seen]
    assert steps == [1, 16, 32, 48]
    assert charts.every == 16


def test_the_training_is_not_changed_by_a_bit() -> None:
    with_charts, _ = trained(nn.TrainingCharts(example=(X, Y), every=1, png=False), model=network(0.3))
    without, _ = trained(None, model=network(0.3))
    for name, each in with_charts.state_dict().items():
        assert each.tobytes() == without.state_dict()[name].tobytes(), name
    assert all(module.training for module in with_charts.modules())


def test_a_resumed_training_has_seen_what_a_whole_one_has(tmp_path: Path) -> None:
    def charts() -> nn.TrainingCharts:
        return nn.TrainingCharts(example=(X, Y), every=2, looks=5, png=False)

    whole, first, second = charts(), charts(), charts()
    trained(whole, epochs=6, out=tmp_path / "whole")
    trained(first, epochs=3, out=tmp_path / "parts")
    trained(second, epochs=6, out=tmp_path / "parts", resume=True)
    assert [look["step"] for look in second.seen] == [look["step"] for look in whole.seen]
    assert second.ends == whole.ends
    for found, wanted in zip(second.seen, whole.seen, strict=True):
        for name in ("gradients", "weights", "activations", "values"):
            np.testing.assert_array_equal(found[name], wanted[name])


# ---- the files ----


def data(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    start = text.index('type="application/json">') + len('type="application/json">')
    return json.loads(text[start : text.index("</script>", start)])


def test_the_page_joins_the_graph_the_slider_and_the_charts(tmp_path: Path) -> None:
    charts = nn.TrainingCharts(example=(X, Y), every=1, png=False)
    valid = [(X, Y)]
    trained(charts, out=tmp_path, valid=valid, metrics=[nn.accuracy])
    shown = data(tmp_path / "training.html")
    assert [each["name"] for each in shown["steps"]] == [str(look["step"]) for look in charts.seen]
    weight = next(each for each in charts.graph.program.captured if each.label == "4.weight")
    last = shown["steps"][-1]["boxes"][weight.name]
    assert last["value"].startswith(
        f"{charts.seen[-1]['values'][list(charts.graph.notes.values).index(weight)][0]:.3g}".replace(
            "-", "\N{MINUS SIGN}"
        )
    )
    assert "gradient" in last
    curves, gradients, activations, weights = shown["sections"]
    assert [each["title"] for each in curves["charts"]] == ["loss", "accuracy"]
    assert curves["charts"][0]["lines"][1]["x"] == [4, 8, 12]
    assert [each["title"] for each in gradients["charts"]] == ["0", "1", "4"]
    assert all(abs(sum(cells) - 1) < 0.01 for each in activations["charts"] for cells in each["cells"])
    assert {each["kind"] for each in weights["charts"]} == {"bands"}
    assert not (tmp_path / "training.png").exists()


def test_without_an_example_there_are_charts_alone(tmp_path: Path) -> None:
    trained(nn.TrainingCharts(every=1, png=False), out=tmp_path)
    shown = data(tmp_path / "training.html")
    assert shown["views"] == shown["steps"] == []
    assert len(shown["sections"]) == 3


def test_the_png_is_a_picture_of_all_charts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="NOT TESTED: matplotlib is not installed")
    charts = nn.TrainingCharts(example=(X, Y), every=1)
    trained(charts, out=tmp_path)
    content = (tmp_path / "training.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    assert width > height > 400
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_histograms_with_ends_of_their_own_lie_on_common_bins() -> None:
    charts = nn.TrainingCharts(every=1, png=False)
    trained(charts, epochs=1)
    for look, scale in zip(charts.seen, (1.0, 2.0, 3.0, 4.0), strict=True):
        look["gradients"] = np.array([histogram(np.linspace(0, scale, 1000))] * 3)
    chart = sections(charts)[1]["charts"][0]
    assert (chart["low"], chart["high"]) == (0, 4)
    for cells, scale in zip(chart["cells"], (1.0, 2.0, 3.0, 4.0), strict=True):
        wide = int(BINS * scale / 4)
        np.testing.assert_allclose(cells, [1 / wide] * wide + [0] * (BINS - wide), atol=2e-3)


def test_a_training_that_fails_or_is_stopped_leaves_its_charts(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="fit"), np.errstate(all="ignore"):
        trained(nn.TrainingCharts(example=(X, Y), every=1, png=False), lr=1e38, out=tmp_path, model=nn.Linear(5, 3))
    assert data(tmp_path / "training.html")["sections"][0]["charts"][0]["title"] == "loss"


def test_what_cannot_be_drawn_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    charts = nn.TrainingCharts(png=False)
    with pytest.raises(ValueError, match="nothing has been seen"):
        charts.save(tmp_path / "x.html")
    trained(charts, epochs=1)
    with pytest.raises(ValueError, match=r"\.html or \.png"):
        charts.save(tmp_path / "x.gif")
    with pytest.raises(ValueError, match="every=0"):
        nn.TrainingCharts(every=0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "autograd-lite\[examples\]"'):
        nn.TrainingCharts()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "autograd-lite\[examples\]"'):
        charts.save(tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


PROBE = """
const out = {};
const fire = (element, kind, x, y) =>
  element.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX: x, clientY: y }));
const figures = [...document.querySelectorAll("figure")], notes = at => figures[at].querySelector("span").textContent;
const painted = at => figures[at].querySelector("canvas").toDataURL();
out.figures = figures.map(each => each.querySelector("b").textContent);
out.step = document.querySelector("#steps output").textContent;
out.note = notes(0);
const before = painted(1), end = figures[1].querySelector("canvas").getBoundingClientRect();
fire(figures[1], "click", end.right - 2, end.top + 20);
out.later = document.querySelector("#steps output").textContent;
out.laterNote = notes(0);
out.repainted = painted(1) !== before;
fire(figures[0], "mousemove", figures[0].querySelector("canvas").getBoundingClientRect().left + 45, 100);
out.pointed = notes(0);
fire(figures[0], "mouseleave", 0, 0);
out.left = notes(0);
"""


def test_in_a_browser_a_click_on_a_chart_goes_to_the_step(tmp_path: Path) -> None:
    charts = nn.TrainingCharts(example=(X, Y), every=1, png=False)
    trained(charts)
    charts.save(tmp_path / "training.html")
    seen = browsed((tmp_path / "training.html").read_text(encoding="utf-8"), PROBE, tmp_path)
    assert seen["figures"] == ["loss", "0", "1", "4", "0", "1", "4", "0", "1", "4"]
    assert (seen["step"], seen["later"]) == ("1", "12")
    assert seen["note"] == seen["pointed"] != seen["laterNote"] == seen["left"]
    assert f"batch {charts.seen[0]['loss']:.3g}" in seen["note"]
    assert f"batch {charts.seen[-1]['loss']:.3g}" in seen["laterNote"]
    assert seen["repainted"]
    assert seen["requests"] == set()
