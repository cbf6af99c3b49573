"""What Spark's workers do, done in this process: any log, any plan, and more shards than groups."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.engines.spark import Packet, _batched
from journeykit.sharding import distributed
from tests.logs import logs
from tests.property.test_law import ALL, MODEL, rows_of
from tests.property.test_out_of_core import (
    CLEANING,
    QUESTIONS,
    RULES,
    answers_or_error,
    assert_same_context,
    assert_same_everywhere,
    plan_of,
)

pytestmark = pytest.mark.property


class Session:
    createDataFrame = None  # noqa: N815 - as of Spark


@dataclass(frozen=True)
class Local(jk.Spark):
    """Partitions are lists, of record batches or of packets, and shuffled backwards."""

    session: object = Session()
    partitions: int | None = None
    reads: int = 3

    @property
    def most_partitions(self):
        return self.partitions or 4

    def log(self, source, format, columns):
        table = source.select(columns).collect().to_arrow(compat_level=pl.CompatLevel.oldest())
        rows = -(-table.num_rows // self.reads)
        return [table.slice(n * rows, rows).to_batches(7) for n in range(self.reads)]

    def first_rows(self, frame, time):
        return pl.DataFrame(pa.Table.from_batches(next(part for part in frame if part)))

    def map(self, frame, work):
        read = [
            _batched(iter(part)) if part and isinstance(part[0], Packet) else iter(part) for part in frame
        ]
        return [[*work(part, number)] for number, part in enumerate(read)]

    def kept(self, frame):
        return nullcontext(frame)

    def scattered(self, packets, places, n):
        moved = [
            each._replace(shard=places[each.shard]) for part in packets for each in part if each.shard >= 0
        ]
        return [[each for each in reversed(moved) if each.shard == shard] for shard in range(n)]

    def gathered(self, packets, fan, n):
        moved = [each._replace(shard=each.shard // fan, part=each.shard) for part in packets for each in part]
        return [[each for each in reversed(moved) if each.shard == shard] for shard in range(n)]

    def only(self, packets, kind, without=()):
        kind = kind.rstrip("%")
        return [
            [each for each in part if each.kind.startswith(kind) and each.shard not in without]
            for part in packets
        ]

    def distinct(self, packets, kind):
        return list({each.content for part in self.only(packets, kind) for each in part})

    def collected(self, packets, work):
        return sorted((each for part in packets for each in part), key=lambda each: each[:3])


@pytest.mark.parametrize("partitions", [None, 5, 200])
def test_every_statistic(partitions, monkeypatch):
    """Of 200 shards several have users of one group, and most have none."""
    monkeypatch.setattr(distributed, "FAN", 8)
    monkeypatch.setattr(distributed, "ROWS_AT_ONCE", 30)
    monkeypatch.setattr(distributed, "ROWS_PER_PACKET", 0)
    monkeypatch.setattr("journeykit.engines.spark.BYTES_PER_PACKET", 1_000)
    plan = plan_of(rows_of(1, users=150)).assign_stages(MODEL)
    statistics = ALL if partitions == 5 else QUESTIONS
    assert_same_everywhere(plan, Local(partitions=partitions), *statistics, by="device", every="1w")


@given(
    logs(min_events=1, with_order=True, with_session=True, with_properties=True),
    st.sampled_from(RULES),
    st.sampled_from([None, 1, 3, 70]),
    st.sampled_from(
        [
            [],
            [("clean", {"cleaning": CLEANING})],
            [("filter", {"where": pl.col("device") == "mobile", "keep": "sessions"})],
            [("filter", {"users": ["u1", "7"], "missing": "ignore"})],
            [("filter", {"users": ["nobody"]})],
            [("filter", {"events": "nothing"})],
        ]
    ),
    st.sampled_from(["keep", "drop"]),
)
def test_any_log_and_any_plan(rows, rule, partitions, verbs, duplicates):
    plan = plan_of(rows, rule, duplicates=duplicates)
    for verb, arguments in verbs:
        plan = getattr(plan, verb)(**arguments)
    wanted = answers_or_error(plan, {"by": "device"})
    found = answers_or_error(plan, {"by": "device", "engine": Local(partitions=partitions)})
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
        return
    for one, other in zip(found, wanted, strict=True):
        assert one.frame.equals(other.frame)
        assert_same_context(one.context, other.context)
