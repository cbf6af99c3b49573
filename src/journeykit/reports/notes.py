"""What a team writes on its journey map: goals, notes, ideas and owners per stage, in a TOML file of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from journeykit.errors import NotesError, suggestion
from journeykit.support.escaping import toml
from journeykit.support.files import replacing

HEADER = (
    "# Words on the journey map. The numbers are measured anew each time; what stands here stays as it is.\n"
)


@dataclass(frozen=True)
class StageNotes:
    """The words of one stage.

    Attributes
    ----------
    goal : str
        What people want there.
    notes, ideas : str
        What the team saw, and what it could do.
    owner : str
        Who takes care of it.
    """

    goal: str = ""
    notes: str = ""
    ideas: str = ""
    owner: str = ""


WORDS = tuple(each.name for each in fields(StageNotes))


@dataclass(frozen=True)
class MapNotes:
    """The words of a journey map, by stage.

    Parameters
    ----------
    stages : mapping of str to StageNotes, or to a mapping of the same words
        By the name of the stage.

    Raises
    ------
    NotesError
        If a word is unknown or is no text; every problem is listed.

    Examples
    --------
    >>> MapNotes({"purchase": {"owner": "Ann"}}).of("purchase").owner
    'Ann'
    """

    stages: Mapping[str, StageNotes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems: list[str] = []
        made = {name: _stage_notes(name, given, problems) for name, given in dict(self.stages).items()}
        if problems:
            raise NotesError(problems)
        object.__setattr__(self, "stages", made)

    @classmethod
    def load(cls, path: str | Path) -> MapNotes:
        """Read notes from a TOML file: per stage a table ``[stages.<name>]`` with the words of `StageNotes`.

        Raises
        ------
        NotesError
            If the file cannot be read; every problem is listed.
        """
        return cls.loads(_read(Path(path)), str(path))

    @classmethod
    def loads(cls, text: str, source: str | None = None) -> MapNotes:
        r"""Read notes from TOML text.

        Raises
        ------
        NotesError
            With every problem of the text.

        Examples
        --------
        >>> MapNotes.loads('[stages.purchase]\nideas = "Say when it arrives"').of("purchase").ideas
        'Say when it arrives'
        """
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise NotesError([f"it is not TOML: {error}"], source) from error
        problems = [
            f"unknown key {key!r}. {suggestion(key, ('stages',))}" for key in document if key != "stages"
        ]
        tables = document.get("stages", {})
        if not isinstance(tables, dict):
            problems.append("stages must be a table: write [stages.<name>] above the words of each stage")
            tables = {}
        made = {name: _stage_notes(name, given, problems) for name, given in tables.items()}
        if problems:
            raise NotesError(problems, source)
        return cls(made)

    def of(self, stage: str) -> StageNotes:
        """Return the words of a stage, empty ones where there are none."""
        return self.stages.get(stage, StageNotes())

    def unknown(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Return the stages that have words here, but are not among those given."""
        return tuple(name for name in self.stages if name not in stages)


def edited(path: str | Path, stages: Sequence[str]) -> MapNotes:
    """Read the notes of a file, after giving it a table for every stage that it lacks.

    What is in the file stays, byte for byte, comments included: tables are only added at its end. A file that does not
    exist is made.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file.
    stages : sequence of str
        The stages of the map.

    Returns
    -------
    MapNotes
        All words in the file, those of stages that the map does not have included.

    Raises
    ------
    NotesError
        If the file cannot be read or written.
    """
    file = Path(path)
    text = _read(file) if file.exists() else HEADER
    known = MapNotes.loads(text, str(path)).stages
    added = "".join(_table(name) for name in stages if name not in known)
    if added:
        try:
            with replacing(file) as temporary:
                temporary.write_text(
                    text + ("" if text.endswith("\n") else "\n") + added, "utf-8", newline=""
                )
        except OSError as error:
            raise NotesError([f"it cannot be written: {error.strerror}"], str(path)) from error
    return MapNotes.loads(text + "\n" + added, str(path))


def _table(stage: str) -> str:
    """Write an empty table."""
    return "\n".join(["", f"[stages.{toml(stage)}]", *(f'{word} = ""' for word in WORDS), ""])


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotesError([f"it is not text in UTF-8 (byte {error.start:,})"], str(path)) from error
    except OSError as error:
        raise NotesError([f"it cannot be read: {error.strerror}"], str(path)) from error


def _stage_notes(stage: str, given: Any, problems: list[str]) -> StageNotes:
    if isinstance(given, StageNotes):
        return given
    if not isinstance(given, Mapping):
        problems.append(f"stage {stage!r} must be a table of {', '.join(WORDS)}, not {given!r}")
        return StageNotes()
    for key, value in given.items():
        if key not in WORDS:
            problems.append(f"stage {stage!r} has no word {key!r}. {suggestion(key, WORDS)}")
        elif not isinstance(value, str):
            problems.append(f"{key} of stage {stage!r} must be a text, not {value!r}")
    return StageNotes(**{key: str(value) for key, value in given.items() if key in WORDS})
