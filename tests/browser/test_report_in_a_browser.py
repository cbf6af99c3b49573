"""Reports in Chromium: from the disk, without a network, for everybody, at every width, on paper."""

from __future__ import annotations

import json
import time

import polars as pl
import pytest

import journeykit as jk
from journeykit.reports.template import SECTIONS
from tests.reports import GOAL, hostile, shop

pytestmark = pytest.mark.slow

LONGEST_OPENING = 3.0


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """Reports on disk, by name."""
    folder, made = tmp_path_factory.mktemp("reports"), {}

    def path_of(name):
        if name not in made:
            made[name] = MAKERS[name]().write(folder / f"{name}.html")
        return made[name]

    return path_of


def whole() -> jk.Report:
    notes = {"awareness": {"goal": "Find out what there is", "owner": "Ann"}, "gone": {"ideas": "kept"}}
    return jk.report(
        shop(), GOAL, start="add_to_cart", by="device", notes=notes, personas=2, channel="channel"
    )


def chinese() -> jk.Report:
    return jk.report(shop(), GOAL, labels="zh", personas=0)


def attacked() -> jk.Report:
    journeys, goal = hostile()
    evil = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>"
    notes = {
        stage: dict.fromkeys(("goal", "notes", "ideas", "owner"), evil)
        for stage in (*journeys.stage_names, evil)
    }
    template = jk.ReportTemplate(brand=evil)
    return jk.report(
        journeys, goal, title=evil, start=goal, by="device", notes=notes, template=template, personas=2, suppress=0,
        recipe=evil,
    )  # fmt: skip


def wide() -> jk.Report:
    rows = pl.DataFrame({"i": range(40_000)}).select(
        user=pl.col("i") % 2_000, time=pl.col("i"), event=pl.format("event {}", pl.col("i") * 7 % 10_000)
    )
    journeys = jk.read_events(rows, user="user", time="time", event="event", unit="s").sessionize("30m")
    assert journeys.names.len() == 10_000
    half = [jk.Stage("even", jk.stages.regex(r".*[02468]")), jk.Stage("odd", jk.stages.regex(r".*[13579]"))]
    return jk.report(journeys.assign_stages(jk.StageModel(half)), "event 7", personas=0)


MAKERS = {"whole": whole, "chinese": chinese, "attacked": attacked, "wide": wide}


@pytest.mark.parametrize("name", ["whole", "chinese", "attacked"])
def test_every_section_is_there(name, page_of, opened):
    page = opened(page_of(name))
    sections = page.eval_on_selector_all("main > section", "all => all.map(each => each.id)")
    left_out = {"whole": set(), "chinese": {"segments", "personas"}, "attacked": {"time"}}[name]
    assert set(SECTIONS) - set(sections) <= left_out | ({"pain"} if name == "attacked" else set())
    links = page.eval_on_selector_all("nav a", "all => all.map(each => each.getAttribute('href'))")
    assert links == [f"#{each}" for each in sections]
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate("document.documentElement.lang") == ("zh" if name == "chinese" else "en")


def test_the_map_is_a_table_that_says_what_its_cells_are(page_of, opened):
    page = opened(page_of("whole"))
    stages = page.eval_on_selector_all(".map thead th[scope=col]", "all => all.map(each => each.textContent)")
    assert stages == ["awareness", "consideration", "purchase", "usage", "loyalty"]
    rows = page.eval_on_selector_all(".map tbody th[scope=row]", "all => all.map(each => each.textContent)")
    for wanted in ("Goals", "Users", "Reached", "Time", "Touchpoints", "Channels", "Pain points", "Owner"):
        assert wanted in rows
    assert "Find out what there is" in page.inner_text(".map .row-goal")
    assert "kept" in page.inner_text("#map")


@pytest.mark.parametrize("name", ["whole", "chinese", "attacked"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(name, scheme, page_of, opened, axe):
    page = opened(page_of(name), scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    # The page forbids scripts that are loaded; this one is evaluated by the browser's own tools.
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    said = [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious]
    assert said == [], json.dumps(said, indent=1)


@pytest.mark.parametrize("name", ["whole", "attacked", "wide"])
@pytest.mark.parametrize("width", [390, 800, 1600])
def test_only_tables_and_the_graph_scroll_sideways(name, width, page_of, opened):
    page = opened(page_of(name), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_names_do_nothing(page_of, opened):
    page = opened(page_of("attacked"))
    elements = set(page.eval_on_selector_all("body *", "all => all.map(each => each.localName)"))
    assert not elements & {"script", "img", "iframe", "object", "embed", "style", "link"}
    handlers = (
        "all => all.flatMap(each => [...each.attributes]).filter(each => each.name.startsWith('on')).length"
    )
    assert page.eval_on_selector_all("*", handlers) == 0
    assert "<script>alert(1)</script>" in page.inner_text("main")
    assert "\u202e" not in page.content()


def test_the_keyboard_reaches_what_scrolls_and_opens(page_of, opened):
    page = opened(page_of("whole"), width=390)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    unreachable = "all => all.filter(each => each.tabIndex !== 0 || !each.getAttribute('role')).length"
    assert page.eval_on_selector_all(".scroll, pre", unreachable) == 0


def test_on_paper(page_of, opened, tmp_path):
    page = opened(page_of("whole"), scheme="dark")
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_ten_thousand_names_open_at_once(page_of, opened):
    path = page_of("wide")
    assert path.stat().st_size < 6_000_000
    started = time.perf_counter()
    opened(path)
    assert time.perf_counter() - started < LONGEST_OPENING


def test_a_notebook_shows_it_in_a_frame(page_of, opened, tmp_path):
    shown = tmp_path / "notebook.html"
    shown.write_text(f"<!DOCTYPE html><title>n</title>{attacked()._repr_html_()}", "utf-8")
    frames = opened(shown).frames
    assert len(frames) == 2
    assert frames[1].locator("h1").count() == 1
