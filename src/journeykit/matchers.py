"""Which events are meant: the matchers of steps, anchors and patterns, as symbols that a state machine reads. D7.1."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import (
    JourneykitWarning,
    ParameterError,
    StageModelError,
    UnknownNameError,
    UnknownPropertyError,
)
from journeykit.paths import Unit
from journeykit.protocol import Context
from journeykit.ragged import Codes, Ragged
from journeykit.stages.conditions import Condition, Where, as_where, predicate
from journeykit.stages.matching import events_matched, names_matched
from journeykit.stages.rules import Rule

Of: TypeAlias = Literal["event", "stage"]
Missing: TypeAlias = Literal["raise", "ignore", "warn"]
FirstTime: TypeAlias = Literal[False, True, "filtered"]
Bools = npt.NDArray[np.bool_]

MOST_MATCHERS = 64
BUILT_IN = ("event", "time", "user")


@dataclass(frozen=True)
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
        only the user's first event that fulfils `where` too.
    label : str, optional
        What it is called in answers; the names by default.

    Raises
    ------
    ParameterError
        If a name is not a text, or `where` is no condition on one event.

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

    def __post_init__(self) -> None:
        names = (self.names,) if isinstance(self.names, str) else self.names
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise ParameterError(f"an event cannot be named {self.names!r}. Give a name or a list of names.")
        if self.first_time not in (False, True, "filtered"):
            raise ParameterError.choice("first_time", self.first_time, (False, True, "filtered"))
        object.__setattr__(self, "names", tuple(dict.fromkeys(names)))
        if self.where is not None:
            object.__setattr__(self, "where", _condition(self.where))

    @property
    def title(self) -> str:
        """What it is called in answers."""
        if self.label is not None:
            return self.label
        title = " | ".join(self.names) or "any event"
        if self.where is not None:
            parts = self.where if isinstance(self.where, tuple) else (self.where,)
            title += f" where {' and '.join(str(part) for part in parts)}"
        return title if self.first_time is False else f"first {title}"

    @property
    def by_name(self) -> bool:
        """Whether the name of an event alone decides."""
        return self.where is None and self.first_time is False

    @property
    def columns(self) -> tuple[str, ...]:
        """The properties that the condition looks at."""
        if self.where is None:
            return ()
        roots = predicate(self.where).meta.root_names()  # type: ignore[arg-type]
        return tuple(dict.fromkeys(name for name in roots if name not in BUILT_IN))


MatchLike: TypeAlias = str | Sequence[str] | Match | pl.Expr


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
    """Accept a name, several names, a condition or a matcher.

    Raises
    ------
    ParameterError
        If it is none of these, or an empty list.
    """
    if isinstance(given, Match):
        return given
    if isinstance(given, pl.Expr | Condition):
        return Match(where=given)
    if isinstance(given, str) or (isinstance(given, Sequence) and given):
        return Match(given)
    raise ParameterError(
        f"{parameter} cannot be {given!r}. Give a name, a list of names, a polars expression or a Match."
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
        for column in match.columns:
            if column not in context.kept:
                raise UnknownPropertyError(column, context.kept)
    known = context.stages if of == "stage" else context.names.to_list()
    unknown = sorted({name for match in matches for name in match.names} - {*known})
    if not unknown or missing == "ignore":
        return
    error = UnknownNameError(of, unknown, known)
    if missing == "raise":
        raise error
    warnings.warn(str(error), JourneykitWarning, stacklevel=2)


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
    names = journeys.names if of == "event" else pl.Series(["", *journeys.stage_names], dtype=pl.String)
    masks = np.zeros(len(names), np.uint64)
    for bit, match in enumerate(matches):
        fits = names_matched(Rule(names=match.names), names) if match.names else np.ones(len(names), np.bool_)
        masks[fits] |= np.uint64(1 << bit)
    if of == "stage":
        masks[0] = 0
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
        fits = _fits(match, log, of)
        if unit == "session":
            fits = journeys.as_stored(fits)
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


_ANY = pl.col("event").is_not_null()


def _evaluated(rule: Rule, log: Ragged) -> Bools:
    try:
        return events_matched(rule, log)
    except StageModelError as error:
        raise ParameterError("; ".join(error.problems)) from (error.__cause__ or error)
