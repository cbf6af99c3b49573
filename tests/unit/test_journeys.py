"""The verbs of journeys: frame, filter, head, sample, Arrow, and what they print."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError, UnknownPropertyError, UnknownUserError
from tests import logs
from tests.logs import Row

MODEL = jk.StageModel(
    [jk.Stage("look", "view", "search"), jk.Stage("want", "cart"), jk.Stage("own", "purchase")]
)
DEVICES = {"ann": "mobile", "bob": "desktop", "cid": None}


def shop(order: str = "by time", **options: Any) -> jk.Journeys:
    """The small shop in one of three input orders, with a device per user and the log's own sessions.

    Session "s" of ann holds view 0, cart 5 and view 66; session "t" view 2 and purchase 35: they interleave.
    """
    rows: list[Row] = sorted(logs.SMALL_SHOP, key=lambda row: row["time"])
    own = {0: "s", 2: "t", 5: "s", 35: "t", 66: "s"}
    minute = 1_704_067_200 * logs.SECOND
    rows = [
        row
        | {
            "device": DEVICES[row["user"]],
            "session": own.get((row["time"] - minute) // logs.MINUTE, "x") if row["user"] == "ann" else "x",
        }
        for row in rows
    ]
    if order == "shuffled":
        rows = rows[1::2] + rows[::2]
        rows.sort(key=lambda row: row["user"] == "bob")
    if order == "by user":
        rows.sort(key=lambda row: row["user"], reverse=True)
    events = jk.read_events(
        logs.frame(rows),
        user="user",
        time="time",
        event="event",
        session="session",
        keep=["device"],
        **options,
    )
    if order == "interleaved":
        return events.sessionize(jk.SessionRule.from_column())
    return events.sessionize("30m")


def minute(number: float) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


def of(journeys: jk.Journeys, user: str) -> list[tuple[Any, ...]]:
    """Session, minute and event of a user's events."""
    frame = journeys.frame.filter(pl.col("user") == user)
    minutes = (frame["time"] - minute(0)).dt.total_minutes()
    return list(zip(frame["session"].to_list(), minutes.to_list(), frame["event"].to_list(), strict=True))


ANN = [(1, 0, "view"), (1, 2, "view"), (1, 5, "cart"), (1, 35, "purchase"), (2, 66, "view")]


@pytest.mark.parametrize("order", ["by time", "by user"])
def test_frame_holds_the_events_in_order_whatever_the_order_of_the_log(order: str) -> None:
    journeys = shop(order).assign_stages(MODEL)
    assert of(journeys, "ann") == ANN
    assert of(journeys, "bob") == [(1, 10, "search"), (1, 10, "view"), (1, 14, "cart")]
    assert of(journeys, "cid") == [(1, 200, "view")]
    assert journeys.frame.schema == {
        "user": pl.String,
        "session": pl.Int32,
        "time": pl.Datetime("us", "UTC"),
        "event": pl.Enum(["cart", "purchase", "search", "view"]),
        "stage": pl.Enum(["look", "want", "own"]),
        "furthest_stage": pl.Enum(["look", "want", "own"]),
        "session_property": pl.String,
        "device": pl.String,
    }
    ann = journeys.frame.filter(pl.col("user") == "ann")
    assert ann["stage"].to_list() == ["look", "look", "want", "own", "look"]
    assert ann["furthest_stage"].to_list() == ["look", "look", "want", "own", "own"]
    assert ann["device"].to_list() == ["mobile"] * 5


def test_frame_is_in_order_of_time_where_sessions_interleave() -> None:
    expected = [(1, 0, "view"), (2, 2, "view"), (1, 5, "cart"), (2, 35, "purchase"), (1, 66, "view")]
    journeys = shop("interleaved")
    assert journeys.time_order is not None
    assert of(journeys, "ann") == expected


def test_frame_shares_times_and_codes_with_the_journeys() -> None:
    journeys = shop()
    assert np.shares_memory(journeys.frame["time"].to_physical().to_numpy(), journeys.times)
    assert np.shares_memory(journeys.frame["event"].to_physical().to_numpy(), journeys.event_codes)
    assert journeys.frame is journeys.frame


def test_frame_of_shards_is_that_of_their_users() -> None:
    journeys = shop()
    parts = [shard.frame for shard in journeys.shards(64)]
    assert len(parts) == 3
    assert_frame_equal(pl.concat(parts), journeys.frame)


def test_session_is_null_outside_any() -> None:
    rows = logs.log("a 0 ping; a 100 view; a 110 ping; a 200 ping")
    events = jk.read_events(logs.frame(rows), user="user", time="time", event="event")
    journeys = events.sessionize("30m", passive=["ping"])
    assert [row[0] for row in of(journeys, "a")] == [None, 1, 1, None]
    assert journeys.filter(pl.col("session") == 1).frame["event"].to_list() == ["view", "ping"]
    assert journeys.filter(keep="sessions").n_events == 2
    left = journeys.filter(events="ping")
    assert left.provenance.events_outside == 2
    assert [row[0] for row in of(left, "a")] == [None, 1, None]


def test_a_property_with_the_name_of_a_column_gets_another() -> None:
    log = pl.DataFrame({"u": [1], "t": [0], "e": ["view"], "stage": ["kept"], "stage_property": ["too"]})
    events = jk.read_events(log, user="u", time="t", event="e", unit="s", keep=["stage", "stage_property"])
    journeys = events.sessionize("30m")
    assert journeys.frame.columns == ["user", "session", "time", "event", "stage", "stage_property"]
    staged = journeys.assign_stages(jk.StageModel([jk.Stage("look", "view")]))
    last = staged.frame.select("stage", "stage_property", "stage_property_property").row(0)
    assert last == ("look", "too", "kept")


# What a filter keeps


def test_filter_keeps_matching_events_and_joins_their_neighbours() -> None:
    journeys = shop().assign_stages(MODEL)
    found = journeys.filter(events=["view", "purchase"])
    assert of(found, "ann") == [row for row in ANN if row[2] != "cart"]
    assert of(found, "bob") == [(1, 10, "view")]
    assert found.names.equals(journeys.names)
    assert found.frame.filter(pl.col("user") == "ann")["furthest_stage"].to_list() == [
        "look",
        "look",
        "own",
        "own",
    ]
    assert found.provenance.notes[-1] == (
        "filter(events=['view', 'purchase'], keep='events') left out 3 of 9 events."
    )
    assert (found.observed_from, found.observed_until) == (journeys.observed_from, journeys.observed_until)


def test_filter_renumbers_the_sessions_that_are_left() -> None:
    found = shop().filter(pl.col("session") == 2)
    assert of(found, "ann") == [(1, 66, "view")]
    assert found.n_users == 1
    assert found.session_causes is not None
    assert found.session_causes.tolist() == [1]
    assert found.provenance.notes[-1] == (
        "filter(where=[(col(\"session\")) == (dyn int: 2)], keep='events') left out 8 of 9 events, 3 of 4 sessions "
        "and 2 of 3 users."
    )


def test_filter_keeps_whole_sessions() -> None:
    found = shop().filter(events="purchase", keep="sessions")
    assert found.frame["event"].to_list() == ["view", "view", "cart", "purchase"]
    interleaved = shop("interleaved").filter(events="purchase", keep="sessions")
    assert of(interleaved, "ann") == [(1, 2, "view"), (1, 35, "purchase")]
    assert interleaved.time_order is None


def test_sessions_follow_each_other_by_the_first_event_that_is_left() -> None:
    rows = logs.log("a 0 help; a 1 cart; a 2 view; a 3 purchase; a 4 search; b 9 view")
    frame = logs.frame(rows).with_columns(session=pl.Series(["s", "t", "s", "s", "s", "u"]))
    events = jk.read_events(frame, user="user", time="time", event="event", session="session")
    journeys = events.sessionize(jk.SessionRule.from_column()).assign_stages(MODEL, missing="ignore")
    found = journeys.filter(pl.col("event") != "help")
    assert of(found, "a") == [(1, 1, "cart"), (2, 2, "view"), (2, 3, "purchase"), (2, 4, "search")]
    own = found.frame.filter(pl.col("user") == "a")
    assert own["session_property"].to_list() == ["t", "s", "s", "s"]
    assert own["stage"].to_list() == ["want", "look", "own", "look"]
    assert own["furthest_stage"].to_list() == ["want", "want", "own", "own"]
    assert found.time_order is None
    both = journeys.filter(pl.col("event").is_in(["cart", "view", "purchase"]))
    assert of(both, "a") == [(1, 1, "cart"), (2, 2, "view"), (2, 3, "purchase")]
    late = frame.vstack(frame.filter(event="cart").with_columns(pl.col("time") + timedelta(minutes=4)))
    again = jk.read_events(late, user="user", time="time", event="event", session="session")
    wide = again.sessionize(jk.SessionRule.from_column()).assign_stages(MODEL, missing="ignore")
    kept = wide.filter(pl.col("event") != "help")
    assert kept.frame.filter(pl.col("user") == "a")["session"].to_list() == [1, 2, 2, 2, 1]
    assert kept.frame.filter(pl.col("user") == "a")["furthest_stage"].to_list() == [
        "want",
        "want",
        "own",
        "own",
        "own",
    ]


def test_filter_keeps_whole_users() -> None:
    found = shop().filter(pl.col("event") == "purchase", keep="users")
    assert of(found, "ann") == ANN
    assert found.n_users == 1


def test_all_conditions_must_hold_for_one_event() -> None:
    journeys = shop()
    assert journeys.filter(pl.col("device") == "mobile", events="search", keep="users").n_users == 0
    assert journeys.filter(pl.col("device") != "mobile", events="search", keep="users").n_users == 1


def test_null_is_no_match() -> None:
    assert "cid" not in shop().filter(pl.col("device") != "mobile").users


def test_where_sees_the_columns_of_the_frame() -> None:
    journeys = shop().assign_stages(MODEL)
    assert journeys.filter(pl.col("stage") == "own").n_events == 1
    assert journeys.filter(pl.col("session_property") == "t").n_events == 2
    assert journeys.filter(pl.all_horizontal(pl.all().is_not_null())).n_events == 8
    assert journeys.filter(pl.len() > 8).n_events == 9
    assert journeys.filter(pl.col("time") == pl.col("time").max().over("user")).n_events == 3
    late = shop("interleaved").filter(pl.col("time") > minute(30))
    assert of(late, "ann") == [(1, 35, "purchase"), (2, 66, "view")]


def test_a_filter_that_leaves_out_nothing_says_nothing() -> None:
    journeys = shop()
    assert journeys.filter().provenance.notes == journeys.provenance.notes
    assert journeys.filter().provenance.verbs == ("filter(keep='events')",)
    assert_frame_equal(journeys.filter().frame, journeys.frame)


@pytest.mark.parametrize(
    "users",
    [
        "bob",
        ["bob", "bob"],
        ("bob",),
        {"bob"},
        pl.Series(["bob"]),
        pl.Series(["bob"], dtype=pl.Categorical),
        (name for name in ["bob"]),
    ],
)
def test_users_may_be_given_in_many_ways(users: Any) -> None:
    assert shop().filter(users=users).users.to_list() == ["bob"]


@pytest.mark.parametrize("users", [2, [2], np.array([2]), pl.Series([2], dtype=pl.UInt8)])
def test_users_may_be_numbers(users: Any) -> None:
    log = pl.DataFrame({"u": [1, 2], "t": [0, 1], "e": ["a", "b"]})
    journeys = jk.read_events(log, user="u", time="t", event="e", unit="s").sessionize("30m")
    assert journeys.filter(users=users).users.to_list() == [2]


def test_filters_follow_each_other() -> None:
    found = shop().filter(users=["ann", "bob"]).filter(events="cart").filter(start=minute(10))
    assert found.frame["user"].to_list() == ["bob"]
    assert [note.split(" left")[0] for note in found.provenance.notes[-3:]] == [
        "filter(users=<2 ids>, keep='events')",
        "filter(events=['cart'], keep='events')",
        "filter(start=2024-01-01T00:10:00+00:00, keep='events')",
    ]


# The span of observation


def moments(journeys: jk.Journeys) -> tuple[float, float]:
    start = int(minute(0).timestamp()) * logs.SECOND
    return (journeys.observed_from - start) / logs.MINUTE, (journeys.observed_until - start) / logs.MINUTE


def test_times_are_cut_at_start_and_before_end() -> None:
    found = shop().filter(start=minute(2), end=minute(35))
    assert of(found, "ann") == [(1, 2, "view"), (1, 5, "cart")]
    assert moments(found) == (2, 35)
    berlin = timezone(timedelta(hours=1))
    same = shop().filter(start=minute(2).astimezone(berlin), end=minute(35).astimezone(berlin))
    assert_frame_equal(same.frame, found.frame)


def test_the_span_never_grows() -> None:
    journeys = shop(observed_until=minute(300))
    assert moments(journeys.filter(start=minute(-10), end=minute(400))) == (0, 300)
    assert moments(journeys.filter(end=minute(250))) == (0, 250)
    assert moments(journeys.filter(end=minute(-5))) == (0, 0)
    assert moments(journeys.filter(start=minute(500))) == (300, 300)


def test_whole_sessions_stretch_the_span() -> None:
    journeys = shop()
    assert moments(journeys.filter(end=minute(3), keep="sessions")) == (0, 35)
    assert moments(journeys.filter(start=minute(30), keep="sessions")) == (0, 200)
    assert moments(journeys.filter(start=minute(40), keep="sessions")) == (40, 200)
    assert moments(journeys.filter(start=minute(201), keep="sessions")) == (200, 200)
    assert moments(journeys.filter(end=minute(3), keep="users")) == (0, 200)


def test_an_end_closes_nothing_that_was_open() -> None:
    cut = shop().filter(end=minute(36))
    assert cut.open_paths("session").sum() == 2


# Nothing left


def empty() -> jk.Journeys:
    return shop().assign_stages(MODEL).filter(pl.lit(False))


def test_no_journeys_are_journeys() -> None:
    journeys = empty()
    assert (journeys.n_users, journeys.n_sessions, journeys.n_events) == (0, 0, 0)
    assert journeys.frame.schema == shop().assign_stages(MODEL).frame.schema
    assert journeys.frame.height == 0
    assert journeys.to_arrow().num_rows == 0
    assert len(journeys.shards()) == 1
    assert (
        journeys.head().n_users
        == journeys.sample(3, rng=1).n_users
        == journeys.filter(events="view").n_users
        == 0
    )


STATISTICS = [
    jk.Transitions,
    lambda: jk.Transitions(of="stage", unit="user"),
    lambda: jk.TopPaths(5),
    lambda: jk.Conversion("purchase"),
    lambda: jk.Abandonment("purchase", horizon="1d"),
    jk.StageFlow,
    lambda: jk.Overview(),  # noqa: PLW0108
]


@pytest.mark.parametrize(
    "statistic", STATISTICS, ids=["edges", "stages", "paths", "conversion", "abandonment", "flow", "overview"]
)
@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1w"}], ids=["all", "by", "every"])
def test_statistics_of_no_journeys(statistic: Any, options: dict[str, Any]) -> None:
    answer = empty().measure(statistic(), **options)
    assert isinstance(answer.frame, pl.DataFrame)


# Head and sample


def test_head_takes_the_smallest_hashes() -> None:
    rows = [{"user": f"u{i}", "time": i, "event": "view"} for i in range(50)]
    journeys = jk.read_events(logs.frame(rows), user="user", time="time", event="event").sessionize("30m")
    from journeykit.ordering.user_ids import hash_ids

    hashes = hash_ids(journeys.users)
    smallest = journeys.users.gather(np.argsort(hashes)[:5]).to_list()
    assert set(journeys.head().users) == set(smallest)
    assert set(journeys.head(3).users) == set(smallest[:3])
    assert journeys.head(3).provenance.notes[-1] == (
        "head(3) left out 47 of 50 events, 47 of 50 sessions and 47 of 50 users."
    )
    assert journeys.head(500).n_users == 50
    assert journeys.head(0).n_users == 0


def test_sample_is_drawn_without_replacement_by_its_seed() -> None:
    rows = [{"user": f"u{i}", "time": i, "event": "view"} for i in range(50)]
    journeys = jk.read_events(logs.frame(rows), user="user", time="time", event="event").sessionize("30m")
    one, same, other = (journeys.sample(20, rng=seed).users.to_list() for seed in (1, 1, 2))
    assert one == same != other
    assert len(set(one)) == 20
    generator = np.random.default_rng(1)
    assert journeys.sample(20, rng=generator).users.to_list() == one
    assert journeys.sample(20, rng=generator).users.to_list() != one
    assert journeys.sample(500, rng=1).n_users == 50
    assert journeys.sample(0, rng=1).n_users == 0


# Arrow and DuckDB


def test_arrow_and_duckdb_see_the_frame() -> None:
    journeys = shop("shuffled").assign_stages(MODEL)
    table = journeys.to_arrow()
    assert isinstance(table, pa.Table)
    assert table.num_rows == 9
    query = "select event, count(*) as n, max(session) as s from shown group by all order by event"
    with duckdb.connect() as connection:
        connection.register("shown", table)
        found = connection.sql(query).fetchall()
    assert found == [("cart", 2, 1), ("purchase", 1, 1), ("search", 1, 1), ("view", 5, 2)]
    assert table.column("time").type == pa.timestamp("us", "UTC")


# What is printed


def test_repr_shows_size_span_and_rules() -> None:
    journeys = shop(tz="Europe/Berlin").assign_stages(MODEL)
    assert repr(journeys.filter(users="ann")) == (
        "Journeys: 1 user, 2 sessions, 5 events\n"
        "  span        2024-01-01 01:00:00 .. 2024-01-01 04:20:00 (Europe/Berlin)\n"
        "  events      'cart', 'purchase', 'search', 'view'\n"
        "  sessions    SessionRule(timeout='30m')\n"
        "  stages      look > want > own\n"
        "  properties  'session', 'device'\n"
        "  note        1 pairs of different events share user and time: their order is that of the log.\n"
        "  note        filter(users=<1 ids>, keep='events') left out 4 of 9 events, 2 of 4 sessions and 2 of 3 users."
    )
    assert repr(shop()).splitlines()[4] == "  stages      none; see assign_stages"
    assert repr(journeys.shards(64)[0]).startswith(
        "Journeys: a shard of 1 of 3 users, 4 sessions, 9 events\n"
    )


def test_repr_counts_what_it_does_not_show() -> None:
    rows = [{"user": "a", "time": i, "event": f"e{i:02}"} for i in range(20)]
    journeys = jk.read_events(logs.frame(rows), user="user", time="time", event="event").sessionize("30m")
    assert repr(journeys).splitlines()[2] == (
        "  events      'e00', 'e01', 'e02', 'e03', 'e04', 'e05', 'e06', 'e07' and 12 more"
    )
    for name in [f"e{i:02}" for i in range(7)]:
        journeys = journeys.filter(pl.col("event") != name)
    assert repr(journeys).splitlines()[-1] == "  note        and 2 more in provenance.notes"


def test_hostile_names_stay_in_their_place() -> None:
    rows = [{"user": "<b>", "time": i, "event": name} for i, name in enumerate(logs.HOSTILE_NAMES[:8])]
    journeys = jk.read_events(logs.frame(rows), user="user", time="time", event="event").sessionize("30m")
    model = jk.StageModel([jk.Stage("<script>x\ny", jk.stages.glob("*"))])
    staged = journeys.assign_stages(model)
    html = staged._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&#x27;&lt;script&gt;x\\ny&#x27;" in html
    assert len(repr(staged).splitlines()) == 6 + len(staged.provenance.notes)
    assert html.startswith("<p><b>Journeys</b>: 1 user, 1 session, 8 events</p><table><tr>")


# Messages

NAIVE = datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": "rows"}, "keep cannot be 'rows'. Choose one of: 'events', 'sessions', 'users'."),
        ({"missing": "skip"}, "missing cannot be 'skip'. Choose one of: 'raise', 'ignore', 'warn'."),
        (
            {"where": "view"},
            (
                "where must be a polars expression, not 'view'. Write, for example, "
                "where=pl.col('device') == 'mobile'."
            ),
        ),
        ({"where": pl.col("device")}, "where must be true or false of an event, but gives String."),
        (
            {"where": pl.col("device") > 3},
            "where does not fit the columns of these journeys: cannot compare string with numeric type (i32)",
        ),
        ({"start": NAIVE}, "start needs a time zone. Pass datetime(..., tzinfo=UTC), for example."),
        ({"end": "2024-01-01"}, "end cannot be '2024-01-01'. Give a datetime with a time zone."),
        (
            {"start": minute(5), "end": minute(5)},
            (
                "start must lie before end, and 2024-01-01T00:05:00+00:00 does not "
                "lie before 2024-01-01T00:05:00+00:00."
            ),
        ),
        ({"events": 3}, "events cannot be 3. Give a name or a list of names."),
        ({"events": [None]}, "events cannot be [None]. Give a name or a list of names."),
        (
            {"users": ["ann", 3]},
            (
                "users cannot be ['ann', 3]. Give an id, a list of ids (all texts or all whole "
                "numbers) or a polars Series."
            ),
        ),
        (
            {"users": 2.5},
            (
                "users cannot be 2.5. Give an id, a list of ids (all texts or all whole numbers) or a "
                "polars Series."
            ),
        ),
    ],
)
def test_filter_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        shop().filter(**arguments)
    assert str(caught.value) == message


def test_unknown_names_are_refused_or_ignored() -> None:
    journeys = shop()
    with pytest.raises(UnknownNameError) as caught:
        journeys.filter(events=["carts", "view"])
    assert str(caught.value) == (
        "no event 'carts' in this log. Did you mean 'cart'? Available: 'cart', 'purchase', 'search', 'view'. "
        'Pass missing="ignore" to count such names as never seen.'
    )
    assert journeys.filter(events=["carts", "view"], missing="ignore").n_events == 5
    assert journeys.filter(events=[]).n_events == 0


def test_unknown_users_are_refused_or_ignored() -> None:
    journeys = shop()
    with pytest.raises(UnknownUserError) as caught:
        journeys.filter(users=["an"])
    assert str(caught.value) == (
        "the user asked for is not in these journeys: 'an'. Did you mean 'ann'? Available: 'ann', 'bob', 'cid'. "
        'Pass missing="ignore" to leave them out.'
    )
    assert isinstance(caught.value, UnknownNameError)
    assert (caught.value.kind, caught.value.names) == ("user", ("an",))
    with pytest.raises(UnknownUserError) as caught:
        journeys.filter(users=["ann", *(f"x{i}" for i in range(10))])
    stored = ", ".join(map(repr, journeys.users))
    assert str(caught.value) == (
        "10 of 11 users asked for are not in these journeys: 'x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7' and 2 "
        f'more. There are 3, such as {stored}. Pass missing="ignore" to leave them out.'
    )
    assert journeys.filter(users=["an", "ann"], missing="ignore").n_users == 1
    assert journeys.filter(users=[]).n_users == 0
    assert journeys.filter(users=[1, 2], missing="ignore").n_users == 0
    with pytest.raises(UnknownUserError, match="the user asked for is not in these journeys: None"):
        journeys.filter(users=pl.Series([None], dtype=pl.String))
    with pytest.raises(UnknownUserError, match="2 of 2 users asked for are not in these journeys: 1, 2"):
        journeys.filter(users=[1, 2])


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(UnknownPropertyError) as caught:
        shop().filter(pl.col("devise") == "mobile")
    assert str(caught.value) == (
        "no property 'devise' in these journeys. Did you mean 'device'? Available: 'device', 'event', 'user', "
        "'session', 'time', 'session_property'. Pass keep=[..., 'devise'] to read_events."
    )


@pytest.mark.parametrize("n_users", [-1, 2.5, "3", True, None])
def test_counts_of_users_are_whole(n_users: Any) -> None:
    message = f"n_users cannot be {n_users!r}. Give a whole number, 0 or more."
    for verb in (lambda: shop().head(n_users), lambda: shop().sample(n_users, rng=1)):
        with pytest.raises(ParameterError) as caught:
            verb()
        assert str(caught.value) == message


@pytest.mark.parametrize("rng", [-1, 2.5, "3", True, None])
def test_random_numbers_come_from_a_seed_or_a_generator(rng: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        shop().sample(2, rng=rng)
    assert str(caught.value) == (
        f"rng cannot be {rng!r}. Give a seed (a whole number, 0 or more) or a numpy.random.Generator."
    )
