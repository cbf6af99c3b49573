"""The generated logs that the benchmarks read; a log that is not there is made.

``ordered`` comes from the yardstick's ``gen_log.py``. ``shuffled`` holds the same rows in random order.
``giant`` holds the same times and events, but a random 30 % of the rows belong to one user.
A log of more than 50 M events is that of 50 M again and again, each time later, every second time with other users:
made row group by row group, because the generator holds its log in memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
YARDSTICK = HERE.parent.parent / "shared" / "bench"
VARIANTS = ("ordered", "shuffled", "giant")
GIANT_SHARE = 0.3
USERS_PER_EVENT = 0.1
ROW_GROUP = 1_000_000
MOST_AT_ONCE = 50_000_000


FORMAT: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "use_dictionary": ["event"]}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where things are."""
    parser.add_argument("--data", type=Path, default=DATA, help="where the logs are or will be")
    parser.add_argument(
        "--yardstick", type=Path, default=YARDSTICK, help="the folder of peers.py and gen_log.py"
    )


def find_log(options: argparse.Namespace, events: int, ids: str, variant: str = "ordered") -> Path:
    """Return the path of a log, made if it is absent."""
    suffix = "" if variant == "ordered" else f"_{variant}"
    path = Path(options.data) / f"log{short(events)}_{ids}{suffix}.parquet"
    if path.exists():
        return path
    say(f"making {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    if variant == "ordered" and events > MOST_AT_ONCE:
        _repeat(find_log(options, MOST_AT_ONCE, ids), events, unfinished)
    elif variant == "ordered":
        _generate(options.yardstick, events, ids, unfinished)
    else:
        source = find_log(options, events, ids)
        _write({"shuffled": _shuffled, "giant": _with_giant}[variant](pq.read_table(source)), unfinished)
    unfinished.rename(path)
    return path


def short(events: int) -> str:
    """Write 1000000 as 1m and 100000 as 100k."""
    for unit, size in (("m", 1_000_000), ("k", 1_000)):
        if events % size == 0:
            return f"{events // size}{unit}"
    return str(events)


def whole_number(text: str) -> int:
    """Read 10m, 100k or 1000000."""
    units = {"m": 1_000_000, "k": 1_000}
    return int(text[:-1]) * units[text[-1].lower()] if text[-1].lower() in units else int(text)


def as_installed() -> None:
    """Let the processes that are measured keep bytecode, as that of installed packages is kept, theirs and ours."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def into_page_cache(path: Path) -> None:
    """Read a file once, so that no run waits for the disk."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def say(text: str) -> None:
    """Write progress to standard error, where it is in the way of no table."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _generate(yardstick: Path, events: int, ids: str, path: Path) -> None:
    script = Path(yardstick) / "gen_log.py"
    if not script.exists():
        raise SystemExit(f"{script} is not there. Say where the yardstick is with --yardstick FOLDER.")
    users = str(max(1, int(events * USERS_PER_EVENT)))
    arguments = ["--users", users, "--events", str(events), "--user-ids", ids, "--out", str(path)]
    subprocess.run([sys.executable, str(script), *arguments], check=True, stdout=sys.stderr)


def _repeat(source: Path, events: int, path: Path) -> None:
    if events % MOST_AT_ONCE:
        raise SystemExit(f"{events:,} events are no multiple of {MOST_AT_ONCE:,}.")
    log = pq.ParquetFile(source)
    times = [
        log.metadata.row_group(i).column(log.schema.names.index("ts")) for i in range(log.num_row_groups)
    ]
    span = max(each.statistics.max for each in times) - min(each.statistics.min for each in times)
    with pq.ParquetWriter(path, log.schema_arrow, **FORMAT) as writer:
        for copy in range(events // MOST_AT_ONCE):
            for group in range(log.num_row_groups):
                writer.write_table(_later(log.read_row_group(group), copy, span * copy))


def _later(table: pa.Table, copy: int, by: timedelta) -> pa.Table:
    users, times = table["user_id"], pc.add(table["ts"], pa.scalar(by, pa.duration("us")))
    if copy % 2 and pa.types.is_integer(users.type):
        users = pc.add(users, pa.scalar(copy * (1 << 40), users.type))
    elif copy % 2:
        users = pc.binary_join_element_wise(users, f"-{copy}", "")
    return table.set_column(0, "user_id", users).set_column(
        table.schema.names.index("ts"), table.schema.field("ts"), times.cast(table.schema.field("ts").type)
    )


def _shuffled(table: pa.Table) -> pa.Table:
    order = np.random.default_rng(7).permutation(table.num_rows)
    return table.take(pa.array(order))


def _with_giant(table: pa.Table) -> pa.Table:
    """Give a random part of the rows to the user of the first row, but no two at the same time.

    Engines break ties of one user in ways of their own, and with millions of events there would be ties.
    """
    users, times = table["user_id"].combine_chunks(), table["ts"].to_numpy()
    chosen = np.random.default_rng(7).random(table.num_rows) < GIANT_SHARE
    chosen[1:] &= times[1:] != times[:-1]
    return table.set_column(0, "user_id", pc.if_else(pa.array(chosen), users[0], users))


def _write(table: pa.Table, path: Path) -> None:
    """Write as gen_log.py does: the dictionary is for the names of the events only."""
    pq.write_table(table, path, row_group_size=ROW_GROUP, **FORMAT)
