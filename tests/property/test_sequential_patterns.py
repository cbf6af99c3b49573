"""Sequential patterns against the slow twin, which tries every choice of events. D8.9."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.errors import ParameterError
from tests import oracle
from tests.logs import log, logs
from tests.measuring import journeys_of, many_users, paths_of

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "a > b", "é")


def found(journeys, **options):
    frame = journeys.measure(jk.SequentialPatterns(**options)).frame
    return [(tuple(pattern), paths) for pattern, paths in frame.select("pattern", "paths").iter_rows()]


def in_order(patterns):
    return sorted(patterns.items(), key=lambda one: (-one[1], one[0]))


@pytest.mark.parametrize("unit", ["session", "user"])
@given(
    rows=logs(min_events=1, max_events=20, names=NAMES, with_order=True),
    least=st.integers(1, 3),
    longest=st.integers(1, 3),
    gap=st.sampled_from((None, 1, 2)),
    n=st.sampled_from((None, 1, 4)),
)
def test_every_pattern(unit, rows, least, longest, gap, n):
    wanted = in_order(oracle.sequential_patterns(paths_of(rows, unit), least, longest, gap))
    options = {"unit": unit, "min_support": least, "max_length": longest, "max_gap": gap}
    journeys = journeys_of(rows)
    assert found(journeys, n=n, **options) == wanted[:n]
    longer = [one for one in wanted if len(one[0]) == longest]
    assert found(journeys, n=n, min_length=longest, **options) == longer[:n]


@pytest.mark.parametrize("unit", ["session", "user"])
@given(
    rows=logs(min_events=1, max_events=15, names=NAMES, with_order=True),
    least=st.integers(1, 2),
    seconds=st.sampled_from((1, 600, 3600)),
    collapse=st.booleans(),
)
def test_a_gap_in_time(unit, rows, least, seconds, collapse):
    paths, _ = oracle.clean(paths_of(rows, unit), collapse_repeats="first" if collapse else None)
    wanted = in_order(oracle.sequential_patterns(paths, least, 3, max_time=seconds * 1_000_000))
    options = {"unit": unit, "min_support": least, "max_length": 3, "collapse_repeats": collapse}
    journeys = journeys_of(rows)
    assert found(journeys, n=None, max_gap=f"{seconds}s", **options) == wanted
    assert found(journeys, n=None, max_gap=timedelta(seconds=seconds), **options) == wanted


@given(rows=logs(min_events=1, max_events=12, names=NAMES[:3], with_order=True), least=st.integers(1, 3),
       longest=st.sampled_from((1, 2, None)))  # fmt: skip
def test_closed_patterns(rows, least, longest):
    every = oracle.sequential_patterns(oracle.session_paths(rows), least, 12)
    wanted = in_order(oracle.closed(every))
    wanted = [one for one in wanted if longest is None or len(one[0]) <= longest]
    assert found(journeys_of(rows), n=None, min_support=least, max_length=longest, closed=True) == wanted


def test_intervals_are_those_of_a_jackknife_over_groups():
    rows = many_users(2)
    frame = journeys_of(rows).measure(jk.SequentialPatterns(min_length=2)).frame
    paths = oracle.session_paths(rows)

    def share(users):
        own = [path for path in paths if path.user in users]
        return oracle.sequential_patterns(own, 0, 2).get(tuple(frame["pattern"][1]), 0) / len(own)

    wanted = oracle.jackknife(sorted({path.user for path in paths}), share, scale="logit")
    row = frame.row(1, named=True)
    assert row["paths_total"] == len(paths)
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-9)


def test_shares_segments_and_notes():
    rows = log("u 0 a; u 1 x; u 2 b; v 0 b; w 0 a; w 1 b")
    rows = [{**row, "device": "m" if row["user"] == "u" else None} for row in rows]
    answer = journeys_of(rows).measure(jk.SequentialPatterns(2, min_support=0.6), by="device")
    assert answer.frame.select("device", "pattern", "length", "paths", "paths_total", "share").rows() == [
        ("m", ["a"], 1, 1, 1, 1.0), ("m", ["a", "b"], 2, 1, 1, 1.0), (None, ["b"], 1, 2, 2, 1.0),
    ]  # fmt: skip
    assert answer.notes[-1] == "The 2 most frequent patterns are shown; there may be more."
    nobody = journeys_of(log("u 0 a")).filter(events=["b"], missing="ignore")
    assert nobody.measure(jk.SequentialPatterns()).frame.is_empty()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"min_support": 0}, "min_support is a number of paths from 1 on, or a share between 0 and 1, not 0."),
        ({"min_support": 1.5}, "min_support is a number of paths from 1 on, or a share between 0 and 1, not 1.5."),
        ({"min_length": 3, "max_length": 2}, "max_length=2 is below min_length=3."),
        ({"max_gap": "soon"}, str(ParameterError.duration("max_gap", "soon"))),
        ({"max_gap": 0}, "max_gap must be a whole number from 1 on, not 0."),
        ({"closed": True, "max_gap": 1},
         "closed does not go with max_gap: a part of a pattern can then be rarer than the whole. Pass one of them."),
    ],
)  # fmt: skip
def test_refused_values(options, message):
    with pytest.raises(ParameterError) as error:
        jk.SequentialPatterns(**options)
    assert str(error.value) == message
