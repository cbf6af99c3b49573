"""Emotion by hand, and what Ratings refuse."""

from __future__ import annotations

import pickle
from dataclasses import replace

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import MissingColumnError, ParameterError, UnknownNameError, UnknownPropertyError
from journeykit.growing.keys import question_text
from tests.logs import MINUTE, frame, log
from tests.measuring import answer_of, journeys_of

# Minutes. ann: view 0, cart 5, view 9; bob: view 0; cid: cart 3.
SHOP = log("ann 0 view; ann 5 cart; ann 9 view; bob 0 view; cid 3 cart")
MONDAY = 1_704_067_200_000_000
MODEL = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart")])


def said(*ratings, **columns):
    users, minutes, values = zip(*ratings, strict=True)
    times = [MONDAY + round(minute * MINUTE) for minute in minutes]
    return pl.DataFrame({"user": users, "time": times, "value": values, **columns})


def nps(*ratings, **options):
    columns = {name: options.pop(name) for name in ("about", "text") if name in options}
    return jk.Ratings("nps", said(*ratings, **columns), unit="us", **options)


def measured(ratings, **options):
    return journeys_of(SHOP).assign_stages(MODEL).measure(jk.Emotion(ratings, **{"min_n": 1, **options}))


def test_scores_by_hand():
    """Ann's 9 speaks of the cart, her 3 of her last view, and bob's 7 of his view: NPS of view is -1/2."""
    answer = measured(nps(("ann", 6, 9), ("ann", 9, 3), ("bob", 60, 7)))
    columns = ["touchpoint", "visits", "ratings", "raters", "coverage", "emotion", "low_share", "score"]
    assert answer.frame.select(columns).rows() == [
        ("view", 3, 2, 2, 2 / 3, -0.5, 0.5, -0.5),
        ("cart", 2, 1, 1, 0.5, 1.0, 0.0, 1.0),
    ]
    assert answer.stages.select("stage", "ratings", "emotion").rows() == [("look", 2, -0.5), ("want", 1, 1.0)]
    assert answer.overall.select("visits", "ratings", "raters", "emotion").rows() == [(5, 3, 2, 0.0)]


def test_a_rating_of_the_same_time_speaks_of_the_last_event_in_order():
    rows = log("ann 0 view; ann 0 cart")
    answer = journeys_of(rows).measure(jk.Emotion(nps(("ann", 0, 9)), min_n=1))
    assert answer.frame.select("touchpoint", "ratings").rows() == [("cart", 1), ("view", 0)]


def test_few_ratings_have_no_mean():
    answer = measured(nps(("ann", 6, 9), ("ann", 9, 3)), min_n=2)
    row = answer.frame.row(0, named=True)
    hidden = [row[name] for name in ("emotion", "emotion_low", "low_share", "top_share", "score")]
    assert (row["ratings"], row["coverage"], hidden) == (1, 1 / 3, [None] * 5)
    assert answer.overall["emotion"].item() == 0.0


def test_one_rating_and_none():
    assert measured(nps(("ann", 6, 9))).overall["score"].item() == 1.0
    none = measured(jk.Ratings("nps", said(("ann", 6, 9)).head(0), unit="us"))
    assert none.overall.select("visits", "ratings", "coverage", "emotion").rows() == [(5, 0, 0.0, None)]
    assert none.quotes.height == 0


def test_users_weigh_the_same():
    ratings = nps(("ann", 0, 9), ("ann", 9, 9), ("bob", 1, 3))
    assert measured(ratings).frame.filter(touchpoint="view")["emotion"].item() == pytest.approx(1 / 3)
    assert measured(ratings, weight="user").frame.filter(touchpoint="view")["emotion"].item() == 0.0


def test_a_named_touchpoint_counts_without_a_visit():
    """Bob was never at the cart: his rating is of it, in no stage, and no visit is rated by it."""
    answer = measured(nps(("bob", 60, 2), ("ann", 9, 9), about=["cart", None], touchpoint="about"))
    row = answer.frame.filter(touchpoint="cart").row(0, named=True)
    assert [row[name] for name in ("ratings", "rated_visits", "coverage", "emotion")] == [1, 0, 0.0, -1.0]
    assert answer.stages.select("stage", "ratings").rows() == [("look", 1), ("want", 0)]


def test_what_speaks_of_nothing_is_counted():
    answer = measured(nps(("ann", 9 + 24 * 60 + 1, 9), ("bob", -1, 9), ("nobody", 5, 9), ("ann", 6, 9)))
    assert answer.overall["ratings"].item() == 1
    assert answer.notes[-3:] == (
        "Ratings are from those who answered only: who answers may feel otherwise than who does not.",
        "2 ratings speak of no visit: their users had no event in the 24h before them.",
        "1 ratings are of users who are not in these journeys.",
    )


def test_quotes_are_asked_for_cut_and_chosen():
    texts = ["<script>alert(1)</script>", "so\nslow 🙂", "  ", None]
    ratings = nps(("ann", 1, 9), ("bob", 1, 2), ("ann", 2, 3), ("bob", 2, 4), text=texts, comment="text")
    assert measured(ratings).quotes.height == 0
    quotes = measured(ratings, quotes=5, quote_length=9).quotes
    assert quotes.columns == ["touchpoint", "stage", "rating", "emotion", "quote"]
    assert sorted(quotes.rows()) == [
        ("view", "look", 2.0, -1.0, "so\nslow 🙂"),
        ("view", "look", 9.0, 1.0, "<script>a…"),
    ]
    assert measured(ratings, quotes=1).quotes.height == 1


def test_rating_events_are_no_visits():
    rows = [{**row, "score": None} for row in SHOP]
    rows.append({"user": "bob", "time": MONDAY + MINUTE, "event": "rate", "score": 10.0})
    asked = jk.Ratings("nps", event="rate", value="score")
    answer = journeys_of(rows).measure(jk.Emotion(asked, min_n=1))
    assert answer.frame.select("touchpoint", "visits", "ratings").rows() == [("view", 3, 1), ("cart", 2, 0)]


def test_sessions_that_interleave_are_walked_in_time():
    rows = [
        {"user": "u", "time": minute * MINUTE, "event": name, "session": session}
        for minute, name, session in ((0, "a", "s1"), (1, "b", "s2"), (2, "c", "s1"))
    ]
    journeys = journeys_of(rows, jk.SessionRule.from_column())
    ratings = jk.Ratings("stars", pl.DataFrame({"user": ["u"], "time": [90], "value": [4]}), unit="s")
    answer = journeys.measure(jk.Emotion(ratings, min_n=1))
    assert answer.frame.filter(pl.col("ratings") > 0)["touchpoint"].to_list() == ["b"]


def test_segments_and_periods():
    rows = [{**row, "device": row["user"]} for row in SHOP]
    ratings = nps(("ann", 6, 9), ("bob", 1, 2))
    by = journeys_of(rows).measure(jk.Emotion(ratings, min_n=1), by="device").overall
    assert by.select("device", "visits", "ratings", "emotion").rows() == [
        ("ann", 3, 1, 1.0), ("bob", 1, 1, -1.0), ("cid", 1, 0, None),
    ]  # fmt: skip
    every = journeys_of(rows).measure(jk.Emotion(ratings, min_n=1), every="1d").overall
    assert every.select("visits", "ratings").rows() == [(5, 2)]


def test_shards_each_take_the_ratings_of_their_users():
    journeys = journeys_of(SHOP)
    question = jk.Emotion(nps(("ann", 6, 9), ("bob", 1, 2), ("nobody", 1, 2)), min_n=1)
    parts = [journeys._shard(user, user + 1) for user in range(3)]
    found, wanted = answer_of(journeys, question, parts), journeys.measure(question)
    assert found.frame.equals(wanted.frame)
    assert found.notes == wanted.notes


def test_ratings_are_values():
    one, two = nps(("ann", 6, 9)), nps(("ann", 6, 9))
    other = nps(("ann", 6, 8))
    assert one == two != other
    assert hash(one) == hash(two)
    assert pickle.loads(pickle.dumps(one)) == one == replace(one)
    assert repr(one) == "Ratings('nps', <1 ratings>, unit='us')"
    assert one != "ratings"
    assert question_text(one) == question_text(two) != question_text(other)
    assert (
        repr(jk.Emotion(one, min_n=2)) == "Emotion(ratings=Ratings('nps', <1 ratings>, unit='us'), min_n=2)"
    )


REFUSED = {
    "kind cannot be 'smile'. Choose one of: 'nps', 'csat', 'ces', 'stars', 'sentiment'.": lambda: jk.Ratings(
        "smile", said(("ann", 1, 2))
    ),
    "Ratings need a table with a row per rating, or event=, the name of the events of the log that are ratings; one of "
    "the two.": lambda: jk.Ratings("nps"),
    "nps ratings are whole numbers from 0 to 10, and 2 are not, such as 6.5, 11. Pass scale=, or filter these out.": (
        lambda: nps(("ann", 1, 6.5), ("ann", 1, 11.0), ("bob", 1, 3.0))
    ),
    "sentiment ratings are from -1 to 1, and 1 are not, such as 2. Pass scale=, or filter these out.": (
        lambda: jk.Ratings("sentiment", said(("ann", 1, 2)), unit="us")
    ),
    "scale must be the worst and the best value, such as (1, 5), not (5, 1).": (
        lambda: jk.Ratings("csat", said(("ann", 1, 2)), unit="us", scale=(5, 1))
    ),
    "scale of nps is always (0, 10), not (1, 5). Leave it out.": lambda: nps(("ann", 1, 2), scale=(1, 5)),
    "ratings need a user, a time and a value, and some have none (user 1, time 0, value 2). Correct or filter the "
    "table.": lambda: nps((None, 1, None), ("ann", 2, None)),
    "ratings must be Ratings, such as jk.Ratings('nps', table), not 'nps'.": lambda: jk.Emotion("nps"),
    "min_n must be a whole number from 1 on, not 0.": lambda: jk.Emotion(nps(("ann", 1, 2)), min_n=0),
    "quotes must be a whole number from 0 on, not True.": lambda: jk.Emotion(nps(("ann", 1, 2)), quotes=True),
    "weight cannot be 'visit'. Choose one of: 'rating', 'user'.": lambda: jk.Emotion(
        nps(("ann", 1, 2)), weight="visit"
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_at_once(message):
    with pytest.raises(ParameterError) as error:
        REFUSED[message]()
    assert str(error.value) == message


def test_columns_and_events_that_are_not_there():
    with pytest.raises(MissingColumnError) as missing:
        nps(("ann", 1, 2), comment="coment", text=["x"])
    assert str(missing.value) == (
        "no column 'coment' for the role 'comment'. Available: 'text', 'time', 'user', 'value'. "
        "Pass comment=<column name> to Ratings."
    )
    with pytest.raises(UnknownNameError, match="no event 'crat'"):
        measured(nps(("ann", 1, 2), about=["crat"], touchpoint="about"))
    ignored = measured(nps(("ann", 1, 2), about=["crat"], touchpoint="about", missing="ignore"))
    assert ignored.overall["ratings"].item() == 0
    with pytest.raises(UnknownNameError, match="no event 'rate'"):
        measured(jk.Ratings("nps", event="rate"))
    with pytest.raises(UnknownPropertyError, match="no property 'value'"):
        measured(jk.Ratings("nps", event="view"))


def test_ids_of_another_type():
    with pytest.raises(ParameterError) as error:
        measured(jk.Ratings("nps", pl.DataFrame({"user": [1], "time": [1], "value": [1]}), unit="s"))
    assert str(error.value) == (
        "the column 'user' of the ratings holds Int64, and the users of the log are String. Cast it."
    )


def test_texts_of_a_file_are_the_whole_numbers_of_a_log(tmp_path):
    rows = [{"user": 7, "time": 1, "event": "view"}, {"user": 8, "time": 1, "event": "view"}]
    events = jk.read_events(pl.DataFrame(rows), user="user", time="time", event="event", unit="s")
    path = tmp_path / "ratings.csv"
    path.write_text("user,time,value\n7,2,5\n9,2,5\n")
    answer = events.sessionize("30m").measure(jk.Emotion(jk.Ratings("csat", str(path), unit="s")))
    assert answer.frame["ratings"].to_list() == [1]
    path.write_text("user,time,value\n007,2,5\n8,2,5\n")
    with pytest.raises(ParameterError) as error:
        events.sessionize("30m").measure(jk.Emotion(jk.Ratings("csat", str(path), unit="s")))
    assert str(error.value) == (
        "the column 'user' of the ratings holds String, and the users of the log are Int64. Cast it."
    )


def test_values_of_events_outside_the_scale():
    rows = [{**row, "score": 11.0} for row in SHOP]
    with pytest.raises(ParameterError, match="nps ratings are whole numbers from 0 to 10, and 2 are not"):
        journeys_of(rows).measure(jk.Emotion(jk.Ratings("nps", event="cart", value="score")))
    with pytest.raises(ParameterError, match="the property 'score' cannot be a rating: it holds String"):
        texts = [{**row, "score": "good"} for row in SHOP]
        journeys_of(texts).measure(jk.Emotion(jk.Ratings("nps", event="cart", value="score")))


def test_a_file_of_ratings(tmp_path):
    path = tmp_path / "ratings.csv"
    said(("ann", 6, 9)).with_columns(pl.col("time").cast(pl.Datetime("us"))).write_csv(path)
    assert measured(jk.Ratings("nps", path)).overall["ratings"].item() == 1
    assert frame(SHOP).height == 5
