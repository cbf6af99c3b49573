"""XES beside the published counts of two logs, and beside pm4py's reading and writing of the same files.

``JOURNEYKIT_PM4PY`` names a Python that has pm4py; without it that part is skipped.
"""

from __future__ import annotations

import os
import subprocess

import polars as pl
import pytest

import journeykit as jk

PM4PY = os.environ.get("JOURNEYKIT_PM4PY")
READ = """
import sys, pm4py
log = pm4py.read_xes(sys.argv[1])
log[["case:concept:name", "concept:name", "time:timestamp"]].to_csv(sys.argv[2], index=False)
if len(sys.argv) > 3:
    pm4py.write_xes(log, sys.argv[3])
"""

pytestmark = pytest.mark.conformance


def rows(events) -> list[tuple]:
    shown = events.frame.select("user", pl.col("event").cast(pl.String), pl.col("time").dt.epoch("us"))
    return sorted(shown.rows())


@pytest.mark.parametrize(
    ("name", "cases", "n", "names"),
    [("helpdesk/helpdesk.xes.gz", 4_580, 21_348, 14), ("running_example/running-example.xes", 6, 42, 8)],
)
def test_published_counts(name, cases, n, names, shared_data):
    quality = jk.read_xes(shared_data / name).quality
    assert (quality.users, quality.events, quality.event_names) == (cases, n, names)


def test_the_csv_of_a_log_is_the_same_log(shared_data):
    folder = shared_data / "running_example"
    xes, csv = jk.read_xes(folder / "running-example.xes"), jk.read_xes(folder / "running-example.csv")
    assert rows(xes) == rows(csv)


@pytest.mark.skipif(PM4PY is None, reason="needs a Python with pm4py; set JOURNEYKIT_PM4PY to it")
@pytest.mark.parametrize("name", ["helpdesk/helpdesk.xes.gz", "running_example/running-example.xes"])
def test_pm4py_reads_and_writes_the_same(name, shared_data, tmp_path):
    frame, written = tmp_path / "log.csv", tmp_path / "again.xes"
    command = [str(PM4PY), "-W", "ignore", "-c", READ, str(shared_data / name), str(frame), str(written)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    ours = rows(jk.read_xes(shared_data / name))
    assert rows(jk.read_xes(frame)) == ours
    assert rows(jk.read_xes(written)) == ours
