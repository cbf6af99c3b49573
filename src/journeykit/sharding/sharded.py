"""Plans measured in shards on disk: cut by user, made into journeys one by one, tallied one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from journeykit.cells import By, joined_labels, segments_of
from journeykit.channels.assigning import MADE as CHANNEL_PROPERTIES
from journeykit.engines import OnDisk, ask, check_questions
from journeykit.engines.workspace import writing
from journeykit.errors import ParameterError, UnknownPropertyError, WorkspaceError
from journeykit.events.events import Events
from journeykit.journeys.cleaning import RUN_LENGTH
from journeykit.journeys.journeys import Journeys, context_of
from journeykit.ordering.user_ids import GROUPS, UserIds
from journeykit.ordering.vocabulary import recoded
from journeykit.protocol import Cells, Statistic
from journeykit.ragged.array import Int64s, Provenance
from journeykit.sessions import SessionRule
from journeykit.sharding.bucket_files import Bucket, Codes, read_rows
from journeykit.sharding.partition import About, cut_log
from journeykit.sharding.whole import (
    Facts,
    Stitching,
    Verb,
    Whole,
    divided,
    kept_of,
    labels_of,
    said,
    whole_of,
)
from journeykit.sources.canonical import drop_duplicates
from journeykit.stages.conditions import looks_at_one_event
from journeykit.store.shard_files import ShardFile, save
from journeykit.support.files import first_line

BYTES_PER_EVENT, BYTES_PER_PROPERTY = 160, 48
"""About what one event of a shard needs while it is read, ordered and tallied."""
FEWEST_EVENTS = 1_000_000
"""Of a shard, if the memory allows: fewer are not worth a file."""


def measure_in_shards(
    source: Any,
    steps: Sequence[Verb],
    statistics: Sequence[Statistic[Any, Any]],
    engine: OnDisk,
    by: By,
    every: str | None,
    level: float,
) -> Any:
    """Run a plan in shards on disk, and answer one or more questions.

    Parameters
    ----------
    source : object
        The log.
    steps : sequence of (str, mapping)
        ``read_events``, ``sessionize`` and the verbs after it, with their arguments.
    statistics, by, every, level
        See ``Journeys.measure``.
    engine : OnDisk
        How much memory there is, and who does the work.

    Returns
    -------
    Answer or tuple of Answer
        Those that the collected plan would give.

    Raises
    ------
    ParameterError
        If ``filter(where=...)`` does not look at one event at a time, or a parameter has a value it cannot take.
    JourneykitError
        Whatever the plan refuses in memory.
    WorkspaceError, ShardError
        See `OutOfCore` and `Pool`.
    """
    check_questions(statistics, level)
    check_plan(steps, by, every)
    with engine.workspace() as folder:
        journeys, labels = _sharded(source, steps, engine, by, every, folder)
        cells = Cells(labels, asked=(by, every))
        context = context_of(journeys.whole, labels, level, every)
        return ask(statistics, context, lambda asked: engine.run(journeys, asked, cells))  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class ShardedJourneys:
    """Journeys as files of shards, with what is known of all of them."""

    files: tuple[ShardFile, ...]
    whole: Whole
    on_disk = True

    @property
    def n_events(self) -> int:
        """How many events."""
        return self.whole.n_events

    def shards(self, most: int) -> list[Any]:
        """Return the shards themselves, all in memory."""
        return [file.open() for file in self.files]

    def parts(self, folder: Path, most: int) -> Sequence[ShardFile]:
        """Return the files of the shards."""
        return self.files


@dataclass(frozen=True, eq=False)
class _Task:
    """The buckets that become one shard."""

    number: int
    of: int
    n_events: int
    buckets: tuple[Bucket, ...]

    @property
    def name(self) -> str:
        return f"shard {self.number} of {self.of}"


@dataclass(frozen=True, eq=False)
class Made:
    """A shard, and what it knows; no names if they are those of the log."""

    file: ShardFile
    facts: list[Facts]
    labels: pl.DataFrame
    names: pl.Series | None
    kept: tuple[str, ...]
    stage_names: tuple[str, ...]

    @classmethod
    def of(
        cls, file: ShardFile, journeys: Journeys, facts: list[Facts], asked: tuple[By, str | None]
    ) -> Made:
        """Say what a shard knows once the verbs were said to it."""
        labels = labels_of(journeys, *asked)
        return cls(file, facts, labels, journeys.names, journeys.kept, journeys.stage_names)


@dataclass(frozen=True, eq=False)
class _Making:
    """Makes a shard of journeys of its rows. It can be sent to another process."""

    about: About
    duplicates: Any
    tz: str
    rule: SessionRule
    verbs: tuple[Verb, ...]
    asked: tuple[By, str | None]
    folder: Path

    def __call__(self, task: _Task) -> Made:
        journeys, facts = said(self._events(task).sessionize(self.rule), self.verbs)
        with writing(self.folder):
            file = save(journeys, self.folder / f"shard-{task.number}", task.number, task.of)
        for bucket in task.buckets:
            for path in bucket.files:
                path.unlink()
        return Made.of(file, journeys, facts, self.asked)

    def _events(self, task: _Task) -> Events:
        about = self.about
        try:
            users, times, codes = read_rows([bucket.path for bucket in task.buckets], text=about.text)
            further = [
                pl.read_parquet(file, glob=False) for bucket in task.buckets for file in bucket.further
            ]
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise WorkspaceError.unreadable(task.name, first_line(error)) from error
        return events_of(about, (users, times, codes), further, self.duplicates, self.tz)


def events_of(
    about: About,
    rows: tuple[UserIds, Int64s, Codes],
    further: Sequence[pl.DataFrame],
    duplicates: Any,
    tz: str,
) -> Events:
    """Return the log of some users from their rows, in the order of the whole log.

    Parameters
    ----------
    about : About
        What is known of the whole log.
    rows : tuple of UserIds and arrays
        Whose, when, and what by its code.
    further : sequence of polars.DataFrame
        The other columns, piece by piece; none if there are no others.
    duplicates, tz
        See ``read_events``.
    """
    users, times, codes = rows
    frame = pl.DataFrame({"time": pl.Series(times).cast(pl.Datetime("us", "UTC"))}).with_columns(
        recoded(pl.Series(codes), about.names, about.vocabulary)
    )
    if further:
        frame = frame.hstack(pl.concat(further))
    dropped = 0
    if duplicates == "drop":
        whole, dropped = drop_duplicates(frame.insert_column(0, users.series()))
        users, frame = UserIds.of(whole["user"]), whole.drop("user")
    return Events(
        users,
        frame,
        replace(about.counts, rows_in=frame.height, rows_kept=frame.height, left_out={}),
        dropped,
        tz,
        about.time_format,
        about.local_zone,
        about.observed_from,
        about.observed_until,
    )


def _sharded(
    source: Any, steps: Sequence[Verb], engine: OnDisk, by: By, every: str | None, folder: Path
) -> tuple[ShardedJourneys, pl.DataFrame]:
    """Run a plan into shards on disk; return their labels too."""
    reading, stitches, rule, verbs = divided(steps)
    wanted = None if engine.shards == "auto" else int(engine.shards)
    n_buckets = GROUPS * -(-(wanted or GROUPS) // GROUPS)
    tz, duplicates = reading.get("tz") or "UTC", reading.get("duplicates", "keep")
    stitching = Stitching.of(stitches)
    about_log = (rule, folder, n_buckets, engine.memory_bytes, engine.progress, stitching)
    buckets, about = cut_log(source, reading, *about_log)
    making = _Making(about, duplicates, tz, rule, tuple(verbs), (by, every), folder)
    made = list(engine.map("ordering", making, _tasks(buckets, wanted, _most_events(reading, engine))))
    whole, labels = joined(made, about, tz, verbs)
    observed = whole.observed_from, whole.observed_until
    full = [each for each in made if each.file.n_events] or made[:1]
    files = tuple(replace(each.file, observed=observed, provenance=whole.provenance) for each in full)
    return ShardedJourneys(files, whole), labels


def joined(made: Sequence[Made], about: About, tz: str, verbs: Sequence[Verb]) -> tuple[Whole, pl.DataFrame]:
    """Return what is known of the whole log from what its shards know, and the labels of its cells.

    Parameters
    ----------
    made : sequence of Made
        At least one.
    about : About
        What was known before they were made.
    tz : str
        The time zone of calendar periods.
    verbs : sequence of (str, mapping)
        What was said to them.
    """
    first = made[0]
    log = Whole(
        pl.Series(about.vocabulary, dtype=pl.String) if first.names is None else first.names,
        tz,
        about.first_microsecond,
        about.last_microsecond,
        first.kept,
        first.stage_names,
        provenance=Provenance(
            rows_dropped=about.counts.dropped,
            rows_left_out=about.counts.rows_left_out,
            rows_moved=about.rows_moved,
            rows_unmapped=about.rows_unmapped,
        ),
    )
    full = [each for each in made if each.file.n_events] or made[:1]
    return whole_of(log, [each.facts for each in made], verbs), joined_labels([each.labels for each in full])


def _most_events(reading: Mapping[str, Any], engine: OnDisk) -> int:
    """Tell how many events of a shard the memory allows."""
    width = len(reading.get("keep", ())) + sum(reading.get(role) is not None for role in ("session", "value"))
    return max(1, engine.memory_bytes // (engine.workers * (BYTES_PER_EVENT + BYTES_PER_PROPERTY * width)))


def check_plan(steps: Sequence[Verb], by: By, every: str | None) -> None:
    """Refuse what cannot be measured in shards, before anything is read."""
    reading, stitches, _, verbs = divided(steps)
    if any(verb == "stitch" for verb, _ in stitches) and reading.get("duplicates") == "drop":
        raise ParameterError(
            'duplicates="drop" and stitch go together in memory only: equal rows are told by the id that they came '
            "with, and shards are cut by user. Drop duplicates where the log is made, or collect the plan."
        )
    kept = kept_of(reading)
    for verb, arguments in verbs:
        if verb == "clean" and arguments["cleaning"].collapse_repeats:
            kept.append(RUN_LENGTH)
        if verb == "assign_channels":
            kept.extend(CHANNEL_PROPERTIES)
        if verb == "mark":
            kept.append(arguments["name"])
        if verb == "filter" and arguments.get("where") is not None:
            _check_where(arguments["where"])
    for segment in segments_of(by, every):
        if segment.property not in kept:
            raise UnknownPropertyError(segment.property, kept)


def _check_where(where: pl.Expr) -> None:
    if not looks_at_one_event(where):
        shown = " ".join(str(where).split())
        raise ParameterError(
            f"where={shown} looks at other rows, and shards do not see each other's. Filter by one event at a "
            f"time, or collect the plan and measure it in memory."
        )


def _tasks(buckets: Sequence[Bucket], wanted: int | None, most: int) -> list[_Task]:
    """Join neighbouring buckets into shards: as many as wanted, or of a size that is worth it."""
    sizes = np.array([bucket.n_rows for bucket in buckets], np.int64)
    shard_of = shard_numbers(sizes, wanted, sizes.size, min(most, FEWEST_EVENTS))
    members = [np.flatnonzero(shard_of == number) for number in np.unique(shard_of[sizes > 0])]
    return [
        _Task(
            number,
            len(members),
            int(sizes[own].sum()),
            tuple(buckets[number] for number in own.tolist() if buckets[number].n_rows),
        )
        for number, own in enumerate(members, start=1)
    ]


def shard_numbers(sizes: Int64s, wanted: int | None, most: int, events: int) -> Int64s:
    """Return the shard of every bucket: neighbours are joined.

    Parameters
    ----------
    sizes : numpy.ndarray of int64
        How many events every bucket has.
    wanted : int, optional
        How many shards there are; by default as few as have at most `events` events or are one bucket.
    most : int
        How many there are at most.
    events : int
        See `wanted`.
    """
    if wanted is None:
        shard_of = np.zeros(sizes.size, np.int64)
        size = number = 0
        for bucket, rows in enumerate(sizes.tolist()):
            if size and size + rows > events:
                size, number = 0, number + 1
            size += rows
            shard_of[bucket] = number
        if number < most:
            return shard_of
    return np.arange(sizes.size) * (wanted or most) // sizes.size
