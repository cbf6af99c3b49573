"""Event logs in XES, an XML of cases and their events (IEEE 1849), read in one pass without entities."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from typing import Any, NoReturn
from xml.parsers import expat

import polars as pl

from journeykit.errors import BrokenRowError, EmptyInputError, JourneykitError, UnreadableFileError
from journeykit.sources.texts import open_bytes

ATTRIBUTES = frozenset({"string", "date", "int", "float", "boolean", "id"})
PIECE = 1 << 20
ADVICE = "Check that it was written to its end."


def read(names: Sequence[str], wanted: Collection[str]) -> pl.LazyFrame:
    """Read files of XES into memory.

    Parameters
    ----------
    names : sequence of str
        The files, compressed or not.
    wanted : collection of str
        The keys of attributes to keep; of cases with ``case:`` before them.

    Returns
    -------
    polars.LazyFrame
        One row per event in the order of the files, all texts; a key that some event or case has and that is not
        wanted is a column of nulls. Attributes inside attributes, and lists, are skipped.

    Raises
    ------
    UnreadableFileError
        If a file is no XML, no XES, or declares entities; a `BrokenRowError` names the line.
    EmptyInputError
        If there is no event.
    """
    log = _Log(wanted)
    for name in names:
        _parse(name, log)
    if not log.events.rows:
        raise EmptyInputError.source(f"the log {names[0]!r}")
    return log.frame().lazy()


class _Table:
    """Rows of attributes, column by column."""

    def __init__(self, wanted: Collection[str], prefix: str = "") -> None:
        self.prefix, self.rows = prefix, 0
        self.columns: dict[str, list[str | None]] = {key: [] for key in wanted if key.startswith(prefix)}
        self.seen: dict[str, None] = {}

    def set(self, key: str, value: str | None) -> None:
        """Set an attribute of the row that is being read; of several of one key the first counts."""
        name = self.prefix + key
        self.seen[name] = None
        column = self.columns.get(name)
        if column is not None and len(column) <= self.rows:
            if len(column) < self.rows:
                column.extend([None] * (self.rows - len(column)))
            column.append(value)

    def frame(self) -> pl.DataFrame:
        """Return the wanted columns that were seen, and nulls for the others that were."""
        series = [
            pl.Series(name, [*values, *[None] * (self.rows - len(values))], pl.String)
            for name, values in self.columns.items()
            if name in self.seen
        ]
        others = [pl.lit(None, pl.String).alias(name) for name in self.seen if name not in self.columns]
        return pl.DataFrame(series or {"": [None] * self.rows}).with_columns(others).select(list(self.seen))


class _Log:
    """The events and cases read so far, and the handlers of the parser."""

    def __init__(self, wanted: Collection[str]) -> None:
        self.events, self.cases = _Table(wanted), _Table(wanted, "case:")
        self.case_of: list[int | None] = []
        self.depth, self.inside, self.in_trace, self.is_log = 0, 0, False, False

    def start(self, name: str, attributes: dict[str, Any]) -> None:
        self.depth += 1
        tag = name.rpartition(":")[2] if ":" in name else name
        if tag in ATTRIBUTES:
            # A key that is not directly below an event or a case is an attribute of an attribute.
            if self.depth == self.inside + 1 and self.inside:
                table = self.cases if self.in_trace and self.inside == 2 else self.events
                table.set(attributes.get("key", ""), attributes.get("value"))
        elif self.depth == 1:
            self.is_log = tag == "log"
        elif tag == "trace" and self.depth == 2:
            self.in_trace, self.inside = True, 2
        elif tag == "event" and self.depth == (3 if self.in_trace else 2):
            self.inside = self.depth

    def end(self, name: str) -> None:
        tag = name.rpartition(":")[2] if ":" in name else name
        if tag == "event" and self.inside == self.depth:
            self.case_of.append(self.cases.rows if self.in_trace else None)
            self.events.rows += 1
            self.inside = 2 if self.in_trace else 0
        elif tag == "trace" and self.depth == 2:
            self.cases.rows += 1
            self.in_trace, self.inside = False, 0
        self.depth -= 1

    def frame(self) -> pl.DataFrame:
        """Put the attributes of its case beside every event."""
        cases = self.cases.frame().select(pl.all().gather(pl.Series(self.case_of, dtype=pl.UInt32)))
        return self.events.frame().hstack(cases)


def _parse(name: str, log: _Log) -> None:
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = log.start, log.end
    log.depth, log.inside, log.in_trace, log.is_log = 0, 0, False, False

    def refuse(*_: object) -> NoReturn:
        raise BrokenRowError(
            name, "xes", parser.CurrentLineNumber, "declares an entity", "A log needs none. Remove it."
        )

    parser.EntityDeclHandler = refuse
    try:
        with open_bytes(name) as file:
            while piece := file.read(PIECE):
                parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        reason = f"is not XML: {expat.ErrorString(error.code)}"
        raise BrokenRowError(name, "xes", error.lineno, reason, ADVICE) from error
    except JourneykitError:
        raise
    except LookupError as error:
        raise UnreadableFileError(name, "xes", str(error), "Write it in UTF-8.") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UnreadableFileError(name, "xes", str(error), ADVICE) from error
    if not log.is_log:
        raise UnreadableFileError(name, "xes", "its first element is no <log>", "Check what wrote it.")
