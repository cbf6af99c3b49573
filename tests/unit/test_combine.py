"""Sources and the log that they make together: order, clocks, days, presets, and the full text of every message."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import journeykit as jk
from journeykit import errors, touchpoint_sources
from tests.property.test_out_of_core import assert_same_everywhere

WEB = pl.DataFrame(
    {
        "user": ["ann", "ann", "bob"],
        "time": ["2026-03-28 22:30:00", "2026-03-28 23:30:00", "2026-03-29 12:00:00"],
        "event": ["view", "order", "view"],
    }
)


def web(**changes):
    return jk.Source(log=WEB, source="web", **changes)


def calls(days, order="before", **changes):
    log = pl.DataFrame({"who": ["ann"] * len(days), "day": days})
    return jk.Source(
        log=log,
        source="calls",
        user="who",
        time="day",
        event=pl.lit("call"),
        precision="day",
        day_order=order,
        **changes,
    )


def told(events):
    return [
        (row["event"], row["time"])
        for row in events.sessionize("30m").frame.iter_rows(named=True)
        if row["user"] == "ann"
    ]


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_events_of_several_sources_stand_in_one_order():
    ads = pl.DataFrame({"id": ["ann"], "ms": [1_774_737_000_000], "what": ["click"]})
    events = jk.combine(
        [web(), jk.Source(log=ads, source="ads", user="id", time="ms", event="what", unit="ms")]
    )
    assert [name for name, _ in told(events)] == ["view", "click", "order"]
    assert events.columns.columns == ["time", "event", "channel", "source"]
    assert events.frame["channel"].to_list() == ["web", "web", "web", "ads"]


@pytest.mark.parametrize(
    ("order", "tz", "time"),
    [
        ("before", None, at(2026, 3, 28)),
        ("after", None, at(2026, 3, 28, 23, 59, 59, 999_999)),
        # Clocks in Berlin were put forward on the 29th: a day of 23 hours, from 23:00 to 21:59:59 UTC.
        ("before", "Europe/Berlin", at(2026, 3, 28, 23)),
        ("after", "Europe/Berlin", at(2026, 3, 29, 21, 59, 59, 999_999)),
    ],
)
def test_days_stand_before_or_after_the_events_of_their_day(order, tz, time):
    day = "2026-03-28" if tz is None else "2026-03-29"
    events = jk.combine([web(tz="UTC"), calls([day], order)], tz=tz)
    names = {None: {"before": ["call", "view", "order"], "after": ["view", "order", "call"]}}
    berlin = {"before": ["view", "call", "order"], "after": ["view", "order", "call"]}
    assert [name for name, _ in told(events)] == names.get(tz, berlin)[order]
    assert dict(told(events))["call"] == time
    assert events.frame["precision"].to_list() == ["exact"] * 3 + ["day"]


def test_at_midnight_days_still_stand_before_and_after():
    log = pl.DataFrame({"user": ["ann"], "time": ["2026-01-05 00:00:00"], "event": ["midnight"]})
    exact = jk.Source(log=log, source="web")
    last = pl.DataFrame({"user": ["ann"], "time": ["2026-01-05 23:59:59.999999"], "event": ["last"]})
    days = [calls(["2026-01-05"], "after"), calls(["2026-01-05"], "before")]
    events = jk.combine([jk.Source(log=last, source="web"), exact, days])
    assert [name for name, _ in told(events)] == ["call", "midnight", "last", "call"]
    assert events.sessionize("30m").provenance.tied_pairs == 0


def test_clocks_are_put_right():
    slow = jk.combine([web(offset="90m"), calls(["2026-03-29"], "after")])
    assert [name for name, _ in told(slow)] == ["view", "order", "call"]
    assert dict(told(slow))["order"] == at(2026, 3, 29, 1)
    fast = jk.combine([web(offset="-1h")])
    assert dict(told(fast))["order"] == at(2026, 3, 28, 22, 30)
    assert told(jk.combine([web(offset=timedelta(hours=-1))])) == told(fast)


def test_a_clock_is_put_right_before_its_day_is_taken():
    events = jk.combine([calls(["2026-03-29"], offset="-1s")])
    assert told(events) == [("call", at(2026, 3, 28))]


def test_ids_of_systems_are_kept_apart_by_what_stands_before_them():
    crm = pl.DataFrame({"user": [7], "time": [0], "event": ["x"]})
    events = jk.combine(
        [
            jk.Source(log=crm, source="crm", unit="s", prefix="crm:"),
            jk.Source(log=crm, source="till", unit="s"),
        ]
    )
    assert events.frame["user"].to_list() == ["crm:7", "7"]


def test_properties_are_named_made_and_missing():
    one = pl.DataFrame({"user": ["a"], "time": [0], "event": ["x"], "utm": ["news"], "n": [1]})
    two = pl.DataFrame({"user": ["a"], "time": [1], "event": ["y"], "total": [2.5], "n": ["many"]})
    events = jk.combine(
        [
            jk.Source(
                log=one, source="1", unit="s", properties={"campaign": "utm", "n": "n"}, optional=["absent"]
            ),
            jk.Source(
                log=two, source="2", unit="s", value="total", properties=["n"], channel=pl.col("n") + "!"
            ),
        ]
    )
    assert events.frame.select("channel", "campaign", "n", "value").rows() == [
        ("1", "news", "1", None),
        ("many!", None, "many", 2.5),
    ]


def test_a_log_that_was_read_is_a_source_too():
    events = jk.read_events(WEB, user="user", time="time", event="event")
    again = jk.combine([jk.Source(log=events, source="web", where=pl.col("event") == "view")])
    assert again.frame["event"].to_list() == ["view", "view"]


def test_files_are_sources_too(tmp_path):
    WEB.write_csv(tmp_path / "web.csv")
    events = jk.combine([jk.Source(log=tmp_path / "web.csv", source="<b>web</b>\n🛒")])
    assert events.frame["source"].to_list() == ["<b>web</b>\n🛒"] * 3


def test_plans_answer_as_memory_does(tmp_path):
    plan = jk.scan_combined([web(), calls(["2026-03-28", "2026-03-29"])]).sessionize("30m")
    questions = (jk.Overview(), jk.TimeBetween("view", "order"), jk.TimeBetween("call", "order"))
    assert_same_everywhere(plan, jk.OutOfCore(shards=3, directory=tmp_path), *questions, by="channel")
    assert plan.collect().provenance.notes == (
        "2 events are known to the day only: their times of day are made up.",
    )


def test_times_from_and_to_days_are_left_out_and_counted():
    journeys = jk.combine([web(), calls(["2026-03-28"])]).sessionize("30m")
    known = journeys.measure(jk.TimeBetween("view", "order", within="7d"))
    assert known.frame.select("started", "ended", "time_median").row(0) == (2, 1, 3600.0)
    left_out = journeys.measure(jk.TimeBetween("call", "order", within="7d"))
    assert left_out.frame.select("started", "users").rows() == [(0, 0)]
    assert (
        left_out.context.notes[-1]
        == "1 starts are left out: they or the end after them are known to the day only."
    )
    after = jk.combine([web(), calls(["2026-03-28"], "after")]).sessionize("30m")
    some = after.measure(jk.TimeBetween("view", "call", within="7d"))
    assert some.frame.select("started", "ended", "censored").row(0) == (1, 0, 1)


def test_every_preset_reads_its_export():
    day = "2026-01-05"
    moment = "2026-01-05T10:00:00.000+0000"
    contact = pl.DataFrame({"Email": ["a"], "CreatedDate": [moment], "LeadSource": ["Web"]})
    deals = pl.DataFrame(
        {
            "AccountId": ["a", "a", "a"],
            "CreatedDate": [moment] * 3,
            "CloseDate": [day] * 3,
            "IsClosed": ["true", "true", "false"],
            "IsWon": ["true", "false", "false"],
            "Amount": ["100.5", "70", None],
        }
    )
    cases = pl.DataFrame(
        {
            "ContactId": ["a", "a"],
            "CreatedDate": [moment] * 2,
            "ClosedDate": [moment, None],
            "Origin": ["Phone", None],
        }
    )
    tickets = pl.DataFrame(
        {"requester_id": [1], "created_at": [day], "solved_at": [None]},
        schema_overrides={"solved_at": pl.String},
    )
    mail = pl.DataFrame(
        {"email": ["a"] * 2, "event": ["Sent", "opened"], "timestamp": [moment] * 2, "campaign": ["x"] * 2}
    )
    ad = pl.DataFrame({"user_id": ["a"], "event": ["click"], "time": [moment]})
    post = pl.DataFrame({"author": ["a"], "type": ["mention"], "created_at": [moment], "network": ["x"]})
    receipt = pl.DataFrame({"loyalty_card": ["a"], "time": [day], "total": [3]})
    answer = pl.DataFrame({"email": ["a"], "answered_at": [moment], "score": [9], "comment": ["good"]})
    sources = [
        touchpoint_sources.salesforce_contacts(contact),
        touchpoint_sources.salesforce_opportunities(deals),
        touchpoint_sources.salesforce_cases(cases),
        touchpoint_sources.support_tickets(tickets, prefix="ticket:"),
        touchpoint_sources.support_tickets(tickets, closed=None),
        touchpoint_sources.email(mail),
        touchpoint_sources.ads(ad),
        touchpoint_sources.social(post, channel=pl.col("network")),
        touchpoint_sources.till(receipt, precision="day"),
        *(touchpoint_sources.survey(answer, kind) for kind in ("nps", "csat", "ces", "text")),
    ]
    found = (
        jk.combine(sources).frame.select("user", "event", "channel", "source", "value", "precision").rows()
    )
    assert found == [
        ("a", "contact created", "crm", "salesforce", None, "exact"),
        *[("a", "opportunity created", "sales", "salesforce", None, "exact")] * 3,
        ("a", "opportunity won", "sales", "salesforce", 100.5, "day"),
        ("a", "opportunity lost", "sales", "salesforce", None, "day"),
        ("a", "case opened", "phone", "salesforce", None, "exact"),
        ("a", "case opened", "support", "salesforce", None, "exact"),
        ("a", "case closed", "phone", "salesforce", None, "exact"),
        ("ticket:1", "ticket opened", "support", "support", None, "exact"),
        ("1", "ticket opened", "support", "support", None, "exact"),
        ("a", "email sent", "email", "email", None, "exact"),
        ("a", "email opened", "email", "email", None, "exact"),
        ("a", "ad click", "ads", "ads", None, "exact"),
        ("a", "social mention", "x", "social", None, "exact"),
        ("a", "bought in the shop", "shop", "till", 3.0, "day"),
        ("a", "survey nps", "survey", "survey nps", 9.0, "exact"),
        ("a", "survey csat", "survey", "survey csat", 9.0, "exact"),
        ("a", "survey ces", "survey", "survey ces", 9.0, "exact"),
        ("a", "survey text", "survey", "survey text", None, "exact"),
    ]


MESSAGES = {
    "nothing": (
        lambda: jk.combine([]),
        errors.ParameterError,
        "combine needs at least one source. Give jk.Source(...) values.",
    ),
    "no source": (
        lambda: jk.combine(["web.csv"]),
        errors.ParameterError,
        "combine takes Source values, not 'web.csv'. Write jk.Source(log=..., source=...).",
    ),
    "no name": (
        lambda: jk.Source(log=WEB, source=""),
        errors.ParameterError,
        "source cannot be ''. Give the source a name, such as 'till'.",
    ),
    "no column": (
        lambda: jk.combine([web(user="usr")]),
        errors.MissingColumnError,
        (
            "no column 'usr' for the role 'user'. Did you mean 'user'? Available: 'user', 'event', 'time'. "
            "Pass user=<column name> to Source 'web'."
        ),
    ),
    "no property": (
        lambda: jk.combine([web(properties={"page": "pagge"})]),
        errors.MissingColumnError,
        (
            "no column 'pagge' for the role 'properties'. Available: 'time', 'user', 'event'. "
            "Pass properties=<column name> to Source 'web'."
        ),
    ),
    "one text": (
        lambda: web(properties="page"),
        errors.ParameterError,
        "properties must be columns, not one text. Pass properties=['page'].",
    ),
    "a name that is taken": (
        lambda: web(properties=["channel"]),
        errors.ColumnClashError,
        (
            "the property 'channel' cannot be kept under this name: it is the name of a role. "
            "Rename the column, or pass channel='channel' if it plays that role."
        ),
    ),
    "precision": (
        lambda: web(precision="hour"),
        errors.ParameterError,
        "precision cannot be 'hour'. Choose one of: 'exact', 'day'.",
    ),
    "day order": (
        lambda: web(day_order="first"),
        errors.ParameterError,
        "day_order cannot be 'first'. Choose one of: 'before', 'after'.",
    ),
    "offset": (
        lambda: web(offset=90),
        errors.ParameterError,
        (
            "offset cannot be 90. Give a duration with its unit, such as '30m', '36h' or '7d' "
            "(us, ms, s, m, h, d, w), or a datetime.timedelta."
        ),
    ),
    "survey": (
        lambda: touchpoint_sources.survey(WEB, "stars"),
        errors.ParameterError,
        "kind cannot be 'stars'. Choose one of: 'nps', 'csat', 'ces', 'text'.",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_refused_and_how(name):
    act, kind, message = MESSAGES[name]
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        act()


def test_a_condition_that_is_passed_is_added_to_that_of_a_preset():
    log = pl.DataFrame(
        {
            "ContactId": ["ann", "ann", "bob"],
            "CreatedDate": ["2026-01-05 10:00"] * 3,
            "ClosedDate": ["2026-01-06 10:00", None, "2026-01-06 10:00"],
            "Origin": ["Web"] * 3,
        }
    )
    cases = touchpoint_sources.salesforce_cases(log, where=pl.col("ContactId") == "ann")
    assert jk.combine(cases).frame["event"].cast(pl.String).to_list() == [
        "case opened",
        "case opened",
        "case closed",
    ]

    deals = pl.DataFrame(
        {
            "AccountId": ["a", "a", "b"], "CreatedDate": ["2026-01-05"] * 3, "CloseDate": ["2026-01-06"] * 3,
            "IsClosed": ["true", "false", "true"], "IsWon": ["true", "false", "true"], "Amount": [1.0] * 3,
        }
    )  # fmt: skip
    _, closed = touchpoint_sources.salesforce_opportunities(deals, where=pl.col("AccountId") == "a")
    assert jk.combine([closed]).frame["event"].cast(pl.String).to_list() == ["opportunity won"]
    _, every = touchpoint_sources.salesforce_opportunities(deals, where=None)
    assert jk.combine([every]).frame.height == 2


def test_rows_without_a_user_are_refused_or_dropped():
    log = pl.DataFrame({"user": ["a", None], "time": [0, 1], "event": ["x", "y"]})
    source = jk.Source(log=log, source="crm", unit="s", prefix="crm:")
    with pytest.raises(errors.InvalidRowsError):
        jk.combine([source])
    assert jk.combine([source], on_invalid="drop").frame["user"].to_list() == ["crm:a"]


def test_times_that_clocks_skip_are_counted_and_shown_as_written():
    """In Berlin the clocks go from 2 to 3 on the 29th of March 2026. D1.2, D1.4."""
    calls = pl.DataFrame({"who": ["ann", "bob"], "at": ["2026-03-29 02:30:00", "2026-03-29 04:00:00"]})
    source = jk.Source(
        log=calls, source="calls", user="who", time="at", event=pl.lit("call"), tz="Europe/Berlin"
    )
    events = jk.combine([web(), source], on_invalid="drop")
    assert (events.quality.gap_times, events.quality.rows_in - events.quality.rows_kept) == (1, 1)
    with pytest.raises(
        jk.errors.InvalidRowsError, match="1 of the times do not exist in the time zone"
    ) as raised:
        jk.combine([web(), source])
    assert "user='ann', time='2026-03-29 02:30:00', event='call'" in str(raised.value)


def test_times_that_exist_twice_are_counted():
    """In Berlin the clocks go from 3 back to 2 on the 25th of October 2026: 02:30 is there twice. D1.2."""
    calls = pl.DataFrame(
        {"who": ["ann", None, "bob"], "at": ["2026-10-25 02:30:00"] * 2 + ["2026-10-25 04:00:00"]}
    )
    berlin = jk.Source(
        log=calls, source="calls", user="who", time="at", event=pl.lit("call"), tz="Europe/Berlin"
    )
    shifted = replace(berlin, source="others", offset="2h")
    for sources, twice in ([web(), berlin], 1), ([berlin, shifted], 2):
        assert jk.combine(sources, on_invalid="drop").quality.ambiguous_times == twice
    alone = jk.read_events(calls.select("who", "at", e=pl.lit("call")), user="who", time="at", event="e",
                           tz="Europe/Berlin", on_invalid="drop")  # fmt: skip
    assert alone.quality.ambiguous_times == 1


def test_a_source_with_a_row_of_another_length_is_refused(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("user,time,event,note,value\na,2026-01-01,call,hello, there,3\n")
    source = jk.Source(log=path, source="calls", properties=["note"])
    with pytest.raises(errors.BrokenRowError, match="line 2 has 6 fields, the header has 5"):
        jk.combine(iter([source]))
