"""The journey map in files that people read: JSON records, and a table of Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.journey_map.rows import ROWS
from journeykit.support.escaping import markdown
from journeykit.support.files import replacing
from journeykit.support.shares import percent

if TYPE_CHECKING:
    from journeykit.journey_map.measured import MeasuredMap

WRITERS = (".json", ".md")
SHARES = ("reached", "conversion", "abandonment", "response", "touchpoint", "channel")
ENDLESS = "\u221e"
UNITS_OF_TIME = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def write_map(drawn: MeasuredMap, path: Path, k: int) -> Path:
    """Write the map by the ending of the name; the file appears whole or not at all.

    Of fewer than `k` users no number is in it.
    """
    with replacing(path) as temporary:
        if path.suffix == ".json":
            drawn.frame.write_json(temporary)
        else:
            temporary.write_text(map_markdown(drawn, k), encoding="utf-8")
    return path


def map_markdown(drawn: MeasuredMap, k: int) -> str:
    """Return the map as Markdown: one table per segment, stages as columns, and the notes; ``<k`` where withheld."""
    labels, blocks = drawn.context.labels.columns, []
    segments = drawn.frame.partition_by(labels, maintain_order=True) if labels else [drawn.frame]
    for segment in segments:
        if labels and segment.height:
            named = ", ".join(f"{name}: {segment[name][0]}" for name in labels)
            blocks.append(f"## {markdown(named)}")
        blocks.append(_table(segment, drawn.stage_names, k))
    notes = "\n".join(f"- {markdown(note)}" for note in drawn.notes)
    return "\n\n".join([*blocks, *([notes] if notes else [])]) + "\n"


def _table(rows: pl.DataFrame, stages: tuple[str, ...], k: int) -> str:
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows.iter_rows(named=True):
        cells.setdefault((row["row"], row["stage"]), []).append(_cell(row, k))
    lines = ["| | " + " | ".join(map(markdown, stages)) + " |", "|---" * (len(stages) + 1) + "|"]
    for name in ROWS:
        if any((name, stage) in cells for stage in stages):
            shown = ["<br>".join(cells.get((name, stage), [])) for stage in stages]
            lines.append(f"| **{name}** | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], k: int) -> str:
    """Write one item: its name, its number with interval, and its text."""
    item = "" if row["item"] is None else markdown(row["item"])
    text = "" if row["text"] is None else markdown(row["text"])
    if row["row"] == "quote":
        return f"{item}: “{text}”"
    number = _number(row["row"], row["value"])
    if row["value"] is None and row.get("suppressed"):
        number = markdown(f"<{k}")
    if row["value"] is not None and row["low"] is not None:
        high = ENDLESS if row["high"] is None else _number(row["row"], row["high"])
        number += f" ({_number(row['row'], row['low'])} to {high})"
    text = f"({text})" if text and item else text
    return " ".join(part for part in (item, number, text) if part) or "-"


def _number(row: str, value: float | None) -> str:
    """Write a number of a row in its unit."""
    if value is None:
        return ""
    if row in SHARES:
        return percent(value)
    if row == "time":
        size, unit = next((each for each in UNITS_OF_TIME if value >= each[0]), (1, "s"))
        return f"{value / size:.1f} {unit}"
    return (
        f"{value:+.2f}"
        if row == "emotion"
        else f"{value:,.0f}"
        if row in ("users", "visits")
        else f"{value:,.1f}"
    )
