"""Sessions: each rule at its boundary, the presets, and the cut against a slow twin. DEFINITIONS D2."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeykit import sessions
from journeykit.errors import InputError, ParameterError, UnknownNameError, UnknownPropertyError
from journeykit.kernels.paths import sessions as kernels
from journeykit.sessions import CAUSES, SessionRule, cut, cutting, is_open
from journeykit.support.durations import microseconds

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@dataclass
class SmallLog:
    """A log from a list per user of (time in microseconds, event)."""

    users: list[list[tuple[int, str]]]
    tz: str = "UTC"
    properties: dict[str, list[str | None]] = field(default_factory=dict)
    session: list[str | None] | None = None

    def __post_init__(self):
        rows = [row for user in self.users for row in user]
        vocabulary = sorted({event for _, event in rows})
        self.names = pl.Series("names", vocabulary, pl.String)
        self.times = np.array([time for time, _ in rows], np.int64)
        self.event_codes = np.array([vocabulary.index(event) for _, event in rows], np.uint8)
        self.user_offsets = np.cumsum([0, *map(len, self.users)]).astype(np.int64)
        self.session_values = None if self.session is None else pl.Series(self.session, dtype=pl.String)

    def property(self, name):
        if name not in self.properties:
            raise UnknownPropertyError(name, list(self.properties))
        return pl.Series(name, self.properties[name], pl.String)


def labelled(log, result):
    """Give (cause, rows) of every session, per user."""
    order = np.arange(log.times.size) if result.order is None else result.order
    bounds = result.session_offsets
    spans = [
        (CAUSES[cause], order[first:last].tolist())
        for cause, (first, last) in zip(result.causes, pairwise(bounds), strict=True)
    ]
    return [spans[first:last] for first, last in pairwise(result.user_sessions)]


def cut_one(rule, *rows, **options):
    """Cut one user's events, given as (minutes, event) or minutes; give (cause, size) of each session."""
    events = [row if isinstance(row, tuple) else (row, "a") for row in rows]
    log = SmallLog([[(round(minutes * MINUTE), event) for minutes, event in events]], **options)
    return [(cause, len(rows)) for cause, rows in labelled(log, cut(rule, log))[0]]


class TestRules:
    def test_a_silence_of_exactly_the_timeout_does_not_cut(self):
        assert cut_one(SessionRule("30m"), 0, 30) == [("first", 2)]
        assert cut_one(SessionRule("30m"), 0, 30 + 1 / 6e7) == [("first", 1), ("timeout", 1)]

    def test_a_silence_of_exactly_the_timeout_cuts_if_inclusive(self):
        rule = SessionRule("30m", timeout_inclusive=True)
        assert cut_one(rule, 0, 30) == [("first", 1), ("timeout", 1)]
        assert cut_one(rule, 0, 30 - 1 / 6e7) == [("first", 2)]

    def test_without_timeout_silence_never_cuts(self):
        assert cut_one(SessionRule(None), 0, 1e6, 1e8) == [("first", 3)]
        assert cut_one(SessionRule(None, timeout_inclusive=True, max_events=9), 0, 1e6) == [("first", 2)]

    def test_max_duration_is_allowed_and_measured_from_the_start_of_the_session(self):
        rule = SessionRule("30m", max_duration="1h")
        assert cut_one(rule, 0, 20, 40, 60, 80, 100, 120) == [("first", 4), ("max_duration", 3)]
        assert cut_one(rule, 0, 30, 60 + 1 / 6e7) == [("first", 2), ("timeout", 1)]
        assert cut_one(rule, 0, 31, 61, 91) == [("first", 1), ("timeout", 3)]

    def test_max_events(self):
        assert cut_one(SessionRule(max_events=2), 0, 1, 2, 3, 4) == [
            ("first", 2),
            ("max_events", 2),
            ("max_events", 1),
        ]

    def test_a_burst_ends_with_its_last_event(self):
        rule = SessionRule("30m", burst=(3, "2m"))
        assert cut_one(rule, 0, 1, 2, 3) == [("first", 3), ("burst", 1)]
        assert cut_one(rule, 0, 1, 2 + 1 / 6e7, 3, 3, 3) == [("first", 6)]

    def test_split_on_ignores_nulls_and_the_first_value(self):
        rule = SessionRule(split_on="campaign")
        values = [None, "x", None, "x", "y", None, "y"]
        assert cut_one(rule, *range(7), properties={"campaign": values}) == [("first", 4), ("split_on", 3)]

    def test_split_on_forgets_the_value_of_the_session_before(self):
        rule = SessionRule("30m", split_on="campaign")
        values = ["x", None, "y", "x"]
        assert cut_one(rule, 0, 40, 41, 42, properties={"campaign": values}) == [
            ("first", 1),
            ("timeout", 2),
            ("split_on", 1),
        ]

    def test_split_on_several_properties(self):
        rule = SessionRule(split_on=["campaign", "device"])
        options = {"properties": {"campaign": ["x", None, "x"], "device": ["p", "q", None]}}
        assert cut_one(rule, 0, 1, 2, **options) == [("first", 1), ("split_on", 2)]

    def test_a_start_event_belongs_to_the_new_session_and_an_end_event_to_the_old(self):
        rule = SessionRule(start_events=["login"], end_events=["logout"])
        rows = [(0, "a"), (1, "login"), (2, "a"), (3, "logout"), (4, "a")]
        assert cut_one(rule, *rows) == [("first", 1), ("start_events", 3), ("end_events", 1)]

    def test_a_user_who_begins_with_a_start_event(self):
        assert cut_one(SessionRule(start_events="login"), (0, "login"), (1, "a")) == [("first", 2)]

    def test_the_first_rule_of_the_table_is_the_cause(self):
        everything = {
            "max_duration": "1m",
            "max_events": 1,
            "burst": (1, "1m"),
            "split_at": "day",
            "split_on": "p",
            "start_events": "s",
            "end_events": "e",
        }
        causes = []
        for dropped in range(len(everything) + 1):
            rule = SessionRule(
                "30m" if not causes else None, **dict(list(everything.items())[max(dropped - 1, 0) :])
            )
            found = cut_one(rule, (0, "e"), (24 * 60, "s"), properties={"p": ["x", "y"]})
            causes.append(found[1][0])
        assert causes == list(CAUSES[1:9])

    def test_ties_and_negative_times(self):
        assert cut_one(SessionRule("1us", timeout_inclusive=True), -5, -5, -5, 0) == [
            ("first", 3),
            ("timeout", 1),
        ]
        assert cut_one(SessionRule("30m"), -100, -70, -39, 0) == [
            ("first", 2),
            ("timeout", 1),
            ("timeout", 1),
        ]

    def test_the_causes_of_the_kernel_have_these_names(self):
        named = {name: getattr(kernels, name.upper()) for name in CAUSES}
        assert list(named.values()) == list(range(len(CAUSES)))


class TestDays:
    def test_before_1970_a_day_is_floored(self):
        assert cut_one(SessionRule("1d", split_at="day"), -1, 1) == [("first", 1), ("split_at", 1)]

    @pytest.mark.parametrize(
        ("day", "before", "after"),
        [((2024, 3, 31), 22, 23), ((2024, 10, 27), 21, 22)],
    )
    def test_midnight_is_local_also_when_clocks_change(self, day, before, after):
        """In Berlin the day before and after a change end at different hours of UTC."""
        berlin = ZoneInfo("Europe/Berlin")
        midnights = [datetime(*day, tzinfo=berlin) + timedelta(days=each) for each in (0, 1)]
        times = []
        for midnight in midnights:
            moment = round(midnight.astimezone(UTC).timestamp()) * SECOND
            times += [moment - 1, moment]
        log = SmallLog([[(time, "a") for time in times]], "Europe/Berlin")
        found = labelled(log, cut(SessionRule(None, split_at="day"), log))
        assert found == [[("first", [0]), ("split_at", [1, 2]), ("split_at", [3])]]
        assert (times[3] - times[1]) / HOUR == 24 + (before - after) * (1 if day[1] == 3 else -1)

    def test_a_local_clock_set_back_over_midnight(self):
        """At 00:01 of 2 November 2008 St. John's went back to 23:01 of the day before."""
        moments = [datetime(2008, 11, 2, 2, minute, tzinfo=UTC) for minute in (20, 30, 45)]
        times = [round(moment.timestamp()) * SECOND + 15 * SECOND for moment in moments]
        rule = SessionRule(None, split_at="day", passive="ping")
        for middle, expected in (("a", "split_at"), ("ping", "outside")):
            log = SmallLog([list(zip(times, ["a", middle, "a"], strict=True))], "America/St_Johns")
            found = [cause for cause, _ in labelled(log, cut(replace(rule, missing="ignore"), log))[0]]
            assert found == ["first", expected, "split_at"]

    @pytest.mark.parametrize(
        "tz", ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]
    )
    def test_the_local_date_of_many_events(self, tz):
        """Far apart and close together, so that both ways to ask the zone are taken."""
        begin, end = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2006, 2012))
        for times in (np.arange(begin, end, 40 * 60), np.arange(begin, end, 7 * 3600 + 100)):
            local = [datetime.fromtimestamp(int(each), ZoneInfo(tz)).date() for each in times]
            expected = [(day - date(1970, 1, 1)).days for day in local]
            assert cutting._local_days(times * SECOND, tz).tolist() == expected


class TestPassive:
    rule = SessionRule("30m", passive="ping")

    def test_one_within_the_timeout_is_inside_and_does_not_extend(self):
        rows = [(0, "a"), (30, "ping"), (31, "a")]
        assert cut_one(self.rule, *rows) == [("first", 2), ("timeout", 1)]

    def test_a_run_after_the_timeout_is_outside(self):
        rows = [(0, "a"), (31, "ping"), (32, "ping"), (33, "a"), (34, "ping")]
        assert cut_one(self.rule, *rows) == [("first", 1), ("outside", 2), ("timeout", 2)]

    def test_one_before_the_first_session_is_outside(self):
        assert cut_one(self.rule, (0, "ping"), (1, "a")) == [("outside", 1), ("first", 1)]

    def test_a_user_with_none_but_passive_events_has_no_session(self):
        log = SmallLog([[(0, "ping"), (1, "ping")], [(0, "a")]])
        result = cut(self.rule, log)
        assert labelled(log, result) == [[("outside", [0, 1])], [("first", [2])]]
        assert result.inside.tolist() == [False, True]

    def test_it_counts_for_no_other_rule(self):
        rows = [(0, "a"), (1, "ping"), (2, "a"), (3, "ping"), (4, "a")]
        assert cut_one(replace(self.rule, max_events=2), *rows) == [
            ("first", 3),
            ("outside", 1),
            ("max_events", 1),
        ]

    def test_its_properties_never_split(self):
        rows = [(0, "a"), (1, "ping"), (2, "a")]
        options = {"properties": {"campaign": ["x", "y", "x"]}}
        assert cut_one(replace(self.rule, split_on="campaign"), *rows, **options) == [("first", 3)]

    def test_one_after_an_end_event_is_outside(self):
        rows = [(0, "end"), (1, "ping"), (2, "a")]
        expected = [("first", 1), ("outside", 1), ("end_events", 1)]
        assert cut_one(replace(self.rule, end_events="end"), *rows) == expected

    def test_all_inside_is_none(self):
        log = SmallLog([[(0, "a"), (1, "ping")]])
        assert cut(self.rule, log).inside is None


class TestColumn:
    def test_interleaved_values(self):
        log = SmallLog([[(each, "a") for each in range(4)], [(0, "a")]], session=["x", "y", "x", "y", "x"])
        result = cut(SessionRule.from_column(), log)
        assert labelled(log, result) == [[("first", [0, 2]), ("session_column", [1, 3])], [("first", [4])]]
        assert result.order.tolist() == [0, 2, 1, 3, 4]

    def test_contiguous_values_need_no_order_and_may_repeat_between_users(self):
        log = SmallLog([[(0, "a"), (1e12, "a")], [(0, "a"), (1, "a")]], session=["x", "x", "x", "y"])
        result = cut(SessionRule.from_column(), log)
        assert labelled(log, result) == [[("first", [0, 1])], [("first", [2]), ("session_column", [3])]]
        assert result.order is None
        assert result.inside is None

    def log_with_nulls(self):
        times = [0, 1, 2, 3, 40, 41]
        return SmallLog(
            [[(time * MINUTE, "a") for time in times]], session=[None, "x", None, None, None, "x"]
        )

    @pytest.mark.parametrize(
        ("null_session", "expected"),
        [
            (
                "own",
                [("first", [0]), ("session_column", [1, 5])]
                + [("session_column", [row]) for row in (2, 3, 4)],
            ),
            ("rule", [("first", [0, 2, 3]), ("session_column", [1, 5]), ("timeout", [4])]),
            ("outside", [("outside", [0]), ("first", [1, 5]), ("outside", [2, 3, 4])]),
        ],
    )
    def test_nulls(self, null_session, expected):
        log = self.log_with_nulls()
        assert labelled(log, cut(SessionRule.from_column(null_session), log)) == [expected]

    def test_nulls_are_refused(self):
        with pytest.raises(InputError) as caught:
            cut(SessionRule.from_column(), self.log_with_nulls())
        assert str(caught.value) == (
            "the session column is null in 4 of 6 rows. Pass null_session='own' (each such row is a "
            "session), 'rule' (the timeout cuts them) or 'outside' (they are in no session)."
        )

    def test_the_rule_for_nulls_sees_properties_of_its_rows(self):
        log = SmallLog(
            [[(each, "a") for each in range(4)]],
            session=[None, "x", None, None],
            properties={"p": ["v", "w", "v", "w"]},
        )
        rule = SessionRule(split_on="p", session_column=True, null_session="rule")
        assert labelled(log, cut(rule, log)) == [
            [("first", [0, 2]), ("session_column", [1]), ("split_on", [3])]
        ]

    def test_a_log_without_sessions(self):
        with pytest.raises(InputError) as caught:
            cut(SessionRule.from_column(), SmallLog([[(0, "a")]]))
        assert str(caught.value) == (
            "these events have no session column. Pass session=<column name> to read_events."
        )


@pytest.mark.parametrize(
    "rule",
    [SessionRule(), SessionRule(split_at="day", split_on="p", max_events=3), SessionRule.from_column("rule")],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_an_empty_log(rule, threads):
    result = cut(rule, SmallLog([], properties={"p": []}, session=[]), threads=threads)
    assert result.session_offsets.tolist() == [0]
    assert result.user_sessions.tolist() == [0]
    assert result.causes.tolist() == []
    assert result.inside is None
    assert result.order is None


@pytest.mark.parametrize("rule", [SessionRule(), SessionRule(max_events=3), SessionRule.from_column()])
def test_one_event(rule):
    log = SmallLog([[(7, "a")]], session=["x"])
    result = cut(rule, log)
    assert labelled(log, result) == [[("first", [0])]]
    assert result.session_offsets.dtype == result.user_sessions.dtype == np.int64
    assert result.causes.dtype == np.uint8


def test_open_at_the_end():
    last = np.array([0, 1, 31], np.int64) * MINUTE
    assert is_open(SessionRule("30m"), last, 31 * MINUTE).tolist() == [False, True, True]
    inclusive = SessionRule("30m", timeout_inclusive=True)
    assert is_open(inclusive, last, 31 * MINUTE).tolist() == [False, False, True]
    assert is_open(SessionRule(None), last, 10**15).tolist() == [True, True, True]


class TestNames:
    log = SmallLog([[(0, "login"), (1, "view")]])

    @pytest.mark.parametrize("option", ["start_events", "end_events", "passive", "views", "key_events"])
    def test_an_unknown_event(self, option):
        with pytest.raises(UnknownNameError) as caught:
            cut(SessionRule(**{option: ["view", "logn"]}), self.log)
        assert str(caught.value) == (
            "no event 'logn' in this log. Did you mean 'login'? Available: 'login', 'view'. "
            'Pass missing="ignore" to count such names as never seen.'
        )
        assert cut(SessionRule(**{option: "logn"}, missing="ignore"), self.log).causes.tolist() == [0]

    def test_an_unknown_property(self):
        with pytest.raises(UnknownPropertyError, match="no property 'campaign' in these journeys"):
            cut(SessionRule(split_on="campaign"), self.log)


class TestValues:
    def test_equal_however_written(self):
        first = SessionRule("90m", max_duration=timedelta(days=1), passive=["b", "a", "b"], burst=(3, "60s"))
        second = SessionRule("1h30m", max_duration="24h", passive={"a", "b"}, burst=(3, "1m"))
        assert first == second
        assert hash(first) == hash(second)
        assert first != replace(first, timeout="91m")

    def test_repr_evaluates_to_the_rule(self):
        rule = SessionRule("1500us", max_duration="24h", passive="b", burst=(3, "60s"), views=["v"])
        expected = (
            "SessionRule(timeout='1500us', max_duration='1d', burst=(3, '1m'), passive=('b',), views=('v',))"
        )
        assert repr(rule) == expected
        assert eval(expected) == rule

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"timeout": 30},
                (
                    "timeout cannot be 30. Give a duration with its unit, such as '30m', '36h' or '7d' "
                    "(us, ms, s, m, h, d, w), or a datetime.timedelta."
                ),
            ),
            ({"max_duration": "0s"}, "max_duration must be greater than zero, not '0s'."),
            ({"max_events": 0}, "max_events must be greater than zero, not 0."),
            ({"max_events": True}, "max_events cannot be True. Give a whole number of events."),
            ({"max_events": 2.5}, "max_events cannot be 2.5. Give a whole number of events."),
            (
                {"burst": 100},
                "burst cannot be 100. Give a number of events and a duration, such as (100, '100s').",
            ),
            ({"burst": (0, "1m")}, "burst must be greater than zero, not 0."),
            ({"split_at": "week"}, "split_at cannot be 'week'. Choose one of: None, 'day'."),
            (
                {"null_session": "drop"},
                "null_session cannot be 'drop'. Choose one of: 'raise', 'own', 'rule', 'outside'.",
            ),
            ({"bounce": "adobe"}, "bounce cannot be 'adobe'. Choose one of: 'single', 'ga4'."),
            ({"missing": None}, "missing cannot be None. Choose one of: 'raise', 'ignore', 'warn'."),
            ({"session_column": "sid"}, "session_column cannot be 'sid'. Choose one of: True, False."),
            ({"timeout_inclusive": 1}, "timeout_inclusive cannot be 1. Choose one of: True, False."),
            ({"passive": 3}, "passive cannot be 3. Give a name or a list of names."),
            ({"passive": [3]}, "passive cannot be [3]. Give a name or a list of names."),
            (
                {"passive": ["a", "ping"], "end_events": "ping"},
                (
                    "'ping' is passive and also a start or end event. A passive event neither opens nor ends "
                    "a session: name it in one place only."
                ),
            ),
            (
                {"null_session": "own"},
                (
                    "null_session='own' has no effect without the log's own sessions. "
                    "Use SessionRule.from_column(null_session='own')."
                ),
            ),
            (
                {"session_column": True, "split_at": "day"},
                (
                    "split_at has no effect on sessions from a column. Leave it out, or pass "
                    "null_session='rule' to apply it to the rows without a session."
                ),
            ),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(ParameterError) as caught:
            SessionRule(**options)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("preset", "timeout", "rest"),
    [
        (sessions.ga4(), "30m", {"bounce": "ga4"}),
        (sessions.ga4(["v"], ["k"]), "30m", {"bounce": "ga4", "views": ["v"], "key_events": ["k"]}),
        (sessions.mixpanel(), "30m", {"max_duration": "24h", "split_at": "day"}),
        (sessions.adobe(), "30m", {"max_duration": "12h", "max_events": 2500, "burst": (100, "100s")}),
        (sessions.matomo(), "30m", {"max_events": 10_000, "split_at": "day", "split_on": ["campaign"]}),
        (sessions.matomo(None), "30m", {"max_events": 10_000, "split_at": "day"}),
        (sessions.snowplow(), "30m", {}),
        (sessions.posthog(), "30m", {"max_duration": "24h"}),
        (sessions.posthog_2021(), "30m", {"timeout_inclusive": True}),
        (sessions.amplitude_web(), "30m", {}),
        (sessions.amplitude_mobile(), "5m", {}),
    ],
)
def test_presets(preset, timeout, rest):
    assert preset == SessionRule(timeout, **rest)


def test_adobe_cuts_bursts_and_long_visits():
    """100 hits in 99 s are a visit; then one hit each 10 minutes for at most 12 hours."""
    hits = [second / 60 for second in range(100)] + [minutes + 2 for minutes in range(0, 13 * 60, 10)]
    assert cut_one(sessions.adobe(), *hits) == [("first", 100), ("burst", 73), ("max_duration", 5)]


def test_many_events_are_cut_in_ranges_of_users():
    generator = np.random.default_rng(3)
    lengths = generator.integers(0, 40, 15_000)
    lengths[7] = 90_000
    log = SmallLog([])
    log.user_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    log.times = np.concatenate([np.sort(generator.integers(-(10**11), 10**11, each)) for each in lengths])
    log.event_codes = generator.integers(0, 3, log.times.size).astype(np.uint16)
    log.names = pl.Series(["a", "b", "c"])
    assert log.times.size > cutting.PARALLEL_FROM
    for rule in (SessionRule(), SessionRule(max_events=5, passive="b", end_events="c")):
        whole = cut(rule, log, threads=1)
        for threads in (None, 2, 7):
            pieces = cut(rule, log, threads=threads)
            for name in ("session_offsets", "user_sessions", "causes", "inside"):
                np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def fires(rule, log, event, state):
    """Name the first rule of D2.1 that fires at this event, for a user who has had a session."""
    previous, start, held = state["previous"], state["start"], state["held"]
    gap, age, spread = (
        event["time"] - previous["time"],
        event["time"] - start["time"],
        previous["time"] - start["time"],
    )
    timeout, longest = (each and microseconds(each) for each in (rule.timeout, rule.max_duration))
    many, fast = rule.burst or (None, "1us")
    days = {datetime.fromtimestamp(each["time"] / 1e6, ZoneInfo(log.tz)).date() for each in (previous, event)}
    values = (
        []
        if event["name"] in rule.passive
        else [(event["properties"][p], state["seen"].get(p)) for p in rule.split_on]
    )
    asked = {
        "timeout": timeout and (gap > timeout or (rule.timeout_inclusive and gap == timeout)),
        "max_duration": longest and age > longest,
        "max_events": rule.max_events and held >= rule.max_events,
        "burst": held == many and spread <= microseconds(fast),
        "split_at": rule.split_at == "day" and len(days) == 2,
        "split_on": any(None not in pair and pair[0] != pair[1] for pair in values),
        "start_events": event["name"] in rule.start_events,
        "end_events": previous["name"] in rule.end_events,
    }
    return next((name for name, fired in asked.items() if fired), None)


def oracle_by_rule(rule, log, events):
    """Cut one user's events: (cause, rows) of each session, and the rows outside any."""
    found, outside, state = [], [], None
    for event in events:
        cause = "first" if state is None else fires(rule, log, event, state)
        if event["name"] in rule.passive:
            if cause is None:
                found[-1][1].append(event["row"])
            else:
                outside.append(event["row"])
            continue
        if cause is not None:
            found.append((cause, []))
            state = {"start": event, "held": 0, "seen": {}}
        found[-1][1].append(event["row"])
        state["held"] += 1
        state["previous"] = event
        state["seen"] |= {name: value for name, value in event["properties"].items() if value is not None}
    return found, outside


def oracle_by_column(rule, log, events):
    """Collect one user's events by their value of the session column."""
    keyed, outside = {}, []
    nulls = [event for event in events if log.session[event["row"]] is None]
    for event in events:
        value = log.session[event["row"]]
        if value is not None:
            keyed.setdefault(("value", value), ("session_column", []))[1].append(event["row"])
        elif rule.null_session == "own":
            keyed["row", event["row"]] = ("session_column", [event["row"]])
        elif rule.null_session == "outside":
            outside.append(event["row"])
    if rule.null_session == "rule":
        among, outside = oracle_by_rule(rule, log, nulls)
        for cause, rows in among:
            keyed["null", rows[0]] = ("session_column" if cause == "first" else cause, rows)
    found = sorted(keyed.values(), key=lambda session: session[1][0])
    return [("first", found[0][1]), *found[1:]] if found else [], outside


def oracle_sessions(rule, log):
    """Cut every user's events by the words of D2: (cause, rows) of each session, and the rows outside any."""
    result, row = [], 0
    for user in log.users:
        events = []
        for time, name in user:
            properties = {key: values[row] for key, values in log.properties.items()}
            events.append({"row": row, "time": time, "name": name, "properties": properties})
            row += 1
        result.append((oracle_by_column if rule.session_column else oracle_by_rule)(rule, log, events))
    return result


EVENTS = "abcd"
NULLABLE = st.sampled_from([None, "x", "y", "z"])


@st.composite
def logs(draw):
    gaps = st.sampled_from([0, 1, 5, 10, 11, 25, 400, 1440]).map(lambda minutes: minutes * MINUTE)
    users = []
    for _ in range(draw(st.integers(0, 4))):
        rows = draw(st.lists(st.tuples(gaps, st.sampled_from(EVENTS)), min_size=1, max_size=14))
        begin = draw(st.integers(-3000, 3000)) * MINUTE
        times = begin + np.cumsum([gap for gap, _ in rows])
        users.append([(int(time), event) for time, (_, event) in zip(times, rows, strict=True)])
    size = sum(map(len, users))
    column = st.lists(NULLABLE, min_size=size, max_size=size)
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]))
    return SmallLog(users, zone, {"p": draw(column), "q": draw(column)}, draw(column))


@st.composite
def rules(draw):
    names = st.lists(st.sampled_from(EVENTS), max_size=2)
    passive = draw(names)
    others = names.map(lambda chosen: [name for name in chosen if name not in passive])
    durations = st.sampled_from([None, "5m", "10m", "30m", "1d"])
    by_column = draw(st.booleans())
    return SessionRule(
        draw(durations),
        timeout_inclusive=draw(st.booleans()),
        max_duration=draw(durations),
        max_events=draw(st.sampled_from([None, 1, 2, 5])),
        burst=draw(st.sampled_from([None, (1, "1m"), (2, "5m"), (3, "10m")])),
        split_at=draw(st.sampled_from([None, "day"])),
        split_on=draw(st.lists(st.sampled_from("pq"), max_size=2)),
        start_events=draw(others),
        end_events=draw(others),
        passive=passive,
        session_column=by_column,
        null_session="rule" if by_column else "raise",
        missing="ignore",
    )


def assert_like_the_oracle(rule, log, threads):
    result = cut(rule, log, threads=threads)
    for found, (inside, outside) in zip(labelled(log, result), oracle_sessions(rule, log), strict=True):
        assert [session for session in found if session[0] != "outside"] == inside
        assert sorted(row for cause, rows in found if cause == "outside" for row in rows) == outside
        firsts = [rows[0] for _, rows in found]
        assert firsts == sorted(firsts)
    if result.inside is not None:
        assert result.inside.tolist() == [CAUSES[cause] != "outside" for cause in result.causes]
        assert not result.inside.all()
    if result.order is not None:
        assert result.order.tolist() != list(range(log.times.size))


@pytest.mark.property
@given(rules(), logs(), st.sampled_from([1, 2, 5]))
@settings(max_examples=300, deadline=None)
def test_like_the_oracle(rule, log, threads):
    assert_like_the_oracle(rule, log, threads)


@pytest.mark.property
@given(logs(), st.sampled_from(["own", "rule", "outside"]))
@settings(max_examples=100, deadline=None)
def test_columns_like_the_oracle(log, null_session):
    assert_like_the_oracle(SessionRule.from_column(null_session, "10m"), log, 2)
