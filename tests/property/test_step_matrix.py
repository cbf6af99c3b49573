"""The step matrix against the slow twin. D8.1, D8.2."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import oracle
from tests.logs import logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table

pytestmark = pytest.mark.property

UNITS = ("session", "user")


def origin_of(names, occurrence):
    def origin(path):
        at = [i for i, name in enumerate(path.names) if name in names]
        n = {"first": 1, "last": len(at)}.get(occurrence, occurrence)
        return at[n - 1] if 0 < n <= len(at) else None

    return origin


def assert_steps(answer, counts, total):
    found = table(answer.frame, ("step", "state"), ("paths", "paths_total", "share"))
    assert_close(
        found,
        {key: {"paths": n, "paths_total": total, "share": n / total} for key, n in counts.items()},
    )
    sums = answer.frame.group_by("step").agg(pl.col("paths").sum())["paths"]
    assert set(sums) <= {total}


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=logs(min_events=1, with_order=True),
    steps=st.integers(1, 8),
    collapse=st.booleans(),
    top=st.sampled_from((None, 1, 2)),
    threshold=st.sampled_from((None, 0.0, 0.5, 1.0)),
)
def test_from_the_start(unit, rows, steps, collapse, top, threshold):
    statistic = jk.StepMatrix(steps, unit=unit, collapse_repeats=collapse, top=top, threshold=threshold)
    paths, _ = oracle.clean(paths_of(rows, unit), collapse_repeats="first" if collapse else None)
    counts, total = oracle.step_matrix(paths, 0, steps, top=top, threshold=threshold)
    assert_steps(journeys_of(rows).measure(statistic), counts, total)


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=logs(min_events=1, names=("view", "cart", "help"), with_order=True),
    names=st.sampled_from((("cart",), ("cart", "help"))),
    occurrence=st.sampled_from(("first", "last", 1, 2, 3)),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
)
def test_around_an_anchor(unit, rows, names, occurrence, before, after):
    statistic = jk.StepMatrix(
        unit=unit, anchor=names, occurrence=occurrence, before=before, after=after, missing="ignore"
    )
    paths = paths_of(rows, unit)
    answer = journeys_of(rows).measure(statistic)
    counts, total = oracle.step_matrix(paths, -before, after, origin_of(names, occurrence))
    assert_steps(answer, counts, total)
    lost = len(paths) - total
    said = [note for note in answer.notes if "anchor" in note]
    assert said == ([f"{lost:,} paths without the anchor are left out."] if lost else [])


def test_intervals_are_those_of_a_jackknife_over_groups():
    rows = many_users(5)
    frame = journeys_of(rows).measure(jk.StepMatrix(4)).frame
    paths = oracle.session_paths(rows)
    for step, state in ((1, "view"), (3, "<END>"), (4, "buy")):
        row = frame.row(by_predicate=(pl.col("step") == step) & (pl.col("state") == state), named=True)

        def share(users, step=step, state=state):
            counts, total = oracle.step_matrix([path for path in paths if path.user in users], 0, 4)
            return counts.get((step, state), 0) / total

        wanted = oracle.jackknife(sorted({path.user for path in paths}), share, scale="logit")
        assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-9)
