"""Exact percentiles from counts; bins only beyond the budget. D0.2."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from journeykit.statistics import distribution
from journeykit.statistics.distribution import Distribution, column_names
from tests import oracle


def counted(values_of):
    rows = [(thing, group, value) for thing, values in enumerate(values_of) for group, value in values]
    frame = pl.DataFrame(rows, schema=["thing", "group", "gap"], orient="row")
    frame = frame.with_columns(pl.col("group").cast(pl.UInt8)).group_by("thing", "group", "gap").len("count")
    return frame.with_columns(pl.col("count").cast(pl.Int64))


def made(values_of):
    frame = counted(values_of)
    return Distribution.of(len(values_of), frame["thing"].to_numpy(), frame, "gap")


DRAW = random.Random(2)
VALUES = [
    [(DRAW.randrange(64), DRAW.choice((0, 5, 5, 7, 100, 10**12))) for _ in range(size)]
    for size in (1, 2, 0, 3, 10, 101, 0)
]


@pytest.mark.parametrize("q", [0, 0.1, 0.25, 0.5, 0.9, 0.999, 1])
def test_type_seven(q):
    found = made(VALUES).quantile(q)
    for value, own in zip(found, VALUES, strict=True):
        wanted = oracle.percentile([each for _, each in own], q)
        assert np.isnan(value) if wanted is None else value == pytest.approx(wanted)


def test_beyond_the_budget_the_error_is_half_a_percent(monkeypatch):
    draw = random.Random(3)
    values = [[(draw.randrange(64), int(10 ** draw.uniform(0, 12))) for _ in range(3_000)]]
    exact = made(values)
    monkeypatch.setattr(distribution, "DISTINCT_BUDGET", 10)
    binned = made(values)
    assert binned.values.size < exact.values.size
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert binned.quantile(q)[0] == pytest.approx(exact.quantile(q)[0], rel=0.005)


def test_names_of_columns():
    assert column_names((0.5, 0.9, 0.999, 0.29), "time") == [
        "time_median",
        "time_p90",
        "time_p99.9",
        "time_p29",
    ]
