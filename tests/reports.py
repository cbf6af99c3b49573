"""Journeys for the tests of reports: a small shop, and one in which every name is hostile."""

from __future__ import annotations

import polars as pl

import journeykit as jk
from tests.logs import HOSTILE_NAMES

GOAL = "purchase"


def shop(users: int = 400) -> jk.Journeys:
    """Return a simulated shop with stages."""
    made = jk.datasets.simulate_shop(users, rng=1)
    events = jk.read_events(made.events, user="user", time="time", event="event", keep=["device", "channel"])
    return events.sessionize("30m").assign_stages(jk.stages.five_stage(**made.stages), missing="ignore")


def hostile(users: int = 60) -> tuple[jk.Journeys, str]:
    """Return journeys whose events, stages, users and properties have hostile names; and the goal."""
    names = [name for name in HOSTILE_NAMES if name]
    rows = [
        {"user": f"{names[u % len(names)]}{u}", "time": u * 10**7 + i, "event": names[(u * i) % len(names)],
         "device": names[(u + 1) % len(names)]}
        for u in range(users) for i in range(8)
    ]  # fmt: skip
    log = jk.read_events(
        pl.DataFrame(rows), user="user", time="time", event="event", unit="ms", keep=["device"]
    )
    first, second = names[:9], names[9:]
    model = jk.StageModel(
        [jk.Stage("<img src=x onerror=alert(1)>", first), jk.Stage("two\nlines \u202e", second)]
    )
    return log.sessionize("30m").assign_stages(model, missing="ignore"), names[0]
