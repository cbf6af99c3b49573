"""ClickHouse's windowFunnel: the level that a scan with a sliding window finds. DEFINITIONS D7.14."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
    groups_per_cell,
    with_rate,
    with_share,
)
from journeykit.statistics.goals import Int64s, Of, Walk
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing

Mode: TypeAlias = Literal[
    "strict_increase", "strict_once", "strict_deduplication", "strict_order", "allow_reentry"
]
MODES: tuple[Mode, ...] = get_args(Mode)
MOST_CONDITIONS = 32

Levels = npt.NDArray[np.uint8]

COUNTS = ("units", "best_users")


@dataclass(frozen=True, eq=False, repr=False)
class WindowFunnelAnswer(Answer):
    """Units per level; the frame is described in `WindowFunnel`.

    Attributes
    ----------
    levels : polars.DataFrame or None
        With ``levels=True``: ``user``, ``session`` (its number; null for users) and ``level``, one row per unit.
    """

    levels: pl.DataFrame | None = None

    shown: ClassVar[Sequence[str]] = (
        "level",
        "condition",
        "units",
        "reached",
        "users",
        "rate",
        "low",
        "high",
    )


@dataclass(frozen=True)
class WindowFunnel(Statistic[WindowFunnelAnswer]):
    """Find how far each unit gets, exactly as ClickHouse's ``windowFunnel`` does. D7.14.

    Parameters
    ----------
    conditions : sequence of str, sequence of str, Match or polars expression
        What each level asks of an event; a list of names: any of them. At most 32.
    within : str or timedelta
        The window: every condition is met at most so long after the first, inclusive.
    modes : sequence of str
        Any of: ``"strict_increase"``: times increase strictly. ``"strict_once"``: an event serves a chain once.
        ``"strict_deduplication"``: a level that comes again ends the scan. ``"strict_order"``: an event of no
        condition, or of a level whose predecessor is missing, ends the scan. ``"allow_reentry"``, with
        ``"strict_order"`` only: the latter is skipped instead.
    of : {"event", "stage"}
        What names are names of.
    unit : {"user", "session"}
        Whose level it is.
    levels : bool
        Whether the answer lists the level of every unit too.
    missing : {"raise", "ignore", "warn"}
        Whether a name that the log does not have is an error, matches nothing, or matches nothing with a warning.

    Raises
    ------
    ParameterError
        If there is no condition, or a mode does not exist or lacks the one it needs.

    See Also
    --------
    Funnel : Whose rules have names, and whose ``ties="strict"`` finds what ``strict_increase`` can miss.

    Notes
    -----
    The answer's frame has one row per level, from 0 (no condition met) to the last:

    ``level``, ``condition``
        The level and what it asks.
    ``units``, ``reached``, ``users``
        Units whose level it is; units with at least this level; their distinct users.
    ``step_rate``
        reached / reached of the level before; null at level 0.
    ``rate``, ``low``, ``high``
        reached / all units; Wilson for users, jackknife for sessions (D12).

    Every event is an entry for each condition it fits; entries are read by time, then condition, so the order of
    events of one time does not matter, and one event may serve several levels. Each level keeps the chain that began
    last. With ``strict_once`` all chains count; they are not listed: only events of one instant can serve twice, and
    whether each level finds its own is a matching.

    One pass, O(n K); with ``strict_once``, instants of m events cost O(m² K³) at worst. 1 byte per unit.

    References
    ----------
    ClickHouse documentation, aggregate function windowFunnel, version 26.9.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2, 2], "time": [0, 5, 9, 0, 20], "event": ["a", "b", "c", "a", "b"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(jk.WindowFunnel(["a", "b", "c"], within="10s", levels=True))
    >>> answer.frame.select("level", "condition", "units", "reached", "rate").rows()
    [(0, None, 0, 2, 1.0), (1, 'a', 1, 2, 1.0), (2, 'b', 0, 1, 0.5), (3, 'c', 1, 1, 0.5)]
    >>> answer.levels.rows()
    [(1, None, 3), (2, None, 1)]
    """

    conditions: Sequence[MatchLike]
    within: Duration
    modes: Sequence[Mode] = ()
    of: Of = "event"
    unit: Unit = "user"
    levels: bool = False
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        given = self.conditions
        if isinstance(given, str | Match | pl.Expr) or not isinstance(given, Sequence) or not given:
            raise ParameterError(f"conditions cannot be {given!r}. Give a list of at least one condition.")
        if len(given) > MOST_CONDITIONS:
            raise ParameterError(f"{len(given)} conditions are more than the {MOST_CONDITIONS} there can be.")
        object.__setattr__(self, "conditions", tuple(as_match(one, "a condition") for one in given))
        object.__setattr__(self, "modes", _checked_modes(self.modes))
        microseconds(self.within, "within")
        for name, choices in (("of", get_args(Of)), ("unit", get_args(Unit)), ("missing", get_args(Missing))):
            if getattr(self, name) not in choices:
                raise ParameterError.choice(name, getattr(self, name), choices)

    @property
    def matches(self) -> tuple[Match, ...]:
        """The conditions as matchers."""
        return tuple(as_match(one, "a condition") for one in self.conditions)

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        tables: dict[str, Sequence[str]] = {"levels": ("level",), UNITS_TABLE: ()}
        return tables | ({"each": ("user", "session")} if self.levels else {})

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        check_matches(self.matches, self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units per level in one shard."""
        from journeykit.kernels.funnels.window_funnel import window_levels

        walk = Walk(shard, cells, self.of, self.unit)
        paths, symbols = walk.paths, symbols_of(shard, self.matches, self.of, self.unit)
        count, longest = len(self.matches), int(paths.lengths.max(initial=0)) + 1
        level = np.empty(paths.n_paths, np.uint8)
        rule = (count, microseconds(self.within, "within"), *(mode in self.modes for mode in MODES))
        room = tuple(np.empty(size, np.int64) for size in (longest, *[count + 1] * 4))
        window_levels(paths.starts, paths.ends, symbols.codes, symbols.masks, paths.times, rule, room, level)
        tables = {"levels": _counted(walk, level, count, self.unit), UNITS_TABLE: walk.units()}
        if self.levels:
            numbers = np.arange(paths.n_paths) - paths.user_paths[walk.owners] + 1
            frame = walk.frame(level=level, session=numbers).filter(pl.Series(paths.lengths > 0))
            tables["each"] = _each(shard, frame, self.unit)
        return tables

    def answer(self, tables: Tables, context: Context) -> WindowFunnelAnswer:
        """Turn counts per level into reached units with rates and intervals."""
        reached = Grouped(_reached(tables, len(self.matches)), ("level",))
        all_units = Grouped(tables[UNITS_TABLE], ())
        frame = reached.totals
        whole = all_units.totals.select(CELL, all_units="paths", all_users="users")
        frame = frame.join(whole, on=CELL, how="left", maintain_order="left")
        if self.unit == "user":
            frame = with_share(frame, "rate", "reached", "all_units", context)
            frame = frame.rename({"rate_low": "low", "rate_high": "high"})
        else:
            cell_row = all_units.totals.select(CELL).with_row_index("row")
            rows = frame.select(CELL).join(cell_row, on=CELL, how="left", maintain_order="left")["row"]
            frame = with_rate(
                frame, "rate", reached.sums("reached"), all_units.sums("paths"), rows.cast(pl.Int64).to_numpy(),
                groups_per_cell(tables), frame["all_users"], context, bounds=("low", "high"),
            )  # fmt: skip
        before = pl.col("reached").shift(1).over(CELL)
        titles = pl.Series([None, *(match.title for match in self.matches)], dtype=pl.String)
        frame = frame.with_columns(
            pl.when(before > 0).then(pl.col("reached") / before).alias("step_rate"),
            pl.lit(titles).gather(pl.col("level")).alias("condition"),
        ).select(
            CELL,
            "level",
            "condition",
            "units",
            "reached",
            "users",
            "all_units",
            "step_rate",
            "rate",
            "low",
            "high",
        )
        return WindowFunnelAnswer(context.label(frame), self, context, self._levels(tables, context))

    def _levels(self, tables: Tables, context: Context) -> pl.DataFrame | None:
        if not self.levels:
            return None
        return context.label(tables["each"].drop(GROUP).sort(CELL, "user", "session"))


def _checked_modes(modes: Sequence[str]) -> tuple[Mode, ...]:
    if isinstance(modes, str) or not isinstance(modes, Sequence):
        raise ParameterError(f"modes cannot be {modes!r}. Give a list, such as ['strict_order'].")
    for mode in modes:
        if mode == "strict":
            raise ParameterError(
                "modes cannot hold 'strict': the engine has renamed it. Write 'strict_deduplication'."
            )
        if mode not in MODES:
            raise ParameterError.choice("modes", mode, MODES)
    if "allow_reentry" in modes and "strict_order" not in modes:
        raise ParameterError("'allow_reentry' needs 'strict_order', whose rule it loosens. Add it to modes.")
    return tuple(mode for mode in MODES if mode in modes)


def _counted(walk: Walk, level: Levels, count: int, unit: Unit) -> pl.DataFrame:
    """Count units per level, and users by the best level of theirs."""
    some = walk.paths.lengths > 0
    place = walk.cells[some].astype(np.int64) * (count + 1) + level[some]
    units = np.bincount(place)
    best = units if unit == "user" else np.bincount(_best_of_users(walk.owners[some], place, count + 1))
    found = np.flatnonzero(units)
    best = np.pad(best, (0, units.size - best.size))[found]
    cell, level_of = np.divmod(found, count + 1)
    columns = {CELL: cell.astype(np.int32), "level": level_of.astype(np.int32)}
    return pl.DataFrame(columns | dict(zip(COUNTS, (units[found], best), strict=True)))


def _best_of_users(owners: Int64s, place: Int64s, size: int) -> Int64s:
    """Return the furthest place of each user in each cell; `size` places are one cell."""
    frame = pl.DataFrame({"user": owners, CELL: place // size, "place": place})
    return frame.group_by("user", CELL).agg(pl.col("place").max())["place"].to_numpy()


def _each(shard: Journeys, frame: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    """List the level of every unit: user, number of its session, level."""
    first, last = shard.user_range or (0, shard.users.len())
    own = shard.users.slice(first, last - first)
    return frame.select(
        CELL,
        pl.lit(own).gather(pl.col("user")).alias("user"),
        pl.col("session") if unit == "session" else pl.lit(None, pl.Int64).alias("session"),
        pl.col("level").cast(pl.Int64),
    )


def _reached(tables: Tables, last: int) -> pl.DataFrame:
    """Give every level a row in each cell and group, and add what is above it."""
    numbers = pl.DataFrame({"level": pl.Series(range(last + 1), dtype=pl.Int32)})
    zero = tables[UNITS_TABLE].select(CELL, GROUP).join(numbers, how="cross")
    zero = zero.with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTS)
    counts = tables["levels"]
    filled = sum_rows(pl.concat([counts, zero.select(counts.columns)]), [CELL, GROUP, "level"])
    filled = filled.sort(CELL, GROUP, "level", descending=[False, False, True])
    above = (
        pl.col(name).cum_sum().over(CELL, GROUP).alias(new)
        for name, new in (("units", "reached"), ("best_users", "users"))
    )
    return filled.with_columns(above).drop("best_users").sort(CELL, GROUP, "level")
