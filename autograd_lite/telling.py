"""What a search for mistakes has found, in words: findings with their lines, what would tell causes apart, patterns.

Read next: `reports.py`, which shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .anatomy import KINDS, Network
from .hypotheses import Hypothesis, Made, Target
from .program import Variable, text
from .recording import Array, Node, new_leaf
from .rendering import as_python
from .replay import Replay
from .reports import Comparison, Finding, Report
from .sites import Edge, Forward, Impossible, Site, Total
from .wording import lines_of

_PLACES = 12  # at so many, each is looked at by itself
_NEARLY = 1e-5  # below that a relative error comes of no wrong formula


class Told:
    """What was found, in words."""

    def __init__(self, network: Network, report: Report, found: Hypothesis, targets: list[Target]) -> None:
        self.network = network
        self.report = report
        self.found = found
        self.targets = targets

    def tell(self) -> None:
        """Put the findings into the report, and what is known of the rest."""
        report, found = self.report, self.found
        ordered = sorted(enumerate(found.ways[0]), key=lambda each: _depth(self.network, each[1]), reverse=True)
        alike: dict[Any, list[int]] = {}
        for number, made in ordered:  # the nearest to the loss is the root of what is upstream
            what = (made.mistake.name, getattr(made.places[0].other, "name", None), made.c)
            alike.setdefault(what, []).append(number)
        ways = [way for way in found.ways if len(way) == len(found.ways[0])]
        for numbers in alike.values():
            groups = [([way[number] for number in numbers], found.scales.get(way)) for way in ways]
            report.findings.append(self.finding(groups[0][0], [each for each in groups[1:] if _one_mistake(each[0])]))
        rest = [name for name in found.unexplained if not report[name].ok]
        report.notes.extend(_pattern(report[name]) for name in rest)
        if rest:
            report.notes.append(self._beginning(rest))

    def finding(self, group: list[Made], others: list[tuple[list[Made], float | None]]) -> Finding:
        """One mistake, made once or several times, as a finding."""
        made = self._told_where_it_shows(_together(group))
        site = site_of(made, self.network)
        right, written = lines_of(self.network, site, made.overrides(self.network), self.found.gradients)
        written = written if right else ""  # beside a line that is too long to show it would say little
        together = [(self._told_where_it_shows(_together(each)), scale) for each, scale in others]
        alternatives = {each.title: (each, scale) for each, scale in together if each.title != made.title}
        single = {each.title: each for one in (group, *(each for each, _ in others)) for each in one}
        causes = [self._on(scale) + cause_of(each) for each, scale in alternatives.values()]
        return Finding(
            cause=cause_of(made),
            names=tuple(sorted(self._spoilt(made), key=list(self.report.entries).index)),
            location=_location(self.network, site),
            right=right,
            written=written,
            alternatives=tuple(dict.fromkeys(causes)),
            apart=self._apart(made, alternatives.values()),
            mistakes=tuple((each.mistake.name, tuple(at.title for at in each.places)) for each in single.values()),
        )

    def _same_scale(self, scale: float | None) -> bool:
        known = self.found.scale
        return scale is None or known is None or bool(np.isclose(scale, known, rtol=1e-6, atol=0))

    def _on(self, scale: float | None) -> str:
        """A beginning for a cause on another scale than the table's."""
        if self._same_scale(scale):
            return ""
        assert scale is not None
        known = self.report.sizes.recognised(abs(scale))
        return f"with {'-' * (scale < 0)}{known.word}{f' (N = {known.n})' if known.n else ''} for the common scale, "

    def _told_where_it_shows(self, made: Made) -> Made:
        """A mistake made at several places, without those at which it changes nothing: the sum of one unit's."""
        if not 1 < len(made.places) <= _PLACES:
            return made
        each = [replace(made, places=(at,)) for at in made.places]
        try:
            shown = tuple(one.places[0] for one in each if any(True for _ in self._changed(one)))
        except Impossible:  # beside another mistake alone
            return made
        return replace(made, places=shown or made.places)

    def _apart(self, made: Made, others: Iterable[tuple[Made, float | None]]) -> str:
        """What would tell a cause from its alternatives."""
        on_this = [each for each, scale in others if self._same_scale(scale)]
        if on_this:
            return _apart(self.network, made, on_this)
        return "Which one it is depends on the scale that you mean them to have." if tuple(others) else ""

    def _spoilt(self, made: Made) -> Iterator[str]:
        """The names whose gradients a mistake changes, and the table does not call right."""
        return (name for name in self._changed(made) if not self.report[name].ok or not self._settled())

    def _changed(self, made: Made) -> Iterator[str]:
        """The names whose gradients a mistake changes."""
        network = self.network
        alone = network.replay.back(made.overrides(network), network.right).totals
        for each in self.targets:
            right, wrong = (totals.get(each.variable) for totals in (network.right.totals, alone))
            if right is None or wrong is None or right.shape != wrong.shape or _differ(right, wrong, each.tolerance):
                yield each.name

    def _settled(self) -> bool:
        """Whether the table that was made is on the scale that was found."""
        scale = self.found.scale
        return scale is None or bool(self.report.common and np.isclose(scale, self.report.scale, rtol=1e-6, atol=0))

    def _beginning(self, rest: list[str]) -> str:
        """The first operation where a supplied delta deviates, from the loss backwards."""
        inner = [each for each in self.targets if each.variable not in self.network.program.inputs]
        names = ", ".join(map(repr, rest))
        if not inner:
            return (
                f"No mistake that is known explains {names}. To see where it begins, hand over deltas too: a key of "
                "manual may name any variable of the forward pass."
            )
        for each in inner:
            if each.name in rest:
                makers = self.network.replay.consumers.get(each.variable, [])
                where = _location(self.network, makers[0]) if makers else each.name
                right = [one.name for one in inner[: inner.index(each)]]
                until = f"; {', '.join(right)} {'is' if len(right) == 1 else 'are'} as expected" if right else ""
                return f"No mistake that is known explains {names}. It begins at d_{each.name}: {where}{until}."
        expected = all(self.report[each.name].ok for each in inner)
        return f"No mistake that is known explains {names}." + " The deltas that you gave are as expected." * expected


def _one_mistake(group: list[Made]) -> bool:
    """Whether the same mistake is made throughout."""
    first = group[0]
    return all((each.mistake, each.c) == (first.mistake, first.c) for each in group)


def _together(group: list[Made]) -> Made:
    """The same mistake at all its places."""
    return group[0] if len(group) == 1 else replace(group[0], places=tuple(at for each in group for at in each.places))


def _differ(right: Array, wrong: Array, tolerance: float) -> bool:
    size = max(float(np.max(np.abs(each), initial=0.0)) for each in (right, wrong))
    return bool(np.max(np.abs(right - wrong), initial=0.0) > tolerance * size)


def cause_of(made: Made) -> str:
    """The sentence of a mistake, with the other places where it was made."""
    sentence = made.mistake.sentence(made.places[0])
    rest = list(dict.fromkeys(each.of.name for each in made.places[1:]))
    if not rest:
        return sentence
    copies = len({each.signature for each in made.places}) == 1
    if copies:
        return f"{sentence}; and so in each of the {len(made.places)} copies of the loop"
    return f"{sentence}; and so at {' and '.join(filter(None, [', '.join(rest[:-1]), rest[-1]]))}"


def site_of(made: Made, network: Network) -> Site:
    return next(iter(made.mistake.overrides(network, made.places[0], made.c)))


def _depth(network: Network, made: Made) -> tuple[int, int]:
    """How near the loss a mistake is, and how much it spoils."""
    site = site_of(made, network)
    makers = network.replay.makers
    number = makers.get(site.of, -1) if isinstance(site, Total) else site.operation
    if isinstance(site, Total) and number < 0:
        number = min((each.operation for each in network.replay.consumers.get(site.of, [])), default=-1)
    return number, len(network.replay.touched(site))


def _spelt(network: Network, value: Any) -> str:
    """A value by its name, or by the operation that computes it."""
    maker = network.replay.makers.get(value) if isinstance(value, Variable) else None
    if maker is None or value.given:
        return text(value)
    step = network.operations[maker]
    return as_python(step.primitive, step.inputs, step.settings, lambda each: _spelt(network, each))


def _location(network: Network, site: Site) -> str:
    """The operation of the forward pass at which a site is."""
    if isinstance(site, (Edge, Forward)):
        operation = network.operations[site.operation]
    else:
        edges = network.replay.consumers.get(site.of, [])
        maker = network.replay.makers.get(site.of)
        operation = network.operations[edges[0].operation if edges or maker is None else maker]
        while (
            operation.primitive.view and not operation.outputs[0].given and operation.outputs[0] in network.right.totals
        ):
            (number, _), *_ = network.replay.consumers[operation.outputs[0]]  # a transpose belongs to its product
            operation = network.operations[number]
        other = next((each for each in network.others if each.z is site.of), None)
        if other is not None:
            operation = network.operations[network.replay.makers[other.y]]
        elif maker is not None and operation.primitive not in KINDS:
            operation = network.operations[maker]  # logits: what uses them first is the loss's own formula
    settings = {key: each for key, each in operation.settings.items() if each is not None}
    shown = as_python(operation.primitive, operation.inputs, settings, lambda each: _spelt(network, each))
    names = ", ".join(each.name for each in operation.outputs)
    given = any(each.given for each in operation.outputs)
    return f"{names} = {shown}  ({operation.place})" if given else f"{shown}  ({operation.place})"


# ---- what would tell causes apart ----------------------------------------------------------------------------------


def _apart(network: Network, made: Made, others: list[Made]) -> str:
    """What input would tell a cause from its alternatives: tried out."""
    rng = np.random.default_rng(0)
    weights = {each: rng.standard_normal(each.shape).astype(each.dtype) for each in network.program.inputs}
    inputs = {layer.product.x for layer in network.layers}
    data = {
        each: new_leaf(rng.standard_normal(each.shape).astype(each.dtype))
        for each in network.program.values
        if each in inputs and each.dtype.kind == "f"
    }
    for words, replay in (
        ("Other weights would tell these causes apart.", _Elsewhere(network.replay, weights)),
        ("Other inputs would tell these causes apart.", _Elsewhere(network.replay, weights, data)),
    ):
        parted = [_parts(network, replay, made, other) for other in others]
        if any(parted):
            return words if all(parted) else f"{words[:-1]}, but for those that come to the same line."
    products = [layer.product for layer in network.layers]
    if any(len(each.x.shape) < 2 or each.x.shape[0 if each.left else -1] == 1 for each in products):
        return "These data cannot tell them apart; a batch of several records might."
    return "For this network they come to the same line."


class _Elsewhere:
    """A replay with other values of the parameters and the data."""

    def __init__(
        self, replay: Replay, weights: dict[Variable, Array], data: dict[Variable, Node] | None = None
    ) -> None:
        program = replace(replay.program, values={**replay.program.values, **(data or {})})
        self.replay = Replay(program, weights)
        self.replay.stale = replay.stale


def _parts(network: Network, elsewhere: _Elsewhere, one: Made, other: Made) -> bool:
    """Whether two mistakes give different gradients there, on any scale."""
    replay = elsewhere.replay
    try:
        first, second = (replay.back(each.overrides(network)).totals for each in (one, other))
    except Impossible:
        return True
    pairs = [(first[each], second[each]) for each in network.parameters if each in first and each in second]
    if any(a.shape != b.shape for a, b in pairs):
        return True
    a, b = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    scale = float(a @ b) / (float(a @ a) or 1.0)  # a common scale tells nothing
    return _differ(scale * a, b, 1e-6)


# ---- what does match -----------------------------------------------------------------------------------------------


def _pattern(entry: Comparison) -> str:
    """What is known of a gradient that nothing explains: its direction, and whether rows or columns keep theirs."""
    m, g = entry.manual, entry.generated
    if m.shape != g.shape:
        return f"{entry.name}: {entry.verdict}."
    if entry.relative_error < _NEARLY:
        return (
            f"{entry.name}: nearly right, off by {entry.relative_error:.1e} of its size: as roundings, or a constant "
            "left out that is there for safety."
        )
    parts = [f"cosine {entry.agreement:.4f}", f"best scale {entry.own_scale:.6g}"]
    near = 1e-6 * float(np.max(np.abs(m), initial=0.0))
    for axis, words in ((1, "row"), (0, "column")):
        if m.ndim != 2 or min(m.shape) < 2:
            break
        with np.errstate(all="ignore"):
            scales = np.sum(m * g, axis=axis, keepdims=True) / np.sum(g * g, axis=axis, keepdims=True)
        scales = np.nan_to_num(scales)
        off = np.max(np.abs(m - scales * g), axis=axis)
        off = np.where(np.any(g, axis=axis) | np.any(m, axis=axis), off, np.inf)  # where there is nothing, say nothing
        if np.all((off <= near) | np.isinf(off)) and np.any(off <= near):
            low, high = float(scales.min()), float(scales.max())
            parts.append(f"each {words} is right up to a factor of its own, from {low:.4g} to {high:.4g}")
        elif np.any(off <= near):
            count = int(np.sum(off <= near))
            parts.append(f"{count} of {off.size} {words}s {'is' if count == 1 else 'are'} right up to a factor")
    return f"{entry.name}: nothing explains it; {', '.join(parts)}."
