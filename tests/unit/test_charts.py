"""Charts: every answer is drawn, with its own numbers, harmlessly."""

from __future__ import annotations

import json
import re

import pytest

import journeykit as jk
from journeykit.charts.registry import OURS, drawing_of
from tests.measuring import journeys_of
from tests.property.test_law import ALL, MODEL, rows_of

MARKUP = re.compile(r"</?(?!b>|br>)[a-zA-Z!]")


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


@pytest.mark.parametrize("statistic", ALL, ids=repr)
@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1d"}], ids=str)
def test_every_answer_is_drawn(statistic, options, journeys):
    chart = journeys.measure(statistic, **options).chart()
    assert_drawn(chart)
    assert len(chart.data)


@pytest.mark.parametrize("statistic", ALL, ids=repr)
def test_answers_of_nobody_are_drawn(statistic, journeys):
    answer = journeys.filter(users=[]).measure(statistic)
    assert_drawn(answer.chart(theme="dark"))


@pytest.mark.parametrize("name", OURS)
def test_the_registry_names_what_is_there(name):
    module, _, kind = name.rpartition(".")
    found = __import__(f"journeykit.{module}", fromlist=[kind])
    assert callable(drawing_of(getattr(found, kind)))
