"""The examples in README.md and in docs/ run, and print what the pages say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^[ \t]*(```|~~~|:::).*$", re.MULTILINE)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documents() -> list[Path]:
    pages = [*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.rst")]
    return sorted(page for page in pages if "_build" not in page.parts and ">>>" in page.read_text("utf-8"))


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # A fence would be read as the last line of what is expected. An empty line keeps the line numbers.
    text = FENCE.sub("", page.read_text("utf-8"))
    examples = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, page.name, str(page), 0)
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(examples)
    assert results.failed == 0, capsys.readouterr().out
