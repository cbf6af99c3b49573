"""The prefixes of one shard, and what is in them. DEFINITIONS D13.6, D13.7."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.ordering.user_ids import hash_ids
from journeykit.patterns.matchers import Match
from journeykit.patterns.searching import Search
from journeykit.protocol import CELL, Cells, Tables
from journeykit.statistics.base import UNITS_TABLE
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import Bools, Int64s, Stretches, Walk

if TYPE_CHECKING:
    from journeykit.statistics.differential.differential_paths import DifferentialPaths

LEFT_OUT, CONVERTED, ABANDONED = -1, 0, 1
KEY_BITS = 62


def bits_per_state(names: int) -> int:
    """Return how many bits hold a state, counted from 1."""
    return max(1, int(names).bit_length())


class Prefixes:
    """The units of one shard that converted or gave up, each up to its goal."""

    def __init__(self, question: DifferentialPaths, shard: Journeys, cells: Cells) -> None:
        self.question, self.shard = question, shard
        self.walk = walk = Walk(shard, cells, "event", question.unit)
        goal, start = question.goal, question.start
        assert isinstance(goal, Match)
        assert start is None or isinstance(start, Match)
        stretches = Stretches(
            shard, walk, goal, start, question.unit, question.within, from_first=start is None
        )
        reached, converted = stretches.origin >= 0, stretches.goal >= 0
        self.abandoned = stretches.abandoned(question.horizon)
        self.converted = converted
        self.open = reached & ~converted & ~self.abandoned
        self.sides = np.select([converted, self.abandoned], [CONVERTED, ABANDONED], LEFT_OUT).astype(np.int8)
        self.starts = np.where(reached, stretches.origin, walk.paths.starts)
        cut = converted & (not question.uncut)
        self.ends = np.where(cut, stretches.goal, walk.paths.ends)
        self.bits = bits_per_state(walk.n_states)
        self.n_cells, self.segments = walk.cell_count, cells.per_group
        self._check_room()

    def _check_room(self) -> None:
        """Refuse runs that do not fit into a number."""
        needed = self.bits * self.question.longest + self.n_cells.bit_length()
        if needed > KEY_BITS:
            raise ParameterError(
                f"longest={self.question.longest} is too long for {self.walk.n_states:,} event names and "
                f"{self.n_cells:,} cells. Take at most {(KEY_BITS - self.n_cells.bit_length()) // self.bits}, or join "
                f"names first with clean()."
            )

    @property
    def _resolved(self) -> Bools:
        return self.sides >= 0

    @property
    def _lengths(self) -> Int64s:
        return self.ends - self.starts

    def lengths(self) -> pl.DataFrame:
        """Count the units of both kinds by the length of their prefix."""
        some = self._resolved
        listed = pl.DataFrame({CELL: self.walk.cells[some], "length": self._lengths[some]})
        return listed.group_by(CELL, "length").len("units").with_columns(pl.col("units").cast(pl.Int64))

    def grams(self) -> pl.DataFrame:
        """Count the units with each run of states."""
        from journeykit.kernels.outcomes.differential import count_grams

        longest = self.question.longest
        counted = CountingRows.make(
            (self.n_cells << (self.bits * longest)), max(1, longest * self.walk.n_events)
        )
        rule = (self.bits, longest, self.n_cells)
        count_grams(
            self.starts, self.ends, self.walk.states, self.sides, self.walk.cells, rule, counted.keys, counted.rows,
            counted.table,
        )  # fmt: skip
        keys, rows = counted.found()
        return pl.DataFrame({
            CELL: (keys % self.n_cells).astype(np.int32), "gram": keys // self.n_cells, "units": rows[:, 0],
        })  # fmt: skip

    def counted(self, cuts: tuple[int, ...], shown: Int64s) -> Tables:
        """Return the tables of the second question."""
        strata = np.searchsorted(np.array(cuts, np.int64), self._lengths, side="left").astype(np.int64)
        runs, examples = self._runs(shown, strata, len(cuts) + 1)
        moves, sources = self._moves(strata, len(cuts) + 1)
        return {
            "runs": runs, "examples": examples, "moves": moves, "sources": sources,
            "patterns": self._patterns(strata, len(cuts) + 1), "strata": self._strata(strata, len(cuts) + 1),
            UNITS_TABLE: self._units(),
        }  # fmt: skip

    def _runs(self, shown: Int64s, strata: Int64s, n: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Count the units with each run that is shown, and name some of their users."""
        from journeykit.kernels.outcomes.differential import count_shown, number_grams

        places = 1 << max(4, (2 * shown.size).bit_length())
        known = np.zeros(places + 1, np.int64), np.zeros(places, np.int32)
        number_grams(shown, *known)
        possible = max(1, shown.size * self.n_cells * n)
        counted = CountingRows.make(possible, max(1, self.question.longest * self.walk.n_events))
        shape = (shown.size * self.segments, 2, self.question.examples)
        best = np.full(shape, np.iinfo(np.uint64).max, np.uint64), np.full(shape, -1, np.int64)
        hashes = hash_ids(self._users())[self.walk.owners]
        rule = (self.bits, self.question.longest, self.n_cells, n, self.segments)
        count_shown(
            self.starts, self.ends, self.walk.states, self.sides, self.walk.cells, strata, hashes, rule, known,
            (counted.keys, counted.rows, counted.table), best,
        )  # fmt: skip
        keys, rows = counted.found()
        cell, stratum = keys // n % self.n_cells, keys % n
        columns = {
            "number": (keys // n // self.n_cells).astype(np.int32),
            "stratum": stratum.astype(np.int32),
        }
        runs = pl.DataFrame({CELL: cell.astype(np.int32), **columns, **_kinds(rows)})
        return runs, self._named(*best)

    def _users(self) -> pl.Series:
        first, last = self.shard.user_range or (0, self.shard.n_users)
        return self.shard.users.slice(first, last - first)

    def _named(self, hashes: npt.NDArray[np.uint64], units: Int64s) -> pl.DataFrame:
        """Return the users of examples."""
        thing, side, place = np.nonzero(units >= 0)
        unit, number = units[thing, side, place], thing // self.segments
        users = self._users().gather(pl.Series(self.walk.owners[unit], dtype=pl.UInt32))
        columns: dict[str, Any] = {CELL: self.walk.cells[unit], "number": number.astype(np.int32)}
        columns |= {"side": side.astype(np.int32), "hash": hashes[thing, side, place], "user": users}
        return pl.DataFrame(columns).with_columns(pl.lit(1, pl.Int64).alias("units"))

    def _moves(self, strata: Int64s, n: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Count the moves inside the prefixes, and the users with each source."""
        from journeykit.kernels.outcomes.differential import count_edges

        size, walk = self.walk.n_states + 1, self.walk
        counted = CountingRows.make(self.n_cells * n * size**2, max(1, walk.n_events + walk.paths.n_paths))
        sources = CountingRows.make(self.n_cells * size, max(1, walk.n_events + walk.paths.n_paths))
        rule = (size, n, self.question.start is None)
        count_edges(
            self.starts, self.ends, walk.states, self.sides, walk.cells, strata, walk.owners, rule,
            (counted.keys, counted.rows, counted.table), (sources.keys, sources.rows, sources.table),
        )  # fmt: skip
        keys, rows = counted.found()
        cell_and_stratum = keys // size**2
        moves = pl.DataFrame({
            CELL: (cell_and_stratum // n).astype(np.int32), "stratum": (cell_and_stratum % n).astype(np.int32),
            "source": (keys // size % size).astype(np.int32), "target": (keys % size).astype(np.int32), **_kinds(rows),
        })  # fmt: skip
        keys, rows = sources.found()
        users = {"converted_users": rows[:, 1], "abandoned_users": rows[:, 2]}
        cell, source = (keys // size).astype(np.int32), (keys % size).astype(np.int32)
        return moves, pl.DataFrame({CELL: cell, "source": source, **users})

    def _patterns(self, strata: Int64s, n: int) -> pl.DataFrame:
        """Count the units with a match of each pattern inside their prefix."""
        found = [pl.DataFrame(schema={CELL: pl.Int32, "number": pl.Int32, "stratum": pl.Int32, **_COUNTS})]
        for number, pattern in enumerate(self.question.patterns):
            search = Search.of(self.shard, pattern)  # type: ignore[arg-type]
            cut = replace(search, paths=replace(search.paths, starts=self.starts, ends=self.ends))
            has = (cut.counts(first_only=True) > 0) & self._resolved
            counts = self._by_stratum(has, strata, n)
            found.append(counts.select(CELL, pl.lit(number, pl.Int32).alias("number"), "stratum", *_COUNTS))
        return pl.concat(found)

    def _strata(self, strata: Int64s, n: int) -> pl.DataFrame:
        return self._by_stratum(self._resolved, strata, n).select(CELL, "stratum", *_COUNTS)

    def _by_stratum(self, marked: Bools, strata: Int64s, n: int) -> pl.DataFrame:
        """Count marked units of both kinds per cell and class."""
        key = (self.walk.cells.astype(np.int64) * n + strata)[marked]
        size, side = self.n_cells * n, self.sides[marked]
        counts = [np.bincount(key[side == kind], minlength=size) for kind in (CONVERTED, ABANDONED)]
        some = np.flatnonzero(counts[0] + counts[1])
        cell, stratum = (some // n).astype(np.int32), (some % n).astype(np.int32)
        named = {name: count[some] for name, count in zip(_COUNTS, counts, strict=True)}
        return pl.DataFrame({CELL: cell, "stratum": stratum, **named})

    def _units(self) -> pl.DataFrame:
        """Count units of each kind per cell, and their users."""
        units = self.walk.units()
        cells = units[CELL].to_numpy()
        columns = {}
        for name, which in (
            ("converted", self.converted),
            ("abandoned", self.abandoned),
            ("open", self.open),
        ):
            columns[name] = np.bincount(self.walk.cells[which], minlength=self.n_cells)[cells]
            columns[f"{name}_users"] = self.walk.users_per_cell(which)[cells]
        resolved = self.walk.users_per_cell(self._resolved)[cells]
        return units.with_columns(
            **{name: pl.Series(each) for name, each in columns.items()}, resolved_users=resolved
        )


_COUNTS = {"converted_with": pl.Int64, "abandoned_with": pl.Int64}


def _kinds(rows: Int64s) -> dict[str, Int64s]:
    """Return the counts of both kinds from their total and the first."""
    return {"converted_with": rows[:, 1], "abandoned_with": rows[:, 0] - rows[:, 1]}
