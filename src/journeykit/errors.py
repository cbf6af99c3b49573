"""Every exception and warning of journeykit, with the text of its message.

A message says what is wrong, what exists (closest first, at most eight), and what to do.
Each class is also the builtin that a caller would expect to catch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN_NAMES = 8
SEARCHED_NAMES = 1_000


class JourneykitError(Exception):
    """Anything that journeykit refuses to do, or could not do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[JourneykitError], args: tuple[Any, ...], state: dict[str, Any]) -> JourneykitError:
    """Make an error that came from another process, whatever its class takes."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class JourneykitWarning(UserWarning):
    """Something that a user should know, and that does not stop the work."""


class InputError(JourneykitError, ValueError):
    """The log that was given cannot be used as it is."""


class MissingColumnError(InputError, LookupError):
    """A column that plays a role in the log is not in the source."""

    def __init__(self, role: str, column: str, available: Sequence[str], advice: str | None = None) -> None:
        self.role, self.column, self.available = role, column, tuple(available)
        advice = advice or f"Pass {role}=<column name> to read_events."
        super().__init__(
            f"no column {column!r} for the role {role!r}. {suggestion(column, available)} {advice}"
        )


class UnknownPropertyError(InputError, LookupError):
    """A property that was not kept when the log was read."""

    def __init__(self, name: str, kept: Sequence[str]) -> None:
        self.name, self.kept = name, tuple(kept)
        advice = f"{suggestion(name, kept)} Pass keep=[..., {name!r}] to read_events."
        if name in ("user", "time", "event"):
            advice = "It is a role of the log: keep a copy of its column under another name."
        super().__init__(f"no property {name!r} in these journeys. {advice}")


class MissingFileError(InputError, FileNotFoundError):
    """A path, folder or pattern that leads to no file."""

    @classmethod
    def path(cls, path: str, folder: str, names: Sequence[str] | None) -> MissingFileError:
        """Refuse a path without a file; `names` are those in its folder, None if that is missing too."""
        if names is None:
            return cls(f"no file {path!r}: there is no folder {folder!r}. Check the path.")
        nearby = suggestion(path.rsplit("/", 1)[-1], names)
        return cls(f"no file {path!r}. {nearby} Check the path, or give a pattern such as '*.parquet'.")

    @classmethod
    def pattern(cls, pattern: str) -> MissingFileError:
        """Refuse a pattern that matches nothing."""
        return cls(f"no file matches {pattern!r}. Check the folder and the pattern; ** crosses folders.")


class UnknownFormatError(InputError, LookupError):
    """A file whose name does not tell its format, or files of several formats at once."""

    @classmethod
    def suffix(cls, path: str, formats: Iterable[str]) -> UnknownFormatError:
        """Refuse a file with an unknown ending."""
        return cls(f"the name of {path!r} does not tell its format. Pass format= one of: {_quoted(formats)}.")

    @classmethod
    def mixed(cls, formats: Iterable[str]) -> UnknownFormatError:
        """Refuse files of several formats."""
        return cls(
            f"these files have several formats: {_quoted(formats)}. "
            f"Read each format by itself, or pass format=<one of them>."
        )


class UnsupportedSourceError(InputError, TypeError):
    """An object that no log can be read from."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"cannot read a log from an object of type {kind}. Give a path, a pattern or a list of paths; "
            f"a polars or pandas frame; a pyarrow table, batch, reader or dataset; a DuckDB relation; "
            f"or anything with __arrow_c_stream__."
        )


class UnreadableFileError(InputError):
    """A file that is not what its format promises, or is broken."""

    def __init__(self, path: str, format_: str, reason: str, advice: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path!r} cannot be read as {format_}: {sentence(reason)} {advice}")


class BrokenRowError(UnreadableFileError):
    """A line of a text file that cannot be read; `line` counts from 1, the header included."""

    def __init__(self, path: str, format_: str, line: int, reason: str, advice: str) -> None:
        self.line = line
        super().__init__(path, format_, f"line {line:,} {reason}", advice)


class MissingPackageError(JourneykitError, ImportError):
    """A package that something needs, and that is not installed with journeykit itself."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{what} needs {package}, which is not installed. Install it with journeykit[{extra}]."
        )


class BrowserError(JourneykitError, OSError):
    """An image of a chart that no browser could draw."""

    @classmethod
    def missing(cls, path: str) -> BrowserError:
        """Refuse an image where there is nothing to draw it with."""
        return cls(
            f"cannot save {path!r}: images are drawn by a browser, and no Chromium or Chrome was found. "
            f"Install one (on Debian: apt install chromium), or pass browser=<path of the program>, or install "
            f"journeykit[images]. A name that ends in '.html' needs none of them."
        )

    @classmethod
    def unknown(cls, browser: str) -> BrowserError:
        """Refuse a browser that does not exist."""
        return cls(
            f"no program {browser!r} to draw images with. Pass browser=<path of a Chromium or Chrome>, or leave it "
            f"out to have one looked for."
        )

    @classmethod
    def failed(cls, program: str, output: str) -> BrowserError:
        """Say that a browser did not draw."""
        lines = output.strip().splitlines() or ["it said nothing"]
        return cls(f"the browser {program!r} drew no image: {sentence(lines[-1])} Try another with browser=.")


class UnwritableError(JourneykitError, OSError):
    """Answers that cannot be written where they are to go; the reason is in the message."""


class EngineError(JourneykitError, RuntimeError):
    """An error of polars, DuckDB or Arrow, with the step in which it happened; the cause is chained."""

    def __init__(self, step: str, error: BaseException) -> None:
        self.step = step
        lines = str(error).strip().splitlines()
        super().__init__(f"{step} failed: {sentence(lines[0] if lines else type(error).__name__)}")


class DatabaseError(EngineError):
    """A database that cannot be reached, or refuses what was asked of it; the cause is chained, without passwords."""

    def __init__(self, step: str, reason: str, advice: str) -> None:
        self.step, self.reason = step, reason
        JourneykitError.__init__(self, f"{step} failed: {sentence(reason)} {advice}")

    @classmethod
    def exists(cls, table: str, database: str) -> DatabaseError:
        """Refuse to write over a table unasked."""
        return cls(
            f"writing {table} to {database}",
            "there is such a table already",
            'Pass if_exists="replace" or "append", or another name.',
        )


class ColumnTypeError(InputError, TypeError):
    """A column whose type cannot play the role it was given."""

    def __init__(self, role: str, column: str, found: str, wanted: str, advice: str) -> None:
        self.role, self.column = role, column
        super().__init__(f"column {column!r} for the role {role!r} holds {found}, not {wanted}. {advice}")


class ColumnClashError(InputError):
    """A property to be kept whose name is that of a role."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the property {name!r} cannot be kept under this name: it is the name of a role. "
            f"Rename the column, or pass {name}={name!r} if it plays that role."
        )


class TimeUnitError(InputError):
    """Numbers as times without a stated unit."""

    def __init__(self, column: str, readings: Mapping[str, str], units: Iterable[str]) -> None:
        read = ", ".join(f"{unit!r} {moment}" for unit, moment in readings.items())
        first = f" Its first value would be in {read}." if read else ""
        super().__init__(
            f"column {column!r} for the role 'time' holds numbers, and their unit is never guessed.{first} "
            f"Pass unit= one of: {_quoted(units)}."
        )


class TimeFormatError(InputError):
    """Texts that cannot be read as times."""

    @classmethod
    def unknown(cls, column: str, values: Sequence[str]) -> TimeFormatError:
        """Refuse texts in none of the known formats."""
        return cls(
            f"column {column!r} for the role 'time' holds texts in no known format, "
            f"such as {_quoted(values)}. Pass time_format=, for example '%d/%m/%Y %H:%M:%S', "
            f"or unit= if they are numbers."
        )

    @classmethod
    def mismatch(cls, column: str, time_format: str, values: Sequence[str]) -> TimeFormatError:
        """Refuse a stated format that reads none of the first values."""
        return cls(
            f"time_format={time_format!r} reads none of the first values of column {column!r}, such as "
            f"{_quoted(values)}. Correct it, or leave it out to have the format detected."
        )


class ReservedNameError(InputError):
    """Event names of the form that journeykit keeps for its own states."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
        super().__init__(
            f"event names like <START> are kept for virtual states; "
            f"this log has {_quoted(names[:SHOWN_NAMES])}{more}. "
            f"Rename them before reading, for example to 'START'."
        )


class InvalidRowsError(InputError):
    """Rows without a user, a time or an event."""

    def __init__(
        self, counts: Mapping[str, int], invalid: int, rows: int, first: Sequence[str], remark: str
    ) -> None:
        self.counts = dict(counts)
        each = ", ".join(f"{role} {count:,}" for role, count in counts.items())
        shown = "\n".join(f"  {row}" for row in first)
        super().__init__(
            f"{invalid:,} of {rows:,} rows have no valid user, time or event ({each}).{remark} "
            f"First of them (rows count from 0):\n{shown}\n"
            f'Correct them, or pass on_invalid="drop" to leave them out.'
        )


class EmptyInputError(InputError):
    """A log without a single usable row."""

    @classmethod
    def source(cls, what: str) -> EmptyInputError:
        """Refuse a source with nothing in it."""
        return cls(f"{what} is empty: there is no event to read. Check the path and what wrote it.")

    @classmethod
    def unmapped(cls) -> EmptyInputError:
        """Refuse a log whose ids an identity does not know."""
        return cls(
            "no event is left: the identity knows none of the ids of this log. Check that user= names the ids that it "
            'was made of, or pass unmapped="own" to keep them.'
        )

    @classmethod
    def dropped(cls, rows: int) -> EmptyInputError:
        """Refuse a log of which no row is valid."""
        return cls(
            f"no event is left: all {rows:,} rows were dropped as invalid. "
            f'Check the roles, or pass on_invalid="raise" to see the first rows.'
        )

    @classmethod
    def left_out(cls, rows: int, reasons: Mapping[str, int]) -> EmptyInputError:
        """Refuse an export of which every row is left out."""
        counted = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        return cls(
            f"no event is left: all {rows:,} rows were left out ({counted}). Name in leave_out= only what is to go."
        )


class UnknownNameError(JourneykitError, ValueError, LookupError):
    """An event, stage or state that a question names and the log does not have."""

    def __init__(
        self,
        kind: str,
        names: Sequence[str],
        known: Iterable[str],
        advice: str = ' Pass missing="ignore" to count such names as never seen.',
    ) -> None:
        self.kind, self.names = kind, tuple(names)
        known = tuple(known)
        asked = " ".join(f"no {kind} {name!r} in this log. {suggestion(name, known)}" for name in names)
        super().__init__(f"{asked}{advice}")


class UnknownUserError(UnknownNameError):
    """Users that a filter names and the journeys do not have."""

    def __init__(self, names: Sequence[object], asked: int, users: Sequence[object] | None) -> None:
        JourneykitError.__init__(self, self._text(names, asked, users))
        self.kind, self.names = "user", tuple(map(str, names))

    @staticmethod
    def _text(names: Sequence[object], asked: int, users: Sequence[object] | None) -> str:
        rest = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
        wrong = f"{len(names):,} of {asked:,} users asked for" if asked > 1 else "the user asked for"
        are = "are" if len(names) > 1 else "is"
        if users is None:
            known = ""
        elif len(users) <= SEARCHED_NAMES and len(names) == 1:
            known = suggestion(str(names[0]), map(str, users)) + " "
        else:
            known = f"There are {len(users):,}, such as {_quoted(users[:SHOWN_NAMES])}. "
        return (
            f"{wrong} {are} not in these journeys: {_quoted(names[:SHOWN_NAMES])}{rest}. {known}"
            f'Pass missing="ignore" to leave them out.'
        )


class ParameterError(JourneykitError, ValueError):
    """A parameter has a value that it cannot take."""

    @classmethod
    def choice(cls, parameter: str, value: object, choices: Iterable[object]) -> ParameterError:
        """Refuse a value that is not one of a few."""
        listed = ", ".join(repr(choice) for choice in choices)
        return cls(f"{parameter} cannot be {value!r}. Choose one of: {listed}.")

    @classmethod
    def unknown(cls, what: str, name: str, known: Iterable[str]) -> ParameterError:
        """Refuse a parameter that does not exist."""
        return cls(f"{what} has no parameter {name!r}. {suggestion(name, known)}")

    @classmethod
    def duration(cls, parameter: str, value: object) -> ParameterError:
        """Refuse what is not a duration with a unit."""
        return cls(
            f"{parameter} cannot be {value!r}. Give a duration with its unit, such as '30m', '36h' or '7d' "
            f"(us, ms, s, m, h, d, w), or a datetime.timedelta."
        )

    @classmethod
    def not_positive(cls, parameter: str, value: object) -> ParameterError:
        """Refuse zero and negative amounts."""
        return cls(f"{parameter} must be greater than zero, not {value!r}.")


class PatternError(ParameterError):
    """The text of a pattern cannot be read: where, and what was expected there."""

    def __init__(self, text: str, column: int, expected: str) -> None:
        self.text, self.column, self.expected = text, column, expected
        before = text[:column].split("\n")
        line, place = len(before), len(before[-1])
        shown = "".join(one if one.isprintable() else " " for one in text.split("\n")[line - 1])
        where = f"column {place + 1}" if "\n" not in text else f"line {line}, column {place + 1}"
        found = "the pattern ends" if column >= len(text) else f"there is {text[column]!r}"
        super().__init__(
            f"the pattern cannot be read at {where}: {found}, expected {expected}.\n"
            f"    {shown}\n    {' ' * place}^"
        )

    def __reduce__(self) -> tuple[type[PatternError], tuple[str, int, str]]:
        """Travel between processes with its place."""
        return type(self), (self.text, self.column, self.expected)


class StoreError(JourneykitError, ValueError):
    """Journeys cannot be written to a folder, or reopened from it."""

    @classmethod
    def missing(cls, path: str, names: Sequence[str]) -> StoreError:
        """Refuse to open what is not there; `names` are those beside it."""
        nearby = suggestion(path.rstrip("/").rsplit("/", 1)[-1], names)
        return cls(f"there are no journeys at {path!r}. {nearby} Check the path.")

    @classmethod
    def foreign(cls, path: str) -> StoreError:
        """Refuse to open a folder or file that `Journeys.write` did not make."""
        return cls(
            f"{path!r} does not hold journeys: it has no manifest.json of journeykit. Pass the folder that "
            f"Journeys.write made, or read a log with read_events."
        )

    @classmethod
    def newer(cls, path: str, version: object, known: int, writer: object) -> StoreError:
        """Refuse a format that does not exist yet."""
        return cls(
            f"the journeys at {path!r} have format {version!r}, written by journeykit {writer}; this version "
            f"reads formats up to {known}. Upgrade journeykit, or write them again with this version."
        )

    @classmethod
    def older(cls, path: str, version: int, known: int, writer: object) -> StoreError:
        """Refuse a format that is no longer read."""
        return cls(
            f"the journeys at {path!r} have format {version!r}, written by journeykit {writer}; this version "
            f"reads format {known}. Write them again from the log with this version."
        )

    @classmethod
    def locked(cls, path: str, file: str, holder: Mapping[str, object]) -> StoreError:
        """Refuse to write while another does."""
        who = "an unknown process"
        if holder:
            who = f"process {holder['process']} on {holder['machine']!r} (since {holder['since']})"
        return cls(
            f"the journeys at {path!r} are being written by {who}. Wait until it has finished; if it is gone for "
            f"certain, remove {file!r}."
        )

    @classmethod
    def not_appended(cls, path: str, reason: str, remedy: str) -> StoreError:
        """Say why new events do not fit a store."""
        return cls(f"nothing was appended to {path!r}: {sentence(reason)} {remedy}")

    @classmethod
    def not_erased(cls, path: str, reason: str) -> StoreError:
        """Say why nobody was erased."""
        return cls(
            f"nobody was erased from {path!r}: {sentence(reason)} Erase them again once that is repaired."
        )

    @classmethod
    def broken(cls, path: str, file: str, reason: str) -> StoreError:
        """Refuse a file that is missing, cut short or changed."""
        return cls(
            f"the journeys at {path!r} are damaged: {file} {sentence(reason)} Write them again from the log, "
            f"or restore the folder from a copy."
        )

    @classmethod
    def exists(cls, path: str, overwritable: bool) -> StoreError:
        """Refuse to write over something; only journeys may be overwritten."""
        if overwritable:
            return cls(f"there are journeys at {path!r} already. Pass overwrite=True to replace them.")
        return cls(
            f"there is something else than journeys at {path!r}, which is never replaced. "
            f"Choose another path."
        )

    @classmethod
    def unwritable(cls, path: str, reason: str) -> StoreError:
        """Say why nothing was written."""
        return cls(f"the journeys cannot be written to {path!r}: {sentence(reason)} Nothing was left there.")

    @classmethod
    def replaced(cls, path: str) -> StoreError:
        """Refuse to mix properties of one log with events of another."""
        return cls(
            f"the journeys at {path!r} were removed or replaced after they were opened, and their properties "
            f"were not read yet. Open them again."
        )


class NotAStatisticError(JourneykitError, TypeError):
    """Something was to be measured that is no statistic."""

    def __init__(self, given: object) -> None:
        self.given = given
        if isinstance(given, type):
            shown = f"the class {given.__name__}: call it"
        elif isinstance(given, list | tuple):
            shown = (
                f"a {type(given).__name__} of {len(given)}: pass them one by one, as in measure(*statistics)"
            )
        else:
            shown = repr(given)
        super().__init__(f"measure takes statistics, such as jk.Transitions(), and was given {shown}.")


class UndefinedError(JourneykitError, ArithmeticError):
    """The number that was asked for has no value on these data."""


class WorkspaceError(JourneykitError, OSError):
    """The folder for what does not fit into memory cannot be used."""

    @classmethod
    def unusable(cls, directory: str, reason: str) -> WorkspaceError:
        """Refuse a folder in which nothing can be made."""
        return cls(
            f"no temporary files can be made in {directory!r}: {reason}. Pass directory=<a folder on a disk "
            f"with room>."
        )

    @classmethod
    def unwritable(cls, directory: str, reason: str, free: int | None) -> WorkspaceError:
        """Say that writing failed, and how much room is left."""
        room = "" if free is None else f", {free:,} bytes are free there"
        return cls(
            f"writing the shards to {directory!r} failed: {reason}{room}. The temporary files were removed. Pass "
            f"directory=<a folder on a disk with room>: the shards need about as much as the log uncompressed."
        )

    @classmethod
    def unreadable(cls, name: str, reason: str) -> WorkspaceError:
        """Say that a shard that was written cannot be read back."""
        return cls(
            f"{name} cannot be read back: {reason}. Its file was changed or removed by something else."
        )


class ShardError(JourneykitError, RuntimeError):
    """A statistic failed on one shard."""

    def __init__(self, question: str, shard: str, reason: str) -> None:
        self.question, self.shard = question, shard
        super().__init__(
            f"{question} failed on {shard}: {sentence(reason)} No answer was made. If the statistic is your own, "
            f"try it on the same events in memory."
        )

    @classmethod
    def failed(cls, question: str, shard: str, error: BaseException) -> ShardError:
        """Say what failed where."""
        first, *_ = [*str(error).strip().splitlines(), ""]
        return cls(question, shard, f"{type(error).__name__}: {first}" if first else type(error).__name__)


def suggestion(name: str, available: Iterable[str]) -> str:
    """Say which names exist, the closest first, and offer one if it is close.

    Parameters
    ----------
    name : str
        What was asked for.
    available : iterable of str
        What exists.

    Returns
    -------
    str
        One or two sentences, for the middle of a message.
    """
    from difflib import SequenceMatcher

    names = [str(each) for each in available]
    if not names:
        return "There are none."
    likeness = {each: SequenceMatcher(None, name.casefold(), each.casefold()).ratio() for each in names}
    ranked = sorted(names, key=lambda each: (-likeness[each], each))
    shown = ", ".join(repr(each) for each in ranked[:SHOWN_NAMES])
    rest = f" and {len(ranked) - SHOWN_NAMES:,} more" if len(ranked) > SHOWN_NAMES else ""
    hint = f"Did you mean {ranked[0]!r}? " if likeness[ranked[0]] >= 0.6 else ""
    return f"{hint}Available: {shown}{rest}."


def listed(names: Sequence[str]) -> str:
    """Write names, at most eight of them, for the middle of a message."""
    shown = ", ".join(repr(name) for name in names[:SHOWN_NAMES])
    return f"{shown} and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else shown


class StageModelError(JourneykitError, ValueError):
    """A stage model cannot be used; every problem of it is listed at once."""

    def __init__(self, problems: Sequence[str], source: str | None = None) -> None:
        self.problems, self.source = tuple(problems), source
        named = "the stage model" if source is None else f"the stage model {source!r}"
        number = "1 problem" if len(self.problems) == 1 else f"{len(self.problems):,} problems"
        super().__init__(f"{named} has {number}:" + "".join(f"\n- {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[type[StageModelError], tuple[tuple[str, ...], str | None]]:
        """Travel between processes with its problems."""
        return type(self), (self.problems, self.source)


class ExpectationsError(JourneykitError, ValueError):
    """Expectations of a log cannot be used; every problem of them is listed at once."""

    def __init__(self, problems: Sequence[str], source: str | None = None) -> None:
        self.problems, self.source = tuple(problems), source
        named = "these expectations" if source is None else f"the expectations {source!r}"
        number = "1 problem" if len(self.problems) == 1 else f"{len(self.problems):,} problems"
        super().__init__(f"{named} have {number}:" + "".join(f"\n- {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[type[ExpectationsError], tuple[tuple[str, ...], str | None]]:
        """Travel between processes with its problems."""
        return type(self), (self.problems, self.source)


class NotesError(JourneykitError, ValueError):
    """The words of a journey map cannot be used; every problem of them is listed at once."""

    def __init__(self, problems: Sequence[str], source: str | None = None) -> None:
        self.problems, self.source = tuple(problems), source
        named = "the notes" if source is None else f"the notes {source!r}"
        number = "1 problem" if len(self.problems) == 1 else f"{len(self.problems):,} problems"
        super().__init__(f"{named} have {number}:" + "".join(f"\n- {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[type[NotesError], tuple[tuple[str, ...], str | None]]:
        """Travel between processes with its problems."""
        return type(self), (self.problems, self.source)


def sentence(text: str) -> str:
    """End a text with one full stop."""
    return text.strip().rstrip(".:") + "."


def _quoted(values: Iterable[object]) -> str:
    return ", ".join(repr(value) for value in values)
