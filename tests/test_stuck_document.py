"""docs/stuck.md prints what it says, its command exists, and each finding that it names is one that can be made."""

import doctest
import re
from pathlib import Path

import nn.diagnosis
from tests.nn.diagnosis_networks import broken

PAGE = Path(__file__).parents[1] / "docs" / "stuck.md"


def test_the_blocks_run():
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags)
    assert result.attempted >= 60
    assert result.failed == 0


def test_the_findings_that_it_names_exist():
    known = {name for training in broken(0) for name in training.expected}
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    named = {
        name.strip() for line in table for part in re.findall(r"`nn\.diagnose[^`]*`: ([^;|]+)", line)
        for name in part.split(",")
    }  # fmt: skip
    assert len(named) >= 10
    assert named <= known, named - known


def test_every_kind_of_finding_is_tested():
    """Each name that a check can give stands in the tests of what is found."""
    known = {name for training in broken(0) for name in training.expected}
    folder = Path(nn.diagnosis.__file__).parent
    given = set()
    for path in folder.glob("*.py"):
        given |= set(re.findall(r'Finding\(\s*f?"([^"{]+)"', path.read_text()))
    given |= {"gradients vanishing", "gradients exploding", "weights too large", "weights too small"}
    given |= {"one class for all", "constant predictions"}
    given -= {"gradients ", "weights too "}
    assert len(given) >= 25
    assert given <= known, given - known
