"""Flows against the slow twin. D3.4, D8.3, D8.4."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import oracle
from tests.logs import MINUTE, logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table

pytestmark = pytest.mark.property

UNITS = ("session", "user")
NAMES = ("view", "cart", "help", "buy")
EDGE = ("step", "source", "target")
VALUES = ("paths", "users", "time_mean", "time_median")

options = st.fixed_dictionaries(
    {
        "start": st.sampled_from((None, "cart", "view")),
        "end": st.sampled_from((None, "cart", "buy")),
        "occurrence": st.sampled_from(("first", "last", 1, 2)),
        "max_steps": st.integers(2, 6),
        "top": st.sampled_from((None, None, 1, 2)),
        "collapse_repeats": st.booleans(),
        "keep": st.sampled_from(("first", "last")),
        "open_paths": st.sampled_from(("end", "censor")),
    }
)


def expected(rows, unit, asked):
    """Return what the slow twin says, and the paths that flow."""
    horizon = {"horizon": 40 * MINUTE} if unit == "user" else {}
    paths, _ = oracle.clean(
        paths_of(rows, unit, **horizon),
        collapse_repeats=asked["keep"] if asked["collapse_repeats"] else None,
        start=asked["start"],
        end=asked["end"],
        occurrence=asked["occurrence"],
        limit=asked["max_steps"],
    )
    both = asked["start"] is not None and asked["end"] is not None
    columns = 2 * (asked["max_steps"] // 2) + 1 if both else asked["max_steps"]
    columns = max(columns, asked["max_steps"])
    censored = asked["open_paths"] == "censor"
    return oracle.flow(paths, columns, asked["top"], censored, ended=asked["end"] is None), paths


def flow_of(unit, asked, **more):
    horizon = {"horizon": "40m"} if unit == "user" else {}
    return jk.Flow(unit=unit, quantiles=(0.5,), missing="ignore", **asked, **horizon, **more)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=NAMES, with_order=True), asked=options)
def test_moves_between_steps(unit, rows, asked):
    answer = journeys_of(rows).measure(flow_of(unit, asked))
    edges, paths = expected(rows, unit, asked)
    found = table(answer.frame, EDGE, VALUES)
    assert_close(found, {key: dict(zip(VALUES, edge, strict=True)) for key, edge in edges.items()})
    assert answer.covered["paths"].to_list() == [len(paths)]
    assert set(answer.covered["shown_share"]) <= {1.0, None}
    assert_balanced(answer)


def assert_balanced(answer):
    """What flows into a state flows out of it, but at the last step, where a path is open, and at an end."""
    into, out, inside = Counter(), Counter(), {}
    for step, source, target, paths in answer.frame.select(*EDGE, "paths").iter_rows():
        out[step, source] += paths
        into[step + 1, target] += paths
    for row in answer.nodes.iter_rows(named=True):
        node = row["step"], row["state"]
        inside[node] = row["paths"]
        assert row["continued"] + row["dropped"] == out[node] <= row["paths"]
        if node[0] > 1:
            assert into[node] == row["paths"]
    last = max((step for step, _ in inside), default=0)
    if (
        answer.statistic.open_paths == "end"
        and answer.statistic.end is None
        and last < answer.statistic.columns
    ):
        assert all(out[node] == paths for node, paths in inside.items())
    assert sum(paths for (step, _), paths in inside.items() if step == 1) == answer.covered["paths"].sum()


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=logs(min_events=1, names=NAMES, with_order=True),
    limits=st.fixed_dictionaries(
        {
            "edge_limit": st.sampled_from((None, 1, 2, 3, 5)),
            "min_weight": st.sampled_from((None, None, 1, 2)),
            "max_weight": st.sampled_from((None, None, 2, 3)),
            "weight": st.sampled_from(("paths", "users")),
        }
    ),
    drop_off=st.booleans(),
)
def test_limits_of_edges(unit, rows, limits, drop_off):
    answer = journeys_of(rows).measure(
        jk.Flow(unit=unit, **limits, drop_off=drop_off, sort="weight", collapse_repeats=True)
    )
    paths, _ = oracle.clean(paths_of(rows, unit), collapse_repeats="first")
    edges = oracle.flow(paths, 5)
    weight = limits.pop("weight")
    weights = {key: getattr(edge, weight) for key, edge in edges.items() if drop_off or key[2] != "<END>"}
    assert answer.frame.select(EDGE).rows() == oracle.cut_edges(weights, **limits)
    moves = sum(edge.paths for edge in edges.values())
    shown = int(answer.frame["paths"].sum())
    assert answer.covered.select("moves", "shown_share").row(0) == (moves, pytest.approx(shown / moves))


def test_intervals_are_those_of_a_jackknife_over_groups():
    rows = many_users(6)
    answer = journeys_of(rows).measure(jk.Flow(4))
    paths = oracle.session_paths(rows)
    edge = (2, "view", "cart")

    def probability(users):
        edges = oracle.flow([path for path in paths if path.user in users], 4)
        source = sum(found.paths for key, found in edges.items() if key[:2] == edge[:2])
        return edges[edge].paths / source if edge in edges else 0.0

    wanted = oracle.jackknife(sorted({path.user for path in paths}), probability, scale="logit")
    is_edge = pl.all_horizontal(pl.col(name) == value for name, value in zip(EDGE, edge, strict=True))
    row = answer.frame.row(by_predicate=is_edge, named=True)
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-9)
