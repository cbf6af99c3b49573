"""One engine for all adapters: an adapter and the export of its tool become events, or a plan for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

import polars as pl

from journeykit.adapters.adapter import Adapter
from journeykit.adapters.opening import Opened, open_export
from journeykit.errors import ColumnClashError, MissingColumnError, ParameterError
from journeykit.events.events import Events
from journeykit.events.reading import read_events
from journeykit.plans import EventsPlan, scan_events
from journeykit.sources.canonical import LEFT_OUT
from journeykit.sources.collecting import engine_errors
from journeykit.sources.prepared import PreparedLog
from journeykit.sources.roles import ROLES, TimeUnit

Where = str | pl.Expr
REPEATED = "repeats of an event already read"
"""The reason to leave out what was sent twice."""
PASSED_ON = ("tz", "unit", "time_format", "on_invalid", "observed_from", "observed_until")


class Options(TypedDict, total=False):
    """What every reader of an export takes by keyword.

    Where a value stands is a name that the reader knows, a place in the export such as ``"properties.plan"``, or a
    polars expression of such names. Values of JSON, CSV and TSV are texts unless an expression casts them.

    Attributes
    ----------
    user, time, event, session, order, value : str or polars.Expr
        In place of what the reader takes for the role; None leaves out a session, order or value.
    keep : sequence of str, or mapping of str to str or polars.Expr
        Properties to keep: names that the reader knows, places, or new names for either.
    leave_out : sequence of str
        Which of the rows that are no steps of a customer are left out; by default all that the reader names.
    deduplicate : bool
        Whether an event that was sent twice is read once. By default it is.
    tz, unit, time_format, on_invalid, observed_from, observed_until
        See ``read_events``.
    format : str
        The format of files whose names do not tell it: ``"parquet"``, ``"csv"``, ``"tsv"``, ``"ndjson"``.
    """

    user: Where
    time: Where
    event: Where
    session: Where | None
    order: Where | None
    value: Where | None
    keep: Sequence[str] | Mapping[str, Where]
    leave_out: Sequence[str]
    deduplicate: bool
    tz: str | None
    unit: TimeUnit | None
    time_format: str | None
    on_invalid: Literal["raise", "drop"]
    observed_from: datetime | None
    observed_until: datetime | None
    format: str | None


def read(adapter: Adapter, source: Any, options: Mapping[str, Any]) -> Events:
    """Read an export into memory.

    Parameters
    ----------
    adapter : Adapter
        Whose export it is.
    source : object
        What ``read_events`` takes, archives too.
    options : mapping of str to object
        See `Options`.

    Returns
    -------
    Events
        The rows that are not left out, in the order of the source; ``events.quality`` says how many were, and why.

    Raises
    ------
    MissingColumnError
        If the export has none of the columns of a role, or not what is to be kept.
    ParameterError
        For an option that does not exist or has a value it cannot take.
    JourneykitError
        See ``read_events``.
    """
    log, arguments = prepared(adapter, source, options)
    return read_events(log, **arguments)


def scan(adapter: Adapter, source: Any, options: Mapping[str, Any]) -> EventsPlan:
    """Plan what `read` does; with the same errors, as far as they are known before the rows are read."""
    log, arguments = prepared(adapter, source, options)
    return scan_events(log, **arguments)


def prepared(adapter: Adapter, source: Any, options: Mapping[str, Any]) -> tuple[PreparedLog, dict[str, Any]]:
    """Plan the columns of the log, and say which part each plays; parameters and errors as of `read`."""
    asked = _Asked(adapter, options)
    expressions = {**asked.roles, **asked.properties}
    reasons = [adapter.leave_out[name].reason for name in asked.leave_out]
    needed = [
        *expressions.values(),
        *(adapter.leave_out[name].test for name in asked.leave_out),
        *asked.unique,
    ]
    names = dict.fromkeys(name for each in needed for name in each.meta.root_names())
    columns = {name: adapter.column(name) for name in names}
    certain = {name for role in asked.certain for name in expressions[role].meta.root_names()}
    opened = open_export(adapter, source, columns, format=options.get("format"), certain=certain)
    expressions = asked.existing(expressions, opened)
    selected = opened.plan.select(
        *(each.alias(name) for name, each in expressions.items()),
        _reason(asked, reasons).alias(LEFT_OUT),
    )
    with engine_errors(f"preparing the {adapter.title}"):
        selected.collect_schema()
    arguments: dict[str, Any] = {name: options[name] for name in PASSED_ON if options.get(name) is not None}
    arguments |= {role: role for role in ROLES if role in expressions}
    arguments["keep"] = [name for name in expressions if name not in ROLES]
    if "time" not in options and adapter.unit:
        arguments.setdefault("unit", adapter.unit)
    title = f"{adapter.title} {opened.files[0]!r}" if opened.files else adapter.title
    more = f" and {len(opened.files) - 1:,} more files" if len(opened.files) > 1 else ""
    log = PreparedLog(title + more, selected, opened.files, opened.format, opened.notes, opened.keeping)
    return log, arguments


class _Asked:
    """What a call asks for, checked, with the adapter's own choices where it is silent."""

    def __init__(self, adapter: Adapter, options: Mapping[str, Any]) -> None:
        self.adapter, self.reader = adapter, f"read_{adapter.name}"
        known = list(Options.__annotations__)
        for name in options:
            if name not in known:
                raise ParameterError.unknown(self.reader, name, known)
        self.options = options
        self.roles = {role: each for role in ROLES if (each := self._role(role)) is not None}
        self.properties = self._properties(options.get("keep", ()))
        self.leave_out = self._leave_out()
        self.unique = adapter.unique if options.get("deduplicate", True) else ()

    @property
    def certain(self) -> list[str]:
        """The roles and properties that are required or were asked for: a missing column of one is an error."""
        asked = [role for role in self.roles if role in ("user", "time", "event") or role in self.options]
        return [*asked, *self.properties]

    def _role(self, role: str) -> pl.Expr | None:
        own: pl.Expr | None = getattr(self.adapter, role)
        if role not in self.options:
            return own
        given = self.options[role]
        if given is None and role in ("user", "time", "event"):
            raise ParameterError(f"{role} cannot be None. Leave it out to have what {self.reader} takes.")
        found = None if given is None else self._where(role, given)
        return found.cast(pl.Float64, strict=False) if role == "value" and found is not None else found

    def _where(self, name: str, given: object) -> pl.Expr:
        if isinstance(given, pl.Expr):
            return given
        if not isinstance(given, str):
            raise ParameterError(f"{name} must be a name, a place or a polars expression, not {given!r}.")
        return self.adapter.properties.get(given, pl.col(given))

    def _properties(self, keep: object) -> dict[str, pl.Expr]:
        if isinstance(keep, str):
            raise ParameterError(f"keep must be a list of columns, not a text. Pass keep=[{keep!r}].")
        if not isinstance(keep, Mapping | Sequence):
            raise ParameterError(f"keep must be a list of names or a mapping, not {keep!r}.")
        named = keep if isinstance(keep, Mapping) else {name: name for name in keep}
        for name in named:
            if name in ROLES or name == LEFT_OUT:
                raise ColumnClashError(str(name))
        return {str(name): self._where("keep", where) for name, where in named.items()}

    def _leave_out(self) -> list[str]:
        known = list(self.adapter.leave_out)
        given = self.options.get("leave_out", known)
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ParameterError(f"leave_out must be a list of names, not {given!r}.")
        for name in given:
            if name not in known:
                choices = ", ".join(map(repr, known)) or "nothing"
                raise ParameterError(
                    f"leave_out cannot name {name!r}. {self.reader} can leave out: {choices}."
                )
        return [name for name in known if name in given]

    def existing(self, expressions: Mapping[str, pl.Expr], opened: Opened) -> dict[str, pl.Expr]:
        """Return the expressions of which the export has a column; refuse to miss what is required or was asked for."""
        found = {}
        for name, each in expressions.items():
            roots = each.meta.root_names()
            if name == "session" and "session" not in self.options:
                # What the tool's session has from the user makes no session alone.
                roots = [root for root in roots if root not in self.roles["user"].meta.root_names()]
            if not roots or any(root in opened.present for root in roots):
                found[name] = each
            elif name in self.certain:
                role = name if name in ROLES else "keep"
                known = [*opened.available, *self.adapter.properties]
                place = self.adapter.column(roots[0]).places[0]
                advice = f"Pass {role}=<column name> to {self.reader}."
                raise MissingColumnError(role, place, known, advice)
        return found


def _reason(asked: _Asked, reasons: Sequence[str]) -> pl.Expr:
    """Say why a row is left out: the first reason that holds, or that its event was read already; else null."""
    kind = pl.Enum(list(dict.fromkeys([*reasons, REPEATED])))
    tests = [asked.adapter.leave_out[name].test for name in asked.leave_out]
    found = pl.coalesce(
        pl.lit(None, kind),
        *(
            pl.when(test.fill_null(value=False)).then(pl.lit(reason, kind))
            for reason, test in zip(reasons, tests, strict=True)
        ),
    )
    if not asked.unique:
        return found
    ids = asked.unique[0] if len(asked.unique) == 1 else pl.concat_str(asked.unique, separator="\x1f")
    # What is left out for another reason is no first occurrence.
    own = pl.when(found.is_null()).then(ids)
    repeated = own.is_not_null() & ~own.is_first_distinct()
    return pl.coalesce(found, pl.when(repeated).then(pl.lit(REPEATED, kind)))
