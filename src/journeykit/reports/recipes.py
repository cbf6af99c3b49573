"""How to make a report again: the code and the files that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from journeykit.errors import StageModelError
from journeykit.journeys.journeys import Journeys
from journeykit.reports.notes import WORDS, MapNotes
from journeykit.reports.template import ReportTemplate

READ = 'jk.read_events("your log", user="...", time="...", event="...")'


@dataclass(frozen=True)
class Recipe:
    """What to type, and the files beside it.

    Attributes
    ----------
    code : str
        Python, or the command line that was used.
    stages, notes : str
        TOML; empty where there is none.
    """

    code: str
    stages: str = ""
    notes: str = ""


def recipe_of(
    journeys: Journeys,
    options: Mapping[str, Any],
    notes: MapNotes,
    command: str | None,
    *,
    with_log: bool = False,
) -> Recipe:
    """Write the recipe of a report.

    Parameters
    ----------
    journeys : Journeys
        What was reported.
    options : mapping of str to object
        What ``report`` was asked, without what is so by default.
    notes : MapNotes
        The words of the team.
    command : str, optional
        The command line, in place of Python.
    with_log : bool
        Whether the events were given too.

    Returns
    -------
    Recipe
        Ready to be copied; a stage model whose rules cannot be written as TOML is described instead.
    """
    written = "" if not notes.stages else notes_toml(notes)
    if command is not None:
        return Recipe(command, _stages(journeys), written)
    steps = ["events", f"    .sessionize(jk.{journeys.session_rule!r})"]
    steps += [f"    # then {verb}" for verb in journeys.provenance.verbs]
    if journeys.staged is not None:
        steps.append('    .assign_stages(jk.StageModel.load("stages.toml"))')
    asked = [f"{name}={_value(value)}" for name, value in options.items()]
    asked += ['notes=jk.MapNotes.load("notes.toml")'] * bool(notes.stages) + ["log=events"] * with_log
    made = "\n    ".join(steps)
    code = (
        f"import journeykit as jk\n\nevents = {READ}\njourneys = (\n    {made}\n)\n"
        f'jk.report({", ".join(["journeys", *asked])}).write("journey.html")'
    )
    return Recipe(code, _stages(journeys), written)


def _value(value: object) -> str:
    """Write an option; of tables of ratings and the like, no more than that they were there."""
    if isinstance(value, ReportTemplate):
        changed = ((each.name, getattr(value, each.name), each.default) for each in fields(value))
        said = ", ".join(f"{name}={given!r}" for name, given, default in changed if given != default)
        return f"jk.ReportTemplate({said})"
    plain = isinstance(value, str | int | float | tuple | list | dict)
    return repr(value) if plain else f"{type(value).__name__}(...)"


def notes_toml(notes: MapNotes) -> str:
    """Write notes as TOML."""
    tables = []
    for stage, words in notes.stages.items():
        lines = [f"{word} = {_quoted(getattr(words, word))}" for word in WORDS if getattr(words, word)]
        tables.append("\n".join([f"[stages.{_quoted(stage)}]", *lines]))
    return "\n\n".join(tables)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _stages(journeys: Journeys) -> str:
    if journeys.staged is None:
        return ""
    model = journeys.staged.model
    try:
        return model.dumps().strip()
    except StageModelError:
        return repr(model)
