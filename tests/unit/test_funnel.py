"""Funnels: worked examples, presets, and what is refused, with the full text of every message. D7."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError, UnknownPropertyError
from tests import logs
from tests.logs import MINUTE
from tests.measuring import journeys_of

PRESETS = (
    "default", "posthog", "posthog_2021", "mixpanel", "mixpanel_reentry", "amplitude", "ga4", "adobe", "clickhouse",
)  # fmt: skip
LOG = logs.log(
    """
    ann 0 view; ann 5 cart; ann 6 help; ann 9 buy
    bob 0 view; bob 50 cart; bob 70 buy
    cyd 0 cart; cyd 1 view; cyd 90 view; cyd 95 cart
    dee 97 view
    """
)


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(LOG)


def reached(answer):
    return answer.frame["reached"].to_list()


def test_steps_within_an_hour_with_what_is_open(journeys):
    frame = journeys.measure(jk.Funnel(["view", "cart", "buy"], within="1h")).frame
    columns = frame.select("step", "reached", "converted", "dropped", "open", "matured", "matured_converted")
    assert columns.rows() == [(1, 4, 3, 0, 1, 3, 3), (2, 3, 1, 1, 1, 3, 2), (3, 1, None, None, None, 3, 1)]
    assert frame["time_median"].to_list() == [None, 300.0, 240.0]
    assert frame["total_time_max"].to_list() == [None, 3000.0, 540.0]


def test_every_preset_says_its_number(journeys):
    steps = ["view", "cart", "buy"]
    found = {
        name: reached(journeys.measure(jk.Funnel(steps, rules=getattr(jk.rules, name)())))
        for name in PRESETS
    }  # fmt: skip
    assert found == {key: [4, 3, 2] for key in found}
    first = jk.Funnel(steps, within="1h", rules=jk.rules.mixpanel())
    assert reached(journeys.measure(first)) == [4, 2, 1]
    again = jk.Funnel(steps, within="1h", rules=jk.rules.mixpanel_reentry())
    assert reached(journeys.measure(again)) == [4, 3, 1]


def test_totals_count_every_run_and_exclusions_end_it(journeys):
    assert reached(journeys.measure(jk.Funnel(["view", "cart"], within="1h", unit="totals"))) == [5, 3]
    rules = jk.FunnelRules(exclusion="dropoff")
    without = jk.Funnel(["view", "cart", "buy"], exclude=jk.Exclusion("help", after=2), rules=rules)
    assert reached(journeys.measure(without)) == [4, 3, 1]
    assert reached(journeys.measure(jk.Funnel(["view", "cart", "buy"], exclude="help"))) == [3, 2, 1]


def test_the_run_table_leads_to_the_rows_of_the_log(journeys):
    runs = journeys.measure(jk.Funnel(["view", "cart"], within="1h", runs=True)).runs
    assert runs.filter(user="cyd").select("run", "step", "name", "row", "counts").rows() == [
        (1, 1, "view", 8, False),
        (2, 1, "view", 9, True),
        (2, 2, "cart", 10, True),
    ]
    assert [LOG[row]["event"] for row in runs["row"]] == runs["name"].to_list()


def test_a_histogram_has_one_row_more_than_bins(journeys):
    answer = journeys.measure(jk.Funnel(["view", "cart"]))
    assert answer.histogram(bins=3).rows() == [
        (300, 2080, 1),
        (2080, 3860, 1),
        (3860, 5640, 0),
        (5640, 7420, 1),
    ]
    assert answer.times.rows() == [
        (2, since, seconds, 1) for since in ("previous", "first") for seconds in (300.0, 3000.0, 5640.0)
    ]  # fmt: skip


def test_a_funnel_without_a_window_says_so(journeys):
    answer = journeys.measure(jk.Funnel(["view", "buy"]))
    assert "No window: a run may take any time. State one with within=." in answer.notes
    assert answer.frame["open"].to_list() == [None, None]
    assert answer.frame["matured_rate"].to_list() == [None, None]


def test_ties_that_matter_are_counted():
    rows = [{"user": "u", "time": 0, "event": name} for name in ("cart", "view")]
    answer = journeys_of(rows).measure(jk.Funnel(["view", "cart"], within="1h"))
    assert (answer.tie_sensitive, reached(answer)) == (1, [1, 0])
    assert "1 of 1 users come further or less far if events at one time change places." in answer.notes


def test_stages_are_steps_by_their_visits():
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", ["cart", "help"])])
    staged = journeys_of(LOG).assign_stages(model, missing="ignore")
    assert reached(staged.measure(jk.Funnel(["want", "want"], of="stage"))) == [3, 1]


def step(**options):
    return lambda: jk.Step("a", **options)


def funnel(*steps, **options):
    return lambda: jk.Funnel(list(steps) or ["a", "b"], **options)


REFUSED = [
    (funnel(within="0s"), "within must be greater than zero, not '0s'."),
    (lambda: jk.Funnel([]), "a funnel needs at least one step, and steps is empty. Write, for example, ['view']."),
    (lambda: jk.Funnel("a"), "steps must be a list of steps, not 'a'. Write, for example, ['view', 'purchase']."),
    (lambda: jk.Funnel(["a"] * 33), "33 steps are more than the 32 that a funnel can have."),
    (funnel(["a"], []),
     "a step cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match."),
    (funnel(jk.Step("a", optional=True), "b"),
     "the first step 'a' is optional: a funnel begins with a required one. Put it later, or make it required."),
    (funnel(jk.Step("a", direct=True), "b"),
     "the first step 'a' has direct, min_gap or max_gap, and no step comes before it. Leave them out."),
    (step(min_gap="2h", max_gap="1h"),
     "min_gap='2h' is longer than max_gap='1h': no event fits between."),
    (step(optional=True, direct=True),
     ("the optional step 'a' has direct, min_gap or max_gap: these are of required steps. Leave them out, or make "
     "it required.")),
    (step(name=3), "the name of a step is a text, not 3."),
    (funnel("a", jk.Step("b", optional=True), "b"),
     ("the optional step 'b' is the same as the required step after it: no event could tell them apart. Leave one "
     "out.")),
    (lambda: jk.Exclusion("x", after=2, before=2),
     ("an exclusion lies between two steps, counted from 1: after=2, before=2 are none. Give, for example, after=1, "
     "before=2.")),
    (funnel(exclude=jk.Exclusion("x", after=1, before=5)),
     ("the exclusion of 'x' lies between the steps 1 and 5, and the funnel has 2. Give two of them, the first before "
     "the second.")),
    (funnel("a", jk.Step("b", optional=True), "c", exclude=jk.Exclusion("x", before=2)),
     "the exclusion of 'x' lies between the steps 1 and 2, and step 2, 'b', is optional. Give required steps."),
    (lambda: jk.Exclusion("x", overlaps_steps="yes"), "overlaps_steps cannot be 'yes'. Choose one of: True, False."),
    (funnel("a", "b", "c", exclude=["x", jk.Exclusion(["x", "b"], after=2)]),
     ("the exclusion of 'x | b' lies between the steps 2 and 3, and its events make step 2, 'b': what is a step would "
      "exclude too. Exclude another event, or pass Exclusion(..., overlaps_steps=True) if a second one is to "
      "exclude.")),
    (funnel("a", jk.Step("b", where=pl.col("n") > 1, optional=True), "c", exclude="b"),
     ("the exclusion of 'b' lies between the steps 1 and 3, and its events make step 2, 'b where n > 1': what is a "
      "step would exclude too. Exclude another event, or pass Exclusion(..., overlaps_steps=True) if a second one is "
      "to exclude.")),
    (lambda: jk.FunnelRules(grace="2s"),
     "grace= needs ties=\"any\", not ties='input': only there times alone decide what follows."),
    (lambda: jk.FunnelRules(entry="first", pick="latest"),
     "pick=\"latest\" needs entry=\"any\", not entry='first': it chooses among the runs of a unit."),
    (lambda: jk.FunnelRules(open_entry=True, order="unordered"),
     'open_entry=True does not go with order="unordered": without an order every step may come first.'),
    (lambda: jk.FunnelRules(open_entry=True, entry="all"),
     'open_entry=True does not go with entry="all": runs that begin anywhere do not follow each other.'),
    (lambda: jk.FunnelRules(open_entry=True, pick="latest"),
     'open_entry=True does not go with pick="latest": it takes the most steps, then the earliest.'),
    (lambda: jk.FunnelRules(reuse_event=True, order="strict"),
     "reuse_event=True does not go with order='strict': each step needs an event of its own."),
    (lambda: jk.FunnelRules(reuse_event=True, ties="strict"),
     'reuse_event=True does not go with ties="strict": one event is not later than itself.'),
    (funnel(rules=jk.FunnelRules(entry="all")),
     "entry=\"all\" counts runs, and unit='user' counts each unit once. Pass unit=\"totals\"."),
    (funnel(unit="totals", rules=jk.rules.mixpanel_reentry()),
     'unit="totals" counts every run, and pick="latest" chooses one. Leave pick out.'),
    (funnel(unit="totals", rules=jk.rules.ga4(True)),
     'unit="totals" does not go with open_entry=True: runs that begin anywhere do not follow each other.'),
    (funnel("a", jk.Step("b", max_gap="1h"), rules=jk.rules.posthog("unordered")),
     'order="unordered" knows no step before another: leave direct, min_gap, max_gap and optional out.'),
    (funnel("a", "b", "c", exclude=jk.Exclusion("x", after=2), rules=jk.rules.posthog("unordered")),
     'order="unordered" can exclude only from the first to the last step: leave after and before out.'),
    (funnel("a", jk.Step("b", optional=True), "c", rules=jk.rules.ga4(True)),
     "open_entry=True does not go with optional steps: before the entry, one left out looks the same."),
    (funnel("a", jk.Step("b", direct=True), rules=jk.rules.clickhouse()),
     "reuse_event=True does not go with direct=True: an event is not the next one after itself."),
    (funnel(breakdown="device", at="step:3"),
     "at='step:3' names a step that the funnel of 2 steps does not have."),
    (funnel(at="first"),
     "at='first' says where a breakdown takes its value, and there is none. Pass breakdown=<property>."),
    (funnel(breakdown="step"),
     "the breakdown 'step' has the name of a column of the answer. Rename the property."),
    (funnel(*["a"] * 32, exclude=["x"] * 32),
     "64 steps and exclusions are more than the 63 that a funnel can have."),
    (funnel(rules="mixpanel"), "rules must be FunnelRules, such as jk.rules.posthog(), not 'mixpanel'."),
    (funnel(hold=[3]), "hold, breakdown and value are names of properties, not [3]."),
    (funnel(bins=0), "bins must be a whole number from 1 to 10,000, not 0."),
    (funnel(entry_between=(datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))),
     ("entry_between must start before it ends, and 2024-01-02T00:00:00+00:00 does not lie before "
     "2024-01-01T00:00:00+00:00.")),
    (funnel(entry_between=(datetime(2024, 1, 2), None)),
     "entry_between needs datetimes with a time zone, not datetime.datetime(2024, 1, 2, 0, 0)."),
    (funnel(times_between=[(2, 1)]),
     ("times_between holds pairs of steps from 1 to 2, the first before the second, and (2, 1) is none. "
      "Give, for example, times_between=[(1, 2)].")),
    (funnel(times_between=[(1, 2), (1, 2)]), "times_between names a pair of steps twice: [(1, 2), (1, 2)]."),
    (funnel(entry_between="2024"), "entry_between must be a pair (from, to) of datetimes, not '2024'."),
]  # fmt: skip


ALLOWED = [
    jk.Exclusion("a", overlaps_steps=True),
    jk.Exclusion("c", before=2),
    jk.Exclusion("a", after=2),
    jk.Exclusion(pl.col("n") > 1),
    jk.Exclusion("b", where=pl.col("n") < 1),
    jk.Match(),
    jk.Pattern("a -> b"),
]


@pytest.mark.parametrize("exclusion", ALLOWED, ids=range(len(ALLOWED)))
def test_exclusions_that_are_no_step_between_or_are_on_purpose(exclusion):
    steps = ["a", jk.Step("b", where=pl.col("n") > 1), "c"]
    assert jk.Funnel(steps, exclude=exclusion).excluded[0].overlaps_steps == getattr(
        exclusion, "overlaps_steps", False
    )


def test_a_second_event_of_a_step_excludes_only_on_purpose():
    rows = logs.log("u 0 a; u 1 a; u 2 b")
    asked = jk.Funnel(["a", "b"], exclude=jk.Exclusion("a", overlaps_steps=True), rules=jk.rules.mixpanel())
    assert reached(journeys_of(rows).measure(asked)) == [1, 0]
    assert repr(asked.excluded[0]) == "Exclusion('a', before=2, overlaps_steps=True)"


def test_totals_say_that_they_count_every_run_where_the_rules_count_the_first():
    rows = logs.log("u 0 a; u 1 b; u 2 a; u 3 b")
    said = 'unit="totals" counts every run, one after another: entry="first" of the rules holds for users and sessions.'
    totals = journeys_of(rows).measure(jk.Funnel(["a", "b"], unit="totals", rules=jk.rules.mixpanel()))
    assert reached(totals) == [2, 2]
    assert said in totals.notes
    assert said not in journeys_of(rows).measure(jk.Funnel(["a", "b"], rules=jk.rules.mixpanel())).notes
    assert said not in journeys_of(rows).measure(jk.Funnel(["a", "b"], unit="totals")).notes


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_asked_is_refused_when_it_is_made(make, message):
    with pytest.raises(ParameterError) as raised:
        make()
    assert str(raised.value) == message


def test_choices_are_named():
    for make in (
        lambda: jk.FunnelRules(order="any"), lambda: jk.FunnelRules(at="step:0"), funnel(unit="users"),
        lambda: jk.rules.clickhouse("strict_order"), funnel(breakdown="device", at="middle"), funnel(of="page"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match="must be one of|one of"):
            make()
    with pytest.raises(ParameterError) as error:
        jk.rules.clickhouse("strict_order")
    assert str(error.value) == (
        "modes cannot be 'strict_order'. Choose one of: 'strict_increase', 'strict_once'. Modes that stop the scan are "
        "those of jk.WindowFunnel."
    )


def test_names_and_properties_are_looked_for_before_any_work(journeys):
    with pytest.raises(UnknownNameError, match="no event 'veiw'.*'view'"):
        journeys.measure(jk.Funnel(["veiw", "buy"]))
    with pytest.raises(UnknownPropertyError, match="no property 'device'"):
        journeys.measure(jk.Funnel(["view", "buy"], hold="device"))
    with pytest.warns(jk.JourneykitWarning, match="veiw"):
        assert reached(journeys.measure(jk.Funnel(["veiw", "buy"], missing="warn"))) == [0, 0]


def test_a_funnel_that_keeps_no_times_has_none(journeys):
    answer = journeys.measure(jk.Funnel(["view", "cart"], quantiles=()))
    assert answer.frame["time_mean"].to_list() == [None, 2980.0]
    with pytest.raises(ParameterError) as raised:
        answer.histogram()
    assert str(raised.value) == (
        "this funnel kept no times: it has neither quantiles nor bins. Ask with quantiles=(0.5,)."
    )


def test_many_equal_events_at_one_time_do_not_take_for_ever():
    rows = [{"user": "u", "time": 0, "event": "a"} for _ in range(30)]
    for rules in (jk.rules.posthog(), jk.rules.mixpanel()):
        answer = journeys_of(rows).measure(jk.Funnel(["a"] * 31, rules=rules))
        assert answer.frame["reached"].to_list() == [1] * 30 + [0]


def test_hostile_names_are_steps():
    names = ["<script>alert(1)</script>", "two\nlines", "🛒"]
    rows = [{"user": "u", "time": k, "event": name} for k, name in enumerate(names)]
    answer = journeys_of(rows).measure(jk.Funnel(names))
    assert answer.frame["name"].to_list() == names
    assert "<script>" not in answer._repr_html_()


def test_a_user_is_counted_once_where_the_work_is_cut_into_blocks(monkeypatch):
    """Two sessions of one user, more events than a block has room for, and users before and after."""
    rows = [
        {"user": user, "time": 100 * session * MINUTE + i, "event": name}
        for user in ("a", "b", "c")
        for session in range(2)
        for i, name in enumerate(("view", "buy"))
    ]
    asked = jk.Funnel(["view", "buy"], unit="session")
    whole = journeys_of(rows).measure(asked).frame
    assert whole["users"].to_list() == [3, 3]
    assert whole["reached"].to_list() == [6, 6]
    for size in (1, 2, 3, 5, 9):
        monkeypatch.setattr("journeykit.statistics.funnels.runs.BLOCK_EVENTS", size)
        assert_frame_equal(journeys_of(rows).measure(asked).frame, whole)


def test_conditions_and_a_value_per_step():
    rows = [
        {"user": "u", "time": 0, "event": "see", "price": 1.0},
        {"user": "u", "time": 1, "event": "buy", "price": None},
        {"user": "u", "time": 2, "event": "buy", "price": 7.5},
    ]
    dear = jk.Step("buy", where=pl.col("price") > 5, name="dear")
    frame = journeys_of(rows).measure(jk.Funnel(["see", "buy", dear], value="price")).frame
    assert frame.select("name", "reached", "value", "value_nulls").rows() == [
        ("see", 1, 1.0, 0), ("buy", 1, 0.0, 1), ("dear", 1, 7.5, 0)
    ]  # fmt: skip


def test_the_window_holds_its_end_for_any_start():
    """A first start that is too early leaves it to a later one, exactly an hour before."""
    one = journeys_of(logs.log("u 0 view; u 10 view; u 70 cart"))
    two = journeys_of(logs.log("u 0 view; u 10 view; u 20 view; u 70 cart"))
    for journeys in (one, two):
        frame = journeys.measure(jk.Funnel(["view", "cart"], within="1h")).frame
        assert (frame["reached"].to_list(), frame["time_mean"][1]) == ([1, 1], 3600.0)
    latest = jk.Funnel(["view", "cart"], within="1h", rules=jk.FunnelRules(pick="latest"))
    assert two.measure(latest).frame["time_mean"][1] == 3000.0
    latest = jk.Funnel(["view", "cart"], within="1h", rules=jk.rules.mixpanel_reentry())
    assert two.measure(latest).frame["time_mean"][1] == 3000.0


def test_a_trend_has_a_row_for_every_period_and_says_which_are_final():
    rows = logs.log("u 0 view; u 10 cart; v 5760 view; v 7500 cart")
    events = jk.read_events(
        logs.frame(rows),
        user="user",
        time="time",
        event="event",
        observed_until=datetime(2024, 1, 8, tzinfo=UTC),
    )
    start = pl.Series([rows[0]["time"]]).cast(pl.Datetime("us", "UTC"))[0]
    question = jk.Funnel(["view", "cart"], within="2d")
    frame = events.sessionize("30m").measure(question, every="1d").frame
    assert frame["period"].n_unique() * 2 == frame.height
    days = frame.filter(step=2).select("period", "final", "reached", "step_rate", "time_mean")
    found = [((row[0] - start).days, *row[1:]) for row in days.rows()]
    assert found[:6] == [
        (0, True, 1, 1.0, 600.0), (1, True, 0, None, None), (2, True, 0, None, None), (3, True, 0, None, None),
        (4, True, 1, 1.0, 104_400.0), (5, False, 0, None, None),
    ]  # fmt: skip
    span = (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC))
    some = jk.Funnel(["view", "cart"], entry_between=span)
    frame = events.sessionize("30m").measure(some, every="1d").frame
    assert frame.select("period", "final", "step", "reached", "converted", "dropped").rows() == [
        (datetime(2024, 1, day, tzinfo=UTC), None, step, 0, 0 if step == 1 else None, None)
        for day in (2, 3)
        for step in (1, 2)
    ]


def test_a_trend_by_the_hour_has_every_hour_also_where_the_clocks_go_back():
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2024, 10, 26, 23, 10, tzinfo=UTC)
    rows = [
        {"user": "u", "time": int(start.timestamp() * 1e6) + minute * MINUTE, "event": name}
        for minute, name in ((0, "view"), (60, "cart"), (200, "view"))
    ]
    frame = (
        journeys_of(rows, tz="Europe/Berlin")
        .measure(jk.Funnel(["view", "cart"], within="1h"), every="1h")
        .frame
    )
    hours = frame.filter(step=1).select("period", "final", "reached", "converted").rows()
    assert [(hour.astimezone(zone).isoformat()[11:19], hour.utcoffset().seconds // 3600, *rest)
            for hour, *rest in hours] == [
        ("01:00:00", 2, True, 1, 1), ("02:00:00", 2, True, 0, 0), ("02:00:00", 1, False, 0, 0),
        ("03:00:00", 1, False, 1, 0),
    ]  # fmt: skip


def test_a_trend_by_segment_keeps_the_order_of_its_rows():
    rows = [
        {"user": user, "time": day * 86_400_000_000, "event": "see", "device": device}
        for user, day, device in (("a", 0, "m"), ("b", 3, "d"), ("c", 3, None))
    ]
    journeys = journeys_of(rows)
    for options, question in (
        ({"by": "device"}, jk.Funnel(["see"])),
        ({}, jk.Funnel(["see"], breakdown="device")),
    ):
        frame = journeys.measure(question, every="1d", **options).frame
        assert frame["period"].n_unique() == 4
        assert frame.height == 12
        where = frame.filter(reached=1).select(
            "device", pl.col("period").dt.epoch("d") - frame["period"].dt.epoch("d").min()
        )
        assert sorted(where.rows(), key=str) == sorted([("d", 3), ("m", 0), (None, 3)], key=str)


def test_a_trend_of_too_many_periods_shows_those_with_events():
    rows = [{"user": "u", "time": day * 86_400_000_000, "event": "see"} for day in (0, 20_000)]
    answer = journeys_of(rows).measure(jk.Funnel(["see"], within="1h"), every="1d")
    assert answer.frame.select("reached", "final").rows() == [(1, True), (1, False)]
    assert "Periods without events are not shown: there are more than 10,000 periods in all." in answer.notes


def test_times_between_inner_steps():
    journeys = journeys_of(logs.log("u 0 a; u 1 b; u 3 c; u 8 d; v 0 a; v 2 b; v 9 c"))
    answer = journeys.measure(jk.Funnel(list("abcd"), times_between=[(2, 4), (1, 3)]))
    assert answer.between.select("from_step", "to_step", "from_name", "to_name", "units", "time_mean").rows() == [
        (1, 3, "a", "c", 2, 360.0), (2, 4, "b", "d", 1, 420.0)
    ]  # fmt: skip
    assert answer.histogram(4, since=2, min_bins=1).rows() == [(420, 480, 1), (480, 540, 0)]
    with pytest.raises(ParameterError) as raised:
        answer.histogram(4, since=1)
    assert str(raised.value) == (
        "this funnel kept no times from step 1 to step 4. Ask with times_between=[(1, 4)]."
    )


def test_texts_are_numbered_by_their_order(monkeypatch):
    """Whether the first values are all there are, or not."""
    from journeykit.statistics.funnels import runs

    texts = pl.Series("channel", ["b", None, "é", "a", "", "b"])
    for sample in (6, 2, 0):
        monkeypatch.setattr(runs, "SAMPLE", sample)
        found = runs._numbered_texts(texts)
        assert found.codes.tolist() == [2, -1, 3, 1, 0, 2]
        assert found.values.to_list() == ["", "a", "b", "é"]
    assert runs._numbered_texts(pl.Series([None], dtype=pl.String)).codes.tolist() == [-1]


def test_times_of_all_runs_are_those_of_optional_steps_too():
    log = pl.DataFrame({"user": ["u"] * 4, "time": [0, 2, 5, 6], "event": ["a", "x", "a", "x"]})
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30s")
    rules = jk.FunnelRules(times="mean_of_runs")
    answer = journeys.measure(jk.Funnel(["a", jk.Step("x", optional=True)], within="30s", rules=rules))
    assert answer.frame["time_mean"].to_list() == [None, 1.5]
    twice = journeys.measure(jk.Funnel(["a", jk.Step("a", optional=True)], within="30s", rules=rules))
    assert twice.frame["time_mean"].to_list() == [None, 5.0]
