"""Frames as tables to be read."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time
from typing import Any, NoReturn

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from journeykit.cli.guard import one_line, printable
from journeykit.statistics.base import Answer, described

BROKEN_PIPE = 141
ROWS, ROWS_PER_SEGMENT, MOST_ROWS = 15, 5, 40
PLAIN_WIDTH = 120
LONGEST_UNBROKEN = 28
TIME = "time"
MAIN_NUMBERS = (
    "users", "sessions", "events_per_session", "session_duration_median", "bounce_rate", "session_conversion_rate",
)  # fmt: skip
SHOWN: Mapping[str, Sequence[str]] = {
    "Overview": ("number", "value", "unit", *MAIN_NUMBERS),
    "Transitions": ("source", "target", "transitions", "users", "probability", "time_mean"),
    "TopPaths": ("path", "count", "users", "share", "cumulative_share", "conversion_rate"),
    "Conversion": ("state", "reached", "users", "converted", "abandoned", "open", "conversion_rate"),
    "Abandonment": ("reached", "users", "converted", "abandoned", "open", "abandonment_rate"),
    "StageFlow": ("stage", "visited", "reached", "reached_share", "step_through", "regress_rate", "exit_share",
                  "dwell_median"),
}  # fmt: skip
"""Which columns of an answer are printed; all are written."""
TIMES = ("time", "dwell", "active", "duration", "gap")
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Pipe(Console):
    """A console whose reader may leave early: ``journeykit ... | head``."""

    def on_broken_pipe(self) -> NoReturn:
        """Leave quietly, with the exit code of a process that lost its reader."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)


class Page:
    """What is printed on stdout. Names from the log are text, never markup or commands to the terminal."""

    def __init__(self) -> None:
        known = sys.stdout.isatty() or "COLUMNS" in os.environ
        self.console = Pipe(
            width=None if known else PLAIN_WIDTH, markup=False, highlight=False, emoji=False, soft_wrap=False
        )

    def say(self, text: str) -> None:
        """Print lines of text."""
        for line in text.splitlines():
            self.console.print(Text(printable(line)))
        self.console.print()

    def heading(self, text: str) -> None:
        """Print a title over what follows."""
        self.console.rule(Text(printable(text)), align="left", characters="=")

    def answer(self, name: str, answer: Answer) -> None:
        """Print the main columns and the first rows of an answer."""
        labels = answer.context.labels.columns
        title = f"{name.replace('_', ' ')}: {described(answer.statistic)}"
        kind = type(answer.statistic).__name__
        frame = _by_number(answer.frame, labels) if kind == "Overview" else answer.frame
        rows = frame.head(ROWS)
        if kind == "Overview":
            rows = frame.head(MOST_ROWS)
        elif labels:
            rows = frame.group_by(labels, maintain_order=True).head(ROWS_PER_SEGMENT).head(MOST_ROWS)
        self.table(title, rows, [*labels, *SHOWN.get(kind, headline(frame))])
        if rows.height < frame.height:
            self.say(f"{rows.height:,} of {frame.height:,} rows; the files have them all")

    def table(self, title: str, frame: pl.DataFrame, columns: Sequence[str]) -> None:
        """Print some columns of a frame, rates with their intervals."""
        table = Table()
        cells = {
            name: [value_of(name, row) for row in frame.iter_rows(named=True)]
            for name in dict.fromkeys(columns) if name in frame.columns
        }  # fmt: skip
        for name, values in cells.items():
            header = one_line(name.replace("_", " "))
            # A text wraps at its blanks; within a word only if that is very long.
            longest = max(map(len, " ".join([header, *values]).split()), default=1)
            table.add_column(
                Text(header), justify="right" if frame.schema[name].is_numeric() else "left", overflow="fold",
                min_width=min(longest, LONGEST_UNBROKEN),
            )  # fmt: skip
        for row in zip(*cells.values(), strict=True):
            table.add_row(*map(Text, row))
        self._titled(title, table)

    def _titled(self, title: str, table: Table) -> None:
        self.console.print(Text(one_line(title), style="bold"))
        self.console.print(table)
        self.console.print()

    def notes(self, answers: Mapping[str, Answer]) -> None:
        """Print every note once; those of one answer with its name."""
        shared = set.intersection(*(set(answer.notes) for answer in answers.values()))
        said = dict.fromkeys(
            note if note in shared else f"{name}: {note}"
            for name, answer in answers.items()
            for note in answer.notes
        )
        if said:
            self.say("\n".join(f"- {one_line(note)}" for note in said))


def headline(frame: pl.DataFrame) -> list[str]:
    """Return the columns of a frame without the bounds of intervals."""
    return [
        name for name in frame.columns if not name.endswith(("_low", "_high")) and name not in {"low", "high"}
    ]


def value_of(name: str, row: Mapping[str, Any]) -> str:
    """Write the value of a column for people, with its interval if it has one.

    Examples
    --------
    >>> value_of("rate", {"rate": 0.25, "low": 0.2, "high": 0.31})
    '25.0 % (20.0 to 31.0)'
    >>> value_of("dwell_median", {"dwell_median": 5400.0})
    '1.5 h'
    >>> value_of("value", {"value": 5184.0, "unit": "events"})
    '5,184'
    """
    value, bounds = row[name], _bounds(name, row)
    if not isinstance(value, float):
        return _plain(value)
    write, unit = WRITERS[_kind(name, row.get("unit"))]
    return write(value) + unit + (f" ({write(bounds[0])} to {write(bounds[1])})" if bounds else "")


def _by_number(frame: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Lay out an overview: of several segments the main numbers side by side, as texts."""
    if not labels:
        # Printed durations have their own units.
        return frame.with_columns(pl.col("unit").replace("seconds", TIME))
    texts = pl.Series(
        "text", [value_of("value", row) for row in frame.iter_rows(named=True)], dtype=pl.String
    )
    main = frame.select(*labels, "number", texts).filter(pl.col("number").is_in(MAIN_NUMBERS))
    return main.pivot("number", index=labels, values="text", maintain_order=True)


def _kind(name: str, unit: str | None) -> str:
    """Tell what a number is: from its unit, if a column says it, else from its name."""
    if unit is not None:
        kinds = {
            "time": unit in {"seconds", TIME},
            "share": unit.startswith("share"),
            "ratio": " per " in unit,
        }
        return next((kind for kind, holds in kinds.items() if holds), "count")
    if name.startswith(TIMES):
        return "time"
    return "ratio" if "_per_" in name or name == "lift" else "share"


def _bounds(name: str, row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Find the interval: ``<name>_low``, or ``low`` right behind the column."""
    names = list(row)
    after = names[names.index(name) + 1 : names.index(name) + 2]
    low, high = ("low", "high") if after == ["low"] else (f"{name}_low", f"{name}_high")
    found = row.get(low), row.get(high)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " > ".join(_plain(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime) and value.time() == time():
        return f"{value:%Y-%m-%d}"
    return one_line(str(value))


def _duration(seconds: float) -> str:
    if math.isinf(seconds):
        return "never"
    size, unit = next(((size, unit) for size, unit in UNITS if abs(seconds) >= size), UNITS[-1])
    return f"{seconds / size:,.1f} {unit}"


WRITERS: Mapping[str, tuple[Callable[[float], str], str]] = {
    "share": (lambda value: f"{value * 100:.1f}", " %"),
    "ratio": (lambda value: f"{value:,.2f}", ""),
    "count": (lambda value: f"{value:,.0f}", ""),
    "time": (_duration, ""),
}
