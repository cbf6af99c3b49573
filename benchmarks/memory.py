"""Peak memory per event, and how time grows with events, for the six questions in a fresh process.

    python benchmarks/memory.py --events 10m 50m --repeat 3

The peak is VmHWM, the most that was resident at once, the libraries and a mapped file included. The log of
50 M events takes about 460 MB on disk, and making it 12 GB of memory and two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from logs import HERE, add_options, as_installed, find_log, into_page_cache, say, short, whole_number
from tables import machine, markdown

AIM_BYTES, AIM_GROWTH = 110, 1.1
STEPS = ("import", "prepare", "a", "b7", "b1", "c", "d", "e")
MIB = 1 << 20


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, nargs="+", default=[10_000_000, 50_000_000])
    parser.add_argument("--ids", choices=["str", "int"], default="str")
    parser.add_argument("--repeat", type=int, default=3)
    add_options(parser)
    options = parser.parse_args()
    as_installed()
    logs = {events: find_log(options, events, options.ids) for events in options.events}
    runs: dict[int, list[dict[str, Any]]] = {events: [] for events in logs}
    for number in range(options.repeat + 1):
        for events, log in logs.items():
            say(f"{log.name}: round {number} of {options.repeat}")
            into_page_cache(log)
            run = ask(log, options)
            if number > 0 or options.repeat == 0:
                runs[events].append(run)
    print(report(runs, options.ids))


def ask(log: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Ask journeykit everything in a fresh process."""
    command = [sys.executable, str(HERE / "ask.py"), str(log), "--yardstick", str(options.yardstick)]
    command += ["--threads", str(len(os.sched_getaffinity(0)))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    after = {line["question"]: line["rss_mb"] for line in lines if "question" in line}
    return {**lines[-1], "after": after}


def report(runs: dict[int, list[dict[str, Any]]], ids: str) -> str:
    """Write the table of peaks and the table of their growth over the steps."""
    rows, steps = [], []
    first = min(runs)
    for events, found in runs.items():
        peak = max(run["peak_rss_mb"] for run in found)
        walls, cpus = ([run[name] for run in found] for name in ("suite_wall_s", "suite_cpu_s"))
        growth = [
            median(run[name] for run in found) / median(run[name] for run in runs[first])
            for name in ("suite_wall_s", "suite_cpu_s")
        ]
        rows.append(
            [
                short(events),
                f"{peak:,}",
                f"{peak * MIB / events:.0f}",
                f"{median(walls):.2f}",
                f"{median(cpus):.2f}",
                *(f"{each:.2f}" for each in growth),
                f"{events / first:.0f}",
            ]
        )
        steps.append(
            [short(events), *(f"{median(run['after'][name] for run in found):,.0f}" for name in STEPS)]
        )
    columns = [
        "events", "peak MiB", "bytes per event", "wall s", "CPU s", "wall growth", "CPU growth", "events growth"
    ]  # fmt: skip
    aims = f"Aims: at most {AIM_BYTES} bytes per event at 50m; wall growth at most {AIM_GROWTH} times that of events."
    return "\n\n".join(
        [
            f"### Memory and growth, {ids} ids, {len(runs[first])} processes each",
            f"{aims} {machine()}.",
            markdown(columns, rows),
            "Peak so far, MiB, after each step:",
            markdown(["events", *STEPS], steps),
        ]
    )


if __name__ == "__main__":
    main()
