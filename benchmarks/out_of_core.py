"""The questions of the yardstick out of core: seconds and memory per event of a fresh process, by step.

    python benchmarks/out_of_core.py --events 10m 50m --memory 3GB --repeat 3

Cutting the log, ordering and measuring are what `Progress` tells. The number of sessions is known without asking.
The answers of the smallest log are compared with those of memory before any time is shown; with ``--check`` those of
every log with what DuckDB counts, part by part of the users (`by_user_part.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import by_user_part
from logs import HERE, add_options, as_installed, find_log, into_page_cache, say, short, whole_number
from tables import machine, markdown

FUNNEL = ("product_view", "add_to_cart", "checkout", "purchase")
STEPS = ("cutting the log", "ordering", "measuring")
AIM_PEAK, AIM_SPEED = 3_000, 4.0


def main() -> int:
    """Run from the command line; 1 if an answer differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, nargs="+", default=[10_000_000, 50_000_000])
    parser.add_argument("--ids", choices=["str", "int"], default="str")
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--log", type=Path, nargs="+", help="files to measure, in place of generated logs")
    parser.add_argument("--check", action="store_true", help="compare the answers with DuckDB's")
    parser.add_argument("--ask", nargs="+", help=argparse.SUPPRESS)
    add_options(parser)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(ask(options.ask, options)))
        return 0
    as_installed()
    logs = [options.log] if options.log else [[find_log(options, n, options.ids)] for n in options.events]
    rows = []
    for number, log in enumerate(logs):
        for file in log:
            into_page_cache(file)
        runs = []
        for repeat in range(options.repeat):
            say(f"{log[0].name}: run {repeat + 1} of {options.repeat}")
            runs.append(run(log, options, compare=number == repeat == 0 and not options.log))
        if not all(each.get("equal", True) for each in runs):
            say("the answers differ from those of memory, so no times are shown.")
            return 1
        if options.check and (different := differences(log, runs, options)):
            say("\n".join(["answers differ from DuckDB's, so no times are shown.", *different]))
            return 1
        rows.append(row(runs))
    columns = ["events", "wall s", "CPU s", "million events per s", "CPU ns per event", "peak MiB"]
    columns += [f"{step}, ns wall per event" for step in STEPS]
    print(f"Aims at 200m: peak at most {AIM_PEAK:,} MB, {AIM_SPEED} million events per s. {machine()}.\n")
    print(markdown(columns, rows))
    return 0


def run(log: list[Path], options: argparse.Namespace, *, compare: bool) -> dict[str, Any]:
    """Ask in a fresh process."""
    command = [
        sys.executable,
        str(HERE / "out_of_core.py"),
        "--ask",
        *map(str, log),
        "--memory",
        options.memory,
    ]
    command += ["--directory", str(options.directory)] if options.directory else []
    command += ["--check", "--yardstick", str(options.yardstick)] if options.check else []
    environment = {**os.environ, "COMPARE": "1" if compare else ""}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ask(log: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Measure once in this process, the import included."""
    began, steps = time.perf_counter(), dict[str, float]()
    sys.path[:0] = [str(HERE.parent / "src")]
    import journeykit as jk

    def note(progress: Any) -> None:
        steps[progress.step] = steps.get(progress.step, 0.0) + progress.seconds - last.get(progress.step, 0.0)
        last[progress.step] = progress.seconds if progress.rows != progress.total else 0.0

    last: dict[str, float] = {}
    plan = jk.scan_events(log, user="user_id", time="ts", event="event").sessionize("30m")
    asked = (
        jk.Funnel(FUNNEL, within=timedelta(days=7), quantiles=()),
        jk.Funnel(FUNNEL, within=timedelta(days=1), quantiles=()),
        jk.Transitions(),
        jk.TopPaths(24),
        jk.Retention(period="1w"),
    )
    engine = jk.OutOfCore(memory=options.memory, directory=options.directory, progress=note)
    answers = plan.measure(*asked, engine=engine)
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "events": answers[0].context.n_events,
        "wall": time.perf_counter() - began,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss / 1024,
        "steps": steps,
    }
    if options.check:
        found["answers"] = digests(dict(zip(asked, answers, strict=True)), options.yardstick)
    if os.environ.get("COMPARE"):
        pairs = zip(answers, plan.measure(*asked), strict=True)
        found["equal"] = all(one.frame.equals(other.frame) for one, other in pairs)
    return found


class Answered:
    """Journeys of which some questions were answered."""

    def __init__(self, answers: dict[Any, Any]) -> None:
        self.answers = answers

    @property
    def n_sessions(self) -> int:
        """As every answer knows it."""
        (number,) = {answer.context.n_sessions for answer in self.answers.values()}
        return int(number)

    def measure(self, question: Any) -> Any:
        """Return what was answered."""
        return self.answers[question]


def digests(answers: dict[Any, Any], yardstick: Path) -> dict[str, Any]:
    """Write answers as the yardstick does."""
    sys.path.insert(0, str(yardstick))
    import peers
    from peer_journeykit import Peer

    peer = Peer(None, None)
    peer.journeys = Answered(answers)
    week, day = (days * by_user_part.DAY_US for days in (7, 1))
    rows = {
        "a": peer.sessions(),
        "b7": peer.funnel(week),
        "b1": peer.funnel(day),
        "c": peer.transitions(),
        "d": peer.top_paths(),
        "e": peer.retention(),
    }
    return {question: peers.digest(question, found) for question, found in rows.items()}


def differences(log: list[Path], runs: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """Say where the answers of a run are not DuckDB's."""
    wanted = by_user_part.answers(log, runs[0]["events"], options.yardstick)
    return [
        f"  question {question}: {found} is not {wanted[question]}"
        for each in runs
        for question, found in each["answers"].items()
        if found != wanted[question]
    ]


def row(runs: list[dict[str, Any]]) -> list[str]:
    """Write the medians of a log's runs."""
    events = runs[0]["events"]
    wall, cpu = (median(each[name] for each in runs) for name in ("wall", "cpu"))
    steps = [median(each["steps"][step] for each in runs) * 1e9 / events for step in STEPS]
    peak = max(each["peak"] for each in runs)
    return [
        short(events) if events % 1_000_000 == 0 else f"{events:,}",
        f"{wall:.1f}",
        f"{cpu:.1f}",
        f"{events / wall / 1e6:.2f}",
        f"{cpu * 1e9 / events:.0f}",
        f"{peak:,.0f}",
        *(f"{each:.0f}" for each in steps),
    ]


if __name__ == "__main__":
    sys.exit(main())
