"""Touchpoints: how many journeys meet which event, on which channel, and convert after it. DEFINITIONS D5.1, D6.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.cells import coded
from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import MatchLike, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic, described
from journeykit.statistics.checks import check_choices, check_names
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import NEVER, Int64s, Names, Walk, as_goal, as_names
from journeykit.statistics.touchpoints.answer import TouchpointsAnswer, touchpoints_answer
from journeykit.support.slices import offsets
from journeykit.support.unknown_names import Missing

AXES = ("touchpoint", "stage", "channel")
COUNTS = ("visits", "users", "journeys", "converted")


@dataclass(frozen=True)
class Touchpoints(Statistic[TouchpointsAnswer]):
    """Count the journeys that meet each event, by channel, and those that convert after it.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match, optional
        What a success is. Without it, conversions are null.
    channel : str, optional
        A property that says through what an event came, such as app, web, shop or phone.
    offline : str or sequence of str
        Which channels are offline; all others are online.
    groups : mapping of str to names, optional
        Events that are one touchpoint, by its name; every other event is a touchpoint of its own. `PathCleaning` does
        more.
    unit : {"user", "session"}
        What a journey is. A user's journey holds all that they do on all channels.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take, or an event is in two groups.

    Notes
    -----
    The answer is described in `TouchpointsAnswer`. A journey converts after a touchpoint if it has a goal strictly
    after its first visit there (D5.1): this says who converts after it, not who converts because of it. A switch is an
    event on another channel than the one before it in the journey; events without a known channel are passed over.

    Six passes with a channel, O(n); 8 bytes per event of the shard at work.

    References
    ----------
    Lemon & Verhoef 2016, J. Marketing 80(6).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 1, 2],
    ...     "time": [0, 60, 120, 5],
    ...     "event": ["look", "try", "buy", "look"],
    ...     "channel": ["web", "shop", "shop", "web"],
    ... })
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["channel"])
    >>> answer = events.sessionize("30m").measure(Touchpoints("buy", channel="channel", offline="shop"))
    >>> answer.frame.select("touchpoint", "visits", "journeys", "journey_share", "converted").rows()
    [('look', 2, 2, 1.0, 1), ('buy', 1, 1, 0.5, 0), ('try', 1, 1, 0.5, 1)]
    >>> answer.switches.select("source", "target", "switches").rows(), answer.sides.select("kind", "journeys").rows()
    ([('web', 'shop', 1)], [('online only', 1), ('online and offline', 1)])
    """

    goal: MatchLike | None = None
    _: KW_ONLY
    channel: str | None = None
    offline: Names | tuple[()] = ()
    groups: Mapping[str, Names] | None = None
    unit: Unit = "user"
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "touchpoints": ("touchpoint",),
        "stages": ("stage",),
        "channels": ("channel",),
        "by_channel": ("touchpoint", "channel"),
        "places": ("touchpoint", "stage"),
        "stage_channels": ("stage", "channel"),
        "switches": ("source", "target"),
        "uses": ("channels_used", "sides"),
        UNITS_TABLE: (),
    }

    def __repr__(self) -> str:
        return described(self)

    def __post_init__(self) -> None:
        check_choices(self)
        if self.goal is not None:
            object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        if self.offline != ():
            object.__setattr__(self, "offline", as_names(self.offline, "offline"))
        if self.offline and self.channel is None:
            raise ParameterError(
                "offline names channels, and there are none. Pass channel=, a kept property."
            )
        if self.groups is not None:
            object.__setattr__(self, "groups", _checked_groups(self.groups))

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        if self.goal is not None:
            check_matches([as_match(self.goal, "goal")], "event", self.missing, context)
        if self.channel is not None and self.channel not in context.kept:
            raise UnknownPropertyError(self.channel, context.kept)
        check_names("event", list(self.group_of), self.missing, context)

    @property
    def group_of(self) -> dict[str, str]:
        """The touchpoint of every event that is in a group."""
        pairs: Any = self.groups or ()
        return {event: group for group, events in pairs for event in events}

    def touchpoints(self, names: pl.Series) -> tuple[Int64s, pl.Series]:
        """Return the number of the touchpoint of every event code, and what each is called."""
        named = names.cast(pl.String).replace(self.group_of)
        distinct = named.unique(maintain_order=True)
        return coded(named, distinct)[0].astype(np.int64), distinct

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the visits, journeys and switches of one shard."""
        return _Counting(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> TouchpointsAnswer:
        """Turn counts into shares and rates with intervals."""
        return touchpoints_answer(self, tables, context)


def _checked_groups(groups: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Bring groups into a form that can be compared."""
    pairs = groups.items() if isinstance(groups, Mapping) else groups
    found = tuple((name, as_names(events, f"groups[{name!r}]")) for name, events in pairs)
    every = [event for _, events in found for event in events]
    twice = [event for event in every if every.count(event) > 1]
    if twice:
        raise ParameterError(f"{twice[0]!r} is in two groups. Leave it in one of them.")
    return found


class _Counting:
    """The counting of one shard; events are numbered from its first."""

    def __init__(self, statistic: Touchpoints, shard: Journeys, cells: Cells) -> None:
        self.statistic, self.shard = statistic, shard
        self.walk = Walk(shard, cells, "event", statistic.unit)
        paths = self.walk.paths
        self.events = paths.events
        self.starts, self.ends = paths.starts - self.events.start, paths.ends - self.events.start
        codes, marks = paths.codes, [np.zeros(len(shard.names), np.uint8)]
        if statistic.goal is not None:
            codes, marks = self.walk.fitting(statistic.goal)
        self.codes, self.goals = codes[self.events], marks[0]
        of_code, names = statistic.touchpoints(shard.names)
        self.axes = {"touchpoint": (of_code[paths.codes[self.events]], len(names))}
        if shard.staged is not None:
            stages = shard.states("stage", statistic.unit)[self.events].astype(np.int64)
            self.axes["stage"] = (stages, len(shard.stage_names) + 1)
        self.channel_names, self.channel = self._channels()
        if statistic.channel is not None:
            size = len(self.channel_names) + 1
            known = np.where(self.channel < 0, size - 1, self.channel).astype(np.int64)
            self.axes["channel"] = (known, size)

    def _channels(self) -> tuple[pl.Series, npt.NDArray[np.int32]]:
        """Return the channels, and the number of that of every event; -1 where it is not known."""
        name, whole = self.statistic.channel, self.shard.whole
        if name is None:
            return pl.Series([], dtype=pl.String), np.empty(0, np.int32)
        found, names = whole.memo.get(("channel", name), lambda: coded(whole.property(name).cast(pl.String)))
        if self.statistic.unit == "user" and self.shard.time_order is not None:
            return names.drop_nulls(), found[self.shard.time_order[self.events]]
        return names.drop_nulls(), found[self.events]

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        keys = {name: keys for name, keys in self.statistic.tables.items() if set(keys) <= {*AXES} and keys}
        switches, uses = self._walked()
        counted = {name: self._counts(*axes) for name, axes in keys.items()}
        return {**counted, "switches": switches, "uses": uses, UNITS_TABLE: self.walk.units()}

    def _counts(self, *names: str) -> pl.DataFrame:
        """Count visits, users, journeys and those that convert, per cell and label; nothing without such labels."""
        from journeykit.kernels.outcomes.conversion import (
            CONVERTED,
            REACHED,
            USERS,
            VISITS,
            count_conversions,
        )

        sizes = [self.axes[name][1] if name in self.axes else 1 for name in names]
        size, label = int(np.prod(sizes)), np.zeros(0, np.uint32)
        if set(names) <= self.axes.keys():
            together = np.ravel_multi_index([self.axes[name][0] for name in names], sizes)
            label = np.asarray(together).astype(np.uint32)
        paths = self.walk.paths
        ends = self.ends if label.size else self.starts
        counted = CountingRows.make(self.walk.cell_count * (size + 1), label.size + paths.n_paths)
        count_conversions(
            paths.user_paths, self.starts, ends, label, self.codes, paths.times[self.events], self.walk.cells,
            np.empty(0, np.bool_), self.goals, (size + 1, False, NEVER, 0), counted.keys, counted.rows, counted.table,
        )  # fmt: skip
        keys, rows = counted.found()
        shown = keys % (size + 1) < size
        keys, rows = keys[shown], rows[shown]
        parts = np.unravel_index(keys % (size + 1), sizes)
        labels = {name: self._named(name, part) for name, part in zip(names, parts, strict=True)}
        numbers = zip(COUNTS, (VISITS, USERS, REACHED, CONVERTED), strict=True)
        columns = {name: rows[:, column] for name, column in numbers}
        return pl.DataFrame({CELL: (keys // (size + 1)).astype(np.int32), **labels, **columns})

    def _named(self, axis: str, labels: Int64s) -> pl.Series:
        """Give channels their names, which every shard numbers its own way."""
        if axis != "channel":
            return pl.Series(labels.astype(np.int32))
        names = self.channel_names.extend_constant(None, 1) if labels.size else self.channel_names
        return names.gather(labels)

    def _walked(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Count the switches between channels, and the journeys by how many channels, and which sides, they used."""
        from journeykit.kernels.paths.channels import walk_channels

        walk, n = self.walk, len(self.channel_names)
        offline = self.channel_names.is_in(list(self.statistic.offline)).to_numpy()
        counted = CountingRows.make(walk.cell_count * n * n, self.channel.size)
        used, sides = np.zeros(walk.paths.n_paths, np.int64), np.zeros(walk.paths.n_paths, np.int64)
        if self.channel.size:
            walk_channels(
                walk.paths.user_paths, self.starts, self.ends, self.channel, offline, walk.cells,
                np.zeros(n, np.int64), counted.keys, counted.rows, counted.table, used, sides,
            )  # fmt: skip
        keys, rows = counted.found()
        size = max(n, 1)
        switches = pl.DataFrame(
            {
                CELL: (keys // size**2).astype(np.int32),
                "source": self.channel_names.gather(keys // size % size),
                "target": self.channel_names.gather(keys % size),
                **{name: rows[:, i] for i, name in enumerate(("switches", "journeys", "users"))},
            }
        )
        return switches, self._uses(used, sides)

    def _uses(self, used: Int64s, sides: Int64s) -> pl.DataFrame:
        hits = offsets(self.goals[self.codes])
        converted = hits[self.ends] > hits[self.starts]
        frame = self.walk.frame(channels_used=used, sides=sides, converted=converted.astype(np.int64))
        return (
            frame.filter(pl.col("channels_used") > 0)
            .group_by(CELL, "channels_used", "sides")
            .agg(
                pl.len().cast(pl.Int64).alias("journeys"),
                pl.col("user").n_unique().cast(pl.Int64).alias("users"),
                pl.col("converted").sum(),
            )
        )
