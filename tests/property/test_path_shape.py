"""The shape of paths against the slow twin, which lists every subsequence. D8.13."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.errors import ParameterError
from tests import oracle
from tests.logs import log, logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of

pytestmark = pytest.mark.property

MEASURES = tuple(oracle.shape(["a"], 2))


@pytest.mark.parametrize("unit", ["session", "user"])
@given(rows=logs(min_events=1, max_events=24, with_order=True), alphabet=st.sampled_from((None, 1, 7)))
def test_every_path(unit, rows, alphabet):
    journeys = journeys_of(rows)
    shape = jk.PathShape(unit=unit, alphabet=alphabet)
    size = alphabet or len(journeys.names)
    wanted = [(str(path.user), oracle.shape(path.names, size)) for path in paths_of(rows, unit)]
    frame = shape.per_path(journeys)
    found = [
        (str(row["user"]), {name: row[name] for name in MEASURES}) for row in frame.iter_rows(named=True)
    ]
    for one, other in zip(ordered(found), ordered(wanted), strict=True):
        assert one[0] == other[0]
        assert_close(one[1], other[1], 1e-9)
    answer = journeys.measure(shape).frame
    for name, paths, total, mean, most in answer.select(
        "measure", "paths", "total", "mean", "max"
    ).iter_rows():
        known = [row[name] for _, row in wanted if row[name] is not None]
        assert paths == len(known)
        assert (total, mean, most) == pytest.approx((sum(known), sum(known) / paths, max(known)), abs=1e-8)
    assert set(answer["measure"]) == {
        name for name in MEASURES if any(row[name] is not None for _, row in wanted)
    }


def ordered(rows):
    """Sort by user, then by the measures, rounded so that both twins sort alike."""

    def key(row):
        return row[0], *(-1 if value is None else round(value, 6) for value in row[1].values())

    return sorted(rows, key=key)


def test_intervals_are_those_of_a_jackknife_over_groups():
    rows = many_users(3)
    journeys = journeys_of(rows)
    row = journeys.measure(jk.PathShape()).frame.filter(measure="entropy").row(0, named=True)
    paths = oracle.session_paths(rows)
    entropy = [(path.user, oracle.shape(path.names, 4)["entropy"]) for path in paths]

    def mean(users):
        own = [value for user, value in entropy if user in users]
        return sum(own) / len(own)

    wanted = oracle.jackknife(sorted({path.user for path in paths}), mean)
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-6)


def test_a_long_path_has_more_subsequences_than_a_number_can_hold():
    rows = [{"user": 1, "time": i, "event": "ab"[i % 2]} for i in range(5_000)]
    row = jk.PathShape(unit="user").per_path(journeys_of(rows, None)).row(0, named=True)
    # phi grows by the golden ratio: F(n + 3) - 1 subsequences of n alternating letters.
    assert row["turbulence"] == pytest.approx(5_003 * 0.6942419136306174 - 1.1609640474436813, rel=1e-9)
    assert (row["backtracks"], row["revisits"], row["self_loops"]) == (4_998, 4_998, 0)


def test_edges():
    nobody = journeys_of(log("u 0 a")).filter(events=["b"], missing="ignore")
    assert nobody.measure(jk.PathShape()).frame.is_empty()
    assert jk.PathShape().per_path(nobody).is_empty()
    model = jk.StageModel([jk.Stage("one", "b"), jk.Stage("two", "c")])
    staged = journeys_of(log("u 0 a; u 1 b; u 2 c; v 0 a")).assign_stages(model)
    assert jk.PathShape(of="stage").per_path(staged).select(
        "user", "session", "events", "entropy"
    ).rows() == [("u", 1, 2, 1.0)]
    assert staged.measure(jk.PathShape(of="stage")).frame["paths"].unique().to_list() == [1]
    with pytest.raises(ParameterError, match="alphabet must be a whole number from 1 on, not 0."):
        jk.PathShape(alphabet=0)
    with pytest.raises(ParameterError, match='of="stage" needs stages'):
        jk.PathShape(of="stage").per_path(journeys_of(log("u 0 a")))
