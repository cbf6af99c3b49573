"""Which users, paths or periods are compared with which. DEFINITIONS D13.1, D13.3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass, replace
from datetime import date, datetime, time
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.cells import By, Segment, coded, make_cells, one_segment, truncated
from journeykit.errors import ParameterError, suggestion
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Paths, Unit
from journeykit.protocol import Cells

Int32s = npt.NDArray[np.int32]
Split: TypeAlias = Literal["user", "path"]
SPLITS: tuple[Split, ...] = ("user", "path")

REST = "<REST>"
SEGMENT, PERIOD = "segment", "period"
SHOWN_USERS = 3


@dataclass(frozen=True)
class Sides:
    """Two cells to compare.

    Attributes
    ----------
    a, b : int
        The numbers of the cells.
    names : tuple
        What they are called: texts or None of segments, times of periods.
    cells : Cells
        The cells to count in.
    """

    a: int
    b: int
    names: tuple[Any, Any]
    cells: Cells


def sides_of(
    journeys: Journeys,
    by: By,
    every: str | None,
    a: Any,
    b: Any,
    pairs: bool,
    split: Split,
    called: tuple[str, str] = ("a", "b"),
) -> list[Sides]:
    """Say what is compared with what.

    Parameters
    ----------
    journeys : Journeys
        What is measured.
    by : str or Segment, optional
        The property that makes segments.
    every : str, optional
        The calendar period, instead of `by`.
    a, b : object
        Two segments or periods; MISSING for all of them.
    pairs : bool
        Without `a` and `b`: every pair of segments, not each against the rest.
    split : {"user", "path"}
        What segments are made of.
    called : tuple of str
        What the caller calls `a` and `b`, for messages.

    Returns
    -------
    list of Sides
        One per comparison; at least one.
    """
    if (by is None) == (every is None):
        raise ParameterError(
            'compare needs by= (the property that makes the segments) or every= (a calendar period such as "1mo"), '
            "and not both. To compare periods of one segment, filter the journeys first."
        )
    if split not in SPLITS:
        raise ParameterError.choice("split", split, SPLITS)
    if every is not None:
        return list(_periods(make_cells(journeys, None, every), every, a, b, called))
    return list(_Segments(journeys, one_segment(by, "compare"), split).sides(a, b, pairs))


class _Segments:
    """The segments of one property."""

    def __init__(self, journeys: Journeys, segment: Segment, split: Split) -> None:
        self.property = segment.property
        base = make_cells(journeys, replace(segment, name=SEGMENT), None)
        self.values = base.labels[SEGMENT].to_list()
        self.assign = base.assign
        if split == "user":
            users = _users(journeys, segment.property, len(self.values))
            offsets = journeys.user_offsets

            def assign(paths: Paths, unit: Unit) -> Int32s:
                return users[np.searchsorted(offsets, paths.starts, side="right") - 1]

            self.assign = assign

    def sides(self, a: Any, b: Any, pairs: bool) -> Iterator[Sides]:
        """Return what is compared; `b` alone is never given."""
        if len(self.values) < 2:
            known = ", ".join(map(repr, self.values)) or "none"
            raise ParameterError(
                f"there is nothing to compare: the property {self.property!r} has one value in these journeys "
                f"({known}). Compare another property, or periods with every=."
            )
        if a is not MISSING:
            one = self._place(a, "a")
            yield self._made([one], self._others(one) if b is MISSING else [self._other(one, b)])
        elif b is not MISSING:
            raise ParameterError("b= says what a= is compared with; give both, or a= alone.")
        elif pairs or len(self.values) == 2:
            for one, other in combinations(range(len(self.values)), 2):
                yield self._made([one], [other])
        else:
            for one in range(len(self.values)):
                yield self._made([one], self._others(one))

    def _others(self, one: int) -> list[int]:
        return [each for each in range(len(self.values)) if each != one]

    def _other(self, one: int, b: Any) -> int:
        other = self._place(b, "b")
        if other == one:
            raise ParameterError(f"a and b are the same segment, {b!r}. Give two different ones.")
        return other

    def _place(self, value: Any, parameter: str) -> int:
        if value not in self.values:
            alike = [each for each in self.values if each is not None and str(each) == str(value)]
            known = (
                f"Did you mean {alike[0]!r}?"
                if alike
                else suggestion(str(value), [str(each) for each in self.values])
            )
            raise ParameterError(
                f"{parameter}={value!r} is no value of {self.property!r} in these journeys. {known}"
            )
        return self.values.index(value)

    def _made(self, one: list[int], others: list[int]) -> Sides:
        side = np.full(len(self.values), 2, np.int32)
        side[one], side[others] = 0, 1
        base = self.assign
        assert base is not None

        def assign(paths: Paths, unit: Unit) -> Int32s:
            return side[base(paths, unit)]

        rest = self.values[others[0]] if len(others) == 1 else REST
        labels = pl.DataFrame({SEGMENT: ["a", "b", "neither"]})
        return Sides(0, 1, (_text(self.values[one[0]]), _text(rest)), Cells(labels, assign))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _users(journeys: Journeys, name: str, size: int) -> Int32s:
    """Return the segment of every user; refuse users in two. D13.1."""
    from journeykit.kernels.paths.segments import values_of_users

    codes, _ = coded(journeys.property(name))
    found, twice = np.empty(journeys.n_users, np.int32), np.zeros(journeys.n_users, np.bool_)
    values_of_users(journeys.user_offsets, codes, found, twice)
    if twice.any():
        some = journeys.users.filter(pl.Series(twice)).sort().head(SHOWN_USERS).to_list()
        count = int(twice.sum())
        raise ParameterError(
            f"{count:,} of {journeys.n_users:,} users {'are' if count > 1 else 'is'} in more than one segment of "
            f'{name!r}, such as {", ".join(map(repr, some))}. Pass split="path" to compare their sessions or '
            f"paths, each by its own value, or filter these users out."
        )
    found[found < 0] = size - 1
    return found


def _periods(cells: Cells, every: str, a: Any, b: Any, called: tuple[str, str]) -> Iterator[Sides]:
    """Return the two periods, or every period and the one before it."""
    starts = cells.labels[PERIOD].to_list()
    if len(starts) < 2:
        raise ParameterError(
            "there is nothing to compare: all events are in one period. Take a shorter every=."
        )
    if a is MISSING and b is MISSING:
        for i in range(1, len(starts)):
            yield Sides(i, i - 1, (starts[i], starts[i - 1]), cells)
        return
    if a is MISSING:
        raise ParameterError(
            f"{called[1]}= says what {called[0]}= is compared with; give both, or {called[0]}= alone."
        )
    one = _period(starts, every, a, called[0])
    if b is MISSING and one == 0:
        raise ParameterError(
            f"{called[0]}={a!r} is in the first period of these journeys; no period is before it."
        )
    other = one - 1 if b is MISSING else _period(starts, every, b, called[1])
    if one == other:
        raise ParameterError(
            f"{called[0]}={a!r} and {called[1]}={b!r} are in the same period. Give two different ones."
        )
    yield Sides(one, other, (starts[one], starts[other]), cells)


def _period(starts: list[datetime], every: str, value: Any, parameter: str) -> int:
    """Return the number of the period that a day or time is in."""
    moment = _moment(value, parameter)
    zone = starts[0].tzinfo
    local = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
    start = truncated(pl.Series([local], dtype=pl.Datetime("us", str(zone))), every)[0]
    if start not in starts:
        raise ParameterError(
            f"{parameter}={str(value)!r} is in a period without events. They are from {starts[0]} to {starts[-1]}."
        )
    return starts.index(start)


def _moment(value: Any, parameter: str) -> datetime:
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    elif isinstance(value, datetime):
        return value
    elif isinstance(value, date):
        return datetime.combine(value, time())
    raise ParameterError(f"{parameter}={value!r} is no date. Give a day in the period, such as '2026-02-01'.")
