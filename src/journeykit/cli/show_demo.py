"""What ``demo`` does."""

from __future__ import annotations

import polars as pl

from journeykit.cli.job import described
from journeykit.cli.options import Writing
from journeykit.cli.output import all_or_nothing, check_format, frames_of, write_frames
from journeykit.cli.progress import Reporting, Steps
from journeykit.cli.tables import Page
from journeykit.demo import QUESTIONS_ASKED, Part, parts

ONLY_WRITTEN = ("stage_transitions", "conversion_by_device")
"""Their numbers are printed beside what was planted."""
REPORT = "journey.html"
TRUTH = ("number", "planted", "measured", "inside")


def run(n_users: int, writing: Writing, *, quiet: bool) -> None:
    """Measure both logs, write every table, and print the main ones."""
    endings = check_format(writing.table_format)
    done, written = [], 0
    with Steps(QUESTIONS_ASKED + 4, quiet=quiet) as steps, all_or_nothing(writing.out) as folder:
        steps.begin("reading the access log and simulating the shop")
        for part in parts(n_users, Reporting(steps)):
            frames = frames_of(part.answers)
            if part.truth.height:
                frames["truth"] = part.truth
            written += len(write_frames(frames, folder / part.name, endings)) + 1
            steps.begin(f"writing the report of {part.name}")
            part.report().write(folder / part.name / REPORT)
            done.append(part)
    if not quiet:
        page = Page()
        for part in done:
            _show(page, part)
        page.say(f"{written} files in {writing.out}")
        page.say(
            "\n".join(f"the report of {part.name} is in {writing.out / part.name / REPORT}" for part in done)
        )


def _show(page: Page, part: Part) -> None:
    page.heading(part.title)
    page.say("\n".join((described(part.journeys, part.journeys.session_rule), *part.remarks)))
    for name, answer in part.answers.items():
        if name not in ONLY_WRITTEN:
            page.answer(name, answer)
    page.notes(part.answers)
    if part.truth.height:
        page.table("What was planted, and what was measured", part.truth, TRUTH)
        page.say(covered(part.truth))


def covered(truth: pl.DataFrame) -> str:
    """Say how many intervals hold the truth."""
    measured = truth["inside"].drop_nulls()
    return (
        f"{measured.sum()} of {measured.len()} intervals hold what was planted; 95 % of them should, "
        f"and the numbers of one log stray together."
    )
