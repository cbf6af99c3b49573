"""Texts in charts: names made harmless and short, numbers written for readers."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from math import isnan
from typing import Any

from journeykit.support.escaping import visible

LABEL = 26
"""The longest name beside a mark, in characters; the whole one is shown on hover."""
WHOLE = 300
TITLE, SUBTITLE, HOVER = 54, 84, 60
"""Characters in a line, so that a chart of 600 pixels has room for it."""

LEFT_TO_RIGHT = "\u200e"
"""Ends a text that runs from right to left, so that what follows does not join it."""
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"}
"""What plotly would take for markup, for mathematics or, in a template, for a number to be filled in."""
UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def plain(name: object) -> str:
    """Return a name in one line: control characters by their escapes, its direction kept to itself."""
    if name is None:
        return "(none)"
    text = visible(name if isinstance(name, str) else written(name))
    if any(unicodedata.bidirectional(each) in {"R", "AL"} for each in text):
        return f"{text.rstrip(LEFT_TO_RIGHT)}{LEFT_TO_RIGHT}"
    return text if text.strip() else "(empty)"


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
    last = max(1, (width - 3) // 4)
    return f"{text[: width - 3 - last]}...{text[-last:]}"


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
        cut = {text: _between(text, len(ahead), len(behind), width) for text in long}
        short = [cut.get(text, text) for text in texts]
    return [escaped(text) for text in short]


def _between(text: str, ahead: int, behind: int, width: int) -> str:
    """Return what is left of a text without its beginning and its end."""
    inner = text[ahead : len(text) - behind]
    end = "..." if behind or len(inner) > width - 6 else ""
    return f"...{inner[: width - 6]}{end}"


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
        return "never"
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
