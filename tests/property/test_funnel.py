"""Funnels against the slow twin: random rules, steps and logs. D7."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from tests import logs, oracle

pytestmark = pytest.mark.property

NAMES = ("a", "b", "c", "x")
SECOND = 1_000_000
GAPS = (0, 0, 0, 1, SECOND // 2, SECOND, 2 * SECOND, 5 * SECOND, 60 * SECOND)
VALUES = st.sampled_from((None, "amount"))
"""With a value to add up every run has a row; without, most questions are counted in one pass."""
DURATIONS = st.sampled_from((SECOND, 3 * SECOND, 10 * SECOND, 61 * SECOND))


@st.composite
def dense_logs(draw: st.DrawFn, max_events: int = 9) -> list[dict[str, Any]]:
    """Few users, few names, many ties: what makes rules differ."""
    drawn = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "user": st.sampled_from(("u", "u", "u", "v")),
                    "gap": st.sampled_from(GAPS),
                    "event": st.sampled_from(NAMES),
                    "device": st.sampled_from(("m", "m", "d", None)),
                    "amount": st.sampled_from((None, 1.0, 2.5)),
                }
            ),
            min_size=1,
            max_size=max_events,
        )
    )
    clock = {"u": 10 * SECOND, "v": 10 * SECOND}
    rows = []
    for one in drawn:
        clock[one["user"]] += one.pop("gap")
        rows.append({**one, "time": clock[one["user"]]})
    return rows


@dataclass(frozen=True)
class Asked:
    """The same question to both."""

    funnel: jk.Funnel
    question: oracle.Question


@st.composite
def steps(draw: st.DrawFn, gaps: bool, optional: bool, direct: bool) -> list[dict[str, Any]]:
    made = []
    for k in range(draw(st.integers(1, 4))):
        names = draw(st.sampled_from((("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ())))
        one: dict[str, Any] = {
            "names": names,
            "first_time": draw(st.sampled_from((False, False, False, True))),
        }
        if k and optional and draw(st.booleans()):
            one["optional"] = True
        elif k and gaps:
            low, high = sorted(draw(st.tuples(DURATIONS, DURATIONS)))
            one["min_gap"] = low if draw(st.booleans()) else None
            one["max_gap"] = high if draw(st.booleans()) else None
        if k and direct and not one.get("optional"):
            one["direct"] = draw(st.booleans())
        made.append(one)
    for k, one in enumerate(made):
        following = next((later for later in made[k + 1 :] if not later.get("optional")), None)
        same = following and (following["names"], following["first_time"]) == (
            one["names"],
            one["first_time"],
        )
        if one.get("optional") and same:
            one["optional"] = False
    return made


def us(duration: int | None) -> timedelta | None:
    return None if duration is None else timedelta(microseconds=duration)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Asked, str]:
    order = draw(st.sampled_from(("ordered", "ordered", "ordered", "strict", "unordered")))
    ties = draw(st.sampled_from(("input", "any", "strict")))
    grace = draw(st.sampled_from((None, 2 * SECOND))) if ties == "any" else None
    unit = draw(st.sampled_from(("user", "session", "totals")))
    open_entry = order != "unordered" and unit != "totals" and draw(st.sampled_from((False, False, True)))
    plain = order == "unordered"
    made = draw(steps(not plain and draw(st.booleans()), not plain and not open_entry and draw(st.booleans()),
                      not plain and draw(st.booleans())))  # fmt: skip
    direct = any(one.get("direct") for one in made)
    reuse = (
        order == "ordered" and ties != "strict" and not direct and draw(st.sampled_from((False, False, True)))
    )
    entry = draw(st.sampled_from(("any", "any", "first")))
    pick = (
        draw(st.sampled_from(("earliest", "latest")))
        if entry == "any" and unit != "totals" and not open_entry
        else "earliest"
    )
    exclusion = draw(st.sampled_from(("per_run", "furthest_run", "dropoff")))
    resolution = draw(st.sampled_from((None, None, SECOND)))
    within = draw(st.sampled_from((None, 3 * SECOND, 10 * SECOND, 61 * SECOND, "session")))
    hold = draw(st.sampled_from(((), (), ("device",))))
    hold_unit = draw(st.sampled_from(("unit", "pair", "first_entry")))
    required = [k for k, one in enumerate(made, 1) if not one.get("optional")]
    exclude = []
    if len(required) > 1 and draw(st.booleans()):
        a, b = (required[0], required[-1])
        if not plain:
            a, b = sorted(draw(st.lists(st.sampled_from(required), min_size=2, max_size=2, unique=True)))
        exclude = [(draw(st.sampled_from(("x", "a"))), a, b)]
    first = draw(st.sampled_from((None, 12 * SECOND)))
    rules = {"order": order, "ties": ties, "entry": entry, "pick": pick, "exclusion": exclusion,
             "open_entry": open_entry, "reuse_event": reuse, "hold_unit": hold_unit,
             "times": draw(st.sampled_from(("chosen_run", "chosen_run", "mean_of_runs")))}  # fmt: skip
    if order == "unordered" and within == "session" and unit == "session":
        within = None
    if order == "unordered" and any(k != len(made) for _, _, k in exclude):
        exclude = []
    funnel = jk.Funnel(
        [jk.Step(jk.Match(one["names"], first_time=one["first_time"]), optional=bool(one.get("optional")),
                 direct=bool(one.get("direct")), min_gap=us(one.get("min_gap")), max_gap=us(one.get("max_gap")))
         for one in made],
        within=within if within in (None, "session") else us(within), unit=unit,
        exclude=[jk.Exclusion(name, after=a, before=b, overlaps_steps=True) for name, a, b in exclude], hold=hold,
        rules=jk.FunnelRules(**rules, grace=us(grace), resolution=us(resolution)),
        entry_between=None if first is None else (logs_moment(first), None), missing="ignore", value="amount",
    )  # fmt: skip
    question = oracle.Question(
        [oracle.Step(one["names"], first_time=one["first_time"], optional=bool(one.get("optional")),
                     direct=bool(one.get("direct")), min_gap=one.get("min_gap"), max_gap=one.get("max_gap"))
         for one in made],
        within, [oracle.Exclusion((name,), after=a, before=b) for name, a, b in exclude], hold,
        oracle.Rules(**rules, grace=grace or 0, resolution=resolution), (first, None),
    )  # fmt: skip
    return Asked(funnel, question), unit


def average(values):
    return sum(values) / len(values) if values else None


def median(values):
    return oracle.percentile(values, 0.5)


def logs_moment(time: int) -> Any:
    return pl.Series([time]).cast(pl.Datetime("us", "UTC"))[0]


def with_sessions(rows, timeout):
    marked = []
    for user in dict.fromkeys(row["user"] for row in rows):
        last, number = None, 0
        for row in [row for row in rows if row["user"] == user]:
            number += last is not None and row["time"] - last > timeout
            last = row["time"]
            marked.append({**row, "session": number})
    return marked


@settings(deadline=None)
@given(dense_logs(), questions(), st.sampled_from((0, 3 * SECOND, 300 * SECOND)), VALUES)
def test_every_number_is_that_of_the_slow_twin(rows, asked_unit, later, value):
    asked, unit = asked_unit
    equals_the_slow_twin(rows, replace(asked, funnel=replace(asked.funnel, value=value)), unit, later, value)


def equals_the_slow_twin(rows, asked, unit, later, value):
    answer, question = measured(rows, asked, unit, later)
    units = oracle.funnel_units(with_sessions(rows, 5 * SECOND), question, unit)
    expected = oracle.funnel_steps(units, question)
    frame = answer.frame
    assert frame["reached"].to_list() == [row.reached for row in expected]
    assert frame["entered"].to_list() == [row.entered for row in expected]
    if not question.rules.open_entry:
        assert frame["open"].to_list() == [row.open for row in expected]
        assert frame["dropped"].to_list() == [row.dropped for row in expected]
    for name in ("step_rate", "total_rate"):
        assert frame[name].to_list() == pytest.approx([getattr(row, name) for row in expected])
    mature = oracle.matured(units, question)
    last = question.last - 1
    found = (frame["matured_converted"][last], frame["matured"][last])
    assert found == ((None, None) if mature is None else mature)
    for k in range(1, len(question.steps) + 1):
        row = frame.row(k - 1, named=True)
        if (
            question.rules.times == "mean_of_runs"
            and not question.rules.open_entry
            and question.rules.entry != "all"
        ):
            means, middles = (oracle.times_of_runs(units, question, k, of) for of in (average, median))
            assert row["time_mean"] == pytest.approx(average(means))
            assert row["time_median"] == pytest.approx(median(middles), abs=2e-6)
        elif question.rules.times == "chosen_run":
            times = oracle.funnel_times(units, question, k)
            assert row["time_mean"] == pytest.approx(average(times))
            assert row["time_median"] == pytest.approx(median(times))
            assert (row["time_min"], row["time_max"]) == (min(times, default=None), max(times, default=None))
        if value is None:
            continue
        worth = [
            unit.container.rows[run.reached[k]]["amount"]
            for unit in units
            for run in unit.chosen
            if k in run.reached
        ]
        assert (row["value"], row["value_nulls"]) == (sum(v or 0.0 for v in worth), worth.count(None))


@st.composite
def plain_questions(draw: st.DrawFn) -> Asked:
    """Ask what one look at every event answers, by steps of which an event fits one."""
    ties = draw(st.sampled_from(("input", "any", "strict")))
    grace = draw(st.sampled_from((None, 2 * SECOND))) if ties == "any" else None
    resolution, entry = draw(st.sampled_from((None, SECOND))), draw(st.sampled_from(("any", "any", "first")))
    names, within = (
        draw(st.permutations("abcx"))[: draw(st.integers(1, 4))],
        draw(st.sampled_from((None, 3 * SECOND, 6 * SECOND, 61 * SECOND))),
    )
    rules = {"ties": ties, "entry": entry, "times": draw(st.sampled_from(("chosen_run", "mean_of_runs"))),
             "pick": draw(st.sampled_from(("earliest", "latest"))) if entry == "any" else "earliest"}  # fmt: skip
    return Asked(
        jk.Funnel(names, within=us(within), missing="ignore",
                  rules=jk.FunnelRules(**rules, grace=us(grace), resolution=us(resolution))),
        oracle.Question([oracle.Step((name,)) for name in names], within,
                        rules=oracle.Rules(**rules, grace=grace or 0, resolution=resolution)),
    )  # fmt: skip


@settings(deadline=None)
@given(
    dense_logs(max_events=14), plain_questions(), st.sampled_from((1, 3)), st.sampled_from((0, 3 * SECOND))
)
def test_all_runs_at_once_count_as_by_the_slow_twin(rows, asked, stretch, later):
    rows = [{**row, "time": row["time"] * stretch} for row in rows]
    equals_the_slow_twin(rows, asked, "user", later, None)
    answer, _ = measured(rows, asked, "user", later)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("journeykit.statistics.funnels.tally.is_enough", lambda runner, cells: False)
        other, _ = measured(rows, asked, "user", later)
    same(answer, other)
    assert_frame_equal(answer.times, other.times)


def same(answer, other):
    """Compare what two answers have in common; sums of floats may be added up in another order."""
    columns = [name for name in answer.frame.columns if name in other.frame.columns]
    assert_frame_equal(answer.frame.select(columns), other.frame.select(columns), rel_tol=1e-12)
    assert answer.tie_sensitive == other.tie_sensitive


@settings(deadline=None)
@given(
    dense_logs(max_events=14), questions(), st.sampled_from((None, "1d")), st.sampled_from((None, "device"))
)
def test_one_pass_counts_what_is_counted_run_by_run(rows, asked_unit, every, by):
    asked, unit = asked_unit
    rows = [{**row, "time": row["time"] * (43_200 if every else 1)} for row in rows]
    asked = replace(asked, funnel=replace(asked.funnel, value=None))
    answer, _ = measured(rows, asked, unit, every=every, by=by)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("journeykit.statistics.funnels.tally.is_enough", lambda runner, cells: False)
        other, _ = measured(rows, asked, unit, every=every, by=by)
    same(answer, other)
    assert_frame_equal(answer.times, other.times)
    without, _ = measured(
        rows, replace(asked, funnel=replace(asked.funnel, quantiles=())), unit, every=every, by=by
    )
    same(without, answer)


GROUPS = ("first", "last", "all", "step:1", "step:2", "each:1", "each:2")


def measured(rows, asked, unit, later=0, **options):
    """Return the answer of the package, and the question of the slow twin."""
    until = max(row["time"] for row in rows) + later
    events = jk.read_events(
        logs.frame(rows), user="user", time="time", event="event", keep=["device", "amount"],
        observed_until=logs_moment(until),
    )  # fmt: skip
    entry = "all" if unit == "totals" else asked.question.rules.entry
    question = replace(asked.question, until=until, rules=replace(asked.question.rules, entry=entry))
    return events.sessionize("5s").measure(asked.funnel, **options), question


@settings(deadline=None)
@given(dense_logs(), questions(), st.sampled_from(GROUPS))
def test_groups_of_a_breakdown_are_those_of_the_slow_twin(rows, asked_unit, at):
    asked, unit = asked_unit
    assume(int(at.partition(":")[2] or 0) <= len(asked.question.steps))
    funnel = replace(asked.funnel, breakdown="device", at=at)
    answer, question = measured(rows, Asked(funnel, asked.question), unit)
    groups = oracle.breakdown(with_sessions(rows, 5 * SECOND), question, "device", at, unit)
    expected = {
        value: [row.reached for row in oracle.funnel_steps(units, question)]
        for value, units in groups.items()
    }
    found = {}
    for row in answer.frame.iter_rows(named=True):
        found.setdefault(row["device"], []).append(row["reached"])
    assert {value: reached for value, reached in found.items() if any(reached)} == expected


@settings(deadline=None)
@given(dense_logs(), questions(), VALUES)
def test_a_unit_counts_once_in_each_period_by_its_best_run_there(rows, asked_unit, value):
    asked, unit = asked_unit
    asked = replace(asked, funnel=replace(asked.funnel, value=value))
    assume(not asked.funnel.rules.open_entry)
    # Seconds become days, so that runs start in different periods.
    rows = [{**row, "time": (row["time"] - 10 * SECOND) * 43_200 + 10 * SECOND} for row in rows]
    answer, question = measured(rows, asked, unit, every="1d")
    day = 86_400 * SECOND
    units = oracle.funnel_units(with_sessions(rows, 5 * SECOND), question, unit)
    last = question.last
    start, _ = question.entry_between
    first = (min(row["time"] for row in rows) if start is None else start) // day
    days = [number * day for number in range(first, question.until // day + 1)]
    expected = oracle.trend(units, question, lambda time: time // day * day, days, 1, last)
    found = {}
    table = answer.frame.select(pl.col("period").dt.epoch("us"), "step", "reached")
    for period, step, reached in table.iter_rows():
        found.setdefault(period, {})[step] = reached
    assert {p: (r[1], r[last]) for p, r in found.items()} == {
        p: (row.reached_from, row.reached_to) for p, row in expected.items()
    }
    assert list(found) == days
    within = question.within
    final = [day + start + within <= question.until if isinstance(within, int) else None for start in days]
    assert answer.frame.filter(step=1)["final"].to_list() == final


@settings(deadline=None)
@given(dense_logs(), questions(), st.data())
def test_times_between_any_two_steps_are_those_of_the_slow_twin(rows, asked_unit, data):
    asked, unit = asked_unit
    assume(len(asked.question.steps) > 1 and asked.question.rules.times == "chosen_run")
    a, b = sorted(
        data.draw(st.lists(st.integers(1, len(asked.question.steps)), min_size=2, max_size=2, unique=True))
    )
    funnel = replace(asked.funnel, times_between=[(a, b)])
    answer, question = measured(rows, replace(asked, funnel=funnel), unit)
    units = oracle.funnel_units(with_sessions(rows, 5 * SECOND), question, unit)
    expected = oracle.span_times(units, question, a, b)
    (row,) = answer.between.to_dicts() or [dict.fromkeys(answer.between.columns) | {"units": 0}]
    assert row["units"] == len(expected)
    assert row["time_mean"] == pytest.approx(average(expected))
    assert row["time_median"] == pytest.approx(median(expected))
    assert (row["time_min"], row["time_max"]) == (min(expected, default=None), max(expected, default=None))
    kept = answer.times.filter(since=f"step:{a}", step=b)
    assert [one for one, n in kept.select("seconds", "units").rows() for _ in range(n)] == sorted(expected)


@settings(deadline=None)
@given(dense_logs(), questions())
def test_the_run_table_holds_the_runs_that_count(rows, asked_unit):
    asked, unit = asked_unit
    answer, question = measured(rows, Asked(replace(asked.funnel, runs=True), asked.question), unit)
    table = answer.runs.filter("counts")
    reached = [table.filter(pl.col("step") == k).height for k in range(1, len(question.steps) + 1)]
    if not question.rules.open_entry:
        assert reached == answer.frame["reached"].to_list()
    for row, step in table.select("row", "step").iter_rows():
        names = question.steps[step - 1].events
        assert question.rules.order == "unordered" or not names or rows[row]["event"] in names
