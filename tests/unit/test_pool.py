"""Pools: real processes, and what is said when one fails."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import ParameterError, ShardError

STATISTICS = """
import os
import journeykit as jk

class Failing(jk.Transitions):
    def tally(self, shard, cells):
        raise ZeroDivisionError("no such thing")

class Dying(jk.Transitions):
    def tally(self, shard, cells):
        os._exit(1)
"""


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def plan() -> jk.JourneysPlan:
    rows = [
        {"user": user, "time": 60 * step, "event": name, "device": "ab"[user % 2]}
        for user in range(50)
        for step, name in enumerate(("see", "put", "buy")[: 1 + user % 3])
    ]
    log = pl.DataFrame(rows)
    roles = {"user": "user", "time": "time", "event": "event"}
    return jk.scan_events(log, **roles, unit="s", keep=["device"]).sessionize("30m")


def test_processes_answer_like_threads(pool: Any, plan: jk.JourneysPlan, tmp_path: Path) -> None:
    """With second questions, segments, properties, and from journeys in memory too."""
    engine = jk.Pool(pool, directory=tmp_path, shards=3)
    asked = jk.Transitions(), jk.TopPaths(quantiles=(0.5,)), jk.Friction("put")
    for source in (plan, plan.collect()):
        found, wanted = (source.measure(*asked, by="device", engine=each) for each in (engine, None))
        for one, other in zip(found, wanted, strict=True):
            assert_frame_equal(one.frame, other.frame)
    assert not [*tmp_path.iterdir()]


def test_a_worker_that_fails_or_dies(
    pool: Any, plan: jk.JourneysPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "statistics_that_fail.py").write_text(STATISTICS)
    monkeypatch.syspath_prepend(own)
    import statistics_that_fail as given  # type: ignore[import-not-found]

    engine = jk.Pool(pool, directory=tmp_path / "work", shards=2)
    for statistic, reason in (
        (given.Failing(), "ZeroDivisionError: no such thing"),
        (given.Dying(), "BrokenProcessPool"),
    ):
        with pytest.raises(ShardError) as error:
            plan.measure(statistic, engine=engine)
        assert f"{type(statistic).__name__}(" in str(error.value)
        assert f"failed on shard 1 of 2: {reason}" in str(error.value)
        assert not [*(tmp_path / "work").iterdir()]


def test_what_is_no_executor_is_refused() -> None:
    with pytest.raises(ParameterError) as error:
        jk.Pool(4)  # type: ignore[arg-type]
    assert str(error.value) == (
        "executor cannot be 4. Give one of concurrent.futures, such as ProcessPoolExecutor(), or a client of dask."
    )
