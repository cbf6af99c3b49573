"""How to make a report again: the code and the files that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from journeykit.cells import Segment
from journeykit.engines import OnDisk, Spark
from journeykit.errors import StageModelError
from journeykit.reports.notes import WORDS, MapNotes
from journeykit.reports.origins import EVENTS, LOG, Origin
from journeykit.reports.template import ReportTemplate
from journeykit.stages import StageModel
from journeykit.support.escaping import toml

READ = f"jk.read_events({LOG})"


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
    origin: Origin,
    options: Mapping[str, Any],
    notes: MapNotes,
    command: str | None,
    *,
    with_log: bool = False,
) -> Recipe:
    """Write the recipe of a report.

    Parameters
    ----------
    origin : Origin
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
        return Recipe(command, _stages(origin.model), written)
    steps = origin.code
    events = f"events = {READ}\n" if with_log or steps[0] == EVENTS else ""
    asked = [f"{name}={_value(value)}" for name, value in options.items()]
    asked += ['notes=jk.MapNotes.load("notes.toml")'] * bool(notes.stages) + ["log=events"] * with_log
    made = "\n    ".join(steps)
    code = (
        f"import journeykit as jk\n\n{events}journeys = (\n    {made}\n)\n"
        f'jk.report({", ".join(["journeys", *asked])}).write("journey.html")'
    )
    return Recipe(code, _stages(origin.model), written)


def _value(value: object) -> str:
    """Write an option; of tables of ratings and the like, no more than that they were there."""
    if isinstance(value, ReportTemplate):
        changed = ((each.name, getattr(value, each.name), each.default) for each in fields(value))
        said = ", ".join(f"{name}={given!r}" for name, given, default in changed if given != default)
        return f"jk.ReportTemplate({said})"
    if isinstance(value, OnDisk | Spark | Segment):
        return f"jk.{value!r}"
    plain = isinstance(value, str | int | float | tuple | list | dict)
    return repr(value) if plain else f"{type(value).__name__}(...)"


def notes_toml(notes: MapNotes) -> str:
    """Write notes as TOML."""
    tables = []
    for stage, words in notes.stages.items():
        lines = [f"{word} = {toml(getattr(words, word))}" for word in WORDS if getattr(words, word)]
        tables.append("\n".join([f"[stages.{toml(stage)}]", *lines]))
    return "\n\n".join(tables)


def _stages(model: StageModel | None) -> str:
    if model is None:
        return ""
    try:
        return model.dumps().strip()
    except StageModelError:
        return repr(model)
