"""The commands. What they need is imported when they run: help and completion answer at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

import journeykit
from journeykit.cli.guard import Commands
from journeykit.cli.options import (
    OUT,
    Asking,
    Checking,
    Comparing,
    Filing,
    Mapping,
    Reading,
    Running,
    Speaking,
    Storing,
    Telling,
    Writing,
    command,
    option,
)

app = typer.Typer(
    name="journeykit", cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
)  # fmt: skip


@dataclass(frozen=True)
class Simulating:
    """How large the simulated shop is."""

    users: Annotated[int, option("Users of the simulated shop.", OUT, least=1)] = 20_000


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"journeykit {journeykit.__version__}")
        raise typer.Exit


@app.callback()
def _journeykit(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Customer journeys from raw event logs: sessions, stages, transitions, conversion and abandonment."""


@app.command()
@command
def measure(reading: Reading, asking: Asking, running: Running, writing: Writing, speaking: Speaking) -> None:
    """Read a log, cut it into sessions, and answer questions about its journeys.

    LOG may be a store, a folder that Journeys.write made: then only what changed since it was last asked is counted,
    and how to read, to cut and to stage is what the store says.
    Prints the main answers, and writes every table of every answer into a folder: all, or none.
    """
    from journeykit.cli.job import run

    run(reading, asking, running, writing, quiet=speaking.quiet)


@app.command()
@command
def report(reading: Reading, telling: Telling, running: Running, filing: Filing, speaking: Speaking) -> None:
    """Write one HTML file that shows the journeys: summary, journey map, charts, and how they were made.

    LOG may be a store, a folder that Journeys.write made: how to read, to cut and to stage is what the store says.
    The file loads nothing from anywhere; print it in a browser for a PDF.
    """
    from journeykit.cli.showing import report

    report(reading, telling, running, filing.out, quiet=speaking.quiet)


@app.command()
@command
def map(reading: Reading, mapping: Mapping, filing: Filing, speaking: Speaking) -> None:
    """Write the table of the journey map: .csv, .json, .md, .xlsx, .parquet or .ndjson.

    LOG may be a store, a folder that Journeys.write made: how to read, to cut and to stage is what the store says.
    """
    from journeykit.cli.showing import journey_map

    journey_map(reading, mapping, filing.out, quiet=speaking.quiet)


@app.command()
@command
def compare(reading: Reading, comparing: Comparing, writing: Writing, speaking: Speaking) -> None:
    """Compare an answer between segments or periods: differences, ratios, intervals and tests.

    LOG may be a store, a folder that Journeys.write made: how to read, to cut and to stage is what the store says.
    """
    from journeykit.cli.showing import compare

    compare(reading, comparing, writing, quiet=speaking.quiet)


@app.command()
@command
def append(storing: Storing, reading: Reading, speaking: Speaking) -> None:
    """Add the events of a log to a store, as if they had been read with those that are there: all, or none.

    Properties and time zone are by default those of the store. What is appended twice is counted twice.
    """
    from journeykit.cli.stored import append

    append(storing.store, reading, quiet=speaking.quiet)


@app.command()
@command
def quality(reading: Reading, speaking: Speaking) -> None:
    """Say how good a log is: rows dropped, duplicates, ties, disorder, broken clocks, heavy users."""
    from journeykit.cli.job import look

    look(reading, quiet=speaking.quiet)


@app.command()
@command
def check(reading: Reading, checking: Checking, speaking: Speaking) -> None:
    """Check a log before it is used: gaps, sudden changes, new names, repeats, clocks, bots, test users.

    With --expect FILE also against what a good log had; --learn FILE writes that file from this log. Prints what is
    odd, and exits with 3 if a rule of --fail-on has findings: by default any. Nothing is dropped.
    """
    from journeykit.cli.checking import check

    check(reading, checking, quiet=speaking.quiet)


@app.command()
@command
def demo(simulating: Simulating, writing: Writing, speaking: Speaking) -> None:
    """Measure a real web server log that ships with the package, and a simulated shop whose truth is known."""
    from journeykit.cli.show_demo import run

    run(simulating.users, writing, quiet=speaking.quiet)
