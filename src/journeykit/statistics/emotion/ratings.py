"""Ratings: what users said of a touchpoint, as a table or as events of the log. DEFINITIONS D15.1, D15.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import MissingColumnError, ParameterError, UnknownNameError, UnknownPropertyError
from journeykit.protocol import Context
from journeykit.sources import collect_source, open_source
from journeykit.sources.collecting import collect
from journeykit.sources.roles import Roles, TimeUnit, amount, identifier
from journeykit.sources.times import read_time
from journeykit.statistics.base import default_of
from journeykit.statistics.checks import check_names
from journeykit.statistics.goals import Names, as_names
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing, check_missing, refuse_unknown

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Kind: TypeAlias = Literal["nps", "csat", "ces", "stars", "sentiment"]

SCALES: dict[str, tuple[float, float]] = {
    "nps": (0, 10),
    "csat": (1, 5),
    "ces": (1, 7),
    "stars": (1, 5),
    "sentiment": (-1, 1),
}
WHOLE = ("nps", "csat", "ces")
PROMOTER, DETRACTOR = 9, 6
SHOWN_VALUES = 3


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Ratings of one kind, and how they find the visits that they speak of. D15.1, D15.2.

    Parameters
    ----------
    kind : {"nps", "csat", "ces", "stars", "sentiment"}
        What the numbers mean.
    table : object, optional
        A row per rating: a polars frame, or whatever else `read_events` reads. Ids in files of CSV are texts, which are
        compared with whole numbers of a log as such.
    event : str or sequence of str, optional
        In place of a table: the events of the log that are ratings. `value`, `touchpoint` and `comment` then name
        properties that were kept; a rating event without a value is none.
    user, time, value : str
        The columns of who, when and how much.
    touchpoint : str, optional
        The column with the event that was rated. Where it is null, and without it, a rating speaks of the user's last
        event before it.
    comment : str, optional
        The column with what was said.
    scale : tuple of float, optional
        The worst and the best value; by default 0 to 10 (nps, always), 1 to 5 (csat, stars), 1 to 7 (ces) and -1 to 1
        (sentiment).
    reverse : bool
        Whether low numbers are the good ones.
    max_lag : str or timedelta
        How long after a visit a rating can still speak of it.
    tz : str, optional
        The time zone of times without one; UTC by default.
    unit : {"s", "ms", "us", "ns"}, optional
        The unit of times that are numbers.
    missing : {"raise", "ignore", "warn"}
        What to do about names of events that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a value lies outside the scale, a rating of the table has no user, time or value, or a parameter has a value
        it cannot take.
    MissingColumnError, ColumnTypeError, TimeUnitError, TimeFormatError
        If a column of the table is not there, or cannot play its part.

    Notes
    -----
    =============  ===========================================  ===================  ==========================
    kind           score                                        top ratings          emotion, from -1 to 1
    =============  ===========================================  ===================  ==========================
    ``nps``        share of promoters minus that of detractors  9 and 10             1, 0 or -1 (0 to 6)
    ``csat``       share of top ratings                         the two best         from worst to best, linear
    ``ces``        mean, high is easy                           above the middle     from worst to best, linear
    ``stars``      mean                                         at most 1 from best  from worst to best, linear
    ``sentiment``  mean                                         above 0              itself
    =============  ===========================================  ===================  ==========================

    Numbers of nps, csat and ces are whole. The table stays in memory, and goes along to every worker.

    References
    ----------
    Reichheld 2003, HBR (NPS); Dixon, Freeman & Toman 2010, HBR (CES).

    Examples
    --------
    >>> answers = pl.DataFrame({"user": ["a"], "time": ["2026-01-05 10:00:00"], "value": [9]})
    >>> Ratings("nps", answers)
    Ratings('nps', <1 ratings>)
    """

    kind: Kind
    table: Any = None
    _: KW_ONLY
    event: Names | None = None
    user: str = "user"
    time: str = "time"
    value: str = "value"
    touchpoint: str | None = None
    comment: str | None = None
    scale: tuple[float, float] | None = None
    reverse: bool = False
    max_lag: Duration = "24h"
    tz: str | None = None
    unit: TimeUnit | None = None
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        if self.kind not in SCALES:
            raise ParameterError.choice("kind", self.kind, get_args(Kind))
        if (self.table is None) == (self.event is None):
            raise ParameterError(
                "Ratings need a table with a row per rating, or event=, the name of the events of the log that are "
                "ratings; one of the two."
            )
        check_missing(self.missing)
        microseconds(self.max_lag, "max_lag")
        object.__setattr__(self, "scale", self._checked_scale())
        if self.event is not None:
            object.__setattr__(self, "event", as_names(self.event, "event"))
            return
        named = [self.user, self.time, self.value, self.touchpoint, self.comment]
        columns = [name for name in named if name is not None]
        texts = [name for name in (self.user, self.touchpoint, self.comment) if name is not None]
        plan = open_source(self.table, columns=columns, text=texts)
        object.__setattr__(self, "table", collect_source(plan, self.table, columns=columns))
        _ = self.rows

    def _checked_scale(self) -> tuple[float, float]:
        given: Any = self.scale
        if given is None:
            return SCALES[self.kind]
        if self.kind == "nps" and tuple(given) != SCALES["nps"]:
            raise ParameterError(f"scale of nps is always (0, 10), not {given!r}. Leave it out.")
        numbers = isinstance(given, Sequence) and len(given) == 2
        if not numbers or not all(isinstance(each, int | float) for each in given) or not given[0] < given[1]:
            raise ParameterError(
                f"scale must be the worst and the best value, such as (1, 5), not {given!r}."
            )
        return (given[0], given[1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ratings) or self._parameters != other._parameters:
            return False
        return self.table is None or bool(self.table.equals(other.table))

    def __hash__(self) -> int:
        return hash((self._parameters, None if self.table is None else self.table.shape))

    def __repr__(self) -> str:
        shown = [repr(self.kind)] + ([] if self.table is None else [f"<{self.table.height:,} ratings>"])
        for each in fields(self)[2:]:
            value = getattr(self, each.name)
            if value != (SCALES[self.kind] if each.name == "scale" else default_of(each)):
                shown.append(f"{each.name}={value!r}")
        return f"Ratings({', '.join(shown)})"

    @property
    def _parameters(self) -> tuple[Any, ...]:
        """All but the table, and whether there is one."""
        others = (getattr(self, each.name) for each in fields(self) if each.name != "table")
        return (self.table is None, *others)

    @property
    def bounds(self) -> tuple[float, float]:
        """The worst and the best value."""
        assert self.scale is not None
        return self.scale

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The ratings of the table: user, time (microseconds), value, touchpoint, comment."""
        plan = self.table.lazy()
        schema = plan.collect_schema()
        for role in ("user", "time", "value", "touchpoint", "comment"):
            column = getattr(self, role)
            if column is not None and column not in schema:
                raise MissingColumnError(
                    role, column, schema.names(), f"Pass {role}=<column name> to Ratings."
                )
        roles = Roles(user=self.user, time=self.time, event=self.user, tz=self.tz, unit=self.unit)
        plan = plan.select(
            identifier(plan, "user", self.user, schema[self.user]).alias("user"),
            read_time(plan, roles, schema[self.time]).time.dt.epoch("us").alias("time"),
            amount(self.value, schema[self.value]).cast(pl.Float64).alias("value"),
            self._text(self.touchpoint).alias("touchpoint"),
            self._text(self.comment).alias("comment"),
        )
        found = collect(plan, "reading the ratings")
        invalid = found.null_count().select("user", "time", "value").row(0, named=True)
        if any(invalid.values()):
            each = ", ".join(f"{role} {count:,}" for role, count in invalid.items())
            raise ParameterError(
                f"ratings need a user, a time and a value, and some have none ({each}). Correct or filter the table."
            )
        self.check_values(found["value"].to_numpy())
        return found

    @staticmethod
    def _text(column: str | None) -> pl.Expr:
        return pl.lit(None, pl.String) if column is None else pl.col(column).cast(pl.String)

    def check_values(self, values: Floats) -> None:
        """Refuse numbers that the scale does not have."""
        low, high = self.bounds
        wrong = ~((values >= low) & (values <= high))
        if self.kind in WHOLE:
            wrong |= values != np.floor(values)
        if wrong.any():
            whole = "whole numbers " if self.kind in WHOLE else ""
            shown = ", ".join(f"{each:g}" for each in np.unique(values[wrong])[:SHOWN_VALUES])
            raise ParameterError(
                f"{self.kind} ratings are {whole}from {low:g} to {high:g}, and {int(wrong.sum()):,} are not, such as "
                f"{shown}. Pass scale=, or filter these out."
            )

    def check(self, context: Context) -> None:
        """Refuse events and properties that the journeys do not have."""
        if self.event is not None:
            check_names("event", self.event_names, self.missing, context)
            for name in (self.value, self.touchpoint, self.comment):
                if name is not None and name not in context.kept:
                    raise UnknownPropertyError(name, context.kept)
            return
        named, known = self.rows["touchpoint"].drop_nulls().unique(), context.names.to_list()
        unknown = sorted(set(named) - set(known))
        if unknown:
            refuse_unknown(UnknownNameError("event", unknown, known), self.missing, stacklevel=6)

    @property
    def event_names(self) -> tuple[str, ...]:
        """The events that are ratings; none with a table."""
        return () if self.event is None else tuple(self.event)

    def good(self, values: Floats) -> Floats:
        """Turn numbers round where low ones are good."""
        low, high = self.bounds
        return low + high - values if self.reverse else values

    def emotion(self, good: Floats) -> Floats:
        """Return the emotion of ratings of which high ones are good, from -1 to 1. D15.2."""
        if self.kind == "nps":
            return (good >= PROMOTER).astype(np.float64) - (good <= DETRACTOR)
        low, high = self.bounds
        return (2 * good - low - high) / (high - low)

    def top(self, good: Floats) -> Bools:
        """Tell which ratings are among the best."""
        low, high = self.bounds
        if self.kind in ("ces", "sentiment"):
            return np.asarray(2 * good > low + high)
        return good >= (PROMOTER if self.kind == "nps" else high - 1)
