"""Abandonment by hand, its refusals, the shop log against SQL, and the course over time."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from journeykit.protocol import Cells, add
from journeykit.statistics.incidence import ABANDONED, CENSORED, CONVERTED, Incidence
from tests import logs, oracle

COUNTS = ("reached", "users", "converted", "abandoned", "expired", "open", "resumed", "resolved")


def journeys(rows, keep=()):
    return jk.read_events(logs.frame(rows), user="user", time="time", event="event", keep=keep).sessionize(
        "30m"
    )


def counts(answer):
    return {name: answer.frame[name][0] for name in COUNTS}


@pytest.fixture(scope="module")
def shop(shared_data):
    path = shared_data / "shop" / "ecom.csv.gz"
    if not path.is_file():
        pytest.skip("shared data not present: data/shop")
    log = pl.read_csv(path, try_parse_dates=True)
    return log, jk.read_events(log, user="user_id", time="timestamp", event="event").sessionize("30m")


@pytest.fixture
def carts():
    return journeys(logs.ABANDONED_CARTS).measure(jk.Abandonment("purchase", "cart", horizon="100m"))


def test_the_carts_worked_out_by_hand(carts):
    assert counts(carts) == dict(zip(COUNTS, (5, 5, 2, 2, 0, 1, 1, 4), strict=True))
    row = carts.frame.to_dicts()[0]
    assert (row["conversion_share"], row["abandoned_share"], row["open_share"]) == (2 / 5, 2 / 5, 1 / 5)
    assert row["abandonment_rate"] == 2 / 4
    wanted = oracle.wilson(0.5, 4)
    assert (row["abandonment_rate_low"], row["abandonment_rate_high"]) == (
        pytest.approx(wanted.low), pytest.approx(wanted.high),
    )  # fmt: skip
    assert row["converted_by_horizon"] is None
    assert carts.notes == ("A user counts as gone after a silence of 100m.",)


def test_where_the_carts_were_left(carts):
    assert carts.where.select("kind", "state", "reached", "abandoned", "share", "rate").rows() == [
        ("last_event", "view", 3, 2, 1.0, 2 / 3),
        ("last_event", "cart", 5, 0, 0.0, 0.0),
        ("last_event", "purchase", 2, 0, 0.0, 0.0),
    ]


def test_other_horizons(carts):
    frame = carts.sensitivity
    assert frame["horizon"].to_list() == [1500.0, 3000.0, 6000.0, 12000.0, 24000.0]
    assert frame["abandonment_rate"].to_list() == [3 / 5, 3 / 5, 2 / 4, 1 / 3, 1 / 3]
    assert frame["open"].to_list() == [0, 0, 1, 2, 2]


def test_the_curve_of_the_carts(carts):
    # In seconds from the cart: a converts at 3000; b gives up at 6600, c at 6000 (it came back too late);
    # d is open, seen for 3000; e gives up at 7200.
    assert carts.curve.select("time", "at_risk", "converted", "abandoned", "censored").rows() == [
        (3000.0, 5, 1, 0, 1), (6000.0, 3, 0, 1, 0), (6600.0, 2, 0, 1, 0), (7200.0, 1, 0, 1, 0),
    ]  # fmt: skip
    assert carts.curve["converted_by"].to_list() == pytest.approx([0.2] * 4)
    assert carts.curve["abandoned_by"].to_list() == pytest.approx([0, 0.8 / 3, 1.6 / 3, 0.8])


def test_all_episodes_of_the_carts():
    made = journeys(logs.log("a 0 cart; a 200 cart; a 210 purchase; b 400 view"))
    first = made.measure(jk.Abandonment("purchase", "cart", horizon="100m"))
    every = made.measure(jk.Abandonment("purchase", "cart", horizon="100m", episodes="all"))
    assert first.curve.select("time", "converted", "abandoned").rows() == [(6000.0, 0, 1)]
    assert every.curve.select("time", "converted", "abandoned").rows() == [(600.0, 1, 0), (6000.0, 0, 1)]
    assert counts(first) == counts(every)


def test_a_window_that_is_over_is_abandonment():
    question = jk.Abandonment("purchase", "cart", horizon="100m", within="50m")
    answer = journeys(logs.ABANDONED_CARTS).measure(question)
    # a converts at the very end of its window; c is too late; d's window ends with the observation.
    assert counts(answer) == dict(zip(COUNTS, (5, 5, 1, 4, 4, 0, 1, 5), strict=True))


def test_any_event_is_the_start_without_one():
    answer = journeys(logs.log("a 0 buy; b 0 buy; b 5 buy; c 9 view")).measure(
        jk.Abandonment("buy", horizon="5m")
    )
    assert counts(answer) == dict(zip(COUNTS, (3, 3, 1, 1, 0, 1, 0, 2), strict=True)) | {"resumed": 1}


def test_cart_abandonment_as_published():
    # Sessions: a's without purchase, b's with, c's only before the cart, d's without cart; e's is still open.
    log = "a 0 cart; b 0 cart; b 1 purchase; c 0 purchase; c 1 cart; d 0 view; e 99 cart; e 100 view"
    made = journeys(logs.log(log))
    after = made.measure(jk.Abandonment("purchase", "cart", unit="session"))
    assert after.frame["abandonment_rate"][0] == 1 - 1 / 4
    assert counts(after) == dict(zip(COUNTS, (4, 4, 1, 3, 0, 0, 0, 4), strict=True))
    assert after.notes == (
        (
            "Units that could still convert at the end of the observation and count as abandoned: 1. "
            'open_paths="censor" counts them as open.'
        ),
    )
    assert after.sensitivity.is_empty()
    anywhere = made.measure(jk.Abandonment("purchase", "cart", unit="session", after=False))
    assert anywhere.frame["abandonment_rate"][0] == 1 - 2 / 4
    assert anywhere.curve.is_empty()
    open_ = made.measure(jk.Abandonment("purchase", "cart", unit="session", open_paths="censor"))
    assert (open_.frame["abandonment_rate"][0], open_.frame["open"][0]) == (2 / 3, 1)


def test_stages_where_users_gave_up():
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("try", "cart"), jk.Stage("buy", "purchase")])
    log = "a 0 ping; a 1 view; a 2 cart; a 3 view; b 0 view; c 0 view; c 1 purchase; d 0 ping; z 500 purchase"
    made = journeys(logs.log(log)).assign_stages(model)
    where = made.measure(jk.Abandonment("buy", of="stage", horizon="1h")).where
    shown = where.filter(pl.col("kind") != "last_event").select("kind", "state", "reached", "abandoned")
    # z reached the start with its first event, which is no later goal, and is open.
    assert shown.rows() == [
        ("last_stage", "look", 3, 2), ("last_stage", None, 2, 1), ("last_stage", "try", 1, 0),
        ("last_stage", "buy", 2, 0),
        ("furthest_stage", None, 5, 1), ("furthest_stage", "look", 4, 1), ("furthest_stage", "try", 3, 1),
        ("furthest_stage", "buy", 2, 0),
    ]  # fmt: skip


def test_a_segment_without_the_start_has_a_row_without_rates():
    rows = [{**row, "device": row["user"]} for row in logs.log("a 0 cart; a 1 purchase; b 0 view")]
    frame = (
        journeys(rows, keep=["device"])
        .measure(jk.Abandonment("purchase", "cart", unit="session"), by="device")
        .frame
    )
    assert frame.select("device", "reached", "abandonment_rate").rows() == [("a", 1, 0.0), ("b", 0, None)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            (
                "horizon is needed for users, and has no default: how long a silence means that a user is gone decides "
                "the rate. Take a time after which few return, such as horizon='30d'; the answer's .sensitivity shows "
                "the rate from a quarter of it to four times as long. For abandonment per session, pass "
                'unit="session".'
            ),
        ),
        (
            {"unit": "session", "horizon": "7d"},
            (
                'horizon is for unit="user": a session has ended when its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            ),
        ),
        (
            {"horizon": "7d", "after": False},
            'after=False takes the goal anywhere in a session: it needs unit="session" and no within.',
        ),
        (
            {"unit": "session", "within": "5m", "after": False},
            'after=False takes the goal anywhere in a session: it needs unit="session" and no within.',
        ),
        ({"horizon": "7d", "of": "x"}, "of cannot be 'x'. Choose one of: 'event', 'stage'."),
        ({"horizon": "7d", "unit": "x"}, "unit cannot be 'x'. Choose one of: 'session', 'user'."),
        (
            {"horizon": "7d", "open_paths": "x"},
            "open_paths cannot be 'x'. Choose one of: None, 'censor', 'end'.",
        ),
        ({"horizon": "7d", "episodes": "x"}, "episodes cannot be 'x'. Choose one of: 'first', 'all'."),
        (
            {"horizon": "7d", "missing": "x"},
            "missing cannot be 'x'. Choose one of: 'raise', 'ignore', 'warn'.",
        ),
        ({"horizon": "7d", "after": "x"}, "after cannot be 'x'. Choose one of: True, False."),
        ({"horizon": "0s"}, "horizon must be greater than zero, not '0s'."),
    ],
)
def test_a_wrong_parameter_is_refused_at_once(options, message):
    with pytest.raises(ParameterError) as refused:
        jk.Abandonment("purchase", **options)
    assert str(refused.value) == message


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError) as refused:
        journeys(logs.ABANDONED_CARTS).measure(jk.Abandonment("purchase", "carts", horizon="1h"))
    assert str(refused.value) == (
        "no event 'carts' in this log. Did you mean 'cart'? Available: 'cart', 'purchase', 'view'. "
        'Pass missing="ignore" to count such names as never seen.'
    )


def test_a_resolution_may_be_fine_and_segments_many():
    """More than 2 ** 62 pairs of a segment and a time are possible."""
    rows = [{**row, "device": str(i)} for i, row in enumerate(logs.log("a 0 view; b 99999999 view") * 200)]
    made = jk.read_events(
        logs.frame(rows), user="user", time="time", event="event", keep=["device"]
    ).sessionize("30m")
    question = jk.Abandonment("cart", horizon="3000000d", resolution="1us", missing="ignore")
    coarse = jk.Abandonment("cart", horizon="3000000d", missing="ignore")
    answer = made.measure(question, by="device")
    assert answer.frame["reached"].to_list() == [1, 1]
    assert_frame_equal(answer.frame, made.measure(coarse, by="device").frame)


def test_there_is_no_time_to_a_goal_anywhere():
    answer = journeys(logs.ABANDONED_CARTS).measure(
        jk.Abandonment("purchase", "cart", unit="session", after=False)
    )
    with pytest.raises(ParameterError) as refused:
        answer.converted_by("1h")
    assert str(refused.value) == "with after=False there is no time from start to goal."


STATUS_SQL = """
    with firsts as (select user_id, min(row) as row, arg_min(timestamp, row) as time from numbered
                    where event = 'add_to_cart' group by user_id),
    lasts as (select user_id, max(timestamp) as last from numbered group by user_id),
    status as (
        select exists (from numbered as goal where goal.user_id = firsts.user_id and goal.row > firsts.row
                       and goal.event = 'purchase' and goal.timestamp <= firsts.time + interval 3 day) as won,
            (select max(timestamp) from numbered) - last >= interval 14 day
            or firsts.time + interval 3 day <= (select max(timestamp) from numbered) as gone
        from firsts join lasts using (user_id)
    )
    select count(*), count_if(won), count_if(not won and gone), count_if(not won and not gone) from status
"""
CLASSIC_SQL = """
    with carts as (select session_id, min(row) as row from numbered where event = 'cart' group by session_id)
    select count(*), count_if(exists (from numbered as goal where goal.session_id = carts.session_id
                                      and goal.event = 'purchase' and goal.row > carts.row)) from carts
"""


def test_the_shop_as_duckdb_counts_it(shop):
    log, made = shop
    numbered = log.with_row_index("row")  # noqa: F841 - DuckDB reads it by its name
    answer = made.measure(jk.Abandonment("purchase", "add_to_cart", horizon="14d", within="3d"))
    found = answer.frame.select("reached", "converted", "abandoned", "open").rows()
    assert found == duckdb.sql(STATUS_SQL).fetchall()
    answer = made.measure(jk.Abandonment("purchase", "cart", unit="session"))
    assert answer.frame.select("reached", "converted").rows() == duckdb.sql(CLASSIC_SQL).fetchall()


@pytest.mark.parametrize("tau", [60, 1200, 7 * 86400])
def test_converted_by_on_the_shop_is_that_of_the_slow_twin(shop, tau):
    log, made = shop
    answer = made.measure(jk.Abandonment("purchase", "cart", horizon="7d"))
    units = []
    for rows in log.partition_by("user_id", maintain_order=True):
        names, times = rows["event"].to_list(), rows["timestamp"].dt.epoch("us").to_list()
        units.append(oracle.Unit(times, [n == "cart" for n in names], [n == "purchase" for n in names]))
    until = max(one.times[-1] for one in units)
    expected = oracle.unconverted_by(units, 7 * logs.DAY, until, tau)
    row = answer.converted_by(f"{tau}s").to_dicts()[0]
    assert 1 - row["converted_by"] == pytest.approx(expected)
    assert row["converted_by_low"] < row["converted_by"] < row["converted_by_high"]
    if tau == 7 * 86400:
        assert answer.frame["converted_by_horizon"][0] == row["converted_by"]


@pytest.mark.parametrize(
    "question",
    [
        jk.Abandonment("purchase", "cart", horizon="1h"),
        jk.Abandonment("purchase", unit="session", episodes="all"),
        jk.Conversion("purchase", quantiles=(0.5,)),
        jk.Conversion("purchase", "cart", unit="user", horizon="1h"),
    ],
)
def test_nobody_has_no_rates(question):
    made, cells = journeys(logs.ABANDONED_CARTS), Cells()
    tables = add([(cells, question.tally(made._shard(0, 0), cells))], question.tables)
    answer = question.answer(tables, made.context(cells.labels))
    assert answer.frame.select("^.*_rate$").to_series().drop_nulls().is_empty()
    assert answer.frame.filter(pl.col("reached") > 0).is_empty()


def table(*rows):
    return pl.DataFrame(rows, schema=["group", "outcome", "time", "count"], orient="row")


def test_few_at_risk_have_no_share():
    units = Incidence.of(table((0, CONVERTED, 1, 5), (1, CENSORED, 9, 9)))
    assert np.isnan(units.converted_by(5, 0.95, None, 14)).all()


def test_a_goal_at_the_very_time_counts():
    units = Incidence.of(table((0, CONVERTED, 1, 5), (1, CONVERTED, 3, 5), (1, CENSORED, 9, 10)))
    assert units.converted_by(3, 0.95, None, 20)[0] == pytest.approx(10 / 20)
    assert units.converted_by(2, 0.95, None, 20)[0] == pytest.approx(5 / 20)


def test_with_one_outcome_the_variance_is_greenwoods():
    units = Incidence.of(
        table((0, CONVERTED, 1, 10), (0, CENSORED, 2, 7), (1, CONVERTED, 3, 20), (2, CENSORED, 9, 40))
    )
    share, low, high = units.converted_by(5, 0.95, None, 77)
    rest = (67 / 77) * (40 / 60)
    assert share == pytest.approx(1 - rest)
    greenwood = 10 / (77 * 67) + 20 / (60 * 40)
    reach = 1.959963984540054 * np.sqrt(greenwood) / abs(np.log(rest))
    assert (1 - high, 1 - low) == (
        pytest.approx(rest ** np.exp(reach)),
        pytest.approx(rest ** np.exp(-reach)),
    )


def test_without_censoring_the_variance_is_that_of_a_share():
    # A multinomial: Var F = F (1 - F) / n, whatever the other outcome does.
    units = Incidence.of(
        table((0, CONVERTED, 1, 30), (0, ABANDONED, 2, 50), (1, CONVERTED, 3, 20), (2, CENSORED, 9, 100))
    )
    share, low, high = units.converted_by(5, 0.95, None, 200)
    assert share == pytest.approx(0.25)
    reach = 1.959963984540054 * np.sqrt(0.25 * 0.75 / 200) / abs(0.75 * np.log(0.75))
    assert (1 - high, 1 - low) == (
        pytest.approx(0.75 ** np.exp(reach)),
        pytest.approx(0.75 ** np.exp(-reach)),
    )


def test_the_jackknife_of_sessions_leaves_out_one_group_at_a_time(shop):
    _, made = shop
    answer = made.measure(jk.Abandonment("purchase", "cart", unit="session"))
    incidence = answer._by_cell[0]
    last = int(np.searchsorted(incidence.times, 1200, side="right"))
    found = dict(incidence._replicates(last))
    for group in (0, 17, 63):
        others = Incidence.of(answer.times.filter(pl.col("group") != group))
        assert found[group] == pytest.approx(others.converted_by(1200, 0.95, None, 1)[0])
    row = answer.converted_by("20m").to_dicts()[0]
    assert row["converted_by_low"] < row["converted_by"] < row["converted_by_high"]
