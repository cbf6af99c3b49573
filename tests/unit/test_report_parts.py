"""What a report is made of: words, colours, drawings."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError
from journeykit.events.events import log_provenance
from journeykit.models.people.traits import USED, user_traits
from journeykit.ragged.array import Provenance
from journeykit.reports.drawings import bar, curve, dot
from journeykit.reports.network import END, START, graph_edges, network, shortened
from journeykit.reports.template import SECTIONS, ReportTemplate, contrast
from journeykit.reports.wording import LANGUAGES, note_patterns, shipped, wording
from tests.logs import HOSTILE_NAMES

PLACES = re.compile(r"\{(\w+)\}")


class TestWording:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_languages_have_the_same_keys_and_places(self, language):
        texts, english = shipped(language), shipped("en")
        assert list(texts) == list(english)
        for key, text in texts.items():
            assert set(PLACES.findall(text)) == set(PLACES.findall(english[key])), key
            assert text

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_sections_have_titles(self, language):
        assert all(shipped(language)[name] for name in SECTIONS)

    def test_what_the_log_lacks_is_said_in_the_language(self):
        said = log_provenance(Provenance(*[7] * 10))
        assert len(said.notes) == 8
        for note in said.notes:
            assert wording("en").note(note) == note
            assert wording("zh").note(note) != note
            assert "7" in wording("zh").note(note)

    def test_what_verbs_left_out_is_said_in_the_language(self):
        """Nothing but events; sessions too; users too; and users of events outside any session."""
        log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 1, 9_999, 5], "event": ["a", "b", "a", "c"]})
        journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
        for left in (
            journeys.filter(events=["a", "c"]),
            journeys.filter(events=["b", "c"]),
            journeys.head(1),
        ):
            (note,) = left.provenance.notes
            assert wording("en").note(note) == note
            assert note.split(" left out ")[0] + " 略去了 " in wording("zh").note(note)
        note = "filter(x) left out 3 of 9 events and 1 of 2 users."
        assert wording("zh").note(note) == "filter(x) 略去了 9 个事件中的 3 个、2 位用户中的 1 位。"

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_traits_of_users_have_names(self, language):
        users = pl.DataFrame({name: [1] for name in (*USED, "furthest_stage")})
        for trait in user_traits(users, ("look",)):
            if trait.kind in ("behaviour", "time"):
                assert f"trait_{trait.name.replace(' ', '_')}" in shipped(language)
        assert wording("en")("trait_reached", stage="look") == user_traits(users, ("look",))[-1].name

    def test_notes_of_answers_are_said_in_the_language(self):
        """Every note of a report with all that it can be asked: none stays English, and every number is in it."""
        made = jk.datasets.simulate_shop(1_200, rng=1)
        events = jk.read_events(made.events, user="user", time="time", event="event", keep=["channel"])
        stages = {name: events for name, events in made.stages.items() if name != "loyalty"}
        model = jk.StageModel([jk.Stage(name, names) for name, names in stages.items()])
        journeys = events.sessionize("30m").assign_stages(model)
        rated = made.ratings.select("user", "time", "value")
        sayings = pl.concat([rated, rated.head(1).with_columns(user=pl.lit("nobody"))])
        say, english = wording("zh"), wording("en")
        ratings = jk.Ratings("stars", sayings)
        on_map = jk.JourneyMap("purchase", ratings=ratings, channel="channel", offline="till")
        answers = [
            *journeys.measure(on_map, jk.TopPaths(3, start="home"), jk.Overview("purchase")),
            journeys.measure(jk.Abandonment("purchase", unit="user", horizon="7d")),
            journeys.measure(jk.PainPoints(jk.Chain("purchase", unit="user", horizon="7d"))),
            journeys.sample(1_000, rng=0).measure(
                jk.Personas("purchase", jk.Clusters(2, starts=1, resamples=0, rng=0), missing="ignore")
            ),
        ]
        notes = {note for answer in answers for note in answer.notes}
        assert len(notes) > 10
        known = {key for note in notes for key, pattern in note_patterns() if pattern.fullmatch(note)}
        for note in notes:
            said = say.note(note)
            assert english.note(note) == note
            assert re.search("[\u4e00-\u9fff]", said), note
            assert set(re.findall(r"[\d.,]*\d", note)) == set(re.findall(r"[\d.,]*\d", said)), note
        assert {"note_lost_all", "note_unmapped", "note_strangers", "note_shown", "note_anchor"} <= known
        assert say.note("A note of one's own: {x} %s.") == "A note of one's own: {x} %s."

    def test_own_words(self):
        say = wording({"summary": "Kurz", "said_log": "{users} Leute", "language": "de"})
        assert (say("summary"), say("said_log", users="3", sessions="4", events="5")) == ("Kurz", "3 Leute")
        assert (say.language, say("recipe")) == ("de", "Recipe")

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (
                "fr",
                (
                    "labels cannot be 'fr'. Choose one of: 'en', 'zh', or give a mapping of texts, such as "
                    "{'summary': 'Kurz gesagt'}."
                ),
            ),
            (7, "labels must be a language or a mapping of texts, not 7."),
            ({"summary": 7}, "labels['summary'] must be a text, not 7."),
            ({"summary": "{users}"}, "labels['summary'] has no place {users}. Places of this text: none."),
            (
                {"said_log": "{user}"},
                "labels['said_log'] has no place {user}. Places of this text: {events}, {sessions}, {users}.",
            ),
            (
                {"summary": "{"},
                "labels['summary'] cannot be read: Single '{' encountered in format string. Write a brace as two.",
            ),
            (
                {"said_log": "{users.__class__}"},
                "labels['said_log'] cannot be read: {users.__class__} is no plain name. Write a brace as two.",
            ),
        ],
    )
    def test_words_that_cannot_be(self, labels, message):
        with pytest.raises(ParameterError) as raised:
            wording(labels)
        assert str(raised.value) == message

    def test_unknown_keys_say_the_closest(self):
        with pytest.raises(
            ParameterError, match=r"^labels has no parameter 'sumary'\. Did you mean 'summary'\?"
        ):
            wording({"sumary": "x"})


class TestTemplate:
    def test_defaults(self):
        assert ReportTemplate().sections == SECTIONS

    def test_contrast_is_that_of_the_guidelines(self):
        assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
        assert contrast("#ffffff", "#000000") == pytest.approx(21)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"sections": ["sumary"]},
                (
                    "there is no section 'sumary'. Did you mean 'summary'? Available: 'summary', 'quality', 'map', "
                    "'stages', 'personas', 'segments', 'pain', 'time' and 4 more."
                ),
            ),
            ({"sections": []}, "sections must name at least one section, each once, not ()."),
            (
                {"sections": ["map", "map"]},
                "sections must name at least one section, each once, not ('map', 'map').",
            ),
            ({"colour": "red"}, "colour must be a colour such as '#0b5c9e', not 'red'."),
            ({"colour": "#fff;}*{"}, "colour must be a colour such as '#0b5c9e', not '#fff;}*{'."),
            (
                {"colour": "#ffcc00"},
                (
                    "colour '#ffcc00' cannot be read on '#ffffff': its contrast is 1.5, and 4.5 is the least for text. "
                    "Take a darker one."
                ),
            ),
            (
                {"dark_colour": "#112244"},
                (
                    "dark_colour '#112244' cannot be read on '#14171c': its contrast is 1.1, and 4.5 is the least for "
                    "text. Take a lighter one."
                ),
            ),
            ({"brand": 1}, "brand must be a text, not 1."),
        ],
    )
    def test_what_cannot_be(self, options, message):
        with pytest.raises(ParameterError) as raised:
            ReportTemplate(**options)
        assert str(raised.value) == message


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", text)]


class TestDrawings:
    def test_a_bar_is_as_long_as_its_share(self):
        drawn = ElementTree.fromstring(bar(0.25, 0.2, 0.4))
        assert drawn.find("rect").get("width") == "25.00"
        assert numbers(drawn.find("path").get("d")) == [20, 5, 40]
        assert drawn.get("aria-hidden") == "true"

    def test_bars_stay_inside(self):
        assert 'width="100.00"' in bar(3.0)
        assert 'width="0.00"' in bar(-3.0)
        assert bar(None) == bar(1.0, top=0.0) == dot((None, 0, 1)) == dot((1.0, 0, 1), 1, 1) == ""

    def test_a_dot_and_its_interval(self):
        drawn = ElementTree.fromstring(dot((0.0, -0.5, 0.5), -1.0, 1.0))
        assert [numbers(path.get("d")) for path in drawn.findall("path")] == [
            [0, 5, 100],
            [25, 5, 75],
            [50, 5, 0],
        ]

    def test_a_curve_is_broken_where_nothing_is_known(self):
        points = [
            (0.0, 1.0, 0.5, 1.0),
            (0.25, 0.0, None, None),
            (0.5, None, None, None),
            (1.0, -1.0, -1.0, 0.0),
        ]
        drawn = ElementTree.fromstring(curve(points, -1.0, 1.0, 'a <b> "c"', zero=0.0))
        assert drawn.get("aria-label") == drawn.find("title").text == 'a <b> "c"'
        lines = {each.get("class"): [] for each in drawn.findall("polyline")}
        for each in drawn.findall("polyline"):
            lines[each.get("class")].append(numbers(each.get("points")))
        assert lines == {"g": [[0, 50, 100, 50]], "l": [[0, 0, 25, 50], [100, 100]]}
        bands = [(each.get("class"), numbers(each.get("points"))) for each in drawn.findall("polygon")]
        assert bands == [("i", [0, 0, 0, 25]), ("i", [100, 50, 100, 100])]
        assert len(drawn.findall("path")) == 3


def edges(rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["source", "target", "transitions", "probability"], orient="row")


class TestNetwork:
    def test_every_state_and_move_is_drawn(self):
        rows = [
            (START, "a", 9, 1.0),
            ("a", "b", 5, 0.5),
            ("b", "a", 2, 0.2),
            ("a", "a", 1, 0.1),
            ("b", END, 3, 0.3),
        ]
        ranked = edges(rows).sort("transitions", descending=True)
        drawn = ElementTree.fromstring(network(ranked, "graph"))
        assert len(drawn.findall("path[@class='e']")) == 5
        assert sorted(each.find("text").text for each in drawn.findall("g")) == ["END", "START", "a", "b"]
        widths = [float(each.get("stroke-width")) for each in drawn.findall("path[@class='e']")]
        assert widths == sorted(widths)
        shown = {each.text for each in drawn.findall("text")}
        assert shown <= {"100 %", "50.0 %", "20.0 %", "10.0 %", "30.0 %"}
        assert "100 %" in shown

    def test_hostile_names(self):
        rows = [(START, name, 5, 0.1) for name in HOSTILE_NAMES]
        drawn = ElementTree.fromstring(network(edges(rows), "graph"))
        assert len(drawn.findall("g")) == len(HOSTILE_NAMES) + 1
        assert {each.tag for each in drawn.iter()} == {
            "svg",
            "title",
            "defs",
            "marker",
            "path",
            "g",
            "rect",
            "text",
        }

    def test_nothing_is_drawn_of_nothing(self):
        assert network(edges([]).clear(), "graph") == ""

    def test_what_is_chosen(self):
        states = pl.DataFrame({"state": [f"s{i}" for i in range(40)], "visits": list(range(40, 0, -1))})
        rows = [("s0", f"s{i}", i, 0.1) for i in range(1, 40)] + [("s0", END, None, None)]
        chosen = graph_edges(edges(rows), states)
        assert chosen["target"].to_list() == [f"s{i}" for i in range(10, 0, -1)]

    def test_of_equally_frequent_moves_the_first_by_name_are_drawn(self):
        names = [f"s{i}" for i in range(8)]
        states = pl.DataFrame({"state": names, "visits": [9] * 8})
        rows = [(one, other, 3, 0.1) for one in names[::-1] for other in names[::-1]]
        rows.append(("s7", "s7", 4, 0.2))
        chosen = graph_edges(edges(rows), states).select("source", "target").rows()
        first = [(one, other) for one in names for other in names]
        assert chosen == [("s7", "s7"), *first[:31]]

    def test_long_names_are_shortened(self):
        assert shortened("a" * 30 + "_the_end") == "aaaaaaaa\u2026he_end"
        assert shortened("short") == "short"
