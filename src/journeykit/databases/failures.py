"""Errors of databases under ours, with their secrets hidden."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from journeykit.databases.addresses import scrubbed
from journeykit.errors import DatabaseError, JourneykitError
from journeykit.support.files import first_line

ADVICE = {
    "28": "Check the user and the password.",
    "3D000": "Check the name of the database.",
    "42501": "Ask for the right to do this.",
    "57": "The server ended the connection. Try again when it is there.",
    "08": "The connection was lost. Check the network and the server, and try again.",
}
"""What to do, by the beginning of the SQLSTATE."""
SAYINGS = {
    "authentication failed": ADVICE["28"],
    "no password supplied": ADVICE["28"],
    "Connection refused": "Check host and port, and that the server runs.",
    "could not translate host name": "Check the host.",
    "No such file or directory": "Check the path.",
    "terminating connection": ADVICE["57"],
    "server closed the connection": ADVICE["08"],
    "no connection to the server": ADVICE["08"],
    "different configuration": "Pass the connection that is open in the place of the file.",
    "Could not set lock": "Close the connection of the other process, or write to another file.",
}
"""What to do, by what a driver says that gives no SQLSTATE."""

_MISSING = re.compile(
    r"relation \"(?P<postgresql>.+?)\" does not exist"
    r"|no such table: (?P<sqlite>\S+)"
    r"|Table with name (?P<duckdb>\S+) does not exist"
)


def missing_table(reason: str) -> str | None:
    """Return the name of the table that a database said it does not have; None if it said something else.

    Examples
    --------
    >>> missing_table('relation "evnts" does not exist')
    'evnts'
    """
    found = _MISSING.search(reason)
    return next(filter(None, found.groups()), None) if found else None


@contextmanager
def database_errors(step: str, secrets: Iterable[str] = ()) -> Iterator[None]:
    """Chain whatever a database raises inside under a DatabaseError that names the step.

    Parameters
    ----------
    step : str
        What was being done, as the start of a sentence.
    secrets : iterable of str
        What must not be in any message, not even in those of chained errors.

    Raises
    ------
    DatabaseError
        For any error but journeykit's own, missing memory and missing packages.

    Examples
    --------
    >>> with database_errors("reading", ["secret"]):
    ...     raise RuntimeError("no user ada with secret")
    Traceback (most recent call last):
    journeykit.errors.DatabaseError: reading failed: no user ada with ***. Check what was asked of it.
    """
    try:
        yield
    except (JourneykitError, MemoryError, ImportError):
        raise
    except Exception as error:  # every database has its own hierarchy of errors
        _hide(error, tuple(secrets))
        raise DatabaseError(step, _reason(error), _advice(error)) from error


def _hide(error: BaseException | None, secrets: tuple[str, ...]) -> None:
    """Take the secrets out of an error and of all that it is chained to."""
    while error is not None:
        error.args = tuple(scrubbed(each, secrets) if isinstance(each, str) else each for each in error.args)
        error = error.__cause__ or error.__context__


def _reason(error: BaseException) -> str:
    """Return the first line that the database said, without what its driver puts before it."""
    first = first_line(error).strip()
    for before in (
        "FATAL: ",
        "ERROR: ",
        "[libpq]",
        "[SQLite]",
        "Failed to connect:",
        "Failed to prepare query:",
    ):
        first = first.rpartition(before)[2].strip() or first
    return first.rstrip("!")


def _advice(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None) or ""
    found = next((advice for start, advice in ADVICE.items() if state.startswith(start)), None)
    text = str(error)
    return found or next(
        (advice for said, advice in SAYINGS.items() if said in text), "Check what was asked of it."
    )
