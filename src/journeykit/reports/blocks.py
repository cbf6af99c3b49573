"""What sections are made of: texts, lists, tables, figures. Only what is drawn by us is markup; all else is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    text : str
        What it says.
    bar : Markup or str
        A small drawing beside the number; empty without one.
    number : bool
        Whether it stands to the right.
    """

    text: str
    bar: Markup | str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Text:
    """Sentences, each a paragraph, or each a point of a list."""

    kind: ClassVar[str] = "text"
    sentences: Sequence[str]
    points: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing: what it shows, said in words for those who do not see it, stands in the drawing itself."""

    kind: ClassVar[str] = "figure"
    caption: str
    drawing: Markup
    wide: bool = False


@dataclass(frozen=True)
class Listing:
    """Code or TOML, to be copied."""

    kind: ClassVar[str] = "listing"
    caption: str
    text: str


@dataclass(frozen=True)
class Details:
    """Blocks behind a line that opens them; open on paper."""

    kind: ClassVar[str] = "details"
    caption: str
    blocks: Sequence[Table | Text | Listing]


Block = Table | Text | Figure | Listing | Details


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading."""

    name: str
    title: str
    blocks: Sequence[Block]


def name(text: str) -> Cell:
    """Return a cell with words."""
    return Cell(text)


def number(text: str, bar: Markup | str = "") -> Cell:
    """Return a cell with a number."""
    return Cell(text, bar, number=True)
