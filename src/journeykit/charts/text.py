"""Texts in charts: names made harmless and short, numbers written for readers."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from math import isnan
from typing import Any

LABEL = 26
"""The longest name beside a mark, in characters; the whole one is shown on hover."""
WHOLE = 300
TITLE, SUBTITLE, HOVER = 54, 84, 60
"""Characters in a line, so that a chart of 600 pixels has room for it."""

ISOLATE, END_ISOLATE = "\u2068", "\u2069"
DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"}
"""What plotly would take for markup, for mathematics or, in a template, for a number to be filled in."""
UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def plain(name: object) -> str:
    """Return a name in one line, without control characters, and with its direction kept to itself."""
    if name is None:
        return "(none)"
    text = DIRECTIONS.sub("", name if isinstance(name, str) else written(name))
    text = "".join(" " if unicodedata.category(each) in {"Cc", "Zl", "Zp"} else each for each in text)
    text = " ".join(text.split())
    if any(unicodedata.bidirectional(each) in {"R", "AL"} for each in text):
        return f"{ISOLATE}{text}{END_ISOLATE}"
    return text or "(empty)"


def escaped(text: str) -> str:
    """Write a text so that plotly shows it as it is."""
    return "".join(ENTITIES.get(each, each) for each in text)


def label(name: object, width: int = LABEL) -> str:
    """Return what stands for a name beside a mark: harmless, and no longer than `width` characters.

    Examples
    --------
    >>> label("view <b>product</b>")
    'view &lt;b&gt;product&lt;/b&gt;'
    >>> label("a" * 40, 10)
    'aaaaaa...a'
    """
    return escaped(_shortened(plain(name), width))


def _shortened(text: str, width: int) -> str:
    """Leave out the middle of a long text: names of one family often differ at their ends."""
    if len(text) <= width:
        return text
    isolated = text.startswith(ISOLATE)
    text = text.strip(ISOLATE + END_ISOLATE)
    last = max(1, (width - 3) // 4)
    short = f"{text[: width - 3 - last]}...{text[-last:]}"
    return f"{ISOLATE}{short}{END_ISOLATE}" if isolated else short


def labels(names: Sequence[object], width: int = LABEL) -> list[str]:
    """Return labels that tell the names apart: where alike ones would come out, what all have in common is left out.

    Examples
    --------
    >>> labels(["/shop/a-long-way/shoes/x.html", "/shop/a-long-way/boots/x.html"], 12)
    ['...shoe...', '...boot...']
    """
    texts = [plain(name) for name in names]
    short = [_shortened(text, width) for text in texts]
    if len(set(short)) < len(set(texts)):
        long = sorted({text for text in texts if len(text) > width})
        ahead = _alike(long)
        behind = _alike([text[len(ahead) :][::-1] for text in long])[::-1]
        cut = {
            text: f"...{text[len(ahead) : len(text) - len(behind)]}{'...' * bool(behind)}" for text in long
        }
        short = [_shortened(cut.get(text, text), width) for text in texts]
    return [escaped(text) for text in short]


def _alike(texts: Sequence[str]) -> str:
    """Return what texts begin with, all of them."""
    first, last = min(texts, default=""), max(texts, default="")
    size = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:size]


def whole(name: object) -> str:
    """Return a name as it is shown on hover: harmless, in lines, and whole up to 300 characters."""
    return "<br>".join(escaped(line) for line in lines(_shortened(plain(name), WHOLE), HOVER)) or "(empty)"


def lines(text: str, width: int) -> list[str]:
    """Break a text into lines; a word that is longer than a line is broken too."""
    return textwrap.wrap(text, width, break_on_hyphens=False)


def paragraph(sentences: Sequence[str], width: int) -> str:
    """Put sentences into lines for plotly; names in them are plain, not yet escaped."""
    return "<br>".join(escaped(line) for line in lines(" ".join(filter(None, sentences)), width))


def count(number: float | None) -> str:
    """Write a number with separators, of digits as many as it deserves.

    Examples
    --------
    >>> count(12345), count(0.0123456), count(None)
    ('12,345', '0.0123', 'unknown')
    """
    if number is None or isnan(number):
        return "unknown"
    if number in (float("inf"), float("-inf")):
        return "infinite"
    if float(number).is_integer():
        return f"{int(number):,}"
    return f"{number:,.1f}" if abs(number) >= 100 else f"{number:.3g}"


def percent(share: float | None) -> str:
    """Write a share in percent.

    Examples
    --------
    >>> percent(0.4567), percent(0.00012), percent(1.0), percent(None)
    ('45.7 %', '0.012 %', '100 %', 'unknown')
    """
    if share is None or isnan(share):
        return "unknown"
    hundredths = 100 * share
    if hundredths in (0, 100):
        return f"{hundredths:.0f} %"
    return f"{hundredths:.1f} %" if abs(hundredths) >= 0.1 else f"{hundredths:.2g} %"


def duration(seconds: float | None) -> str:
    """Write a duration in its largest unit.

    Examples
    --------
    >>> duration(90), duration(7200), duration(0.25), duration(None)
    ('1.5 min', '2 h', '0.25 s', 'unknown')
    """
    if seconds is None or isnan(seconds):
        return "unknown"
    if seconds == float("inf"):
        return "never for half"
    length, unit = next((each for each in UNITS if abs(seconds) >= each[0]), UNITS[-1])
    return f"{seconds / length:.3g} {unit}"


def interval(low: float | None, high: float | None, write: Any = percent) -> str:
    """Write the ends of an interval, nothing where there is none."""
    return "" if low is None or high is None else f" [{write(low)} to {write(high)}]"


def written(value: object) -> str:
    """Write a value of a frame: times without what is zero, lists as paths."""
    if isinstance(value, datetime):
        midnight = value.hour == value.minute == value.second == 0
        return value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M")
    if isinstance(value, list | tuple):
        return " > ".join(plain(each) for each in value)
    if isinstance(value, float):
        return count(value)
    return str(value)


def words(column: str) -> str:
    """Write the name of a column as words."""
    return column.replace("_", " ")
