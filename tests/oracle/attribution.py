"""Which touches earn a conversion. D11."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.oracle.conversion import solve
from tests.oracle.numbers import Row, Rows
from tests.oracle.ordering import order
from tests.oracle.sessions import sessions

Touch = tuple[str, int]


class TouchPath(NamedTuple):
    """Touches as (channel, time); the time of the conversion, None without one; its value; if it may still come."""

    touches: tuple[Touch, ...]
    converted: int | None
    value: float
    user: Any
    is_open: bool = False


def touch_paths(
    rows: Rows,
    goals: Collection[str],
    *,
    touch: Collection[str] | None = None,
    per: str = "event",
    lookback: int | str = "user",
    reset: bool = True,
    channel: str = "channel",
    value: str = "value",
    horizon: int | None = None,
) -> list[TouchPath]:
    """One per conversion, and one per unit that has touches after its last conversion. D11.1, D3.5.

    Choice: what is left after the last conversion is cut to `lookback` before its last touch. Sessions are cut, and
    open, by half an hour.
    """
    found = []
    until = max(row["time"] for row in rows)
    for user, own in order(rows).items():
        parts = sessions(own).sessions
        firsts = [next((row for row in part if is_touch(row, channel, touch)), None) for part in parts]

        def counts(row: Row, firsts: Sequence[Row | None] = firsts) -> bool:
            fits = is_touch(row, channel, touch)
            return fits and (per == "event" or any(row is first for first in firsts))

        for unit in parts if lookback == "session" else [own]:
            at = [i for i, row in enumerate(unit) if row["event"] in goals]
            for number, i in enumerate(at):
                since = at[number - 1] + 1 if reset and number else 0
                path = [row for row in unit[since:i] if counts(row)]
                kept = within(path, lookback, unit[i]["time"], channel)
                found.append(TouchPath(kept, unit[i]["time"], unit[i].get(value) or 0.0, user))
            rest = [row for row in unit[at[-1] + 1 if at else 0 :] if counts(row)]
            silence = until - unit[-1]["time"]
            is_open = silence <= 1_800_000_000 if lookback == "session" else silence < (horizon or 0)
            if rest:
                last = within(rest, lookback, rest[-1]["time"], channel)
                found.append(TouchPath(last, None, 0.0, user, is_open))
    return found


def is_touch(row: Row, channel: str, touch: Collection[str] | None) -> bool:
    """Whether an event bears a channel."""
    return row.get(channel) is not None and (touch is None or row["event"] in touch)


def within(path: Sequence[Row], lookback: int | str, until: int, channel: str) -> tuple[Touch, ...]:
    """Touches at most so long before."""
    return tuple(
        (row[channel], row["time"])
        for row in path
        if isinstance(lookback, str) or until - row["time"] <= lookback
    )


def transformed(path: TouchPath, transform: str) -> TouchPath:
    """The path transforms of D8.12; the first touch of a run keeps its time."""
    kept: list[Touch] = []
    for touch in path.touches:
        names = [name for name, _ in kept]
        if transform == "first" and touch[0] in names:
            continue
        if transform == "exposure" and names and names[-1] == touch[0]:
            continue
        kept.append(touch)
    return path._replace(touches=tuple(kept))


def weights(
    model: str, path: TouchPath, direct: str, position: Sequence[float], half_life: float
) -> list[float]:
    """The weight of every touch. D11.2."""
    names = [name for name, _ in path.touches]
    m = len(names)
    if model in ("linear_distinct", "shapley", "shapley_ordered", "participation"):
        each = 1.0 if model == "participation" else 1 / len(set(names))
        return [each if names.index(name) == i else 0.0 for i, name in enumerate(names)]
    if model == "linear":
        return [1 / m] * m
    if model == "time_decay":
        assert path.converted is not None
        halved = [2 ** (-(path.converted - time) / half_life) for _, time in path.touches]
        total = math.fsum(halved)
        return [one / total for one in halved]
    if model in ("position", "j", "inverse_j"):
        first, middle, last = {"j": (0.2, 0.2, 0.6), "inverse_j": (0.6, 0.2, 0.2)}.get(model, position)
        if m == 1:
            return [1.0]
        if m == 2:
            return [first / (first + last), last / (first + last)]
        return [first, *[middle / (m - 2)] * (m - 2), last]
    chosen = {"first": 0, "last": m - 1}.get(model)
    if chosen is None:
        others = [i for i, name in enumerate(names) if name != direct]
        chosen = others[-1] if others else m - 1
    return [1.0 if i == chosen else 0.0 for i in range(m)]


def credit(
    model: str,
    paths: Sequence[TouchPath],
    *,
    of: Callable[[TouchPath], float] = lambda path: 1.0,
    direct: str = "<DIRECT>",
    position: Sequence[float] = (0.4, 0.2, 0.4),
    half_life: float = 7 * 86_400_000_000,
) -> dict[str, float]:
    """What each channel earns of the conversions (or of their value), untouched ones for `direct`. D11.1, D11.2."""
    earned: Counter[str] = Counter()
    for path in paths:
        if path.converted is None:
            continue
        if not path.touches:
            earned[direct] += of(path)  # type: ignore[assignment]
            continue
        own = weights(model, path, direct, position, half_life)
        for (name, _), weight in zip(path.touches, own, strict=True):
            earned[name] += weight * of(path)  # type: ignore[assignment]
    return dict(earned)


State = tuple[str, ...]


def converting(
    paths: Sequence[TouchPath], order: int, removed: Callable[[State], bool] = lambda state: False
) -> Fraction:
    """P(convert) of the chain whose states are the last touches, with some states left for nowhere. D11.3."""
    moves: Counter[tuple[State, State | str]] = Counter()
    for path in paths:
        if not path.touches:
            continue
        state: State = ()
        for name, _ in path.touches:
            after = (*state, name)[-order:]
            moves[state, after] += 1
            state = after
        moves[state, "convert" if path.converted is not None else "abandon"] += 1
    states = sorted({source for source, _ in moves})
    out = {a: sum(n for (source, _), n in moves.items() if source == a) for a in states}
    matrix = [
        [
            Fraction(int(a == b)) - (Fraction(0) if removed(b) else Fraction(moves.get((a, b), 0), out[a]))
            for b in states
        ]
        for a in states
    ]
    chances = solve(matrix, [Fraction(moves.get((a, "convert"), 0), out[a]) for a in states])
    return dict(zip(states, chances, strict=True))[()]


def removal_effect(paths: Sequence[TouchPath], order: int, removed: Callable[[State], bool]) -> Fraction:
    """The share of conversions lost. D11.3."""
    return 1 - converting(paths, order, removed) / converting(paths, order)


def coalition_value(paths: Sequence[TouchPath], channels: Collection[str]) -> int:
    """Conversions whose touches are all of these channels: the game that Shapley shares out."""
    return sum(
        path.converted is not None
        and bool(path.touches)
        and {name for name, _ in path.touches} <= set(channels)
        for path in paths
    )


def shapley(paths: Sequence[TouchPath]) -> dict[str, Fraction]:
    """The Shapley value by its definition, over all coalitions."""
    channels = sorted({name for path in paths for name, _ in path.touches})
    n = len(channels)
    values: dict[str, Fraction] = {}
    for channel in channels:
        others = [name for name in channels if name != channel]
        total = Fraction(0)
        for mask in range(1 << len(others)):
            coalition = {name for i, name in enumerate(others) if mask >> i & 1}
            size = len(coalition)
            share = Fraction(math.factorial(size) * math.factorial(n - size - 1), math.factorial(n))
            total += share * (
                coalition_value(paths, coalition | {channel}) - coalition_value(paths, coalition)
            )
        values[channel] = total
    return values
