"""What is imported when, and how functions become methods when they are asked for."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import journeykit
from journeykit.events.events import Events
from journeykit.journeys.journeys import Journeys
from journeykit.support.lazily import Later

FIRST_QUESTIONS = """
import sys
import polars as pl
import journeykit as jk
log = pl.DataFrame({"u": ["a", "b", "a"] * 4, "t": list(range(12)), "e": ["x", "y", "z"] * 4})
log.write_parquet(sys.argv[1])
journeys = jk.read_events(sys.argv[1], user="u", time="t", event="e", unit="s").sessionize("30m")
journeys.measure(jk.TopPaths(3), jk.Transitions(), jk.Funnel(["x", "y"]), jk.Retention(period="1d"))
print("\\n".join(sys.modules))
"""
NOT_NEEDED = """
pandas pyarrow duckdb networkx plotly jinja2 sklearn tomllib
journeykit.adapters journeykit.channels journeykit.charts journeykit.combining journeykit.comparisons
journeykit.databases journeykit.growing journeykit.identity journeykit.journey_map journeykit.models journeykit.plans
journeykit.privacy journeykit.reports journeykit.sharding journeykit.store
journeykit.engines.counting journeykit.engines.on_disk journeykit.engines.out_of_core
journeykit.events.checks journeykit.events.expectations journeykit.events.quality journeykit.events.report
journeykit.events.session_comparison journeykit.events.stitching
journeykit.journeys.cleaning journeykit.journeys.databases journeykit.journeys.pseudonyms journeykit.journeys.selection
journeykit.patterns.automaton journeykit.patterns.matches journeykit.patterns.parsing journeykit.patterns.pattern
journeykit.patterns.searching
journeykit.sources.access_log journeykit.sources.csv journeykit.sources.duckdb journeykit.sources.frames
journeykit.sources.ndjson journeykit.sources.texts
journeykit.stages.matching journeykit.stages.model journeykit.stages.rules
journeykit.statistics.funnels.paths
journeykit.support.spreadsheets
"""
"""Packages and modules on which reading a Parquet file and the first questions spend no time."""


def test_the_first_questions_import_nothing_that_they_do_not_need(tmp_path):
    command = [sys.executable, "-c", FIRST_QUESTIONS, f"{tmp_path}/log.parquet"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "journeykit.statistics.retention.retention" in loaded
    assert {*NOT_NEEDED.split()} & {*loaded} == set()


def test_what_is_not_needed_exists():
    root = Path(journeykit.__file__).parents[1]
    for name in NOT_NEEDED.split():
        path = root / name.replace(".", "/")
        assert not name.startswith("journeykit.") or path.is_dir() or path.with_suffix(".py").is_file(), name


def test_a_later_method_is_that_of_the_class_once_it_is_asked_for():
    class Text(str):
        __slots__ = ()
        indented = Later("textwrap", "indent")

    class Longer(Text):
        __slots__ = ()

    import textwrap

    assert isinstance(vars(Text)["indented"], Later)
    assert Longer("a").indented("> ") == "> a"
    assert vars(Text)["indented"] is Text.indented is Longer.indented is textwrap.indent
    assert "indented" not in vars(Longer)


def test_later_methods_look_like_any_other():
    for owner, names in (
        (Events, ("check", "stitch_report")),
        (
            Journeys,
            (
                "assign_channels", "clean", "filter", "head", "mark", "match", "parts", "pseudonymize", "sample",
                "to_duckdb", "write",
            ),
        ),
    ):  # fmt: skip
        for name in names:
            method = getattr(owner, name)
            assert inspect.isfunction(method)
            assert inspect.getdoc(method)
            assert next(iter(inspect.signature(method).parameters)) in ("events", "journeys")
            assert vars(owner)[name] is method
            assert pickle.loads(pickle.dumps(method)) is method
