"""What an event costs on Spark, and from it what a billion and a trillion cost: `docs/explanation/scale.md`.

    python benchmarks/spark_scale.py --events 10m --write

Asks the questions of the yardstick of a generated log on a local Spark, twice, and takes the second time, when Java has
compiled what it runs; and does the same work once more in this process, one thread, to weigh what is sent. The answers
are compared with those of memory before anything is shown.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from logs import HERE, add_options, find_log, into_page_cache, say, whole_number
from tables import figures, machine, markdown

PAGE = HERE.parent / "docs" / "explanation" / "scale.md"
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "3g",
    "spark.log.level": "OFF",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
FUNNEL = ("product_view", "add_to_cart", "checkout", "purchase")
SPARK_BATCH = 10_000
PACKET_BYTES = 48
"""Of a packet beside its content."""
MANY_BUCKETS = 3_904
"""That make packets of 256 events, as many shards do."""
SMALL = ("packets", "cut", "order")
BYTES_IN_MEMORY = 160
"""Of a worker, per event of the shard that it orders: what `OutOfCore` counts with."""
CORES_PER_MACHINE, NETWORK = 16, 1.25e9
"""Of one machine: cores, and bytes per second of its network, half of which a shuffle is taken to reach."""
CLUSTERS = ((1e9, 4, 256, 100), (1e12, 256, 65_536, 40_000))
"""Events, machines, shards, and partitions in which the log is read."""


def main() -> int:
    """Run from the command line; 1 if an answer differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, default=10_000_000)
    parser.add_argument("--ids", choices=["str", "int"], default="str")
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    add_options(parser)
    options = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = "1"
    log = find_log(options, options.events, options.ids)
    into_page_cache(log)
    say("weighing what is sent")
    weights = weigh(log)
    say("measuring on Spark")
    spark = on_spark(log)
    if not spark.pop("equal"):
        say("the answers differ from those of memory, so nothing is shown.")
        return 1
    text = f"{measured(weights, spark)}\n\n{projected(weights, spark)}\n\n{machine()}."
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        marked = re.compile("(<!-- measured -->\n).*(<!-- end -->)", re.DOTALL)
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page), "utf-8")
    return 0


def questions() -> tuple[Any, ...]:
    """Return those of the yardstick; the sixth, the number of sessions, is known without asking."""
    import journeykit as jk

    return (
        jk.Funnel(FUNNEL, within="7d", quantiles=()),
        jk.Funnel(FUNNEL, within="1d", quantiles=()),
        jk.Transitions(),
        jk.TopPaths(24),
        jk.Retention(period="1w"),
    )


def plan_of(source: Any) -> Any:
    """Plan to ask them."""
    import journeykit as jk

    return jk.scan_events(source, user="user_id", time="ts", event="event").sessionize("30m")


def weigh(log: Path) -> dict[str, float]:
    """Do the work of the workers on one partition and one shard, and weigh what they send; CPU time of one thread."""
    import pyarrow.parquet as pq

    table = pq.read_table(log, columns=["user_id", "ts", "event"])
    pack(table.slice(0, SPARK_BATCH), 64)
    few, many = pack(table, 64), pack(table, MANY_BUCKETS)
    return {"log": log.stat().st_size / table.num_rows, **few, **{f"small {key}": many[key] for key in SMALL}}


def pack(table: Any, n_buckets: int) -> dict[str, float]:
    """Cut a table into buckets, order half of them as one shard, and tally it."""
    import pickle

    import polars as pl

    from journeykit.engines.counting import Count
    from journeykit.sharding import distributed
    from journeykit.sources.canonical import Roles

    stitching = distributed.Stitching([])
    cutting = distributed.Cutting(
        Roles("user_id", "ts", "event"), n_buckets, stitching, keep=False, sized=True
    )
    cut, cut_seconds = timed(lambda: list(cutting(iter(table.to_batches(SPARK_BATCH)), 0)))
    rows = [each for each in cut if each.kind == distributed.ROWS]
    found = pickle.loads(cut[-1].content)
    vocabulary = sorted(each.content.decode() for each in cut if each.kind == distributed.NAME)
    about = distributed.About(
        vocabulary, pl.Series(vocabulary), found.validity.counts("raise"), found.first, found.last,
        None, None, text=table.schema.field("user_id").type != "int64",
    )  # fmt: skip
    rule = plan_of(table).steps[1].arguments["timeout"]
    ordering = distributed.Ordering(about, "keep", "UTC", rule, (), (None, None), 2)
    packed = [sent(each._replace(shard=0)) for each in rows if each.shard < n_buckets // 2]
    events = int(found.rows[: n_buckets // 2].sum())
    ordered, order_seconds = timed(lambda: list(ordering(iter(packed), 0)))
    files = [each for each in ordered if each.kind.startswith(distributed.FILE)]
    made = [each.content for each in ordered if each.kind == distributed.MADE]
    count = Count(questions(), None, None, pickle.loads(made[0]).labels)
    observed = about.first_microsecond, about.last_microsecond
    counting = distributed.Counting(count, 2, observed, distributed.Provenance())
    kept = [sent(each) for each in files]
    list(counting(iter(kept), 0))
    counted, count_seconds = timed(lambda: list(counting(iter(kept), 0)))
    return {
        "packets": sum(len(each.content) + PACKET_BYTES for each in rows) / table.num_rows,
        "files": sum(len(each.content) for each in files) / events,
        "cut": cut_seconds * 1e9 / table.num_rows,
        "order": order_seconds * 1e9 / events,
        "count": count_seconds * 1e9 / events,
        "tally": sum(len(each.content) for each in counted),
        "made": sum(map(len, made)),
        "found": len(cut[-1].content),
    }


def sent(packet: Any) -> Any:
    """Return a packet as it comes from Spark."""
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([packet._asdict()])


def timed(work: Any) -> tuple[Any, float]:
    """Return what the work returns, and its CPU seconds."""
    began = time.process_time()
    return work(), time.process_time() - began


def on_spark(log: Path) -> dict[str, float]:
    """Ask on a local Spark with all cores: seconds of the wall, and of all its processes."""
    import journeykit as jk

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    frame = session.read.parquet(str(log))
    plan_of(frame).measure(*questions(), engine=jk.Spark(session, partitions=4))
    used, began = cpu_seconds(), time.perf_counter()
    answers = plan_of(frame).measure(*questions(), engine=jk.Spark(session, partitions=4))
    events = answers[0].context.n_events
    found = {"wall": (time.perf_counter() - began) * 1e9 / events}
    found |= {"cpu": (cpu_seconds() - used) * 1e9 / events, "events": events}
    session.stop()
    pairs = zip(answers, plan_of(log).measure(*questions()), strict=True)
    found["equal"] = all(one.frame.equals(other.frame) for one, other in pairs)
    return found


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of all that it started, the JVM and its workers."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        seconds[number] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    ours, size = {os.getpid()}, 0
    while len(ours) > size:
        size = len(ours)
        ours |= {number for number, parent in parents.items() if parent in ours}
    return sum(seconds[number] for number in ours)


def measured(weights: dict[str, float], spark: dict[str, float]) -> str:
    """Write what was measured."""
    workers = weights["cut"] + weights["order"] + weights["count"]
    rows = [
        ("the log as Parquet", f"{weights['log']:.1f}", None),
        ("packed by user: what is shuffled", f"{weights['packets']:.1f}", f"{weights['cut']:.0f}"),
        (
            "the same in packets of 256 events, for thousands of shards",
            f"{weights['small packets']:.1f}",
            f"{weights['small cut']:.0f}",
        ),
        ("ordered: what is kept on the workers' disks", f"{weights['files']:.1f}", f"{weights['order']:.0f}"),
        ("the same from packets of 256 events", None, f"{weights['small order']:.0f}"),
        ("five questions tallied", None, f"{weights['count']:.0f}"),
        ("the rest: Spark reads, converts, sends, writes", None, f"{max(0, spark['cpu'] - workers):.0f}"),
        ("all of it, in large packets", None, f"{spark['cpu']:.0f}"),
    ]
    return markdown(["per event", "bytes", "CPU ns"], rows)


def projected(weights: dict[str, float], spark: dict[str, float]) -> str:
    """Write what clusters need."""
    columns = [[quantity for quantity, _ in _needs(weights, spark, *CLUSTERS[0])]]
    columns += [[value for _, value in _needs(weights, spark, *cluster)] for cluster in CLUSTERS]
    return markdown(columns=["", "1 billion events", "1 trillion events"], rows=zip(*columns, strict=True))


def _needs(
    weights: dict[str, float], spark: dict[str, float], events: float, machines: int, shards: int, reads: int
) -> list[tuple[str, str]]:
    cores = machines * CORES_PER_MACHINE
    small = "small " if shards > MANY_BUCKETS else ""
    more = sum(weights[f"{small}{each}"] - weights[each] for each in ("cut", "order"))
    work = events * (spark["cpu"] + more) / 1e9
    packets = weights[f"{small}packets"]
    shuffled = events * packets
    driver = 2 * weights["tally"] + shards * weights["made"] + reads * weights["found"]
    return [
        ("cluster", f"{machines} machines, {cores:,} cores"),
        ("the log as Parquet", size(events * weights["log"])),
        ("core hours", f"{figures(work / 3600)}"),
        ("minutes on the cluster", f"{figures(work / 60 / cores, 2)}"),
        ("shuffled", size(shuffled)),
        ("minutes of the network, for that alone", f"{figures(shuffled / (machines * NETWORK / 2) / 60, 2)}"),
        ("on all disks at once, at most", size(events * (2 * packets + weights["files"]))),
        ("shards, and events in each", f"{shards:,}; {figures(events / shards / 1e6)} million"),
        ("memory of a worker, per core", size(events / shards * BYTES_IN_MEMORY)),
        ("sent to the driver, to be added there", size(driver)),
    ]


def size(bytes_: float) -> str:
    """Write a number of bytes."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if bytes_ >= 10**power:
            return f"{figures(bytes_ / 10**power)} {unit}"
    return f"{bytes_:.0f} B"


if __name__ == "__main__":
    sys.exit(main())
