"""What a user with strict types writes. Checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, assert_type

import networkx as nx
import numpy as np
import polars as pl

import journeykit as jk
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import Grouped, groups_per_cell, with_rate
from journeykit.statistics.outcomes.abandonment_answer import AbandonmentAnswer
from journeykit.statistics.outcomes.conversion import ConversionAnswer
from journeykit.statistics.overview.table import OverviewAnswer
from journeykit.statistics.paths.table import PathTable
from journeykit.statistics.stage_flow.table import StageFlowAnswer
from journeykit.statistics.transitions.graph import TransitionGraph
from journeykit.statistics.units import count_units


def the_main_job(log: pl.DataFrame) -> pl.DataFrame:
    events = jk.read_events(log, user="user_id", time="timestamp", event="event", keep=["device"])
    assert_type(events, jk.Events)
    journeys = events.sessionize(timeout="30m")
    assert_type(journeys, jk.Journeys)
    flow = journeys.measure(jk.Transitions(of="event", unit="session"))
    assert_type(flow, TransitionGraph)
    assert_type(flow.frame, pl.DataFrame)
    assert_type(flow.conversion("purchase"), pl.DataFrame)
    return flow.frame


def each_question_has_its_answer(journeys: jk.Journeys) -> None:
    assert_type(journeys.measure(jk.Overview(goal="purchase")), OverviewAnswer)
    assert_type(journeys.measure(jk.TopPaths(20)), PathTable)
    assert_type(journeys.measure(jk.Conversion("purchase")), ConversionAnswer)
    assert_type(journeys.measure(jk.Abandonment(["purchase"], horizon="14d")), AbandonmentAnswer)
    assert_type(journeys.measure(jk.StageFlow(unit="session")), StageFlowAnswer)


def several_questions_keep_their_types(journeys: jk.Journeys) -> None:
    flow, paths = journeys.measure(jk.Transitions(), jk.TopPaths(20), by="device")
    assert_type(flow, TransitionGraph)
    assert_type(paths, PathTable)
    crossed = journeys.measure(
        jk.Transitions(), by=["device", jk.Segment("channel", at="last")], every="1w", level=0.9
    )
    assert_type(crossed.notes, tuple[str, ...])


def stages(journeys: jk.Journeys) -> jk.Journeys:
    model = jk.StageModel.load("stages.toml")
    own = jk.StageModel(
        [jk.Stage("look", "view"), jk.Stage("buy", jk.stages.event("purchase", nth=2), priority=1)]
    )
    own.save(Path("own.toml"))
    return journeys.assign_stages(model)


def a_graph(journeys: jk.Journeys) -> nx.DiGraph[str]:
    return journeys.measure(jk.Transitions(of="stage")).to_networkx()


def parts_and_files(journeys: jk.Journeys) -> jk.Journeys:
    mobile = journeys.filter(
        pl.col("device") == "mobile", keep="users", start=datetime(2026, 1, 1, tzinfo=UTC)
    )
    few = mobile.sample(100, rng=np.random.default_rng(1)).head(10)
    few.write("few", overwrite=True)
    return jk.open_journeys("few")


def a_plan_has_the_same_verbs() -> pl.DataFrame:
    plan = jk.scan_events("s3://logs/*.parquet", user="user", time="time", event="event").sessionize("30m")
    return plan.measure(jk.Transitions(), engine=jk.InMemory()).frame


def durations_are_texts_or_timedeltas(events: jk.Events) -> tuple[jk.Journeys, jk.Journeys]:
    return events.sessionize(timeout="30m"), events.sessionize(timeout=timedelta(minutes=30))


def rules_are_values(events: jk.Events) -> jk.Journeys:
    rule = jk.SessionRule("30m", max_duration="12h", split_on=["campaign"])
    return events.sessionize(jk.sessions.mixpanel() if rule == jk.SessionRule() else rule)


def bare_numbers_and_typos_are_refused(events: jk.Events) -> None:
    events.sessionize(timeout=30)  # type: ignore[arg-type]
    jk.Transitions(of="evnet")  # type: ignore[arg-type]
    jk.Abandonment("purchase", unit="sesion")  # type: ignore[arg-type]


def errors_are_caught_by_kind(log: pl.DataFrame) -> str:
    try:
        jk.read_events(log, user="usr", time="timestamp", event="event")
    except jk.errors.MissingColumnError as error:
        return error.column
    except jk.JourneykitError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class DeepSessions(jk.Statistic[jk.Answer]):
    """A statistic of one's own."""

    n: int = 5
    tables: ClassVar[Mapping[str, Sequence[str]]] = {"units": ()}

    def tally(self, shard: jk.Journeys, cells: Cells) -> Tables:
        paths = shard.paths("session")
        cell = cells.of(paths, "session")
        every = count_units(paths, cell, paths.lengths >= 1)
        deep = count_units(paths, cell, paths.lengths >= self.n).select("cell", deep="paths")
        return {"units": every.join(deep, on="cell", how="left").with_columns(pl.col("deep").fill_null(0))}

    def answer(self, tables: Tables, context: Context) -> jk.Answer:
        units = Grouped(tables["units"], ())
        parts, whole, users = units.sums("deep"), units.sums("paths"), units.totals["users"]
        rows, groups = np.arange(units.totals.height), groups_per_cell(tables)
        frame = with_rate(units.totals, "deep_share", parts, whole, rows, groups, users, context)
        return jk.Answer(context.label(frame), self, context)


def statistics_of_ones_own_are_asked_like_any_other(journeys: jk.Journeys) -> None:
    assert_type(journeys.measure(DeepSessions(8), by="device"), jk.Answer)
