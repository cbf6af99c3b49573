"""Which events are meant: the matchers of steps, anchors and patterns, as symbols that a state machine reads. D7.1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import (
    ParameterError,
    StageModelError,
    UnknownNameError,
    UnknownPropertyError,
)
from journeykit.paths import Unit
from journeykit.protocol import Context
from journeykit.ragged.array import Codes, Ragged
from journeykit.stages.conditions import Condition, Where, as_where, predicate
from journeykit.support.unknown_names import refuse_unknown

if TYPE_CHECKING:
    from journeykit.stages.rules import Rule

Of: TypeAlias = Literal["event", "stage"]
FirstTime: TypeAlias = Literal[False, True, "filtered"]
Bools = npt.NDArray[np.bool_]

MOST_MATCHERS = 64
CALLER = 6
"""Who asked: above ``refuse_unknown``, ``check_matches``, ``check``, the checking of all questions and ``measure``."""
BUILT_IN = ("event", "time", "user")


@runtime_checkable
class EventSearch(Protocol):
    """What finds events by those around them: a `Pattern`."""

    @property
    def text(self) -> str:
        """What it is called."""

    def check(self, context: Context, /) -> None:
        """Refuse what the journeys do not have."""

    def check_one_event(self) -> None:
        """Refuse what does not say which event of a match is meant."""

    def events_meant(self, journeys: Any, /) -> Bools:
        """Mark the events that are meant, in stored order."""


def written(value: Any) -> str:
    """Write a value whose first field needs no name, with the fields that differ from their defaults."""
    first, *others = fields(value)
    own = getattr(value, first.name)
    parts = [repr(own)] if own != first.default else []
    parts += [
        f"{each.name}={getattr(value, each.name)!r}"
        for each in others
        if getattr(value, each.name) is not each.default
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


@dataclass(frozen=True, repr=False)
class Match:
    """Which events are meant: any of these names, whose properties fulfil a condition. D7.1.

    Parameters
    ----------
    names : str or sequence of str
        Exact names, any of which will do; none of them: any event.
    where : polars expression, Condition or sequence of Condition, optional
        What must be true of the event's properties; also of ``event``, ``time``, ``user``. Null is no match (D0.3).
    first_time : bool or "filtered"
        True: only the user's first event of these names in the whole log, if it fulfils `where`. ``"filtered"``:
        only the user's first event that fulfils `where` too. Of a pattern, both mean the first that is meant.
    label : str, optional
        What it is called in answers; the names by default.
    pattern : Pattern, optional
        Instead of names and conditions: the event that is captured in a match of the pattern, or without a capture the
        last event of it, with which the pattern is fulfilled. Of all matches, which do not overlap. D8.11.

    Raises
    ------
    ParameterError
        If a name is not a text, `where` is no condition on one event, `pattern` is no pattern, stands beside names or
        conditions, or captures events under several names.

    Examples
    --------
    >>> Match(["card", "paypal"]).title
    'card | paypal'
    >>> Match("purchase", where=pl.col("amount") > 100).title
    'purchase where amount > 100'
    """

    names: str | Sequence[str] = ()
    where: pl.Expr | Condition | Sequence[Condition] | Where | None = None
    first_time: FirstTime = False
    label: str | None = None
    pattern: EventSearch | None = None

    def __post_init__(self) -> None:
        names = (self.names,) if isinstance(self.names, str) else self.names
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise ParameterError(f"an event cannot be named {self.names!r}. Give a name or a list of names.")
        if self.first_time not in (False, True, "filtered"):
            raise ParameterError.choice("first_time", self.first_time, (False, True, "filtered"))
        object.__setattr__(self, "names", tuple(dict.fromkeys(names)))
        if self.where is not None:
            object.__setattr__(self, "where", _condition(self.where))
        if self.pattern is not None:
            self._check_pattern(self.pattern)

    def __repr__(self) -> str:
        return written(self)

    def _check_pattern(self, pattern: object) -> None:
        if not isinstance(pattern, EventSearch):
            raise ParameterError(
                f"pattern must be a Pattern, such as jk.Pattern('view -> buy'), not {pattern!r}."
            )
        if self.names or self.where is not None:
            raise ParameterError(
                "a Match has names and conditions or a pattern, not both. Put them into the pattern, with its where=."
            )
        pattern.check_one_event()

    @property
    def title(self) -> str:
        """What it is called in answers."""
        if self.label is not None:
            return self.label
        title = " | ".join(self.names) or "any event"
        if self.pattern is not None:
            title = self.pattern.text
        if self.where is not None:
            parts = self.where if isinstance(self.where, tuple) else (self.where,)
            title += f" where {' and '.join(str(part) for part in parts)}"
        return title if self.first_time is False else f"first {title}"

    @property
    def by_name(self) -> bool:
        """Whether the name of an event alone decides."""
        return self.where is None and self.first_time is False and self.pattern is None

    @property
    def columns(self) -> tuple[str, ...]:
        """The properties that the condition looks at."""
        if self.where is None:
            return ()
        roots = predicate(self.where).meta.root_names()  # type: ignore[arg-type]
        return tuple(dict.fromkeys(name for name in roots if name not in BUILT_IN))


MatchLike: TypeAlias = str | Sequence[str] | Match | pl.Expr | EventSearch


class Symbols(NamedTuple):
    """One small symbol per event, and what each symbol fits.

    Attributes
    ----------
    codes : numpy.ndarray of an unsigned integer
        Per event of all shards, at the positions of ``paths(unit)``.
    masks : numpy.ndarray of uint64
        Bit k of ``masks[symbol]``: the event fits matcher k.
    """

    codes: Codes
    masks: npt.NDArray[np.uint64]


def as_match(given: MatchLike, parameter: str) -> Match:
    """Accept a name, several names, a condition, a pattern or a matcher.

    Raises
    ------
    ParameterError
        If it is none of these, or an empty list.
    """
    if isinstance(given, Match):
        return given
    if isinstance(given, pl.Expr | Condition):
        return Match(where=given)
    if isinstance(given, EventSearch):
        return Match(pattern=given)
    if isinstance(given, str) or (isinstance(given, Sequence) and given):
        return Match(given)
    raise ParameterError(
        f"{parameter} cannot be {given!r}. Give a name, a list of names, a polars expression, a Pattern or a "
        f"Match."
    )


def check_matches(matches: Iterable[Match], of: str, missing: str, context: Context) -> None:
    """Refuse names and properties that the journeys do not have, before any work. D0.9.

    Raises
    ------
    UnknownNameError
        If a name is not in the log and `missing` is ``"raise"``; with ``"warn"`` it is a warning.
    UnknownPropertyError
        If a condition needs a property that was not kept.
    """
    matches = tuple(matches)
    if of == "stage" and not context.stages:
        raise ParameterError('of="stage" needs stages. Call assign_stages(model) first.')
    for match in matches:
        if match.pattern is not None:
            match.pattern.check(context)
        for column in match.columns:
            if column not in context.kept:
                raise UnknownPropertyError(column, context.kept)
    known = context.stages if of == "stage" else context.names.to_list()
    unknown = sorted({name for match in matches for name in match.names} - {*known})
    if unknown:
        refuse_unknown(UnknownNameError(of, unknown, known), missing, stacklevel=CALLER)


def symbols_of(
    journeys: Ragged, matches: Sequence[Match], of: Of = "event", unit: Unit = "session"
) -> Symbols:
    """Say of every event which matchers it fits.

    Parameters
    ----------
    journeys : Journeys
        All of them, or a shard.
    matches : sequence of Match
        At most 64.
    of : {"event", "stage"}
        What names are names of. Events before the first stage fit no matcher.
    unit : {"session", "user"}
        In the order of whose paths the events are.

    Returns
    -------
    Symbols
        Of all shards. Where names alone decide, the codes are the states themselves, and cost nothing.

    Raises
    ------
    ParameterError
        If there are more than 64 matchers, or a condition does not fit the log's columns.

    Notes
    -----
    Conditions cost some passes each, once for all shards, and 1 byte per event (2 with more than 256 different
    combinations).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1], "time": [0, 1], "event": ["see", "buy"], "price": [None, 5]})
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["price"])
    >>> symbols = symbols_of(events.sessionize("30m"), [Match("buy", where=pl.col("price") > 3), Match()])
    >>> symbols.masks[symbols.codes].tolist()
    [2, 3]
    """
    matches = tuple(matches)
    if len(matches) > MOST_MATCHERS:
        raise ParameterError(
            f"{len(matches)} different matchers are more than the {MOST_MATCHERS} that one question can have. "
            f"Ask several questions."
        )
    if all(match.by_name for match in matches):
        return Symbols(journeys.states(of, unit), _name_masks(journeys, matches, of))
    whole: Ragged = journeys.whole
    return whole.memo.get(("symbols", matches, of, unit), lambda: _refined(whole, matches, of, unit))


def _condition(where: Any) -> Where:
    if isinstance(where, tuple) and not where:
        raise ParameterError("where is empty. Leave it out, or give a condition.")
    try:
        return as_where(where)
    except StageModelError as error:
        raise ParameterError("; ".join(error.problems)) from None


def _name_masks(journeys: Ragged, matches: Sequence[Match], of: str) -> npt.NDArray[np.uint64]:
    """Return for every state the matchers whose names it has."""
    known, first = journeys.code_of_name, 0
    if of == "stage":
        known, first = {name: stage for stage, name in enumerate(journeys.stage_names, start=1)}, 1
    masks = np.zeros(first + len(known), np.uint64)
    for bit, match in enumerate(matches):
        names = match.names or known
        masks[[known[name] for name in names if name in known]] |= np.uint64(1 << bit)
    return masks


def _refined(journeys: Ragged, matches: Sequence[Match], of: Of, unit: Unit) -> Symbols:
    """Cut the states finer, by what each event fits."""
    states, name_masks = journeys.states(of, unit), _name_masks(journeys, matches, of)
    always = np.uint64(sum(1 << bit for bit, match in enumerate(matches) if match.by_name))
    # Names that fit the same matchers are one symbol.
    distinct, symbol_of_state = np.unique(name_masks, return_inverse=True)
    symbols = symbol_of_state.astype(_smallest(distinct.size))[states]
    masks = distinct & always
    log = journeys.in_time_order()
    for bit, match in enumerate(matches):
        if match.by_name:
            continue
        if match.pattern is not None:
            fits = _searched(match, journeys, of, unit)
        else:
            fits = _fits(match, log, of)
            fits = journeys.as_stored(fits) if unit == "session" else fits
        symbols, masks = _cut(symbols, masks, fits, np.uint64(1 << bit))
    return Symbols(symbols, masks)


def _cut(
    symbols: Codes, masks: npt.NDArray[np.uint64], fits: Bools, bit: np.uint64
) -> tuple[Codes, npt.NDArray[np.uint64]]:
    """Cut every symbol in two by whether the event fits; only symbols that occur remain."""
    finer = symbols.astype(_smallest(2 * masks.size)) * 2 + fits
    both = np.repeat(masks, 2)
    both[1::2] |= bit
    occurs = np.bincount(finer, minlength=both.size) > 0
    number = np.cumsum(occurs) - 1
    kept: npt.NDArray[np.uint64] = both[occurs]
    return number.astype(_smallest(kept.size))[finer], kept


def _smallest(count: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if count <= 1 << 8 else np.uint16 if count <= 1 << 16 else np.uint32


def _fits(match: Match, log: Ragged, of: Of) -> Bools:
    """Mark the events that fit one matcher, users' events in the order of time."""
    from journeykit.stages.rules import Rule

    if of == "stage":
        if match.first_time is not False:
            raise ParameterError(
                'first_time= asks for the first event of a name: it does not go with of="stage".'
            )
        named: Bools = (_name_masks(log, [match], of) > 0)[log.states("stage", "session")]
        return named & _evaluated(Rule(where=match.where), log)
    if match.first_time is True:
        first = _evaluated(
            Rule(names=match.names, where=None if match.names else _ANY, nth=1, nth_exact=True), log
        )
        return first if match.where is None else first & _evaluated(Rule(where=match.where), log)
    once: dict[str, Any] = {"nth": 1, "nth_exact": True} if match.first_time else {}
    where = match.where if match.names or match.where is not None else _ANY
    return _evaluated(Rule(names=match.names, where=where, **once), log)


def _searched(match: Match, journeys: Ragged, of: Of, unit: Unit) -> Bools:
    """Mark the events that a pattern means, in the order of the unit's paths."""
    assert match.pattern is not None
    # Of a copy: searching asks for symbols itself, and the memo of these journeys is in use.
    fits = match.pattern.events_meant(replace(journeys))
    if of == "stage":
        fits &= journeys.states("stage", "session") > 0
    if journeys.time_order is not None:
        fits = fits[journeys.time_order]
    if match.first_time is not False:
        at = np.flatnonzero(fits)
        user = np.searchsorted(journeys.user_offsets, at, side="right")
        fits[at[np.append(False, user[1:] == user[:-1])[: at.size]]] = False
    return fits if unit == "user" else journeys.as_stored(fits)


_ANY = pl.col("event").is_not_null()


def _evaluated(rule: Rule, log: Ragged) -> Bools:
    from journeykit.stages.matching import events_matched

    try:
        return events_matched(rule, log)
    except StageModelError as error:
        raise ParameterError("; ".join(error.problems)) from (error.__cause__ or error)
