"""Stores on the command line: what ``measure`` takes from one, and what ``append`` does."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import typer

from journeykit.cli.options import Cutting, Reading, Running, listed
from journeykit.cli.progress import Steps
from journeykit.cli.tables import Page
from journeykit.growing import Store, open_store
from journeykit.sessions import SessionRule
from journeykit.stages import StageModel
from journeykit.store import is_store, read_manifest, stored_rule


def store_of(reading: Reading) -> Store | None:
    """Open the store, if it is one that is to be read."""
    return open_store(reading.log[0]) if len(reading.log) == 1 and is_store(reading.log[0]) else None


def refuse_idle(reading: Reading, cutting: Cutting, running: Running) -> None:
    """Refuse options that the store has answered already.

    Raises
    ------
    typer.BadParameter
        The first of them.
    """
    own = {"session": cutting.session, "stages": cutting.stages}
    for name in (*given(reading), *(each for each in own if own[each] is not None), *given(running)):
        raise typer.BadParameter(
            "a store says itself how its log was read, cut and staged. Leave this out.",
            param_hint=f"--{name.replace('_', '-')}",
        )


def given(group: Any) -> dict[str, Any]:
    """Return the options of a group that are not as they are by default."""
    values = {each.name: (getattr(group, each.name), each.default) for each in fields(group)}
    return {
        name: value
        for name, (value, default) in values.items()
        if default is not MISSING and value != default
    }


def stages_of(store: Store) -> tuple[str, ...]:
    """Return the names of the stages; none if the journeys have none."""
    stages = read_manifest(store.path).about["stages"]
    return () if stages is None else StageModel.loads(stages).names


def rule_of(store: Store) -> SessionRule:
    """Return how the store cuts sessions."""
    return stored_rule(read_manifest(store.path).about)


def append(folder: Path, reading: Reading, *, quiet: bool) -> None:
    """Read a log, put its events into the store, and say what it holds now."""
    store, options = open_store(folder), given(reading)
    if "keep" in options:
        options["keep"] = listed(options["keep"])
    if "session_column" in options:
        options["session"] = options.pop("session_column")
    source = reading.log[0] if len(reading.log) == 1 else list(reading.log)
    with Steps(1, quiet=quiet) as steps:
        steps.begin("appending")
        store.append(source, **options)
    if not quiet:
        page = Page()
        page.say(repr(store))
