"""What is true of models in the simulated shop, and how journeykit estimates it: for `interval_coverage.py`.

chain move        P(next event | event) up to the first purchase, of moves that are not rare: the planted chain
what-if           P(purchase) after a change of some moves less P(purchase) now, times the paths to be expected where
                  it is a number of conversions: the planted chain, solved twice
removal effect    of a channel, in the chain of the users' visits: channels are drawn anew for every visit, so that the
                  chain has one number that matters, how often a visit is followed by another one without a purchase
median time       until half of those at the checkout have done anything more: a silence is log-normal, and some leave
"""

from __future__ import annotations

from math import exp
from statistics import NormalDist

import numpy as np
import polars as pl

import journeykit as jk
from journeykit.datasets import ShopTruth, SimulatedShop
from journeykit.datasets.planted import (
    CART,
    DEVICE_SHARES,
    DEVICES,
    EVENTS,
    PURCHASE,
    START,
    event_chain,
    reaching,
    visits,
)
from journeykit.datasets.simulation import _ANOTHER_SESSION, _MOST_SESSIONS, CHANNEL_SHARES, CHANNELS

COLUMNS = ["truth", "device", "source", "target"]
CONVERT, ABANDON = "<CONVERT>", "<ABANDON>"
CHANGES = (
    jk.Change("payment", relative=-0.4, instead=CONVERT),
    jk.Change(CART, relative=-0.2),
    jk.Change("product_view", CART, absolute=0.05),
)
SILENCE, SPREAD = 30.0, 1.2


def model_truths(truth: ShopTruth, users: int) -> pl.DataFrame:
    """List every truth: `truth`, `device` ("all" for both), `source`, `target`, `value`."""
    rows = [
        row
        for device in DEVICES
        for row in (*_moves(device, users), *_what_ifs(device, users), *_medians(device))
    ]
    rows += [("removal effect", "all", name, "", value) for name, value in _removal_effects(truth)]
    return pl.DataFrame(rows, schema=[*COLUMNS, "value"], orient="row")


def _moves(device: str, users: int) -> list[tuple[str, str, str, str, float]]:
    """List the moves that are to be expected ten times: one that is not seen has no interval."""
    chain, targets = event_chain(device), (*EVENTS, ABANDON)
    often = _paths(device, users) * visits(chain)[:, None] * chain
    return [
        ("chain move", device, source, CONVERT if targets[j] == PURCHASE else targets[j], float(chain[i, j]))
        for i, source in enumerate((START, *EVENTS))
        for j in np.flatnonzero(often[i] >= 10)
        if source != PURCHASE
    ]


def _paths(device: str, users: int) -> float:
    """Return how many visits are to be expected on a device."""
    return users * dict(zip(DEVICES, DEVICE_SHARES, strict=True))[device] * _visits()


def _what_ifs(device: str, users: int) -> list[tuple[str, str, str, str, float]]:
    """Change the planted chain by hand, without a line of journeykit's own."""
    end, bought, cart = len(EVENTS), EVENTS.index(PURCHASE), EVENTS.index(CART)

    def payment(own: np.ndarray) -> None:
        own[bought] += 0.4 * own[end]
        own[end] *= 0.6

    def to(own: np.ndarray, column: int, wanted: float) -> None:
        own *= (1 - wanted) / (1 - own[column])
        own[column] = wanted

    changes = {
        "payment": payment,
        CART: lambda own: to(own, end, 0.8 * own[end]),
        "product_view": lambda own: to(own, cart, own[cart] + 0.05),
    }
    now, together, found = reaching(event_chain(device), [PURCHASE])[0], event_chain(device), []
    for source, change in changes.items():
        alone = event_chain(device)
        for chain in (alone, together):
            change(chain[1 + EVENTS.index(source)])
        won = float(reaching(alone, [PURCHASE])[0] - now)
        found.append(("what-if", device, source, "conversions", _paths(device, users) * won))
    won = float(reaching(together, [PURCHASE])[0] - now)
    return [*found, ("what-if", device, "all", "difference", won)]


def _visits() -> float:
    """Return how many visits users make on average."""
    return 1 + float((_ANOTHER_SESSION ** np.arange(1, _MOST_SESSIONS)).sum())


def _removal_effects(truth: ShopTruth) -> list[tuple[str, float]]:
    """Solve the chain of visits: another visit without a purchase has the same chance after every channel."""
    another = (1 - truth.conversion_rate) * (1 - 1 / _visits())
    rest = [1 - share for share in CHANNEL_SHARES]
    effects = [1 - kept * (1 - another) / (1 - another * kept) for kept in rest]
    return list(zip(CHANNELS, effects, strict=True))


def _medians(device: str) -> list[tuple[str, str, str, str, float]]:
    leaving = float(event_chain(device)[1 + EVENTS.index("checkout"), -1])
    median = SILENCE * exp(SPREAD * NormalDist().inv_cdf(0.5 / (1 - leaving)))
    return [("median time", device, unit, "", median) for unit in ("session", "user")]


def measure_models(shop: SimulatedShop) -> pl.DataFrame:
    """Estimate the truths through the public API: the columns of COLUMNS, `low` and `high`."""
    journeys = jk.read_events(
        shop.events, user="user", time="time", event="event", keep=["device", "channel"]
    ).sessionize(timeout="30m")
    chain = jk.Chain(PURCHASE)
    times = [
        jk.TimeToConvert(list(EVENTS), "checkout", unit=unit, resolution="1ms", missing="ignore")
        for unit in ("session", "user")
    ]
    moves, changed, *medians = journeys.measure(chain, jk.WhatIf(chain, CHANGES), *times, by="device")
    effects = journeys.measure(jk.Attribution(PURCHASE, "channel", models="markov", per="session"))
    low, high = pl.col("removal_effect_low").alias("low"), pl.col("removal_effect_high").alias("high")
    found = [
        _rows("chain move", moves.frame, source="source", target="target"),
        _rows(
            "removal effect",
            effects.frame.filter(pl.col("channel") != "<DIRECT>").select(
                pl.lit("all").alias("device"), "channel", low, high
            ),
            source="channel",
        ),
    ]
    bounds = {"change_in_conversions_low": "low", "change_in_conversions_high": "high"}
    alone = changed.changes.with_columns(pl.lit("conversions").alias("target"))
    found.append(_rows("what-if", alone.rename(bounds), source="source", target="target"))
    bounds = {"difference_low": "low", "difference_high": "high"}
    together = changed.frame.with_columns(pl.lit("all").alias("source"), pl.lit("difference").alias("target"))
    found.append(_rows("what-if", together.rename(bounds), source="source", target="target"))
    bounds = {"time_median_low": "low", "time_median_high": "high"}
    for unit, each in zip(("session", "user"), medians, strict=True):
        frame = each.frame.select("device", pl.lit(unit).alias("source"), *bounds).rename(bounds)
        found.append(_rows("median time", frame, source="source"))
    return pl.concat(found)


def _rows(truth: str, frame: pl.DataFrame, *, source: str, target: str | None = None) -> pl.DataFrame:
    return frame.select(
        pl.lit(truth).alias("truth"),
        pl.col("device").cast(pl.String),
        pl.col(source).cast(pl.String).alias("source"),
        (pl.lit("") if target is None else pl.col(target).cast(pl.String)).alias("target"),
        pl.col("low", "high").cast(pl.Float64),
    )
