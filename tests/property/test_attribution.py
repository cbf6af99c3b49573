"""Attribution against its slow twin, and the laws that it keeps."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import logs
from tests.measuring import assert_close, journeys_of
from tests.oracle import attribution as oracle

pytestmark = pytest.mark.property

NAMES = ("visit", "click", "buy", "order")
CHANNELS = st.sampled_from((None, "ad", "ad", "mail", "<b>", "a > b"))
ADDITIVE = (
    "first", "last", "last_non_direct", "linear", "linear_distinct", "position", "j", "inverse_j", "time_decay",
    "participation", "shapley", "shapley_ordered",
)  # fmt: skip
HORIZONS = st.sampled_from((None, logs.MINUTE, logs.TIMEOUT, logs.DAY))
LOOKBACKS = st.sampled_from(("user", "session", logs.SECOND, logs.TIMEOUT, logs.DAY, 40 * logs.DAY))


@st.composite
def touched_logs(draw):
    rows = draw(logs.logs(min_events=1, names=NAMES))
    values = st.sampled_from((None, 1.5, 20.0, 0.0))
    return [{**row, "channel": draw(CHANNELS), "worth": draw(values)} for row in rows]


def question(lookback, horizon=None, **options):
    back = lookback if isinstance(lookback, str) else f"{lookback}us"
    silence = None if horizon is None else f"{horizon}us"
    return jk.Attribution(
        ["buy", "order"], "channel", lookback=back, horizon=silence, missing="ignore", **options
    )


def every_path(rows, lookback, **options):
    return oracle.touch_paths(rows, ("buy", "order"), lookback=lookback, value="worth", **options)


def twin(rows, lookback, transform="unique", **options):
    paths = every_path(rows, lookback, **options)
    return [oracle.transformed(path, transform) for path in paths if not path.is_open]


def credited(answer, model, column):
    rows = answer.frame.filter(pl.col("model") == model).select("channel", column).iter_rows()
    return {channel: value for channel, value in rows if value}


def nonzero(found):
    return {name: float(value) for name, value in found.items() if value}


@given(
    touched_logs(), LOOKBACKS, st.booleans(), st.sampled_from(("event", "session")),
    st.sampled_from(("unique", "exposure", "first")), st.sampled_from((None, "visit")), HORIZONS,
)  # fmt: skip
def test_credit_is_that_of_the_slow_twin(rows, lookback, reset, per, transform, touch, horizon):
    horizon = None if lookback == "session" else horizon
    asked = question(
        lookback, horizon, reset=reset, per=per, transform=transform, touch=touch, value="worth", models=ADDITIVE,
        position=(0.5, 0.3, 0.2), half_life="1d", direct="mail",
    )  # fmt: skip
    answer = journeys_of(rows).measure(asked)
    rules = {"reset": reset, "per": per, "touch": None if touch is None else [touch], "horizon": horizon}
    paths = twin(rows, lookback, transform, **rules)
    still_open = sum(path.is_open for path in every_path(rows, lookback, **rules))
    if not paths and not still_open:
        return
    row = answer.totals.row(0, named=True)
    won = [path for path in paths if path.converted is not None]
    assert row == {
        "conversions": len(won),
        "null_paths": len(paths) - len(won),
        "open_paths": still_open,
        "untouched": sum(not path.touches for path in won),
        "users": len({path.user for path in paths}),
        "converting_users": len({path.user for path in won}),
        "value": pytest.approx(math.fsum(path.value for path in won)),
        "untouched_value": pytest.approx(math.fsum(path.value for path in won if not path.touches)),
    }
    for model in ADDITIVE:
        options = {"direct": "mail", "position": (0.5, 0.3, 0.2), "half_life": logs.DAY}
        assert_close(credited(answer, model, "conversions"), nonzero(oracle.credit(model, paths, **options)))
        worth = oracle.credit(model, paths, of=lambda path: path.value, **options)
        assert_close(credited(answer, model, "value"), nonzero(worth))
        if model != "participation":
            assert sum(credited(answer, model, "conversions").values()) == pytest.approx(len(won))


@given(
    touched_logs(), LOOKBACKS, st.sampled_from((1, 2, 3)), st.sampled_from(("unique", "exposure")), HORIZONS
)
def test_removal_effects_are_those_of_the_slow_twin(rows, lookback, order, transform, horizon):
    horizon = None if lookback == "session" else horizon
    answer = journeys_of(rows).measure(
        question(lookback, horizon, models="markov", order=order, transform=transform, value="worth")
    )
    paths = twin(rows, lookback, transform, horizon=horizon)
    won = [path for path in paths if path.converted is not None]
    touched = [path for path in won if path.touches]
    assert sum(credited(answer, "markov", "conversions").values()) == pytest.approx(len(won))
    worth = math.fsum(path.value for path in won)
    if touched or not any(path.touches for path in won):
        assert sum(credited(answer, "markov", "value").values()) == pytest.approx(worth)
    if not touched:
        return
    channels = sorted({name for path in paths for name, _ in path.touches})
    effects = {
        name: oracle.removal_effect(paths, order, lambda state, name=name: state[-1:] == (name,))
        for name in channels
    }
    assert_close(credited(answer, "markov", "removal_effect"), nonzero(effects), 1e-9)
    total = sum(effects.values())
    shared = {name: effect / total * len(touched) for name, effect in effects.items()}
    shared["<DIRECT>"] = len(won) - len(touched)
    assert_close(credited(answer, "markov", "conversions"), nonzero(shared), 1e-9)
    pair = tuple(channels[:2])
    either = oracle.removal_effect(paths, order, lambda state: state[-1:] in [(name,) for name in pair])
    assert answer.removal_effect(pair)["removal_effect"][0] == pytest.approx(float(either), abs=1e-9)
    if order > 1 and len(pair) == 2:
        both = oracle.removal_effect(paths, order, lambda state: state[-2:] == pair)
        found = answer.removal_effect(pair, sequence=True)["removal_effect"][0]
        assert found == pytest.approx(float(both), abs=1e-9)


@given(touched_logs())
def test_free_checks(rows):
    """P(convert) is the observed rate; repeats do not matter at order 1; far enough back, who has it has it."""
    paths = twin(rows, "user")
    touched = [path for path in paths if path.touches]
    won = [path for path in touched if path.converted is not None]
    if not won:
        return
    made = journeys_of(rows)
    one = made.measure(question("user", models="markov"))
    assert one._chains[0].observed == pytest.approx(len(won) / len(touched))
    joined = made.measure(question("user", models="markov", transform="exposure"))
    assert_close(
        credited(one, "markov", "removal_effect"), credited(joined, "markov", "removal_effect"), 1e-9
    )
    longest = max(len(path.touches) for path in touched)
    if longest <= 12:
        whole = made.measure(question("user", models="markov", order=longest))
        share = {
            name: sum(name in dict(path.touches) for path in won) / len(won)
            for path in touched
            for name, _ in path.touches
        }
        assert_close(credited(whole, "markov", "removal_effect"), nonzero(share), 1e-9)


@given(touched_logs())
def test_shapley_is_that_of_the_definition(rows):
    answer = journeys_of(rows).measure(question("user", models=["shapley", "shapley_ordered"]))
    paths = twin(rows, "user")
    exact = oracle.shapley(paths)
    untouched = sum(path.converted is not None and not path.touches for path in paths)
    wanted = nonzero(exact) | ({"<DIRECT>": float(untouched)} if untouched else {})
    assert_close(credited(answer, "shapley", "conversions"), wanted, 1e-9)
    places = answer.places.group_by("channel").agg(pl.col("conversions").sum())
    assert_close({name: n for name, n in places.iter_rows() if n}, nonzero(exact), 1e-9)


@given(touched_logs())
def test_a_table_of_the_paths_says_the_same(rows):
    paths = twin(rows, "user")
    table = pl.DataFrame(
        {
            "path": [[name for name, _ in path.touches] for path in paths],
            "conversions": [int(path.converted is not None) for path in paths],
            "lost": [int(path.converted is None) for path in paths],
        },
        schema={"path": pl.List(pl.String), "conversions": pl.Int64, "lost": pl.Int64},
    )
    models = ("first", "linear", "position", "shapley", "markov")
    found = jk.Attribution.of_paths(table, nulls="lost", models=models, order=2)
    wanted = journeys_of(rows).measure(question("user", models=models, order=2))
    for model in models:
        assert_close(credited(found, model, "conversions"), credited(wanted, model, "conversions"), 1e-9)
