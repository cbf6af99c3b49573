"""A log in PostgreSQL to journeys: the seconds of reading and ordering, beside the same log as Parquet.

    python benchmarks/databases.py --events 1m --repeat 5

Starts a server of its own in a temporary folder (`tests/postgresql.py`), which shares the cores. Every number is from a
fresh process; the table is in the server's memory after the first round, which is not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from urllib.parse import quote

from logs import HERE, add_options, find_log, into_page_cache, short, whole_number
from tables import machine, markdown

READ = """
import json, sys, time, resource
wall, cpu = time.perf_counter(), time.process_time()
import journeykit as jk
roles = dict(user="user_id", time="ts", event="event")
read, *source = (jk.read_events, sys.argv[1]) if len(sys.argv) == 2 else (jk.read_sql, *sys.argv[1:])
events = read(*source, **roles)
read_after = time.perf_counter() - wall
journeys = events.sessionize("30m")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([read_after, time.perf_counter() - wall, time.process_time() - cpu, peak, journeys.n_sessions]))
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    add_options(parser)
    options = parser.parse_args()
    log = find_log(options, options.events, "str")
    into_page_cache(log)
    sys.path.insert(0, str(HERE.parent))
    from tests import postgresql

    if postgresql.programs() is None:
        parser.error("there is no server of PostgreSQL on this machine")
    with postgresql.server_folder() as folder, postgresql.server(folder) as place:
        password = quote(postgresql.PASSWORD, safe="")
        address = f"postgresql://{postgresql.USER}:{password}@{place}/postgres"
        fill(address, log)
        sources = {"PostgreSQL": (address, "select * from log"), "Parquet": (str(log),)}
        runs = {
            name: [fresh(*source) for _ in range(options.repeat + 1)][1:] for name, source in sources.items()
        }
    sessions = {run[4] for each in runs.values() for run in each}
    if len(sessions) != 1:
        raise SystemExit(f"the answers differ: {sessions}")
    print(f"### {short(options.events)} events\n\n{machine()}.\n")
    columns = ["log in", "processes", "read s", "to journeys s", "best", "CPU s", "peak MB"]
    print(markdown(columns, [row(name, each) for name, each in runs.items()]))


def row(name: str, runs: list[list[float]]) -> list[object]:
    """Write the medians of the runs on one source."""
    read, journeys, cpu, peak, _ = zip(*runs, strict=True)
    numbers = [median(read), median(journeys), min(journeys), median(cpu)]
    return [name, len(runs), *(f"{value:.2f}" for value in numbers), f"{median(peak) / 1e6:.0f}"]


def fill(address: str, log: Path) -> None:
    """Copy the log into a table."""
    import polars as pl
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("log", pl.read_parquet(log).to_arrow(), mode="create")
        connection.commit()


def fresh(*arguments: str) -> list[float]:
    """Run once in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", READ, *arguments], cwd=folder, check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
