"""From what went wrong to one line on stderr and an exit code."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from journeykit.errors import JourneykitError, JourneykitWarning, MissingColumnError, ParameterError, sentence

FAILED, MISUSED = 1, 2
_MISUSE: Any = typer.BadParameter.__bases__[0].__bases__[0]
"""What typer raises for a command line that it cannot read; wrong values are a kind of it."""
_OPTIONS = (
    "user", "time", "event", "order", "value", "keep", "tz", "unit", "time_format", "format", "on_invalid",
    "duplicates", "missing", "horizon", "suppress", "directory",
)  # fmt: skip
_SEGMENT = re.compile(r"by=jk\.Segment\((['\"])(.*?)\1, name=(<[\w ]+>)\)")
_PARAMETER = re.compile(rf"(?<![\w.])({'|'.join(_OPTIONS)})=(\[\.\.\., '([^']*)'\]|[\"'](\w+)[\"'])?")


@contextmanager
def guarded(*, debug: bool) -> Iterator[None]:
    """Turn errors into one line on stderr and exit code 1, or 2 for a wrong option; warnings into one line each.

    The same warning is said once.

    Parameters
    ----------
    debug : bool
        Whether the traceback is shown as well.

    Raises
    ------
    typer.Exit
        In the place of any error; interrupts and exits pass.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", JourneykitWarning)
        warnings.showwarning = _Speaker().show
        try:
            yield
        except (typer.Exit, typer.BadParameter):
            raise
        except ParameterError as error:
            _refuse(str(error), debug=debug, code=MISUSED)
        except JourneykitError as error:
            _refuse(_told(error), debug=debug)
        except MemoryError:
            _refuse(
                "there is not enough memory for this log. Read fewer columns, or a part of it.", debug=debug
            )
        except Exception as error:
            if type(error).__module__.startswith(("click.", "typer.")):
                raise
            _refuse(
                f"this is a fault of journeykit, not of your log: {type(error).__name__}: {error} "
                f"Run it again with --debug and report what it shows.", debug=debug,
            )  # fmt: skip


class Commands(TyperGroup):
    """Commands whose wrong use is said in one line, like every other error."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read what stands before the command."""
        with _misuse_told():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read what stands after the command, and run it."""
        with _misuse_told():
            return super().invoke(ctx)


@contextmanager
def _misuse_told() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The classes of wrong use have other homes in other versions of typer. One of them shows the help.
        if not isinstance(error, _MISUSE) or type(error).__name__ == "NoArgsIsHelpError":
            raise
        command = getattr(error, "ctx", None)
        help_ = "" if command is None else f" See {command.command_path} --help."
        said = error.format_message()
        _say("error", f"{said if said.endswith('?') else sentence(said)}{help_}")
        raise typer.Exit(MISUSED) from None


def one_line(text: str) -> str:
    r"""Join the lines of a text, and show what a terminal would obey instead of printing.

    Examples
    --------
    >>> one_line("a\n  b \x1b[31m")
    'a b \\x1b[31m'
    """
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Replace characters that steer a terminal by their escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def as_options(message: str) -> str:
    """Say the parameters that a message advises as options of the command line.

    Examples
    --------
    >>> as_options('Pass on_invalid="drop", or user=<column name> to read_events.')
    'Pass --on-invalid drop, or --user <column name>.'
    >>> as_options("Pass by=jk.Segment('state', name=<another name>).")
    'Pass --by state=<another name>.'
    >>> as_options("Pass keep=[..., 'device'] to read_events.")
    'Pass --keep device.'
    """
    # Only what follows the word is advice; before it the message may quote the log.
    start = max((found.start() for found in re.finditer(r"\b[Pp]ass ", message)), default=len(message))
    said = _PARAMETER.sub(_as_option, _SEGMENT.sub(r"--by \2=\3", message[start:])).replace(
        " to read_events.", "."
    )
    return (message[:start] + re.sub(r"(--[a-z-]+) +([ ,.])", r"\1\2", said)).replace(
        ", or a datetime.timedelta", ""
    )


def _as_option(found: re.Match[str]) -> str:
    value = found[3] or found[4] or ""
    return f"--{found[1].replace('_', '-')} {value}".rstrip() + ("" if found[2] else " ")


def _told(error: JourneykitError) -> str:
    if isinstance(error, MissingColumnError) and error.role == "keep":
        # Properties are kept for other options than --keep as well, such as --by.
        advice = "Name columns that the log has."
        return str(MissingColumnError(error.role, error.column, error.available, advice))
    return str(error)


def _refuse(message: str, *, debug: bool, code: int = FAILED) -> None:
    if debug:
        traceback.print_exc()
    _say("error", as_options(message))
    raise typer.Exit(code)


class _Speaker:
    """Says each warning once."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Say a warning, in the place of `warnings.showwarning`."""
        text = as_options(str(message))
        if issubclass(category, JourneykitWarning) and text not in self.said:
            self.said.add(text)
            _say("warning", text)


def _say(kind: str, message: str, stream: TextIO | None = None) -> None:
    print(f"{kind}: {one_line(message)}", file=stream or sys.stderr)
