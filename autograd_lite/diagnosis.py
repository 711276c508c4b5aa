"""Which mistake explains a wrong hand-written gradient: what check_backprop says beyond "wrong".

The loss is traced and its layers are found; the catalogue's mistakes are made in it, until the gradients come out as
the hand-written ones. The mistake that does it is told in the names of the forward pass, with the line as it has to be
and the line as it was evidently written.

Read next: `search.py` (how it is found), `mistakes/` (what is looked for), `telling.py` (how it is told).
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .anatomy import Network, network_of
from .evident import clipped, handed_over, misshapen
from .heads import heads_of
from .hypotheses import Target
from .passes import common_subexpressions
from .program import Program, Variable
from .recording import new_leaf
from .replay import Replay
from .reports import TOLERANCES, Report
from .search import Search
from .telling import Told
from .tracing import recorded

_PATIENCE = 2.0  # seconds until a search shows how far it is


def diagnose(
    report: Report,
    loss_fn: Callable[[Any], Any],
    params: dict[str, Any],
    nearest: list[str],
    previous: Callable[[Any], Any] | None = None,
) -> float | None:
    """Find what explains the wrong entries of a report and put it there; return the scale that was found on the way.

    `nearest` lists the names from the loss backwards, `previous` is the loss of the batch before. Where the loss cannot
    be traced, the report says why there is no diagnosis.
    """
    report.findings.extend(handed_over(report, params))
    if report.findings:
        return None
    report.findings.extend(misshapen(report, params))
    report.findings.extend(clipped(report))
    told = {name for each in report.findings for name in each.names}
    if told.issuperset(name for name, entry in report.entries.items() if not entry.ok):
        return report.scale if report.common else None
    try:
        network = understood(report, loss_fn, params)
    except (TypeError, RuntimeError, ValueError, NotImplementedError) as error:
        lost = "freeze this value" in str(error)  # what the loss computes from a plain number has no gradient
        lacking = ", and the generated gradients may lack what goes through a plain number" * lost
        report.notes.append(f"There is no diagnosis{lacking}, for the loss could not be traced: {error}")
        return None
    if previous is not None:
        network.replay.stale = _before(network, recorded(previous, (params,), differentiate=True), params)
    variables = _variables(network, params)
    targets = []
    for name in nearest:
        entry = report[name]
        variable = variables.get(name) or _inner(network, name)
        if (
            name not in told
            and variable is not None
            and entry.manual.size
            and np.all(np.isfinite(entry.manual))
            and np.all(np.isfinite(entry.generated))
        ):
            tolerance = max(entry.tolerance, _coarse(variable.dtype))
            targets.append(Target(name, variable, entry.manual, tolerance, delta=name not in params))
    if not targets or all(report[each.name].ok for each in targets):
        return None
    common = _common(report, targets)
    names = [each.name for each in targets]
    targets.sort(key=lambda each: not each.informative)  # any scale explains a single number: it waits for one
    with _Progress([each.name for each in targets]) as progress:
        search = partial(Search, network, targets, common, tick=progress.tick, written=report.sizes.written)
        first = search()
        found = first.run()
        if first.against_most(found):
            found = search(fixed=True, seconds=1.0).run()
    Told(network, report, found, sorted(targets, key=lambda each: names.index(each.name))).tell()
    return found.scale if report.findings else None


def _coarse(dtype: Any) -> float:
    return TOLERANCES.get(np.dtype(dtype).char, TOLERANCES["d"])


def understood(
    report: Report | None,
    loss_fn: Callable[[Any], Any],
    params: dict[str, Any],
) -> Network:
    """The network in a loss, such that its way back gives the generated gradients."""
    program = recorded(loss_fn, (params,), differentiate=True, helpers=True)
    network = network_of(program, (params,))
    if report is not None:
        if not _agrees(network, report, params):
            network = Network(common_subexpressions(program), (params,))
        network.manual = {name: entry.manual for name, entry in report.entries.items()}
    network.heads = heads_of(network)
    return network


def _before(network: Network, before: Program, params: dict[str, Any]) -> Replay:
    """The values of a network on the data of another trace of the same loss."""
    data = [leaf.array for leaf in before.values.values()]
    here = list(network.program.values)
    if len(data) != len(here) or any(a.shape != b.shape for a, b in zip(data, here, strict=True)):
        raise ValueError("check_backprop: previous is another computation than loss_fn, or a batch of another shape.")
    values = {each: new_leaf(array) for each, array in zip(here, data, strict=True)}
    return Replay(replace(network.program, values=values), (params,))


def _agrees(network: Network, report: Report, params: dict[str, Any]) -> bool:
    """Whether the way back gives what the engine does, up to the side that is taken of a kink."""
    if any(np.any(network.values[each.z] == 0) for each in network.activations if each.kind == "relu"):
        return True
    for name, variable in _variables(network, params).items():
        g, generated = network.right.totals.get(variable), report[name].generated
        if g is not None and np.all(np.isfinite(generated)):
            near = 100 * _coarse(variable.dtype) * np.max(np.abs(generated), initial=0.0)
            if g.shape != generated.shape or not np.all(np.abs(g - generated) <= near):
                return False
    return True


def _variables(network: Network, params: dict[str, Any]) -> dict[str, Variable]:
    """The program's variable of each parameter."""
    pairs = zip(params, network.program.statics, strict=True)
    return {name: each for name, each in pairs if isinstance(each, Variable)}


def _inner(network: Network, name: str) -> Variable | None:
    """The last value of the forward pass that is called `name`, or the only one that the layers call so."""
    known = [each for step in network.operations for each in step.outputs if each in network.right.totals]
    exact = [each for each in known if each.name == name]
    copies = [each for each in known if re.fullmatch(rf"{re.escape(name)}_\d+", each.name)]
    return (copies or exact)[-1] if copies or exact else None


def _common(report: Report, targets: list[Target]) -> float | None:
    """The common scale of a report, where more than a single number speaks for it."""
    single = [each for each in targets if report[each.name].ok and not each.delta and np.any(each.manual)]
    informative = any(each.informative for each in single)
    return report.scale if informative or len(single) > 1 else None


class _Progress:
    """A bar on the terminal, or lines of text where tqdm is not installed, once a search takes long."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.name = ""
        self.started = time.perf_counter()
        self.bar: Any = None

    def __enter__(self) -> _Progress:
        return self

    def tick(self, name: str) -> None:
        """Note that a search is at `name`."""
        fresh, self.name = name != self.name, name
        if self.bar is None and time.perf_counter() - self.started > _PATIENCE:
            self.bar, fresh = _bar(len(self.names)), True
        if fresh and self.bar is not None:
            number = self.names.index(name) + 1
            if self.bar is not False:
                self.bar.n = number
                self.bar.set_postfix_str(name)
            elif sys.stderr.isatty():
                print(f"diagnosing {name} ({number} of {len(self.names)})", file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.close()


def _bar(total: int) -> Any:
    """A bar of tqdm, on a terminal only; False where it is not installed."""
    try:
        tqdm = importlib.import_module("tqdm")
    except ModuleNotFoundError:
        return False
    shape = "{desc} {bar} {n_fmt} of {total_fmt}{postfix}"  # the names take unlike times: a rate would say nothing
    return tqdm.tqdm(total=total, desc="diagnosing", leave=False, file=sys.stderr, disable=None, bar_format=shape)
