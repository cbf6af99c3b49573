"""Plans measured on a cluster: packed by user where the log is read, shuffled, made into journeys, tallied, added."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.cells import By
from journeykit.engines import Spark, ask, check_questions
from journeykit.engines.counting import Count, Counted
from journeykit.engines.spark import Packet, joined_pieces, packets_of, pieces
from journeykit.errors import EmptyInputError
from journeykit.events.events import Events
from journeykit.events.reading import roles_of, span
from journeykit.journeys.journeys import context_of
from journeykit.ordering.user_ids import GROUPS, UserIds
from journeykit.ordering.vocabulary import EventNames, check_names
from journeykit.protocol import Context, Statistic, Tables
from journeykit.ragged.array import Provenance
from journeykit.sessions import SessionRule, check_nulls
from journeykit.sharding.bucket_files import Chunk, chunks_of
from journeykit.sharding.partition import FIRST, About, rows_apart
from journeykit.sharding.sharded import Made, check_plan, events_of, joined, shard_numbers
from journeykit.sharding.whole import Stitching, Verb, divided, said
from journeykit.sources.canonical import Roles, Validity, canonicalise
from journeykit.store.shard_files import ShardFile, save

ROWS_AT_ONCE, ROWS_PER_PACKET = 1_000_000, 256
"""That are packed together where the log is read: so many, and more where packets would be smaller than the second."""
EVENTS_PER_SHARD = 4_000_000
"""Of a log that is too small for all partitions."""
FAN = 64
"""How many tallies are added at once."""
FOUND, NAME, ROWS, FILE, MADE, COUNTED = "found", "name", "rows", "file ", "made", "counted"


def measure_on_cluster(
    source: Any,
    steps: Sequence[Verb],
    statistics: Sequence[Statistic[Any, Any]],
    engine: Spark,
    by: By,
    every: str | None,
    level: float,
) -> Any:
    """Run a plan on a cluster, and answer one or more questions.

    Parameters
    ----------
    source : object
        The log.
    steps : sequence of (str, mapping)
        ``read_events``, ``sessionize`` and the verbs after it, with their arguments.
    statistics, by, every, level
        See ``Journeys.measure``.
    engine : Spark
        The cluster.

    Returns
    -------
    Answer or tuple of Answer
        Those that the collected plan would give.

    Raises
    ------
    ParameterError
        If Spark cannot read the log, ``filter(where=...)`` does not look at one event at a time, or a parameter has a
        value it cannot take.
    JourneykitError
        Whatever the plan refuses in memory.
    ShardError
        If a statistic or a worker fails.
    """
    check_questions(statistics, level)
    check_plan(steps, by, every)
    with ExitStack() as kept:
        shards, context = _made(source, steps, engine, (by, every), level, kept)

        def run(asked: Sequence[Statistic[Any, Any]]) -> list[Tables]:
            return shards.tables(engine, Count(tuple(asked), by, every, context.labels))

        return ask(statistics, context, run)


def _made(
    source: Any,
    steps: Sequence[Verb],
    engine: Spark,
    asked: tuple[By, str | None],
    level: float,
    kept: ExitStack,
) -> tuple[_Shards, Context]:
    """Cut and order the log; its shards stay on the cluster until the end of `kept`."""
    reading, stitches, rule, verbs = divided(steps)
    tz, duplicates = reading.get("tz") or "UTC", reading.get("duplicates", "keep")
    stitching = Stitching.of(stitches)
    with ExitStack() as cut:
        packets, about, places = _cut(source, reading, rule, engine, stitching, cut)
        of = max(places) + 1
        ordering = Ordering(about, duplicates, tz, rule, tuple(verbs), asked, of)
        shards = engine.map(engine.scattered(engine.only(packets, ROWS), places, of), ordering)
        shards = kept.enter_context(engine.kept(shards))
        sent = engine.collected(engine.only(shards, MADE), ordering)
    made: list[Made] = [pickle.loads(content) for content in joined_pieces(sent).values()]
    whole, labels = joined(made, about, tz, verbs)
    empty = [each.file.number - 1 for each in made if not each.file.n_events]
    without = empty if len(empty) < len(made) else empty[1:]
    observed = whole.observed_from, whole.observed_until
    return _Shards(shards, of, tuple(without), observed, whole.provenance), context_of(
        whole, labels, level, asked[1]
    )


@dataclass(frozen=True, eq=False)
class _Shards:
    """Ordered shards on the cluster, and what each has to know of all."""

    packets: Any
    of: int
    without: tuple[int, ...]
    observed: tuple[int, int]
    provenance: Provenance

    def tables(self, engine: Spark, count: Count) -> list[Tables]:
        """Tally every shard; add, on the cluster while there are many."""
        work: Counting | Adding = Counting(count, self.of, self.observed, self.provenance)
        packets = engine.map(engine.only(self.packets, f"{FILE}%", self.without), work)
        left = self.of
        while left > FAN:
            left = -(-left // FAN)
            packets = engine.map(engine.gathered(packets, FAN, left), Adding(count))
        found = joined_pieces(engine.collected(packets, work))
        return count.added([pickle.loads(content) for content in found.values()])


def _cut(
    source: Any,
    reading: Mapping[str, Any],
    rule: SessionRule,
    engine: Spark,
    stitching: Stitching,
    kept: ExitStack,
) -> tuple[Any, About, list[int]]:
    """Pack the rows of the log by bucket of users; return also what is known of it, and the shard of every bucket."""
    given = dict(reading)
    shape, on_invalid = given.pop("format", None), given.pop("on_invalid", "raise")
    given.pop("duplicates", None)
    ends = given.pop("observed_from", None), given.pop("observed_until", None)
    roles = roles_of(source, shape, {role: given.pop(role, None) for role in FIRST}, **given)
    frame = engine.log(source, shape, roles.columns)
    log = canonicalise(engine.first_rows(frame, roles.time).lazy(), roles)
    text = stitching.any or log.plan.collect_schema()["user"] == pl.String
    n_buckets = GROUPS * -(-engine.most_partitions // GROUPS)
    sized = engine.partitions is None
    roles = replace(roles, time_format=log.time_format)
    cutting = Cutting(roles, n_buckets, stitching, keep=on_invalid == "drop", sized=sized)
    packets = kept.enter_context(engine.kept(engine.map(frame, cutting)))
    sent = engine.collected(engine.only(packets, FOUND), cutting)
    found = Found(np.zeros(n_buckets if sized else 0, np.int64))
    for packet in sent:
        found.add(pickle.loads(packet.content))
    counts = found.validity.counts(on_invalid)
    vocabulary = sorted(name.decode() for name in engine.distinct(packets, NAME))
    check_names(vocabulary)
    first, last = span(pl.Series([found.first, found.last]), *ends)
    check_nulls(rule, found.null_sessions, counts.rows_kept)
    if found.left_out == counts.rows_kept:
        raise EmptyInputError.unmapped()
    told = log.time_format, log.local_zone, text, found.moved, found.left_out
    about = About(vocabulary, vocabulary, counts, first, last, *told)
    sizes = found.rows if sized else np.zeros(n_buckets, np.int64)
    numbers = shard_numbers(sizes, engine.partitions, engine.most_partitions, EVENTS_PER_SHARD)
    return packets, about, numbers.tolist()


@dataclass
class Found:
    """What is known of a log, or of a partition of it, once it was read.

    Attributes
    ----------
    rows : numpy.ndarray of int64
        Valid rows by bucket; empty if they do not matter.
    validity : Validity
        What is invalid.
    first, last : datetime, optional
        The ends of its times.
    null_sessions : int
        Rows without a session.
    moved, left_out : int
        Rows that became another user's, and rows of unknown ids.
    """

    rows: npt.NDArray[np.int64]
    validity: Validity = field(default_factory=Validity)
    first: datetime | None = None
    last: datetime | None = None
    null_sessions: int = 0
    moved: int = 0
    left_out: int = 0

    def add(self, following: Found) -> None:
        """Put this together with what was found in the partition that follows."""
        self.rows = self.rows + following.rows
        self.validity = self.validity + following.validity
        self.note(following.first, following.last, following.null_sessions)
        self.moved += following.moved
        self.left_out += following.left_out

    def note(self, first: Any, last: Any, null_sessions: int) -> None:
        """Add what was found in some rows."""
        times = [each for each in (self.first, self.last, first, last) if each is not None]
        self.first, self.last = (min(times), max(times)) if times else (None, None)
        self.null_sessions += null_sessions


@dataclass(frozen=True, eq=False)
class Cutting:
    """Packs the rows of a partition of the log by bucket of users.

    Notes
    -----
    Per event 8 bytes for the time, 1 to 4 for the name, 2 for the user, and its properties; per packet 20 bytes and the
    id of every user, and the names that occur.
    """

    roles: Roles
    n_buckets: int
    stitching: Stitching
    keep: bool
    sized: bool
    doing = "cutting the log"
    of = None

    def __call__(self, batches: Iterator[Any], partition: int) -> Iterator[Packet]:
        """Work on the rows of a partition."""
        found = Found(np.zeros(self.n_buckets if self.sized else 0, np.int64))
        names, number = EventNames(), 0
        for rows in _large(batches, max(ROWS_AT_ONCE, ROWS_PER_PACKET * self.n_buckets)):
            valid = found.validity.keep(canonicalise(rows.lazy(), self.roles).plan.collect())
            nulls = valid["session"].null_count() if "session" in valid.columns else 0
            found.note(valid["time"].min(), valid["time"].max(), nulls)
            if valid.is_empty() or (found.validity.invalid and not self.keep):
                continue
            valid = valid.with_columns(names.number(valid["event"]))
            stitched, moved, left_out = self.stitching(valid)
            found.moved, found.left_out = found.moved + moved, found.left_out + left_out
            for bucket, size, content in self._packed(stitched, names.numbered):
                yield Packet(bucket, partition, number, ROWS, content)
                if self.sized:
                    found.rows[bucket] += size
                number += 1
        for name in names.numbered:
            yield Packet(-1, partition, 0, NAME, name.encode())
        found.validity.first = [f"partition {partition + 1}, {each}" for each in found.validity.first]
        if found.validity.rows:
            yield Packet(-1, partition, 0, FOUND, pickle.dumps(found))

    def _packed(self, rows: pl.DataFrame, names: Sequence[str]) -> Iterator[tuple[int, int, bytes]]:
        chunks, further = rows_apart(rows, self.n_buckets)
        for (bucket, chunk), other in zip_longest(chunks, further):
            present, codes = np.unique(chunk.codes, return_inverse=True)
            narrow = codes.astype(np.min_scalar_type(present.size))
            own = [names[number] for number in present.tolist()]
            raw = b"".join(Chunk(chunk.users, chunk.times, narrow).buffers())
            content = pickle.dumps((own, raw, None if other is None else _written(other[1])))
            yield bucket, chunk.times.size, content


@dataclass(frozen=True, eq=False)
class Ordering:
    """Makes a shard of journeys of its packets, and sends its files."""

    about: About
    duplicates: Any
    tz: str
    rule: SessionRule
    verbs: tuple[Verb, ...]
    asked: tuple[By, str | None]
    of: int
    doing = "ordering"

    def __call__(self, batches: Iterator[Any], partition: int) -> Iterator[Packet]:
        """Work on the packets of a shard."""
        packets = packets_of(batches)
        if not packets:
            return
        shard = packets[0].shard
        events = self._events(packets)
        packets.clear()
        journeys, facts = said(events.sessionize(self.rule), self.verbs)
        with TemporaryDirectory(prefix="journeykit-") as place:
            file = save(journeys, Path(place) / "shard", shard + 1, self.of)
            for path in sorted(file.path.iterdir()):
                yield from pieces(shard, FILE + path.name, path.read_bytes())
        made = Made.of(replace(file, path=Path()), journeys, facts, self.asked)
        if journeys.names.to_list() == self.about.vocabulary:
            made = replace(made, names=None)
        yield from pieces(shard, MADE, pickle.dumps(made))

    def _events(self, packets: Sequence[Packet]) -> Events:
        vocabulary = pl.Enum(self.about.vocabulary)
        chunks, codes, further = list[Chunk](), [np.empty(0, np.uint32)], list[pl.DataFrame]()
        for packet in packets:
            names, raw, other = pickle.loads(packet.content)
            known = pl.Series(names, dtype=pl.String).cast(vocabulary).to_physical().to_numpy()
            for chunk in chunks_of(np.frombuffer(bytearray(raw), np.uint8), text=self.about.text):
                chunks.append(chunk)
                codes.append(known[chunk.codes].astype(np.uint32))
            if other is not None:
                further.append(pl.read_ipc(other))
        users = UserIds(tuple(chunk.users for chunk in chunks), self.about.text)
        times = np.concatenate([chunk.times for chunk in chunks])
        return events_of(self.about, (users, times, np.concatenate(codes)), further, self.duplicates, self.tz)


@dataclass(frozen=True, eq=False)
class Counting:
    """Tallies a shard."""

    count: Count
    of: int
    observed: tuple[int, int]
    provenance: Provenance

    @property
    def doing(self) -> str:
        """The statistics."""
        return ", ".join(map(repr, self.count.statistics))

    def __call__(self, batches: Iterator[Any], partition: int) -> Iterator[Packet]:
        """Work on the files of a shard."""
        with TemporaryDirectory(prefix="journeykit-") as place:
            folder, shard = Path(place), None
            for batch in batches:
                for packet in packets_of(iter([batch])):
                    shard = packet.shard
                    with (folder / packet.kind.removeprefix(FILE)).open("ab") as file:
                        file.write(packet.content)
            if shard is None:
                return
            part = ShardFile(folder, shard + 1, self.of, 0, self.observed, self.provenance)
            counted = self.count(part)
        yield from pieces(shard, COUNTED, pickle.dumps(counted))


@dataclass(frozen=True, eq=False)
class Adding:
    """Adds the tallies of neighbouring shards."""

    count: Count
    doing = "adding tallies"
    of = None

    def __call__(self, batches: Iterator[Any], partition: int) -> Iterator[Packet]:
        """Work on the tallies of some shards."""
        packets = packets_of(batches)
        failed = [packet for packet in packets if packet.kind != COUNTED]
        if failed or not packets:
            yield from failed
            return
        counted: list[Counted] = [pickle.loads(each) for each in joined_pieces(packets).values()]
        yield from pieces(packets[0].shard, COUNTED, pickle.dumps(self.count.joined(counted)))


def _large(batches: Iterator[Any], most: int) -> Iterator[pl.DataFrame]:
    """Put the small batches of Spark together."""
    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= most:
            yield pl.DataFrame(pl.from_arrow(waiting))
            waiting, rows = [], 0
    if rows:
        yield pl.DataFrame(pl.from_arrow(waiting))


def _written(frame: pl.DataFrame) -> bytes:
    stream = BytesIO()
    frame.write_ipc(stream, compression="lz4")
    return stream.getvalue()
