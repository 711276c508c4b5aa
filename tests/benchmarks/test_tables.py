"""The benchmark's figures are put together and shown as they were measured, and nothing measured is lost."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.running import Failed, Run
from benchmarks.tables import HEADINGS, TABLES, duration, markdown, number, paid_off, text


def result(**changes: dict[str, Any]) -> dict[str, Any]:
    """What a case gives: every variant measured, but for the changes."""
    variants = {v: {"ratio": 1234.5, "seconds": 0.123456, "first": 12.3, "peak": 10**9} for v in TABLES[0].columns}
    return {"case": "xor", "title": "784-300-75-10, 64 rows, f32", "variants": variants | changes}


@pytest.mark.parametrize(
    ("first", "compiled", "other"), [(1.0, 0.01, 0.03), (0.5, 0.1, 0.7), (0.002, 0.002, 0.003), (1.0, 0.25, 0.5)]
)
def test_compiling_has_paid_off_at_the_first_step_that_ends_sooner(first: float, compiled: float, other: float) -> None:
    steps = 1
    while first + (steps - 1) * compiled >= steps * other:
        steps += 1
    assert paid_off(first, compiled, other) == steps


def test_compiling_never_pays_off_where_it_is_slower() -> None:
    assert paid_off(1.0, 0.02, 0.02) == math.inf
    assert "never" in text(TABLES[3], [result(torch={"seconds": 0.1, "ratio": 1.0})])


def test_compiling_is_held_against_the_same_code_run_eagerly_and_against_the_step_by_hand() -> None:
    one = result(
        by_hand={"ratio": 1.0, "seconds": 0.15},
        torch={"ratio": 2.0, "seconds": 0.3},
        torch_compile={"ratio": 0.5, "seconds": 0.1, "first": 2.05},
    )
    eager, by_hand = (dict(zip(t.columns, next(t.rows([one]))[1:], strict=True)) for t in TABLES[3:])
    assert (eager["torch_compile"], by_hand["torch_compile"]) == ("10", "40")


def test_every_table_fits_120_columns() -> None:
    for table in TABLES:
        lines = text(table, [result(), result(torch={"failed": ">150 s"})]).splitlines()
        assert max(map(len, lines)) <= 120
        rows = [line.split("  ") for line in lines[-2:]]
        assert all(cell.strip() for row in rows for cell in row if cell)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0712, "0.07"), (9.994, "9.99"), (9.996, "10.0"), (99.96, "100"), (12345.6, "12,346"), (1.2e7, "1e+07")],
)
def test_a_number_has_six_characters_at_most(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (29.6e-6, "30 us"),
        (9.96e-6, "10 us"),
        (1.24e-3, "1.2 ms"),
        (0.9996, "1.0 s"),
        (43.0, "43 s"),
        (1234.0, "1234 s"),
    ],
)
def test_a_time_has_its_unit(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_what_failed_is_shown_in_its_place_and_what_was_not_measured_as_a_dash() -> None:
    one = result(torch={"failed": "crash", "said": "..."})
    del one["variants"]["jax_jit"]
    cells = dict(zip(TABLES[0].columns, next(TABLES[0].rows([one]))[1:], strict=True))
    assert (cells["torch"], cells["jax_jit"], cells["modules"]) == ("crash", "-", "1,234")
    assert "| crash | 1,234 | - |" in markdown(TABLES[0], [one])


def test_a_process_that_breaks_down_or_takes_too_long_is_reported() -> None:
    run = Run(rounds=1, processes=1, limit=1)
    assert run._first("nothing", "by_hand") == {"failed": "crash", "said": "KeyError: 'nothing'"}
    assert run._first("chain", "compiled_plain") == {"failed": ">1 s", "said": ""}


def test_a_ratio_is_the_median_of_the_rounds_and_then_of_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([{"by_hand": [1.0, 2.0, 4.0], "plain": [3.0, 2.0, 8.0]}, {"by_hand": [1.0], "plain": [4.0]}] * 2)
    monkeypatch.setattr("benchmarks.running.variants_of", lambda name: ["by_hand", "plain"])
    monkeypatch.setattr(Run, "_measure", lambda self, *arguments: next(runs))
    figures = Run(rounds=3, processes=2, quick=True).case("xor")["variants"]["plain"]
    assert figures == {"ratio": (2.0 + 4.0) / 2, "seconds": (3.0 + 4.0) / 2}


@pytest.mark.parametrize(("ending", "status"), [(KeyboardInterrupt, 130), (Failed("crash", "why"), 1)])
def test_what_was_measured_is_saved_when_the_run_ends_early(
    ending: Any, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    found = iter([result(), ending])

    def case(self: Run, name: str) -> dict[str, Any]:
        one = next(found)
        if isinstance(one, dict):
            return one
        raise one

    monkeypatch.setattr(Run, "case", case)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "xor", "heart", "--out", str(tmp_path)])
    assert command.main() == status
    assert json.loads((tmp_path / "results.json").read_text())["results"] == [result()]
    assert "784-300-75-10" in (tmp_path / "table.md").read_text()
    assert sorted(each.suffix for each in tmp_path.iterdir()) in ([".json", ".md", ".png"], [".json", ".md"])
    assert "784-300-75-10" in capsys.readouterr().out


def test_the_command_measures_in_processes_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.running.variants_of", lambda name: ["by_hand", "modules"])
    monkeypatch.setattr(
        sys, "argv", ["benchmarks", "abs_sin", "--rounds", "1", "--processes", "1", "--out", str(tmp_path)]
    )
    assert command.main() == 0
    (one,) = json.loads((tmp_path / "results.json").read_text())["results"]
    assert one["variants"]["by_hand"]["ratio"] == 1
    assert one["variants"]["modules"]["ratio"] > 0
    assert one["variants"]["modules"]["first"] > 0
    assert "1-10-10-1, 10 rows" in capsys.readouterr().out


def test_a_variant_that_breaks_down_leaves_the_others_their_figures_and_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.running.variants_of", lambda name: ["by_hand", "model"])
    monkeypatch.setitem(HEADINGS, "model", "no step")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "abs_sin", "--quick", "--rounds", "1", "--out", str(tmp_path)])
    assert command.main() == 1
    assert "1-10-10-1, 10 rows, no step: TypeError: " in (tmp_path / "table.md").read_text()
    assert "1-10-10-1, 10 rows, no step: TypeError: " in capsys.readouterr().out
    (one,) = json.loads((tmp_path / "results.json").read_text())["results"]
    assert one["variants"]["by_hand"]["ratio"] == 1
