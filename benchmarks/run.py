"""Paired runs of journeykit and its peers on the six questions of the yardstick.

    python benchmarks/run.py --events 10m --ids str --repeat 5 --peer-python PYTHON_WITH_CHDB
    python benchmarks/run.py --events 1m 10m --peers chdb:once,retentioneering:once --peer-python CHDB \
        --peer-python retentioneering=PYTHON_WITH_RETENTIONEERING --resume

Every run is a fresh process; the runs of one round follow each other, so that a busy minute hits all of them.
Answers are compared before any time is shown. README.md says what it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from logs import (
    DATA,
    HERE,
    VARIANTS,
    add_options,
    as_installed,
    find_log,
    into_page_cache,
    say,
    short,
    whole_number,
)
from tables import figures, machine, markdown, now

QUESTIONS = ("a", "b7", "b1", "c", "d", "e")
STEPS = ("import", "prepare", *QUESTIONS)
PEERS = ("chdb:once", "chdb:each", "duckdb:once", "polars:once", "retentioneering:once")
OURS = "journeykit:once"
NEEDS_TIME_ORDER = ("polars",)
ALWAYS = ("import", "prepare")
KEY = ("events", "ids", "variant", "entrant", "round")
Run = dict[str, Any]


class Entrant(NamedTuple):
    """An engine and the plan it follows."""

    engine: str
    plan: str

    @property
    def label(self) -> str:
        """The name in tables."""
        return self.engine if self.engine == "journeykit" else f"{self.engine} {self.plan}"


def main() -> int:
    """Run from the command line; 1 if answers differ or a run fails."""
    options = _options()
    found = entrants(options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    failed = False
    first: dict[tuple[int, bool], Run] = {}
    medians: dict[tuple[int, str, str], list[float]] = {}
    for events, ids, variant in product(options.events, options.ids, options.variants):
        log = find_log(options, events, ids, variant)
        title = f"{short(events)} events, {ids} ids, {variant}"
        able = [each for each in found if not (variant == "shuffled" and each.engine in NEEDS_TIME_ORDER)]
        runs = rounds(able, log, {"events": events, "ids": ids, "variant": variant}, options)
        # The order of the rows and the kind of ids change no answer.
        reference = first.setdefault((events, variant == "giant"), runs[0])
        different = differences(reference, runs)
        if different:
            failed = True
            say("\n".join([f"{title}: the answers differ, so no times are shown.", *different]))
            continue
        print(report(title, runs, [each.label for each in able]), flush=True)
        ours = [run for run in measured(runs) if run["entrant"] == able[0].label]
        medians[events, ids, variant] = [_median(ours, name) for name in ("suite_wall_s", "suite_cpu_s")]
    print(variants_report(medians))
    return int(failed)


def keep(run: Run, path: Path) -> None:
    """Append a run to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"measured": f"{now():%F %T}", **run}) + "\n")


def kept(path: Path) -> dict[tuple[object, ...], Run]:
    """Return the runs of a file of JSON lines by log, entrant and round; the last of several counts."""
    if not path.exists():
        return {}
    runs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {tuple(run[name] for name in KEY): run for run in runs}


def measured(runs: Sequence[Run]) -> list[Run]:
    """Leave out the first round, unless there is no other."""
    return [run for run in runs if run["round"] > 0] or list(runs)


def variants_report(medians: dict[tuple[int, str, str], list[float]]) -> str:
    """Write how much longer journeykit takes for logs that are not in order, or have a giant user."""
    rows = []
    for (events, ids, variant), seconds in medians.items():
        ordered = medians.get((events, ids, "ordered"))
        if ordered and variant != "ordered":
            ratios = [figures(mine / other, 3) for mine, other in zip(seconds, ordered, strict=True)]
            rows.append([f"{short(events)}, {ids} ids", variant, *ratios])
    if not rows:
        return ""
    columns = ["log", "variant", "wall, relative to ordered", "CPU, relative to ordered"]
    return "\n### journeykit on other logs\n\n" + markdown(columns, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=whole_number, nargs="+", default=[1_000_000])
    parser.add_argument("--ids", choices=["str", "int"], nargs="+", default=["str"])
    parser.add_argument("--variants", type=_names, default=["ordered"], help=f"some of {','.join(VARIANTS)}")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--peers", type=_names, default=list(PEERS), help="engine:plan,engine:plan; '' for none"
    )
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        metavar="[ENGINE=]PYTHON",
        help="the interpreter that has the peers, or one of them; as often as needed",
    )
    parser.add_argument(
        "--resume", action="store_true", help="take runs that --json has instead of repeating"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, default=DATA / "run.jsonl", help="JSON lines are appended here")
    add_options(parser)
    options = parser.parse_args()
    as_installed()
    options.pythons = dict(text.rpartition("=")[::2] for text in options.peer_python)
    unknown = sorted({*options.variants} - {*VARIANTS})
    if unknown:
        parser.error(f"no variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    if not (options.yardstick / "peers.py").exists():
        parser.error(f"{options.yardstick}/peers.py is not there; say where it is with --yardstick FOLDER")
    return options


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def entrants(options: argparse.Namespace) -> list[Entrant]:
    """Return journeykit and the peers that can be imported; say which cannot."""
    wanted = [Entrant(*name.split(":")) for name in options.peers]
    engines = dict.fromkeys(each.engine for each in wanted)
    missing = [engine for engine in engines if not _importable(_python(engine, options), engine)]
    for engine in missing:
        python = _python(engine, options)
        say(f"{engine} is left out: {python} cannot import it (--peer-python names another one).")
    return [Entrant(*OURS.split(":")), *(each for each in wanted if each.engine not in missing)]


def _python(engine: str, options: argparse.Namespace) -> str:
    """Return the interpreter that is to run an engine."""
    pythons: dict[str, str] = options.pythons
    return pythons.get(engine) or pythons.get("") or sys.executable


def _importable(python: str, engine: str) -> bool:
    command = [
        python,
        "-c",
        f"import importlib.util, sys; sys.exit(importlib.util.find_spec({engine!r}) is None)",
    ]
    return subprocess.run(command, check=False).returncode == 0


def rounds(found: Sequence[Entrant], log: Path, facts: Run, options: argparse.Namespace) -> list[Run]:
    """Run everybody once unmeasured, then `repeat` times in turn, each round starting with another one."""
    into_page_cache(log)
    done = kept(options.json) if options.resume else {}
    runs = []
    for number in range(options.repeat + 1):
        first = number % len(found)
        for entrant in [*found[first:], *found[:first]]:
            run = done.get((*facts.values(), entrant.label, number))
            if run is None:
                say(f"{log.name}: round {number} of {options.repeat}, {entrant.label}")
                run = {**facts, "round": number, **one_run(entrant, log, options)}
                keep(run, options.json)
            runs.append(run)
    return runs


def one_run(entrant: Entrant, log: Path, options: argparse.Namespace) -> Run:
    """Ask one engine everything in a fresh process."""
    if entrant.engine == "journeykit":
        command = [sys.executable, str(HERE / "ask.py"), str(log), "--yardstick", str(options.yardstick)]
    else:
        command = [_python(entrant.engine, options), str(options.yardstick / "peers.py"), "--log", str(log)]
        command += ["--engine", entrant.engine, "--plan", entrant.plan]
    load = os.getloadavg()[0]
    done = subprocess.run(
        [*command, "--threads", str(options.threads)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{entrant.label} failed on {log}:\n{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    steps = {line["question"]: line for line in lines if "question" in line}
    return {
        "entrant": entrant.label,
        "suite_wall_s": lines[-1]["suite_wall_s"],
        "suite_cpu_s": lines[-1]["suite_cpu_s"],
        "peak_rss_mb": lines[-1]["peak_rss_mb"],
        "load_before": round(load, 2),
        "wall_s": {name: step["wall_s"] for name, step in steps.items()},
        "cpu_s": {name: step["cpu_s"] for name, step in steps.items()},
        "answers": {name: step["answer"] for name, step in steps.items() if step.get("answer") is not None},
    }


def differences(reference: Run, runs: Sequence[Run]) -> list[str]:
    """Say where an answer is not the one of the reference; the unmeasured round counts too."""
    different = []
    for run in runs:
        for question, answer in run["answers"].items():
            expected = reference["answers"].get(question)
            if expected is not None and answer != expected:
                who = f"{run['entrant']} (round {run['round']}) against {reference['entrant']}"
                different.append(f"  question {question}, {who}: {answer} is not {expected}")
    return different


def report(title: str, runs: Sequence[Run], labels: Sequence[str]) -> str:
    """Write medians of the whole suite and of each step, and how they compare in the same round."""
    by_label = {label: [run for run in measured(runs) if run["entrant"] == label] for label in labels}
    ours = by_label[labels[0]]
    suite, steps = [], []
    for label, theirs in by_label.items():
        asked = theirs[0]["answers"]
        ratios = _ratios(theirs, ours, "wall_s", asked)
        suite.append(
            [
                label,
                f"{_median(theirs, 'suite_wall_s'):.2f}",
                f"{_median(theirs, 'suite_cpu_s'):.2f}",
                f"{_median(theirs, 'peak_rss_mb'):.0f}",
                f"{median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"{median(_ratios(theirs, ours, 'cpu_s', asked)):.2f}",
                "" if len(asked) == len(QUESTIONS) else ", ".join(asked),
            ]
        )
        steps.append([label, *(_median_of(step, theirs) for step in STEPS)])
    header = ["engine", "wall s", "CPU s", "peak MiB", "wall, relative", "range", "CPU, relative", "only"]
    return "\n\n".join(
        [
            f"### {title}",
            f"Medians of {len(ours)} rounds; all answers equal. {machine()}.",
            markdown(header, suite),
            "Median wall s of each step:",
            markdown(["engine", *STEPS], steps),
        ]
    )


def _ratios(theirs: Sequence[Run], ours: Sequence[Run], name: str, asked: Collection[str]) -> list[float]:
    """Return how many times ours they took, round by round, for the questions that they answered."""

    def seconds(run: Run) -> float:
        return sum(run[name][step] for step in (*ALWAYS, *asked))

    return [seconds(their) / seconds(our) for their, our in zip(theirs, ours, strict=True)]


def _median_of(step: str, runs: Sequence[Run]) -> str | None:
    if step in QUESTIONS and step not in runs[0]["answers"]:
        return None
    return figures(median(run["wall_s"][step] for run in runs), 2)


def _median(runs: Sequence[Run], name: str) -> float:
    return median(run[name] for run in runs)


if __name__ == "__main__":
    raise SystemExit(main())
