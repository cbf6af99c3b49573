"""Published measures of sequences: TraMineR's toy data. D8.13."""

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
