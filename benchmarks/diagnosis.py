"""The score of the diagnosis: mistakes are put into backward passes, and check_backprop has to name them.

    python -m benchmarks.diagnosis [--quick] [--pairs N] [--right N] [--jobs N] [--out FILE]

Three kinds of injection, over networks of one to five layers:

    by hand      mistakes written into a hand-written backward pass in plain NumPy (`by_hand.py`), which knows nothing
                 of the catalogue: the score that counts
    catalogue    each entry of the catalogue at each place, by its own rule: whether the search finds what it knows
    pairs        two mistakes at once, half of them by hand, half from the catalogue

A mistake is named correctly if its name and its place stand in the report, as a cause or among the causes that the data
cannot tell from it. A mutant that equals the right gradients up to a common scale is no mistake and is left out, and so
is a pair that comes to the same gradients as one mistake. Of right derivations, in both precisions and with ties, none
may be called wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.diagnosis import understood
from autograd_lite.mistakes import CATALOGUE
from autograd_lite.reports import Report
from autograd_lite.sites import Impossible

from . import by_hand
from .by_hand import Array, Network

NETWORKS = (
    Network("linear softmax", (5, 3), "tanh", "softmax", "ce"),
    Network("logistic", (4, 1), "tanh", "sigmoid", "bce", bias=False),
    Network("linear, columns", (6, 2), "tanh", "identity", "mse", columns=True),
    Network("xor", (3, 4, 1), "sigmoid", "sigmoid", "mse", bias=False, rows=9),
    Network("tanh softmax", (5, 6, 3), "tanh", "softmax", "ce", style=1),
    Network("relu regression, columns", (5, 6, 2), "relu", "identity", "mse", columns=True, style=1),
    Network("relu bce", (6, 5, 1), "relu", "sigmoid", "bce", style=2),
    Network("sigmoids softmax mse, columns", (6, 5, 4, 3), "sigmoid", "softmax", "mse", columns=True),
    Network("relu softmax", (7, 6, 5, 4), "relu", "softmax", "ce", style=3, rows=8),
    Network("sin", (1, 10, 10, 1), "sigmoid", "sigmoid", "mse", bias=False, rows=10, style=1),
    Network("tanh squares", (5, 5, 5, 2), "tanh", "tanh", "mse", rows=6, style=1),
    Network("deep tanh, columns", (6, 5, 5, 4, 3), "tanh", "softmax", "ce", bias=False, columns=True),
    Network("deep relu", (4, 8, 8, 8, 1), "relu", "sigmoid", "mse", rows=9),
    Network("five sigmoids", (5, 6, 5, 6, 5, 2), "sigmoid", "sigmoid", "bce", style=2),
    Network("five tanh, columns", (4, 6, 6, 6, 6, 2), "tanh", "identity", "mse", bias=False, columns=True, style=2),
    Network("one record", (6, 5, 4), "sigmoid", "softmax", "mse", columns=True, rows=1),
)
KINDS = ("by hand", "catalogue", "pairs")
SCALES = (1.0, -1.0, 2.0, -7.0, 0.05)
Named = tuple[tuple[str, ...], str]  # the names that are right, and the place


def named(report: Report, expected: Named) -> bool:
    """Whether a report names a mistake at its place, alone there."""
    names, place = expected
    return any(
        name in names and len(places) == 1 and (places[0] == place or places[0].startswith(f"{place} with "))
        for finding in report.findings
        for name, places in finding.mistakes
    )


def proportional(one: dict[str, Array], other: dict[str, Array]) -> bool:
    """Whether gradients are the same up to one scale."""
    if any(one[name].shape != other[name].shape for name in one):
        return False
    a, b = (np.concatenate([each[name].ravel() for name in one]) for each in (one, other))
    scale = (a @ b) / (a @ a) if a @ a else 0.0
    return bool(scale) and bool(np.abs(b - scale * a).max() <= 1e-7 * np.abs(b).max())


class Case:
    """A network with its loss, its parameters and its right gradients."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.params, self.x, self.t = network.make()
        self.loss = by_hand.loss_of(network, self.x, self.t)
        self.right = by_hand.by_hand(network, self.params, self.x, self.t)
        self.layers = understood(None, self.loss, self.params)

    def check(self, manual: dict[str, Array], number: int) -> Report:
        """The report on gradients, on a scale of their own."""
        scale = SCALES[number % len(SCALES)]
        return ag.check_backprop(self.loss, self.params, {name: scale * value for name, value in manual.items()})

    # ---- mistakes ------------------------------------------------------------------------------------------------

    def written(self, *made: tuple[str, int]) -> dict[str, Array]:
        """Gradients by hand, with mistakes; Impossible where one leaves the other no shape that fits."""
        try:
            return by_hand.by_hand(self.network, self.params, self.x, self.t, frozenset(made))
        except ValueError as error:
            raise Impossible(str(error)) from None

    def by_hand(self) -> Iterator[tuple[str, dict[str, Array], tuple[Named, ...]]]:
        """Every mistake of the hand-written pass."""
        for name, layer, names, place in self.hand():
            yield f"{name}, layer {layer}", self.written((name, layer)), ((names, place),)

    def hand(self) -> Iterator[tuple[str, int, tuple[str, ...], str]]:
        """The mistakes that can be made by hand, with the places under the names that the trace has for them."""
        known = {f"a{i}": layer.out.name for i, layer in enumerate(self.layers.layers, 1)}
        known |= {f"z{i}": layer.z.name for i, layer in enumerate(self.layers.layers, 1)}
        for name, layer, names, place in by_hand.all_mistakes(self.network):
            words = [known.get(word, word) for word in place.split()]
            yield name, layer, names, " ".join(words)

    def overridden(self, overrides: Any) -> dict[str, Array] | None:
        """Gradients with rules of the catalogue."""
        try:
            totals = self.layers.replay.back(overrides, self.layers.right).totals
        except Impossible:
            return None
        return {each.name: totals.get(each, np.zeros(each.shape)) for each in self.layers.program.inputs}

    def catalogue(self) -> Iterator[tuple[str, dict[str, Array], tuple[Named, ...]]]:
        """Every entry of the catalogue at every place."""
        for mistake in CATALOGUE:
            for place in mistake.places(self.layers):
                manual = self.overridden(mistake.overrides(self.layers, place, mistake.usual))
                if manual is not None:
                    yield f"{mistake.name} at {place.title}", manual, (((mistake.name,), place.title),)

    def pairs(self, count: int, rng: np.random.Generator) -> Iterator[tuple[str, dict[str, Array], tuple[Named, ...]]]:
        """Random pairs, by hand and from the catalogue in turn; those that come to one mistake are left out."""
        hand = list(self.hand())
        entries = [(mistake, place) for mistake in CATALOGUE for place in mistake.places(self.layers)]
        found = 0
        for attempt in range(20 * count):
            if found == count:
                return
            if attempt % 2 == 0:
                a, b = (hand[i] for i in rng.choice(len(hand), 2, replace=False))
                if a[3].partition(" ")[0] == b[3].partition(" ")[0]:
                    continue
                both: dict[str, Array] | None
                try:
                    singles = [self.written(each[:2]) for each in (a, b)]
                    both = self.written(a[:2], b[:2])
                except Impossible:
                    continue
                expected: tuple[Named, ...] = ((a[2], a[3]), (b[2], b[3]))
                title = f"{a[0]}, layer {a[1]} + {b[0]}, layer {b[1]}"
            else:
                one, two = (entries[i] for i in rng.choice(len(entries), 2, replace=False))
                parts = [mistake.overrides(self.layers, place, mistake.usual) for mistake, place in (one, two)]
                if one[1].of is two[1].of or not parts[0].keys().isdisjoint(parts[1]):
                    continue
                made = [self.overridden(each) for each in parts]
                both = self.overridden({**parts[0], **parts[1]})
                if made[0] is None or made[1] is None:
                    continue
                singles = [made[0], made[1]]
                expected = tuple(((mistake.name,), place.title) for mistake, place in (one, two))
                title = " + ".join(f"{mistake.name} at {place.title}" for mistake, place in (one, two))
            if both is None or any(proportional(each, both) for each in (*singles, self.right)):
                continue
            found += 1
            yield title, both, expected


Injected = Callable[[Case], Iterator[tuple[str, dict[str, Array], tuple[Named, ...]]]]


def score(case: Case, injected: Injected, verbose: bool) -> tuple[int, int, float]:
    """How many mistakes of a network were named, of how many, and the longest processor time of a diagnosis."""
    right = total = 0
    longest = 0.0
    for number, (title, manual, expected) in enumerate(injected(case)):
        if proportional(case.right, manual):
            continue
        started = time.process_time()
        report = case.check(manual, number)
        longest = max(longest, time.process_time() - started)
        if len(expected) > len(report.findings) == 1 and not report.notes:
            continue  # one mistake gives the same gradients as the two
        good = not report.ok and all(named(report, each) for each in expected)
        right, total = right + good, total + 1
        if verbose and not good:
            causes = [finding.mistakes for finding in report.findings]
            print(f"    {case.network.name}: {title}\n        {causes} {report.notes[:1]}", file=sys.stderr)
    return right, total, longest


def scores(network: Network, pairs: int, verbose: bool) -> list[tuple[int, int, float]]:
    """The scores of one network, of each kind of injection."""
    case, rng = Case(network), np.random.default_rng(1)
    ways: tuple[Injected, ...] = (Case.by_hand, Case.catalogue, lambda case: case.pairs(pairs, rng))
    return [score(case, way, verbose) for way in ways]


# ---- right derivations ---------------------------------------------------------------------------------------------


def right_ones(count: int, seed: int = 0) -> Iterator[tuple[Network, dict[str, Array], Any]]:
    """Right derivations by hand of random networks, in both precisions, some with ties at relus."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        depth = int(rng.integers(1, 6))
        loss = str(rng.choice(["mse", "ce", "bce"]))
        output = {"ce": "softmax", "bce": "sigmoid"}.get(
            loss, str(rng.choice(["sigmoid", "tanh", "identity", "softmax"]))
        )
        units = int(rng.integers(2, 5)) if output == "softmax" else int(rng.integers(1, 4))
        hidden = str(rng.choice(["sigmoid", "tanh", "relu", "relu"]))
        network = Network(
            f"right {number}",
            (*(int(n) for n in rng.integers(1, 9, depth)), units),
            hidden,
            output,
            loss,
            bias=bool(rng.integers(2)),
            columns=bool(rng.integers(2)),
            rows=int(rng.integers(1, 12)),
            style=int(rng.integers(12)),
            dtype=np.float32 if number % 2 else np.float64,
            seed=number,
            ties=hidden == "relu" and bool(rng.integers(2)),
        )
        params, x, t = network.make()
        manual = by_hand.by_hand(network, params, x, t)
        yield network, {name: SCALES[number % 5] * value for name, value in manual.items()}, (params, x, t)


def false_alarms(count: int, verbose: bool) -> tuple[int, int]:
    """How many right derivations were called wrong, and how many had a tie."""
    wrong = ties = 0
    for network, manual, (params, x, t) in right_ones(count):
        ties += network.ties
        report = ag.check_backprop(
            by_hand.loss_of(network, x, t), params, {name: np.asarray(m, network.dtype) for name, m in manual.items()}
        )
        wrong += not report.ok
        if verbose and not report.ok:
            print(f"    {network}\n{report}", file=sys.stderr)
    return wrong, ties


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description="the score of the diagnosis")
    parser.add_argument("--quick", action="store_true", help="the first eight networks, fewer pairs")
    parser.add_argument("--pairs", type=int, default=12, metavar="N", help="pairs a network (default 12)")
    parser.add_argument("--right", type=int, default=500, metavar="N", help="right derivations (default 500)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at once (default 1)")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="networks by their names")
    parser.add_argument("--verbose", action="store_true", help="show what was missed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table as JSON too")
    options = parser.parse_args()
    networks = NETWORKS[:8] if options.quick else NETWORKS
    if options.only:
        networks = tuple(each for each in NETWORKS if each.name in options.only)
    pairs = min(options.pairs, 6) if options.quick else options.pairs
    print(f"{'network':<30} {'by hand':>12} {'catalogue':>12} {'pairs':>12} {'longest':>9}")
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        tasks = [pool.submit(scores, network, pairs, options.verbose) for network in networks]
        for network, task in zip(networks, tasks, strict=True):
            found = task.result()
            counts = [f"{right} of {total}" for right, total, _ in found]
            longest = max(each[2] for each in found)
            print(f"{network.name:<30} {counts[0]:>12} {counts[1]:>12} {counts[2]:>12} {longest:>7.2f} s", flush=True)
            rows.append({"network": network.name, **dict(zip(KINDS, (each[:2] for each in found), strict=True))})
    totals = [tuple(sum(row[kind][i] for row in rows) for i in (0, 1)) for kind in KINDS]
    shares = [right / max(total, 1) for right, total in totals]
    print(f"{'all':<30} " + " ".join(f"{right} of {total}".rjust(12) for right, total in totals))
    print(f"{'':<30} " + " ".join(f"{share:.2%}".rjust(12) for share in shares))
    wrong, ties = false_alarms(options.right, options.verbose)
    print(f"\nright derivations called wrong: {wrong} of {options.right} ({ties} with ties at a relu, half in float32)")
    if options.out:
        table = {"networks": rows, "shares": dict(zip(KINDS, shares, strict=True)), "false alarms": wrong}
        options.out.write_text(json.dumps({**table, "right derivations": options.right}, indent=1))
    return int(min(shares[:2]) < 0.99 or shares[2] < 0.9 or wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
