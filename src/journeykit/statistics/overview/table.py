"""The answer to Overview: one number a row, readable. DEFINITIONS D2.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.intervals import Scale
from journeykit.protocol import CELL, Context, Tables, sum_rows
from journeykit.sessions import CAUSES
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    described,
    groups_of_rows,
    groups_per_cell,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.waiting import Medians, Waits
from journeykit.support.shares import percent
from journeykit.support.threads import on_all_cores

if TYPE_CHECKING:
    from journeykit.statistics.overview.overview import Overview

VALUES = ("value", "low", "high")
MOST_COLUMNS = 6
SECONDS = "seconds"
SHARES = ("share of users", "share of sessions")


@dataclass(frozen=True, eq=False, repr=False)
class OverviewAnswer(Answer):
    """The first numbers of a log. D2.5.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per number: ``number`` (its name), ``value``, ``low``, ``high`` (null where it has no interval),
        ``numerator``, ``denominator``, ``unit``. Durations are in seconds. ``span`` is the time from the first to the
        last event; ``return_rate`` is the share of sessions that another one of the user follows,
        ``return_gap_median`` the time until then of those, ``return_gap_median_censored`` that of all sessions by
        Kaplan-Meier, the last ones censored at the end of the observation (infinite if fewer than half are
        followed); ``opened_by_...`` counts sessions by the rule of D2.1 that opened them.
    """

    def value(self, number: str) -> float | None:
        """Return one number of an overview without segments.

        Raises
        ------
        ParameterError
            If there is no such number, or there are segments or periods.
        """
        if self.context.labels.width:
            raise ParameterError(
                "value takes one segment, and this overview has several. Filter .frame instead."
            )
        known = self.frame["number"].to_list()
        if number not in known:
            raise ParameterError.choice("number", number, known)
        found: float | None = self.frame["value"][known.index(number)]
        return found

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Return the readable table: a heading per segment, and per number its name and texts."""
        labels = self.context.labels.columns
        headings = self.frame.select(labels).unique(maintain_order=True).rows() if labels else [()]
        texts: dict[str, dict[tuple[Any, ...], str]] = {}
        for row in self.frame.iter_rows(named=True):
            segment = tuple(row[label] for label in labels)
            texts.setdefault(row["number"], {})[segment] = _text(row)
        shown = [" / ".join(str(part) for part in heading) for heading in headings]
        return shown, [
            [_name(number), *(each.get(h, "") for h in headings)] for number, each in texts.items()
        ]

    def __repr__(self) -> str:
        headings, rows = self._table()
        if len(headings) > MOST_COLUMNS:
            return super().__repr__()
        lines = [["", *headings], *rows] if any(headings) else rows
        widths = [max(len(line[i]) for line in lines) for i in range(len(headings) + 1)] if lines else []
        shown = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines
        ]
        return "\n".join([described(self.statistic), *(line.rstrip() for line in shown), *self.notes])

    def _repr_html_(self) -> str:
        headings, rows = self._table()
        if len(headings) > MOST_COLUMNS:
            return super()._repr_html_()
        head = "".join(f"<th>{escape(heading)}</th>" for heading in ("", *headings))
        body = "".join(
            "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in _tagged(row)) + "</tr>"
            for row in rows
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        caption = f"<p><code>{escape(described(self.statistic))}</code></p>"
        return f"{caption}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{notes}</ul>"


def overview_answer(statistic: Overview, tables: Tables, context: Context) -> OverviewAnswer:
    """Turn the summed tables of Overview into its answer."""
    rows = _Rows(tables, context)
    rows.counts()
    rows.means()
    rows.returns()
    rows.single_events_and_causes()
    if statistic.goal is not None:
        rows.share("user_conversion_rate", "converted_users", "users")
        rows.rate("session_conversion_rate", "converted_sessions", "sessions", "share of sessions")
    return OverviewAnswer(frame=context.label(rows.frame()), statistic=statistic, context=context)


class _Rows:
    """The numbers of every cell, one frame per number."""

    def __init__(self, tables: Tables, context: Context) -> None:
        self.tables, self.context = tables, context
        self.units = Grouped(tables[UNITS_TABLE], ())
        self.cells = self.units.totals
        self.groups = groups_per_cell(tables)
        self.group_counts = groups_of_rows(self.cells[CELL], self.groups)
        self.parts: list[pl.DataFrame] = []
        listed: tuple[tuple[str, str, str | None], ...] = (
            ("durations", "duration", None),
            ("gaps", "gap", "closed"),
        )
        self.durations, self.gaps = on_all_cores(
            lambda given: Waits.of(self.cells, (CELL,), tables[given[0]], given[1], given[2]), listed
        )

    def counts(self) -> None:
        """Add users, sessions, events, names and the span."""
        cells = self.cells
        for name in ("users", "sessions", "events"):
            self.add(name, name, cells[name])
        names = (
            self.tables["names"].group_by(CELL).agg(pl.col("name").n_unique().cast(pl.Int64).alias("names"))
        )
        joined = cells.select(CELL).join(names, on=CELL, how="left", maintain_order="left")
        self.add("event_names", "names", joined["names"].fill_null(0))
        if cells["outside"].sum():
            self.add("events_outside", "events", cells["outside"], denominator=cells["events"])
        span = pl.when(pl.col("users") > 0).then((pl.col("last_max") - pl.col("first_min")) / 1e6)
        self.add("span", SECONDS, cells.select(span.alias("span"))["span"])

    def means(self) -> None:
        """Add means and rates of users and sessions."""
        self.rate("events_per_user", "events", "users", "events per user", scale="identity")
        self.rate("sessions_per_user", "sessions", "users", "sessions per user", scale="identity")
        self.rate("events_per_session", "active", "sessions", "events per session", scale="identity")
        self.rate("session_duration_mean", "duration", "sessions", SECONDS, scale="log")
        medians = self.durations.plain(self.group_counts, self.context.level)
        self.median("session_duration_median", medians, self.cells["sessions"])
        self.rate("bounce_rate", "bounced", "sessions", "share of sessions")
        if (self.cells["shows_engaged_max"] > 0).any():
            self.rate("engaged_rate", "engaged", "sessions", "share of sessions")

    def returns(self) -> None:
        """Add how many sessions are followed by another, and after how long."""
        self.rate("return_rate", "returned", "sessions", "share of sessions")
        medians = self.gaps.closed().plain(self.group_counts, self.context.level)
        self.median("return_gap_median", medians, self.cells["returned"])
        medians = self.gaps.censored(
            self.group_counts, self.cells["session_users"].to_numpy(), self.context.level
        )
        self.median("return_gap_median_censored", medians, self.cells["sessions"])
        sessions = dict(self.tables["open"].group_by(CELL).agg(pl.col("sessions").sum()).iter_rows())
        still_open = pl.Series([sessions.get(cell, 0) for cell in self.cells[CELL]], dtype=pl.Int64)
        self.add("open_sessions", "sessions", still_open, denominator=self.cells["sessions"])

    def single_events_and_causes(self) -> None:
        """Add users of one event, and sessions by what opened them."""
        self.add(
            "single_event_users", "users", self.cells["single_event_users"], denominator=self.cells["users"]
        )
        self.share("single_event_user_rate", "single_event_users", "users")
        causes = sum_rows(self.tables["causes"], [CELL, "cause"])
        for cause in sorted(set(causes["cause"].to_list())):
            own = self.cells.select(CELL).join(
                causes.filter(pl.col("cause") == cause), on=CELL, how="left", maintain_order="left"
            )
            counts = own["count"].fill_null(0)
            self.add(f"opened_by_{CAUSES[cause]}", "sessions", counts, denominator=self.cells["sessions"])

    def add(self, number: str, unit: str, value: pl.Series, *, denominator: pl.Series | None = None) -> None:
        """Add a number without an interval; it is its own numerator."""
        frame = self.cells.select(CELL).with_columns(value.cast(pl.Float64).alias("value"))
        numerator = None if unit == SECONDS else frame["value"]
        self._append(number, unit, frame, numerator, denominator)

    def rate(self, number: str, part: str, whole: str, unit: str, *, scale: Scale = "logit") -> None:
        """Add a ratio with its jackknife interval. D12.3."""
        users = self.cells["users" if whole == "users" else "session_users"].to_numpy()
        frame = with_rate(
            self.cells.select(CELL),
            "value",
            self.units.sums(part),
            self.units.sums(whole),
            np.arange(self.cells.height),
            self.groups,
            users,
            self.context,
            scale=scale,
            bounds=("low", "high"),
        )
        numerator = self.cells[part].cast(pl.Float64)
        if unit == SECONDS:
            frame, numerator = frame.with_columns(pl.col(VALUES) / 1e6), numerator / 1e6
        self._append(number, unit, frame, numerator, self.cells[whole])

    def share(self, number: str, part: str, whole: str) -> None:
        """Add a share of users with its Wilson interval. D12.2."""
        frame = with_share(self.cells, "value", part, whole, self.context)
        frame = frame.select(CELL, "value", low="value_low", high="value_high")
        self._append(number, "share of users", frame, self.cells[part], self.cells[whole])

    def median(self, number: str, medians: Medians, denominator: pl.Series) -> None:
        """Add a median in seconds with its interval."""
        columns = {"value": medians.value, "low": medians.low, "high": medians.high}
        self._append(number, SECONDS, with_floats(self.cells.select(CELL), columns), None, denominator)

    def frame(self) -> pl.DataFrame:
        """Return all numbers, cell by cell."""
        return pl.concat(self.parts).sort(CELL, maintain_order=True)

    def _append(
        self,
        number: str,
        unit: str,
        frame: pl.DataFrame,
        numerator: pl.Series | None,
        denominator: pl.Series | None,
    ) -> None:
        nothing = pl.Series([None] * frame.height, dtype=pl.Float64)
        for name in ("low", "high"):
            frame = frame if name in frame.columns else frame.with_columns(nothing.alias(name))
        self.parts.append(
            frame.select(
                CELL,
                pl.lit(number).alias("number"),
                *VALUES,
                (nothing if numerator is None else numerator).cast(pl.Float64).alias("numerator"),
                (nothing if denominator is None else denominator).cast(pl.Int64).alias("denominator"),
                pl.lit(unit).alias("unit"),
            )
        )


def _name(number: str) -> str:
    return number.replace("_", " ")


def _tagged(row: Sequence[str]) -> list[tuple[str, str]]:
    return [("th", row[0]), *(("td", text) for text in row[1:])]


def _text(row: dict[str, Any]) -> str:
    """Write one number with its interval for people."""
    written = [_one(row[name], row["unit"]) for name in VALUES]
    if row["low"] is None:
        return written[0]
    return f"{written[0]} ({written[1]} to {written[2]})"


def _one(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit in SHARES:
        return percent(value)
    if unit == SECONDS:
        return _duration(value)
    return f"{value:,.0f}" if " per " not in unit else f"{value:,.2f}"


def _duration(seconds: float) -> str:
    """Write seconds in the largest unit they fill."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return "never" if seconds == float("inf") else f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
