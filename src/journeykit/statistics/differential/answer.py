"""The answer of DifferentialPaths: what each kind has more of, and where each goes next. DEFINITIONS D13.6, D13.7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.differences import Differences
from journeykit.mathematics.intervals import FEWEST_GROUPS, GROUPS, jackknife, wilson
from journeykit.mathematics.multiple_tests import benjamini_hochberg
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE, Answer, groups_of_rows, with_floats
from journeykit.statistics.differential.contrast import Counts, contrast, phi
from journeykit.statistics.differential.counting import bits_per_state

if TYPE_CHECKING:
    from journeykit.statistics.differential.differential_paths import DifferentialPaths

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
START = "<START>"
BLOCK = 512
KINDS = ("event", "transition", "sequence")
NUMBERS = ("difference", "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high", "p_value")


@dataclass(frozen=True, eq=False, repr=False)
class DifferentialAnswer(Answer):
    """What distinguishes those who convert; the frame is described in `DifferentialPaths`.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per event, run of events or pattern.
    transitions : polars.DataFrame
        One row per move inside the prefixes: ``source``, ``target``; ``converted_moves`` of all
        ``converted_visits`` of the source that go on, their ratio ``converted_probability``, and the same of the
        abandoned; ``difference``, ``ratio``, p-values as in the frame. Sources that either kind left fewer than
        `min_count` times are left out. D13.6.
    """

    transitions: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "kind", "path", "converted_with", "converted_share", "abandoned_with", "abandoned_share", "difference",
        "difference_low", "difference_high", "phi", "p_adjusted",
    )  # fmt: skip


def differential_answer(
    question: DifferentialPaths, shown: Int64s, cuts: tuple[int, ...], tables: Tables, context: Context
) -> DifferentialAnswer:
    """Turn counts into the answer."""
    made = _Answering(question, shown, len(cuts) + 1, tables, context)
    notes = (*context.notes, *_notes(question, cuts, made))
    return DifferentialAnswer(
        context.label(made.frame()),
        question,
        replace(context, notes=notes),
        context.label(made.transitions()),
    )


class _Answering:
    """All tables, and what the rows of both frames share."""

    def __init__(
        self, question: DifferentialPaths, shown: Int64s, strata: int, tables: Tables, context: Context
    ) -> None:
        self.question, self.shown, self.strata, self.context = question, shown, strata, context
        self.tables = tables
        units = tables[UNITS_TABLE]
        some = units.filter(pl.col("converted") + pl.col("abandoned") > 0)
        self.groups = dict(some.group_by(CELL).agg(pl.col(GROUP).n_unique().cast(pl.Int64)).iter_rows())
        self.units = sum_rows(units, [CELL])
        self.names = context.names.cast(pl.String).to_list()

    def frame(self) -> pl.DataFrame:
        """Return the rows of runs and patterns, the largest difference first."""
        parts = [self._contrasted(table, *paths) for table, *paths in self._tables()]
        frame = pl.concat(parts, how="vertical_relaxed")
        p = frame["p_value"].fill_null(np.nan).to_numpy()
        frame = with_floats(frame, {"p_adjusted": benjamini_hochberg(p)})
        frame = frame.sort(
            CELL, pl.col("difference").abs(), "kind", "path",
            descending=[False, True, False, False], nulls_last=True,
        )  # fmt: skip
        names = [name for name in frame.columns if name != "p_adjusted"]
        after = names.index("p_value") + 1
        return frame.select(*names[:after], "p_adjusted", *names[after:])

    def _tables(self) -> Iterator[tuple[Any, ...]]:
        """Return the counts of runs and of patterns, with their kind and path by number."""
        bits = bits_per_state(len(self.names))
        paths = [_states(int(gram), bits) for gram in self.shown]
        kinds = [KINDS[min(len(path), 3) - 1] for path in paths]
        yield self.tables["runs"], kinds, [[self.names[state] for state in path] for path in paths], True
        texts = [[pattern.text] for pattern in self.question.patterns]  # type: ignore[union-attr]
        yield self.tables["patterns"], ["pattern"] * len(texts), texts, False

    def _contrasted(
        self, table: pl.DataFrame, kinds: list[str], paths: list[list[str]], named: bool
    ) -> pl.DataFrame:
        """Compare the shares of units of both kinds that have each thing."""
        totals = sum_rows(table, [CELL, "number"]).sort(CELL, "number")
        least = 1 if not named else self.question.min_count
        totals = totals.filter(pl.col("converted_with") + pl.col("abandoned_with") >= least)
        number = totals["number"].to_numpy()
        frame = totals.select(
            CELL,
            pl.Series("kind", [kinds[i] for i in number], dtype=pl.String),
            pl.Series("path", [paths[i] for i in number], dtype=pl.List(pl.String)),
            "converted_with",
            "abandoned_with",
        ).join(
            self.units.select(CELL, "converted", "abandoned", "converted_users", "abandoned_users"),
            on=CELL, how="left", maintain_order="left",
        )  # fmt: skip
        columns = self._compared(frame, table, ["number"], totals, self.tables["strata"], [])
        x, n_x, y, n_y = (
            frame[name].cast(pl.Float64).to_numpy()
            for name in ("converted_with", "converted", "abandoned_with", "abandoned")
        )
        columns["phi"] = phi(x, n_x, y, n_y)
        frame = with_floats(frame.drop("converted_users", "abandoned_users"), columns)
        order = (CELL, "kind", "path", "converted_with", "converted", "abandoned_with", "abandoned")
        frame = frame.select(*order, pl.exclude(order))
        return self._with_examples(frame, totals, named)

    def _with_examples(self, frame: pl.DataFrame, totals: pl.DataFrame, named: bool) -> pl.DataFrame:
        """Add the users with the smallest hashes."""
        users = self.tables["examples"]
        dtype = pl.List(users.schema["user"])
        for side, name in enumerate(("converted_examples", "abandoned_examples")):
            if not named:
                frame = frame.with_columns(pl.lit(None, dtype).alias(name))
                continue
            own = users.filter(pl.col("side") == side).sort("hash", "user")
            first = own.group_by(CELL, "number", maintain_order=True).agg(
                pl.col("user").unique(maintain_order=True).head(self.question.examples).alias(name)
            )
            found = totals.select(CELL, "number").join(
                first, on=[CELL, "number"], how="left", maintain_order="left"
            )
            frame = frame.with_columns(found[name])
        return frame

    def transitions(self) -> pl.DataFrame:
        """Return the rows of moves, the largest difference first. D13.6."""
        moves, names = self.tables["moves"], [*self.names, START]
        leaving = sum_rows(moves.drop("target"), [CELL, GROUP, "stratum", "source"])
        visits = (
            sum_rows(leaving, [CELL, "source"])
            .rename({"converted_with": "converted_visits", "abandoned_with": "abandoned_visits"})
            .drop("stratum", strict=False)
        )
        least = self.question.min_count
        totals = sum_rows(moves.drop("stratum"), [CELL, "source", "target"])
        totals = totals.join(
            visits.select(CELL, "source", "converted_visits", "abandoned_visits"), on=[CELL, "source"]
        )
        totals = totals.filter(pl.min_horizontal("converted_visits", "abandoned_visits") >= least)
        totals = totals.sort(CELL, "source", "target")
        frame = totals.join(
            sum_rows(self.tables["sources"], [CELL, "source"]),
            on=[CELL, "source"],
            how="left",
            maintain_order="left",
        )
        columns = self._compared(frame, moves, ["source", "target"], totals, leaving, ["source"])
        columns = {name.replace("_share", "_probability"): each for name, each in columns.items()}
        frame = with_floats(frame, columns).with_columns(
            pl.col("source").replace_strict(range(len(names)), names, return_dtype=pl.String),
            pl.col("target").replace_strict(range(len(names)), names, return_dtype=pl.String),
        )
        frame = with_floats(frame, {"p_adjusted": benjamini_hochberg(columns["p_value"])})
        frame = frame.rename({"converted_with": "converted_moves", "abandoned_with": "abandoned_moves"})
        order = [
            CELL, "source", "target", "converted_moves", "converted_visits", "abandoned_moves", "abandoned_visits",
        ]  # fmt: skip
        frame = frame.select(*order, *(name for name in columns), "p_adjusted")
        return frame.sort(
            CELL, pl.col("difference").abs(), "source", "target",
            descending=[False, True, False, False], nulls_last=True,
        )  # fmt: skip

    def _compared(
        self, frame: pl.DataFrame, tops: pl.DataFrame, keys: list[str], totals: pl.DataFrame, bottoms: pl.DataFrame,
        bottom_keys: list[str],
    ) -> dict[str, Floats]:  # fmt: skip
        """Return shares and comparisons of all rows, block by block."""
        groups = groups_of_rows(totals[CELL], self.groups)
        users = tuple(
            frame[name].fill_null(0).cast(pl.Float64).to_numpy()
            for name in ("converted_users", "abandoned_users")
        )
        once = self.question.unit == "user" and not bottom_keys
        parts: list[dict[str, Floats]] = [
            _columns(_nothing(self.strata), np.empty(0, np.int64), 2 * (np.empty(0),), once, 0.95)
        ]
        for first in range(0, totals.height, BLOCK):
            rows = totals.slice(first, BLOCK)
            x, y = _dense(tops, rows, [CELL, *keys], self.strata)
            n_x, n_y = _dense(bottoms, rows, [CELL, *bottom_keys], self.strata)
            part = slice(first, first + BLOCK)
            own = (users[0][part], users[1][part])
            parts.append(_columns(Counts(x, n_x, y, n_y), groups[part], own, once, self.context.level))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _nothing(strata: int) -> Counts:
    empty = np.empty((0, strata, GROUPS))
    return Counts(empty, empty, empty, empty)


def _columns(
    counts: Counts, groups: Int64s, users: tuple[Floats, Floats], once: bool, level: float
) -> dict[str, Floats]:
    """Return every number of a block of rows."""
    a, b, found = contrast(counts, groups, users, once, level)
    columns: dict[str, Floats] = {}
    sides = (("converted", counts.x, counts.n_x), ("abandoned", counts.y, counts.n_y))
    for (kind, top, bottom), own in zip(sides, users, strict=True):
        x, n = top.sum(axis=1), bottom.sum(axis=1)
        share = _over(x.sum(axis=1), n.sum(axis=1))
        without = _over(x.sum(axis=1, keepdims=True) - x, n.sum(axis=1, keepdims=True) - n)
        ends = (
            wilson(x.sum(axis=1), n.sum(axis=1), level)
            if once
            else jackknife(share, without, groups, own, level=level)
        )
        name = f"{kind}_share"
        columns |= {name: share, f"{name}_low": ends.low, f"{name}_high": ends.high}
    columns |= {"converted_alike": a, "abandoned_alike": b}
    return columns | _numbers(found)


def _numbers(found: Differences) -> dict[str, Floats]:
    return {name: getattr(found, name) for name in NUMBERS}


def _over(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def _dense(table: pl.DataFrame, rows: pl.DataFrame, keys: list[str], strata: int) -> tuple[Floats, Floats]:
    """Return the counts of both kinds of some rows: (rows, strata, groups)."""
    numbered = rows.select(keys).with_row_index("row")
    found = numbered.join(table, on=keys, how="inner")
    place = (found["row"].cast(pl.Int64).to_numpy() * strata + found["stratum"].to_numpy()) * GROUPS + found[
        GROUP
    ].to_numpy()
    size, shape = rows.height * strata * GROUPS, (rows.height, strata, GROUPS)
    x, y = (
        np.bincount(place, found[name].to_numpy().astype(np.float64), size).astype(np.float64).reshape(shape)
        for name in ("converted_with", "abandoned_with")
    )
    return x, y


def _states(gram: int, bits: int) -> list[int]:
    """Return the states of a run, oldest first."""
    states = []
    while gram:
        states.append((gram & ((1 << bits) - 1)) - 1)
        gram >>= bits
    return states[::-1]


def _notes(question: DifferentialPaths, cuts: tuple[int, ...], made: _Answering) -> list[str]:
    """Say what a reader should know."""
    units = made.units.select(pl.col("converted", "abandoned", "open").sum()).row(0, named=True)
    counted = f"{units['converted']:,} {question.unit}s converted and {units['abandoned']:,} gave up"
    notes = [f"{counted}; {units['open']:,} that are still open are left out."]
    said = {"converted": "converted", "abandoned": "gave up"}
    nobody = [text for kind, text in said.items() if not units[kind]]
    notes += [f"There is nothing to compare: no {question.unit} {text}." for text in nobody]
    if question.uncut:
        notes.append(
            "Paths are not cut at the goal: what goes along with the goal itself is among what is found."
        )
    if cuts:
        classes = ", ".join(map(str, cuts))
        notes.append(f"Compared among prefixes of like length: up to {classes} and more events.")
    if min(made.groups.values(), default=0) < FEWEST_GROUPS:
        notes.append(f"Fewer than {FEWEST_GROUPS} groups of users: some rows have no interval and no test.")
    notes.append("What goes with conversion need not cause it.")
    return notes
