"""Answers from shards on disk are those from memory: any log, any plan, any statistic."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import journeykit as jk
from tests.logs import DAY, frame, logs
from tests.property.test_law import ALL, EACH, MODEL, assert_same, rows_of

pytestmark = pytest.mark.property


def plan_of(rows, rule="30m", **options):
    columns = {key for row in rows for key in row}
    roles = {name: name for name in ("user", "time", "event", "order", "session", "value") if name in columns}
    keep = sorted(columns - {*roles})
    return jk.scan_events(frame(rows), **roles, keep=keep, **options).sessionize(rule)


def assert_same_everywhere(plan, engine, *statistics, **options):
    """All tables, and what the answers say of where they come from."""
    wanted = plan.measure(*statistics, **options)
    found = plan.measure(*statistics, engine=engine, **options)
    if len(statistics) == 1:
        wanted, found = (wanted,), (found,)
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)
        assert_same_context(one.context, other.context)


def assert_same_context(found, wanted):
    for name in wanted.__dataclass_fields__:
        one, other = getattr(found, name), getattr(wanted, name)
        if isinstance(other, pl.Series | pl.DataFrame):
            assert one.equals(other), name
        else:
            assert one == other, name


@pytest.fixture(scope="module")
def rows():
    return rows_of(1)


@pytest.mark.parametrize(
    ("options", "statistics"),
    [({}, ALL), ({"by": "device"}, EACH), ({"every": "1d"}, EACH)],
    ids=["all", "by segment", "by day"],
)
def test_every_statistic(options, statistics, rows, tmp_path):
    plan = plan_of(rows).assign_stages(MODEL)
    engine = jk.OutOfCore(shards=5, directory=tmp_path)
    assert_same_everywhere(plan, engine, *statistics, **options)
    assert not [*tmp_path.iterdir()]


def test_every_statistic_in_a_pool(rows, tmp_path):
    plan = plan_of(rows).assign_stages(MODEL)
    with ThreadPoolExecutor(3) as executor:
        engine = jk.Pool(executor, shards=9, directory=tmp_path)
        assert_same_everywhere(plan, engine, *EACH, by="device", every="1w")
        assert_same_everywhere(plan, replace(engine, shards=70), *QUESTIONS, by="device", every="1w")
        journeys = plan.collect()
        found, wanted = (journeys.measure(*EACH, by="device", engine=each) for each in (engine, None))
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)
    assert not [*tmp_path.iterdir()]


CLEANING = jk.PathCleaning(rules=[("^c.*", "c")], collapse_repeats=True)
QUESTIONS = (jk.Overview(), jk.Transitions(unit="user"), jk.TopPaths(None), jk.Retention(), jk.Lifecycle())
RULES = (
    "30m",
    jk.SessionRule(None, split_at="day"),
    jk.SessionRule.from_column(null_session="own"),
    jk.SessionRule.from_column(null_session="outside"),
)


def verbs_of(draw, names):
    """Up to three verbs, in any order that is allowed."""
    name = st.sampled_from(names)
    start = draw.draw(st.integers(-3, 3)) * DAY
    yield from draw.draw(
        st.lists(
            st.sampled_from(
                [
                    ("filter", {"where": pl.col("device") == "mobile", "keep": "sessions"}),
                    ("filter", {"events": draw.draw(name), "keep": "users"}),
                    ("filter", {"users": [draw.draw(st.sampled_from(["u1", "7"]))], "missing": "ignore"}),
                    ("filter", {"start": moment(start), "end": moment(start + 9 * DAY), "keep": "sessions"}),
                    ("filter", {"end": moment(1_711_670_400 * 1_000_000)}),
                    ("clean", {"cleaning": CLEANING}),
                    ("assign_stages", {"model": MODEL, "missing": "ignore"}),
                ]
            ),
            max_size=3,
        )
    )


def answers_or_error(plan, options):
    try:
        return plan.measure(*QUESTIONS, **options)
    except jk.JourneykitError as error:
        return f"{type(error).__name__}: {error}"


def moment(us):
    return pl.Series([us]).cast(pl.Datetime("us", "UTC")).item()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    logs(min_events=1, with_order=True, with_session=True, with_properties=True),
    st.sampled_from(RULES),
    st.sampled_from([1, 2, 64, "auto"]),
    st.sampled_from(
        [{}, {"by": ["device", jk.Segment("campaign", "last")]}, {"by": "device", "every": "1mo"}]
    ),
    st.data(),
)
def test_any_log_and_any_plan(rows, rule, shards, options, draw):
    plan = plan_of(rows, rule, duplicates=draw.draw(st.sampled_from(["keep", "drop"])), tz="Europe/Berlin")
    names = sorted({row["event"] for row in rows})
    for verb, arguments in verbs_of(draw, names):
        plan = getattr(plan, verb)(**arguments)
    wanted = answers_or_error(plan, options)
    found = answers_or_error(plan, {**options, "engine": jk.OutOfCore(shards=shards)})
    if isinstance(wanted, str):
        assert found == wanted
        return
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)
        assert_same_context(one.context, other.context)
