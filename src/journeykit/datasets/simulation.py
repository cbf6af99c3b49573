"""A simulated shop: any number of users, whose every rate is known in advance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.datasets.planted import (
    DEVICE_SHARES,
    DEVICES,
    EVENTS,
    PURCHASE,
    STAGES,
    ShopTruth,
    checked_pains,
    event_chain,
    shop_truth,
)
from journeykit.errors import ParameterError

Integers: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.uint8]

CHANNELS: tuple[str, ...] = ("organic", "paid_search", "email", "social", "direct")
CHANNEL_SHARES: tuple[float, ...] = (0.35, 0.25, 0.15, 0.15, 0.10)

SATISFACTION: dict[str, float] = {
    "product_view": 4.0, "review_read": 4.2, "delivery_info": 2.6, "returns_policy": 2.4, "cart_view": 3.4,
    "checkout": 2.8, "payment": 2.9, "purchase": 4.4, "support_chat": 2.2, "return_request": 2.0, "rewards": 4.5,
}  # fmt: skip
"""The mean stars of an event; of others 3.6."""
_USUAL_STARS, _RATED, _COMMENTED = 3.6, 0.03, 0.3
COMMENTS = ("This made me angry.", "Harder than it should be.", "It was fine.", "Good.", "I loved it.")

# All times in milliseconds.
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_FIRST_DAY = 1_767_571_200_000  # Monday 2026-01-05 00:00 UTC
_DAYS = 84
_ARRIVAL_DAYS = 70
_MOST_SESSIONS = 12
_ANOTHER_SESSION = 0.55
_OPENS, _CLOSES = 6 * _HOUR, 22 * _HOUR
# Sessions of a user start on different days, so at least 8 h apart: over 2 h of silence remain.
_LONGEST_SESSION = 6 * _HOUR


@dataclass(frozen=True, eq=False)
class SimulatedShop:
    """The log of a simulated shop, and the truth behind it.

    Attributes
    ----------
    events : polars.DataFrame
        One row per event in the order of time: `user` (String), `time` (Datetime, us, UTC), `event` (String),
        `device` (String, one per user), `channel` (String, one per session), `value` (Float64: the worth of
        the order at a `purchase`, null elsewhere).
    truth : ShopTruth
        The planted probabilities and what follows from them exactly.
    stages : dict of str to list of str
        The five stages in order, each with the names of its events; every event has one stage.
    ratings : polars.DataFrame
        What some users said within two minutes after an event, in the order of time: `user`, `time`, `value` (Int64,
        stars from 1 to 5), `touchpoint` (String, the event), `comment` (String, of some). What is felt at each event is
        planted: `SATISFACTION`.
    """

    events: pl.DataFrame
    truth: ShopTruth
    stages: dict[str, list[str]]
    ratings: pl.DataFrame


def simulate_shop(
    n_users: int, *, rng: int | np.random.Generator, pains: Mapping[str, float] | None = None
) -> SimulatedShop:
    """Simulate the visits of users to a shop over twelve weeks, with a planted truth.

    Parameters
    ----------
    n_users : int
        How many users, 0 or more. Each has at least one session, each session at least one event.
    rng : int or numpy.random.Generator
        A seed (0 or more), or a generator, which then moves on.
    pains : mapping of str to float, optional
        Planted pains: with which probability a session ends after a visit to an event that would have gone on, such as
        ``{"checkout": 0.3}``. Sessions go as they go without, until then.

    Returns
    -------
    SimulatedShop
        `events`, about 10 rows per user; `truth`; `stages`; `ratings`.

    Raises
    ------
    ParameterError
        If `n_users` is not a whole number of at least 0, `rng` is neither a seed nor a generator, or `pains` names no
        event of the shop or holds no probability.

    Notes
    -----
    Users are independent of one another. A user has one device and 1 to 12 sessions, whose number does not
    depend on the device; the sessions are independent given the device. Silences inside a session are at most
    25 minutes, those between sessions over 2 hours: sessionizing at 30 minutes gives back the planted
    sessions. O(n) for n events but for the sort by time; about 0.6 s and 150 MB per million events.

    Examples
    --------
    >>> simulated = simulate_shop(100, rng=7)
    >>> simulated.events["user"].n_unique()
    100
    >>> list(simulated.stages)
    ['awareness', 'consideration', 'purchase', 'usage', 'loyalty']
    >>> round(simulated.truth.device_effect, 4)
    -0.0668
    """
    random = generator(rng)
    users = whole_number(n_users)
    planted = checked_pains(pains)
    # Apart from the generator of the events, which draws what it drew before there were pains and ratings.
    leaving, saying = random.spawn(2)
    events = _events(users, random, planted, leaving)
    stages = {stage: list(names) for stage, names in STAGES.items()}
    return SimulatedShop(events, shop_truth(planted), stages, _ratings(events, saying))


def _events(
    users: int, rng: np.random.Generator, pains: Mapping[str, float], leaving: np.random.Generator
) -> pl.DataFrame:
    devices = _draw(rng, DEVICE_SHARES, users)
    sessions = np.minimum(rng.geometric(1 - _ANOTHER_SESSION, users), _MOST_SESSIONS)
    session_user = np.repeat(np.arange(users), sessions)
    starts = _session_starts(rng, sessions, session_user)
    # Sessions in the order of time from here on: events are then nearly sorted, and memory is read in order.
    by_start = np.argsort(starts, kind="stable")
    starts, session_user = starts[by_start], session_user[by_start]
    channels = _draw(rng, CHANNEL_SHARES, session_user.size)
    codes, lengths = _with_pains(*_walk(rng, devices[session_user]), pains, leaving)
    times = _event_times(rng, starts, lengths)
    values = np.full(codes.size, np.nan)
    bought = codes == EVENTS.index(PURCHASE)
    values[bought] = np.round(rng.lognormal(3.8, 0.6, int(bought.sum())), 2)
    order = np.argsort(times, kind="stable")
    session = np.repeat(np.arange(session_user.size), lengths)[order]
    user = session_user[session]
    return pl.DataFrame(
        {
            "user": _user_ids(users).gather(user),
            "time": pl.Series(times[order] * 1_000).cast(pl.Datetime("us", "UTC")),
            "event": _named(EVENTS, codes[order]),
            "device": _named(DEVICES, devices[user]),
            "channel": _named(CHANNELS, channels[session]),
            "value": pl.Series(values[order]).fill_nan(None),
        }
    )


def _session_starts(rng: np.random.Generator, sessions: Integers, session_user: Integers) -> Integers:
    """Place the sessions of each user on different days, most of them soon after the first."""
    arrival = rng.integers(0, _ARRIVAL_DAYS, sessions.size)
    free_days = (_DAYS - arrival - sessions)[session_user]
    late = np.floor(rng.random(session_user.size) ** 2 * (free_days + 1)).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(sessions)])[:-1]
    late[first] = 0
    late = np.sort(session_user * _DAYS + late) - session_user * _DAYS
    number = np.arange(session_user.size) - np.repeat(first, sessions)
    day = arrival[session_user] + late + number
    starts: Integers = _FIRST_DAY + day * _DAY + rng.integers(_OPENS, _CLOSES, session_user.size)
    return starts


def _walk(rng: np.random.Generator, session_device: Codes) -> tuple[Codes, Integers]:
    """Walk every session from START to END; give the event codes, session after session, and the lengths."""
    table = np.stack([event_chain(device) for device in DEVICES])
    _, states, width = table.shape
    bounds = (np.arange(len(DEVICES) * states)[:, None] + np.cumsum(table, axis=2).reshape(-1, width)).ravel()
    active = np.arange(session_device.size)
    first_row = session_device.astype(np.int64) * states
    row = first_row
    lengths = np.zeros(session_device.size, dtype=np.int64)
    steps: list[tuple[Integers, Codes]] = []
    while active.size:
        drawn = np.searchsorted(bounds, row + rng.random(active.size), side="right") - row * width
        # Rounding may leave the last bound a hair under the row's end.
        code = np.minimum(drawn, width - 1)
        going = code < len(EVENTS)
        active, code = active[going], code[going]
        steps.append((active, code.astype(np.uint8)))
        lengths[active] += 1
        row = first_row[active] + 1 + code
    first = np.cumsum(lengths) - lengths
    codes = np.empty(int(lengths.sum()), dtype=np.uint8)
    for number, (walking, step) in enumerate(steps):
        codes[first[walking] + number] = step
    return codes, lengths


def _with_pains(
    codes: Codes, lengths: Integers, pains: Mapping[str, float], rng: np.random.Generator
) -> tuple[Codes, Integers]:
    """End sessions after the first event whose pain they feel."""
    if not pains:
        return codes, lengths
    chance = np.array([pains.get(name, 0.0) for name in EVENTS])
    felt = rng.random(codes.size) < chance[codes]
    before: Integers = np.cumsum(felt) - felt
    first = np.cumsum(lengths) - lengths
    session = np.repeat(np.arange(lengths.size), lengths)
    kept = np.asarray(before == before[first][session])
    return codes[kept], np.bincount(session[kept], minlength=lengths.size).astype(np.int64)


def _ratings(events: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Let some users rate an event within two minutes, about as it is felt, and some of them say why."""
    rated = np.flatnonzero(rng.random(events.height) < _RATED)
    names = events["event"].gather(rated)
    felt = names.replace_strict(SATISFACTION, default=_USUAL_STARS, return_dtype=pl.Float64).to_numpy()
    stars = np.clip(np.rint(rng.normal(felt, 0.9)), 1, 5).astype(np.int64)
    later = rng.integers(1, 120, rated.size)
    said = rng.random(rated.size) < _COMMENTED
    texts = pl.Series(COMMENTS, dtype=pl.String).gather(stars - 1)
    return (
        pl.DataFrame(
            {
                "user": events["user"].gather(rated),
                "time": events["time"].gather(rated) + pl.Series(later * 1_000_000).cast(pl.Duration("us")),
                "value": stars,
                "touchpoint": names,
                "comment": names.str.replace_all("_", " ") + ": " + texts,
            }
        )
        .with_columns(pl.when(pl.Series(said, dtype=pl.Boolean)).then("comment"))
        .sort("time", maintain_order=True)
    )


def _event_times(rng: np.random.Generator, starts: Integers, lengths: Integers) -> Integers:
    """Put the events of each session behind its start, seconds to minutes apart."""
    first = np.cumsum(lengths) - lengths
    silence = np.clip(rng.lognormal(np.log(30 * _SECOND), 1.2, int(lengths.sum())), _SECOND, 25 * _MINUTE)
    elapsed = np.cumsum(silence.astype(np.int64))
    elapsed -= np.repeat(elapsed[first], lengths)
    longest = elapsed[first + lengths - 1]
    squeeze = np.minimum(1.0, _LONGEST_SESSION / np.maximum(longest, 1))
    times: Integers = np.repeat(starts, lengths) + (elapsed * np.repeat(squeeze, lengths)).astype(np.int64)
    return times


def _draw(rng: np.random.Generator, shares: tuple[float, ...], size: int) -> Codes:
    return np.searchsorted(np.cumsum(shares)[:-1], rng.random(size), side="right").astype(np.uint8)


def _user_ids(users: int) -> pl.Series:
    numbers = pl.int_range(1, users + 1, dtype=pl.Int64, eager=True)
    return "u" + numbers.cast(pl.String).str.zfill(7)


def _named(names: tuple[str, ...], codes: Codes) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(codes)


def whole_number(n_users: object) -> int:
    """Refuse what is no number of users."""
    if isinstance(n_users, bool) or not isinstance(n_users, Integral) or n_users < 0:
        raise ParameterError(f"n_users cannot be {n_users!r}. Give a whole number of users, 0 or more.")
    return int(n_users)


def generator(rng: object) -> np.random.Generator:
    """Return a generator, from its seed too."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, Integral) or rng < 0:
        raise ParameterError(
            f"rng cannot be {rng!r}. Give a seed (a whole number, 0 or more) or a numpy.random.Generator."
        )
    return np.random.default_rng(int(rng))
