"""How good a log is: rows dropped, ties, disorder, clocks, and who makes the most of it. DEFINITIONS D1.9."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import numpy as np
import polars as pl

from journeykit.sources.canonical import InvalidCounts
from journeykit.sources.collecting import engine_errors
from journeykit.sources.times import ambiguous_times
from journeykit.support.drawing import Drawn, draw

PERCENTS = (0, 1, 5, 25, 50, 75, 90, 95, 99, 100)
HEAVIEST = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANCIENT = datetime(1990, 1, 1, tzinfo=UTC)
"""Nobody logged events before: an earlier time comes from a broken clock or a wrong unit."""


@dataclass(frozen=True, repr=False)
class Quality:
    """The quality of a log. DEFINITIONS D1.9.

    Attributes
    ----------
    rows_in, rows_kept : int
        Rows read, and rows left after invalid ones and dropped duplicates.
    invalid_user, invalid_time, invalid_event : int
        Rows without it; a row may count in several.
    gap_times, ambiguous_times : int
        Local times that do not exist (invalid), and that exist twice (the earlier was taken).
    duplicates, duplicates_dropped : int
        Rows that equal an earlier one in every column read, and how many of them were dropped.
    tied_pairs, tied_events, tied_pairs_distinct : int
        Neighbours in the ordered log with the same user, time and order value; rows that share these with
        another; neighbours among them whose events differ, which alone can change a path.
    out_of_order : int
        Rows whose time is below that of the previous row of their user.
    users, events, event_names, single_event_users, max_events_per_user : int
        As named.
    first, last : datetime
        The time span, in UTC.
    events_per_user : dict of int to float
        Percentiles (type 7, D0.2) by percent.
    heaviest_users : tuple of (user, events)
        The users with the most events, at most five.
    before_1990, in_future : int
        Times that a broken clock or a wrong unit has made: before 1990, and after `now`.
    now : datetime
        When the log was looked at.
    time_format : str or None
        The format in which texts were read as times.
    left_out : mapping of str to int
        Rows that the reader of an export left out on purpose, by reason.
    notes : tuple of str
        What that reader met on the way.
    """

    rows_in: int
    rows_kept: int
    invalid_user: int
    invalid_time: int
    invalid_event: int
    gap_times: int
    ambiguous_times: int
    duplicates: int
    duplicates_dropped: int
    tied_pairs: int
    tied_events: int
    tied_pairs_distinct: int
    out_of_order: int
    users: int
    events: int
    event_names: int
    single_event_users: int
    max_events_per_user: int
    first: datetime
    last: datetime
    events_per_user: dict[int, float]
    heaviest_users: tuple[tuple[str | int, int], ...]
    before_1990: int
    in_future: int
    now: datetime
    time_format: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> pl.DataFrame:
        """All numbers: ``number`` (its name), ``value`` (Float64, null for what is no number), ``text``."""
        rows = list(self._rows())
        schema = {"number": pl.String, "value": pl.Float64, "text": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _rows(self) -> Iterator[tuple[str, float | None, str]]:
        yield from self._measured()
        for reason, left_out in self.left_out.items():
            yield f"left_out_{reason}", float(left_out), f"{left_out:,}"
        for number, note in enumerate(self.notes, 1):
            yield f"note_{number}", None, note

    def _measured(self) -> Iterator[tuple[str, float | None, str]]:
        for name in self.__dataclass_fields__:
            if name in ("now", "left_out", "notes"):
                continue
            value = getattr(self, name)
            if isinstance(value, int):
                yield name, float(value), f"{value:,}"
            elif isinstance(value, datetime):
                yield name, None, f"{value:%Y-%m-%d %H:%M:%S} UTC"
            elif name == "events_per_user":
                for percent, events in value.items():
                    yield f"events_per_user_p{percent}", float(events), f"{events:,g}"
            elif name == "heaviest_users":
                for rank, (user, events) in enumerate(value, 1):
                    plural = "s" if events > 1 else ""
                    yield f"heaviest_user_{rank}", float(events), f"{user}: {events:,} event{plural}"
            else:
                yield name, None, "none needed" if value is None else value

    def chart(self, **options: Any) -> Drawn:
        """Draw which share of the rows is odd in which way, and how many events users have.

        Parameters
        ----------
        **options
            ``theme="light"`` or ``"dark"``.

        Returns
        -------
        Chart
            A plotly figure with ``save``. No user is named in it.

        Raises
        ------
        ParameterError
            If an option does not exist, or has a value it cannot take.
        """
        return draw(self, options)

    def __repr__(self) -> str:
        rows = [(name, text) for name, _, text in self._rows()]
        width = max(len(name) for name, _ in rows)
        lines = (f"  {name:<{width}}  {_one_line(text)}" for name, text in rows)
        return "\n".join(["Quality of the log", *lines])

    def _repr_html_(self) -> str:
        cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, _, text in self._rows())
        return f"<table><caption>Quality of the log</caption><tbody>{''.join(cells)}</tbody></table>"


def quality(
    frame: pl.DataFrame,
    invalid: InvalidCounts | None = None,
    *,
    duplicates_dropped: int = 0,
    time_format: str | None = None,
    local_zone: str | None = None,
    now: datetime | None = None,
    notes: tuple[str, ...] = (),
) -> Quality:
    """Look at a canonical log.

    Parameters
    ----------
    frame : polars.DataFrame
        Valid rows with canonical columns in the order of input, at least one.
    invalid : InvalidCounts, optional
        What `resolve_invalid` found; by default nothing.
    duplicates_dropped : int
        What `drop_duplicates` dropped.
    time_format, local_zone : str, optional
        From `CanonicalLog`.
    now : datetime, optional
        Times after it are in the future; by default the present moment.
    notes : tuple of str
        From the reader of an export.

    Returns
    -------
    Quality
        All numbers of D1.9.

    Notes
    -----
    O(n) when each user's rows are in time order and there is no order column, else one stable sort.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> log = pl.DataFrame({"user": ["a", "a"], "time": [noon, noon], "event": ["view", "cart"]})
    >>> quality(log).tied_pairs_distinct
    1
    """
    invalid = invalid or InvalidCounts(frame.height + duplicates_dropped, frame.height + duplicates_dropped)
    now = now or datetime.now(UTC)
    times = frame["time"]
    with engine_errors("measuring the quality of the log"):
        ordered, out_of_order = _ordered(frame)
        tied = ordered.select("row", *_tied()).filter(pl.col("pair") | pl.col("member"))
        members = frame[tied["row"]]
        events = pl.len().cast(pl.Int64).alias("events")
        per_user = ordered.group_by("user").agg(events, pl.col("row").first())
        duplicates = members.height - members.n_unique() if members.height else 0
    counts = per_user["events"].to_numpy()
    return Quality(
        rows_in=invalid.rows_in,
        rows_kept=frame.height,
        invalid_user=invalid.user,
        invalid_time=invalid.time,
        invalid_event=invalid.event,
        gap_times=invalid.gap_times,
        ambiguous_times=invalid.ambiguous_times + ambiguous_times(times, local_zone),
        duplicates=duplicates + duplicates_dropped,
        duplicates_dropped=duplicates_dropped,
        tied_pairs=int(tied["pair"].sum()),
        tied_events=tied.height,
        tied_pairs_distinct=int(tied["distinct"].sum()),
        out_of_order=out_of_order,
        users=per_user.height,
        events=frame.height,
        event_names=frame["event"].n_unique(),
        single_event_users=int((counts == 1).sum()),
        max_events_per_user=int(counts.max()),
        first=_moment(times.to_physical().min()),
        last=_moment(times.to_physical().max()),
        events_per_user={percent: float(np.percentile(counts, percent)) for percent in PERCENTS},
        heaviest_users=_heaviest(per_user, frame["user"]),
        before_1990=int((times < ANCIENT).sum()),
        in_future=int((times > now).sum()),
        now=now,
        time_format=time_format,
        left_out=invalid.left_out,
        notes=notes,
    )


def _ordered(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Order a log by user, time and order column (D1.3); count rows out of time order (D1.9)."""
    users = frame["user"]
    if users.dtype == pl.String:
        users = users.cast(pl.Categorical(pl.Categories.random())).to_physical()
    columns = [users, frame["time"].to_physical(), _event_codes(frame["event"])]
    columns += [frame["order"]] if "order" in frame.columns else []
    keys = pl.DataFrame(columns).with_row_index("row").sort("user", maintain_order=True)
    backward = (pl.col("time") < pl.col("time").shift()) & (pl.col("user") == pl.col("user").shift())
    out_of_order = int(keys.select(backward.sum()).item())
    by = ["user", "time", "order"] if "order" in frame.columns else ["user", "time"]
    if out_of_order or "order" in by:
        keys = keys.sort(by, nulls_last=True, maintain_order=True)
    return keys.with_columns((pl.col("order") if "order" in by else pl.lit(0)).alias("order")), out_of_order


def _event_codes(events: pl.Series) -> pl.Series:
    if events.dtype == pl.String:
        events = events.cast(pl.Categorical(pl.Categories.random()))
    return events.to_physical()


def _tied() -> list[pl.Expr]:
    """Mark rows of an ordered log that tie with the one before, with a neighbour, with another event."""
    same = pl.col("order").eq_missing(pl.col("order").shift())
    for key in ("user", "time"):
        same &= pl.col(key) == pl.col(key).shift()
    same = same.fill_null(value=False)
    member = same | same.shift(-1).fill_null(value=False)
    distinct = same & (pl.col("event") != pl.col("event").shift())
    return [same.alias("pair"), member.alias("member"), distinct.alias("distinct")]


def _heaviest(per_user: pl.DataFrame, users: pl.Series) -> tuple[tuple[str | int, int], ...]:
    """Name the users with the most events; among equals the first by name."""
    least = per_user["events"].top_k(HEAVIEST).min()
    top = per_user.filter(pl.col("events") >= least)
    named = top.select("events", users.gather(top["row"]).alias("user"))
    first = named.sort("events", "user", descending=[True, False]).head(HEAVIEST)
    return tuple(zip(first["user"].to_list(), first["events"].to_list(), strict=True))


def _moment(us: object) -> datetime:
    """Turn microseconds into a datetime; beyond the years 1 to 9999 the nearest."""
    microseconds = int(str(us))
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return datetime(9999, 12, 31, tzinfo=UTC) if microseconds > 0 else datetime(1, 1, 1, tzinfo=UTC)


def _one_line(text: str) -> str:
    return " ".join(text.split())
