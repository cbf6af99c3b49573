"""A store day by day: writing, opening with five questions, appending 1 % of the events, asking again.

    python benchmarks/store.py --events 10m 50m --repeat 3

``random users`` appends the later half of the events of random users, but for the last event of all; ``newest``
appends the newest events, so that the end of the observation moves. Every step is a fresh process; its
import is not counted. ``counted anew`` asks after the append without any kept tally: the full run, whose
answers must be those that were brought on, or no time is shown.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from logs import HERE, add_options, find_log, say, short, whole_number
from tables import machine, markdown

FUNNEL = ("product_view", "add_to_cart", "checkout", "purchase")
WAYS = ("random users", "newest")
SHARE = 0.01
AIM_SECONDS, AIM_SHARE = 2.0, 0.1
STEPS = ("write", "first", "kept", "append", "after", "anew")


def main() -> int:
    """Run from the command line; 1 if an answer differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, nargs="+", default=[10_000_000, 50_000_000])
    parser.add_argument("--ids", choices=["str", "int"], default="str")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    add_options(parser)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(step(options.step[0], Path(options.step[1]), Path(options.step[2]))))
        return 0
    rows = []
    for events in options.events:
        log = find_log(options, events, options.ids)
        for way in options.ways:
            with tempfile.TemporaryDirectory(dir=options.data) as folder:
                runs = [day(log, way, Path(folder)) for _ in range(options.repeat)]
            if not all(run["equal"] for run in runs):
                say("answers that were brought on differ from those counted anew, so no times are shown.")
                return 1
            rows.append(row(events, way, runs))
    columns = ["events", "appended", "users changed", "events of these"]
    columns += ["write s", "open + 5 questions s", "again, kept s", "append s", "then 5 questions s"]
    columns += ["counted anew s", "then / anew", "CPU then / anew"]
    print(
        f"Aims at 50m: open + 5 questions under {AIM_SECONDS} s, then / anew under {AIM_SHARE}. {machine()}.\n"
    )
    print(markdown(columns, rows))
    return 0


def day(log: Path, way: str, folder: Path) -> dict[str, Any]:
    """Write, ask, append and ask, each in a fresh process."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    if not (folder / "new.parquet").exists():
        cut(log, way, folder)
    found = {name: run(name, folder) for name in STEPS}
    say(f"{log.name}, {way}: " + ", ".join(f"{name} {each['wall']:.2f}" for name, each in found.items()))
    return found | {"equal": found["after"]["answers"] == found["anew"]["answers"]}


def cut(log: Path, way: str, folder: Path) -> None:
    """Part a log in what is there and what comes."""
    import polars as pl

    table = pl.scan_parquet(log).with_row_index("row")
    last = pl.col("row") == pl.col("row").sort_by("ts").last()
    if way == "newest":
        is_new = pl.col("ts") > pl.col("ts").quantile(1 - SHARE, "nearest")
    else:
        chosen = pl.col("user_id").hash(1) % 10_000 < 2 * SHARE * 10_000
        later = pl.col("ts").rank("ordinal").over("user_id") * 2 > pl.len().over("user_id")
        users = table.filter(chosen).with_columns(later=later).filter("later").select("row").collect()
        is_new = pl.col("row").is_in(users["row"].implode()) & ~last
    marked = table.with_columns(new=is_new).collect()
    marked.filter(~pl.col("new")).drop("row", "new").write_parquet(folder / "old.parquet")
    marked.filter("new").drop("row", "new").write_parquet(folder / "new.parquet")


def run(name: str, folder: Path) -> dict[str, Any]:
    """Run a step in a process of its own."""
    command = [sys.executable, str(HERE / "store.py"), "--step", name, str(folder / "store"), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def step(name: str, path: Path, folder: Path) -> dict[str, Any]:
    """Do a step, and say what it took."""
    sys.path[:0] = [str(HERE.parent / "src")]
    import journeykit as jk

    asked = (
        jk.Transitions(), jk.TopPaths(24), jk.Funnel(FUNNEL, within="7d", quantiles=()),
        jk.Retention(period="1w"), jk.Overview(),
    )  # fmt: skip
    roles = {"user": "user_id", "time": "ts", "event": "event"}
    if name == "write":
        journeys = jk.read_events(folder / "old.parquet", **roles).sessionize("30m")
        return timed(lambda: journeys.write(path))
    if name == "append":
        found = timed(lambda: jk.open_store(path).append(folder / "new.parquet", **roles))
        return found | changed(path)
    if name == "anew":
        jk.open_store(path).forget()
    began, cpu = time.perf_counter(), time.process_time()
    store = jk.open_store(path)
    answers = store.measure(*asked)
    found = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    return found | {"answers": [answer.frame.write_json() for answer in answers]}


def row(events: int, way: str, runs: list[dict[str, Any]]) -> list[str]:
    """Write the medians of some days."""
    wall = {name: median(run[name]["wall"] for run in runs) for name in STEPS}
    cpu = median(run["after"]["cpu"] / run["anew"]["cpu"] for run in runs)
    appended = runs[0]["append"]
    times = [f"{wall[name]:.2f}" for name in STEPS]
    shares = [f"{median(run['after']['wall'] / run['anew']['wall'] for run in runs):.2f}", f"{cpu:.2f}"]
    return [short(events), way, f"{appended['users']:,}", f"{appended['events']:,}", *times, *shares]


def timed(work: Any) -> dict[str, Any]:
    """Return wall and CPU seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def changed(path: Path) -> dict[str, Any]:
    """Say how many users an append changed, and how many events they have now."""
    changes = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["changes"]
    return {
        "users": sum(c["after"]["users"] for c in changes),
        "events": sum(c["after"]["events"] for c in changes),
    }


if __name__ == "__main__":
    sys.exit(main())
