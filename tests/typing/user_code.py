"""What a user with strict types writes. Checked by mypy, never run."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import networkx as nx
import polars as pl

import journeykit as jk


def the_main_job(log: pl.DataFrame) -> pl.DataFrame:
    events = jk.read_events(log, user="user_id", time="timestamp", event="event", keep=["device"])
    assert_type(events, jk.Events)
    journeys = events.sessionize(timeout="30m")
    assert_type(journeys, jk.Journeys)
    flow = journeys.measure(jk.Transitions(of="event", unit="session"))
    assert_type(flow.frame, pl.DataFrame)
    return flow.frame


def several_questions_keep_their_types(journeys: jk.Journeys) -> None:
    flow, paths = journeys.measure(jk.Transitions(), jk.TopPaths(20), by="device")
    assert_type(flow.frame, pl.DataFrame)
    assert_type(paths.frame, pl.DataFrame)


def stages(journeys: jk.Journeys) -> jk.Journeys:
    model = jk.StageModel.load("stages.toml")
    return journeys.assign_stages(model)


def a_graph(journeys: jk.Journeys) -> nx.DiGraph[str]:
    return journeys.measure(jk.Transitions(of="stage")).to_networkx()


def durations_are_texts_or_timedeltas(events: jk.Events) -> tuple[jk.Journeys, jk.Journeys]:
    return events.sessionize(timeout="30m"), events.sessionize(timeout=timedelta(minutes=30))


def bare_numbers_and_typos_are_refused(events: jk.Events) -> None:
    events.sessionize(timeout=30)  # type: ignore[arg-type]
    jk.Transitions(of="evnet")  # type: ignore[arg-type]


def errors_are_caught_by_kind(log: pl.DataFrame) -> str:
    try:
        jk.read_events(log, user="usr", time="timestamp", event="event")
    except jk.JourneykitError as error:
        return str(error)
    return ""
