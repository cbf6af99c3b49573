"""Which what-ifs are left out, and said to be."""

from __future__ import annotations

import polars as pl

import journeykit as jk
from tests.logs import MINUTE, SECOND
from tests.measuring import journeys_of


def test_what_ifs_of_small_pains_are_left_out(monkeypatch):
    monkeypatch.setattr("journeykit.models.pains.pains.WHAT_IFS", 2)
    paths = ["a b buy"] * 3 + ["a c"] * 3 + ["d"]
    rows = [
        {"user": f"u{n}", "time": n * 1000 * MINUTE + i * SECOND, "event": event}
        for n, path in enumerate(paths)
        for i, event in enumerate(path.split())
    ]
    answer = journeys_of(rows).measure(jk.PainPoints(jk.Chain("buy", open_paths="end")))
    assert answer.frame.filter(pl.col("lost_conversions").is_not_null()).height == 4
    assert (
        answer.notes[-2]
        == "Regained conversions are computed for the largest pains; for 2 touchpoints they are null."
    )


def test_a_touchpoint_at_which_all_of_a_group_give_up_raises_no_warning():
    made = jk.datasets.simulate_shop(60, rng=1)
    events = jk.read_events(made.events, user="user", time="time", event="event", keep=["device"])
    journeys = events.sessionize("30m").assign_stages(jk.stages.five_stage(**made.stages), missing="ignore")
    answer = journeys.measure(jk.PainPoints(jk.Chain("purchase")), by="device")
    assert answer.frame.filter(pl.col("exit_rate") < 1)["lost_conversions"].null_count() == 0
