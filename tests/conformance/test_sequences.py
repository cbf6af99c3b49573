"""Published measures and patterns of sequences: TraMineR's toy data, PrefixSpan-py. D8.9, D8.13."""

from __future__ import annotations

import json
import math

import pytest

import journeykit as jk
from tests.measuring import journeys_of

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def published(conformance):
    return {case["id"]: case for case in json.loads((conformance / "published.json").read_text())["cases"]}


def test_turbulence_entropy_and_complexity(published):
    case = published["E06_famform"]
    paths = case["data_file"].removeprefix("inline: ").split(" | ")
    steps = [(user, i, name) for user, path in enumerate(paths) for i, name in enumerate(path.split("-"))]
    rows = [{"user": user, "time": i, "event": name} for user, i, name in steps]
    found = jk.PathShape(unit="user", alphabet=5).per_path(journeys_of(rows, None)).sort("user")
    wanted = case["expected"]
    for measure in ("turbulence", "entropy", "complexity"):
        assert found[measure].to_list() == pytest.approx(wanted[measure], abs=1e-9), measure
    # Without repeats all runs are of length 1, and turbulence is log2 of the number of subsequences.
    assert found["turbulence"].to_list() == [math.log2(n) for n in wanted["n_subsequences"]]


@pytest.fixture(scope="module")
def prefix_span(published):
    case = published["H01_prefixspan_readme"]
    lists = json.loads(f"[{case['data_file'].removeprefix('inline: ')}]")
    rows = [
        {"user": user, "time": i, "event": str(n)}
        for user, own in enumerate(lists)
        for i, n in enumerate(own)
    ]
    return journeys_of(rows, None), case["expected"]


def support(journeys, **options):
    frame = journeys.measure(jk.SequentialPatterns(unit="user", **options)).frame
    return {tuple(pattern): paths for pattern, paths in frame.select("pattern", "paths").iter_rows()}


def listed(patterns):
    return {tuple(map(str, pattern)): paths for paths, pattern in patterns}


def test_frequent_and_closed_patterns(prefix_span):
    journeys, expected = prefix_span
    assert support(journeys, n=None, min_support=2) == listed(expected["freq2"])
    assert support(journeys, n=None, min_support=2, closed=True) == listed(expected["closed2"])


def test_the_most_frequent_patterns(prefix_span):
    """Eleven patterns have support 2, and the source shows any two of them; ours are the first by name (D0.4)."""
    journeys, expected = prefix_span
    found, wanted = support(journeys, n=5), listed(expected["top5"])
    assert list(found.values()) == sorted(wanted.values(), reverse=True)
    assert {name for name, paths in found.items() if paths > 2} == {
        name for name, paths in wanted.items() if paths > 2
    }
    assert wanted.items() <= support(journeys, n=None, min_support=2).items()
    assert list(found)[3:] == [("0",), ("1", "1")]
