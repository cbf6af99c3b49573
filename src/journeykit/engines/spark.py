"""Spark: the work of journeykit in the workers of a cluster, which send each other small packets of bytes."""

from __future__ import annotations

import pickle
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import polars as pl

from journeykit.engines.in_memory import InMemory
from journeykit.errors import JourneykitError, ParameterError, ShardError
from journeykit.protocol import Cells, Measured, Statistic, Tables
from journeykit.sources import frames, source_format
from journeykit.sources.paths import files

MOST_PARTITIONS = 1 << 16
BYTES_PER_PACKET, BYTES_PER_BATCH, PACKETS_PER_BATCH = 1 << 24, 1 << 22, 1 << 10
SCHEMA = "shard int, part int, number int, kind string, content binary"
ERROR, CRASHED = "error", "exited unexpectedly"
FAILED_TASK = re.compile(r"Task (\d+) in stage")
CAUSE = re.compile(r"(?m)^\s*(?:Caused by: )?(?:\w+\.)*([A-Z]\w*(?:Error|Exception)): (.+)$")


class Packet(NamedTuple):
    """What workers send: a piece of something.

    Attributes
    ----------
    shard : int
        To whom it goes, from 0.
    part, number : int
        Where it came from, and its place among the pieces from there.
    kind : str
        What it is a piece of.
    content : bytes
        At most 16 MB, unless what it holds cannot be divided.
    """

    shard: int
    part: int
    number: int
    kind: str
    content: bytes


class Work(Protocol):
    """What is done with one partition, as a small value that can be sent."""

    @property
    def doing(self) -> str:
        """What it is, in messages."""

    @property
    def of(self) -> int | None:
        """How many shards there are, if a partition is one."""

    def __call__(self, batches: Iterator[Any], partition: int) -> Iterator[Packet]:
        """Work on the Arrow batches of a partition."""


@dataclass(frozen=True)
class Spark:
    """Measure a plan on a Spark cluster.

    The rows of the log are packed by user where Spark reads them, and the packets are shuffled once. Every partition is
    then a shard, which is ordered and tallied by the code that does it in memory; the small tables come to the driver.
    The answers are those that would have come from memory.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
        The session. It stays as it is; journeykit has to be installed where its workers run.
    partitions : int, optional
        Into how many shards the users are cut. By default at most as many as the session shuffles into
        (``spark.sql.shuffle.partitions``), and fewer where they would have less than a million events.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take; when it runs: if the log is not one that Spark reads.
    ShardError
        When it runs: if a statistic fails or a worker dies; the message names the statistic and the shard.

    Notes
    -----
    A log is a DataFrame of Spark, or paths of Parquet. Rows of one user at one time keep the order in which Spark reads
    them; name ``order=`` where files have none. All events of one user must fit into the memory of a worker. What is
    cut and ordered is kept on the disks of the workers (``DISK_ONLY``) until the answers are made. Journeys that are in
    memory already are tallied there. Conditions of ``filter(where=...)`` must look at one event at a time.

    Examples
    --------
    >>> import journeykit as jk
    >>> jk.Spark("no session")
    Traceback (most recent call last):
    journeykit.errors.ParameterError: session cannot be 'no session'. Give a SparkSession, such as \
SparkSession.builder.getOrCreate().
    """

    session: Any
    partitions: int | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.session, "createDataFrame"):
            raise ParameterError(
                f"session cannot be {self.session!r}. Give a SparkSession, such as "
                f"SparkSession.builder.getOrCreate()."
            )
        given = self.partitions
        if given is not None and (
            isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= MOST_PARTITIONS
        ):
            raise ParameterError(
                f"partitions cannot be {given!r}. Give a whole number from 1 to {MOST_PARTITIONS:,}, or None."
            )

    def run(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells
    ) -> list[Tables]:
        """Return the summed tables of journeys that are in memory."""
        return InMemory().run(journeys, statistics, cells)

    @property
    def most_partitions(self) -> int:
        """How many shards there are at most."""
        return self.partitions or min(
            MOST_PARTITIONS, int(self.session.conf.get("spark.sql.shuffle.partitions"))
        )

    def log(self, source: Any, format: str | None, columns: Sequence[str]) -> Any:
        """Return the columns of a log as a DataFrame of Spark.

        Raises
        ------
        ParameterError
            If it is none, nor paths of Parquet.
        """
        if frames.is_spark(source):
            frame = source
        elif source_format(source, format) == "parquet":
            frame = self.session.read.parquet(*files(source))
        else:
            raise ParameterError(
                f"Spark cannot read this {type(source).__name__}. Give scan_events a DataFrame of Spark, such as "
                f"spark.read.csv(path), or paths of Parquet."
            )
        return frame.select(*map(_quoted, columns))

    def first_rows(self, frame: Any, time: str) -> pl.DataFrame:
        """Return some rows of a log that tell its types, and the format of its times."""
        known = frame.filter(frame[_quoted(time)].isNotNull()).limit(100)
        return pl.DataFrame(known.toArrow())

    def map(self, frame: Any, work: Work) -> Any:
        """Plan to do the work in every partition; a frame of packets."""
        from pyspark.cloudpickle import dumps

        return frame.mapInArrow(_sent(dumps(work)), SCHEMA)

    @contextmanager
    def kept(self, frame: Any) -> Iterator[Any]:
        """Keep what a frame holds on the disks of the workers."""
        from pyspark import StorageLevel

        held = frame.persist(StorageLevel.DISK_ONLY)
        try:
            yield held
        finally:
            held.unpersist()

    def scattered(self, packets: Any, places: Sequence[int], n: int) -> Any:
        """Send the packets of every bucket to its shard: a partition of its own."""
        from pyspark.sql import functions as f

        if list(places) == [bucket * n // len(places) for bucket in range(len(places))]:
            place = f"int(shard * {n}L div {len(places)}L)"
        else:
            place = f"element_at(array({', '.join(map(str, places))}), shard + 1)"
        moved = packets.filter(f.col("shard") >= 0).withColumn("shard", f.expr(place))
        return moved.repartitionById(n, "shard")

    def gathered(self, packets: Any, fan: int, n: int) -> Any:
        """Send what `fan` neighbouring shards have to one."""
        from pyspark.sql import functions as f

        moved = packets.withColumn("part", f.col("shard")).withColumn(
            "shard", f.floor(f.col("shard") / fan).cast("int")
        )
        return moved.repartitionById(n, "shard")

    def only(self, packets: Any, kind: str, without: Sequence[int] = ()) -> Any:
        """Keep the packets of a kind, which may be a pattern of SQL, and of some shards only."""
        from pyspark.sql import functions as f

        found = packets.filter(f.col("kind").like(kind) | (f.col("kind") == ERROR))
        return found.filter(~f.col("shard").isin(list(without))) if without else found

    def distinct(self, packets: Any, kind: str) -> list[bytes]:
        """Return the different contents of a kind of packets."""
        with _blamed("reading the log", None):
            return [bytes(row[0]) for row in self.only(packets, kind).select("content").distinct().collect()]

    def collected(self, packets: Any, work: Work) -> list[Packet]:
        """Run, and return the packets in their order.

        Raises
        ------
        JourneykitError
            What was refused in a worker.
        ShardError
            If a worker failed.
        """
        with _blamed(work.doing, work.of):
            found = [Packet(*row) for row in packets.collect()]
        found.sort(key=lambda packet: packet[:3])
        for packet in found:
            if packet.kind == ERROR:
                raise pickle.loads(packet.content)
        return found


def pieces(shard: int, kind: str, content: bytes) -> Iterator[Packet]:
    """Divide something into packets that `joined_pieces` puts together."""
    for number, start in enumerate(range(0, max(1, len(content)), BYTES_PER_PACKET)):
        yield Packet(shard, shard, number, kind, content[start : start + BYTES_PER_PACKET])


def joined_pieces(packets: Sequence[Packet]) -> dict[tuple[int, str], bytes]:
    """Put packets together: what each part sent of each kind."""
    found: dict[tuple[int, str], list[bytes]] = {}
    for packet in sorted(packets, key=lambda packet: packet[:3]):
        found.setdefault((packet.part, packet.kind), []).append(packet.content)
    return {key: b"".join(contents) for key, contents in found.items()}


def packets_of(batches: Iterator[Any]) -> list[Packet]:
    """Read the packets that were sent to a partition, in the order of their parts."""
    found = [
        Packet(*row)
        for batch in batches
        for row in zip(*(batch[name].to_pylist() for name in Packet._fields), strict=True)
    ]
    return sorted(found, key=lambda packet: packet[:3])


def worked(payload: bytes, batches: Iterator[Any]) -> Iterator[Any]:
    """Do the work that was sent, in a worker; its failure is sent back too, for Spark would try it again."""
    from pyspark import TaskContext

    partition = TaskContext.get().partitionId()
    work: Work = pickle.loads(payload)
    try:
        yield from _batched(work(batches, partition))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a statistic is anybody's code
        refused = error
        if not isinstance(error, JourneykitError):
            refused = ShardError.failed(work.doing, _shard(partition, work.of), error)
        refused.add_note(traceback.format_exc())
        yield from _batched(iter([Packet(partition, partition, 0, ERROR, pickle.dumps(refused))]))


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _sent(payload: bytes) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def run(batches: Iterator[Any]) -> Iterator[Any]:
        # Pickled as it stands, so that a worker sets this before it imports polars.
        import os

        os.environ.setdefault("POLARS_MAX_THREADS", "1")
        from journeykit.engines.spark import worked

        yield from worked(payload, batches)

    return run


def _batched(packets: Iterator[Packet]) -> Iterator[Any]:
    waiting: list[Packet] = []
    size = 0
    for packet in packets:
        waiting.append(packet)
        size += len(packet.content)
        if size >= BYTES_PER_BATCH or len(waiting) >= PACKETS_PER_BATCH:
            yield _batch(waiting)
            waiting, size = [], 0
    if waiting:
        yield _batch(waiting)


def _batch(packets: Sequence[Packet]) -> Any:
    import pyarrow as pa

    kinds = (pa.int32(), pa.int32(), pa.int32(), pa.string(), pa.binary())
    columns = [pa.array(column, kind) for column, kind in zip(zip(*packets, strict=True), kinds, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=list(Packet._fields))


def _shard(partition: int, of: int | None) -> str:
    return f"partition {partition + 1}" if of is None else f"shard {partition + 1} of {of}"


@contextmanager
def _blamed(doing: str, of: int | None) -> Iterator[None]:
    """Say of a job that fails what it did, and in which shard."""
    try:
        yield
    except (JourneykitError, MemoryError):
        raise
    except Exception as error:  # py4j and Spark have errors of their own
        told = str(error)
        task = FAILED_TASK.search(told)
        shard = "Spark" if task is None else _shard(int(task[1]), of)
        if CRASHED in told:
            reason = "its worker died. It may have had too little memory: give workers more, or use more partitions."
            raise ShardError(doing, shard, reason) from error
        causes = [(kind, what) for kind, what in CAUSE.findall(told) if not what.startswith("Traceback")]
        kind, what = causes[-1] if causes else (type(error).__name__, told.strip().splitlines()[0])
        raise ShardError(doing, shard, f"{kind}: {what}") from error
