"""The command line: ``measure``, ``report``, ``map``, ``compare``, ``append``, ``quality``, ``check`` and ``demo``.

Exit codes: 0 all went well; 1 the log or the question cannot be used, in one line on stderr; 2 an option is wrong, or
has a value that it cannot take; 3 a check found something; 130 interrupted; 141 the reader of stdout went away; 143
terminated.
"""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from journeykit.cli.commands import app

__all__ = ["app", "main"]

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


def main() -> None:
    """Run the command line with the arguments of this process, and leave with an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets its number instead of an error.
            stream.reconfigure(errors="backslashreplace")
    try:
        from journeykit.cli.commands import app

        app(prog_name="journeykit")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through the same doors as an error does, so that nothing half is left behind."""
    sys.exit(TERMINATED)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from journeykit.cli.commands import app

    return app
