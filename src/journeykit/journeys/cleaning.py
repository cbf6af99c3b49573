"""Path cleaning as a value: names made alike, noise left out, repeats joined. DEFINITIONS D3.3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, ReservedNameError, UnknownNameError
from journeykit.journeys.selection import noted
from journeykit.ordering.vocabulary import RESERVED_NAME
from journeykit.paths import UNITS, Unit
from journeykit.ragged.array import Codes, Columns
from journeykit.ragged.taking import Flags, J, taken
from journeykit.support.unknown_names import Missing, check_missing, refuse_unknown

RUN_LENGTH = "run_length"
REFERENCE = re.compile(r"\\(\\|\d)")
Rules = Sequence[tuple[str, str]]


@dataclass(frozen=True, repr=False)
class PathCleaning:
    r"""Which events of a path are the same, and which are noise. D3.3.

    Everything happens in the order of the parameters.

    Parameters
    ----------
    strip_query : bool
        Cut names at their first ``?``.
    strip_trailing_slash : bool
        Cut one ``/`` at the end of names that are longer than it.
    rules : sequence of (str, str)
        Regular expressions, each with what to put in the place of all that it matches, in this order, each on the
        output of the one before. ``\1`` to ``\9`` in the place is a group of the expression, ``\0`` all of it.
    groups : sequence of str
        Wildcards: ``*`` is any text. A name that holds one anywhere in it is called like the wildcard; the first that
        fits wins.
    exclude : str or sequence of str
        Names, as they are by now, whose events are left out; their neighbours become neighbours.
    collapse_repeats : bool
        Whether a run of one name becomes one event.
    keep : {"first", "last"}
        Which event of a run stays, with its time and its properties. PostHog keeps the last.
    unit : {"session", "user"}
        Where runs are: inside sessions, or inside users, across the ends of sessions.

    Raises
    ------
    ParameterError
        If a rule is not a regular expression, or a parameter has a value it cannot take.

    Notes
    -----
    Names are cleaned once per distinct name, never per event. Expressions are those of Rust's ``regex``, much like RE2:
    linear in the length of the name, without look-around and back-references.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1] * 4, "time": range(4), "event": ["/a/7?x=1", "/a/8/", "ping", "/buy"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> cleaning = PathCleaning(
    ...     strip_query=True, strip_trailing_slash=True, rules=[(r"\d+", "<id>")], exclude="ping", collapse_repeats=True
    ... )
    >>> cleaning.renamed(["/a/7?x=1", "/buy"])
    ['/a/<id>', '/buy']
    >>> journeys.clean(cleaning).frame["event"].to_list()
    ['/a/<id>', '/buy']
    """

    strip_query: bool = False
    strip_trailing_slash: bool = False
    rules: Rules = ()
    groups: Sequence[str] = ()
    exclude: str | Sequence[str] = ()
    collapse_repeats: bool = False
    keep: Literal["first", "last"] = "first"
    unit: Unit = "session"

    def __post_init__(self) -> None:
        if self.keep not in {"first", "last"}:
            raise ParameterError.choice("keep", self.keep, ("first", "last"))
        if self.unit not in UNITS:
            raise ParameterError.choice("unit", self.unit, UNITS)
        object.__setattr__(self, "rules", _checked_rules(self.rules))
        for parameter in ("groups", "exclude"):
            value = getattr(self, parameter)
            names = (value,) if isinstance(value, str) else value
            if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
                raise ParameterError(f"{parameter} cannot be {value!r}. Give a name or a list of names.")
            object.__setattr__(self, parameter, tuple(names))
        reserved = [name for name in self.groups if RESERVED_NAME.fullmatch(name)]
        if reserved:
            raise ReservedNameError(reserved)

    def __repr__(self) -> str:
        """Show the parameters that differ from their defaults."""
        values = ((each, getattr(self, each.name)) for each in fields(self))
        shown = ", ".join(f"{each.name}={value!r}" for each, value in values if value != each.default)
        return f"PathCleaning({shown})"

    def renamed(self, names: Sequence[str] | pl.Series) -> list[str]:
        """Return what names become, before any is left out.

        Parameters
        ----------
        names : sequence of str
            Names of events.

        Returns
        -------
        list of str
            One for each, in the same order.
        """
        return self._cleaned(pl.Series(names, dtype=pl.String)).to_list()

    def _cleaned(self, names: pl.Series) -> pl.Series:
        if self.strip_query:
            names = names.str.replace(r"(?s)\?.*", "")
        if self.strip_trailing_slash:
            names = names.str.replace(r"(?s)(.)/$", "$1")
        for pattern, alias in self.rules:
            names = names.str.replace_all(pattern, _template(alias))
        if not self.groups:
            return names
        fits = [pl.when(names.str.contains(_wildcard(group))).then(pl.lit(group)) for group in self.groups]
        return pl.select(pl.coalesce(*fits, names)).to_series()


def clean(journeys: J, cleaning: PathCleaning, *, missing: Missing = "raise") -> J:
    """Make the names of events alike, leave out noise, join repeats. D3.3.

    Parameters
    ----------
    cleaning : PathCleaning
        What to do.
    missing : {"raise", "ignore", "warn"}
        What to do about excluded names that the log does not have once it is renamed. D0.9.

    Returns
    -------
    Journeys
        The events that are left, under a new vocabulary. Sessions are not cut anew; those without an event
        disappear, as do such users, and ``provenance.notes`` counts them. After collapsing, the property
        ``run_length`` says how many events each stands for.

    Raises
    ------
    UnknownNameError
        If an excluded name is not there.
    ReservedNameError
        If a rule makes a name like ``<END>``.
    ParameterError
        If `cleaning` is no PathCleaning, or it renames events that have stages already: stages are defined by names,
        so clean first and assign them then. Without new names, the events that are left keep their stages.

    Notes
    -----
    One pass over the codes, O(n), plus the cleaning of the vocabulary. Events outside any session belong to no session
    path and are not joined, unless ``unit="user"``. 4 bytes per event for ``run_length``.
    """
    if not isinstance(cleaning, PathCleaning):
        raise ParameterError(
            f"clean needs a PathCleaning, not {cleaning!r}. Write clean(jk.PathCleaning(...))."
        )
    check_missing(missing)
    old = journeys.names.cast(pl.String)
    new = cleaning._cleaned(old)
    _check(journeys, cleaning, new, missing)
    vocabulary = new.filter(~new.is_in(cleaning.exclude)).unique().sort()
    places = vocabulary.search_sorted(new).to_numpy() if len(vocabulary) else np.zeros(len(new))
    excluded = new.is_in(cleaning.exclude).to_numpy()
    codes = places.astype(np.min_scalar_type(len(vocabulary)))[journeys.event_codes]
    kept = ~excluded[journeys.event_codes] if excluded.any() else np.ones(codes.size, np.bool_)
    if journeys.user_range is not None:
        first, last = journeys.user_offsets[list(journeys.user_range)]
        kept[:first] = kept[last:] = False
    renamed = replace(journeys, names=vocabulary, event_codes=codes)
    if cleaning.collapse_repeats:
        renamed = _with_runs(renamed, _runs(renamed, cleaning, kept))
    return noted(journeys, taken(renamed, kept), repr(cleaning))


def _check(journeys: Any, cleaning: PathCleaning, new: pl.Series, missing: str) -> None:
    reserved = [name for name in new.unique().sort().to_list() if RESERVED_NAME.fullmatch(name)]
    if reserved:
        raise ReservedNameError(reserved)
    unknown = sorted({*cleaning.exclude} - {*new})
    if unknown:
        refuse_unknown(UnknownNameError("event", unknown, new.unique().sort()), missing)
    if journeys.staged is not None and not new.equals(journeys.names.cast(pl.String)):
        raise ParameterError(
            "this cleaning renames events, and stages were assigned by their names. "
            "Call clean(...) first, then assign_stages(model)."
        )


def _runs(journeys: J, cleaning: PathCleaning, kept: Flags) -> npt.NDArray[np.uint32]:
    """Leave one event of each run; return how many events each of them stands for."""
    from journeykit.kernels.paths.cleaning import find_runs

    lengths = np.ones(kept.size, np.uint32)
    if RUN_LENGTH in journeys.source.columns:
        lengths = journeys.property(RUN_LENGTH).cast(pl.UInt32).to_numpy(writable=True)
    whole = replace(journeys, user_range=None)
    paths = whole.paths(cleaning.unit)
    order = whole.time_order if cleaning.unit == "user" else None
    places = np.empty(0, np.int64) if order is None else order
    find_runs(paths.starts, paths.ends, places, journeys.event_codes, kept, cleaning.keep == "last", lengths)
    return lengths


def _with_runs(journeys: J, lengths: npt.NDArray[np.uint32]) -> J:
    by_row = np.zeros(int(journeys.rows.max()) + 1 if journeys.rows.size else 0, np.uint32)
    by_row[journeys.rows] = lengths
    return replace(journeys, source=_WithRuns(journeys.source, by_row))


@dataclass(frozen=True)
class _WithRuns:
    """The properties of a log, and the length of the run that each of its rows stands for."""

    source: Columns
    lengths: Codes

    @property
    def columns(self) -> list[str]:
        return [*(name for name in self.source.columns if name != RUN_LENGTH), RUN_LENGTH]

    def __getitem__(self, name: str, /) -> pl.Series:
        return pl.Series(RUN_LENGTH, self.lengths) if name == RUN_LENGTH else self.source[name]


def _checked_rules(rules: object) -> tuple[tuple[str, str], ...]:
    """Refuse what is no list of expressions and aliases, before any log is seen."""
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        raise ParameterError(f"rules must be pairs of an expression and a name, not {rules!r}.")
    for rule in rules:
        is_pair = isinstance(rule, tuple | list) and len(rule) == 2
        if not is_pair or not all(isinstance(part, str) for part in rule):
            raise ParameterError(f"a rule is a pair of an expression and a name, not {rule!r}.")
        pattern, alias = rule
        try:
            groups = pl.Series([""]).str.extract_groups(pattern)
        except pl.exceptions.PolarsError as error:
            reason = str(error).strip().splitlines()[-1].removeprefix("error: ")
            raise ParameterError(f"{pattern!r} is not a regular expression: {reason}") from error
        highest = max((int(found) for found in REFERENCE.findall(alias) if found != "\\"), default=0)
        if highest > _group_count(groups):
            raise ParameterError(f"{alias!r} asks for group {highest}, which {pattern!r} does not have.")
    return tuple((pattern, alias) for pattern, alias in rules)


def _group_count(groups: pl.Series) -> int:
    return len(groups.dtype.fields) if isinstance(groups.dtype, pl.Struct) else 0


def _template(alias: str) -> str:
    r"""Write an alias as the engine wants it: ``$`` is nothing special, ``\1`` is a group, ``\\`` a backslash."""
    return REFERENCE.sub(
        lambda found: "\\" if found[1] == "\\" else f"${{{found[1]}}}", alias.replace("$", "$$")
    )


def _wildcard(group: str) -> str:
    return "(?s)" + ".*".join(pl.escape_regex(part) for part in group.split("*"))
