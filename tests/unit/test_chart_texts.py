"""Names in charts do no harm, whatever they hold; charts are saved, and graphs written, with them."""

from __future__ import annotations

import json
import re
import subprocess

import networkx as nx
import polars as pl
import pytest

import journeykit as jk
from journeykit.charts import images, text
from journeykit.charts.chart import MIMETYPE, plotly_script
from journeykit.charts.theme import DARK, LIGHT
from journeykit.errors import BrowserError, ParameterError
from tests.logs import HOSTILE_NAMES, MINUTE
from tests.measuring import journeys_of

HOSTILE = (
    "<script>alert(1)</script>",
    '<a href="javascript:alert(1)">link</a>',
    "line one\nline two\r\tthree",
    "%{x} $a$ \\href{javascript:alert(1)}{x}",
    "\u202eevil \u0642\u0627\u0626\u0645\u0629",
    '"quoted" \\N `tick`; --> end',
    "=SUM(A1)",
    "\U0001f6d2 cart",
    *HOSTILE_NAMES,
)


MARKUP = re.compile(r"<(?!/?b>|br>|/?extra>|span style=\\\"color:#[0-9a-f]{6}\\\">|/span>)")
"""Of which only ours is there."""


@pytest.fixture(scope="module")
def hostile():
    names = list(dict.fromkeys(HOSTILE))
    rows = [
        {
            "user": f"<u{user}>",
            "time": user * 1_000 * MINUTE + i * MINUTE,
            "event": name,
            "device": names[user % 3],
        }
        for user in range(6)
        for i, name in enumerate(names[user:] + names[:user])
    ]
    return journeys_of(rows)


@pytest.mark.parametrize(
    "question",
    [
        jk.Transitions(), jk.Flow(3), jk.TopPaths(9), jk.StepMatrix(4), jk.EventuallyFollows(), jk.NGrams(2),
        jk.Conversion(HOSTILE[0]), jk.Funnel(list(HOSTILE[:3])), jk.Attribution(HOSTILE[0], "device"), jk.Friction(),
        jk.TimeBetween(HOSTILE[0], HOSTILE[1]), jk.Overview(),
    ],
    ids=lambda question: type(question).__name__,
)  # fmt: skip
@pytest.mark.parametrize("by", [None, "device"])
def test_hostile_names_are_shown_and_not_obeyed(question, by, hostile):
    told = json.loads(hostile.measure(question, by=by).chart().to_json())
    told["layout"].pop("template")
    for found in re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(told)):
        assert not MARKUP.search(found), found
        assert "$" not in found
        assert not set("\u202e\u202d") & set(json.loads(f'"{found}"'))
        assert not re.search(r"%\{(?!customdata\}|value:,\}|text\})", found), found


def test_sample_journeys_with_hostile_names(hostile):
    chart = hostile.chart()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in {each.name for each in chart.data}


def test_labels_tell_names_apart():
    names = [f"/shop/category-{i}/a-product-with-a-long-name.html" for i in range(40)]
    assert len(set(text.labels(names))) == 40
    assert max(map(len, text.labels(names))) <= text.LABEL
    assert text.labels(["short", *names])[0] == "short"
    assert text.label("x" * 500) == "x" * 18 + "..." + "x" * 5
    assert text.label(None) == "(none)"
    assert text.label("") == "(empty)"
    assert text.label("a\nb") == "a\\nb"


def test_a_label_is_the_same_when_it_is_made_twice():
    for name in HOSTILE:
        assert text.plain(f"1. {text.plain(name)}").startswith("1. ")
        assert text.plain(text.plain(name)) == text.plain(name)


def test_numbers_are_written_for_readers():
    assert text.percent(float("nan")) == "unknown"
    assert text.percent(-0.034) == "-3.4 %"
    assert text.count(float("inf")) == "infinite"
    assert text.count(1234.56) == "1,234.6"
    assert text.duration(float("inf")) == "never"
    assert text.duration(0) == "0 s"
    assert text.duration(200_000) == "2.31 d"
    assert text.interval(None, 1.0) == ""
    assert text.interval(0.1, 0.25) == " [10.0 % to 25.0 %]"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_themes_have_contrast(theme):
    """WCAG 2.2: 4.5 for text, 3 for marks."""
    assert min(contrast(each, theme.paper) for each in (theme.ink, theme.muted)) >= 4.5
    assert min(contrast(each, theme.paper) for each in theme.colours) >= 3
    assert theme.between(0) == theme.sequential[0][1]
    assert theme.between(1) == theme.sequential[-1][1]
    assert theme.between(0.125) not in dict(theme.sequential).values()


def test_a_theme_that_does_not_exist(hostile):
    with pytest.raises(ParameterError, match=r"^theme cannot be 'blue'\. Choose one of: 'light', 'dark'\.$"):
        hostile.measure(jk.Overview()).chart(theme="blue")
    with pytest.raises(ParameterError, match=r"^the chart of a OverviewAnswer has no option 'tob'\. "):
        hostile.measure(jk.Overview()).chart(tob=3)


@pytest.fixture(scope="module")
def chart(hostile):
    return hostile.measure(jk.Transitions()).chart()


def test_a_page_stands_alone(chart, tmp_path):
    page = chart.save(tmp_path / "deep" / "chart.html").read_text("utf-8")
    assert "<title>Transitions between states</title>" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
    assert "<script>alert(1)</script>" not in page
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["chart.html"]
    assert len(chart.fragment()) < 200_000
    assert len(plotly_script()) > 1_000_000
    assert chart.description.startswith("Transitions between states. Transitions()")


def test_a_notebook_gets_numbers_and_no_script(chart, hostile):
    from IPython.core.formatters import IPythonDisplayFormatter

    bundle = chart._repr_mimebundle_()
    assert set(bundle) == {MIMETYPE, "text/plain"}
    assert len(json.dumps(bundle)) < 200_000
    assert chart._repr_html_() is None
    formatter = IPythonDisplayFormatter()
    with pytest.MonkeyPatch.context() as patch:
        display = []
        patch.setattr("IPython.display.display", lambda *things: display.extend(things))
        assert formatter(hostile.measure(jk.Overview()))
    assert isinstance(display[0], jk.Chart)
    assert "<table" in display[1].data


def test_what_cannot_be_saved(chart, tmp_path, monkeypatch):
    with pytest.raises(
        ParameterError, match=r"^the ending of the file name cannot be '\.gif'\. Choose one of: "
    ):
        chart.save(tmp_path / "a.gif")
    with pytest.raises(
        ParameterError, match=r"^width, height and scale must be positive, not \(0, \d+, 2\.0\)\.$"
    ):
        chart.save(tmp_path / "a.png", width=0)
    with pytest.raises(BrowserError) as caught:
        chart.save(tmp_path / "a.png", browser="/nowhere/chrome")
    assert str(caught.value) == (
        "no program '/nowhere/chrome' to draw images with. Pass browser=<path of a Chromium or Chrome>, or leave it "
        "out to have one looked for."
    )
    monkeypatch.setattr(images, "BROWSERS", ())
    monkeypatch.setattr(images, "find_spec", lambda _: None)
    with pytest.raises(BrowserError) as caught:
        chart.save("a.svg")
    assert str(caught.value) == (
        "cannot save 'a.svg': images are drawn by a browser, and no Chromium or Chrome was found. Install one (on "
        "Debian: apt install chromium), or pass browser=<path of the program>, or install journeykit[images]. A name "
        "that ends in '.html' needs none of them."
    )
    assert not list(tmp_path.iterdir())


def test_a_browser_that_fails(chart, tmp_path):
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\necho it broke >&2\nexit 3\n")
    program.chmod(0o755)
    for ending in ("png", "pdf"):
        with pytest.raises(BrowserError) as caught:
            chart.save(tmp_path / f"a.{ending}", browser=program)
        assert str(caught.value) == (
            f"the browser {str(program)!r} drew no image: it broke. Try another with browser=."
        )
    assert [path.name for path in tmp_path.iterdir()] == ["browser"]


def test_kaleido_draws_where_there_is_no_browser(chart, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "BROWSERS", ())
    monkeypatch.setattr(images, "find_spec", lambda _: True)
    monkeypatch.setattr(type(chart), "to_image", lambda _, **options: json.dumps(options).encode())
    path = chart.save(tmp_path / "a.png", width=300, height=200, scale=1)
    assert json.loads(path.read_text()) == {"format": "png", "width": 300, "height": 200, "scale": 1.0}


@pytest.mark.slow
@pytest.mark.skipif(images.find_browser() is None, reason="needs Chromium or Chrome")
def test_images_are_drawn(chart, tmp_path):
    png = chart.save(tmp_path / "a.png", width=600, height=400, scale=2).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (1200, 800)
    svg = chart.save(tmp_path / "a.svg", width=600).read_text("utf-8")
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "&#60;script&#62;" in svg
    assert 'width="600"' in svg
    pdf = chart.save(tmp_path / "a.pdf", width=600).read_bytes()
    assert pdf[:5] == b"%PDF-"
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1


# Graphs as files.


@pytest.fixture(scope="module")
def graph(hostile):
    return hostile.measure(jk.Transitions())


def test_graphml_comes_back(graph, tmp_path):
    found = nx.read_graphml(graph.write(tmp_path / "a.graphml"))
    wanted = graph.to_networkx()
    names = {text.visible(name) for name in wanted}
    assert set(found) == names
    assert found.number_of_edges() == wanted.number_of_edges() == graph.frame.height
    for row in graph.frame.iter_rows(named=True):
        edge = found.edges[text.visible(row["source"]), text.visible(row["target"])]
        assert edge["transitions"] == row["transitions"]
        assert edge["probability"] == row["probability"]


def test_names_that_would_be_alike_stay_apart(tmp_path):
    rows = [{"user": "a", "time": i * MINUTE, "event": name} for i, name in enumerate(["a\nb", "a\\nb", "c"])]
    found = nx.read_graphml(journeys_of(rows).measure(jk.Transitions()).write(tmp_path / "a.graphml"))
    assert set(found) == {"<START>", "a\\nb", "a\\nb (2)", "c", "<END>"}


def test_json_comes_back(graph, tmp_path):
    raw = graph.write(tmp_path / "a.json").read_text("utf-8")
    assert "<" not in raw
    found = json.loads(raw)
    assert {each["id"] for each in found["nodes"]} == set(graph.to_networkx())
    edges = {(each["source"], each["target"]): each["transitions"] for each in found["edges"]}
    assert edges == {
        (one, other): n for one, other, n in graph.frame.select("source", "target", "transitions").rows()
    }


def test_csv_comes_back_with_formulas_made_texts(graph, tmp_path):
    found = pl.read_csv(graph.write(tmp_path / "a.csv"), infer_schema=False)
    assert found.height == graph.frame.height
    assert "'=SUM(A1)" in set(found["source"])
    assert "=SUM(A1)" not in set(found["source"])


def test_dot_and_mermaid_hold_every_state_and_edge_once(graph, tmp_path):
    wanted = graph.to_networkx()
    lines = graph.write(tmp_path / "a.dot").read_text("utf-8").splitlines()
    nodes = [line for line in lines if re.fullmatch(r'  n\d+ \[label="(?:[^"\\]|\\.)*"\];', line)]
    edges = [line for line in lines if re.fullmatch(r'  n\d+ -> n\d+ \[label="[\d,]+ \([\d.]+ %\)"\];', line)]
    assert (len(nodes), len(edges)) == (len(wanted), graph.frame.height)
    assert len(lines) == len(nodes) + len(edges) + 3
    lines = graph.write(tmp_path / "a.mmd").read_text("utf-8").splitlines()
    nodes = [line for line in lines if re.fullmatch(r'  n\d+\["[^"<>]*"\]', line)]
    edges = [line for line in lines if re.fullmatch(r'  n\d+ -->\|"[^"<>]*"\| n\d+', line)]
    assert (len(nodes), len(edges), len(lines)) == (
        len(wanted),
        graph.frame.height,
        len(nodes) + len(edges) + 1,
    )


def test_graphviz_reads_the_dot(graph, tmp_path):
    try:
        done = subprocess.run(
            ["dot", "-Tplain", graph.write(tmp_path / "a.dot")], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("needs the program dot of Graphviz")
    assert done.returncode == 0


def test_chains_are_written_too(hostile, tmp_path):
    chain = hostile.measure(jk.Chain(HOSTILE[0]))
    found = nx.read_graphml(chain.write(tmp_path / "a.graphml"))
    assert {"<START>", "<CONVERT>", "<ABANDON>"} <= set(found)
    assert chain.write(tmp_path / "a.parquet").suffix == ".parquet"


def test_graphs_of_segments_are_refused(hostile, tmp_path):
    with pytest.raises(ParameterError, match="to_networkx takes one segment, and this answer has 3"):
        hostile.measure(jk.Transitions(), by="device").write(tmp_path / "a.dot")
    assert not list(tmp_path.iterdir())
