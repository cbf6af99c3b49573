"""The pattern as a value: a text, what its names stand for, and what it is searched in. DEFINITIONS D8.11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError, suggestion
from journeykit.paths import UNITS, Unit
from journeykit.patterns import clickhouse_grammar, searching
from journeykit.patterns.automaton import Compiled, compiled
from journeykit.patterns.matchers import (
    MOST_MATCHERS,
    Match,
    MatchLike,
    Of,
    as_match,
    check_matches,
    symbols_of,
    written,
)
from journeykit.patterns.parsing import checked, parse, quoted
from journeykit.patterns.syntax import UNBOUNDED, Names
from journeykit.patterns.syntax import Sequence as Parsed
from journeykit.protocol import Context
from journeykit.ragged.array import Codes, Ragged
from journeykit.support.durations import MICROSECONDS, Duration, microseconds
from journeykit.support.unknown_names import Missing

Masks = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Bindings = tuple[tuple[str, Match], ...]


@dataclass(frozen=True, repr=False)
class Pattern:
    r"""A sequence of events to look for in paths. D8.11.

    Parameters
    ----------
    text : str
        Elements joined by connectors; see Notes.
    alphabet : sequence of str or Match, optional
        Drop all other events before matching: ``->`` then means the next among these.
    within : str or timedelta, optional
        The longest time from the first to the last event of a match, itself included; without it, any.
    of : {"event", "stage"}
        What names are names of. An event is in the stage that holds at it; before the first stage in none.
    unit : {"session", "user"}
        What is searched: a match lies inside one unit.
    where : mapping of str to str, sequence of str, polars expression or Match, optional
        What names in the text or the alphabet stand for, such as ``{"big": jk.Match("buy", where=...)}``. Other names
        are names of events.
    missing : {"raise", "ignore", "warn"}
        What to do about names that are not in the log. D0.9.

    Raises
    ------
    PatternError
        If the text is no pattern: the message points at the column and says what was expected.
    ParameterError
        If a parameter has a value it cannot take, or the pattern has more than 64 events.

    Notes
    -----
    ==================================  ================================================================
    ``cart``  ``"add to cart"``         an event of this name; in quotes ``\\\\"``, ``\\\\\\\\``, ``\\\\n``, ``\\\\t``
                                        and ``\\\\r`` are escapes
    ``[card|paypal]``  ``[^help|faq]``  one of these names; any event but these
    ``.``                               any event
    ``?``  ``+``  ``*``  ``{2,5}``      after an element: repeats next to each other
    ``start=cart``                      the element is captured as *start*
    ``->``                              directly next
    ``~>``  ``~>[^help]``               later, whatever lies between; without help between
    ``(<=10m)``  ``(<=3 events)``       after a connector: time from one event to the other, and how many
                                        events lie between; ``<``, ``<=``, ``>``, ``>=``, ``==``
    ``^``  ``$``                        the first event follows; the last event stands before
    ==================================  ================================================================

    A *match* is a choice of events that fulfils all of it. The first one begins as far left as any, and of those its
    events are the earliest in lexicographic order of their positions: a trailing ``+`` takes one event, a trailing
    ``?`` or ``*`` none. Matches do not overlap unless asked for: the next begins after the last event of the one
    before.

    An element that may be absent stands between plain connectors. Without it these become one: ``~>`` if one of them
    is. A name with a blank, or with one of ``[ ] | ^ $ ? + * { } ( ) ~ < > " = \`` in it, must be in quotes:
    ``Pattern.quoted`` writes any name as it must be.

    The decision is exact, and never given up. For a pattern of fixed length it is one pass, O(n k) for n events and k
    states whatever the windows, since of the events that reach a state the latest one decides. With repeats that leave
    the length open it is O(n k) too, but O(n k m) with ``within``, where m is how many events such a window holds.
    Events of one time follow each other as in the log (D1.3).

    References
    ----------
    D8.11; for the grammar of ClickHouse see `clickhouse`.

    Examples
    --------
    >>> import polars as pl
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 1], "time": [0, 1, 2, 3], "event": ["see", "ask", "see", "buy"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> found = journeys.match(Pattern("look=see ~>[^see](<=5s) buy"))
    >>> found.frame.select("element", "capture", "event", "row").rows()
    [('see', 'look', 'see', 2), ('buy', None, 'buy', 3)]
    """

    text: str
    alphabet: Sequence[MatchLike] | None = None
    within: Duration | None = None
    of: Of = "event"
    unit: Unit = "session"
    where: Mapping[str, MatchLike] | Bindings | None = ()
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ParameterError(f"a pattern is a text, such as 'view ~> buy', not {self.text!r}.")
        for parameter, choices in (("of", get_args(Of)), ("unit", UNITS), ("missing", get_args(Missing))):
            if getattr(self, parameter) not in choices:
                raise ParameterError.choice(parameter, getattr(self, parameter), choices)
        object.__setattr__(self, "where", _bindings(self.where))
        if self.alphabet is not None:
            given = (self.alphabet,) if isinstance(self.alphabet, str | Match) else tuple(self.alphabet)
            if not given:
                raise ParameterError(
                    "alphabet is empty: no event would be left. Leave it out to keep all events."
                )
            object.__setattr__(self, "alphabet", tuple(_in_alphabet(each) for each in given))
        if self.within is not None:
            microseconds(self.within, "within")
        _ = self.compiled, self.matchers
        self._check_bindings()

    def __repr__(self) -> str:
        return written(self)

    @classmethod
    def clickhouse(
        cls,
        text: str,
        conditions: Sequence[MatchLike],
        *,
        time_unit: str = "s",
        unit: Unit = "user",
        missing: Missing = "raise",
    ) -> Pattern:
        """Make a pattern from one of ClickHouse's sequenceMatch, sequenceCount and sequenceMatchEvents.

        Parameters
        ----------
        text : str
            ``(?N)`` for condition N from 1, ``.`` for any event, ``.*`` for any number of them, ``(?t OP n)`` for the
            time between two events, with ``<=``, ``<``, ``>=``, ``>`` or ``==``.
        conditions : sequence of str, sequence of str, polars expression or Match
            The conditions in order. Events that fulfil none of them are dropped before matching.
        time_unit : {"us", "ms", "s", "m", "h", "d", "w"}
            What ``n`` counts; seconds, as in ClickHouse for a DateTime.
        unit : {"user", "session"}
            What is searched.
        missing : {"raise", "ignore", "warn"}
            What to do about names that are not in the log. D0.9.

        Returns
        -------
        Pattern
            In our language: condition N is the name ``(?N)``. sequenceMatch is "has a match", sequenceCount the number
            of matches, sequenceMatchEvents the times of the first match, or of the longest prefix
            (``journeys.match(pattern, prefixes=True)``), of the elements that are not ``.``.

        Raises
        ------
        PatternError
            If the text is not of this grammar, names a condition that there is not, or has a time that does not stand
            between two events.

        Notes
        -----
        A text that could match nothing, such as ``.*``, counts every event there. It becomes ``.`` here, which gives
        the same numbers; only a unit without any event of the conditions matches there, and not here. ClickHouse also
        measures a prefix by its conditions alone: of one with ``.`` in it, it may list another one of as many.

        Examples
        --------
        >>> Pattern.clickhouse("(?1)(?t<=10)(?2)", ["view", "buy"]).text
        '"(?1)" ~>(<=10s) "(?2)"'
        """
        bound = {
            f"(?{number})": as_match(one, f"condition {number}") for number, one in enumerate(conditions, 1)
        }
        if time_unit not in MICROSECONDS:
            raise ParameterError.choice("time_unit", time_unit, MICROSECONDS)
        ours = clickhouse_grammar.translated(text, len(bound), time_unit)
        return cls(ours, alphabet=tuple(bound), unit=unit, where=bound, missing=missing)

    @staticmethod
    def quoted(name: str) -> str:
        """Write the name of an event as a pattern takes it.

        Parameters
        ----------
        name : str
            Any name.

        Returns
        -------
        str
            The name itself if it can stand bare, else in quotes with escapes.

        Examples
        --------
        >>> f"view ~> {Pattern.quoted('add to cart')}"
        'view ~> "add to cart"'
        """
        return quoted(name)

    @cached_property
    def parsed(self) -> Parsed:
        """The elements and connectors of the text."""
        return checked(parse(self.text), self.text)

    @cached_property
    def compiled(self) -> Compiled:
        """The automaton."""
        return compiled(self.parsed)

    @cached_property
    def captures(self) -> tuple[str | None, ...]:
        """The name that every element is captured under; None for those that are not."""
        return tuple(element.capture for element in self.parsed.elements)

    @property
    def window(self) -> int:
        """The longest time from the first to the last event, in microseconds."""
        return UNBOUNDED if self.within is None else microseconds(self.within, "within")

    @cached_property
    def matchers(self) -> tuple[Match, ...]:
        """Every matcher that the pattern needs, once."""
        needed = [self._meant(names) for names in (*self.compiled.fits, *self.compiled.blocks)]
        needed.append(self._meant(Names(self._alphabet, False)))
        matchers = tuple(dict.fromkeys(match for each in needed for match in each))
        if len(matchers) > MOST_MATCHERS:
            raise ParameterError(
                f"a pattern can name at most {MOST_MATCHERS} different kinds of events, and this one {len(matchers)}."
            )
        return matchers

    def _check_bindings(self) -> None:
        """Refuse a name of `where` that stands nowhere: a typo would make a condition disappear."""
        said = {name for names in (*self.compiled.fits, *self.compiled.blocks) for name in names.names}
        for name in self._bound:
            if name not in said and name not in self._alphabet:
                raise ParameterError(
                    f"where binds {name!r}, and neither the text nor the alphabet names it. "
                    f"{suggestion(name, sorted(one for one in said if isinstance(one, str)))}"
                )

    def check(self, context: Context) -> None:
        """Refuse names, stages and properties that the journeys do not have, before any work. D0.9."""
        check_matches(self.matchers, self.of, self.missing, context)

    def check_one_event(self) -> None:
        """Refuse several captures, where one event of a match is wanted."""
        names = sorted({name for name in self.captures if name is not None})
        if len(names) > 1:
            raise ParameterError(
                f"the pattern {self.text!r} captures {', '.join(map(repr, names))}, and only one event of a match can "
                f"be meant. Keep one capture."
            )

    def events_meant(self, journeys: Ragged) -> Bools:
        """Mark the captured event of every match, or else its last one, in stored order; see `Match`."""
        return searching.events_meant(journeys, self)

    def symbols(self, journeys: Ragged, also: Sequence[Match] = ()) -> tuple[Codes, Masks, Masks, Bools]:
        """Return a symbol for every event; and for every symbol the states it fits, what it blocks, if it is left out.

        Parameters
        ----------
        journeys : Journeys
            All of them, or a shard.
        also : sequence of Match
            More matchers, whose bits follow those of the states.

        Returns
        -------
        tuple of numpy.ndarray
            Codes per event of all shards in the order of the pattern's unit; three arrays by code,
            the last one empty if nothing is left out.
        """
        matchers = (*self.matchers, *also)
        symbols = symbols_of(journeys, matchers, self.of, self.unit)
        fits = self._bits(self.compiled.fits, symbols.masks)
        for bit in range(len(also)):
            of_it = (symbols.masks >> np.uint64(len(self.matchers) + bit)) & np.uint64(1)
            fits |= of_it << np.uint64(self.compiled.automaton.states + bit)
        blocks = self._bits(self.compiled.blocks, symbols.masks, opposite=True)
        left_out = np.empty(0, np.bool_)
        if self.alphabet is not None:
            left_out = ~self._fitting(Names(self._alphabet, False), symbols.masks)
        return symbols.codes, fits, blocks, left_out

    @property
    def _bound(self) -> dict[str, Match]:
        return dict(self.where or ())  # type: ignore[arg-type]

    @property
    def _alphabet(self) -> tuple[Any, ...]:
        return tuple(self.alphabet or ())

    def _bits(self, said: Sequence[Names], masks: Masks, *, opposite: bool = False) -> Masks:
        bits = np.zeros(masks.size, np.uint64)
        for number, names in enumerate(said):
            bits[self._fitting(names, masks) ^ opposite] |= np.uint64(1 << number)
        return bits

    def _fitting(self, names: Names, masks: Masks) -> Bools:
        wanted = sum(1 << self.matchers.index(match) for match in set(self._meant(names)))
        fitting: Bools = (masks & np.uint64(wanted)) != 0
        return ~fitting if names.negated else fitting

    def _meant(self, names: Names) -> list[Match]:
        """Return the matchers of some names: those bound, and one for all names of events."""
        bound = self._bound
        matchers = [bound[name] for name in names.names if name in bound]
        matchers += [name for name in names.names if isinstance(name, Match)]
        plain = tuple(name for name in names.names if isinstance(name, str) and name not in bound)
        return matchers + ([Match(plain)] if plain else [])


def _bindings(where: object) -> Bindings:
    if where is None:
        return ()
    if isinstance(where, Mapping):
        where = tuple(where.items())
    if not isinstance(where, tuple) or not all(isinstance(each, tuple) and len(each) == 2 for each in where):
        raise ParameterError(
            f"where cannot be {where!r}. Give a mapping from names in the pattern to what they stand for, such as "
            f"{{'big': jk.Match('buy', where=...)}}."
        )
    for name, _ in where:
        if not isinstance(name, str):
            raise ParameterError(f"where names {name!r}, which is no text. Names in a pattern are texts.")
    return tuple((name, as_match(given, f"where[{name!r}]")) for name, given in where)


def _in_alphabet(given: MatchLike) -> str | Match:
    return given if isinstance(given, str) else as_match(given, "alphabet")
