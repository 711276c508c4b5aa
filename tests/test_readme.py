"""The README's Python blocks run, and its commands name what exists."""

import doctest
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_blocks_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = README.read_text()
    test = doctest.DocTestParser().get_doctest(text, {}, README.name, str(README), 0)
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(
        test, clear_globs=False
    )
    assert result.attempted >= 20
    assert result.failed == 0
    assert (tmp_path / "out" / "loss.html").is_file()
    source = test.globs["source"]
    assert f"```python\n{source[source.index('def backprop') :].rstrip()}\n```\n" in text


@pytest.mark.parametrize("name", sorted(set(re.findall(r"python -m examples\.(\w+)", README.read_text()))))
def test_the_commands_exist(name):
    assert (README.parent / "examples" / f"{name}.py").is_file()
