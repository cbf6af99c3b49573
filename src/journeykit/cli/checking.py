"""What ``check`` does."""

from __future__ import annotations

import typer

from journeykit.cli.job import read
from journeykit.cli.options import FAILING, Checking, Reading, listed
from journeykit.cli.output import explained
from journeykit.cli.progress import Steps
from journeykit.cli.tables import Page
from journeykit.errors import ParameterError
from journeykit.events.expectations import Expectations

FAILED_CHECK = 3


def check(reading: Reading, checking: Checking, *, quiet: bool) -> None:
    """Read a log, print what is odd, and leave with 3 if a pipeline should stop."""
    fail_on = listed(checking.fail_on) or ("any",)
    for name in fail_on:
        if name not in ("any", "none", *FAILING):
            raise ParameterError.choice("--fail-on", name, ("any", "none", *FAILING))
    expected = None if checking.expect is None else Expectations.load(checking.expect)
    with Steps(2, quiet=quiet) as steps:
        events = read(reading, steps)
        steps.begin("looking at it")
        if checking.learn is not None:
            with explained(checking.learn, "--learn"):
                Expectations.of(events).save(checking.learn)
            return
        report = events.check(expected)
    if checking.findings is not None:
        with explained(checking.findings, "--findings"):
            report.write(checking.findings)
    if checking.chart is not None:
        with explained(checking.chart, "--chart"):
            report.chart().save(checking.chart)
    if not quiet:
        Page().say(repr(report))
    asked = FAILING if "any" in fail_on else [name for name in fail_on if name != "none"]
    if report.failed(asked):
        raise typer.Exit(FAILED_CHECK)
