"""Ask journeykit the six questions in this process, as the yardstick's ``peers.py`` asks its own engines.

    python benchmarks/ask.py LOG [--yardstick FOLDER]

The same JSON lines, with microseconds and with the peak of memory after every step.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--yardstick", type=Path, default=HERE.parent.parent / "shared" / "bench")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    sys.path[:0] = [str(options.yardstick), str(HERE), str(HERE.parent / "src")]
    import peers

    def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return result, {"wall_s": round(wall, 6), "cpu_s": round(cpu, 6), "rss_mb": peers.peak_rss_mb()}

    peers.timed = timed
    peers.run_once("journeykit", str(options.log.resolve()), "once", options.threads)


if __name__ == "__main__":
    main()
