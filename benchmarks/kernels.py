"""Questions on ready journeys, warm: nanoseconds per event, wall and CPU, beside the time to copy the columns.

    python benchmarks/kernels.py --events 10m --repeat 11 [--against data/run.jsonl]

"kernel" is the compiled pass alone, on one core; "answer" is what a user calls, intervals included, on all
cores. CPU time over all cores is the time "per core": a core that is not used costs none.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from logs import HERE, add_options, find_log, short, whole_number
from tables import figures, machine, markdown

DAY_US = 86_400_000_000
TIMES, CODES = 8, 1
Call = Callable[[], Any]


class Pass(NamedTuple):
    """Something to repeat."""

    question: str
    layer: str
    bytes_read: int
    call: Call
    yardstick: str | None = None


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, default=10_000_000)
    parser.add_argument("--ids", choices=["str", "int"], default="str")
    parser.add_argument("--repeat", type=int, default=11)
    parser.add_argument("--against", type=Path, help="the JSON lines of run.py, for the ratios to chdb")
    add_options(parser)
    options = parser.parse_args()
    sys.path[:0] = [str(HERE.parent / "src"), str(options.yardstick)]
    log = find_log(options, options.events, options.ids)
    from peer_journeykit import Peer

    peer = Peer(str(log), None)
    peer.prepare("once")
    events = peer.journeys.n_events
    on_file, on_table = _chdb(options, "chdb each"), _chdb(options, "chdb once")
    rows, floors = [], {}
    for each in [*kernels(peer), *answers(peer)]:
        wall, cpu = repeated(each.call, options.repeat)
        floor = floors.setdefault(each.bytes_read, median(wall))
        ratios = [_ratio(each, wall, theirs) for theirs in (on_file, on_table)]
        rows.append([*_row(each, wall, cpu, events), figures(median(wall) / floor, 2), *ratios])
    columns = ["question", "layer", "bytes read", "wall best", "wall median", "CPU best", "CPU median"]
    print(f"### {short(events)} events, {options.ids} ids, ns per event, {options.repeat} repeats\n")
    print(f"{machine()}.\n")
    last = ["median wall ms", "times the floor", "chdb on the file / this", "chdb on its table / this"]
    print(markdown([*columns, *last], rows))


def kernels(peer: Any) -> list[Pass]:
    """Return the compiled passes over all events on one core."""
    import numpy as np
    from vocabulary import START_US

    import journeykit as jk
    from journeykit.kernels.outcomes.retention import count_first_returns
    from journeykit.kernels.paths.ends import mark_ends
    from journeykit.kernels.paths.transitions import count_session_ends, count_session_moves
    from journeykit.protocol import Cells
    from journeykit.sessions.cutting import cut
    from journeykit.statistics.counting import CountingRows
    from journeykit.statistics.funnels.at_once import count_at_once
    from journeykit.statistics.funnels.machine import Machine
    from journeykit.statistics.funnels.runs import Runner
    from journeykit.statistics.goals import Walk

    journeys = peer.journeys
    sessions, users = journeys.paths("session"), journeys.paths("user")
    unmarked, marks = np.empty(0, np.bool_), np.empty(journeys.n_events, np.uint8)
    cells = np.zeros(sessions.n_paths, np.int32)
    size = len(journeys.names) + 2
    steps = ("product_view", "add_to_cart", "checkout", "purchase")
    asked = jk.Funnel(steps, within="7d")
    walk = Walk(journeys, Cells(), "event", "user")
    funnel = Runner(Machine(asked, "input"), journeys, walk)
    weeks = START_US + 7 * DAY_US * np.arange(5)
    triangle, members = np.zeros((1, 4, 4), np.int64), np.zeros(1, np.int64)
    codes, times = np.empty_like(users.codes), np.empty_like(users.times)
    moves, visits = (
        CountingRows.make(size * size, journeys.n_events),
        CountingRows.make(size, journeys.n_events),
    )

    def copy() -> None:
        np.copyto(codes, users.codes)
        np.copyto(times, users.times)

    def transitions() -> None:
        mark_ends(sessions.user_paths, sessions.ends, 0, marks)
        tables = (size, moves.table, visits.table)
        count_session_moves(marks, 0, sessions.codes, sessions.times, cells, *tables)
        count_session_ends(marks, 0, sessions.ends, sessions.codes, cells, unmarked, *tables)

    return [
        Pass("copy times and codes", "floor", TIMES + CODES, copy),
        Pass("copy times", "floor", TIMES, lambda: np.copyto(times, users.times)),
        Pass("sessions", "kernel", TIMES, lambda: cut(journeys.session_rule, journeys, threads=1)),
        Pass(
            "transitions",
            "kernel",
            TIMES + CODES,
            transitions,
        ),
        Pass(
            "funnel, 7 days",
            "kernel",
            TIMES + CODES,
            lambda: count_at_once(funnel, np.zeros(users.n_paths, np.int64), 1),
        ),
        Pass(
            "retention",
            "kernel",
            TIMES,
            lambda: count_first_returns(
                users.starts, users.ends, users.times, users.codes, np.empty(0, np.uint8),
                np.zeros(users.n_paths, np.int32), 0,
                (weeks, 4 / float(weeks[-1] - weeks[0])), np.arange(4), members, triangle,
            ),
        ),
    ]  # fmt: skip


def answers(peer: Any) -> list[Pass]:
    """Return the questions as they are asked, on all cores."""
    import journeykit as jk
    from journeykit.sessions.cutting import cut

    journeys, both = peer.journeys, TIMES + CODES
    return [
        Pass("sessions", "answer", TIMES, lambda: cut(journeys.session_rule, journeys), "a"),
        Pass("transitions", "answer", both, lambda: journeys.measure(jk.Transitions()), "c"),
        Pass("funnel, 7 days", "answer", both, lambda: peer.funnel(7 * DAY_US), "b7"),
        Pass("funnel, 1 day", "answer", both, lambda: peer.funnel(DAY_US), "b1"),
        Pass("paths", "answer", both, lambda: journeys.measure(jk.TopPaths(20)), "d"),
        Pass("retention", "answer", TIMES, peer.retention, "e"),
    ]


def repeated(call: Call, repeat: int) -> tuple[list[float], list[float]]:
    """Return wall and CPU seconds of each repetition, after one that does not count."""
    call()
    gc.collect()
    walls, cpus = [], []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return walls, cpus


def _row(each: Pass, wall: Sequence[float], cpu: Sequence[float], events: int) -> list[object]:
    per_event = [f"{1e9 * value / events:.2f}" for value in (min(wall), median(wall), min(cpu), median(cpu))]
    return [each.question, each.layer, each.bytes_read, *per_event, f"{1e3 * median(wall):.1f}"]


def _chdb(options: argparse.Namespace, entrant: str) -> dict[str, float]:
    """Return the median seconds of each question from chdb's runs of one plan on this log."""
    if options.against is None:
        return {}
    runs = [json.loads(line) for line in options.against.read_text(encoding="utf-8").splitlines()]
    wanted = {"events": options.events, "ids": options.ids, "variant": "ordered", "entrant": entrant}
    found = [run for run in runs if run["round"] > 0 and wanted.items() <= run.items()]
    if not found:
        raise SystemExit(f"{options.against} has no measured run of {entrant!r} on this log.")
    return {name: median(run["wall_s"][name] for run in found) for name in found[0]["wall_s"]}


def _ratio(each: Pass, wall: Sequence[float], theirs: dict[str, float]) -> str | None:
    if each.yardstick is None or not theirs:
        return None
    return figures(theirs[each.yardstick] / median(wall), 2)


if __name__ == "__main__":
    main()
