"""The search for the mistakes that explain hand-written gradients.

Names are looked at from the loss backwards. A hypothesis is a set of mistakes; it carries the gradients that it gives
and the scale on which it compares. If it explains the next gradient it goes on as it is; if not, it is extended by one
mistake, in one place or everywhere, and if none does it, by a pair. What one gradient has established stays in force
for those further upstream, so that three mistakes are three short searches. The cheapest hypothesis wins; those that
give the very same gradients are kept beside it, because these data cannot tell them apart.

Read next: `diagnosis.py`, which puts it into words.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .anatomy import Network
from .hypotheses import ALIKE, WAYS, Candidate, Hypothesis, Made, Target, Way, cleaned, groups_of
from .mistakes import CATALOGUE
from .mistakes.base import Mistake
from .recording import Array
from .sites import Delta, Given, Gradients, Impossible, Overrides, Rule, Site, Total

_UNEXPLAINED = 3.0
_OTHER_SCALE = 0.3  # what it costs that most gradients are off by a factor, and not the others
_ODD_SCALE = 0.25  # ... and that the scale is a number that nobody writes
_BEYOND = 1.65  # how much dearer than the cheapest a hypothesis may be and still go on
_WIDTH = 16
_SMALLEST, _LARGEST = 1e-6, 1e6  # no scale that anyone derives with is outside
_SAMPLE = 24  # entries of a gradient that are compared before all are
_TRIED = 4  # of the ways of a hypothesis, those that are tried when it ceases to hold


class Search:
    """One search: `targets` are in the order in which they are to be explained."""

    def __init__(
        self,
        network: Network,
        targets: list[Target],
        common: float | None,
        catalogue: Iterable[Mistake] = CATALOGUE,
        tick: Callable[[str], None] = lambda name: None,
        seconds: float = 2.5,
        written: Callable[[float], bool] = lambda scale: True,
        fixed: bool = False,
    ) -> None:
        self.network = network
        self.replay = network.replay
        self.targets = targets
        self.common = common
        self.tick = tick
        self.written = written  # whether a scale is one as people write it
        self.fixed = fixed  # whether the common scale is the only one
        self.deadline = time.perf_counter() + seconds
        self.noise = _noise(each.manual for each in targets)
        self.generated_noise = _noise(network.right.totals.get(each.variable, np.zeros(1)) for each in targets)
        self.candidates = list(self._candidates(catalogue))
        rng = np.random.default_rng(0)
        self.sizes = {each.name: _size(each.manual) for each in targets}
        self.places = {each.name: _few(each.manual, rng) for each in targets}
        self.samples = {each.name: each.manual.flat[self.places[each.name]].astype(np.float64) for each in targets}
        self.right: dict[tuple[float, int], list[Target]] = {}
        self.probes = {each.name: rng.standard_normal(each.manual.size) for each in targets}

    # ---- what may be wrong -------------------------------------------------------------------------------------

    def _candidates(self, catalogue: Iterable[Mistake]) -> Iterator[Candidate]:
        unknown = set(self.network.program.inputs).difference(each.variable for each in self.targets)
        for mistake in catalogue:
            told = [each for each in mistake.places(self.network) if each.of not in unknown]
            for places in groups_of(mistake, told):
                made = Made(mistake, places)
                overrides = made.overrides(self.network)
                touched = frozenset().union(*(self.replay.touched(site) for site in overrides))
                yield Candidate(made, overrides, touched)

    # ---- the search --------------------------------------------------------------------------------------------

    def run(self) -> Hypothesis:
        """The cheapest hypothesis; what it leaves unexplained stands in it."""
        beam = list(self._beginnings())
        for target in self.targets:
            self.tick(target.name)
            beam = self._next(beam, target)
        beam = [self._second_look(each) for each in beam]
        best = min(beam, key=lambda each: (each.cost + _ODD_SCALE * self._odd(each), each.scale != self.common))
        beam = [each for each in beam if not self._less_likely(each, best)]
        beam = [best, *(each for each in beam if each is not best)]
        alike = [each for each in beam if self._equal(each, best)]
        best.scales = {way: each.scale for each in reversed(alike) for way in each.ways}
        ways = [way for each in alike for way in each.ways if self._holds(way, each)]
        best.ways = cleaned(ways or best.ways)
        return best

    def _holds(self, way: Way, hypothesis: Hypothesis) -> bool:
        """Whether a way that gave the same gradients when it was found still does."""
        if len(hypothesis.ways) == 1:
            return True
        gradients = self._by(way, hypothesis).gradients
        explained = (each for each in self.targets if each.name not in hypothesis.unexplained)
        return all(self._fit(each, gradients, hypothesis.scale) is not None for each in explained)

    def _less_likely(self, one: Hypothesis, best: Hypothesis) -> bool:
        """Whether another scale is one that nobody writes, or instead of 1 makes fewer gradients right, which calls
        some wrong that the table calls right; but a sign is the same mistake on either side."""
        if one.scale is None or best.scale is None or math.isclose(one.scale, best.scale, rel_tol=1e-6):
            return False
        if self._odd(one) and not self._odd(best):
            return True
        if math.isclose(one.scale, -best.scale, rel_tol=1e-6):
            return False
        right, most = (len(self._right_on(each.scale or 1.0, each.start)) for each in (one, best))
        return math.isclose(best.scale, 1, rel_tol=1e-6) and right < most

    def against_most(self, found: Hypothesis) -> bool:
        """Whether it takes several mistakes and another scale, on which most gradients are wrong that are right."""
        if self.common is None or found.scale is None or math.isclose(found.scale, self.common, rel_tol=1e-6):
            return False
        right, other = (len(self._right_on(scale, found.start)) for scale in (self.common, found.scale))
        return len(found.ways[0]) > 1 and right > max(other, len(self.targets) / 2)

    def _odd(self, hypothesis: Hypothesis) -> bool:
        return hypothesis.scale is not None and not self.written(hypothesis.scale)

    @staticmethod
    def _equal(one: Hypothesis, best: Hypothesis) -> bool:
        return one.cost <= best.cost + ALIKE and len(one.unexplained) == len(best.unexplained)

    def _beginnings(self) -> Iterator[Hypothesis]:
        """No mistake, on the common scale and on one to be found; relus with >= where a value is exactly 0."""
        starts: list[Overrides] = [{}]
        kinks: dict[Site, Rule] = {}
        for each in self.network.activations:
            if each.kind == "relu" and np.any(self.network.values[each.z] == 0):
                kinks[each.edge] = Rule((Delta(each.y), each.z), lambda g, z: g * (z >= 0))
        if kinks:
            starts.append(kinks)
        for overrides in starts:
            gradients = self.replay.back(overrides, self.network.right)
            for scale, cost in self._scales(gradients):
                yield Hypothesis([()], overrides, gradients, scale, cost, overrides, scale is not None)

    def _scales(self, gradients: Gradients) -> Iterator[tuple[float | None, float]]:
        """The scales to begin with and what they cost: the common one, one to be found, and that of each gradient that
        fits by itself."""
        rest = 0.0 if self.common is None else _OTHER_SCALE
        if self.common is not None:
            yield self.common, 0.0
        if self.common is not None and self.fixed:
            return
        if not any(each.informative for each in self.targets):
            yield from ((sign, rest) for sign in (1.0, -1.0))
            return
        yield None, rest
        known = [] if self.common is None else [self.common]
        for target in self.targets if self.targets[0].delta else self.targets[1:]:
            scale = self._own(target, gradients)
            if scale is not None and not any(math.isclose(scale, each, rel_tol=1e-6) for each in known):
                known.append(scale)
                yield scale, _OTHER_SCALE

    def _next(self, beam: list[Hypothesis], target: Target) -> list[Hypothesis]:
        """The hypotheses after one more gradient."""
        going: list[Hypothesis] = []
        failing: list[Hypothesis] = []
        for each in beam:
            found = self._fit(target, each.gradients, each.scale)
            if found is None:
                failing.append(each)
            else:
                going.append(replace(each, scale=found[0], explained=(*each.explained, target.name)))
                if each.scale is None and found[0] is not None:  # or it is off by a factor, and the scale is another
                    going += self._extended(each, target, sizes=True)
        best = min((each.cost for each in going), default=math.inf)
        for each in failing:
            if each.cost + 1 > best + _BEYOND:
                continue
            for new in self._extended_in_any_way(each, target):
                going.append(new)
                best = min(best, new.cost)
                if each.scale is None and new.scale is not None:
                    going += self._extended(replace(new, scale=None), target, sizes=True)
        for each in failing[:3]:
            if each.cost + 2 <= best + ALIKE:
                for new in self._by_pairs(each, target):
                    going.append(new)
                    best = min(best, new.cost)
        if not going:
            going = [self._given_up(each, target, factor) for each in failing[:4] for factor in self._factors(each)]
        return self._merged(going)

    def _own(self, target: Target, gradients: Gradients) -> float | None:
        """The scale of its own on which a gradient explains the hand-written one; None if there is none."""
        found = self._fit(target._replace(delta=False), gradients, None)
        return None if found is None else found[0]

    def _fit(self, target: Target, gradients: Gradients, scale: float | None) -> tuple[float | None] | None:
        """The scale on which a gradient explains the hand-written one (None: still open); None if it does not."""
        if target.delta and target.informative:
            return None if self._fit(target._replace(delta=False), gradients, None) is None else (scale,)
        g = gradients.totals.get(target.variable)
        if g is None:
            g = np.zeros(target.variable.shape)
        m = target.manual
        if g.shape != m.shape:
            return None
        size_m = self.sizes[target.name]
        if not self._may_fit(target, g, scale):
            return None
        g = g.astype(np.float64)
        size_g = _size(g)
        if not (math.isfinite(size_m) and math.isfinite(size_g)):
            return None
        nothing_m, nothing_g = size_m <= self.noise, size_g <= self.generated_noise
        if nothing_m and nothing_g:
            return (scale,)
        if target.delta and not (nothing_m or nothing_g):
            return (scale,)  # a single number
        if scale is None:
            if nothing_m or nothing_g or not target.informative:
                return None
            scale = _projection(m, g)
            if not _SMALLEST <= abs(scale) <= _LARGEST:
                return None
        near = target.tolerance * _size(scale * g) + self.noise
        return (scale,) if _size(m - scale * g) <= near else None

    def _may_fit(self, target: Target, g: Array, scale: float | None) -> bool:
        """Whether a few entries agree, that where the hand-written gradient is largest first: most do not, and it is
        quickly seen."""
        size_m, m = self.sizes[target.name], self.samples[target.name]
        if not math.isfinite(size_m) or target.delta:
            return True
        few = g.flat[self.places[target.name]].astype(np.float64)
        if scale is None:
            if size_m <= self.noise or not abs(few[0]) > self.generated_noise:
                return True
            scale = m[0] / few[0]
        return bool(np.all(np.abs(m - scale * few) <= 4 * target.tolerance * size_m + 2 * self.noise))

    # ---- extending a hypothesis --------------------------------------------------------------------------------

    def _extended(self, hypothesis: Hypothesis, target: Target, sizes: bool = False) -> Iterator[Hypothesis]:
        """A hypothesis with one more mistake, wherever that explains the gradient and loses none before it; of the
        `sizes` alone, with one that changes nothing but the size."""
        for candidate in self.candidates:
            self.tick(target.name)
            if sizes and not (self._of_size(candidate) and target.variable is candidate.made.places[0].of):
                continue
            new = self._with(hypothesis, candidate, target)
            if new is not None:
                yield new

    @staticmethod
    def _of_size(candidate: Candidate) -> bool:
        return candidate.made.mistake.size and not candidate.made.mistake.free

    def _extended_in_any_way(self, hypothesis: Hypothesis, target: Target) -> list[Hypothesis]:
        """The extensions of a hypothesis, or of what gave the same gradients so far and may no longer."""
        found = list(self._extended(hypothesis, target))
        for way in hypothesis.ways[1:_TRIED]:
            if not found:
                found = list(self._extended(self._by(way, hypothesis), target))
        return found

    def _by(self, way: Way, hypothesis: Hypothesis) -> Hypothesis:
        """A hypothesis in another of its ways."""
        overrides = dict(hypothesis.start)
        for made in way:
            overrides.update(made.overrides(self.network))
        return replace(hypothesis, ways=[way], overrides=overrides, gradients=self.replay.back(overrides), key=None)

    def _with(self, hypothesis: Hypothesis, candidate: Candidate, target: Target) -> Hypothesis | None:
        if target.variable not in candidate.touched or not hypothesis.overrides.keys().isdisjoint(candidate.overrides):
            return None
        made, overrides = candidate.made, {**hypothesis.overrides, **candidate.overrides}
        try:
            if made.mistake.free:
                c = self._coefficient(hypothesis, made, target)
                if c is None or not made.mistake.plausible(c, hypothesis.scale):
                    return None
                made = replace(made, c=c)
                overrides = {**hypothesis.overrides, **made.overrides(self.network)}
            part = self.replay.back(overrides, hypothesis.gradients, (target.variable,))
            found = self._fit(target, part, hypothesis.scale)
            if found is None and not hypothesis.settled:
                found = self._fit(target, part, None)  # the scale was found with this mistake unknown
            if found is None:
                return None
            gradients = self.replay.back(overrides, hypothesis.gradients)
        except Impossible:
            return None
        scale = found[0]
        for name in hypothesis.explained:
            known = self._fit(next(each for each in self.targets if each.name == name), gradients, scale)
            if known is None:
                return None
            scale = known[0]
        if self._contradicts(made, scale, hypothesis.start):
            return None
        new = Hypothesis(
            [(*way, made) for way in hypothesis.ways],
            overrides,
            gradients,
            scale,
            hypothesis.cost + made.cost,
            hypothesis.start,
            hypothesis.settled,
            (*hypothesis.explained, target.name),
            hypothesis.unexplained,
        )
        return new if target.informative or made.mistake.size or self._written(new) else None

    def _contradicts(self, made: Made, scale: float | None, start: Overrides) -> bool:
        """Whether a mistake alone would spoil a gradient that is right on a scale as it is."""
        if scale is None:
            return False
        if made.mistake.free and not made.mistake.plausible(made.c, scale):
            return True
        right = self._right_on(scale, start)
        wrong = {**start, **made.overrides(self.network)}
        touched = [each for each in right if any(each.variable in self.replay.touched(site) for site in wrong)]
        if not touched:
            return False
        alone = self.replay.back(wrong, self.network.right, [each.variable for each in touched])
        return any(self._fit(each, alone, scale) is None for each in touched)

    def _right_on(self, scale: float, start: Overrides) -> list[Target]:
        """The gradients that are right on a scale, with the sides of kinks that are taken."""
        key = (float(f"{scale:.9e}"), id(start))
        if key not in self.right:
            gradients = self.replay.back(start, self.network.right)
            self.right[key] = [each for each in self.targets if self._fit(each, gradients, scale) is not None]
        return self.right[key]

    def _coefficient(self, hypothesis: Hypothesis, made: Made, target: Target) -> float | None:
        """The coefficient of a free mistake that fits best: the gradient is affine in it."""
        ends = []
        for c in (0.0, 1.0):
            overrides = {**hypothesis.overrides, **made.overrides(self.network, c)}
            totals = self.replay.back(overrides, hypothesis.gradients, (target.variable,)).totals
            g = totals.get(target.variable)
            if g is None or g.shape != target.manual.shape:
                return None
            ends.append(g.astype(np.float64).ravel())
        m, (start, end) = target.manual.ravel(), ends
        direction = end - start
        scale = None if target.delta else hypothesis.scale
        unknowns = 1 if scale is not None else 2
        if _size(direction) <= self.generated_noise or m.size < unknowns:
            return None
        own = target.variable is made.places[0].of and (unknowns == 1 or made.mistake.size)
        if m.size == unknowns and not own:
            return None  # it would fit whatever it is: no sign of a mistake, but for a factor, that claims no more
        if scale is not None:
            return _plain(float(direction @ (m / scale - start) / (direction @ direction)), target.tolerance)
        solved, _, rank, _ = np.linalg.lstsq(np.stack([start, direction], axis=1), m, rcond=1e-10)
        return _plain(float(solved[1] / solved[0]), target.tolerance) if rank == 2 and solved[0] else None

    def _by_pairs(self, hypothesis: Hypothesis, target: Target) -> Iterator[Hypothesis]:
        """A hypothesis with two more mistakes at once, the commoner first, as long as there is time."""
        reach = [
            each
            for each in self.candidates
            if target.variable in each.touched and hypothesis.overrides.keys().isdisjoint(each.overrides)
            if target.informative or not each.made.mistake.free  # with some coefficient any number comes out
        ]
        reach = sorted(reach, key=lambda each: each.made.cost)
        free = [each.made.mistake.free for each in reach]  # its coefficient is found when the other is in place
        pairs = [
            (j, i) if free[i] else (i, j) for j in range(len(reach)) for i in range(j) if not free[i] or not free[j]
        ]
        first: dict[int, Hypothesis | None] = {}
        best = math.inf
        for i, j in sorted(pairs, key=lambda pair: reach[pair[0]].made.cost + reach[pair[1]].made.cost):
            self.tick(target.name)
            if time.perf_counter() > self.deadline:
                return
            if reach[i].made.cost + reach[j].made.cost > best + 0.3:
                return
            if i not in first:
                first[i] = self._anyway(hypothesis, reach[i])
            begun = first[i]
            new = None if begun is None else self._with(begun, reach[j], target)
            if new is not None and self._written(new) and not self._contradicts(reach[i].made, new.scale, new.start):
                best = min(best, new.cost - hypothesis.cost)
                yield new

    @staticmethod
    def _written(hypothesis: Hypothesis) -> bool:
        """Whether the coefficient of the last mistake is a number as people write them: of a pair that explains one
        gradient, or of one number, a coefficient that had to be fitted would explain noise."""
        made = hypothesis.ways[0][-1]
        scale = hypothesis.scale or 1.0
        forms = (made.c, 1 / made.c, made.c * scale, 1 / (made.c * scale)) if made.c else (0.0,)
        return not made.mistake.free or any(math.isclose(each, float(f"{each:.3g}"), rel_tol=1e-6) for each in forms)

    def _anyway(self, hypothesis: Hypothesis, candidate: Candidate) -> Hypothesis | None:
        """A hypothesis with one more mistake, whether or not that explains anything."""
        overrides = {**hypothesis.overrides, **candidate.overrides}
        try:
            gradients = self.replay.back(overrides, hypothesis.gradients)
        except Impossible:
            return None
        ways = [(*way, candidate.made) for way in hypothesis.ways]
        cost = hypothesis.cost + candidate.made.cost
        return replace(hypothesis, ways=ways, overrides=overrides, gradients=gradients, cost=cost)

    def _factors(self, hypothesis: Hypothesis) -> Iterator[float]:
        """The scales on which a delta may be, against that of the parameters: theirs, and those of deltas that fit."""
        yield 1.0
        for each in self.targets:
            if each.delta and each.name in hypothesis.explained and hypothesis.scale:
                own = self._own(each, hypothesis.gradients)
                if own and not math.isclose(own, hypothesis.scale, rel_tol=1e-6):
                    yield own / hypothesis.scale
                return

    def _given_up(self, hypothesis: Hypothesis, target: Target, factor: float = 1.0) -> Hypothesis:
        """A hypothesis that leaves a gradient unexplained; what is upstream of a delta is judged by the given one."""
        unexplained = (*hypothesis.unexplained, target.name)
        new = replace(hypothesis, unexplained=unexplained, cost=hypothesis.cost + _UNEXPLAINED, key=None)
        inner = target.variable not in self.network.program.inputs
        if inner and hypothesis.scale and target.manual.shape == target.variable.shape:
            delta = Given(f"d_{target.name}", target.manual / (hypothesis.scale * factor))
            new.overrides = {**hypothesis.overrides, Total(target.variable): Rule((delta,), lambda g: g)}
            new.gradients = self.replay.back(new.overrides, hypothesis.gradients)
        return new

    def _second_look(self, hypothesis: Hypothesis) -> Hypothesis:
        """What was left unexplained may be explained by what was found further upstream."""
        for name in hypothesis.unexplained:
            target = next(each for each in self.targets if each.name == name)
            if target.variable not in self.network.program.inputs:
                continue  # the given delta stands in its own place
            rest = tuple(each for each in hypothesis.unexplained if each != name)
            fits = self._fit(target, hypothesis.gradients, hypothesis.scale)
            found = [replace(hypothesis, explained=(*hypothesis.explained, name))] if fits is not None else []
            found += [] if found else self._extended(hypothesis, target)
            if found:
                best = min(found, key=lambda each: each.cost)
                hypothesis = replace(best, unexplained=rest, cost=best.cost - _UNEXPLAINED, key=None)
        return hypothesis

    # ---- the same in other words -------------------------------------------------------------------------------

    def _merged(self, hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        """The cheapest hypotheses, those with the same gradients as one with several ways."""
        found: dict[Any, Hypothesis] = {}
        cheapest = min(each.cost for each in hypotheses)
        for each in sorted(hypotheses, key=lambda each: each.cost):
            if each.cost > cheapest + _BEYOND:
                break
            key = self._key(each)
            same = found.setdefault(key, each)
            if same is not each and each.cost <= same.cost + 0.25:
                same.ways = [*same.ways, *each.ways][: 4 * WAYS]
        return list(found.values())[:_WIDTH]

    def _key(self, hypothesis: Hypothesis) -> Any:
        """What two hypotheses share that give the same gradients: a few of their digits."""
        if hypothesis.key is None:
            digits = []
            for each in self.targets:
                g = hypothesis.gradients.totals.get(each.variable)
                flat = np.zeros(1) if g is None else np.asarray(g, np.float64).ravel()
                probe = self.probes[each.name]
                probe = probe if probe.size == flat.size else np.resize(probe, flat.size)
                shape = None if g is None else g.shape
                value = float(probe @ flat)
                noise = self.generated_noise * math.sqrt(max(flat.size, 1))
                digits.append((shape, 0.0 if not abs(value) > noise else float(f"{value:.5e}")))
            hypothesis.key = (tuple(digits), hypothesis.unexplained)
        scale = None if hypothesis.scale is None else float(f"{hypothesis.scale:.5e}")
        return hypothesis.key, scale


def _noise(arrays: Iterable[Array]) -> float:
    """What a rest of terms that cancel may be as large as."""
    sizes = [(_size(each), each.dtype) for each in arrays if np.all(np.isfinite(each))]
    largest = max((size for size, _ in sizes), default=0.0)
    coarse = any(dtype.itemsize < 8 for _, dtype in sizes)
    return 64 * (1.2e-7 if coarse else 2.2e-16) * largest


def _size(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _plain(c: float, tolerance: float) -> float:
    """A fitted coefficient, as short as the tolerance allows."""
    for digits in range(1, 12):
        short = float(f"{c:.{digits}g}")
        if abs(short - c) <= tolerance / 4 * abs(c):
            return short
    return float(f"{c:.12g}")


def _few(m: Array, rng: np.random.Generator) -> Array:
    """The places of a few entries of an array, its largest first."""
    return np.concatenate([[int(np.argmax(np.abs(m)))], rng.integers(0, m.size, _SAMPLE if m.size > 1 else 0)])


def _projection(m: Array, g: Array) -> float:
    a, b = _size(m), _size(g)
    unit = g / b
    return a / b * float(np.vdot(unit, m / a) / np.vdot(unit, unit))
