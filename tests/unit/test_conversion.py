"""Conversion by hand, its refusals, and the shop log against SQL."""

from __future__ import annotations

import math
from datetime import timedelta

import duckdb
import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import JourneykitWarning, ParameterError, UnknownNameError
from tests import logs, oracle


def journeys(rows, keep=()):
    return jk.read_events(logs.frame(rows), user="user", time="time", event="event", keep=keep).sessionize(
        "30m"
    )


def by_state(answer):
    return {row["state"]: row for row in answer.frame.to_dicts()}


@pytest.fixture(scope="module")
def shop(shared_data):
    path = shared_data / "shop" / "ecom.csv.gz"
    if not path.is_file():
        pytest.skip("shared data not present: data/shop")
    log = pl.read_csv(path, try_parse_dates=True)
    return log, jk.read_events(
        log, user="user_id", time="timestamp", event="event", keep=["platform"]
    ).sessionize("30m")


def test_sessions_of_the_small_shop():
    # T is minute 200, the time of cid's only event: that session is open, all others are long over.
    rows = by_state(journeys(logs.SMALL_SHOP).measure(jk.Conversion("cart")))
    shown = ("reached", "users", "converted", "abandoned", "open", "visits", "converting_visits")
    assert {state: tuple(row[name] for name in shown) for state, row in rows.items()} == {
        "<START>": (4, 3, 2, 1, 1, 4, 2),
        "view": (4, 3, 2, 1, 1, 5, 3),
        "cart": (2, 2, 0, 2, 0, 2, 0),
        "search": (1, 1, 1, 0, 0, 1, 1),
        "purchase": (1, 1, 0, 1, 0, 1, 0),
    }
    assert rows["view"]["conversion_rate"] == 2 / 4
    assert rows["view"]["visit_rate"] == 3 / 5


def test_users_of_the_small_shop():
    rows = by_state(journeys(logs.SMALL_SHOP).measure(jk.Conversion("view", unit="user", horizon="135m")))
    # ann was silent for 134 minutes, bob for 186. ann comes back to view after purchase.
    assert [rows[state]["converted"] for state in ("<START>", "view", "cart", "purchase")] == [3, 1, 1, 1]
    assert (rows["view"]["abandoned"], rows["view"]["open"]) == (1, 1)
    assert (rows["cart"]["abandoned"], rows["cart"]["open"]) == (1, 0)


def test_the_columns_and_their_order():
    answer = journeys(logs.SMALL_SHOP, keep=[]).measure(jk.Conversion("cart", quantiles=(0.5,)))
    assert answer.frame.columns == [
        "state", "reached", "users", "converted", "abandoned", "open", "conversion_rate", "low", "high",
        "time_median", "time_median_low", "time_median_high", "visits", "converting_visits", "visit_rate",
        "visit_rate_low", "visit_rate_high",
    ]  # fmt: skip
    assert answer.frame["state"].to_list() == ["<START>", "view", "cart", "purchase", "search"]
    # From the first view: ann after 5 minutes, bob after 4.
    assert by_state(answer)["view"]["time_median"] == 270.0


def test_without_a_horizon_users_are_not_told_apart():
    answer = journeys(logs.SMALL_SHOP).measure(jk.Conversion("cart", unit="user"))
    assert "open" not in answer.frame.columns
    assert answer.notes[-2:] == (
        "No window: a goal at any later time of the unit counts.",
        "Without a horizon, abandoned and open units are not told apart.",
    )


@pytest.mark.parametrize(("within", "converted"), [("5m", 1), ("4m59s", 0), (timedelta(minutes=5), 1)])
def test_the_end_of_the_window_is_inside(within, converted):
    made = journeys(logs.log("a 0 view; a 5 cart; b 0 view; b 6 cart"))
    assert by_state(made.measure(jk.Conversion("cart", within=within)))["view"]["converted"] == converted


def test_an_open_window_is_no_abandonment():
    # T is minute 20: the window of b ends just then and is over, that of c is not.
    made = journeys(logs.log("a 0 view; b 10 view; c 11 view; d 20 help"))
    row = by_state(made.measure(jk.Conversion("cart", within="10m", missing="ignore")))["view"]
    assert (row["converted"], row["abandoned"], row["open"]) == (0, 2, 1)


@pytest.mark.parametrize(("inclusive", "still_open"), [(False, 1), (True, 0)])
def test_a_session_is_open_until_its_timeout_has_passed(inclusive, still_open):
    # T is minute 30: a's silence is exactly the timeout.
    events = jk.read_events(
        logs.frame(logs.log("a 0 view; b 30 cart")), user="user", time="time", event="event"
    )
    made = events.sessionize(jk.SessionRule("30m", timeout_inclusive=inclusive))
    row = by_state(made.measure(jk.Conversion("cart")))["view"]
    assert (row["open"], row["abandoned"]) == (still_open, 1 - still_open)


def test_the_first_goal_after_the_state_decides_and_only_the_first_state_counts():
    # The second view is soon followed by the cart; the first one, which counts, is not.
    made = journeys(logs.log("a 0 view; a 20 view; a 21 cart"))
    row = by_state(made.measure(jk.Conversion("cart", within="2m")))["view"]
    assert (row["converted"], row["converting_visits"], row["visits"]) == (0, 1, 2)


def test_a_goal_at_the_same_time_but_later_in_the_log_counts():
    rows = by_state(journeys(logs.log("a 0 view; a 0 cart")).measure(jk.Conversion("cart", quantiles=(0.5,))))
    assert (rows["view"]["converted"], rows["view"]["time_median"]) == (1, 0.0)
    assert rows["cart"]["converted"] == 0


def test_a_state_that_is_the_goal_needs_another_one():
    rows = by_state(journeys(logs.log("a 0 buy; b 0 buy; b 1 buy")).measure(jk.Conversion("buy")))
    assert (rows["buy"]["reached"], rows["buy"]["converted"]) == (2, 1)
    assert rows["<START>"]["converted"] == 2


def test_any_of_several_goals_counts():
    made = journeys(logs.log("a 0 view; a 1 cart; b 0 view; b 1 call; c 0 view"))
    assert by_state(made.measure(jk.Conversion(["cart", "call"])))["view"]["converted"] == 2


def test_only_the_states_asked_for_even_where_nobody_was():
    rows = [{**row, "device": row["user"]} for row in logs.log("a 0 view; a 1 cart; b 0 help")]
    question = jk.Conversion("cart", start=["view", "nowhere"], missing="ignore")
    answer = journeys(rows, keep=["device"]).measure(question, by="device")
    assert answer.frame.select("device", "state", "reached", "converted", "conversion_rate").rows() == [
        ("a", "view", 1, 1, 1.0),
        ("a", "nowhere", 0, 0, None),
        ("b", "nowhere", 0, 0, None),
        ("b", "view", 0, 0, None),
    ]


def test_a_visit_to_a_stage_is_a_run_of_its_events():
    model = jk.StageModel([jk.Stage("look", ["view", "search"]), jk.Stage("buy", "purchase")])
    log = "a 0 ping; a 1 view; a 2 search; a 3 purchase; a 4 purchase; a 5 view; b 0 ping"
    made = journeys(logs.log(log)).assign_stages(model)
    rows = by_state(made.measure(jk.Conversion("buy", of="stage", unit="user")))
    shown = ("reached", "converted", "visits", "converting_visits")
    assert {state: tuple(row[name] for name in shown) for state, row in rows.items()} == {
        "<START>": (2, 1, 2, 1),
        "look": (1, 1, 2, 1),
        "buy": (1, 0, 1, 0),
    }


def test_periods_are_those_of_the_first_event():
    made = journeys(logs.log("a 0 view; a 1 cart; b 1440 view"))
    frame = made.measure(jk.Conversion("cart", start="view"), every="1d").frame
    assert frame.select("reached", "converted").rows() == [(1, 1), (1, 0)]
    assert frame.columns[0] == "period"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"goal": []},
            "goal cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match.",
        ),
        ({"goal": "a", "start": 3}, "start cannot be 3. Give a name or a list of names."),
        ({"goal": "a", "of": "page"}, "of cannot be 'page'. Choose one of: 'event', 'stage'."),
        ({"goal": "a", "unit": "visit"}, "unit cannot be 'visit'. Choose one of: 'session', 'user'."),
        (
            {"goal": "a", "missing": "drop"},
            "missing cannot be 'drop'. Choose one of: 'raise', 'ignore', 'warn'.",
        ),
        ({"goal": "a", "quantiles": (2,)}, "quantiles must be numbers from 0 to 1, not (2,)."),
        (
            {"goal": "a", "within": 7},
            (
                "within cannot be 7. Give a duration with its unit, such as '30m', '36h' or '7d' "
                "(us, ms, s, m, h, d, w), or a datetime.timedelta."
            ),
        ),
        (
            {"goal": "a", "horizon": "7d"},
            (
                'horizon is for unit="user": a session is open until its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            ),
        ),
    ],
)
def test_a_wrong_parameter_is_refused_at_once(options, message):
    with pytest.raises(ParameterError) as refused:
        jk.Conversion(**options)
    assert str(refused.value) == message


@pytest.mark.parametrize("question", [jk.Conversion("crat"), jk.Conversion("cart", start="crat")])
def test_an_unknown_name_is_refused(question):
    with pytest.raises(UnknownNameError) as refused:
        journeys(logs.log("a 0 view; a 1 cart")).measure(question)
    assert str(refused.value) == (
        "no event 'crat' in this log. Did you mean 'cart'? Available: 'cart', 'view'. "
        'Pass missing="ignore" to count such names as never seen.'
    )


def test_an_unknown_stage_is_refused():
    made = journeys(logs.log("a 0 view")).assign_stages(jk.StageModel([jk.Stage("look", "view")]))
    with pytest.raises(UnknownNameError) as refused:
        made.measure(jk.Conversion("view", of="stage"))
    assert str(refused.value) == (
        "no stage 'view' in this log. Available: 'look'. "
        'Pass missing="ignore" to count such names as never seen.'
    )


SESSIONS_SQL = """
    with goal as (select session_id, row, timestamp from log where event = 'purchase'),
    firsts as (
        select event, session_id, any_value(user_id) as user_id, min(row) as row, arg_min(timestamp, row) as time
        from log group by event, session_id
    )
    select event, count(*), count(distinct user_id), sum((select count(*) > 0 from goal
        where goal.session_id = firsts.session_id and goal.row > firsts.row
        and goal.timestamp <= firsts.time + interval 10 minute)::int)::bigint
    from firsts group by event
"""


def test_the_shop_as_duckdb_counts_it(shop):
    log, made = shop
    numbered = log.with_row_index("row")  # noqa: F841 - DuckDB reads it by its name
    expected = duckdb.sql(SESSIONS_SQL.replace("from log", "from numbered")).fetchall()
    answer = made.measure(jk.Conversion("purchase", within="10m"))
    found = answer.frame.filter(pl.col("state") != "<START>").select("state", "reached", "users", "converted")
    assert sorted(found.rows()) == sorted(expected)


def test_the_intervals_of_the_shop_are_those_of_the_slow_twin(shop):
    log, made = shop
    users = log.partition_by("user_id", as_dict=True, maintain_order=True)
    carts = {}
    for (user,), rows in users.items():
        sessions = rows.group_by("session_id", maintain_order=True).agg("event")["event"].to_list()
        carts[user] = [names[names.index("cart") + 1 :] for names in sessions if "cart" in names]
    with_cart = [user for user, sessions in carts.items() if sessions]

    def share(chosen):
        found = ["purchase" in rest for user in chosen for rest in carts[user]]
        return sum(found) / len(found) if found else None

    row = made.measure(jk.Conversion("purchase", start="cart")).frame.to_dicts()[0]
    wanted = oracle.jackknife(with_cart, share, scale="logit")
    assert (row["low"], row["high"]) == (pytest.approx(wanted.low), pytest.approx(wanted.high))
    row = made.measure(jk.Conversion("purchase", start="cart", unit="user")).frame.to_dicts()[0]
    wanted = oracle.wilson(row["converted"] / row["reached"], row["reached"])
    assert (row["low"], row["high"]) == (pytest.approx(wanted.low), pytest.approx(wanted.high))
    assert not math.isclose(row["low"], row["visit_rate_low"])


def test_unknown_names_are_warned_of_where_the_question_is_asked():
    made = journeys(logs.ABANDONED_CARTS)
    with pytest.warns(JourneykitWarning) as warned:
        answer = made.measure(jk.Conversion("carts", missing="warn"))
    with pytest.raises(UnknownNameError) as refused:
        made.measure(jk.Conversion("carts"))
    assert [str(warning.message) for warning in warned] == [str(refused.value)]
    assert warned[0].filename == __file__
    assert answer.frame["converted"].sum() == 0
