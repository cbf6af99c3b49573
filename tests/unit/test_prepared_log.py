"""Logs that a reader of an export made ready: rows left out on purpose, and notes, on every way to an answer."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import EmptyInputError, InvalidRowsError, ParameterError
from journeykit.sources.canonical import LEFT_OUT
from journeykit.sources.prepared import PreparedLog

ROLES = {"user": "u", "time": "t", "event": "e", "unit": "s"}
REASONS = pl.Enum(["bots", "pings <b>"])
LEFT_OUT_NOTE = "3 rows were left out on purpose: events.quality says why."


def prepared(**changes) -> PreparedLog:
    columns = {
        "u": ["a", "a", "b", "b", "b", "a"],
        "t": [0, 1, 2, 3, 4, 5],
        "e": ["x", "y", None, "z", "x", None],
        LEFT_OUT: pl.Series([None, "bots", None, "pings <b>", None, "bots"], dtype=REASONS),
        **changes,
    }
    return PreparedLog("Tool export 'a.json'", pl.LazyFrame(columns), notes=("a note",))


def test_rows_left_out_are_counted_by_reason_and_are_not_invalid():
    events = jk.read_events(prepared(), **ROLES, on_invalid="drop")
    quality = events.quality
    assert events.frame["event"].to_list() == ["x", "x"]
    assert quality.left_out == {"bots": 2, "pings <b>": 1}
    assert (quality.rows_in, quality.invalid_event, quality.rows_kept) == (6, 1, 2)
    assert events.counts.dropped == 1
    assert "  left_out_pings <b>    1" in repr(quality)
    assert "left_out_pings &lt;b&gt;" in quality._repr_html_()
    assert quality.frame.filter(pl.col("number") == "left_out_bots")["value"].to_list() == [2.0]


def test_an_invalid_row_is_named_by_its_number_in_the_log():
    with pytest.raises(InvalidRowsError, match="1 of 6 rows have no valid user") as caught:
        jk.read_events(prepared(), **ROLES)
    assert "row 2: user='b'" in str(caught.value)


def test_notes_reach_the_events():
    events = jk.read_events(prepared(), **ROLES, on_invalid="drop")
    assert events.notes == events.quality.notes == ("a note",)
    assert "note_1" in repr(events.quality)


@pytest.mark.parametrize("engine", [None, jk.InMemory(), jk.OutOfCore(memory="1GB")])
def test_answers_say_that_rows_were_left_out(engine):
    plan = jk.scan_events(prepared(), **ROLES, on_invalid="drop").sessionize("30m")
    answer = plan.measure(jk.Transitions(), engine=engine)
    assert LEFT_OUT_NOTE in answer.notes
    assert plan.collect().provenance.rows_left_out == 3


def test_a_plan_shows_what_it_reads():
    plan = jk.scan_events(prepared(), **ROLES)
    assert repr(plan).splitlines()[0] == "EventsPlan of Tool export 'a.json' (a note), not run yet"


def test_a_log_of_which_nothing_is_left_is_refused():
    everything = prepared(**{LEFT_OUT: pl.Series(["bots"] * 5 + ["pings <b>"], dtype=REASONS)})
    with pytest.raises(EmptyInputError) as caught:
        jk.read_events(everything, **ROLES)
    assert str(caught.value) == (
        "no event is left: all 6 rows were left out (5 bots; 1 pings <b>). Name in leave_out= only what is to go."
    )


def test_a_column_of_texts_with_that_name_leaves_nothing_out():
    plain = prepared(**{LEFT_OUT: ["bots"] * 6, "e": ["x"] * 6})
    assert jk.read_events(plain, **ROLES).columns.height == 6


def test_a_format_goes_with_files_only():
    with pytest.raises(ParameterError, match="goes with files, not with a PreparedLog"):
        jk.read_events(prepared(), **ROLES, format="csv")
