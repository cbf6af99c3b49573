"""Experiments, user by user. D13.5, and the arms' means without each group of users (D13.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tests.oracle.paths import Path


class User(NamedTuple):
    """The arm, what the user did after the exposure, and before it; arm None: not in the comparison."""

    arm: str | None
    after: float
    before: float
    reason: str | None = None


def users_of(
    paths: Sequence[Path], assignment: str, event: str, until: int, *,
    started: int | None = None, within: int | None = None, cuped: int | None = None, count: str = "users",
) -> dict[Any, User]:  # fmt: skip
    """What each user contributes to one metric."""
    found = {}
    for path in paths:
        known = [
            (i, item.row[assignment]) for i, item in enumerate(path.items)
            if item.row[assignment] is not None and (started is None or item.time >= started)
        ]  # fmt: skip
        why = reason(path, known, until, within)
        if why is not None:
            found[path.user] = User(None, 0.0, 0.0, why)
            continue
        at, arm = known[0]
        after, before = numbers(path, at, event, count, within, cuped)
        if count == "users":
            after, before = float(after > 0), float(before > 0)
        found[path.user] = User(arm, after, before)
    return found


def reason(path: Path, known: Sequence[tuple[int, str]], until: int, within: int | None) -> str | None:
    """Why a user is not in the comparison."""
    if not known:
        return "outside"
    if any(arm != known[0][1] for _, arm in known):
        return "two arms"
    if within is not None and until - path.items[known[0][0]].time < within:
        return "not over"
    return None


def numbers(
    path: Path, at: int, event: str, count: str, within: int | None, cuped: int | None
) -> tuple[float, float]:
    """The sums over the user's events from the exposure on, and before it."""
    after = before = 0.0
    since = path.items[at].time
    for i, item in enumerate(path.items):
        value = 1.0 if count != "value" else item.row["value"]
        if item.name != event or value is None:
            continue
        if i >= at and (within is None or item.time - since <= within):
            after += value
        elif i < at and cuped is not None and since - item.time <= cuped:
            before += value
    return after, before


def difference(users: Mapping[Any, User], chosen: Collection[Any], arms: tuple[str, str]) -> float | None:
    """Mean of the second arm less that of the first, without what the past explains."""
    sides = [[users[each] for each in chosen if users[each].arm == arm] for arm in arms]
    if not all(sides):
        return None
    y = [sum(user.after for user in side) / len(side) for side in sides]
    x = [sum(user.before for user in side) / len(side) for side in sides]
    top = bottom = 0.0
    for side, mean_y, mean_x in zip(sides, y, x, strict=True):
        top += sum((user.before - mean_x) * (user.after - mean_y) for user in side)
        bottom += sum((user.before - mean_x) ** 2 for user in side)
    slope = top / bottom if bottom > 1e-9 else 0.0
    return (y[1] - y[0]) - slope * (x[1] - x[0])
