"""The canonical log: user, time, event and properties, named and typed the same. DEFINITIONS D1.1 to D1.5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, get_args

import polars as pl

from journeykit.errors import EmptyInputError, InvalidRowsError, ParameterError
from journeykit.sources.collecting import engine_errors
from journeykit.sources.roles import REQUIRED, Roles, amount, event_name, identifier, tie_break
from journeykit.sources.times import EARLIEST_SECOND, LATEST_SECOND, PER_SECOND, read_time

__all__ = [
    "CanonicalLog",
    "InvalidCounts",
    "Roles",
    "Validity",
    "canonical",
    "canonicalise",
    "check_choices",
    "drop_duplicates",
]

OnInvalid: TypeAlias = Literal["raise", "drop"]
Duplicates: TypeAlias = Literal["keep", "drop"]
GIVEN, GAP, TWICE = "__time_given", "__time_gap", "__time_twice"
"""Columns beside the canonical ones, until invalid rows are left out: the time as it was written where it
could not be read, whether it is a local time that does not exist, and, of several sources, whether it exists twice."""
BESIDE = (GIVEN, GAP, TWICE)
LEFT_OUT = "__left_out"
"""An Enum of reasons beside the columns of a log: a row that has one is left out, and counted under it."""
SHOWN_ROWS = 5


class CanonicalLog(NamedTuple):
    """A plan with canonical columns, and how its times were read.

    Attributes
    ----------
    plan : polars.LazyFrame
        Columns ``user`` (String or Int64), ``time`` (Datetime in UTC, microseconds), ``event``
        (String, Categorical or Enum), then ``session``, ``order``, ``value`` as far as given, then the properties in
        the order of ``keep``. Columns that start with two underscores go away in `Validity.keep`.
    time_format : str or None
        The format in which texts were read as times.
    local_zone : str or None
        The zone in which times without one were placed; None if they came with one.
    """

    plan: pl.LazyFrame
    time_format: str | None
    local_zone: str | None


@dataclass(frozen=True)
class InvalidCounts:
    """What was found invalid. DEFINITIONS D1.4, D1.9.

    Attributes
    ----------
    rows_in, rows_kept : int
        Rows read, and rows that are valid.
    user, time, event : int
        Rows in which this is null; a row may count in several.
    gap_times : int
        Rows whose local time does not exist; part of `time`.
    ambiguous_times : int
        Valid rows whose local time exists twice, in sources that were put together; of one log the times tell it.
    left_out : mapping of str to int
        Rows that the reader of an export left out on purpose, by reason; they are not invalid.
    """

    rows_in: int
    rows_kept: int
    user: int = 0
    time: int = 0
    event: int = 0
    gap_times: int = field(default=0)
    ambiguous_times: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_left_out(self) -> int:
        """Rows left out on purpose."""
        return sum(self.left_out.values())

    @property
    def dropped(self) -> int:
        """Rows that are not valid, each once."""
        return self.rows_in - self.rows_left_out - self.rows_kept


def canonical(plan: pl.LazyFrame, roles: Roles) -> pl.LazyFrame:
    """Select the columns of the roles under canonical names and types; see `canonicalise`."""
    return canonicalise(plan, roles).plan


def canonicalise(plan: pl.LazyFrame, roles: Roles) -> CanonicalLog:
    """Bring a log into canonical form, without reading it.

    Parameters
    ----------
    plan : polars.LazyFrame
        The log as it came from `open_source`.
    roles : Roles
        Which column is what.

    Returns
    -------
    CanonicalLog
        The plan; rows in the order of the source. Null marks what is invalid.

    Raises
    ------
    MissingColumnError
        If a role's or property's column is not there.
    ColumnTypeError, TimeUnitError, TimeFormatError
        If a column's type or content cannot play its role.

    Notes
    -----
    Nothing is read but the first times, if they are texts, and ids, if they are neither texts nor Int64.
    """
    with engine_errors("reading the columns of the log"):
        schema = plan.collect_schema()
    roles.check_columns(schema)
    time = read_time(plan, roles, schema[roles.time])
    columns: dict[str, pl.Expr] = {
        "user": identifier(plan, "user", roles.user, schema[roles.user]),
        "time": time.time,
        "event": event_name(roles.event, schema[roles.event]),
    }
    if roles.session is not None:
        columns["session"] = identifier(plan, "session", roles.session, schema[roles.session])
    if roles.order is not None:
        columns["order"] = tie_break(roles.order, schema[roles.order])
    if roles.value is not None:
        columns["value"] = amount(roles.value, schema[roles.value])
    columns |= {name: pl.col(name) for name in roles.keep}
    if time.given is not None:
        columns[GIVEN] = pl.when(time.time.is_null()).then(time.given)
    if time.gap is not None:
        columns[GAP] = time.gap
    if isinstance(schema.get(LEFT_OUT), pl.Enum):
        columns[LEFT_OUT] = pl.col(LEFT_OUT)
    # Several sources as one log: each has read its own times.
    columns |= {name: pl.col(name) for name in BESIDE if name in schema and name not in columns}
    selected = plan.select(expression.alias(name) for name, expression in columns.items())
    return CanonicalLog(selected, time.format, (roles.tz or "UTC") if time.local else None)


class Validity:
    """What is invalid in a log, or in a part of it, that comes piece by piece. DEFINITIONS D1.4.

    Parameters
    ----------
    first_row : int
        The number of the part's first row in the log, for messages.

    Examples
    --------
    >>> validity = Validity()
    >>> for name in ("view", None):
    ...     kept = validity.keep(pl.DataFrame({"user": ["a"], "time": [0], "event": [name]}))
    >>> validity.counts("drop").dropped
    1
    """

    def __init__(self, first_row: int = 0) -> None:
        self.first_row = first_row
        self.rows = self.kept = self.gaps = self.twice = 0
        self.nulls = dict.fromkeys(REQUIRED, 0)
        self.left_out: Counter[str] = Counter()
        self.first: list[str] = []

    def __add__(self, following: Validity) -> Validity:
        """Put this together with what was found in the part that follows."""
        both = Validity(self.first_row)
        both.rows, both.kept = self.rows + following.rows, self.kept + following.kept
        both.gaps, both.twice = self.gaps + following.gaps, self.twice + following.twice
        both.nulls = {role: count + following.nulls[role] for role, count in self.nulls.items()}
        both.left_out = self.left_out + following.left_out
        both.first = [*self.first, *following.first][:SHOWN_ROWS]
        return both

    @property
    def invalid(self) -> int:
        """Rows that are neither valid nor left out on purpose."""
        return self.rows - self.left_out.total() - self.kept

    def keep(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the valid rows of the next piece, in their order and with canonical columns only."""
        before, self.rows = self.first_row + self.rows, self.rows + frame.height
        numbers = None
        if LEFT_OUT in frame.columns:
            numbers, frame = self._without_left_out(frame)
        frame = _possible_times(frame)
        nulls = {role: frame[role].null_count() for role in REQUIRED}
        valid = frame.drop_nulls(REQUIRED) if any(nulls.values()) else frame
        self.twice += int(valid[TWICE].sum()) if TWICE in valid.columns else 0
        self.kept += valid.height
        valid = valid.drop(BESIDE, strict=False)
        if valid.height == frame.height:
            return valid
        self.nulls = {role: self.nulls[role] + count for role, count in nulls.items()}
        self.gaps += int(frame[GAP].sum()) if GAP in frame.columns else 0
        if len(self.first) < SHOWN_ROWS:
            shown = _first_invalid(frame, before, numbers)
            self.first += list(shown)[: SHOWN_ROWS - len(self.first)]
        return valid

    def _without_left_out(self, frame: pl.DataFrame) -> tuple[pl.Series | None, pl.DataFrame]:
        """Count and remove the rows that have a reason to be left out; return the numbers of the others too."""
        reasons, others = frame[LEFT_OUT], frame.drop(LEFT_OUT)
        if reasons.null_count() == frame.height:
            return None, others
        counts = reasons.drop_nulls().value_counts(name="rows")
        self.left_out.update(dict(counts.select(pl.col(LEFT_OUT).cast(pl.String), "rows").iter_rows()))
        kept = reasons.is_null()
        return kept.arg_true(), others.filter(kept)

    def counts(self, on_invalid: OnInvalid) -> InvalidCounts:
        """Refuse rows without a valid user, time or event, or say how many were left out.

        Parameters
        ----------
        on_invalid : {"raise", "drop"}
            What to do with such rows.

        Returns
        -------
        InvalidCounts
            What was left out.

        Raises
        ------
        InvalidRowsError
            If there is such a row and `on_invalid` is ``"raise"``.
        EmptyInputError
            If there is no row, or none is valid.
        """
        if not self.rows:
            raise EmptyInputError.source("the log")
        left_out = dict(sorted(self.left_out.items()))
        if sum(left_out.values()) == self.rows:
            raise EmptyInputError.left_out(self.rows, left_out)
        invalid, gaps = self.invalid, self.gaps
        if invalid and on_invalid == "raise":
            remark = (
                f" {gaps:,} of the times do not exist in the time zone: clocks skip them." if gaps else ""
            )
            raise InvalidRowsError(self.nulls, invalid, self.rows, self.first, remark)
        if not self.kept:
            raise EmptyInputError.dropped(self.rows)
        return InvalidCounts(
            self.rows, self.kept, **self.nulls, gap_times=gaps, ambiguous_times=self.twice, left_out=left_out
        )


def _possible_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Make times outside the years 1 to 9999 null, such as the ``infinity`` of PostgreSQL: no calendar has them."""
    micros = frame["time"].to_physical()
    bounds = EARLIEST_SECOND * PER_SECOND["us"], (LATEST_SECOND + 1) * PER_SECOND["us"] - 1
    first, last = micros.min(), micros.max()
    if first is None or (first >= bounds[0] and last <= bounds[1]):  # type: ignore[operator] # whole numbers
        return frame
    possible = pl.col("time").to_physical().is_between(*bounds)
    return frame.with_columns(pl.when(possible).then("time"))


def check_choices(on_invalid: OnInvalid, duplicates: Duplicates) -> None:
    """Refuse what is no choice. D1.4, D1.5."""
    if on_invalid not in get_args(OnInvalid):
        raise ParameterError.choice("on_invalid", on_invalid, get_args(OnInvalid))
    if duplicates not in get_args(Duplicates):
        raise ParameterError.choice("duplicates", duplicates, get_args(Duplicates))


def _first_invalid(frame: pl.DataFrame, before: int, numbers: pl.Series | None) -> Iterable[str]:
    """Describe the first invalid rows, with the time as it was written; `numbers` of rows if some were taken out."""
    any_null = pl.any_horizontal(pl.col(role).is_null() for role in REQUIRED)
    rows = frame.with_row_index("__row", before if numbers is None else 0).filter(any_null).head(SHOWN_ROWS)
    if numbers is not None:
        rows = rows.with_columns(numbers.gather(rows["__row"]).cast(pl.Int64).alias("__row") + before)
    for row in rows.iter_rows(named=True):
        time = row["time"] if row["time"] is not None else row.get(GIVEN)
        shown = None if time is None else str(time)
        yield f"row {row['__row']}: user={row['user']!r}, time={shown!r}, event={row['event']!r}"


def drop_duplicates(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Drop rows that equal an earlier one in every column that was read. DEFINITIONS D1.5.

    Parameters
    ----------
    frame : polars.DataFrame
        A canonical log.

    Returns
    -------
    tuple of DataFrame and int
        The first of equal rows in their order, and how many were dropped.
    """
    with engine_errors("dropping duplicates"):
        unique = frame.unique(maintain_order=True, keep="first")
    return unique, frame.height - unique.height
