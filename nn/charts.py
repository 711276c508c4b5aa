"""TrainingCharts: a callback of nn.fit that draws how the training went, as PNG and as one HTML page.

    charts = nn.TrainingCharts(example=(x[:64], y[:64]))
    nn.fit(model, loss_fn, optimizer, train, epochs=5, out="runs/first", callbacks=[charts])

The folder then holds training.png and training.html: losses and accuracies, the gradients, activations and weights of
each layer over time; the page joins them to the computation graph, with a slider over the steps that were looked at.

Read next: `chart_files.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import autograd_lite as ag

from .modules import Module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autograd_lite.drawing import Graph
    from autograd_lite.program import Operation, Program, Variable
    from autograd_lite.statistics import Statistics

    from .run_state import RunState

Array: TypeAlias = np.ndarray[Any, Any]
Look: TypeAlias = dict[str, Any]

BINS = 32  # of a histogram
SAMPLE = 4_000  # entries: of a larger layer so many are looked at, always the same ones
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
PERIOD = 60  # seconds after which a training that goes on has its files written anew


class TrainingCharts:
    """A callback of `nn.fit` that looks at the training every so many steps and draws what it saw.

    Of every layer it keeps the histogram of log10 |gradient|, of the activations that the layer hands on to the next
    one, and quantiles of its weights. `example` is a batch (x, y) from which activations and the graph's values are
    computed, in eval mode; without it there are only gradients, weights and the curves. It looks at the first step and
    at each `every`-th; when it has more than `looks` of them it forgets every other one and looks half as often, so
    the cost and the files stay small however long the training is. The training itself is not changed by a bit.

    The folder `out` of the training receives training.html, and with `png` training.png; `save` writes them elsewhere.
    Raises ImportError for png=True without matplotlib; at the first look RuntimeError without a renderer of graphs.

    >>> import numpy as np, nn, tempfile, os
    >>> generator = nn.manual_seed(0)
    >>> model, x = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)), np.ones((8, 1), np.float32)
    >>> charts = nn.TrainingCharts(example=(x, 2 * x), every=1, png=False)
    >>> optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    >>> history = nn.fit(model, nn.MSELoss(), optimizer, [(x, 2 * x)], epochs=5, callbacks=[charts])
    >>> charts.layers, [look["step"] for look in charts.seen]
    (['0', '2'], [1, 2, 3, 4, 5])
    """

    def __init__(
        self, example: tuple[Any, Any] | None = None, every: int = 10, looks: int = 40, png: bool = True
    ) -> None:
        if every < 1 or looks < 2:
            raise ValueError(f"TrainingCharts: every={every} and looks={looks}: at least 1 and 2 are needed.")
        from importlib.util import find_spec  # a dear import that training does without

        if png and find_spec("matplotlib") is None:
            raise ImportError(
                'TrainingCharts: a PNG needs matplotlib: pip install "autograd-lite[examples]". With png=False there '
                "is the HTML page alone, which does without."
            )
        self.example = example
        self.every = every
        self.looks = looks
        self.png = png
        self.layers: list[str] = []
        self.seen: list[Look] = []
        self.rows: list[dict[str, float]] = []
        self.ends: list[int] = []
        self.graph: Graph | None = None
        self._handed_on: list[Variable | None] = []
        self._chosen: dict[str, Array] = {}
        self._written = time.monotonic()

    # ---- what fit calls ----------------------------------------------------------------------------------------------

    def on_batch(self, run: RunState) -> None:
        """Look at the training, if it is time."""
        if run.step == 1 or run.step % self.every == 0:
            self._look(run)

    def __call__(self, run: RunState) -> None:
        """Note the end of an epoch."""
        self.rows = run.history.rows
        self.ends.append(run.step)
        if run.out is not None and time.monotonic() - self._written > PERIOD:
            self.on_end(run)

    def on_end(self, run: RunState) -> None:
        """Write the files, also of a training that was interrupted or failed."""
        if run.out is None or not self.seen:
            return
        self.save(run.out / "training.html")
        if self.png:
            self.save(run.out / "training.png")
        self._written = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far."""
        return {"every": self.every, "seen": list(self.seen), "ends": list(self.ends)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state_dict."""
        self.every = int(state_dict["every"])
        self.seen, self.ends = list(state_dict["seen"]), [int(each) for each in state_dict["ends"]]

    def save(self, path: str | Path) -> None:
        """Write what was seen so far to a file whose name ends in .html or .png; it appears complete or not at all.

        Raises ValueError for another ending, or before the first look; ImportError for a PNG without matplotlib.
        """
        from .chart_files import write_charts  # it is needed when there is something to write

        write_charts(self, Path(path))

    # ---- looking -----------------------------------------------------------------------------------------------------

    def _look(self, run: RunState) -> None:
        parameters = _by_layer(run.model)
        self.layers = list(parameters)
        look: Look = {"step": run.step, "loss": run.loss, "gradients": [], "weights": [], "activations": []}
        for layer, members in parameters.items():
            gradients = [each.grad for each in members if each.grad is not None]
            look["gradients"].append(histogram(self._some(f"{layer} gradient", gradients), logarithmic=True))
            look["weights"].append(_quantiles(self._some(layer, [each.data for each in members])))
        if self.example is not None:
            self._look_inside(run, look)
        self.seen.append({name: np.array(each) if isinstance(each, list) else each for name, each in look.items()})
        if len(self.seen) > self.looks:
            self.every *= 2
            self.seen = [each for each in self.seen if each["step"] == 1 or each["step"] % self.every == 0]

    def _look_inside(self, run: RunState, look: Look) -> None:
        """The activations of the example and what the graph's slider shows."""
        from autograd_lite.statistics import statistics, values

        graph = self.graph or self._drawn(run)
        found = values(graph.program, self.example or ())
        for layer, variable in zip(self.layers, self._handed_on, strict=True):
            handed = [] if variable is None else [found[variable]]
            look["activations"].append(histogram(self._some(f"{layer} activation", handed)))
        with np.errstate(all="ignore"):
            look["values"] = np.array([_row(statistics(each)) for each in found.values()])

    def _drawn(self, run: RunState) -> Graph:
        """The graph of the loss on the example, and which value each layer hands on."""

        model, loss_fn = run.model, run.loss_fn

        def loss(x: Any, y: Any) -> Any:
            return loss_fn(model(x), y)

        loss.named_parameters, loss.named_buffers = model.named_parameters, model.named_buffers  # type: ignore[attr-defined]  # what the picture calls them
        with _evaluating(run.model):
            self.graph = ag.draw(loss, *(self.example or ()), backward=True)
        self.graph.svg()  # where it cannot be rendered, that is said at once and not after the training
        self._handed_on = _handed_on(self.graph.program, _by_layer(run.model))
        return self.graph

    def _some(self, name: str, arrays: list[Array]) -> Array:
        """The entries of a layer, or of a large one always the same sample, with the extremes."""
        if not arrays:
            return np.zeros(0)
        flat = np.concatenate([each.ravel() for each in arrays]) if len(arrays) > 1 else arrays[0].ravel()
        flat = np.abs(flat) if flat.dtype.kind == "c" else flat
        if flat.size <= SAMPLE:
            return flat
        if name not in self._chosen:
            self._chosen[name] = np.random.default_rng(0).integers(flat.size, size=SAMPLE)
        return np.concatenate([flat[self._chosen[name]], [flat.min(), flat.max()]])


def _row(of: Statistics) -> tuple[float, ...]:
    return of.mean, of.spread, of.norm, of.size, of.zeros, float(of.finite)


def histogram(array: Array, logarithmic: bool = False) -> Array:
    """[low, high, share of zeros, share that is not finite, then the counts of BINS bins between low and high].

    With `logarithmic` of log10 |entries|, those that are 0 left out.

    >>> histogram(np.array([0.0, 1.0, 10.0, np.nan]), logarithmic=True)[:4].tolist()
    [0.0, 1.0, 0.25, 0.25]
    """
    size = max(array.size, 1)
    good = array[np.isfinite(array)].astype(np.float64)
    zeros = np.count_nonzero(good == 0) / size
    if logarithmic:
        good = np.log10(np.abs(good[good != 0]))
    bad = 1 - np.count_nonzero(np.isfinite(array)) / size if array.size else 0.0
    low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 0.0)
    counts, _ = np.histogram(good, BINS, (low, high) if high > low else (low - 0.5, high + 0.5))
    return np.array([low, high, zeros, bad, *counts])


def _quantiles(array: Array) -> Array:
    good = array[np.isfinite(array)]
    return np.quantile(good, QUANTILES) if good.size else np.zeros(len(QUANTILES))


def _by_layer(model: Module) -> dict[str, list[ag.Tensor]]:
    """The parameters by the module that holds them; those of the model itself each for itself."""
    layers: dict[str, list[ag.Tensor]] = {}
    for name, parameter in model.named_parameters():
        layers.setdefault(name.rpartition(".")[0] or name, []).append(parameter)
    return layers


def _handed_on(program: Program, layers: dict[str, list[ag.Tensor]]) -> list[Variable | None]:
    """What each layer hands on to the next: the last value before that one begins, or the layer's own last one."""
    from autograd_lite.program import BACKWARD

    forward = [each for each in program.operations if each.scope[:1] != (BACKWARD,)]
    stays = [_stay(forward, program, members) for members in layers.values()]
    found: list[Variable | None] = []
    for stay in stays:
        if stay is None:
            found.append(None)
            continue
        later = [other[0] for other in stays if other is not None and other[0] > stay[1]]
        found.append(forward[min(later) - 1 if later else stay[1]].outputs[0])
    return found


def _stay(forward: list[Operation], program: Program, members: Iterable[ag.Tensor]) -> tuple[int, int] | None:
    """The first and last operation of the frames, or without such the operations, that read these parameters."""
    nodes = {each._node for each in members}
    variables = {variable for variable, leaf in program.values.items() if leaf in nodes}
    readers = {each for each in forward if not variables.isdisjoint(each.reads)}
    frames = {each.scope for each in readers} - {()}
    places = [at for at, each in enumerate(forward) if each.scope in frames or each in readers]
    return (places[0], places[-1]) if places else None


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """A model that draws no random numbers and counts no statistics for a while."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
