"""What is odd in a log is found, each rule by its definition, and nothing is found in a log that is as it should be."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ExpectationsError, ParameterError, UnknownPropertyError

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = 3600


def read(rows, **options):
    frame = pl.DataFrame(rows, schema=["user", "time", "event", *options.pop("keep", [])], orient="row")
    keep = frame.columns[3:]
    return jk.read_events(frame, user="user", time="time", event="event", keep=keep, **options)


def steady(days=10, event="view", per_hour=4, users=50):
    """A log with an event every quarter of an hour, of ordinary users in turn."""
    return [
        (f"u{n % users}", START + timedelta(seconds=n * HOUR / per_hour), event)
        for n in range(days * 24 * per_hour)
    ]


def found(events, *rules, **parameters):
    report = events.check(jk.QualityRules(**parameters))
    return (
        report.frame.filter(pl.col("rule").is_in(rules) if rules else True)
        .select("rule", "subject", "value", "limit")
        .rows()
    )


def test_a_good_log():
    report = read(steady()).check()
    assert report.ok
    assert report.failed() == []
    assert repr(report) == "Check of 960 events of 50 users: nothing odd"
    assert report.users.height == 0


def test_one_event():
    assert read([("u", START, "x")]).check().ok


def test_gaps():
    rows = [row for row in steady(2) if not 6 <= (row[1] - START).total_seconds() / HOUR < 9]
    assert found(read(rows), "gap") == [("gap", "2026-01-05 05:45:00 UTC", 3.25 * HOUR, HOUR)]
    assert found(read(rows), "gap", gap="195m") == []
    assert found(read(rows), "gap", gap=timedelta(hours=3.25) - timedelta(microseconds=1))
    assert found(read(rows), "gap", gap=None) == []


def test_sudden_changes_of_volume():
    rows = steady(10)
    rows += [("u1", START + timedelta(days=8, seconds=n), "view") for n in range(400)]
    rows = [row for row in rows if (row[1] - START).days != 9 or row[1].hour < 5 or row[1].hour >= 23]
    events = read(rows, observed_until=START + timedelta(days=10))
    assert found(events, "volume") == [
        ("volume", "view on 2026-01-13", 496.0, 288.0),
        ("volume", "view on 2026-01-14", 24.0, 32.0),
    ]
    assert found(events, "volume", change=6) == []
    assert [row[1] for row in found(events, "volume", least_change=100)] == ["view on 2026-01-13"]
    assert found(events, "volume", baseline=10) == []
    assert found(events, "volume", change=None) == []


def test_a_day_that_is_cut_off_is_no_drop():
    rows = [row for row in steady(10) if row[1] < START + timedelta(days=9, hours=2)]
    assert found(read(rows), "volume") == []


def test_days_are_those_of_the_zone():
    rows = [(f"u{n % 9}", START + timedelta(seconds=n * 900), "x") for n in range(96 * 9)]
    events = read(rows, tz="America/New_York")
    assert found(events, "volume") == []
    expected = jk.Expectations(volume={"x": (96, 96)})
    assert events.check(expected).ok
    assert read(rows, tz="UTC").check(expected).ok


def test_new_and_vanished_names():
    rows = steady(4) + [("u1", START + timedelta(hours=n), "gone") for n in range(70)]
    rows += [("u2", START + timedelta(hours=95), "<new>")]
    assert found(read(rows), "new_event", "vanished_event") == [
        ("new_event", "<new>", 1.0, 0.0),
        ("vanished_event", "gone", 0.0, pytest.approx(70 * 24 / (96 - 24 - 0.25))),
    ]
    rare = steady(4) + [("u1", START + timedelta(hours=n), "rare") for n in range(0, 70, 3)]
    assert found(read(rare), "vanished_event") == []
    assert found(read(rows), "new_event", "vanished_event", recent=None) == []
    assert found(read(rows), "new_event", "vanished_event", recent="3d") == []


def test_repeats():
    rows = [
        ("u", START, "x", "1"),
        ("u", START, "x", "1"),
        ("v", START, "x", "1"),
        ("v", START, "y", None),
        ("w", START, "y", None),
    ]
    events = read(rows, keep=["id"])
    assert found(events, "duplicate", "duplicate_id", id="id") == [
        ("duplicate", "rows", 1.0, 0.0),
        ("duplicate_id", "id", 2.0, 0.0),
    ]
    assert found(events, "duplicate_id") == []


def test_skewed_clocks():
    rows = []
    for user, offset in (("good", 0), ("late", -3600), ("ahead", 3600), ("few", 3600)):
        for n in range(4 if user == "few" else 6):
            moment = START + timedelta(minutes=n)
            rows.append((user, moment + timedelta(seconds=offset), "x", moment + timedelta(seconds=n * 700)))
    events = read(rows, keep=["received"])
    assert found(events, "clock_skew", received="received") == [
        ("clock_skew", "received", pytest.approx(2 / 3), 0.01)
    ]
    assert found(events, "clock_skew", received="received", skew="61m") == []
    assert found(events, "clock_skew", received="received", skewed_users=0.7) == []


def test_broken_clocks():
    rows = [("u", datetime(1970, 1, 1, tzinfo=UTC), "x"), ("u", datetime(2100, 1, 1, tzinfo=UTC), "x")]
    assert found(read(rows), "clock_broken") == [("clock_broken", "time", 2.0, 0.0)]


def test_bots_are_listed_and_stay():
    rows = [(*row, "Mozilla/5.0") for row in steady(2)]
    rows += [("fast", START + timedelta(seconds=n / 2 + 1), "x", "Mozilla/5.0") for n in range(119)]
    rows += [("slow", START + timedelta(seconds=n), "x", "Mozilla/5.0") for n in range(60)]
    rows += [("clock", START + timedelta(seconds=90 * n), "x", None) for n in range(51)]
    rows += [("human", START + timedelta(seconds=90 * n + 11 * (n % 3)), "x", None) for n in range(51)]
    rows += [("robot", START, "x", "ExampleBot/1.0 (+https://bot.example)"), ("tool", START, "x", "curl/8")]
    events = read(rows, keep=["agent"])
    report = events.check(jk.QualityRules(user_agent="agent", bot_rate=100))
    assert report.users.rows() == [
        ("fast", "bot", "118 events in one minute", 119),
        ("fast", "bot", "an event every 0.5 s", 119),
        ("slow", "bot", "an event every 1.0 s", 60),
        ("clock", "bot", "an event every 90.0 s", 51),
        ("robot", "bot", "user agent ExampleBot/1.0 (+https://bot.example)", 1),
        ("tool", "bot", "user agent curl/8", 1),
    ]
    assert report.failed("bot") == ["bot"]
    assert events.columns.height == len(rows)
    quiet = events.check(jk.QualityRules(bot_rate=None, regularity=None))
    assert quiet.users.height == 0


def test_test_users():
    rows = steady(1) + [
        (name, START, "x") for name in ("test", "a-test", "QA_7", "latest", "contest1", "test-7")
    ]
    report = read(rows).check()
    assert sorted(report.users["user"]) == ["QA_7", "a-test", "test", "test-7"]
    assert found(read(rows), "test_user") == [("test_user", "4 users", 4 / 102, 0.0)]
    assert read(rows).check(jk.QualityRules(test_users=None)).users.height == 0
    assert read(rows).check(jk.QualityRules(test_users="^u7$")).users["user"].to_list() == ["u7"]


def test_users_that_are_numbers():
    rows = [(7, START + timedelta(seconds=n), "x") for n in range(200)]
    assert read(rows).check(jk.QualityRules(bot_rate=60, regularity=None)).users.rows() == [
        ("7", "bot", "60 events in one minute", 200)
    ]


# Expectations


def good():
    rows = [(*row, "de") for row in steady(10)] + [
        ("u1", START + timedelta(days=3), 'odd "name" \n <b>', None)
    ]
    return read(rows, keep=["country"], observed_until=START + timedelta(days=10))


def test_expectations_of_a_good_log_hold_for_it():
    expected = jk.Expectations.of(good())
    assert expected.events == ('odd "name" \n <b>', "view")
    assert expected.volume == {"view": (48, 193), 'odd "name" \n <b>': (0, 3)}
    assert expected.nulls == {"country": 0.011}
    assert [each for each in good().check(expected).failed() if each != "duplicate"] == []


def test_expectations_survive_their_file(tmp_path):
    rules = jk.QualityRules(gap=timedelta(minutes=90), change=None, user_agent="country", test_users=None)
    for expected in (jk.Expectations.of(good(), rules=rules), jk.Expectations()):
        path = expected.save(tmp_path / "expected.toml")
        again = jk.Expectations.load(path)
        assert again.dumps() == expected.dumps()
        assert again.volume == expected.volume
        assert pickle.loads(pickle.dumps(expected)) == expected
        assert hash(again) == hash(jk.Expectations.loads(expected.dumps()))
    assert [each.name for each in tmp_path.iterdir()] == ["expected.toml"]


def test_what_is_not_as_expected():
    expected = jk.Expectations.of(good())
    rows = [row for row in steady(3) if row[1].day != 6] + [("u1", START, "surprise")]
    events = read(
        [(*row, None if row[1].hour < 12 else "de") for row in rows],
        keep=["country"],
        observed_until=START + timedelta(days=3),
    )
    report = events.check(expected)
    assert report.frame.select("rule", "subject", "value", "limit").rows() == [
        ("gap", "2026-01-05 23:45:00 UTC", 86_400.0 + 900, 3600.0),
        ("unexpected_event", "surprise", 1.0, 0.0),
        ("expected_volume", "view on 2026-01-06", 0.0, 48.0),
        ("null_share", "country", pytest.approx(97 / 193), 0.011),
    ]
    bare = read(rows).check(expected)
    assert ("missing_column", "country") in bare.frame.select("rule", "subject").rows()
    assert report.failed() == ["gap", "unexpected_event", "expected_volume", "null_share"]
    assert report.failed(["null_share", "bot"]) == ["null_share"]
    assert report.failed("bot") == []


def test_a_report_is_text_html_and_a_file(tmp_path):
    report = read([*steady(1), ("u1", START + timedelta(hours=40), "<script>\n")]).check(
        jk.Expectations(["view"])
    )
    assert repr(report).splitlines() == [
        "Check of 97 events of 50 users: 2 findings",
        "  gap               no event for 16.2 hours after 2026-01-05 23:45:00 UTC",
        "  unexpected_event  '<script>\\n' is not expected: 1 events",
    ]
    assert "<script>" not in report._repr_html_()
    assert "&lt;script&gt;" in report._repr_html_()
    assert pl.read_csv(report.write(tmp_path / "r.csv")).height == 2
    many = read([("u", START + timedelta(hours=2 * n), "x") for n in range(40)]).check()
    assert repr(many).splitlines()[-1] == "  gap  and 34 more in .frame"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "[event]\n",
            ["no table 'event'. Did you mean 'events'? Available: 'events', 'nulls', 'rules', 'volume'."],
        ),
        ("events = 3\n", ["events must be a table"]),
        ("[rules]\ngapp = 3\n", ["no rule 'gapp'. Did you mean 'gap'? Available: 'gap', "]),
        (
            "[rules]\ngap = 3\n",
            ["gap cannot be 3. Give a duration with its unit, such as '30m', '36h' or '7d'"],
        ),
        ("[rules]\nchange = 0.5\n", ["change must be a number above 1, not 0.5."]),
        ("[rules]\ntest_users = '('\n", ["test_users is no regular expression: '('."]),
        ("[events]\nnames = 'a'\n", ["events must be a list of names, not 'a'"]),
        ("[events]\nnames = [1]\nmore = 2\n", ["events has no key 'more', only names"]),
        ("[volume]\na = 3\n", ["the volume of 'a' must be [fewest, most], not 3"]),
        (
            "[volume]\na = [3, 1]\nb = [1]\n",
            ["the volume of 'a' must be [fewest, most], not [3, 1]", "the volume of 'b' must be"],
        ),
        (
            "[nulls]\na = 2\nb = 'x'\n",
            ["the share of nulls of 'a' must be between 0 and 1, not 2", "the share of nulls of 'b'"],
        ),
        ("[nulls\n", ["it is not TOML: "]),
    ],
)
def test_files_that_are_no_expectations(text, problems, tmp_path):
    path = tmp_path / "e.toml"
    path.write_text(text)
    with pytest.raises(ExpectationsError) as raised:
        jk.Expectations.load(path)
    number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    assert str(raised.value).startswith(f"the expectations {str(path)!r} have {number}:\n- ")
    assert len(raised.value.problems) == len(problems)
    for each, problem in zip(raised.value.problems, problems, strict=True):
        assert each.startswith(problem)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ExpectationsError, match="it cannot be read: No such file or directory"):
        jk.Expectations.load(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExpectationsError, match="it cannot be read: it is not text in UTF-8"):
        jk.Expectations.load(tmp_path / "bytes.toml")


def test_rules_that_do_not_fit_the_log():
    events = read(steady(1))
    for name in ("id", "received", "user_agent"):
        with pytest.raises(UnknownPropertyError, match="no property 'nothing' in these journeys"):
            events.check(jk.QualityRules(**{name: "nothing"}))
    with pytest.raises(ParameterError) as raised:
        read([(*row, "x") for row in steady(1)], keep=["seen"]).check(jk.QualityRules(received="seen"))
    assert (
        str(raised.value) == "received='seen' must hold times, and holds String. Convert it before reading."
    )
    with pytest.raises(ParameterError) as raised:
        events.check().failed("gaps")
    assert str(raised.value).startswith("a rule cannot be 'gaps'. Choose one of: 'any', 'gap', 'volume', ")
