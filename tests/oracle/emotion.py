"""Ratings, the visits that they speak of, and what they say, one by one. D15.1 to D15.3."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tests.oracle.numbers import rate
from tests.oracle.paths import Path

SCALES = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7), "stars": (1, 5), "sentiment": (-1, 1)}


class Rating(NamedTuple):
    """What a user said, of a touchpoint if it is named."""

    user: Any
    time: int
    value: float
    touchpoint: str | None = None


class Joined(NamedTuple):
    """A rating, the place of its visit in the user's path, and its touchpoint; None where there is none."""

    rating: Rating
    place: int | None
    touchpoint: str | None


def joined(
    paths: Sequence[Path], ratings: Sequence[Rating], max_lag: int, rating_events: Collection[str] = ()
) -> list[Joined]:
    """Give every rating of a known user the visit that it speaks of. D15.1.

    Choice: a rating that names a touchpoint speaks of its last visit to that one, and of it without any visit.
    """
    by_user = {path.user: path for path in paths}
    found = []
    for rating in ratings:
        if rating.user not in by_user:
            continue
        place = None
        for i, item in enumerate(by_user[rating.user].items):
            assert item.time is not None
            fits = item.name not in rating_events and rating.touchpoint in (None, item.name)
            if fits and 0 <= rating.time - item.time <= max_lag:
                place = i
        name = rating.touchpoint if place is None else by_user[rating.user].names[place]
        found.append(Joined(rating, place, name))
    return found


def emotion(kind: str, value: float, reverse: bool = False) -> float:
    """From -1 to 1. D15.2."""
    low, high = SCALES[kind]
    good = low + high - value if reverse else value
    if kind == "nps":
        return 1 if good >= 9 else -1 if good <= 6 else 0
    return good if kind == "sentiment" else (2 * good - low - high) / (high - low)


def score(kind: str, values: Sequence[float], reverse: bool = False) -> float | None:
    """The score of some ratings; NPS as a share. D15.2."""
    low, high = SCALES[kind]
    good = [low + high - value if reverse else value for value in values]
    if kind == "nps":
        return rate(sum(each >= 9 for each in good) - sum(each <= 6 for each in good), len(good))
    if kind == "csat":
        return rate(sum(each >= 4 for each in good), len(good))
    return rate(sum(good), len(good))


def numbers(
    found: Sequence[Joined],
    visits: Sequence[tuple[Any, int]],
    kind: str,
    reverse: bool,
    min_n: int,
    weight: str,
) -> Mapping[str, Any]:
    """Numbers of one touchpoint or stage: its ratings, and its visits by user and place. D15.3."""
    rated = {(one.rating.user, one.place) for one in found if one.place is not None} & set(visits)
    feelings: dict[Any, list[float]] = {}
    for one in found:
        feelings.setdefault(one.rating.user, []).append(emotion(kind, one.rating.value, reverse))
    every = [each for own in feelings.values() for each in own]
    means = [sum(own) / len(own) for own in feelings.values()]
    enough, low = len(every) >= min_n, sum(each < 0 for each in every)
    mean = rate(sum(every), len(every)) if weight == "rating" else rate(sum(means), len(means))
    return {
        "visits": len(visits),
        "visitors": len({user for user, _ in visits}),
        "ratings": len(every),
        "raters": len(feelings),
        "rated_visits": len(rated),
        "coverage": rate(len(rated), len(visits)),
        "emotion": mean if enough else None,
        "low_ratings": low,
        "low_share": rate(low, len(every)) if enough else None,
        "score": score(kind, [one.rating.value for one in found], reverse) if enough else None,
    }
