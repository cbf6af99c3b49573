"""Attribution on small logs worked out by hand, and what it refuses."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from tests import logs, oracle
from tests.measuring import journeys_of, many_users

# Minutes; every buy is worth its price.
#   ann  ad 0, mail 10, ad 20, buy 30 (5.0); mail 40, buy 50 (7.0); ad 60     two conversions and a path without
#   bob  buy 5 (1.0)                                                          no touch
#   cid  mail 0, mail 100                                                     no conversion
ROWS = [
    {"user": user, "time": minute * logs.MINUTE, "event": event, "channel": channel, "price": price}
    for user, minute, event, channel, price in (
        ("ann", 0, "visit", "ad", None),
        ("ann", 10, "visit", "mail", None),
        ("ann", 20, "visit", "ad", None),
        ("ann", 30, "buy", None, 5.0),
        ("ann", 40, "visit", "mail", None),
        ("ann", 50, "buy", "search", 7.0),
        ("ann", 60, "visit", "ad", None),
        ("bob", 5, "buy", None, 1.0),
        ("cid", 0, "visit", "mail", None),
        ("cid", 100, "visit", "mail", None),
    )
]


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(ROWS)


def found(answer, column="conversions"):
    return {
        model: {
            channel: value
            for channel, value in answer.frame.filter(pl.col("model") == model)
            .select("channel", column)
            .iter_rows()
            if value
        }
        for model in answer.statistic.models
    }


def test_models_by_hand(journeys):
    models = ["first", "last", "linear", "linear_distinct", "position", "j", "time_decay"]
    answer = journeys.measure(
        jk.Attribution("buy", "channel", models, value="price", half_life="10m", direct="none")
    )
    conversions = found(answer)
    assert conversions["first"] == {"ad": 1, "mail": 1, "none": 1}
    assert conversions["linear"] == pytest.approx({"ad": 2 / 3, "mail": 4 / 3, "none": 1})
    assert conversions["linear_distinct"] == {"ad": 0.5, "mail": 1.5, "none": 1}
    assert conversions["position"] == pytest.approx({"ad": 0.8, "mail": 1.2, "none": 1})
    # Ages 30, 20, 10 minutes: 1/8, 1/4, 1/2 of 7/8.
    assert conversions["time_decay"] == pytest.approx({"ad": 5 / 7, "mail": 2 / 7 + 1, "none": 1})
    value = found(answer, "value")
    assert value["last"] == {"ad": 5, "mail": 7, "none": 1}
    assert value["j"] == pytest.approx({"ad": 4, "mail": 8, "none": 1})
    assert answer.totals.to_dicts() == [
        {
            "conversions": 3, "null_paths": 2, "open_paths": 0, "untouched": 1, "users": 3, "converting_users": 2,
            "value": 13, "untouched_value": 1,
        }
    ]  # fmt: skip
    assert answer.notes == (
        "1 of 3 conversions have no touch and are credited to none.",
        "No lookback window: every touch of the user before the goal counts.",
    )


def test_what_a_touch_may_count_for(journeys):
    def first(**options):
        return found(journeys.measure(jk.Attribution("buy", "channel", "first", **options)))["first"]

    assert first(reset=False) == {"ad": 2, "<DIRECT>": 1}
    assert first(lookback="20m") == {"mail": 2, "<DIRECT>": 1}
    assert first(lookback="1199s") == {"ad": 1, "mail": 1, "<DIRECT>": 1}
    assert first(lookback="session", per="session") == {"ad": 1, "<DIRECT>": 2}
    assert first(touch=jk.Match(where=pl.col("channel") == "mail")) == {"mail": 2, "<DIRECT>": 1}


def test_the_channel_of_the_goal_counts_for_later_ones(journeys):
    answer = journeys.measure(jk.Attribution("visit", "channel", "last", touch="buy", reset=False))
    assert found(answer)["last"] == {"search": 1, "<DIRECT>": 6}


def test_last_but_direct_falls_back(journeys):
    answer = journeys.measure(jk.Attribution("buy", "channel", "last_non_direct", direct="ad"))
    assert found(answer)["last_non_direct"] == {"mail": 2, "ad": 1}
    answer = journeys.measure(jk.Attribution("buy", "channel", "last_non_direct", direct="mail"))
    assert found(answer)["last_non_direct"] == {"ad": 1, "mail": 2}


def test_the_chain_by_hand(journeys):
    """From START ad 2, mail 2; from ad mail 1, convert 1, abandon 1; from mail each of the four 1."""
    answer = journeys.measure(jk.Attribution("buy", "channel", "markov"))
    moves = {
        row[:2]: row[2] for row in answer.transitions.select("source", "target", "probability").iter_rows()
    }
    assert moves == pytest.approx(
        {
            ("<START>", "ad"): 1 / 2, ("<START>", "mail"): 1 / 2,
            ("ad", "mail"): 1 / 3, ("ad", "<CONVERT>"): 1 / 3, ("ad", "<ABANDON>"): 1 / 3,
            ("mail", "ad"): 1 / 4, ("mail", "mail"): 1 / 4, ("mail", "<CONVERT>"): 1 / 4, ("mail", "<ABANDON>"): 1 / 4,
        }
    )  # fmt: skip
    # Without mail 1/2 x 1/3; without ad 1/2 x (1/4) / (3/4): both 1/6, of 1/2.
    assert found(answer, "removal_effect")["markov"] == pytest.approx({"ad": 2 / 3, "mail": 2 / 3})
    assert found(answer)["markov"] == pytest.approx({"ad": 1, "mail": 1, "<DIRECT>": 1})
    assert answer.removal_effect(["ad", "mail"])["removal_effect"].to_list() == [pytest.approx(1)]


def test_chains_that_do_not_settle_are_factorised(journeys, monkeypatch):
    from journeykit.statistics.attribution import chain

    question = jk.Attribution("buy", "channel", "markov", order=2)
    wanted = journeys.measure(question)
    monkeypatch.setattr(chain, "SETTLING", (1, 0.0))
    assert_frame_equal(journeys.measure(question).frame, wanted.frame, rel_tol=1e-12)


def test_models_beside_each_other(journeys):
    answer = journeys.measure(jk.Attribution("buy", "channel", ["first", "linear_distinct", "participation"]))
    assert answer.side_by_side().rows() == [
        ("<DIRECT>", 1, 1, 1, 0), ("ad", 1, 0.5, 1, 0.5), ("mail", 1, 1.5, 2, 0.5),
    ]  # fmt: skip
    assert answer.disagreement().rows() == [("first", "linear_distinct", pytest.approx(0.5 / 3))]
    assert "participation counts" in answer.notes[-1]


def test_places_of_the_ordered_shapley_value(journeys):
    answer = journeys.measure(jk.Attribution("buy", "channel", "shapley_ordered"))
    assert answer.places.rows() == [("ad", 1, 0.5), ("mail", 1, 1.0), ("mail", 2, 0.5)]


def test_segments_and_periods_are_logs_of_their_own():
    rows = [
        {
            **row,
            "channel": row["event"] if row["event"] != "buy" else None,
            "device": f"d{int(row['user'][1:]) % 2}",
        }
        for row in many_users(5, users=80)
    ]
    question = jk.Attribution("buy", "channel", ["linear", "markov"], order=2)
    whole = journeys_of(rows).measure(question, by="device")
    for device in ("d0", "d1"):
        alone = journeys_of([row for row in rows if row["device"] == device]).measure(question)
        part = whole.frame.filter(pl.col("device") == device).drop("device")
        assert_frame_equal(part, alone.frame)
        effect = whole.removal_effect("cart").filter(pl.col("device") == device)["removal_effect"][0]
        assert effect == pytest.approx(alone.removal_effect("cart")["removal_effect"][0])
    row = whole.frame.filter(pl.col("model") == "markov", pl.col("channel") == "cart").row(0, named=True)
    assert 0 < row["share_low"] < row["share"] < row["share_high"] < 1
    assert 0 < row["removal_effect_low"] < row["removal_effect"] < row["removal_effect_high"] < 1


def test_replicates_are_logs_without_a_group():
    """D12.3: the chain is fitted again without the users of each jackknife group."""
    rows = [
        {**row, "channel": row["event"] if row["event"] != "buy" else None} for row in many_users(5, users=80)
    ]
    question = jk.Attribution("buy", "channel", "markov", order=2)
    chain = journeys_of(rows).measure(question)._chains[0]
    _, replicates = chain.removal_effects(chain.of_channel())
    assert len(chain.groups) > 30
    for group in chain.groups[:3]:
        rest = journeys_of([row for row in rows if oracle.group(row["user"]) != group]).measure(question)
        alone = dict(rest.frame.select("channel", "removal_effect").drop_nulls().iter_rows())
        assert alone == pytest.approx(dict(zip(chain.channels, replicates[:, group].tolist(), strict=True)))


def test_a_conversion_belongs_to_its_own_period(journeys):
    day = 24 * 60
    rows = [
        {"user": "u", "time": minute * logs.MINUTE, "event": event, "channel": channel}
        for minute, event, channel in ((0, "see", "ad"), (day, "buy", None), (2 * day, "see", "mail"))
    ]
    answer = journeys_of(rows).measure(jk.Attribution("buy", "channel", "last"), every="1d")
    assert answer.totals.select(pl.col("period").dt.day(), "conversions", "null_paths").rows() == [
        (2, 1, 0), (3, 0, 1),
    ]  # fmt: skip


def test_without_conversions_nothing_is_shared(journeys):
    answer = journeys.filter(users=["cid"]).measure(
        jk.Attribution("buy", "channel", ["last", "markov"], missing="ignore")
    )
    assert answer.frame.select("conversions", "share", "removal_effect").rows() == [
        (0, None, None), (0, None, None),
    ]  # fmt: skip
    assert answer.removal_effect("mail")["removal_effect"].to_list() == [None]


def test_names_are_only_names():
    rows = [{**row, "channel": row["channel"] and f"<b>{row['channel']} > \U0001f6d2\n"} for row in ROWS]
    answer = journeys_of(rows).measure(jk.Attribution("buy", "channel", ["last", "markov"]))
    assert found(answer)["last"] == {"<b>ad > \U0001f6d2\n": 1, "<b>mail > \U0001f6d2\n": 1, "<DIRECT>": 1}
    assert "<b>" not in answer._repr_html_()


BAD = [
    (
        {"models": "frist"},
        (
            "models cannot be 'frist'. Choose one of: 'first', 'last', 'last_non_direct', 'linear', 'linear_distinct', "
            "'position', 'j', 'inverse_j', 'time_decay', 'participation', 'shapley', 'shapley_ordered', 'markov'."
        ),
    ),
    (
        {"models": []},
        (
            "models cannot be []. Give a list of names, of first, last, last_non_direct, linear, linear_distinct, "
            "position, j, inverse_j, time_decay, participation, shapley, shapley_ordered, markov."
        ),
    ),
    ({"order": 0}, "order must be a whole number from 1 on, not 0."),
    (
        {"position": (0.5, 0.5, 0.5)},
        (
            "position must be three shares that sum to 1: of the first touch, of all between, and of the last one, "
            "such as (0.4, 0.2, 0.4), not (0.5, 0.5, 0.5). First and last cannot both be 0."
        ),
    ),
    ({"channel": None}, "channel must be a name, not None."),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_bad_questions(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.Attribution(**{"goal": "buy", "channel": "channel", **options})
    assert str(caught.value) == message


def test_what_these_journeys_cannot_answer(journeys):
    with pytest.raises(jk.errors.UnknownPropertyError):
        journeys.measure(jk.Attribution("buy", "chanel"))
    with pytest.raises(jk.errors.UnknownNameError):
        journeys.measure(jk.Attribution("by", "channel"))
    with pytest.raises(jk.errors.ColumnTypeError):
        journeys.measure(jk.Attribution("buy", "channel", value="channel"))
    with pytest.raises(jk.errors.ParameterError) as caught:
        journeys.measure(jk.Attribution("buy", "channel", "markov", order=99))
    assert str(caught.value) == (
        "order=99 has too many states with 3 channels. Take a smaller order, or join rare channels first."
    )
    answer = journeys.measure(jk.Attribution("buy", "channel", "last"))
    with pytest.raises(jk.errors.ParameterError) as caught:
        answer.removal_effect("ad")
    assert str(caught.value) == 'there is no chain without the model "markov". Add it to models.'
    answer = journeys.measure(jk.Attribution("buy", "channel", "markov"))
    with pytest.raises(jk.errors.UnknownNameError):
        answer.removal_effect("adds")
    with pytest.raises(jk.errors.ParameterError) as caught:
        answer.removal_effect(["ad", "mail"], sequence=True)
    assert str(caught.value) == "a sequence of 2 touches needs a chain of that order, not 1. Pass order=2."
    with pytest.raises(jk.errors.ParameterError) as caught:
        answer.side_by_side("value")
    assert str(caught.value) == "of cannot be 'value'. Choose one of: 'conversions', 'share'."


TABLE = pl.DataFrame({"path": ["ad > mail", "", "ad"], "conversions": [2, 3, 0], "lost": [1, 0, 4]})


def test_a_table_of_paths():
    answer = jk.Attribution.of_paths(TABLE, nulls="lost", models=["last", "markov"])
    assert found(answer)["last"] == {"mail": 2, "<DIRECT>": 3}
    assert answer.totals.select("conversions", "null_paths", "untouched").rows() == [(5, 5, 3)]
    assert answer.frame["share_low"].null_count() == answer.frame.height
    assert answer.notes[0] == "A table of paths has no users: there are no intervals."
    lists = TABLE.with_columns(pl.Series("path", [["ad", "mail"], [], ["ad"]]))
    assert jk.Attribution.of_paths(lists, nulls="lost", models=["last", "markov"]).frame.equals(answer.frame)
    assert jk.Attribution.of_paths(TABLE).statistic.models == (
        "first",
        "last",
        "linear",
        "position",
        "shapley",
    )


BAD_TABLES = [
    (
        {"path": "paht"},
        "no column 'paht' in the table of paths. Did you mean 'path'? Available: 'path', 'lost', 'conversions'.",
    ),
    (
        {"models": "markov"},
        "markov needs the paths that did not convert too. Pass nulls=<column>, or leave markov out of models.",
    ),
    (
        {"models": "time_decay"},
        "time_decay needs the times of touches, which a table of paths does not have.",
    ),
    ({"conversions": "path"}, "the column 'path' must hold numbers, not String."),
    ({"path": "lost"}, "the paths in 'lost' must be lists of names, or texts with a separator, not Int64."),
]


@pytest.mark.parametrize(("options", "message"), BAD_TABLES, ids=str)
def test_bad_tables(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.Attribution.of_paths(TABLE, **options)
    assert str(caught.value) == message


def test_counts_are_counts():
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.Attribution.of_paths(TABLE.with_columns(conversions=-1))
    assert str(caught.value) == "the column 'conversions' must hold counts from 0 on, without nulls."
