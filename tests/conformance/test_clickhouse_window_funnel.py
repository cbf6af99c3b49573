"""ClickHouse's windowFunnel, case by case, of the slow twin and of `jk.WindowFunnel`. D7.14."""

from __future__ import annotations

import json

import polars as pl
import pytest

import journeykit as jk
from tests import oracle
from tests.conftest import SHARED

pytestmark = pytest.mark.conformance

FILE = SHARED / "conformance" / "clickhouse.json"


def cases():
    if not FILE.exists():
        absent = pytest.mark.skip(reason=f"needs {FILE}; set JOURNEYKIT_SHARED to where the folder is")
        return [pytest.param({}, id="absent", marks=absent)]
    found = [case for case in json.loads(FILE.read_text()) if case["function"] == "windowFunnel"]
    return [pytest.param(case, id=case["id"]) for case in found]


every_case = pytest.mark.parametrize("case", cases())


def of_twin(case):
    asked = case["params"]
    users = dict.fromkeys(user for user, _, _ in case["events"])
    return {
        str(user): oracle.window_funnel(
            [(time, label) for one, time, label in case["events"] if one == user],
            asked["conditions"], asked["window"], asked["modes"],
        )
        for user in users
    }  # fmt: skip


@every_case
def test_slow_twin(case):
    if "error" in case["expected"]:
        with pytest.raises(ValueError, match="strict|allow_reentry"):
            of_twin({**case, "events": case["events"] or [[1, 0, "a"]]})
    else:
        assert of_twin(case) == case["expected"]


def of_package(case):
    asked = case["params"]
    question = jk.WindowFunnel(
        asked["conditions"], f"{asked['window']}us", asked["modes"], levels=True, missing="ignore"
    )
    log = pl.DataFrame(case["events"], schema=["user", "time", "event"], orient="row")
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="us").sessionize(None)
    return {str(user): level for user, _, level in journeys.measure(question).levels.rows()}


@every_case
def test_package(case):
    if "error" in case["expected"]:
        with pytest.raises(jk.errors.ParameterError):
            of_package(case)
    else:
        assert of_package(case) == case["expected"]
