"""What a comparison of hand-written with generated gradients says: the numbers, the table, the common scale in words.

Read next: `checks.py`, which makes one.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .recording import Array

# About the square root of the machine epsilon: far above what roundings add up to, far below any mistake.
TOLERANCES = {"d": 1e-8, "f": 1e-4, "e": 1e-2}
_NOTHING = 1e-5  # of the largest gradient: what is no larger may be a rest of terms that cancel, in single precision
_ROUNDINGS = 64  # machine epsilons of the largest gradient: below that, a gradient is a rest of terms that cancel


@dataclass
class Comparison:
    """One name's verdict: manual against scale * generated, both of shape `shape`.

    `relative_error` is max |manual - scale * generated| / max |scale * generated|; `agreement` the cosine of the angle
    between the two, 1 for the same direction; `own_scale` the one that would fit this name best. `cause` and `fix` say
    which mistake explains a wrong one, and what repairs it, where that is known.
    """

    name: str
    shape: tuple[int, ...]
    ok: bool
    relative_error: float
    agreement: float
    own_scale: float
    verdict: str
    manual: Array = field(repr=False)
    generated: Array = field(repr=False)
    tolerance: float = 0.0
    cause: str | None = None
    fix: str | None = None


@dataclass
class Finding:
    """One mistake that explains wrong gradients.

    `cause` says it in a sentence, `names` are the gradients that it spoils, `location` the operation where it was made,
    `right` the line as it has to be and `written` the line as it was evidently written. `alternatives` are causes that
    these data cannot tell from it, and `apart` says what would. `mistakes` holds (name, places) of each, it first.
    """

    cause: str
    names: tuple[str, ...]
    location: str
    right: str
    written: str
    alternatives: tuple[str, ...] = ()
    apart: str = ""
    mistakes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def fix(self) -> str:
        """The right line, and the line as it was evidently written."""
        rows = [("right", self.right), ("yours", self.written)]
        return "\n".join(f"{label}  {text}".replace("\n", "\n" + 7 * " ") for label, text in rows if text)

    def lines(self) -> Iterator[str]:
        """What a report says of it."""
        yield from _wrapped(_sentence(self.cause))
        rows = [("spoils", ", ".join(self.names)), ("where", self.location)]
        rows += [("right", self.right), ("yours", self.written)]
        for label, text in rows:
            for i, line in enumerate(text.splitlines()):
                yield f"{label if i == 0 else '':<6}  {line}"
        for each in self.alternatives:
            yield from _wrapped(f"or: {_sentence(each)}")
        if self.apart:
            yield from _wrapped(self.apart)


def _sentence(text: str) -> str:
    first = text.partition(" ")[0]
    return (text[:1].upper() + text[1:] if first in _BEGINNINGS else text) + "." * (not text.endswith("."))


_BEGINNINGS = ("the", "in", "of", "nothing", "with")  # any other first word may be a variable's name


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)


@dataclass(repr=False)
class Report:
    """The verdicts by name, the common scale (manual = scale * generated) and what it means; prints as a table.

    Of a wrong derivation, `findings` are the mistakes that explain it, nearest the loss first, and `notes` say what is
    known of gradients that nothing explains.
    """

    entries: dict[str, Comparison]
    scale: float
    meaning: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    common: bool = True  # whether there is a common scale
    sizes: Sizes = field(default_factory=lambda: Sizes())  # what scales are recognised by

    @property
    def location(self) -> str | None:
        """The operation where the first mistake was made, with its source line."""
        return self.findings[0].location if self.findings else None

    @property
    def ok(self) -> bool:
        """Whether every gradient is right."""
        return all(each.ok for each in self.entries.values())

    @property
    def right(self) -> int:
        """How many gradients are right."""
        return sum(each.ok for each in self.entries.values())

    def told_in(self, other: Report) -> Report:
        """Another report on the same gradients, with what this one has found."""
        other.findings, other.notes = self.findings, self.notes
        return other

    def assign(self) -> None:
        """Put the findings beside the gradients that they spoil."""
        told_of = {name for each in self.findings for name in each.names}
        wrong = [name for name, each in self.entries.items() if not each.ok]
        if wrong and self.meaning.startswith("Your"):
            rest = self.meaning.removeprefix("Your gradients")
            if told_of.issuperset(wrong):
                self.meaning = f"Apart from that, your gradients{rest}"
            else:
                self.meaning = f"The others{rest}" if self.right else ""
        for entry in self.entries.values():
            told = [each for each in self.findings if entry.name in each.names and not entry.ok]
            entry.cause = "; ".join(each.cause for each in told) or None
            entry.fix = "\n".join(each.fix for each in told) or None

    def __getitem__(self, name: str) -> Comparison:
        return self.entries[name]

    def __str__(self) -> str:
        rows = [("name", "shape", "agreement", "relative error", "verdict")]
        for each in self.entries.values():
            numbers = _short(each.agreement, ".6f"), _short(each.relative_error, ".1e")
            rows.append((each.name, str(each.shape), *numbers, each.verdict))
        a, b, c, d = (max(len(row[i]) for row in rows) for i in range(4))
        lines = [f"{row[0]:<{a}}  {row[1]:<{b}}  {row[2]:>{c}}  {row[3]:>{d}}  {row[4]}" for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        wrong = [each.name for each in self.entries.values() if not each.ok]
        count = len(self.entries)
        lines.append(f"{len(wrong)} of {count} wrong: {', '.join(wrong)}." if wrong else f"All {count} right.")
        for number, finding in enumerate(self.findings, 1):
            mark = f"{number}. " if len(self.findings) > 1 else ""
            told = enumerate(finding.lines())
            lines += ["", *(f"{mark if i == 0 else ' ' * len(mark)}{line}" for i, line in told)]
        if self.findings or self.notes:
            lines.append("")
        for note in self.notes:
            lines += _wrapped(note)
        if not wrong:
            lines.append(self.meaning)
            return "\n".join(
                [*lines, "If it does not learn all the same, nn.diagnose says what is wrong with the training."]
            )
        return "\n".join([*lines, self.meaning]).rstrip()

    __repr__ = __str__


def _short(number: float, form: str) -> str:
    return "-" if math.isnan(number) else format(number, form)


class _Pair(NamedTuple):
    """A manual gradient m and its generated one g, in double precision, with what is known before any scale is."""

    m: Array
    g: Array
    tolerance: float
    fault: str | None
    own: float  # the scale that fits best: <m, g> / <g, g>
    fits: bool  # whether m is that times g

    @property
    def informative(self) -> bool:
        """Whether it says more than one number, which any scale explains."""
        return self.g.size > 1


def compare(
    manual: dict[str, Any],
    generated: dict[str, Array],
    nearest: list[str],
    shapes: Iterable[tuple[int, ...]],
    tie: bool = False,
    known: float | None = None,
    roundings: dict[str, float] | None = None,
    deltas: frozenset[str] = frozenset(),
    repeats: int = 0,
) -> Report:
    """The report on `manual`. `nearest` lists the names from the loss backwards; `shapes` are those seen on the way,
    among which the size of the batch is looked for (it is no length of a parameter's axis, those are the layers'
    widths); `repeats` is how often a parameter is used; `tie` says that ties were broken to get `generated`; `known` is
    the scale if it is known already, `roundings` how far the generated gradients themselves are off. The scale is that
    of the parameters; each of the `deltas` may have its own."""
    pairs = {
        name: _pair(np.asarray(manual[name]), generated[name], (roundings or {}).get(name, 0.0)) for name in manual
    }
    widths = frozenset(n for name in manual if name not in deltas for n in generated[name].shape)
    sizes = Sizes.of(shapes, widths, repeats)
    scale, common = known, True
    if scale is None:
        scale, common = _common_scale([pairs[name] for name in nearest if name not in deltas], sizes)
    largest = max((_size(pair.g) for pair in pairs.values() if np.all(np.isfinite(pair.g))), default=0.0)
    entries = {
        name: _judge(name, pair, scale, largest, own=name in deltas and pair.fits) for name, pair in pairs.items()
    }
    if not common:
        alone = " of more than one number" * any(pair.fits for pair in pairs.values())
        meaning = f"No gradient{alone} is a multiple of the generated one, so there is no common scale."
    else:
        meaning = sizes.meaning(scale)
    if tie:
        meaning += " (At ties, as of np.maximum, you take one side of the kink: that is as good as any.)"
    return Report(entries, scale, meaning, common=common, sizes=sizes)


_UP_TO = "right up to a factor"


def multiples(report: Report) -> list[str]:
    """What it says that right deltas are on scales of their own."""
    groups: dict[str, list[str]] = {}
    for each in report.entries.values():
        if each.ok and each.verdict.startswith(_UP_TO):
            ratio = each.own_scale / report.scale
            word = report.sizes.recognised(abs(ratio)).word
            shown = f"{ratio:.6g}" + (f" (= {'-' * (ratio < 0)}{word})" if word in ("N", "1/N") else "")
            later = "the 1/N" if word == "N" else "that factor"
            groups.setdefault(f"{shown} times what the parameters' scale gives: {later} comes in later", []).append(
                each.name
            )
    return [
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {words}, which makes no gradient wrong."
        for words, names in groups.items()
    ]


def _pair(manual: Array, generated: Array, rounding: float = 0.0) -> _Pair:
    kinds = [np.zeros(0, each.dtype).real.dtype.char for each in (manual, generated)]
    tolerance = max(rounding, *(TOLERANCES.get(kind, TOLERANCES["d"]) for kind in kinds))
    wide = [each.astype(np.complex128 if each.dtype.kind == "c" else np.float64) for each in (manual, generated)]
    m, g = wide
    fault = None
    if m.shape != g.shape:
        fault = f"WRONG shape: {m.shape}, must be {g.shape}"
    elif not np.all(np.isfinite(m)):
        fault = f"NOT FINITE: {_first_not_finite(m)}"
    elif not np.all(np.isfinite(g)):
        fault = f"the generated gradient is not finite: {_first_not_finite(g)}"
    own = math.nan if fault or not _size(g) else _size(m) / _size(g) * _projection(_unit(m), _unit(g))
    fits = bool(own) and not math.isnan(own) and _size(m - own * g) <= tolerance * _size(own * g)
    return _Pair(m, g, tolerance, fault, own, fits)


def _size(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _unit(x: Array) -> Array:
    """x with largest entry 1, lest its square underflow."""
    return x / (_size(x) or 1.0)


def _projection(m: Array, g: Array) -> float:
    return float(np.real(np.vdot(g, m)) / np.real(np.vdot(g, g)))


def _first_not_finite(x: Array) -> str:
    place = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
    return f"{x[place]} at {place}" if place else str(x[place])


def _common_scale(nearest: list[_Pair], sizes: Sizes) -> tuple[float, bool]:
    """The scale that most fitting pairs share, on a tie the plainest, then the one nearest the loss; and whether there
    is any. A single number fits on every scale: it counts only where others agree with it, where its scale is 1, or
    where nothing else speaks against it (it is 0, in a dead network) and its scale is one as people write it."""
    fitting = [pair for pair in nearest if pair.fits]

    def companions(pair: _Pair) -> int:
        return sum(abs(each.own - pair.own) <= (each.tolerance + pair.tolerance) * abs(pair.own) for each in fitting)

    largest = max(
        (_size(each) for pair in nearest for each in (pair.m, pair.g) if np.all(np.isfinite(each))), default=0.0
    )
    against = any(
        pair.informative and not pair.fits and not max(_size(pair.m), _size(pair.g)) <= _NOTHING * largest
        for pair in nearest
    )

    def plain(scale: float) -> bool:
        return sizes.plainness(scale) == 0 or (not against and sizes.written(scale))

    telling = [pair for pair in fitting if pair.informative or companions(pair) > 1 or plain(pair.own)]
    if not telling:
        return 1.0, False
    # max keeps the first of equals, which is the nearest
    best = max(telling, key=lambda pair: (companions(pair), -sizes.plainness(pair.own), pair.informative))
    return best.own, True


def _judge(name: str, pair: _Pair, common: float, largest: float, own: bool) -> Comparison:
    """One name's verdict under the common scale, or on its `own`."""
    m, g = pair.m, pair.g
    error, agreement = math.inf, math.nan
    if pair.fault is not None:
        return Comparison(name, m.shape, False, error, agreement, pair.own, pair.fault, m, g, pair.tolerance)
    scale = pair.own if own else common
    target = scale * g
    difference, size = _size(m - target), _size(target)
    noise = _ROUNDINGS * abs(scale) * largest * (1.2e-7 if pair.tolerance > TOLERANCES["d"] else 2.2e-16)
    if difference <= noise:
        error = 0.0 if not size else difference / max(size, noise)
    elif size:
        error = difference / size
    if _size(m) and size:
        a, b = _unit(m), _unit(target)
        agreement = float(np.real(np.vdot(b, a)) / (np.linalg.norm(a) * np.linalg.norm(b)))
    ok = difference <= max(noise, pair.tolerance * size)
    if ok and own and not abs(pair.own - common) <= 2 * pair.tolerance * abs(common):
        verdict = f"{_UP_TO}: {pair.own / common:.6g} times what is expected"
    elif ok:
        verdict = "right" if size else "right: both are 0"
    elif not size:
        verdict = "WRONG: it should be 0"
    elif not _size(m):
        verdict = "WRONG: it is 0"
    elif pair.fits:
        verdict = f"WRONG by a factor: {pair.own / scale:.6g} times what it should be"
    else:
        verdict = "WRONG"
    return Comparison(name, m.shape, ok, error, agreement, pair.own, verdict, m, g, pair.tolerance)


# ---- the common scale, in words ------------------------------------------------------------------------------------


ODD = 3  # what is no plain scale
_TWICE, _HALF = "with a factor 2 that the loss does not have", "without the factor 2 of the square"


class _Known(NamedTuple):
    """A positive factor as a word, the N in it, what it says about the loss, and whether anything is known of it."""

    word: str
    n: int | None = None
    notes: tuple[str, ...] = ()
    plain: bool = True


@dataclass(frozen=True)
class Sizes:
    """The counts of a computation by which a mean divides: `records` of a batch, and `widths` of layers.

    >>> Sizes.of([(3092, 3), (3, 4)], frozenset({3, 4})).meaning(-3092.0).partition(": ")[2]
    'a direction to be added to the parameters, of the summed loss.'
    """

    shapes: tuple[tuple[int, ...], ...] = ()
    records: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()

    @classmethod
    def of(cls, shapes: Iterable[tuple[int, ...]], widths: frozenset[int] = frozenset(), repeats: int = 0) -> Sizes:
        """The counts among the shapes seen on the way, where `widths` are those of the parameters' axes, and of the
        `repeats` of a loop over single records."""
        shapes = tuple(shapes)
        ends = dict.fromkeys(shape[i] for i in (0, -1) for shape in shapes if shape and shape[i] > 1)
        records = [n for n in ends if n not in widths]
        if repeats > 2:
            records.insert(0, repeats)
        if not records and any(len(shape) > 1 for shape in shapes):
            records = list(ends)  # as many records as units: it may be either
        whole = [n for n in dict.fromkeys(map(math.prod, shapes)) if n > 1 and n not in widths]
        return cls(shapes, tuple(dict.fromkeys([*records, *whole])), tuple(sorted(widths - {0, 1, *records})))

    def meaning(self, scale: float) -> str:
        """What a common scale means: its sign, a factor 2, and the size of a batch or of a layer."""
        sign = "-" if scale < 0 else ""
        known = self.recognised(abs(scale))
        notes = [*(["a direction to be added to the parameters"] if scale < 0 else []), *known.notes]
        if known.word == "1" and not sign:
            return "Your gradients are the generated ones."
        times = f"{sign}{known.word} times the generated ones" + (f" (N = {known.n})" if known.n else "")
        return f"Your gradients are {times}" + (f": {', '.join(notes)}." if notes else ".")

    def written(self, scale: float) -> bool:
        """Whether it is a scale as people write it: a short number, a count, or one times or through the other."""
        counts = (1, *self.records, *self.widths)
        return any(_equal(x, float(f"{x:.2g}")) for n in counts for x in (abs(scale) * n, abs(scale) / n))

    def plainness(self, scale: float) -> int:
        """0 for 1, 1 for -1, 2 for what a sum, a mean or a factor 2 makes, `ODD` for any other scale."""
        if _equal(abs(scale), 1.0):
            return 0 if scale > 0 else 1
        return 2 if self.recognised(abs(scale)).plain else ODD

    def recognised(self, size: float) -> _Known:
        """A positive factor, in words."""
        for value, known in self._factors():
            if _equal(size, value):
                return known
        return _Known(f"{size:.6g}", plain=False)

    def _factors(self) -> Iterator[tuple[float, _Known]]:
        """The factors that derivations differ by, the likeliest first."""
        yield 1.0, _Known("1")
        yield 2.0, _Known("2", None, (_TWICE,))
        yield 0.5, _Known("1/2", None, (_HALF,))
        for n in self.records:
            words = ("N", "1/N", "2 N", "N/2", "2/N", "1/(2 N)")
            yield from _of_a_count(n, words, "of the summed loss", "of the averaged loss", n)
        for n in self.widths:
            words = (f"{n}", f"1/{n}", f"{2 * n}", f"{n / 2:g}", f"2/{n}", f"1/{2 * n}")
            over = f"over {n} units"
            yield from _of_a_count(n, words, f"of the loss summed {over}", f"of the loss averaged {over}")
        for shape in self.shapes:
            n, m = (shape[0], shape[-1]) if len(shape) == 2 else (1, 1)
            for a, b in ((n, m), (m, n)):
                if min(a, b) > 1:
                    yield a / b, _Known(f"{a}/{b}", None, (f"divided by {b} where the loss is divided by {a}",))


def _of_a_count(
    n: int, words: tuple[str, ...], summed: str, averaged: str, shown: int | None = None
) -> Iterator[tuple[float, _Known]]:
    """The factors of a sum or a mean over n, with or without a factor 2."""
    values = (n, 1 / n, 2 * n, n / 2, 2 / n, 0.5 / n)
    notes = ((summed,), (averaged,), (summed, _TWICE), (summed, _HALF), (averaged, _TWICE), (averaged, _HALF))
    for value, word, note in zip(values, words, notes, strict=True):
        yield value, _Known(word, shown, note)


def _equal(size: float, value: float) -> bool:
    return math.isclose(size, value, rel_tol=1e-5)
