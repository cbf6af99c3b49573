"""A vocabulary of 100,000 different events (pages of a site): seconds and memory of every kind of question.

    python benchmarks/wide_vocabulary.py --events 5m --names 100k [--only Transitions]

Names are drawn by Zipf's law with exponent 1.1, so that a few pages have most visits and tens of thousands have few.
A dense matrix of names by names would take 80 GB in counts of eight bytes. *Peak* is what the process needed over what
it held before the question.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from logs import HERE, say, short, whole_number
from tables import figures, machine, markdown

EXPONENT = 1.1
EVENTS_PER_USER = 10
START_US = 1_767_571_200_000_000
DAYS = 28


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, default=5_000_000)
    parser.add_argument("--names", type=whole_number, default=100_000)
    parser.add_argument("--only", help="only questions whose text holds this")
    options = parser.parse_args()
    sys.path[:0] = [str(HERE.parent / "src")]
    import journeykit as jk

    log = wide_log(options.events, options.names)
    began = time.perf_counter()
    journeys = jk.read_events(log, user="user", time="time", event="event").sessionize("30m")
    say(f"ready in {time.perf_counter() - began:.1f} s")
    rows = []
    for question in questions():
        text = repr(question)
        if options.only and options.only not in text:
            continue
        say(text)
        first, again = (measured(journeys, question) for _ in range(2))
        say(f"  {first[0]:.2f} s, then {again[0]:.2f} s")
        rows.append([type(question).__name__, *(figures(each, 2) for each in (*first[:1], *again)), first[3]])
    columns = ["statistic", "first, wall s", "again, wall s", "CPU s", "peak, MiB", "rows"]
    print(
        f"### {short(options.events)} events, {len(journeys.names):,} different names in the log, "
        f"{journeys.n_sessions:,} sessions\n\n{machine()}.\n"
    )
    print(markdown(columns, [[*row[:5], f"{row[-1]:,}"] for row in rows]))


def wide_log(events: int, names: int) -> pl.DataFrame:
    """Draw a log; the same numbers give the same log."""
    draw = np.random.default_rng(7)
    weights = np.arange(1, names + 1, dtype=np.float64) ** -EXPONENT
    codes = np.searchsorted(np.cumsum(weights) / weights.sum(), draw.random(events))
    users = draw.integers(0, events // EVENTS_PER_USER, events)
    visits = draw.integers(0, DAYS * 24, (events // EVENTS_PER_USER, 3))[users, draw.integers(0, 3, events)]
    times = START_US + visits * 3_600_000_000 + draw.integers(0, 1_200_000_000, events)
    pages = pl.Series([f"/shop/{code % 97}/page-{code}?ref=a" for code in range(names)])
    return pl.DataFrame(
        {
            "user": users,
            "time": pl.Series(times).cast(pl.Datetime("us")),
            "event": pages.gather(np.minimum(codes, names - 1)),
        }
    )


def questions() -> list[Any]:
    """Return one value of every statistic that looks at names."""
    import journeykit as jk

    home, second, third = (f"/shop/{code}/page-{code}?ref=a" for code in range(3))
    funnel = jk.Funnel([home, second, third], within="7d")
    return [
        jk.Overview(goal=third),
        jk.Transitions(),
        jk.Transitions(unit="user", quantiles=(0.5,)),
        jk.Chain(third),
        jk.TopPaths(20),
        jk.NGrams((2, 3), 20),
        jk.Variants(20),
        jk.EventuallyFollows(),
        jk.SequentialPatterns(20, min_support=0.001, max_length=3),
        jk.StepMatrix(6, top=10),
        jk.Flow(4, top=10),
        jk.Conversion(third),
        jk.Abandonment(third, horizon="7d"),
        jk.TimeToConvert(third),
        funnel,
        jk.FunnelCorrelation(funnel),
        jk.WindowFunnel([home, second, third], within="7d"),
        jk.PatternCount(jk.Pattern(f'"{home}" ~> "{second}"')),
        jk.NextEvent(f'"{home}"'),
        jk.Friction(),
        jk.DifferentialPaths(third),
        jk.PathShape(),
        jk.TimeBetween(home, second),
        jk.Retention(home, period="1w"),
        jk.Lifecycle(period="1w"),
        jk.ActiveUsers(),
    ]


def measured(journeys: Any, question: Any) -> tuple[float, float, float, int]:
    """Ask once: wall and CPU seconds, MiB over what was there before, rows of the answer."""
    gc.collect()
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    wall, cpu = time.perf_counter(), time.process_time()
    answer = journeys.measure(question)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall, cpu, (_memory("VmHWM") - before) / 1024, answer.frame.height


def _memory(name: str) -> int:
    """Return a line of /proc/self/status in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
