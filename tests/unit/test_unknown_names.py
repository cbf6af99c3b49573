"""Names that the log does not have: refused, warned of, or taken as never seen, by one rule everywhere. D0.9."""

from __future__ import annotations

import pytest

import journeykit as jk
from journeykit.errors import JourneykitWarning, ParameterError, UnknownNameError, UnknownUserError
from tests.logs import log
from tests.measuring import journeys_of

ROWS = log("u 0 view; u 1 cart")
ADVICE = 'Pass missing="ignore" to count such names as never seen.'
ASKING = {
    "filter": lambda made, missing: made.filter(events=["view", "buy"], missing=missing),
    "clean": lambda made, missing: made.clean(jk.PathCleaning(exclude=["buy"]), missing=missing),
    "sessionize": lambda made, missing: journeys_of(
        ROWS, jk.SessionRule("30m", start_events=["buy"], missing=missing)
    ),
    "assign_stages": lambda made, missing: made.assign_stages(
        jk.StageModel([jk.Stage("own", "buy")]), missing=missing
    ),
    "a goal": lambda made, missing: made.measure(jk.Conversion("buy", missing=missing)),
    "a step": lambda made, missing: made.measure(jk.Funnel(["view", "buy"], missing=missing)),
}


@pytest.mark.parametrize("asking", ASKING)
def test_a_name_is_refused_warned_of_or_ignored(asking):
    made, ask = journeys_of(ROWS), ASKING[asking]
    with pytest.raises(UnknownNameError) as error:
        ask(made, "raise")
    said = str(error.value)
    assert said.startswith("no event 'buy' in this log. ")
    assert said.endswith(ADVICE)
    with pytest.warns(JourneykitWarning) as warned:
        ask(made, "warn")
    assert [str(each.message) for each in warned] == [said]
    ask(made, "ignore")


@pytest.mark.parametrize("asking", ASKING)
def test_another_choice_is_refused(asking):
    with pytest.raises(ParameterError) as error:
        ASKING[asking](journeys_of(ROWS), "skip")
    assert str(error.value) == "missing cannot be 'skip'. Choose one of: 'raise', 'ignore', 'warn'."


def test_users_too():
    made = journeys_of(ROWS)
    with pytest.raises(UnknownUserError) as error:
        made.filter(users=["u", "w"])
    with pytest.warns(JourneykitWarning) as warned:
        assert made.filter(users=["u", "w"], missing="warn").n_users == 1
    assert str(warned[0].message) == str(error.value)


@pytest.mark.parametrize(
    "ask", [lambda: jk.Conversion("buy", missing="warn"), lambda: jk.TopPaths(goal="buy", missing="warn")]
)
def test_the_warning_points_at_who_asked(ask):
    made, question = journeys_of(ROWS), ask()
    with pytest.warns(JourneykitWarning) as warned:
        made.measure(question)
    assert warned[0].filename == __file__
