"""``journeykit report``, ``map`` and ``compare``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import journeykit as jk
from journeykit.cli import app

ROLES = ("--user", "user", "--time", "time", "--event", "event")


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def shop() -> jk.datasets.SimulatedShop:
    return jk.datasets.simulate_shop(400, rng=1)


@pytest.fixture(scope="module")
def log(shop, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    shop.events.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def stages(shop, log) -> Path:
    path = log.with_name("stages.toml")
    jk.stages.five_stage(**shop.stages).save(path)
    return path


@pytest.fixture(scope="module")
def journeys(log, stages) -> jk.Journeys:
    events = jk.read_events(log, user="user", time="time", event="event", keep=["device", "channel"])
    return events.sessionize("30m").assign_stages(jk.StageModel.load(stages), missing="ignore")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def one_stage(folder: Path) -> Path:
    path = folder / "stages.toml"
    path.write_text('[[stages]]\nname = "sale"\nrules = ["buy"]\n')
    return path


class TestReport:
    def test_it_is_one_file(self, log, stages, tmp_path):
        out, notes = tmp_path / "journey.html", tmp_path / "notes.toml"
        command = (
            "report", log, *ROLES, "--stages", stages, "--goal", "purchase", "--start", "add_to_cart", "--by", "device",
            "--channel", "channel", "--personas", "0", "--title", "The shop <now>", "--edit", notes,
            "--missing", "ignore", "--out", out,
        )  # fmt: skip
        result = run(*command)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.rstrip().endswith(f"the report is in {out}")
        page = out.read_text("utf-8")
        assert "<h1><bdi>The shop &lt;now&gt;</bdi></h1>" in page
        assert 'aria-labelledby="recipe-title"' in page
        assert notes.read_text().count("[stages.") == 5
        notes.write_text('[stages.awareness]\ngoal = "Look around"\n\n[stages.gone]\nowner = "Ann"\n')
        result = run(*command)
        assert "a stage that the map does not have: 'gone'" in result.stdout
        assert "Look around" in out.read_text("utf-8")
        assert notes.read_text().startswith(
            '[stages.awareness]\ngoal = "Look around"\n\n[stages.gone]\nowner = "Ann"'
        )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["journey.html", "notes.toml"]

    @pytest.mark.parametrize("command", ["report", "map", "compare"])
    def test_a_goal_that_the_log_does_not_have(self, command, log, stages, tmp_path):
        out = {"report": "r.html", "map": "m.csv", "compare": "c"}[command]
        options = (*ROLES, "--stages", stages, "--goal", "purchased", "--out", tmp_path / out)
        further = {"report": ("--personas", "0"), "map": (), "compare": ("--by", "device")}[command]
        result = run(command, log, *options, *further)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: no event 'purchased' in this log. Did you mean 'purchase'? ")
        assert result.stderr.endswith("Pass --missing ignore to count such names as never seen.\n")
        assert run(command, log, *options, *further, "--missing", "ignore").exit_code == 0
        warned = run(command, log, *options, *further, "--missing", "warn")
        assert warned.exit_code == 0
        assert "warning: no event 'purchased' in this log." in warned.stderr
        assert (tmp_path / out).exists()

    def test_a_store_and_a_log_in_shards(self, log, stages, journeys, tmp_path):
        common = ("--goal", "purchase", "--personas", "0", "--by", "device", "--missing", "ignore")
        cut = (*ROLES, "--stages", stages)
        pages = {}
        for name, options in {
            "memory": (log, *cut, *common),
            "shards": (log, *cut, *common, "--engine", "out-of-core", "--memory", "200MB"),
            "store": (journeys.write(tmp_path / "shop"), *common),
        }.items():
            result = run("report", *options, "--out", tmp_path / f"{name}.html")
            assert (result.exit_code, result.stderr) == (0, "")
            assert result.stdout.rstrip().endswith(f"the report is in {tmp_path / name}.html")
            pages[name] = (tmp_path / f"{name}.html").read_text("utf-8")
            assert " users in " in result.stdout
        assert len({page.split('id="quality"')[0] for page in pages.values()}) == 1

    def test_a_store_says_itself_how_it_was_read(self, stages, journeys, tmp_path):
        store = journeys.write(tmp_path / "shop")
        for option in (("--user", "user"), ("--stages", stages), ("--engine", "out-of-core")):
            result = run("report", store, "--goal", "purchase", *option, "--out", tmp_path / "r.html")
            assert result.exit_code == 2
            assert "a store says itself how its log was read" in result.stderr
        wrong = run("report", store, "--goal", "purchase", "--engine", "spork", "--out", tmp_path / "r.html")
        assert wrong.exit_code == 2

    def test_labels_of_a_file(self, log, tmp_path):
        labels = tmp_path / "german.toml"
        labels.write_text('language = "de"\nsummary = "Kurz gesagt"\n')
        result = run(
            "report", log, *ROLES, "--goal", "purchase", "--personas", "0", "--labels", labels, "--quiet",
            "--out", tmp_path / "bericht.html",
        )  # fmt: skip
        assert (result.exit_code, result.output) == (0, "")
        assert "Kurz gesagt" in (tmp_path / "bericht.html").read_text("utf-8")

    def test_ratings(self, shop, log, stages, tmp_path):
        bought = shop.events.filter(pl.col("event") == "purchase")
        ratings = bought.select("user", "time", value=pl.lit(5), comment=pl.lit("Good <b>!"))
        ratings.write_parquet(tmp_path / "ratings.parquet")
        result = run(
            "report", log, *ROLES, "--stages", stages, "--goal", "purchase", "--personas", "0", "--missing", "ignore",
            "--ratings", tmp_path / "ratings.parquet", "--quotes", "1", "--out", tmp_path / "journey.html",
        )  # fmt: skip
        assert (result.exit_code, result.stderr) == (0, "")
        page = (tmp_path / "journey.html").read_text("utf-8")
        assert 'class="emotion"' in page
        assert "Good &lt;b&gt;!" in page

    @pytest.mark.parametrize("ending", [".csv", ".ndjson"])
    def test_ratings_of_text_files_have_ids_as_the_log_has_them(self, ending, tmp_path):
        log = pl.DataFrame(
            {"user": ["007", "7", "8"], "time": ["2026-01-05 10:00:00"] * 3, "event": ["buy"] * 3}
        )
        log.write_csv(tmp_path / "log.csv")
        ratings = log.select("user", "time", value=pl.lit(5), touchpoint=pl.lit("buy"), comment=pl.lit("12"))
        path = tmp_path / f"ratings{ending}"
        ratings.write_csv(path) if ending == ".csv" else ratings.write_ndjson(path)
        result = run(
            "map", tmp_path / "log.csv", *ROLES, "--stages", one_stage(tmp_path), "--goal", "buy", "--ratings", path,
            "--quotes", "3", "--suppress", "0", "--quiet", "--out", tmp_path / "map.json",
        )  # fmt: skip
        assert (result.exit_code, result.stderr) == (0, "")
        rows = json.loads((tmp_path / "map.json").read_text())
        assert [row["n"] for row in rows if row["row"] == "emotion"] == [3]
        assert {row["text"] for row in rows if row["row"] == "quote"} == {"12"}

    def test_ratings_that_are_none(self, log, stages, tmp_path):
        path = tmp_path / "ratings.csv"
        path.write_text("")
        options = ("--stages", stages, "--goal", "purchase", "--ratings", path, "--out", tmp_path / "map.csv")
        result = run("map", log, *ROLES, *options)
        assert (result.exit_code, result.stderr) == (
            1,
            f"error: the file {str(path)!r} is empty: there is no event to read. Check the path and what wrote it.\n",
        )
        path.write_text("user,time,value\na,2026-01-05 10:00:00,5\nb,2026-01-05 10:00:00,5,6,7\n")
        result = run("map", log, *ROLES, *options)
        assert result.exit_code == 1
        assert result.stderr.startswith(
            f"error: {str(path)!r} cannot be read as csv: line 3 has 5 fields, the header has 3."
        )

    @pytest.mark.parametrize(
        ("options", "message", "code"),
        [
            (["--out", "j.html"], "name the event that is a success.", 2),
            (["--goal", "purchase", "--out", "j.pdf"], "a report is written as '.html', not '.pdf'.", 2),
            (
                ["--goal", "purchase", "--by", "device,channel", "--out", "j.html"],
                "the segments of one column.",
                2,
            ),
            (["--goal", "purchase", "--offline", "shop", "--out", "j.html"], "needs --channel.", 2),
            (["--goal", "purchase", "--labels", "fr", "--out", "j.html"], "labels cannot be 'fr'.", 2),
            (["--goal", "purchase", "--labels", "no.toml", "--out", "j.html"], "no file 'no.toml'.", 1),
            (["--goal", "purchase", "--ratings", "no.csv", "--out", "j.html"], "no file 'no.csv'.", 1),
            (["--goal", "purchasse", "--out", "j.html"], "no event 'purchasse' in this log.", 1),
            (
                ["--goal", "purchase", "--suppress", "500", "--out", "j.html"],
                "these journeys are of 400 users",
                2,
            ),
            (["--goal", "purchase", "--stages", "no.toml", "--out", "j.html"], "there is no such file.", 1),
        ],
    )
    def test_what_cannot_be(self, options, message, code, log, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = run("report", log, *ROLES, *options)
        assert result.exit_code == code
        assert message in result.stderr
        assert list(tmp_path.iterdir()) == []


class TestMap:
    @pytest.mark.parametrize("ending", [".csv", ".json", ".md", ".xlsx"])
    def test_every_ending(self, ending, log, stages, tmp_path, journeys):
        out = tmp_path / f"map{ending}"
        result = run(
            "map", log, *ROLES, "--stages", stages, "--goal", "purchase", "--missing", "ignore", "--out", out
        )
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.rstrip().endswith(f"the map is in {out}")
        if ending == ".json":
            rows = json.loads(out.read_text())
            assert len(rows) == journeys.measure(jk.JourneyMap("purchase")).frame.height
        else:
            assert out.stat().st_size > 1_000

    @pytest.mark.parametrize("ending", [".csv", ".json", ".md", ".xlsx", ".parquet"])
    def test_small_cells_are_withheld_as_in_the_report(self, ending, tmp_path):
        """Two of twelve users buy, after 4,321 seconds."""
        rows = [{"user": f"u{n:02}", "time": n * 100_000, "event": "look"} for n in range(12)]
        rows += [{"user": f"u{n:02}", "time": n * 100_000 + 4_321, "event": "buy"} for n in range(2)]
        pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
        (tmp_path / "stages.toml").write_text(
            '[[stages]]\nname = "find"\nrules = ["look"]\n[[stages]]\nname = "own"\nrules = ["buy"]\n'
        )

        def written(*options):
            out = tmp_path / f"map{ending}"
            result = run(
                "map", tmp_path / "log.csv", *ROLES, "--unit", "s", "--stages", tmp_path / "stages.toml",
                "--goal", "buy", "--session", "2h", "--quiet", "--out", out, *options,
            )  # fmt: skip
            assert (result.exit_code, result.stderr) == (0, "")
            if ending == ".xlsx":
                with zipfile.ZipFile(out) as book:
                    sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/")]
                    assert len(sheets) == 2  # the map, and the notes
                    return " ".join(book.read(name).decode() for name in [*sheets, "xl/sharedStrings.xml"])
            if ending == ".parquet":
                return str(pl.read_parquet(out).rows())
            return out.read_text("utf-8")

        # Of the reached, 2 of 12; of those who looked, 2 bought; the median of the time in the last stage is unknown.
        share = "16.7 %" if ending == ".md" else "0.1666"
        assert share in written("--suppress", "0")
        assert share not in written()
        assert (
            "&lt;5" in written()
            if ending == ".md"
            else "numbers are withheld" in written() or ending != ".xlsx"
        )
        assert share in written("--suppress", "2")

    def test_a_log_of_few_users_is_refused(self, tmp_path):
        (tmp_path / "log.csv").write_text("user,time,event\na,2026-01-05 10:00:00,buy\n")
        options = ("--stages", one_stage(tmp_path), "--goal", "buy", "--out", tmp_path / "map.csv")
        result = run("map", tmp_path / "log.csv", *ROLES, *options)
        assert result.exit_code == 2
        assert result.stderr == (
            "error: these journeys are of 1 users, and suppress=5 withholds numbers of fewer than 5: nothing is left "
            "to report. Take more users, or pass --suppress 0 if nobody else will see it.\n"
        )
        result = run("map", tmp_path / "log.csv", *ROLES, *options, "--suppress", "1")
        assert result.exit_code == 2
        assert result.stderr.startswith(
            "error: suppress must be 0 (nothing is withheld) or a number of users above 1"
        )
        assert not (tmp_path / "map.csv").exists()

    def test_the_map_of_a_store(self, log, stages, journeys, tmp_path):
        store, same = journeys.write(tmp_path / "shop"), ("--goal", "purchase", "--missing", "ignore")
        for name, options in {"log": (log, *ROLES, "--stages", stages), "store": (store,)}.items():
            result = run("map", *options, *same, "--out", tmp_path / f"{name}.csv")
            assert (result.exit_code, result.stderr) == (0, "")
            assert " users in " in result.stdout
        assert (tmp_path / "store.csv").read_text() == (tmp_path / "log.csv").read_text()

    def test_a_store_without_stages_has_no_map(self, log, journeys, tmp_path):
        events = jk.read_events(log, user="user", time="time", event="event").sessionize("30m")
        result = run("map", events.write(tmp_path / "s"), "--goal", "purchase", "--out", tmp_path / "map.csv")
        assert result.exit_code == 2
        assert "the journeys of this store have none" in result.stderr
        staged = journeys.write(tmp_path / "t")
        told = run("map", staged, "--goal", "purchase", "--session", "1h", "--out", tmp_path / "map.csv")
        assert told.exit_code == 2
        assert "a store says itself how its log was read" in told.stderr

    def test_it_needs_stages(self, log, tmp_path):
        result = run("map", log, *ROLES, "--goal", "purchase", "--out", tmp_path / "map.csv")
        assert result.exit_code == 2
        assert "a map has stages as its columns" in result.stderr


class TestCompare:
    def test_answers_are_those_of_the_library(self, log, tmp_path, journeys):
        result = run(
            "compare", log, *ROLES, "--goal", "purchase", "--by", "device", "--a", "mobile", "--b", "desktop",
            "--out", tmp_path, "--table-format", "parquet",
        )  # fmt: skip
        assert (result.exit_code, result.stderr) == (0, "")
        found = pl.read_parquet(tmp_path / "comparison.parquet")
        expected = jk.compare(journeys, jk.Conversion("purchase"), by="device", a="mobile", b="desktop")
        assert_frame_equal(found, expected.frame)
        assert "difference" in result.stdout

    def test_segments_of_a_store(self, tmp_path, journeys):
        store = journeys.write(tmp_path / "shop")
        asked = ("--goal", "purchase", "--by", "device", "--a", "mobile", "--b", "desktop")
        result = run("compare", store, *asked, "--out", tmp_path / "out", "--table-format", "parquet")
        assert (result.exit_code, result.stderr) == (0, "")
        expected = jk.compare(journeys, jk.Conversion("purchase"), by="device", a="mobile", b="desktop")
        assert_frame_equal(pl.read_parquet(tmp_path / "out" / "comparison.parquet"), expected.frame)
        told = run("compare", store, *ROLES, *asked, "--out", tmp_path / "out")
        assert told.exit_code == 2
        assert "a store says itself how its log was read" in told.stderr

    @pytest.mark.parametrize(
        ("values", "a", "b"),
        [((1, 2), "1", "2"), ((True, False), "True", "False"), ((1.5, None), "1.5", None)],
    )
    def test_segments_that_are_no_texts(self, values, a, b, log, tmp_path):
        numbered = tmp_path / "log.parquet"
        first = pl.col("device") == "mobile"
        pl.read_parquet(log).with_columns(
            pl.when(first).then(pl.lit(values[0])).otherwise(pl.lit(values[1])).alias("number")
        ).write_parquet(numbered)
        asked = ["compare", numbered, *ROLES, "--goal", "purchase", "--by", "number", "--a", a]
        assert run(*asked, *([] if b is None else ["--b", b]), "--out", tmp_path).exit_code == 0
        found = pl.read_parquet(tmp_path / "comparison.parquet")
        assert found.select("segment_a", "segment_b").unique().rows() == [(a, b)]

    def test_periods(self, log, tmp_path):
        result = run(
            "compare", log, *ROLES, "--goal", "purchase", "--every", "1mo", "--statistic", "overview",
            "--out", tmp_path, "--quiet",
        )  # fmt: skip
        assert (result.exit_code, result.output) == (0, "")
        assert "period_a" in pl.read_csv(tmp_path / "comparison.csv").columns

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--goal", "purchase"], "name one column whose values are compared, or --every for periods."),
            (
                ["--goal", "purchase", "--by", "device", "--every", "1w"],
                "name one column whose values are compared",
            ),
            (["--by", "device"], "conversion needs --goal."),
            (
                ["--goal", "purchase", "--by", "device", "--statistic", "conversation"],
                "no statistic 'conversation'.",
            ),
            (["--goal", "purchase", "--every", "2w"], "--every cannot be '2w'."),
        ],
    )
    def test_what_cannot_be(self, options, message, log, tmp_path):
        result = run("compare", log, *ROLES, *options, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert message in result.stderr
        assert not (tmp_path / "out").exists()
