"""The law of statistics: tallies of any split of the users add up to the same answer. Written once for all."""

from __future__ import annotations

import itertools
import pickle
import random
from dataclasses import fields, is_dataclass, replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.cells import make_cells
from journeykit.engines import ask
from journeykit.growing.counting import counted
from journeykit.protocol import add, sum_rows
from tests.logs import MINUTE, frame
from tests.measuring import answer_of, journeys_of, many_users

pytestmark = pytest.mark.property

NAMES = ("home", "view", "cart", "buy")
IT = jk.Pattern("it=buy -> .", missing="ignore")
BY_USERS_LEFT_OUT = ("accuracy", "calibration", "examples", "quotes")
SAID = jk.Ratings("nps", event="cart", value="score", comment="device", max_lag="2h", missing="ignore")
MODEL = jk.StageModel([jk.Stage("look", ["home", "view"]), jk.Stage("want", "cart"), jk.Stage("own", "buy")])


def statistics():
    """One value or more of every public statistic."""
    yield from (
        jk.Transitions(),
        jk.Transitions(unit="user", order=2, quantiles=(0.5, 0.9)),
        jk.Transitions(of="stage", collapse_repeats=True, open_paths="censor", quantiles=(0.5,)),
        jk.Transitions(unit="user", include_end=False),
        jk.Chain("buy"),
        jk.Chain({"bought": "buy", "carted": jk.Match("cart", where=pl.col("device") == "mobile")}, order=2),
        jk.Chain("own", of="stage", unit="user", horizon="2h", goal_state="keep", smoothing=0.5),
        jk.Chain(["cart", "buy"], unit="user", open_paths="end", collapse_repeats=True),
        jk.WhatIf(
            jk.Chain("buy", missing="ignore"),
            [jk.Change("cart", relative=-0.1), jk.Change("view", "cart", absolute=0.05)],
        ),
        jk.WhatIf(
            jk.Chain("own", of="stage", order=2, open_paths="end"), jk.Change("look", "want", relative=0.2)
        ),
        jk.Clusters([2, 3], resamples=2, starts=3, rng=1),
        jk.Clusters(2, of="stage", unit="user", collapse_repeats=True, resamples=0, rng=2),
        jk.Personas("buy", jk.Clusters([1, 2], resamples=1, starts=2, rng=1), channel="device"),
        jk.Personas("own", jk.Clusters(2, of="stage", resamples=0, rng=3), missing="ignore"),
        jk.Propensity("buy", "2h"),
        jk.Propensity(jk.Match("cart", where=pl.col("device") == "mobile"), "1d", snapshots=2),
        jk.Features(),
        jk.Features(jk.Match("buy", where=pl.col("device") == "mobile")),
        jk.Opportunities(jk.Chain("buy")),
        jk.Opportunities(jk.Chain("own", of="stage", unit="user", order=2)),
        jk.OrderSelection(2),
        jk.OrderSelection(3, of="stage", unit="user", include_end=True, collapse_repeats=True, top=(1, 2)),
        jk.TopPaths(5),
        jk.TopPaths(None, unit="user", quantiles=(0.5,), goal="buy"),
        jk.TopPaths(None, length=2),
        jk.TopPaths(7, start="view", end="buy", max_length=3),
        jk.TopPaths(None, of="stage", unit="user", max_length=2, prefix=True),
        jk.StepMatrix(4, top=2),
        jk.StepMatrix(unit="user", anchor=["cart", "buy"], occurrence=2, before=1, after=2, threshold=0.3),
        jk.StepMatrix(of="stage", anchor=jk.Match(), occurrence="last", collapse_repeats=True),
        jk.Flow(4, top=2, quantiles=(0.5,)),
        jk.Flow(
            3, unit="user", start="view", end=["cart", "buy"], edge_limit=3, open_paths="censor", horizon="2h"
        ),
        jk.Flow.posthog(of="stage", min_weight=2),
        jk.Flow(start=jk.Pattern("view ~> cart", missing="ignore"), end=IT, unit="user"),
        jk.StepMatrix(anchor=jk.Pattern("look -> want", of="stage", unit="user"), before=1, after=1),
        jk.Funnel([jk.Pattern("view -> cart", missing="ignore"), "buy"], exclude=IT),
        jk.NGrams((1, 3), 5),
        jk.SequentialPatterns(9, min_length=2, max_length=3),
        jk.SequentialPatterns(None, min_support=0.3, closed=True, unit="user", max_length=3),
        jk.SequentialPatterns(5, max_gap=2, of="stage", collapse_repeats=True),
        jk.PathShape(),
        jk.PathShape(of="stage", unit="user", alphabet=9),
        jk.NGrams(4, None, of="stage", unit="user"),
        jk.Variants(5, quantiles=(0.5,)),
        jk.EventuallyFollows("pair"),
        jk.EventuallyFollows(of="stage", unit="user", collapse_repeats=True),
        jk.Conversion("buy"),
        jk.Abandonment("buy", horizon="2h"),
        jk.Funnel(["view", "cart", "buy"], within="2h"),
        jk.Funnel(["view", ["cart", "buy"]], unit="totals", rules=jk.rules.mixpanel(), quantiles=(0.5, 0.9)),
        jk.Funnel(["view", "cart", "buy"], times_between=[(1, 3), (2, 3)], rules=jk.rules.posthog_2021()),
        jk.Funnel(["home", "cart"], unit="session", exclude="buy", rules=jk.rules.posthog("unordered")),
        jk.Funnel(["view", jk.Step("home", optional=True), "buy"], hold="device", rules=jk.rules.amplitude()),
        jk.Funnel(["view", jk.Step("cart", max_gap="1h")], breakdown="score", at="each:2"),
        jk.StageFlow(),
        jk.StageHazard(horizon="2h", max_events=3),
        jk.StageHazard("session"),
        jk.Overview(),
        jk.PatternCount("view ~>[^cart](<=2h) buy", quantiles=(0.5,)),
        jk.PatternCount(jk.Pattern("view+ -> [cart|home]", unit="user", within="1d"), quantiles=(0.5, 0.9)),
        jk.PatternCount(jk.Pattern("look -> want", of="stage")),
        jk.NextEvent("view"),
        jk.NextEvent("cart -> view", "backward", "last_match", unit="user"),
        jk.NextEvent(of="stage", base="head"),
        jk.ConditionsMet(["view", ["cart", "buy"]]),
        jk.ConditionsMet(["look", "own"], of="stage", unit="session"),
        jk.Friction("cart"),
        jk.FrictionBeforeAbandonment("buy", horizon="2h", friction=jk.Friction("cart"), min_units=3),
        jk.FrictionBeforeAbandonment("buy", "view", unit="session", within="1h"),
        jk.Friction(rage=jk.RageRule.amplitude(), slow=None),
        jk.Friction(jk.Match(where=pl.col("event") == "view"), rage=None, slow=0.5, quick="5m"),
        jk.Friction("cart", ratings=SAID),
        jk.Emotion(SAID, min_n=1),
        jk.Emotion(SAID, weight="user", quotes=2),
        jk.PainPoints(jk.Chain("buy", missing="ignore"), jk.Friction("cart", ratings=SAID), examples=2),
        jk.PainPoints(jk.Chain("buy", unit="user", horizon="2h", missing="ignore"), targets={"cart": 0.1}),
        jk.JourneyMap("buy", goals={"look": "Find"}, top=2, missing="ignore"),
        jk.JourneyMap(
            "buy",
            ratings=SAID,
            channel="device",
            offline="desktop",
            examples=1,
            min_n=1,
            unit="session",
            missing="ignore",
        ),
        jk.TopPaths(
            start=jk.Match(where=pl.col("device") == "mobile"),
            goal=jk.Pattern("view -> cart", missing="ignore"),
        ),
        jk.Variants(goal=pl.col("device") == "mobile", collapse_repeats=True),
        jk.Touchpoints(),
        jk.Touchpoints(
            "buy", channel="device", offline="desktop", groups={"goods": ["view", "cart"]}, missing="ignore"
        ),
        jk.Touchpoints("buy", channel="device", unit="session"),
        jk.Experiment("device", ["buy", jk.Metric("view", "events", good="down")], cuped="2h", sequential=50),
        jk.DifferentialPaths("buy", min_count=2, longest=2, patterns="view ~> cart", missing="ignore"),
        jk.DifferentialPaths(
            "buy", "cart", unit="user", horizon="2h", strata=1, min_count=1, missing="ignore"
        ),
        jk.Experiment("device", "cart", jk.Metric("home", name="went home"), within="3h", control="mobile"),
        jk.WindowFunnel(["view", "cart", "buy"], within="1d"),
        jk.FunnelCorrelation(jk.Funnel(["view", "cart"], within="1d", missing="ignore")),
        jk.FunnelCorrelation(
            jk.Funnel(
                ["view", "buy"], unit="totals", within="1h", rules=jk.rules.mixpanel(), missing="ignore"
            )
        ),
        jk.FunnelCorrelation(
            jk.Funnel(["home", "cart"], unit="session", within="2h", missing="ignore"), of="device"
        ),
        jk.FunnelFrequency(jk.Funnel(["view", "buy"], "1d", missing="ignore"), "home", quantiles=(0.5, 0.9)),
        jk.FunnelFrequency(
            jk.Funnel(["home", "view", "cart"], unit="totals", rules=jk.rules.mixpanel(), missing="ignore"),
            "home",
            2,
            3,
        ),
        jk.FunnelFrequency(jk.Funnel(["look", "own"], of="stage", unit="session"), "want"),
        jk.WindowFunnel(
            [["home", "view"], "view", "cart"], "2h", ["strict_once", "strict_order"], unit="session"
        ),
        jk.TimeBetween("view", "buy"),
        jk.TimeBetween(
            ["view", "home"], "view", unit="session", pairing="each", within="20m", quantiles=(0.1, 0.5)
        ),
        jk.TimeBetween("look", "own", of="stage", pairing="each"),
        jk.TimeToConvert("buy", "view", horizon="5h", quantiles=(0.25, 0.5)),
        jk.TimeToConvert("buy", unit="session", by="step"),
        jk.Attribution("buy", "device", order=2),
        jk.Attribution("buy", "device", ["linear", "markov"], horizon="2h"),
        jk.Attribution(
            ["buy", "cart"],
            "device",
            ["shapley_ordered", "last_non_direct"],
            lookback="2h",
            reset=False,
            direct="mobile",
        ),
        jk.Attribution("buy", "device", "markov", lookback="session", per="session"),
        jk.SessionLengths(("5m", "1h")),
        jk.Lifecycle(),
        jk.Lifecycle(["view", "cart"], period="2d", week_start="sunday", new_by="activity"),
        jk.Stickiness(),
        jk.Stickiness("buy", period="12h", compare_previous=True),
        jk.ActiveUsers(window=3),
        jk.ActiveUsers("view", period="1h", window=24),
        jk.Retention(),
        jk.Retention(
            ["view", "cart"], "buy", cohort="recurring", rule="on_or_after", brackets=(1, 2), vs="previous"
        ),
        jk.Retention("view", cohort="recurring", clock="24h", rule="streak"),
        jk.Retention(
            jk.Match("view", where=pl.col("device") == "mobile"),
            rule="on_or_before",
            cohort_by="device",
            period="1w",
            week_start="sunday",
            total_periods=3,
            min_occurrences=2,
        ),
    )


ALL = list(statistics())
EACH = list({type(statistic): statistic for statistic in ALL}.values())
"""One of each kind, for engines whose ways are slow."""


def rows_of(seed, users=45):
    draw = random.Random(seed)
    rows = many_users(seed, users=users, events=9, names=NAMES)
    device = {row["user"]: draw.choice(("mobile", "desktop", None)) for row in rows}
    score = {row["user"]: float(draw.randint(0, 10)) for row in rows}
    return [{**row, "device": device[row["user"]], "score": score[row["user"]]} for row in rows]


@pytest.fixture(scope="module")
def rows():
    return rows_of(1)


@pytest.fixture(scope="module")
def journeys(rows):
    return staged(rows)


def staged(rows):
    return journeys_of(rows).assign_stages(MODEL)


@pytest.fixture(scope="module")
def wanted(journeys):
    """Return what a statistic answers about the whole log, measured once for all tests."""
    return cache(journeys.measure)


def frames(answer):
    """Return every table of an answer."""
    found = {each.name: getattr(answer, each.name) for each in fields(answer)}
    return {name: value for name, value in found.items() if isinstance(value, pl.DataFrame)}


def values(frame):
    """Leave out what depends on the groups of users: intervals, p-values and the group itself."""
    return frame.select(
        name
        for name in frame.columns
        if name
        not in (
            "low",
            "high",
            "group",
            "p_value",
            "verdict",
            "detectable_difference",
            "always_valid_p",
            "held_out",
            "in_top_10",
        )
        and not name.startswith("p_")
        and not name.endswith(("_low", "_high", "_examples"))
    )


def assert_same(found, wanted):
    """Compare all tables; those by group are for models, in no order."""
    assert frames(found).keys() == frames(wanted).keys()
    for name, table in frames(wanted).items():
        in_order = "group" not in table.columns
        assert_frame_equal(frames(found)[name], table, rel_tol=1e-12, abs_tol=1e-12, check_row_order=in_order)
    assert found.context.notes == wanted.context.notes


ids = pytest.mark.parametrize("statistic", ALL, ids=repr)


def test_every_public_statistic_is_here():
    public = {
        name for name in jk.__all__
        if isinstance(getattr(jk, name), type) and issubclass(getattr(jk, name), jk.Statistic)
    }  # fmt: skip
    assert public - {"Statistic"} <= {type(statistic).__name__ for statistic in ALL}


def test_the_ends_of_intervals_are_named_after_their_number(wanted):
    """See docs/explanation/intervals.md."""
    met = set()
    for statistic in ALL:
        for name, table in frames(wanted(statistic)).items():
            for place, low in enumerate(table.columns):
                if low != "low" and not low.endswith("_low"):
                    continue
                number = table.columns[place - 1] if low == "low" else low.removesuffix("_low")
                assert number == "always_valid" or table.schema[number].is_float(), (statistic, name, low)
                assert table.columns[place + 1] == f"{low[:-3]}high", (statistic, name, low)
                met.add(low)
    assert {"low", "conversion_rate_low", "step_rate_low"} <= met


def cut(journeys, places):
    """Cut journeys into shards before the users at these places."""
    return [journeys._shard(a, b) for a, b in itertools.pairwise(sorted([0, journeys.n_users, *places]))]


def few_and_many_places(journeys, draw):
    """Where to cut: anywhere; and around nobody, around one user, through the largest group, between groups."""
    bounds, users = journeys.group_offsets.tolist(), range(journeys.n_users)
    alone, sizes = draw.choice(users), journeys.group_offsets[1:] - journeys.group_offsets[:-1]
    through = bounds[sizes.argmax()] + 1
    assert sizes.max() > 1
    yield draw.sample(users, 3)
    yield [alone, alone, alone + 1, through, *draw.sample(bounds, 6), *draw.sample(users, 3)]


@ids
@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1d"}], ids=str)
def test_tallies_of_any_split_add_up(statistic, options, journeys, wanted):
    """Groups in one shard or several, several in one, shards without users between them, in any order."""
    draw = random.Random(repr(statistic))
    for places in few_and_many_places(journeys, draw):
        parts = cut(journeys, places)
        assert len(places) > 3 or any(part.groups.numbers.size > 1 for part in parts)
        draw.shuffle(parts)
        assert_same(answer_of(journeys, statistic, parts, **options), wanted(statistic, **options))


@ids
@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1d"}], ids=str)
def test_what_is_counted_by_group_stands_there_whoever_is_tallied_together(statistic, options, journeys):
    cells = make_cells(journeys, options.get("by"), options.get("every"))
    between = itertools.pairwise(np.unique(journeys.group_offsets).tolist())
    apart = [journeys._shard(*each) for each in between]
    assert len(apart) > 9

    def tallied(question, shards):
        parts = [(own := cells.by_group(shard.groups), question.tally(shard, own)) for shard in shards]
        return add(parts, question.tables)

    def run(questions):
        found = [tallied(question, journeys.shards()) for question in questions]
        for question, together in zip(questions, found, strict=True):
            for name, table in tallied(question, apart).items() if question.by_group else ():
                on = ["cell", "group", *question.tables[name]]
                assert_frame_equal(
                    sum_rows(together[name], on), sum_rows(table, on), rel_tol=1e-12, check_row_order=False
                )
        return found

    ask([statistic], journeys.context(cells.labels, every=options.get("every")), run)


@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1d"}], ids=str)
def test_stores_answer_like_journeys(options, journeys, wanted, tmp_path):
    """Shards of a store lack some segments and periods of the others; what was counted is not counted again."""
    store = jk.open_store(journeys.write(tmp_path / "store", shards=5))
    for statistics in (ALL, EACH):
        for statistic, found in zip(statistics, store.measure(*statistics, **options), strict=True):
            assert_same(found, wanted(statistic, **options))


def daily(monkeypatch, folder, rows, shards, late):
    """Return a store without the late rows, these, the numbers of events that it tallies, and how a day is appended."""
    for name in ("FEW", "KEPT"):
        monkeypatch.setattr(f"journeykit.growing.appending.{name}", 9.0)
    tallied = list[int]()

    def watched(journeys, *given):
        tallied.append(journeys.n_events)
        return counted(journeys, *given)

    monkeypatch.setattr("journeykit.growing.counting.counted", watched)
    early = [row for row in rows if not any(row is each for each in late)]
    store = jk.open_store(staged(early).write(folder / "store", shards=shards))

    def append(day):
        store.append(
            jk.read_events(frame(day), user="user", time="time", event="event", keep=["device", "score"])
        )
        tallied.clear()

    return store, early, tallied, append


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize(
    ("options", "shards"), [({}, 3), ({"by": "device"}, 1), ({"every": "1d"}, 9)], ids=str
)
def test_stores_that_grew_answer_like_journeys(options, shards, newest, rows, tmp_path, monkeypatch):
    """What users added is taken away, and what they add now is added: after one day, after two, after three.

    Late events leave the end of the observation where it is, the newest ones move it.
    """
    in_time = sorted(rows, key=lambda row: row["time"])
    late = in_time[-24:] if newest else random.Random(4).sample(in_time[:-1], 24)
    store, early, _, append = daily(monkeypatch, tmp_path, rows, shards, late)
    store.measure(*ALL, **options)
    for first, statistics in ((0, EACH), (8, ()), (16, ALL)):
        append(late[first : first + 8])
        if statistics:
            whole = staged(early + late[: first + 8]).measure(*statistics, **options)
            for found, expected in zip(store.measure(*statistics, **options), whole, strict=True):
                assert_same(found, expected)


@ids
@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1d"}], ids=str)
@pytest.mark.parametrize("minutes", [1, 100, 3000, 90_000])
def test_a_later_end_makes_of_a_tally_that_of_the_same_events(statistic, options, minutes, journeys):
    later = replace(journeys, observed_until=journeys.observed_until + minutes * MINUTE)
    cells = make_cells(later, options.get("by"), options.get("every"))
    earlier, wanted = (
        add([(own := cells.by_group(shard.groups), statistic.tally(shard, own))], statistic.tables)
        for each in (journeys, later)
        for shard in each.shards()
    )
    found = statistic.at_later_end(earlier, journeys.observed_until, later.observed_until)
    for name, keys in statistic.tables.items() if found is not None else ():
        on = ["cell", "group", *keys]
        assert_frame_equal(sum_rows(found[name], on).sort(on), sum_rows(wanted[name], on).sort(on))


@pytest.mark.parametrize(
    ("statistic", "table", "moment"),
    [
        (jk.Overview(), "open", "until"),
        (jk.Funnel(["view", "cart", "buy"], within="2h"), "coming", "moment"),
    ],
    ids=["overview", "funnel"],
)
def test_a_later_end_changes_what_it_changes_to_the_microsecond(statistic, table, moment, journeys):
    cells = make_cells(journeys, None, None)

    def tallied(end):
        seen = replace(journeys, observed_until=end)
        own = cells.by_group(seen.groups)
        return add([(own, statistic.tally(seen, own))], statistic.tables)

    end = journeys.observed_until
    earlier = tallied(end)
    moments = earlier[table][moment].unique().sort().head(5).to_list()
    assert moments
    for later in [max(end, each + near) for each in moments for near in (-1, 0, 1)]:
        found, wanted = statistic.at_later_end(earlier, end, later), tallied(later)
        for name, keys in statistic.tables.items():
            on = ["cell", "group", *keys]
            assert_frame_equal(sum_rows(found[name], on).sort(on), sum_rows(wanted[name], on).sort(on))


MOVED = (
    jk.Transitions(),
    jk.TopPaths(5),
    jk.Overview(),
    jk.Overview("buy"),
    jk.Retention(),
    jk.Retention("view", period="1w"),
    jk.Retention("view", cohort="recurring", period="2d", rule="streak"),
    jk.Funnel(["view", "cart", "buy"], within="2h"),
    jk.Funnel(["home", "view", "cart", "buy"], within="2d", quantiles=()),
    jk.Funnel(["view", "cart"]),
    jk.Stickiness(),
    jk.TimeBetween("view", "buy"),
    jk.TimeBetween("view", "buy", pairing="each", within="3h"),
)
"""What is not tallied again when the end of the observation moves."""


@pytest.mark.parametrize("statistic", MOVED, ids=repr)
def test_only_users_who_came_back_are_counted_when_the_end_moves(statistic, tmp_path, monkeypatch):
    """Day by day, also where a new period or column begins, and where sessions and runs that were open are over."""
    rows = sorted(rows_of(7, users=200), key=lambda row: row["time"])
    store, _, tallied, append = daily(monkeypatch, tmp_path, rows, 4, rows[-90:])
    store.measure(statistic)
    assert sum(tallied) == len(rows) - 90
    for first in range(0, 90, 10):
        append(rows[len(rows) - 90 + first : len(rows) - 80 + first])
        found, known = store.measure(statistic), rows[: len(rows) - 80 + first]
        assert_same(found, staged(known).measure(statistic))
        came_back = {row["user"] for row in known[-10:]}
        after = sum(row["user"] in came_back for row in known)
        assert sum(tallied) <= 2 * after < len(known)


@pytest.fixture(scope="module")
def in_order_and_not(rows):
    """The log without ties, and the same rows in another order."""
    place = {id(row): i for i, row in enumerate(sorted(rows, key=lambda row: (row["user"], row["time"])))}
    apart = [{**row, "time": row["time"] + place[id(row)]} for row in rows]
    return staged(apart), staged(random.Random(3).sample(apart, len(apart)))


@ids
def test_the_order_of_rows_does_not_matter(statistic, in_order_and_not):
    one, two = (each.measure(statistic) for each in in_order_and_not)
    assert_same(two, one)


@pytest.fixture(scope="module")
def renamed(rows):
    return staged([{**row, "user": f"somebody else, {row['user']}"} for row in rows])


@ids
def test_the_names_of_users_do_not_matter(statistic, renamed, wanted):
    """But for the intervals, whose groups come from the names. D12.1."""
    found = renamed.measure(statistic)
    for name, table in frames(wanted(statistic)).items():
        if "group" not in table.columns and name not in BY_USERS_LEFT_OUT:
            ours, theirs = values(frames(found)[name]), values(table)
            assert_frame_equal(ours, theirs, rel_tol=1e-12, abs_tol=1e-12)


@ids
def test_the_number_of_threads_does_not_matter(statistic, rows, wanted, monkeypatch):
    for threads in ("1", "3"):
        monkeypatch.setenv("POLARS_MAX_THREADS", threads)
        monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8), raising=False)
        assert_same(staged(rows).measure(statistic, by="device"), wanted(statistic, by="device"))


@pytest.fixture(scope="module")
def shifted(rows):
    return staged([{**row, "time": row["time"] + 7 * 24 * 60 * MINUTE} for row in rows])


@ids
def test_a_shift_in_time_changes_nothing(statistic, shifted, wanted):
    found = shifted.measure(statistic)
    for name, table in frames(wanted(statistic)).items():
        numbers = [c for c in table.columns if not isinstance(table.schema[c], pl.Datetime | pl.Date)]
        assert_frame_equal(frames(found)[name].select(numbers), table.select(numbers))


@ids
def test_journeys_without_events_have_an_answer(statistic, journeys, wanted):
    """Nothing is divided by zero, and the columns are those of any log. D0.3."""
    none = journeys.filter(users=[], missing="ignore")
    assert none.n_events == 0
    answer, full = none.measure(statistic), wanted(statistic)
    assert answer.frame.columns == full.frame.columns
    assert answer.frame.schema == full.frame.schema
    assert repr(answer)
    assert answer._repr_html_()


@ids
def test_one_user_with_one_event_has_an_answer(statistic, rows):
    log = [{"user": "u", "time": 0, "event": name, "device": None, "score": 5.0} for name in NAMES[:1]]
    model = jk.StageModel([jk.Stage("look", "home"), jk.Stage("want", "cart"), jk.Stage("own", "buy")])
    journeys = journeys_of(log).assign_stages(model, missing="ignore")
    if "missing" in {each.name for each in fields(statistic)}:
        statistic = replace(statistic, missing="ignore")
    if isinstance(statistic, jk.Opportunities | jk.PainPoints):
        statistic = replace(statistic, chain=replace(statistic.chain, missing="ignore"))
    answer = journeys.measure(statistic)
    for name in answer.frame.columns:
        if answer.frame.schema[name].is_float():
            assert not answer.frame[name].is_nan().any(), name


@ids
def test_statistics_are_values(statistic):
    again = replace(statistic)
    assert again == statistic
    assert hash(again) == hash(statistic)
    assert is_dataclass(statistic)
    assert pickle.loads(pickle.dumps(statistic)) == statistic
    assert repr(statistic) in {repr(each) for each in ALL}
    with pytest.raises(AttributeError):
        statistic.unit = "other"


@ids
def test_measuring_changes_nothing(statistic, rows):
    log = frame(rows)
    before = log.clone()
    journeys = staged(rows)
    kept = [journeys.event_codes.copy(), journeys.times.copy(), journeys.session_offsets.copy()]
    one, two = journeys.measure(statistic), journeys.measure(statistic)
    assert_same(one, two)
    assert log.equals(before)
    for array, copy in zip(
        (journeys.event_codes, journeys.times, journeys.session_offsets), kept, strict=True
    ):
        assert (array == copy).all()


def test_several_statistics_at_once_are_those_one_by_one(journeys, wanted):
    answers = journeys.measure(*ALL)
    for statistic, answer in zip(ALL, answers, strict=True):
        assert_same(answer, wanted(statistic))
