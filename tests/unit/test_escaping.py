"""Hostile names in the languages that would obey them."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

import polars as pl
import pytest

from journeykit.support.escaping import as_cells, dot, markdown, markup, mermaid, spreadsheet, visible
from journeykit.support.files import write_frame
from tests.logs import HOSTILE_NAMES

NAMES = (
    *HOSTILE_NAMES,
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    "\\N",
    "end\\",
    "\ud800",
)


@pytest.mark.parametrize("name", NAMES)
def test_markup_is_the_text_that_one_sees(name):
    written = markup(name)
    root = ElementTree.fromstring(f'<a title="{written}">{written}</a>')
    assert (root.text or "", root.get("title"), len(root)) == (visible(name), visible(name), 0)
    assert html.unescape(written) == visible(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_visible_is_one_line_of_harmless_characters(name):
    shown = visible(name)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set("\x00\t\r\x1b\u202e\u202d\u2066\ud800")


def test_scripts_and_emoji_stay_as_they_are():
    for name in ("👩\u200d💻 développé", "שלום", "e\u0301", "بيت\u200f"):
        assert visible(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_dot_reads_back_what_is_visible(name):
    written = dot(name)
    assert written[0] == written[-1] == '"'
    assert re.fullmatch(r'(?:[^"\\]|\\"|\\\\)*', written[1:-1])
    assert re.sub(r"\\(.)", r"\1", written[1:-1]) == visible(name)


@pytest.mark.parametrize("name", NAMES)
def test_mermaid_reads_back_what_is_visible(name):
    written = mermaid(name)
    assert re.fullmatch(r'"[\w ;#]*"', written)
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), written[1:-1]) == visible(name)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("add_to_cart", "add\\_to\\_cart"),
        ("a | b", "a \\| b"),
        ("<script>", "&lt;script&gt;"),
        ("[x](http://e.org)", "\\[x\\]\\(http\\://e\\.org\\)"),
        ("two\nlines", "two\\\\nlines"),
        ("&lt;", "&amp;lt;"),
        ("שלום", "שלום"),
    ],
)
def test_markdown(name, written):
    assert markdown(name) == written


@pytest.mark.parametrize(
    "first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_formulas_are_texts(first):
    assert spreadsheet(f"{first}1") == f"'{first}1"


def test_plain_cells_stay():
    for text in ("view", "", " =1", "a=1", "'=1", "/home"):
        assert spreadsheet(text) == text


def test_frames_as_cells():
    frame = pl.DataFrame(
        {
            "=name": ["=1", "ok", None],
            "count": [-1, 2, 3],
            "kind": pl.Series(["@x", "y", "y"], dtype=pl.Categorical),
        }
    )
    found = as_cells(frame)
    assert found.columns == ["'=name", "count", "kind"]
    assert found.rows() == [("'=1", -1, "'@x"), ("ok", 2, "y"), (None, 3, "y")]
    assert as_cells(pl.DataFrame()).shape == (0, 0)


def test_csv_holds_no_formula(tmp_path):
    frame = pl.DataFrame(
        {"path": [["=1+1", "buy"], ["view"]], "event": ["@SUM(A1)", "-"], "value": [-1.5, 2.0]}
    )
    written = write_frame(frame, tmp_path / "answer.csv").read_text()
    assert written == "path,event,value\n'=1+1 > buy,'@SUM(A1),-1.5\nview,'-,2.0\n"
    assert pl.read_parquet(write_frame(frame, tmp_path / "answer.parquet")).equals(frame)
