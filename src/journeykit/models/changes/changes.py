"""Changes of a chain, written as values: which move, by how much, and where the others go. DEFINITIONS D10.3, D15.6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError, UndefinedError, UnknownNameError
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.models.chains.fitted import Fit
from journeykit.models.chains.making import ABANDON

if TYPE_CHECKING:
    from journeykit.models.chains.states import ChainStates

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
BETWEEN = " > "
ROUNDING = 1e-12
THE_REST = -1


@dataclass(frozen=True)
class Change:
    """Another probability of one move: "cart abandonment down by 10 %", "10 more of 100 go from search to product".

    Parameters
    ----------
    source : str
        Where the move starts: a state, or ``"<START>"``. Where states are the last k of a path, all that end in it:
        ``"cart"`` means ``"view > cart"`` too.
    target : str
        Where it goes: a state, ``"<CONVERT>"``, or by default ``"<ABANDON>"``.
    relative : float, optional
        The change as a share of what the probability is: -0.1 is 10 % down.
    absolute : float, optional
        The change of the probability itself: 0.1 is 10 more of every 100 who are in the source.
    to : float, optional
        The probability that it becomes.
    instead : str, optional
        Where those come from whom the move gains, and those go whom it loses: a state or an end. By default all other
        moves out of the source, in proportion: whoever does not make this move goes on like those who did not before.

    Raises
    ------
    ParameterError
        If not exactly one of `relative`, `absolute` and `to` is given, or no probability can change so.

    Examples
    --------
    >>> Change("cart", relative=-0.1)
    Change(cart to <ABANDON>, 10 % down)
    >>> Change("search", "product", absolute=0.1, instead="<ABANDON>")
    Change(search to product, 0.1 up, instead of <ABANDON>)
    """

    source: str
    target: str = ABANDON
    relative: float | None = None
    absolute: float | None = None
    to: float | None = None
    instead: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("relative", "absolute", "to") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ParameterError(
                f"a change takes one of relative=, absolute= and to=, and was given {len(given)}. For 10 % down write "
                f"relative=-0.1, for 10 more of every 100 absolute=0.1."
            )
        for name in ("source", "target", *(["instead"] if self.instead is not None else [])):
            if not isinstance(getattr(self, name), str):
                raise ParameterError(f"{name} must be the name of a state, not {getattr(self, name)!r}.")
        low, high = {"relative": (-1.0, np.inf), "absolute": (-1.0, 1.0), "to": (0.0, 1.0)}[given[0]]
        size = getattr(self, given[0])
        if isinstance(size, bool) or not isinstance(size, int | float) or not isfinite(size):
            raise ParameterError(f"{given[0]} must be a finite number, not {size!r}.")
        if not low <= size <= high:
            upper = "" if high == np.inf else f" to {high:g}"
            raise ParameterError(f"{given[0]} must be from {low:g}{upper or ' on'}, not {size:g}.")
        if self.instead == self.target:
            raise ParameterError(f"instead cannot be {self.instead!r}, the target itself.")

    def __repr__(self) -> str:
        instead = "" if self.instead is None else f", instead of {self.instead}"
        return f"Change({self.source} to {self.target}, {self._size}{instead})"

    @property
    def _size(self) -> str:
        if self.to is not None:
            return f"at {self.to:g}"
        size = self.relative if self.relative is not None else self.absolute
        assert size is not None
        shown = f"{abs(size) * 100:g} %" if self.relative is not None else f"{abs(size):g}"
        return f"{shown} {'down' if size < 0 else 'up'}"

    def wanted(self, probability: float) -> float:
        """Return what a probability becomes; it may be impossible."""
        if self.to is not None:
            return self.to
        if self.relative is not None:
            return probability * (1 + self.relative)
        assert self.absolute is not None
        return probability + self.absolute


ChangesLike = Change | Sequence[Change]


def as_changes(given: Any) -> tuple[Change, ...]:
    """Bring changes into a tuple; refuse what is none."""
    changes = (given,) if isinstance(given, Change) else given
    if (
        not isinstance(changes, Sequence)
        or not changes
        or not all(isinstance(one, Change) for one in changes)
    ):
        raise ParameterError(
            f"changes cannot be {given!r}. Give a Change, or a list of them, such as Change('cart', relative=-0.1)."
        )
    return tuple(changes)


@dataclass(frozen=True)
class _Move:
    """A change of one state's row: places of edges."""

    change: Change
    source: str
    edge: int
    others: Int64s
    instead: int

    def applied(self, probability: Floats) -> Floats:
        """Return the probabilities after the change, as far as it is possible."""
        before = probability[self.edge]
        wanted = min(max(self.change.wanted(float(before)), 0.0), 1.0)
        after = probability.copy()
        if self.instead == THE_REST:
            rest = probability[self.others].sum()
            if rest <= 0:
                return probability
            after[self.others] *= (1 - wanted) / rest
        else:
            wanted = min(wanted, float(before + probability[self.instead]))
            after[self.instead] += before - wanted
        after[self.edge] = wanted
        return after

    def check(self, probability: Floats) -> None:
        """Refuse what is impossible."""
        before = float(probability[self.edge])
        wanted, move = self.change.wanted(before), f"from {self.source!r} to {self.change.target!r}"
        if not -ROUNDING <= wanted <= 1 + ROUNDING:
            raise ParameterError(
                f"{self.change!r} would make the probability {move} {wanted:.4g}; it is {before:.4g}, and must stay "
                f"from 0 to 1. Change it less."
            )
        if self.instead == THE_REST:
            if wanted < 1 and probability[self.others].sum() <= 0:
                raise ParameterError(
                    f"{self.change!r} leaves open where the others go: every move from {self.source!r} goes to "
                    f"{self.change.target!r}. Say where with instead=."
                )
            return
        free = float(probability[self.instead])
        if wanted - before > free + ROUNDING:
            raise ParameterError(
                f"{self.change!r} takes {wanted - before:.4g} from the moves to {self.change.instead!r}, which have "
                f"{free:.4g} of {self.source!r}. Change it less, or leave instead= out to take from all."
            )


def _after(moves: Sequence[_Move], chain: AbsorbingChain) -> AbsorbingChain:
    """Return a chain after changes; what is not seen to be left stays so."""
    probability = chain.probability
    for move in moves:
        probability = move.applied(probability)
    return replace(chain, probability=probability)


def changed_fit(model: ChainStates, changes: Sequence[Change], order: int | None = None) -> tuple[Fit, Fit]:
    """Fit a chain before and after changes, made one after the other.

    Parameters
    ----------
    model : MarkovChain
        The chain.
    changes : sequence of Change
        What changes.
    order : int, optional
        How many states make up one of the chain's; by default as many as the longest name has.

    Returns
    -------
    before, after : Fit
        With the same edges: those that the changes bring in have no moves.

    Raises
    ------
    UnknownNameError
        If there is no such state.
    UndefinedError
        If a share of a move that was never seen is to change, or nobody was in the source.
    ParameterError
        If a probability would leave [0, 1].
    """
    pairs = [pair for change in changes for pair in _pairs(model, change, order)]
    before = _with_edges(model.fitted, [(source, place) for _, source, *places in pairs for place in places])
    moves = [_move(model, before, *pair) for pair in pairs]
    probability = before.chain.probability
    for move in moves:
        move.check(probability)
        probability = move.applied(probability)
    return before, before.changed(partial(_after, moves))


def _pairs(model: ChainStates, change: Change, order: int | None) -> list[tuple[Change, int, int, int]]:
    """Return the source, the target and the state instead, by their places, for every state that is meant."""
    fitted, found = model.fitted, []
    length = order or max((len(state.split(BETWEEN)) for state in model.states), default=1)
    sources = _named(model.states, change.source, length)
    if not sources:
        raise UnknownNameError("state", [change.source], model.states, advice="")
    for source in sources:
        seen = fitted.edge_target[(fitted.edge_source == source) & (fitted.chain.probability > 0)]
        names = [change.target] if change.instead is None else [change.target, change.instead]
        places = [_target(model, source, name, seen, length) for name in names]
        if change.relative is not None and places[0] not in seen:
            continue
        found.append((change, source, places[0], places[1] if change.instead is not None else THE_REST))
    if not found:
        raise UndefinedError(
            f"no move from {change.source!r} to {change.target!r} was seen: a share of it is nothing. Change it with "
            f"absolute= or to=."
        )
    return found


def _named(names: Sequence[str], wanted: str, order: int) -> list[int]:
    """Return the places of the states that are, or end in, what is named."""
    return [i for i, name in enumerate(names) if is_meant(name, wanted, order)]


def is_meant(name: str, wanted: str, order: int) -> bool:
    """Say whether a change that names `wanted` means this state or end."""
    return name == wanted or (order > 1 and name.endswith(BETWEEN + wanted))


def _target(model: ChainStates, source: int, name: str, seen: Int64s, order: int) -> int:
    """Return the place of a state or end that a move leads to; of longer states, the one that follows."""
    known = model.names
    own = [] if model.states[source] == model.start else model.states[source].split(BETWEEN)
    onward = BETWEEN.join([*own, name][-order:])
    for each in (name, onward):
        if each in known and (order == 1 or each == onward or each in model.ends):
            return known.index(each)
    last = [place for place in seen.tolist() if is_meant(known[place], name, order)]
    if len(last) == 1:
        return int(last[0])
    if _named(known, name, order):
        raise UndefinedError(
            f"no state {onward!r} was seen, to which a move from {model.states[source]!r} to {name!r} would lead. "
            f"Name a state that has this move as source, or fit a chain of order 1."
        )
    raise UnknownNameError("state", [name], known, advice="")


def _with_edges(fitted: Fit, wanted: Sequence[tuple[int, int]]) -> Fit:
    """Add edges without moves, where they are missing."""
    size = fitted.states + fitted.ends
    known = set((fitted.edge_source * size + fitted.edge_target).tolist())
    new = sorted({(a, b) for a, b in wanted if b != THE_REST and a * size + b not in known})
    if not new:
        return fitted
    source, target = (np.array(each, np.int64) for each in zip(*new, strict=True))
    return replace(
        fitted,
        source=np.append(fitted.source, source),
        target=np.append(fitted.target, target),
        group=np.append(fitted.group, np.full(len(new), fitted.group[0] if fitted.group.size else 0)),
        count=np.append(fitted.count, np.zeros(len(new))),
    )


def _move(model: ChainStates, fitted: Fit, change: Change, source: int, target: int, instead: int) -> _Move:
    row = np.flatnonzero(fitted.edge_source == source)
    own = fitted.edge_target[row]
    edge = int(row[own == target][0])
    other = THE_REST if instead == THE_REST else int(row[own == instead][0])
    return _Move(change, model.states[source], edge, row[row != edge], other)
