"""Tries an installed wheel from an empty folder: ``python -I smoke.py``. Run by ``make wheel``."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import polars as pl

import journeykit as jk

HEAVY = ("numba", "networkx", "duckdb", "plotly", "scipy.stats")


def check(what: str, holds: bool) -> None:
    print(f"{'ok    ' if holds else 'FAILED'} {what}")
    if not holds:
        sys.exit(1)


def transitions_of_three_events() -> pl.DataFrame:
    log = pl.DataFrame(
        {
            "user": ["a", "a", "b"],
            "time": ["2026-01-01T10:00:00", "2026-01-01T10:05:00", "2026-01-01T10:01:00"],
            "event": ["view", "buy", "view"],
        }
    ).with_columns(pl.col("time").str.to_datetime())
    journeys = jk.read_events(log, user="user", time="time", event="event").sessionize(timeout="30m")
    return journeys.measure(jk.Transitions()).frame


def journeykit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["journeykit", *arguments], capture_output=True, text=True, check=False)


package = Path(str(files("journeykit")))
check("imported from the wheel, not from a source tree", "site-packages" in package.parts)
check("import journeykit loads none of the heavy libraries", not set(HEAVY) & set(sys.modules))
check("says its version", jk.__version__ == version("journeykit"))
check("ships py.typed", (package / "py.typed").is_file())
check("ships its sample logs", any((package / "datasets" / "data").iterdir()))
moves = transitions_of_three_events().filter(source="view", target="buy")
check("measures", moves["transitions"].to_list() == [1])
check("has every name it promises", all(getattr(jk, name) is not None for name in jk.__all__))
check("journeykit --help", "measure" in journeykit("--help").stdout)

log, out = str(jk.datasets.shop()), Path("answers")
roles = ("--user", "user_id", "--time", "timestamp", "--event", "event")
done = journeykit("measure", log, *roles, "--goal", "purchase", "--by", "platform", "--out", str(out))
check(f"journeykit measure a shipped log {done.stderr}", done.returncode == 0)
check("leaves its answers", pl.read_parquet(out / "conversion.parquet")["platform"].n_unique() == 3)
failed = journeykit("measure", log, "--user", "nobody", *roles[2:], "--out", "nothing")
check("says in one line what is wrong, exit code 1", (failed.returncode, failed.stderr.count("\n")) == (1, 1))
check("leaves nothing after an error", not Path("nothing").exists())
