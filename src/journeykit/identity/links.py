"""Which ids were seen together, when, and how often: rows of any source as links between numbered ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import InputError, MissingColumnError, ParameterError
from journeykit.identity.rules import IdentityRules
from journeykit.ordering.order import order_events
from journeykit.ordering.user_ids import UserIds
from journeykit.sources import blaming, collect_source, open_source
from journeykit.sources.roles import Roles, identifier
from journeykit.sources.times import read_time

Int64s = npt.NDArray[np.int64]
ALWAYS = int(np.iinfo(np.int64).min)
"""Before all times: the time of a link that has none, which held from the start."""
MISSING = -1


@dataclass(frozen=True, eq=False)
class Links:
    """Ids, numbered, and what is known of every two that were seen together.

    Attributes
    ----------
    ids : polars.Series of String
        The texts of the ids, each once.
    kinds : numpy.ndarray of uint8
        The kind of every id, as a position in `names`.
    names : tuple of str
        The kinds; strong ones first, in the order of the rules.
    ones, others : numpy.ndarray of int64
        The two ids of every link, the smaller number first; each link once, and none of an id with itself.
    offsets : numpy.ndarray of int64, links + 1
        Where the times of every link begin.
    times : numpy.ndarray of int64
        When the ids of a link were seen together, in order; `ALWAYS` where it is not known.
    """

    ids: pl.Series
    kinds: npt.NDArray[np.uint8]
    names: tuple[str, ...]
    ones: Int64s
    others: Int64s
    offsets: Int64s
    times: Int64s

    @property
    def first(self) -> Int64s:
        """When the ids of every link were first seen together."""
        return self.times[self.offsets[:-1]]

    @property
    def last(self) -> Int64s:
        """When they were last seen together."""
        return self.times[self.offsets[1:] - 1]

    @property
    def sightings(self) -> Int64s:
        """How often they were seen together."""
        return np.diff(self.offsets)


class _Grouped(NamedTuple):
    """Equal values put together: each once, where its rows begin, the rows, their times in order."""

    values: pl.Series
    offsets: Int64s
    rows: npt.NDArray[np.unsignedinteger[Any]]
    times: Int64s

    def numbers(self) -> Int64s:
        """Return the number of the value of every row."""
        numbers = np.empty(self.rows.size, np.int64)
        numbers[self.rows] = np.repeat(np.arange(len(self.values)), np.diff(self.offsets))
        return numbers


def read_links(
    source: Any,
    ids: Mapping[str, str] | Sequence[str],
    time: str | None,
    rules: IdentityRules,
    *,
    unit: Any,
    tz: str | None,
    time_format: str | None,
    format: str | None,
) -> Links:
    """Read rows of ids that belong together; the parameters of `Identity.of`."""
    kind_of = _kinds(ids, rules)
    if time is None and rules.timed:
        told = "retroactive=False" if not rules.retroactive else f"owner={rules.owner!r}"
        raise ParameterError(
            f"{told} needs to know when ids were seen together. Pass time=<column of times> to Identity.of."
        )
    columns = [*kind_of, *([time] if time is not None else [])]
    plan = open_source(source, format=format, columns=columns, text=[*kind_of])
    with blaming(source, format=format, columns=columns):
        schema = plan.collect_schema()
        for role, column in [*(("ids", each) for each in kind_of), *([("time", time)] if time else [])]:
            if column not in schema:
                raise MissingColumnError(
                    role, column, schema.names(), f"Pass {role}=<column name> to Identity.of."
                )
        given = [
            identifier(plan, "ids", name, schema[name]).cast(pl.String).alias(f"id {number}")
            for number, name in enumerate(kind_of)
        ]
        when: pl.Expr = pl.lit(None, pl.Int64)
        if time is not None:
            roles = Roles(time, time, time, unit=unit, tz=tz, time_format=time_format)
            when = read_time(plan, roles, schema[time]).time.to_physical()
        chosen = plan.select(*given, when.fill_null(ALWAYS).alias("when"))
    rows = collect_source(chosen, source, format=format, columns=columns)
    return _linked(rows, tuple(kind_of.values()), rules)


def _kinds(ids: Mapping[str, str] | Sequence[str], rules: IdentityRules) -> dict[str, str]:
    """Return the kind of every column of ids."""
    if isinstance(ids, str):
        raise ParameterError(f"ids must be columns, not one text. Pass ids=[{ids!r}, ...].")
    kind_of = dict(ids) if isinstance(ids, Mapping) else {name: name for name in ids}
    if not kind_of or not all(isinstance(text, str) for each in kind_of.items() for text in each):
        raise ParameterError(
            f"ids cannot be {ids!r}. Give columns of ids, such as ['device', 'login'], or their kinds by column."
        )
    for kind in rules.strong:
        if kind not in kind_of.values():
            raise ParameterError.choice("strong", kind, dict.fromkeys(kind_of.values()))
    return kind_of


def _linked(rows: pl.DataFrame, kinds: Sequence[str], rules: IdentityRules) -> Links:
    """Number the ids of rows, and put equal links together."""
    columns = [rows[name] for name in rows.columns[:-1]]
    present = [~column.is_null().to_numpy() for column in columns]
    texts = pl.concat([column.drop_nulls() for column in columns])
    grouped = _grouped(texts, np.zeros(len(texts), np.int64))
    numbers, start = [], 0
    every = grouped.numbers()
    for there in present:
        own = np.full(rows.height, MISSING, np.int64)
        own[there] = every[start : start + int(there.sum())]
        start += int(there.sum())
        numbers.append(own)
    names = tuple(dict.fromkeys([*rules.strong, *kinds]))
    strength = _strongest(grouped.values, numbers, [names.index(kind) for kind in kinds], names, rules)
    return Links(
        grouped.values, strength, names, *_pairs(numbers, rows["when"].to_numpy(), _ignored(grouped.values, rules))
    )  # fmt: skip


def _pairs(
    numbers: Sequence[Int64s], times: Int64s, ignored: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Return the links of all rows: their ids, and their times in order."""
    keys, whens = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for one, other in combinations(numbers, 2):
        both = np.flatnonzero((one != MISSING) & (other != MISSING) & (one != other))
        both = both[~(ignored[one[both]] | ignored[other[both]])]
        low, high = np.minimum(one[both], other[both]), np.maximum(one[both], other[both])
        keys.append(low << 32 | high)
        whens.append(times[both])
    grouped = _grouped(pl.Series(np.concatenate(keys)), np.concatenate(whens))
    packed = grouped.values.to_numpy()
    return packed >> 32, packed & 0xFFFFFFFF, grouped.offsets, grouped.times


def _grouped(values: pl.Series, times: Int64s) -> _Grouped:
    """Put equal values together. O(n): the way in which events are ordered by user."""
    if not len(values):
        empty = np.empty(0, np.int64)
        return _Grouped(values, np.zeros(1, np.int64), np.empty(0, np.uint32), empty)
    codes = pl.Series(np.zeros(len(values), np.uint8))
    found = order_events(UserIds.of(values), pl.Series(times), codes)
    return _Grouped(found.users, found.user_offsets, found.rows, found.times)


def _strongest(
    ids: pl.Series,
    numbers: Sequence[Int64s],
    strengths: Sequence[int],
    names: Sequence[str],
    rules: IdentityRules,
) -> npt.NDArray[np.uint8]:
    """Return the strongest kind of every id; refuse ids of two kinds unless they are allowed."""
    kinds = np.zeros(len(ids), np.uint8)
    own = [column[column != MISSING] for column in numbers]
    for column, strength in sorted(zip(own, strengths, strict=True), key=lambda each: -each[1]):
        kinds[column] = strength
    if rules.mixed_kinds == "strongest":
        return kinds
    for column, strength in zip(own, strengths, strict=True):
        mixed = column[kinds[column] != strength]
        if mixed.size:
            text = str(ids.gather(mixed).min())
            stronger = names[int(kinds[column[ids.gather(column).eq(text).to_numpy()]][0])]
            raise InputError(
                f"the id {text!r} is of two kinds: {names[strength]!r} and {stronger!r}. Ids are told apart by their "
                f'text: put the kind in front of it, or pass mixed_kinds="strongest" to IdentityRules if it is one id.'
            )
    return kinds


def _ignored(ids: pl.Series, rules: IdentityRules) -> npt.NDArray[np.bool_]:
    """Mark the texts that are no ids."""
    plain = ids.str.strip_chars().str.to_lowercase()
    return plain.is_in([text.strip().lower() for text in rules.ignored]).to_numpy()
