"""Funnels by every preset, retention, step matrix, pattern and n-grams on ready journeys, beside chdb on the same file.

    python benchmarks/questions.py --events 10m --repeat 5 --peer-python PYTHON_WITH_CHDB

Every question is asked once unmeasured and then `--repeat` times; best and median. Where ClickHouse has the same
question (windowFunnel, sequenceMatch, retention), chdb asks the file in a process of its own, and the answers
are compared before any time is shown.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from logs import HERE, add_options, find_log, into_page_cache, say, short, whole_number
from tables import machine, markdown

STEPS = ("product_view", "add_to_cart", "checkout", "purchase")
PATTERN = "product_view ~> add_to_cart ~> checkout ~> purchase"
Answer = Any


class Question(NamedTuple):
    """Something to ask: its aim in wall seconds on two cores, and how to read the answer as ClickHouse gives it."""

    name: str
    ask: Callable[[], Answer]
    aim: float | None = None
    peer: str | None = None
    as_theirs: Callable[[Answer], object] | None = None


def main() -> int:
    """Run from the command line; 1 if an answer differs from ClickHouse's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-python", help="an interpreter that has chdb; without it nothing is compared")
    parser.add_argument("--only", help="only questions whose name holds this")
    add_options(parser)
    options = parser.parse_args()
    log = find_log(options, options.events, "str")
    into_page_cache(log)
    theirs = _ask_chdb(options, log)
    sys.path[:0] = [str(HERE.parent / "src")]
    import journeykit as jk

    journeys = jk.read_events(str(log), user="user_id", time="ts", event="event").sessionize("30m")
    before = _peak()
    rows, different = [], []
    for question in questions(journeys):
        if options.only and options.only not in question.name:
            continue
        say(question.name)
        answer = question.ask()
        spent, their = repeated(question.ask, options.repeat), theirs.get(question.peer or "")
        if their and question.as_theirs and question.as_theirs(answer) != their["answer"]:
            different.append(f"{question.name}: {question.as_theirs(answer)} is not {their['answer']}")
        rows.append(_row(question, *spent, their))
    if different:
        say("\n".join(["the answers differ, so no times are shown.", *different]))
        return 1
    columns = [
        "question",
        "wall best s",
        "wall median s",
        "CPU median s",
        "aim, wall s",
        "chdb on the file, s",
        "chdb / this",
    ]
    print(f"### {short(options.events)} events, str ids, {options.repeat} repeats\n\n{machine()}.\n")
    print(markdown(columns, rows))
    per_event = (_peak() - before) / options.events
    print(f"\nThe peak of memory rose by {per_event:.1f} bytes per event over that of reading and ordering.")
    return 0


def questions(journeys: Any) -> list[Question]:
    """Return all questions."""
    import polars as pl

    import journeykit as jk

    def measure(statistic: Any, **options: Any) -> Callable[[], Answer]:
        return lambda: journeys.measure(statistic, **options)

    def reached(answer: Answer) -> list[int]:
        return answer.frame.filter(pl.col("level") > 0)["reached"].to_list()

    def met(answer: Answer) -> list[int]:
        return answer.frame["met"].to_list()

    def matched(answer: Answer) -> list[int]:
        return answer.frame["matched"].to_list()

    presets = ("default", "clickhouse", "posthog", "posthog_2021", "mixpanel", "mixpanel_reentry")
    presets += ("amplitude", "ga4", "adobe")

    def funnel(name: str, aim: float | None = 0.15, **options: Any) -> Question:
        asked = measure(jk.Funnel(STEPS, within="7d", **options))
        return Question(f"Funnel, 4 steps, {name}", asked, aim)

    def window(*modes: str) -> Question:
        name = ", ".join(["windowFunnel", *modes])
        return Question(
            f"W{name[1:]}", measure(jk.WindowFunnel(STEPS, within="7d", modes=modes)), None, name, reached
        )

    totals, unordered = jk.FunnelRules(entry="all"), jk.FunnelRules(order="unordered")
    four_tokens = jk.PatternCount(jk.Pattern(PATTERN, unit="user"))
    return [
        *(funnel(name, rules=getattr(jk.rules, name)()) for name in presets),
        funnel("no percentiles", quantiles=()),
        funnel("an exclusion", 0.5, exclude=[jk.Exclusion("help")]),
        funnel("unordered", None, rules=unordered),
        funnel("totals", None, unit="totals", rules=totals),
        window(),
        window("strict_order"),
        window("strict_increase"),
        Question("Retention, weekly", measure(jk.Retention(period="1w")), 0.05),
        Question("ConditionsMet", measure(jk.ConditionsMet(STEPS)), None, "retention", met),
        Question("StepMatrix, 10 steps", measure(jk.StepMatrix(10)), 0.15),
        Question("PatternCount, 4 tokens", measure(four_tokens), 0.15, "sequenceMatch", matched),
        Question("NGrams, 2 to 4", measure(jk.NGrams((2, 4))), 1.5),
        Question("Flow, 5 steps", measure(jk.Flow(5))),
        Question("Lifecycle, weekly", measure(jk.Lifecycle(period="1w"))),
        Question("Friction", measure(jk.Friction())),
        Question("TimeBetween", measure(jk.TimeBetween("product_view", "purchase"))),
    ]


def repeated(ask: Callable[[], Answer], repeat: int) -> tuple[list[float], list[float]]:
    """Return wall and CPU seconds of each repetition."""
    gc.collect()
    walls, cpus = [], []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        ask()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return walls, cpus


def _row(
    question: Question, walls: Sequence[float], cpus: Sequence[float], their: dict[str, Any] | None
) -> list[object]:
    theirs = median(their["wall_s"]) if their else None
    compared = [f"{theirs:.2f}", f"{theirs / median(walls):.1f}"] if theirs else [None, None]
    return [
        question.name,
        f"{min(walls):.3f}",
        f"{median(walls):.3f}",
        f"{median(cpus):.3f}",
        question.aim,
        *compared,
    ]


def _ask_chdb(options: argparse.Namespace, log: Path) -> dict[str, dict[str, Any]]:
    """Let chdb ask the file; {} without it."""
    if options.peer_python is None:
        return {}
    command = [options.peer_python, str(HERE / "ask_chdb.py"), str(log), str(options.repeat), *STEPS]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"chdb failed:\n{done.stderr[-2000:]}")
    answers: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answers


def _peak() -> int:
    """Return the peak of memory in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    raise SystemExit(main())
