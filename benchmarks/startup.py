"""How long a user waits at the start: the import, and the first question with and without cached kernels.

    python benchmarks/startup.py --repeat 11

Every number is from fresh processes. Without a cache means an empty folder as NUMBA_CACHE_DIR; with a cache
means the same folder again. The question is transitions of 100,000 events, read from Parquet and sessionized.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from logs import HERE, add_options, as_installed, find_log, into_page_cache, say, short, whole_number
from tables import machine, markdown

IMPORT = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
import journeykit
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""
FIRST_QUESTION = """
import json, sys, time
wall, cpu = time.perf_counter(), time.process_time()
import journeykit as jk
journeys = jk.read_events(sys.argv[1], user="user_id", time="ts", event="event").sessionize("30m")
frame = journeys.measure(jk.Transitions()).frame
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""
MEASURED = (
    ("import journeykit", IMPORT, 0.35),
    ("first question, kernels cached", FIRST_QUESTION, 0.5),
    ("first question, kernels compiled", FIRST_QUESTION, 5.0),
)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, default=100_000)
    parser.add_argument("--repeat", type=int, default=11)
    parser.add_argument("--compile-repeat", type=int, default=3)
    parser.add_argument("--imports", type=int, default=0, metavar="N", help="list the N slowest imports too")
    add_options(parser)
    options = parser.parse_args()
    as_installed()
    log = find_log(options, options.events, "str")
    into_page_cache(log)
    rows = []
    with tempfile.TemporaryDirectory() as warm:
        fresh_process(FIRST_QUESTION, log, warm)
        for name, code, aim in MEASURED:
            compiling = name.endswith("compiled")
            repeat = options.compile_repeat if compiling else options.repeat
            runs = [_one(code, log, None if compiling else warm) for _ in range(repeat)]
            walls, cpus = zip(*runs, strict=True)
            numbers = [median(walls), min(walls), median(cpus), min(cpus)]
            rows.append([name, repeat, *(f"{value:.3f}" for value in numbers), aim])
        slowest = slow_imports(log, warm, options.imports)
    print(f"### {short(options.events)} events\n\n{machine()}.\n")
    columns = ["what", "processes", "wall median s", "wall best", "CPU median", "CPU best", "aim, wall s"]
    print(markdown(columns, rows))
    if slowest:
        print("\n" + markdown(["module", "itself ms", "with its imports ms"], slowest))


def _one(code: str, log: Path, cache: str | None) -> tuple[float, float]:
    if cache is not None:
        return fresh_process(code, log, cache)
    with tempfile.TemporaryDirectory() as empty:
        return fresh_process(code, log, empty)


def fresh_process(code: str, log: Path, cache: str) -> tuple[float, float]:
    """Run code in a fresh interpreter; return the wall and CPU seconds that it prints."""
    say(f"a fresh process, kernels in {cache}")
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)],
        check=True,
        capture_output=True,
        text=True,
        env=environment(cache),
    )
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def environment(cache: str) -> dict[str, str]:
    """Return this process's environment with journeykit's source and the folder of the kernels."""
    path = os.pathsep.join(filter(None, [str(HERE.parent / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": path}


def slow_imports(log: Path, cache: str, count: int) -> list[list[object]]:
    """List the modules that take longest to import for the first question, from one run."""
    if count == 0:
        return []
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", FIRST_QUESTION, str(log)],
        check=True,
        capture_output=True,
        text=True,
        env=environment(cache),
    )
    rows = []
    for line in done.stderr.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            rows.append((int(parts[1]), int(parts[0]), parts[2].strip()))
    rows.sort(reverse=True)
    return [[name, f"{own / 1e3:.0f}", f"{total / 1e3:.0f}"] for total, own, name in rows[:count]]


if __name__ == "__main__":
    main()
