"""Charts: every answer is drawn, with its own numbers, harmlessly."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields

import pytest

import journeykit as jk
from journeykit.charts import Panel
from journeykit.charts.registry import OURS, chart_of, drawing, drawing_of
from journeykit.errors import ParameterError
from tests.measuring import journeys_of
from tests.property.test_law import ALL, MODEL, rows_of

EACH = list({type(statistic): statistic for statistic in reversed(ALL)}.values())
"""One value of every public statistic."""
MARKUP = re.compile(r"</?(?!b>|br>|extra>|span style=|span>)[a-zA-Z!]")


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(rows_of(1)).assign_stages(MODEL)


def texts(value):
    """Return every text of a figure, but for names of colours, fonts and the like."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in {"template", "color", "family", "bdata", "ids", "parents"}:
                yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def assert_drawn(chart):
    """A figure of plotly with a title and a subtitle, that can be written, and without foreign markup."""
    assert isinstance(chart, jk.Chart)
    figure = json.loads(chart.to_json())
    assert figure["layout"]["title"]["text"]
    assert figure["layout"]["height"] > 0
    assert not [text for text in texts(figure) if MARKUP.search(text)]


OPTIONS = ({}, {"by": "device"}, {"every": "1d"})


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def answers(request, journeys):
    return journeys.measure(*EACH, **request.param)


@pytest.fixture(scope="module")
def answers_of_nobody(journeys):
    return journeys.filter(users=[]).measure(*EACH)


def test_every_answer_is_drawn(answers):
    """Those by segment and by period included."""
    for answer in answers:
        chart = answer.chart()
        assert_drawn(chart)
        assert len(chart.data) or chart.layout.annotations[0].text, answer


def test_answers_of_nobody_are_drawn(answers_of_nobody):
    for answer in answers_of_nobody:
        assert_drawn(answer.chart(theme="dark"))


def test_every_comparison_is_drawn(journeys):
    """Of any statistic, one per class: bars would say less than differences do."""
    assert_drawn(jk.compare(journeys, jk.Conversion("buy"), by="device", split="path", pairs=True).chart())
    assert_drawn(jk.compare(journeys, jk.Transitions(), every="1d").chart())
    assert_drawn(jk.decompose_change(journeys, "buy", every="1d", by="device").chart())
    assert_drawn(jk.decompose_change(journeys, "buy", every="1d").chart())
    one, other = jk.Funnel(["view", "buy"], within="1h"), jk.Funnel(["view", "buy"], within="1d")
    assert_drawn(jk.explain_difference(one, other, journeys).chart())


def test_a_drawing_of_a_user_goes_first(journeys):
    @dataclass(frozen=True, eq=False, repr=False)
    class Mine(type(journeys.measure(jk.Overview()))):
        """An answer of one's own."""

    answer = journeys.measure(jk.Overview())
    mine = Mine(**{each.name: getattr(answer, each.name) for each in fields(answer)})
    assert len(mine.chart().data) == 1

    @drawing(Mine)
    def draw(answer, canvas, *, bars=2):
        return canvas.chart("Mine", [], [Panel([{"type": "bar", "y": [1]}] * bars)])

    assert len(mine.chart(bars=3).data) == 3
    assert len(answer.chart().data) == 1
    with pytest.raises(ParameterError, match="the chart of a Mine has no option 'top'"):
        mine.chart(top=3)
    with pytest.raises(ParameterError) as caught:
        chart_of(3)
    assert str(caught.value) == (
        "there is no chart of a int. Write a function that draws it, under @journeykit.charts.drawing(int)."
    )


@pytest.mark.parametrize("name", OURS)
def test_the_registry_names_what_is_there(name):
    module, _, kind = name.rpartition(".")
    found = __import__(f"journeykit.{module}", fromlist=[kind])
    assert callable(drawing_of(getattr(found, kind)))
