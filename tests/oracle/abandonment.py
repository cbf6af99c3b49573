"""Who converted, who gave up, who may still come. D5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tests.oracle.numbers import Rows, rate, seconds
from tests.oracle.paths import Path
from tests.oracle.survival import converted_by


class Unit(NamedTuple):
    """One unit in order: times, where the origin and the goal match, and a label (event, stage) per event."""

    times: Sequence[int]
    origin: Sequence[bool]
    goal: Sequence[bool]
    labels: Sequence[Any] = ()


class Status(NamedTuple):
    """What became of a unit that reached the origin. D5.2."""

    status: str
    expired: bool
    resumed: bool
    origin: int
    goal: int | None


def flags(rows: Rows, names: Collection[str] | None) -> list[bool]:
    """Where one of the names stands; None is any event."""
    return [names is None or row["event"] in names for row in rows]


def status(unit: Unit, horizon: float, until: int, window: int | None = None) -> Status | None:
    """Status as of T; None if the unit never reached the origin. D5.1, D5.2.

    Choices: expired marks every abandoned unit whose window is over, also one that was silent for the
    horizon. Resumed marks a unit that came back from a silence of the horizon or longer, between the
    origin and the goal (without a goal: anywhere after the origin).
    """
    if True not in unit.origin:
        return None
    s = list(unit.origin).index(True)
    r = unit.times[s]
    later = [i for i in range(s + 1, len(unit.times)) if unit.goal[i]]
    g = next((i for i in later if window is None or unit.times[i] <= r + window), None)
    over = window is not None and r + window <= until
    abandoned = g is None and (until - unit.times[-1] >= horizon or over)
    stop = len(unit.times) if g is None else g + 1
    resumed = any(unit.times[i] - unit.times[i - 1] >= horizon for i in range(s + 1, stop))
    name = "converted" if g is not None else "abandoned" if abandoned else "open"
    return Status(name, abandoned and over, resumed, s, g)


def abandonment(
    units: Sequence[Unit], horizon: float, until: int, window: int | None = None
) -> dict[str, Any]:
    """Counts and rates of D5.2 and D5.3."""
    found = [one for one in (status(unit, horizon, until, window) for unit in units) if one is not None]
    count = Counter(one.status for one in found)
    reached, converted, abandoned = len(found), count["converted"], count["abandoned"]
    return {
        "reached": reached,
        "converted": converted,
        "abandoned": abandoned,
        "expired": sum(one.expired for one in found),
        "open": count["open"],
        "resumed": sum(one.resumed for one in found),
        "conversion_share": rate(converted, reached),
        "abandoned_share": rate(abandoned, reached),
        "open_share": rate(count["open"], reached),
        "abandonment_rate": rate(abandoned, converted + abandoned),
    }


def horizon_sensitivity(
    units: Sequence[Unit], horizon: int, until: int, window: int | None = None
) -> list[tuple[float, float | None]]:
    """Abandonment rate at H/4, H/2, H, 2H, 4H. D5.3."""
    horizons = [horizon * factor for factor in (0.25, 0.5, 1, 2, 4)]
    return [(one, abandonment(units, one, until, window)["abandonment_rate"]) for one in horizons]


def where_abandoned(
    units: Sequence[Unit], horizon: int, until: int, window: int | None = None, at_least: bool = False
) -> dict[Any, dict[str, Any]]:
    """Abandoned units by the label of their last event. D5.5.

    Choice: the units of a state are those that reached the origin and carry the label at or after it; with
    at_least (furthest stage) those whose last label is no smaller.
    """
    rows = [(unit, status(unit, horizon, until, window)) for unit in units]
    reached = [(unit, one) for unit, one in rows if one is not None]
    lost = Counter(unit.labels[-1] for unit, one in reached if one.status == "abandoned")
    table: dict[Any, dict[str, Any]] = {}
    for label, count in lost.items():
        if at_least:
            base = sum((unit.labels[-1] or 0) >= (label or 0) for unit, _ in reached)
        else:
            base = sum(label in unit.labels[one.origin :] for unit, one in reached)
        table[label] = {
            "abandoned": count,
            "share": rate(count, sum(lost.values())),
            "reached": base,
            "rate": rate(count, base),
        }
    return table


def time_and_outcome(
    unit: Unit, horizon: int, until: int, window: int | None = None
) -> tuple[float, int] | None:
    """Seconds from r and 0 censored, 1 converted, 2 abandoned, of the first episode. D5.4, D14."""
    if True not in unit.origin:
        return None
    s = list(unit.origin).index(True)
    r = unit.times[s]
    took, outcome = until - r, 0
    for i in range(s, len(unit.times)):
        if i > s and unit.goal[i]:
            took, outcome = unit.times[i] - r, 1
            break
        following = unit.times[i + 1] if i + 1 < len(unit.times) else until
        if following - unit.times[i] >= horizon:
            took, outcome = unit.times[i] + horizon - r, 2
            break
    if window is not None and window < took:
        took, outcome = window, 0
    return seconds(took), outcome


def unconverted_by(units: Sequence[Unit], horizon: int, until: int, tau: float) -> float | None:
    """1 - F_1(tau), the censoring-aware figure beside the abandonment rate. D5.3, D14.3."""
    observed = [one for one in (time_and_outcome(unit, horizon, until) for unit in units) if one is not None]
    share = converted_by(observed, tau)
    return None if share is None else 1 - share


def classic_abandonment(
    paths: Sequence[Path], carts: Collection[str], purchases: Collection[str], after: bool = True
) -> dict[str, Any]:
    """1 - x / y of D5.6 over paths of sessions (or of users)."""
    with_cart = bought = 0
    for path in paths:
        first = next((i for i, name in enumerate(path.names) if name in carts), None)
        if first is None:
            continue
        with_cart += 1
        bought += any(name in purchases for name in path.names[first + 1 if after else 0 :])
    share = rate(bought, with_cart)
    return {"carts": with_cart, "purchased": bought, "rate": None if share is None else 1 - share}
