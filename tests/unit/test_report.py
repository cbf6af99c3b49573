"""The report: what it says, what it withholds, what it refuses."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import NotesError, ParameterError, UnknownNameError, UnknownPropertyError
from journeykit.reports.map_table import MapTable
from journeykit.reports.notes import MapNotes
from journeykit.reports.template import SECTIONS
from journeykit.reports.wording import wording
from tests.reports import GOAL, hostile, shop

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed; texts by the section that they are in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.sections, self.texts, self.tags = [], [], {}, set()
        self.ids, self.labels = [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.labels += [given["aria-labelledby"]] if "aria-labelledby" in given else []
        if tag == "section":
            self.sections.append(given["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        where = self.sections[-1] if "section" in self.open else ""
        self.texts[where] = self.texts.get(where, "") + data


@pytest.fixture(scope="module")
def journeys():
    return shop(400)


@pytest.fixture(scope="module")
def made(journeys):
    notes = {
        "awareness": {"goal": "Find out\nwhat there is", "owner": "Ann"},
        "gone": {"ideas": "kept words"},
    }
    return jk.report(journeys, GOAL, start="add_to_cart", by="device", notes=notes, personas=2)


def test_every_section_is_there_and_the_page_is_well_formed(made):
    page = Page(made.html)
    assert page.sections == list(SECTIONS)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labels) <= set(page.ids)
    assert not page.tags & {"script", "img", "iframe", "object", "embed"}


def test_nothing_is_loaded_from_anywhere(made):
    assert re.findall(r"(?:https?:)?//[\w.]+", made.html) == []
    assert "url(" not in made.html.replace("url(#arrow)", "")
    assert len(made.html) < 1_000_000


def test_sentences_have_the_numbers_of_the_library(made, journeys):
    said = Page(made.html).texts["summary"]
    overview = journeys.measure(jk.Overview(GOAL))
    rate = overview.value("user_conversion_rate")
    converted = overview.frame.filter(pl.col("number") == "user_conversion_rate")["numerator"][0]
    assert f"{converted:.0f} of 400 users reached the goal purchase: {rate:.1%}".replace("%", " %") in said
    carts = journeys.measure(jk.Abandonment(GOAL, "add_to_cart", unit="session")).frame.row(0, named=True)
    assert f"Of {carts['resolved']} that began and were decided, {carts['abandoned']} gave up" in said


def test_the_same_journeys_give_the_same_page(journeys):
    first, second = (jk.report(journeys, GOAL, personas=0).html for _ in range(2))
    assert first == second


def test_words_of_the_team_stand_on_the_map_and_are_never_lost(made):
    assert made.unknown_stages == ("gone",)
    said = Page(made.html).texts["map"]
    for words in ("Find out", "what there is", "Ann", "gone", "kept words"):
        assert words in said


def test_sections_in_the_order_of_the_template(journeys):
    template = jk.ReportTemplate(sections=("recipe", "summary"), colour="#7a1f5c", brand="Acme & Co")
    page = jk.report(journeys, GOAL, template=template, personas=0, title="A title").html
    assert Page(page).sections == ["recipe", "summary"]
    assert "--brand: #7a1f5c" in page
    assert "Acme &amp; Co" in page
    assert "<title>A title</title>" in page


def test_the_recipe_says_what_was_asked(made, journeys):
    text = Page(made.html).texts["recipe"]
    assert "jk.report(journeys, goal='purchase', start='add_to_cart', by='device', personas=2, notes=" in text
    assert "SessionRule(timeout='30m')" in text
    assert journeys.staged.model.dumps().strip() in text
    assert '[stages."awareness"]' in text
    given = jk.report(journeys, GOAL, personas=0, recipe="journeykit report log.csv --goal purchase").html
    assert "journeykit report log.csv --goal purchase" in given


def test_what_the_recipe_says_gives_the_same_page(tmp_path, monkeypatch):
    made = jk.datasets.simulate_shop(200, rng=1)
    roles = {"user": "user", "time": "time", "event": "event"}
    log = jk.read_events(made.events, **roles, keep=["device"])
    model = jk.stages.five_stage(**made.stages)
    journeys = log.sessionize("30m").assign_stages(model)
    model.save(tmp_path / "stages.toml")
    asked = {
        "template": jk.ReportTemplate(sections=["summary", "quality", "recipe"], brand="A & B"),
        "labels": {"summary": "Kurz gesagt", "language": "de"},
        "personas": 0,
        "suppress": 3,
        "goals": {"awareness": "Find out"},
        "log": log,
    }
    first = jk.report(journeys, GOAL, **asked)
    code = Page(first.html).texts["recipe"]
    code = code[code.index("import journeykit") : code.index(").write") + 1]
    read = 'jk.read_events("your log", user="...", time="...", event="...")'
    assert read in code
    monkeypatch.chdir(tmp_path)
    told = {"log": log}
    lines = code.replace(read, "log").replace("jk.report(", "again = jk.report(")
    exec(lines, told)
    assert told["again"].html == first.html


def test_sections_that_are_not_shown_are_not_measured(journeys, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("journeykit.reports.measuring._personas", fail)
    monkeypatch.setattr(jk.Events, "quality", property(fail))
    log = jk.read_events(
        {"user": ["a"], "time": [0], "event": ["x"]}, user="user", time="time", event="event", unit="s"
    )
    template = jk.ReportTemplate(sections=["summary"])
    assert Page(jk.report(journeys, GOAL, template=template, log=log).html).sections == ["summary"]


def test_a_store_and_a_plan_are_told_as_journeys_in_memory_are(journeys, tmp_path):
    asked = {"by": "device", "horizon": "7d", "labels": {"recipe_code": "CODE"}}
    told = Page(jk.report(journeys, GOAL, personas=2, **asked).html)
    store = jk.open_store(journeys.write(tmp_path / "store"))
    stored = Page(jk.report(store, GOAL, personas=2, **asked).html)
    assert stored.sections == told.sections
    assert {**stored.texts, "recipe": ""} == {**told.texts, "recipe": ""}
    assert 'jk.open_store("your store")' in stored.texts["recipe"]

    made = jk.datasets.simulate_shop(400, rng=1)
    roles = {"user": "user", "time": "time", "event": "event", "keep": ["device", "channel"]}
    plan = jk.scan_events(made.events, **roles).sessionize("30m")
    plan = plan.assign_stages(jk.stages.five_stage(**made.stages), missing="ignore")
    planned = Page(jk.report(plan, GOAL, personas=2, **asked).html)
    assert {**planned.texts, "recipe": ""} == {**told.texts, "recipe": ""}
    engine = jk.OutOfCore(memory="200MB", shards=3)
    without = Page(jk.report(journeys, GOAL, personas=0, **asked).html).texts
    planned = Page(jk.report(plan, GOAL, engine=engine, personas=2, **asked).html)
    assert planned.sections == told.sections
    alike = without.keys() - {"", "recipe"}
    assert {each: planned.texts[each] for each in alike} == {each: without[each] for each in alike}
    assert "no groups are described" in planned.texts["personas"]
    code = planned.texts["recipe"]
    assert "events = " not in code
    assert "jk.scan_events(" in code
    assert ".sessionize(jk.SessionRule(timeout='30m'))" in code
    assert "engine=jk.OutOfCore(memory='200MB'" in code


def test_what_is_no_journeys_is_refused(journeys, tmp_path):
    store = jk.open_store(journeys.write(tmp_path / "store"))
    with pytest.raises(ParameterError) as raised:
        jk.report(store, GOAL, engine=jk.OutOfCore())
    assert str(raised.value) == (
        "a store counts by itself what changed since it was asked. Leave engine out."
    )
    with pytest.raises(ParameterError) as raised:
        jk.report(journeys.frame, GOAL)
    assert str(raised.value) == (
        "a report is made of journeys, a store or a plan of journeys, not of DataFrame. Call sessionize first, or "
        "open_store."
    )
    with pytest.raises(UnknownPropertyError, match="no property 'devise'"):
        jk.report(store, GOAL, by="devise")
    with pytest.raises(ParameterError, match="these journeys are of 400 users, and suppress=500"):
        jk.report(store, GOAL, suppress=500)
    plan = jk.scan_events(journeys.frame, user="user", time="time", event="event").sessionize("30m")
    with pytest.raises(ParameterError, match="these journeys are of 400 users, and suppress=500"):
        jk.report(plan, GOAL, suppress=500, personas=0, engine=jk.OutOfCore(memory="200MB"))


def test_the_language(journeys):
    page = jk.report(journeys, GOAL, labels="zh", personas=0)
    assert page.title == "客户旅程\uff1apurchase"
    assert '<html lang="zh">' in page.html
    own = jk.report(journeys, GOAL, labels={"summary": "Kurz gesagt", "language": "de"}, personas=0).html
    assert ('<html lang="de">' in own, "Kurz gesagt" in own, "Recipe" in own) == (True, True, True)


def test_without_stages_the_rest_is_told():
    log = shop(200)
    events = jk.read_events(log.frame, user="user", time="time", event="event")
    page = Page(jk.report(events.sessionize("30m"), GOAL, personas=0, log=events).html)
    assert page.sections == ["summary", "map", "flow", "time", "paths", "quality", "definitions", "recipe"]
    assert "assign a stage model to see the map" in page.texts["map"]
    assert "Rows read" in page.texts["quality"]


def test_hostile_names_are_text():
    journeys, goal = hostile()
    evil = "</title></style><script>alert(1)</script>"
    notes = {name: {"ideas": evil, "goal": evil} for name in (*journeys.stage_names, evil)}
    made = jk.report(
        journeys, goal, title=evil, start=goal, by="device", notes=notes, personas=2, suppress=0, recipe=evil
    )
    page = Page(made.html)
    assert not page.tags & {"script", "img", "b"}
    assert evil in page.texts["map"]
    assert "\u202e" not in made.html
    assert "\x00" not in made.html
    assert "{{ event }}" in made.html


def test_who_has_not_left_and_who_is_all_alike():
    """Eight of ten users never leave the first stage; both segments convert alike."""
    rows = [
        (user, 60 * step, event, "ab"[user % 2])
        for user in range(10)
        for step, event in enumerate("xy"[: 2 - (user > 1)])
    ]
    log = pl.DataFrame(rows, schema=["user", "time", "event", "side"], orient="row")
    events = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["side"])
    model = jk.StageModel([jk.Stage("look", "x"), jk.Stage("own", "y")])
    made = jk.report(events.sessionize("30m").assign_stages(model), "y", by="side", personas=0, suppress=0)
    said = Page(made.html).texts
    assert "half have not left yet" in said["map"]
    assert "20.0 % (5.7 % to 51.0 %) went on. Half of the stays there have not ended yet." in said["summary"]
    assert "\u221e" not in said["summary"]
    assert "the highest rate" not in said["summary"]


@pytest.mark.parametrize("top", [1, 2])
def test_a_stage_shows_as_many_channels_and_touchpoints_as_asked_for(top, journeys):
    drawn = journeys.measure(jk.JourneyMap(GOAL, channel="device", top=top))
    rows = {row.name: row.cells for row in MapTable(drawn, MapNotes(), 0, wording("en")).rows()}
    for name in ("channels", "touchpoints"):
        assert max(len(cell) for cell in rows[name]) == top


@pytest.mark.parametrize("name", ["users", "number", "all", "numerator", "period", "suppressed", "source"])
def test_the_name_of_what_is_compared_does_not_matter(journeys, name):
    log = journeys.frame.select("user", "time", "event", "device", pl.col("device").alias(name))
    renamed = jk.read_events(log, user="user", time="time", event="event", keep=["device", name]).sessionize()
    one, two = (
        Page(jk.report(renamed, GOAL, by=each, personas=0).html).texts["segments"]
        for each in ("device", name)
    )
    assert two == one.replace("device", name)


def test_what_is_compared_can_be_a_segment_with_a_name(journeys):
    by = jk.Segment("device", at="last", name="last device")
    said = Page(jk.report(journeys, GOAL, by=by, personas=0).html).texts
    assert "last device" in said["segments"]
    assert "by=jk.Segment(property='device', at='last', name='last device')" in said["recipe"]
    with pytest.raises(UnknownPropertyError, match="no property 'devise'"):
        jk.report(journeys, GOAL, by=jk.Segment("devise", name="device"))
    with pytest.raises(ParameterError) as raised:
        jk.report(journeys, GOAL, by=["device", "channel"])
    assert str(raised.value) == (
        "report takes one property, and by is ['device', 'channel']. Give the name of a kept property, or a Segment."
    )


def test_small_cells_are_withheld(journeys):
    few = journeys.sample(40, rng=3)
    open_, closed = (
        jk.report(few, GOAL, by="device", personas=0, suppress=k, start="add_to_cart").html for k in (0, 5)
    )
    assert "&lt;5" in closed
    assert "&lt;5" not in open_
    assert "numbers of fewer than 5 users are withheld" in closed
    assert "are withheld" not in open_


def test_moves_are_not_the_rest_of_what_enters_and_leaves_a_state():
    """Two of 22 go back after buying: who bought and who left is as much as they, one subtraction away."""
    paths = [["view", "buy"]] * 20 + [["view"]] * 18 + [["view", "buy", "view"]] * 2
    rows = [(user, step, event) for user, path in enumerate(paths) for step, event in enumerate(path)]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    pages = {k: Page(jk.report(journeys, "buy", personas=0, suppress=k).html) for k in (0, 5)}
    assert "view \u2192 <END>" in pages[0].texts["flow"]
    assert "view \u2192 <END>" not in pages[5].texts.get("flow", "")
    assert "view \u2192 buy" not in pages[5].texts.get("flow", "")


def test_no_user_is_named(journeys):
    page = jk.report(journeys, GOAL, by="device", personas=2).html
    assert re.findall(r"u\d{7}", page) == []


def test_it_is_written_whole(made, tmp_path):
    path = made.write(tmp_path / "new" / "journey.html")
    assert path.read_text("utf-8") == made.html
    with pytest.raises(ParameterError) as raised:
        made.write(tmp_path / "journey.pdf")
    assert str(raised.value) == (
        "a report is written as '.html', not '.pdf'. Print the page in a browser for a PDF."
    )
    assert repr(made) == "Report('Customer journey: purchase', 0.1 MB); write it with .write('journey.html')"
    assert made._repr_html_().startswith('<iframe sandbox srcdoc="&lt;!DOCTYPE html&gt;')


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"suppress": 1},
            ParameterError,
            "suppress must be 0 (nothing is withheld) or a number of users above 1",
        ),
        (
            {"suppress": 500},
            ParameterError,
            "these journeys are of 400 users, and suppress=500 withholds numbers of",
        ),
        (
            {"by": "devise"},
            UnknownPropertyError,
            "no property 'devise' in these journeys. Did you mean 'device'?",
        ),
        (
            {"goal": "purchasse"},
            UnknownNameError,
            "no event 'purchasse' in this log. Did you mean 'purchase'?",
        ),
        ({"labels": "fr"}, ParameterError, "labels cannot be 'fr'."),
        ({"template": "fancy"}, ParameterError, "template must be a ReportTemplate, not 'fancy'."),
        ({"title": 3}, ParameterError, "title must be a text, not 3."),
        ({"notes": {"a": 1}}, NotesError, "the notes have 1 problem:"),
        ({"personas": -1}, ParameterError, "personas must be a number of groups, or 0 for none, not -1."),
        ({"rating": None}, ParameterError, "report has no parameter 'rating'. Did you mean 'ratings'?"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(options, kind, message, journeys, monkeypatch):
    monkeypatch.setattr(
        "journeykit.engines.in_memory.InMemory.run", lambda *_: pytest.fail("it was measured")
    )
    with pytest.raises(kind) as raised:
        jk.report(journeys, **{"goal": GOAL, **options})
    assert str(raised.value).startswith(message)
