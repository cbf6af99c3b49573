"""Time and memory against events, from the runs of run.py: two SVG files.

    python benchmarks/plots.py benchmarks/data/run.jsonl --out benchmarks/plots [--ids str] [--variant ordered]

Medians of the measured rounds, both axes logarithmic. The grey line is the floor: one copy of the columns that the
questions read (8 bytes of time and 1 of name per event), made on this machine now. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from logs import DATA, HERE

BYTES_READ = 9
COLOURS = {
    "journeykit": "#0072b2",
    "chdb once": "#d55e00",
    "chdb each": "#e69f00",
    "duckdb once": "#009e73",
    "polars once": "#cc79a7",
    "retentioneering once": "#56b4e9",
}
Series = dict[str, dict[int, list[float]]]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="?", default=DATA / "run.jsonl")
    parser.add_argument("--out", type=Path, default=HERE / "plots")
    parser.add_argument("--ids", default="str")
    parser.add_argument("--variant", default="ordered")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.runs.read_text(encoding="utf-8").splitlines()]
    wanted = {"ids": options.ids, "variant": options.variant}
    found = [run for run in lines if run["round"] > 0 and wanted.items() <= run.items()]
    options.out.mkdir(parents=True, exist_ok=True)
    about = f"six questions, cold, {options.ids} ids, {options.variant}"
    walls, peaks = series(found, "suite_wall_s", 1), series(found, "peak_rss_mb", 2**20)
    sizes = sorted({events for points in walls.values() for events in points})
    floor = {events: [copy_seconds(events)] for events in sizes}
    read = {events: [float(BYTES_READ * events)] for events in sizes}
    draw({**walls, "floor: one copy": floor}, f"Time: {about}", "wall seconds", options.out / "time.svg")
    draw({**peaks, "floor: the columns": read}, f"Memory: {about}", "peak bytes", options.out / "memory.svg")


def series(runs: list[dict[str, Any]], name: str, factor: float) -> Series:
    """Gather a figure of runs by entrant and number of events."""
    gathered: Series = defaultdict(lambda: defaultdict(list))
    for run in runs:
        gathered[run["entrant"]][run["events"]].append(run[name] * factor)
    return gathered


def copy_seconds(events: int, repeat: int = 3) -> float:
    """Return the best wall seconds of copying the columns that questions read."""
    source = np.ones(BYTES_READ * events, np.uint8)
    target = np.empty_like(source)
    spent = []
    for _ in range(repeat + 1):
        started = time.perf_counter()
        np.copyto(target, source)
        spent.append(time.perf_counter() - started)
    return min(spent)


def draw(found: Series, title: str, unit: str, path: Path) -> None:
    """Draw one line per entrant, and write an SVG file that is the same for the same numbers."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "journeykit"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for label, points in found.items():
        events = sorted(points)
        style = {"color": "#888888", "linestyle": "--"} if label.startswith("floor") else {"marker": "o"}
        style.setdefault("color", COLOURS.get(label, "#000000"))
        axes.plot(events, [median(points[each]) for each in events], label=label, **style)
    axes.set(xscale="log", yscale="log", xlabel="events", ylabel=unit, title=title)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
