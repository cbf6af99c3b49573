"""Transitions against the slow twin: every number of D4.2, the identities of D4.1, intervals of D12."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.errors import ParameterError
from journeykit.statistics import counting
from tests import oracle
from tests.logs import HOUR, log, logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table
from tests.oracle import END, START
from tests.oracle.transitions import all_steps

pytestmark = pytest.mark.property

UNITS = ("session", "user")
EDGE = {
    "transitions": "count", "users": "users", "sessions": "sessions", "probability": "probability",
    "probability_in": "probability_in", "share": "share", "user_share": "user_share", "lift": "lift",
    "time_mean": "time_mean", "time_median": "time_median", "time_p90": "time_p90", "time_min": "time_min",
    "time_max": "time_max",
}  # fmt: skip
NODE = {"visits": "count", "users": "users", "exit_rate": "exit_rate", "entry_share": "entry_share"}


def named(state):
    """Write a state of order k as tables do."""
    return " > ".join(state) if isinstance(state, tuple) else state


def expected_edges(paths, **options):
    return {
        (named(source), named(target)): {name: getattr(edge, field) for name, field in EDGE.items()}
        for (source, target), edge in oracle.edges(paths, **options).items()
    }


def expected_nodes(paths, **options):
    return {
        named(state): {name: getattr(node, field) for name, field in NODE.items()}
        for state, node in oracle.nodes(paths, **options).items()
    }


def assert_graph(graph, paths, **options):
    assert_close(table(graph.frame, ("source", "target"), list(EDGE)), expected_edges(paths, **options))
    options.pop("include_end", None)
    assert_close(table(graph.states, ("state",), list(NODE)), expected_nodes(paths, **options))


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, with_order=True))
def test_every_number_of_events(unit, rows):
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit, quantiles=(0.5, 0.9)))
    assert_graph(graph, paths_of(rows, unit))


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=("view", "cart")))
def test_collapsed_repeats(unit, rows):
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit, collapse_repeats=True, quantiles=(0.5, 0.9)))
    assert_graph(graph, paths_of(rows, unit), collapse_repeats="first")


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=("view", "", "c<b>")), order=st.integers(2, 3), collapse=st.booleans())
def test_tuples_of_states(unit, rows, order, collapse):
    statistic = jk.Transitions(unit=unit, order=order, collapse_repeats=collapse, quantiles=(0.5, 0.9))
    options = {"order": order, "collapse_repeats": "first" if collapse else None}
    assert_graph(journeys_of(rows).measure(statistic), paths_of(rows, unit), **options)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=("view", "cart", "help")))
def test_without_end(unit, rows):
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit, include_end=False, quantiles=(0.5, 0.9)))
    paths = paths_of(rows, unit)
    edges = {pair: edge for pair, edge in expected_edges(paths, include_end=False).items() if pair[1] != END}
    assert_close(table(graph.frame, ("source", "target"), list(EDGE)), edges)
    assert_close(table(graph.states, ("state",), list(NODE)), expected_nodes(paths))


@given(rows=logs(min_events=1, names=("view", "cart", "help")), order=st.integers(1, 2))
def test_censored_sessions(rows, order):
    graph = journeys_of(rows).measure(jk.Transitions(open_paths="censor", order=order, quantiles=(0.5, 0.9)))
    assert_graph(graph, paths_of(rows), open_paths="censor", order=order)


@given(rows=logs(min_events=1, names=("view", "cart", "help")), hours=st.sampled_from((1, 3, 24, 168)))
def test_censored_users(rows, hours):
    statistic = jk.Transitions(
        unit="user", open_paths="censor", horizon=timedelta(hours=hours), quantiles=(0.5, 0.9)
    )
    paths = paths_of(rows, "user", horizon=hours * HOUR)
    assert_graph(journeys_of(rows).measure(statistic), paths, open_paths="censor")


def staged(paths, rows):
    """Give every event the stage its user is in, and leave out those before the first."""
    stage_of = {"view": "look", "cart": "want", "purchase": "own"}
    current = {}
    for user, own in oracle.order(rows).items():
        stage = None
        for row in own:
            stage = stage_of.get(row["event"], stage)
            current[id(row)] = stage
        del user
    found = []
    for path in paths:
        items = [item._replace(name=current[id(item.row)]) for item in path.items if current[id(item.row)]]
        if items:
            found.append(path._replace(items=tuple(items)))
    return found


MODEL = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart"), jk.Stage("own", "purchase")])


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=logs(min_events=1, names=("view", "cart", "purchase", "help", "ping")),
    order=st.integers(1, 3),
    collapse=st.booleans(),
)
def test_every_number_of_stages(unit, rows, order, collapse):
    journeys = journeys_of(rows).assign_stages(MODEL, missing="ignore")
    statistic = jk.Transitions(
        of="stage", unit=unit, order=order, collapse_repeats=collapse, quantiles=(0.5, 0.9)
    )
    options = {"order": order, "collapse_repeats": "first" if collapse else None}
    assert_graph(journeys.measure(statistic), staged(paths_of(rows, unit), rows), **options)


@pytest.mark.parametrize("null_session", ["own", "outside"])
@given(rows=logs(min_events=1, names=("view", "cart"), with_session=True, max_users=3))
def test_sessions_that_interleave(null_session, rows):
    """A user's path goes in and out of its sessions, and each still counts once per edge. D2.3, D4.2."""
    if null_session == "outside" and all(row["session"] is None for row in rows):
        rows[0]["session"] = "s1"
    journeys = journeys_of(rows, jk.SessionRule.from_column(null_session=null_session))
    quantiles = (0.5, 0.9)
    sessions = oracle.column_paths(rows, null_session)
    if sessions:
        assert_graph(journeys.measure(jk.Transitions(quantiles=quantiles)), sessions)
    number_of = {id(item.row): item.session for path in sessions for item in path.items}
    users = [
        path._replace(items=tuple(item._replace(session=number_of.get(id(item.row))) for item in path.items))
        for path in paths_of(rows, "user")
    ]
    for order in (1, 2):
        graph = journeys.measure(jk.Transitions(unit="user", quantiles=quantiles, order=order))
        assert_graph(graph, users, order=order)
    sessions_of = {}
    for path in users:
        for item in path.items:
            if item.session is not None:
                sessions_of.setdefault(item.name, set()).add(item.session)
    states = journeys.measure(jk.Transitions(unit="user")).states
    for name, count in states.select("state", "sessions").iter_rows():
        assert count == len(sessions_of.get(name, ()))


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, with_properties=True))
def test_hashed_counting_is_dense_counting(unit, rows):
    statistic = jk.Transitions(unit=unit, quantiles=(0.5, 0.9))
    journeys = journeys_of(rows)
    dense = journeys.measure(statistic, by="device")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "DENSE_NUMBERS", 0)
        hashed = journeys.measure(statistic, by="device")
    assert hashed.frame.equals(dense.frame)
    assert hashed.states.equals(dense.states)


@given(rows=logs(min_events=1))
def test_identities(rows):
    journeys = journeys_of(rows)
    visits = Counter(row["event"] for row in rows)
    for unit in UNITS:
        graph = journeys.measure(jk.Transitions(unit=unit))
        frame = graph.frame
        out = dict(frame.group_by("source").agg(pl.sum("transitions")).iter_rows())
        into = dict(frame.group_by("target").agg(pl.sum("transitions")).iter_rows())
        paths = len(paths_of(rows, unit))
        assert out.pop(START) == into.pop(END) == paths
        assert out == into == visits == dict(graph.states.select("state", "visits").iter_rows())
        assert frame["transitions"].sum() == len(rows) + paths
        sums = frame.group_by("source").agg(pl.sum("probability"))["probability"]
        assert np.allclose(sums, 1)
        assert np.isclose(frame["share"].sum(), 1)


@given(rows=logs(min_events=1, names=("view", "cart", "help")))
def test_rows_are_sorted(rows):
    graph = journeys_of(rows).measure(jk.Transitions())

    def rank(name):
        return name != START, name == END, name

    edges = graph.frame.select("transitions", "source", "target").rows()
    assert edges == sorted(edges, key=lambda row: (-row[0], rank(row[1]), rank(row[2])))
    states = graph.states.select("visits", "state").rows()
    assert states == sorted(states, key=lambda row: (-row[0], row[1]))


def first_known(path, name):
    return next((item.row[name] for item in path.items if item.row.get(name) is not None), None)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=("view", "cart"), with_properties=True))
def test_segments(unit, rows):
    """Each path counts once, in the segment of its first known value; null is a segment of its own."""
    graph = journeys_of(rows).measure(
        jk.Transitions(unit=unit, quantiles=(0.5, 0.9)), by=["device", "campaign"]
    )
    cells = {}
    for path in paths_of(rows, unit):
        cells.setdefault((first_known(path, "device"), first_known(path, "campaign")), []).append(path)
    found = table(graph.frame, ("device", "campaign", "source", "target"), list(EDGE))
    expected = {
        (*cell, *edge): numbers
        for cell, paths in cells.items()
        for edge, numbers in expected_edges(paths).items()
    }
    assert_close(found, expected)
    nodes = {(*cell, state): n for cell, paths in cells.items() for state, n in expected_nodes(paths).items()}
    assert_close(table(graph.states, ("device", "campaign", "state"), list(NODE)), nodes)


@given(rows=logs(min_events=1, names=("view", "cart"), with_properties=True))
def test_segments_by_the_last_value(rows):
    graph = journeys_of(rows).measure(jk.Transitions(unit="user"), by=jk.Segment("device", at="last"))
    cells = Counter(
        first_known(path._replace(items=path.items[::-1]), "device") for path in paths_of(rows, "user")
    )
    starts = graph.frame.filter(pl.col("source") == START).group_by("device").agg(pl.sum("transitions"))
    assert dict(starts.iter_rows()) == cells


@given(rows=logs(min_events=2, names=("view", "cart"), with_properties=True, with_session=True, max_users=2))
def test_segments_of_users_whose_sessions_interleave(rows):
    journeys = journeys_of(rows, jk.SessionRule.from_column(null_session="own"))
    for at in ("first", "last"):
        graph = journeys.measure(jk.Transitions(unit="user"), by=jk.Segment("device", at=at))
        paths = paths_of(rows, "user")
        turned = paths if at == "first" else [path._replace(items=path.items[::-1]) for path in paths]
        starts = graph.frame.filter(pl.col("source") == START).group_by("device").agg(pl.sum("transitions"))
        assert dict(starts.iter_rows()) == Counter(first_known(path, "device") for path in turned)


def period_start(time, every, zone):
    """Return the first instant of the day, week (from Monday), month, quarter or year. D1.7."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)).astimezone(zone)
    if every == "1h":
        standard = local.utcoffset() - local.dst()
        since = (local + standard - local.utcoffset()).replace(tzinfo=None) - datetime(1970, 1, 1)
        return local - since % timedelta(hours=1)
    day = local.date()
    first = {
        "1d": day,
        "1w": day - timedelta(days=day.weekday()),
        "1w-sunday": day - timedelta(days=(day.weekday() + 1) % 7),
        "1mo": day.replace(day=1),
        "1q": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "1y": day.replace(month=1, day=1),
    }[every]
    return datetime(first.year, first.month, first.day, tzinfo=zone)


@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@given(
    rows=logs(min_events=1, names=("view", "cart")),
    every=st.sampled_from(("1h", "1d", "1w", "1w-sunday", "1mo", "1q", "1y")),
)
def test_periods_of_a_time_zone(tz, rows, every):
    zone = ZoneInfo(tz)
    graph = journeys_of(rows, tz=tz).measure(jk.Transitions(quantiles=(0.5, 0.9)), every=every)
    cells = {}
    for path in paths_of(rows):
        cells.setdefault(period_start(path.items[0].time, every, zone), []).append(path)
    found = table(graph.frame, ("period", "source", "target"), list(EDGE))
    expected = {
        (cell, *edge): numbers
        for cell, paths in cells.items()
        for edge, numbers in expected_edges(paths).items()
    }
    assert_close(found, expected)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1))
def test_matrix_and_graph_show_the_edge_table(unit, rows):
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit))
    edges = table(graph.frame, ("source", "target"), ("transitions", "probability"))
    matrix = graph.matrix("transitions")
    names = matrix["source"].to_list()
    assert matrix.columns == ["source", *names]
    assert names == [START, *sorted({row["event"] for row in rows}), END]
    for row in matrix.iter_rows(named=True):
        source = row.pop("source")
        for target, count in row.items():
            assert count == edges.get((source, target), {"transitions": 0})["transitions"]
    network = graph.to_networkx()
    assert {pair: network.edges[pair]["probability"] for pair in network.edges} == {
        pair: edge["probability"] for pair, edge in edges.items()
    }
    assert {name: network.nodes[name]["visits"] for name in names[1:-1]} == Counter(
        row["event"] for row in rows
    )


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1), data=st.data())
def test_conversion_is_the_exact_solution_of_the_chain(unit, rows, data):
    paths = paths_of(rows, unit)
    states = sorted({row["event"] for row in rows})
    goals = data.draw(st.lists(st.sampled_from(states), min_size=1, max_size=2, unique=True))
    exact = oracle.absorption(oracle.transition_counts(paths), goals)
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit))
    found = table(graph.conversion(goals), ("state",), ("probability",))
    assert_close(found, {state: {"probability": float(p)} for state, p in exact.items()}, 1e-9)


# Intervals: many users, since fewer than ten groups have none.


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("seed", [1, 2])
def test_intervals_of_probabilities(unit, seed):
    """Delete-a-group jackknife on the logit scale, Wilson where it does not move. D12.3."""
    rows = many_users(seed)
    paths = paths_of(rows, unit)
    users = sorted({row["user"] for row in rows})
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit), level=0.9)
    steps = Counter((step.user, step.source, step.target) for step in all_steps(paths))
    having = {a: {user for user, source, _ in steps if source == a} for _, a, _ in steps}
    checked = Counter()
    for row in graph.frame.iter_rows(named=True):
        a, b = row["source"], row["target"]

        def probability(kept, a=a, b=b):
            chosen = set(kept)
            leaving = sum(n for (user, source, _), n in steps.items() if source == a and user in chosen)
            return oracle.rate(
                sum(n for (user, *edge), n in steps.items() if edge == [a, b] and user in chosen), leaving
            )

        if unit == "user" and a == START:
            wanted = oracle.wilson(row["probability"], len(paths), 0.9)
        else:
            wanted = oracle.jackknife(
                users, probability, "logit", level=0.9, denominator_users=len(having[a])
            )
        assert np.isclose(row["low"], wanted.low)
        assert np.isclose(row["high"], wanted.high)
        checked[wanted.method] += 1
    assert checked["jackknife"]


@pytest.mark.parametrize("unit", UNITS)
def test_intervals_of_states(unit):
    """An entry share of users is a plain proportion (Wilson); of sessions, and exit rates, jackknife. D12."""
    rows = many_users(5)
    paths = paths_of(rows, unit)
    users = sorted({row["user"] for row in rows})
    graph = journeys_of(rows).measure(jk.Transitions(unit=unit))
    for row in graph.states.iter_rows(named=True):
        state = row["state"]

        def entry(kept, state=state):
            own = [path for path in paths if path.user in set(kept)]
            return oracle.rate(sum(path.names[0] == state for path in own), len(own))

        def leaving(kept, state=state):
            own = [path for path in paths if path.user in set(kept)]
            visits = sum(path.names.count(state) for path in own)
            return oracle.rate(sum(path.names[-1] == state for path in own), visits)

        wanted = {
            "entry_share": oracle.wilson(entry(users), len(users))
            if unit == "user"
            else oracle.jackknife(users, entry, "logit", denominator_users=len(users)),
            "exit_rate": oracle.jackknife(users, leaving, "logit", denominator_users=row["users"]),
        }
        for name, interval in wanted.items():
            assert np.isclose(row[f"{name}_low"], interval.low), (name, state)
            assert np.isclose(row[f"{name}_high"], interval.high), (name, state)


def test_intervals_of_conversion():
    """The chain is solved again without each group. D12.4."""
    rows = many_users(3)
    paths = paths_of(rows)
    users = sorted({row["user"] for row in rows})
    graph = journeys_of(rows).measure(jk.Transitions())
    groups = {user: oracle.group(user) for user in users}

    def chain(kept):
        counts = oracle.transition_counts([path for path in paths if path.user in kept])
        return {state: float(p) for state, p in oracle.absorption(counts, ["buy"]).items()}

    whole = chain(set(users))
    present = sorted(set(groups.values()))
    without = [chain({user for user in users if groups[user] != gone}) for gone in present]
    from tests.oracle.intervals import interval, standard_error

    for row in graph.conversion("buy").iter_rows(named=True):
        state = row["state"]
        se = standard_error(whole[state], [one[state] for one in without], len(present))
        wanted = interval(whole[state], se, len(present), "logit")
        assert np.isclose(row["low"], wanted.low)
        assert np.isclose(row["high"], wanted.high)


def test_intervals_of_medians():
    """Woodruff: the interval of F(median), mapped back through the percentiles. D12.5."""
    rows = many_users(7, users=120)
    paths = paths_of(rows)
    users = sorted({row["user"] for row in rows})
    graph = journeys_of(rows).measure(jk.Transitions(quantiles=(0.5,)))
    gaps = {}
    for path in paths:
        for one, two in pairwise(path.items):
            gaps.setdefault((one.name, two.name), []).append((path.user, (two.time - one.time) / 1e6))
    for row in graph.frame.filter(pl.col("time_median").is_not_null()).iter_rows(named=True):
        own = gaps[row["source"], row["target"]]
        values = [gap for _, gap in own]
        median = oracle.percentile(values, 0.5)

        def below(kept, own=own, median=median):
            chosen = set(kept)
            inside = [gap <= median for user, gap in own if user in chosen]
            return oracle.rate(sum(inside), len(inside))

        wanted = oracle.jackknife(users, below, "logit", denominator_users=len({user for user, _ in own}))
        assert np.isclose(row["time_median_low"], oracle.percentile(values, wanted.low))
        assert np.isclose(row["time_median_high"], oracle.percentile(values, wanted.high))


def test_fewer_than_ten_groups_have_no_interval():
    rows = many_users(1, users=5)
    graph = journeys_of(rows).measure(jk.Transitions())
    assert graph.frame["low"].is_null().all()
    assert graph.frame["probability"].is_not_null().all()


def test_tuples_that_read_alike_are_refused():
    """The event `a > b` is not the tuple (a, b), and no table would tell them apart."""
    rows = log("u 0 a; u 1 b; v 0 a_>_b")
    assert journeys_of(rows).measure(jk.Transitions(order=2)).states.height == 3
    rows = [{**row, "event": row["event"].replace("_", " ")} for row in rows]
    with pytest.raises(ParameterError) as raised:
        journeys_of(rows).measure(jk.Transitions(order=2))
    assert str(raised.value) == (
        "order=2 cannot tell 1 states apart, such as 'a > b': names in them hold ' > '. "
        "Rename these events before reading, or pass order=1."
    )
