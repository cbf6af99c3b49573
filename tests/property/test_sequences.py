"""N-grams, variants and what follows later, against the slow twins. D8.6 to D8.8."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.statistics.paths import eventually_follows
from tests import oracle
from tests.logs import logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table

pytestmark = pytest.mark.property

UNITS = ("session", "user")


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, with_order=True), sizes=st.sampled_from(((1, 1), (2, 2), (2, 4), (3, 5), (1, 3))),
       collapse=st.booleans())  # fmt: skip
def test_ngrams(unit, rows, sizes, collapse):
    answer = journeys_of(rows).measure(jk.NGrams(sizes, None, unit=unit, collapse_repeats=collapse))
    paths, _ = oracle.clean(paths_of(rows, unit), collapse_repeats="first" if collapse else None)
    wanted = {}
    for size in range(sizes[0], sizes[1] + 1):
        wanted |= oracle.ngrams(paths, size)
    values = ("count", "paths", "share", "lift", "type")
    found = table(answer.frame, ("path",), values)
    assert_close(found, {gram: dict(zip(values, row, strict=True)) for gram, row in wanted.items()}, 1e-9)
    assert list(found) == sorted(found, key=lambda gram: (-found[gram]["count"], gram))
    for length, variants, count in answer.distinct.select("length", "variants", "count").iter_rows():
        own = [row.count for gram, row in wanted.items() if len(gram) == length]
        assert (variants, count) == (len(own), sum(own))


@given(rows=logs(min_events=1, with_order=True), m=st.integers(1, 5))
def test_coverage_of_variants(rows, m):
    variants = journeys_of(rows).measure(jk.Variants(quantiles=(0.5,)))
    whole = journeys_of(rows).measure(jk.TopPaths(None, quantiles=(0.5,)))
    assert variants.frame.equals(whole.frame)
    expected = oracle.top_paths(oracle.session_paths(rows))
    row = variants.coverage(m).row(0, named=True)
    assert row["variants"] == min(m, len(expected))
    assert row["coverage"] == pytest.approx(expected[:m][-1].cumulative_share)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("per", ["path", "pair"])
@given(rows=logs(min_events=1, with_order=True, max_events=30), collapse=st.booleans())
def test_what_follows_later(unit, per, rows, collapse):
    answer = journeys_of(rows).measure(jk.EventuallyFollows(per, unit=unit, collapse_repeats=collapse))
    paths, _ = oracle.clean(paths_of(rows, unit), collapse_repeats="first" if collapse else None)
    wanted = oracle.eventually_follows(paths)
    values = ("paths", "users", "pairs", "share") if per == "pair" else ("paths", "users", "share")
    found = table(answer.frame, ("source", "target"), values)
    assert_close(found, {pair: {name: getattr(row, name) for name in values} for pair, row in wanted.items()})
    value = "pairs" if per == "pair" else "paths"
    assert list(found) == sorted(found, key=lambda pair: (-found[pair][value], pair))


@pytest.mark.parametrize("room", [1, 40])
def test_pairs_counted_in_parts_are_those_counted_at_once(room, monkeypatch):
    journeys = journeys_of(many_users(4))
    for statistic in (jk.EventuallyFollows("pair"), jk.EventuallyFollows(unit="user")):
        whole = journeys.measure(statistic)
        with monkeypatch.context() as patch:
            patch.setattr(eventually_follows, "PAIRS_AT_ONCE", room)
            assert journeys.measure(statistic).frame.equals(whole.frame)


def test_intervals_are_those_of_a_jackknife_over_groups():
    rows = many_users(9)
    frame = journeys_of(rows).measure(jk.EventuallyFollows()).frame
    paths = oracle.session_paths(rows)

    def share(users):
        return oracle.eventually_follows([path for path in paths if path.user in users])["cart", "view"].share

    wanted = oracle.jackknife(sorted({path.user for path in paths}), share, scale="logit")
    row = frame.filter(source="cart", target="view").row(0, named=True)
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-9)
