"""The command line: what it writes and prints, and how it leaves."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import journeykit as jk
from journeykit.cli import app, job, main, output, progress, tables
from journeykit.cli.options import FAILING
from journeykit.datasets import shop
from journeykit.errors import JourneykitError
from journeykit.events.checks import RULES
from journeykit.protocol import GROUP
from journeykit.support.files import write_frame

ROLES = ("--user", "user_id", "--time", "timestamp", "--event", "event")
HOSTILE = [
    "=1+1",
    'say "yes", or no',
    "two\nlines",
    "\x1b[31mred\x1b[0m",
    "[bold]x[/bold]",
    "naïve 🛒",
    ":smile:",
]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """300 users' worth of the shop, as Parquet: compiled kernels make the rest of the time."""
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pl.read_csv(shop()).head(8_000).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def journeys(log) -> jk.Journeys:
    events = jk.read_events(log, user="user_id", time="timestamp", event="event", keep=["platform"])
    return events.sessionize("30m")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def process(*arguments: object, **options):
    command = [sys.executable, "-m", "journeykit.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def refused(result, message: str, code: int = 1) -> None:
    """One line on stderr, exit code 1, or 2 for a wrong option, no traceback."""
    assert result.stderr == f"error: {message}\n"
    assert result.exit_code == code


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestCheck:
    def test_a_pipeline_stops_at_what_is_odd(self, log, tmp_path):
        found = run("check", log, *ROLES, "--findings", tmp_path / "f.csv", "--chart", tmp_path / "c.html")
        assert "What is odd in the log" in (tmp_path / "c.html").read_text()
        assert found.exit_code == 3
        assert found.stdout.startswith("Check of 8,000 events of ")
        assert pl.read_csv(tmp_path / "f.csv").height == int(
            found.stdout.split(": ")[1].split()[0].replace(",", "")
        )
        assert run("check", log, *ROLES, "--fail-on", "bot,clock_broken").exit_code == 0
        assert run("check", log, *ROLES, "--fail-on", "none").exit_code == 0
        quiet = run("check", log, *ROLES, "--quiet", "--fail-on", "gap")
        assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (3, "", "")

    def test_expectations_are_learned_and_used(self, log, tmp_path):
        path = tmp_path / "expected.toml"
        assert run("check", log, *ROLES, "--keep", "platform", "--learn", path).exit_code == 0
        assert len(jk.Expectations.load(path).events) > 3
        rules = "unexpected_event,expected_volume,null_share,missing_column"
        again = run("check", log, *ROLES, "--keep", "platform", "--expect", path, "--fail-on", rules)
        assert again.exit_code == 0
        without = run("check", log, *ROLES, "--expect", path, "--fail-on", rules)
        assert without.exit_code == 3
        assert "missing_column" in without.stdout

    def test_wrong_options(self, log, tmp_path):
        wrong = run("check", log, *ROLES, "--fail-on", "gaps")
        assert wrong.exit_code == 2
        assert wrong.stderr.startswith(
            "error: --fail-on cannot be 'gaps'. Choose one of: 'any', 'none', 'gap', "
        )
        absent = run("check", log, *ROLES, "--expect", tmp_path / "no.toml")
        assert absent.exit_code == 1
        assert "it cannot be read: No such file or directory" in absent.stderr

    @pytest.mark.parametrize("option", ["--learn", "--findings"])
    def test_a_file_that_cannot_be_written_is_named(self, option, log, tmp_path):
        (tmp_path / "file").write_text("mine")
        path = tmp_path / "file" / "found.csv"
        refused(
            run("check", log, *ROLES, option, path, "--fail-on", "none", "--quiet"),
            f"{str(path)!r} cannot be written: File exists. Check the folder's permissions and the room on its "
            f"disk, or name another place with {option}.",
        )
        assert files(tmp_path) == ["file"]

    def test_the_rules_of_the_help_are_those_of_the_library(self):
        assert FAILING == RULES


class TestHelp:
    @pytest.mark.parametrize("command", [[], ["measure"], ["append"], ["quality"], ["check"], ["demo"]])
    def test_every_command_explains_itself(self, command):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "--help" in result.output

    def test_no_command_shows_the_help(self):
        assert "measure" in run().output

    def test_version(self):
        result = run("--version")
        assert (result.exit_code, result.output) == (0, f"journeykit {jk.__version__}\n")

    def test_every_option_of_measure_is_explained(self):
        shown = run("measure", "--help").output
        for option in (
            "user", "time", "event", "session-column", "order", "value", "keep", "tz", "unit", "time-format",
            "format", "on-invalid", "duplicates", "stages", "session", "by", "every", "goal", "start", "horizon",
            "top", "statistics", "missing", "out", "table-format", "debug", "quiet",
        ):  # fmt: skip
            assert f"--{option}" in shown

    def test_presets_of_the_library_are_those_of_the_command_line(self):
        from journeykit.cli.options import PRESETS

        assert all(isinstance(getattr(jk.sessions, name)(), jk.SessionRule) for name in PRESETS)

    def test_help_imports_nothing_heavy(self):
        code = (
            "import sys; sys.argv = ['journeykit', 'measure', '--help']\n"
            "from journeykit.cli import main\n"
            "try:\n    main()\nexcept SystemExit as left:\n    assert left.code == 0\n"
            "print({'polars', 'numpy', 'numba', 'pyarrow', 'duckdb'} & set(sys.modules))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == "set()"

    @pytest.mark.speed
    def test_help_takes_half_a_second_of_processor_time(self):
        def seconds() -> float:
            before = os.times()
            assert process("--help").returncode == 0
            after = os.times()
            return after.children_user + after.children_system - before.children_user - before.children_system

        assert min(seconds() for _ in range(3)) < 0.5

    def test_completion_knows_the_presets(self):
        words = {"_JOURNEYKIT_COMPLETE": "complete_bash", "COMP_WORDS": "journeykit measure --session ma"}
        code = "from journeykit.cli import main; main()"
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False,
            env={**os.environ, **words, "COMP_CWORD": "3"},
        )  # fmt: skip
        assert result.stdout.split() == ["matomo"]


class TestMeasure:
    def test_frames_are_those_of_the_library(self, log, journeys, tmp_path):
        result = run(
            "measure", log, *ROLES, "--goal", "purchase", "--start", "cart", "--out", tmp_path / "out"
        )
        assert (result.exit_code, result.stderr) == (0, "")
        asked = {
            "overview": jk.Overview(("purchase",)),
            "transitions": jk.Transitions(),
            "top_paths": jk.TopPaths(20, goal="purchase"),
            "conversion": jk.Conversion("purchase"),
            "abandonment": jk.Abandonment("purchase", "cart", unit="session"),
        }
        for name, statistic in asked.items():
            answer = journeys.measure(statistic)
            assert_frame_equal(pl.read_parquet(tmp_path / "out" / f"{name}.parquet"), answer.frame)
        graph = journeys.measure(jk.Transitions())
        assert_frame_equal(pl.read_parquet(tmp_path / "out/transitions_states.parquet"), graph.states)
        paths = journeys.measure(jk.TopPaths(20))
        assert_frame_equal(pl.read_parquet(tmp_path / "out/top_paths_distinct.parquet"), paths.distinct)
        given_up = journeys.measure(asked["abandonment"])
        assert_frame_equal(pl.read_parquet(tmp_path / "out/abandonment_where.parquet"), given_up.where)
        assert_frame_equal(pl.read_parquet(tmp_path / "out/abandonment_curve.parquet"), given_up.curve)

    def test_out_of_core_writes_the_same(self, log, tmp_path):
        options = ("measure", log, *ROLES, "--goal", "purchase", "--by", "platform", "--every", "1w", "--out")
        here, there, work = (tmp_path / name for name in ("here", "there", "work"))
        first = run(*options, here)
        assert first.exit_code == 0, first.stderr
        more = ("--engine", "out-of-core", "--memory", "1GB", "--directory", work)
        second = run(*options, there, *more)
        assert second.exit_code == 0, second.stderr
        assert second.stdout == first.stdout.replace(str(here), str(there))
        for file in here.glob("*.parquet"):
            assert_frame_equal(pl.read_parquet(there / file.name), pl.read_parquet(file))
        assert not [*work.iterdir()]
        refused(
            run(*options, there, "--engine", "out-of-core", "--memory", "4"),
            "memory cannot be '4'. Give a size with its unit, such as '4GB'.",
            code=2,
        )

    def test_csv_holds_what_parquet_holds(self, log, tmp_path):
        run("measure", log, *ROLES, "--statistics", "transitions,top_paths", "--out", tmp_path)
        for name in ("transitions", "transitions_states"):
            whole = pl.read_parquet(tmp_path / f"{name}.parquet")
            assert_frame_equal(pl.read_csv(tmp_path / f"{name}.csv", schema=whole.schema), whole)
        paths = pl.read_parquet(tmp_path / "top_paths.parquet")
        assert (
            pl.read_csv(tmp_path / "top_paths.csv")["path"].to_list()
            == paths["path"].list.join(" > ").to_list()
        )

    def test_parts_by_jackknife_group_are_not_written(self, log, tmp_path):
        run("measure", log, *ROLES, "--goal", "purchase", "--out", tmp_path, "--table-format", "parquet")
        for path in tmp_path.iterdir():
            assert GROUP not in pl.read_parquet_schema(path)

    @pytest.mark.parametrize(("choice", "endings"), [("csv", {".csv"}), ("parquet", {".parquet"})])
    def test_one_format(self, log, tmp_path, choice, endings):
        run("measure", log, *ROLES, "--statistics", "overview", "--out", tmp_path, "--table-format", choice)
        assert {path.suffix for path in tmp_path.iterdir()} == endings

    def test_segments_and_periods(self, log, journeys, tmp_path):
        result = run(
            "measure", log, *ROLES, "--by", "platform", "--every", "1mo", "--statistics", "transitions,overview",
            "--out", tmp_path,
        )  # fmt: skip
        assert result.exit_code == 0
        expected = journeys.measure(jk.Transitions(), by="platform", every="1mo").frame
        assert_frame_equal(pl.read_parquet(tmp_path / "transitions.parquet"), expected)
        assert "desktop" in result.stdout
        assert "2024-02-01" in result.stdout

    def test_segments_named_like_a_column_of_the_answer(self, log, tmp_path):
        states = tmp_path / "states.parquet"
        pl.read_parquet(log).rename({"platform": "state"}).write_parquet(states)
        asked = ("measure", states, *ROLES, "--statistics", "transitions,overview", "--out", tmp_path)
        refused(
            run(*asked, "--by", "state"),
            "this answer has a column 'state' itself, so that its segments need another name. "
            "Pass --by state=<another name>.",
            2,
        )
        assert run(*asked, "--by", "state=Land=state").exit_code == 1
        assert run(*asked, "--by", "state=the state").exit_code == 0
        assert pl.read_parquet(tmp_path / "transitions.parquet").columns[:2] == ["the state", "source"]

    def test_hours_are_periods_too(self, log, journeys, tmp_path):
        run("measure", log, *ROLES, "--every", "1h", "--statistics", "overview", "--out", tmp_path)
        expected = journeys.measure(jk.Overview(), every="1h").frame
        assert_frame_equal(pl.read_parquet(tmp_path / "overview.parquet"), expected)

    def test_days_are_those_of_the_zone(self, log, tmp_path):
        run("measure", log, *ROLES, "--every", "1w", "--tz", "Europe/Berlin", "--statistics", "overview",
            "--out", tmp_path)  # fmt: skip
        assert pl.read_parquet_schema(tmp_path / "overview.parquet")["period"] == pl.Datetime(
            "us", "Europe/Berlin"
        )

    def test_several_files_and_patterns_are_one_log(self, log, tmp_path):
        whole = pl.read_parquet(log)
        for number, part in enumerate([whole.head(3_000), whole.slice(3_000, 2_000), whole.slice(5_000)]):
            part.write_csv(tmp_path / f"part{number}.csv")
        run("measure", log, *ROLES, "--statistics", "transitions", "--out", tmp_path / "one")
        for name, given in {
            "pattern": ["part*.csv"],
            "each": ["part0.csv", "part1.csv", "part2.csv"],
        }.items():
            logs = [tmp_path / each for each in given]
            assert (
                run(
                    "measure", *logs, *ROLES, "--statistics", "transitions", "--out", tmp_path / name
                ).exit_code
                == 0
            )
            assert_frame_equal(
                pl.read_parquet(tmp_path / name / "transitions.parquet"),
                pl.read_parquet(tmp_path / "one/transitions.parquet"),
            )

    def test_stages(self, log, journeys, tmp_path):
        model = jk.StageModel([jk.Stage("look", ["catalog", "search"]), jk.Stage("own", "purchase")])
        model.save(tmp_path / "stages.toml")
        result = run("measure", log, *ROLES, "--stages", tmp_path / "stages.toml", "--out", tmp_path / "out")
        assert (result.exit_code, result.stderr) == (0, "")
        flow = journeys.assign_stages(model).measure(jk.StageFlow())
        assert_frame_equal(pl.read_parquet(tmp_path / "out/stage_flow.parquet"), flow.frame)
        assert_frame_equal(pl.read_parquet(tmp_path / "out/stage_flow_moves.parquet"), flow.moves)

    def test_a_stage_without_rules_is_a_warning(self, log, tmp_path):
        jk.stages.aida(attention="catalog", desire="cart", action="purchase").save(tmp_path / "stages.toml")
        result = run(
            "measure", log, *ROLES, "--stages", tmp_path / "stages.toml", "--quiet", "--out", tmp_path / "out"
        )
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "warning: stage 'interest' has no rules, so no event leads into it\n"

    def test_a_horizon_asks_of_users(self, log, journeys, tmp_path):
        run("measure", log, *ROLES, "--goal", "purchase", "--horizon", "7d", "--out", tmp_path)
        for name, statistic in {
            "conversion": jk.Conversion("purchase", unit="user", horizon="7d"),
            "abandonment": jk.Abandonment("purchase", unit="user", horizon="7d"),
        }.items():
            expected = journeys.measure(statistic).frame
            assert_frame_equal(pl.read_parquet(tmp_path / f"{name}.parquet"), expected)

    def test_every_option_of_reading_arrives(self, tmp_path, monkeypatch):
        seen = []

        def read(*given, **options):
            seen.append((given, options))
            raise JourneykitError("enough")

        monkeypatch.setattr(job, "read_events", read)
        result = run(
            "measure", "a.csv", "b.csv", "--user", "u", "--time", "t", "--event", "e", "--session-column", "s",
            "--order", "o", "--value", "v", "--keep", "k,l", "--keep", "m", "--by", "l,value,n", "--tz", "Asia/Tokyo",
            "--unit", "ms", "--time-format", "%Y", "--format", "csv", "--on-invalid", "drop", "--duplicates", "drop",
            "--out", tmp_path,
        )  # fmt: skip
        assert result.stderr == "error: enough\n"
        expected = {
            "user": "u", "time": "t", "event": "e", "session": "s", "order": "o", "value": "v",
            "keep": ("k", "l", "m", "n"), "tz": "Asia/Tokyo", "unit": "ms", "time_format": "%Y", "format": "csv",
            "on_invalid": "drop", "duplicates": "drop",
        }  # fmt: skip
        assert seen == [((["a.csv", "b.csv"],), expected)]

    def test_as_many_paths_as_asked_for(self, log, tmp_path):
        run("measure", log, *ROLES, "--statistics", "top_paths", "--top", 3, "--out", tmp_path)
        assert pl.read_parquet(tmp_path / "top_paths.parquet").height == 3

    def test_several_goals_are_any_of_them(self, log, journeys, tmp_path):
        goals = ("--goal", "purchase", "--goal", "wishlist_add")
        run("measure", log, *ROLES, *goals, "--statistics", "conversion", "--out", tmp_path)
        expected = journeys.measure(jk.Conversion(["purchase", "wishlist_add"])).frame
        assert_frame_equal(pl.read_parquet(tmp_path / "conversion.parquet"), expected)

    def test_notes_are_kept(self, log, tmp_path):
        run("measure", log, *ROLES, "--goal", "purchase", "--statistics", "conversion", "--out", tmp_path)
        notes = pl.read_csv(tmp_path / "notes.csv")
        assert notes.columns == ["statistic", "note"]
        assert "No window: a goal at any later time of the unit counts." in notes["note"].to_list()

    def test_goals_that_are_missing_can_be_ignored(self, log, tmp_path):
        asked = ("--goal", "purchas", "--out", tmp_path)
        assert run("measure", log, *ROLES, *asked).exit_code == 1
        assert run("measure", log, *ROLES, *asked, "--missing", "ignore").exit_code == 0

    def test_names_that_are_missing_can_be_warned_of_once(self, log, tmp_path):
        model = jk.StageModel([jk.Stage("look", ["catalog", "serch"]), jk.Stage("own", "purchase")])
        model.save(tmp_path / "stages.toml")
        asked = ("--goal", "purchas", "--stages", tmp_path / "stages.toml", "--missing", "warn", "--quiet")
        result = run("measure", log, *ROLES, *asked, "--out", tmp_path / "out")
        assert result.exit_code == 0
        first, second = result.stderr.splitlines()
        assert first.startswith(
            "warning: stage 'look' names the event 'serch', which is not in this log. Did you mean 'search'?"
        )
        assert second.startswith("warning: no event 'purchas' in this log. Did you mean 'purchase'?")

    def test_quiet_prints_nothing(self, log, tmp_path):
        result = run("measure", log, *ROLES, "--statistics", "overview", "--quiet", "--out", tmp_path)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")

    def test_tables_of_an_earlier_run_are_named(self, log, tmp_path):
        run("measure", log, *ROLES, "--statistics", "overview", "--out", tmp_path, "--table-format", "csv")
        result = run("measure", log, *ROLES, "--statistics", "transitions", "--out", tmp_path)
        assert "6 files in" in result.stdout
        assert "Not of this run: overview.csv" in result.stdout

    def test_an_access_log_needs_no_roles(self, tmp_path):
        result = run("measure", jk.datasets.access_log(), "--on-invalid", "drop", "--statistics", "overview",
                     "--out", tmp_path)  # fmt: skip
        assert result.exit_code == 0
        assert "1,753" in result.stdout


class TestSessions:
    @pytest.mark.parametrize(
        ("options", "rule"),
        [
            ([], jk.SessionRule("30m")),
            (["--session", "1h"], jk.SessionRule("1h")),
            (["--session", "none"], jk.SessionRule(None)),
            (["--session-column", "session_id"], jk.SessionRule.from_column()),
            (["--session-column", "session_id", "--session", "45m"], jk.SessionRule("45m")),
            (["--session", "adobe"], jk.sessions.adobe()),
            (["--session", "mixpanel"], jk.sessions.mixpanel()),
            (["--session", "matomo"], jk.sessions.matomo(None)),
        ],
    )
    def test_rules(self, log, tmp_path, options, rule):
        result = run("measure", log, *ROLES, *options, "--statistics", "overview", "--out", tmp_path)
        assert result.exit_code == 0
        assert f"({rule!r})" in result.stdout

    def test_matomo_takes_a_kept_campaign(self):
        from journeykit.cli.options import Asking, Reading

        rule = job.session_rule(Reading(["x"], keep=["a,campaign"]), Asking(session="matomo"))
        assert rule == jk.sessions.matomo()

    def test_an_unknown_rule(self, log, tmp_path):
        refused(
            run("measure", log, *ROLES, "--session", "ga5", "--out", tmp_path),
            "--session cannot be 'ga5'. Did you mean 'ga4'? Available: 'ga4', 'adobe', 'matomo', 'posthog', "
            "'mixpanel', 'posthog_2021', 'amplitude_web', 'amplitude_mobile' and 3 more. Or give a duration with "
            "its unit, such as '30m'.",
            code=2,
        )

    def test_a_bare_number(self, log, tmp_path):
        refused(
            run("measure", log, *ROLES, "--session", "30", "--out", tmp_path),
            "--session cannot be '30'. Give a duration with its unit, such as '30m', '36h' or '7d' "
            "(us, ms, s, m, h, d, w).",
            code=2,
        )


class TestErrors:
    def test_a_wrong_column(self, log, tmp_path):
        refused(
            run("measure", log, "--user", "usr_id", *ROLES[2:], "--out", tmp_path / "out"),
            "no column 'usr_id' for the role 'user'. Did you mean 'user_id'? Available: 'user_id', 'session_id', "
            "'user_lifecycle', 'user_cohort', 'acquisition_channel', 'platform', 'timestamp', 'event'. "
            "Pass --user <column name>.",
        )
        assert not (tmp_path / "out").exists()

    def test_a_missing_file(self, log, tmp_path):
        missing = log.with_name("lag.parquet")
        log.with_name(".journeykit-1").mkdir(exist_ok=True)
        refused(
            run("measure", missing, *ROLES, "--out", tmp_path),
            f"no file {str(missing)!r}. Did you mean 'log.parquet'? Available: 'log.parquet'. Check the path, or "
            f"give a pattern such as '*.parquet'.",
        )

    def test_roles_that_are_not_named(self, log, tmp_path):
        refused(
            run("measure", log, "--user", "user_id", "--out", tmp_path),
            "read_events needs to know which columns play the roles ['time', 'event']. "
            "Pass --time <column name>, --event <column name>.",
            code=2,
        )

    def test_a_wrong_goal(self, log, tmp_path):
        result = run("measure", log, *ROLES, "--goal", "purchas", "--out", tmp_path)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: no event 'purchas' in this log. Did you mean 'purchase'?")
        assert result.stderr.endswith("Pass --missing ignore to count such names as never seen.\n")

    def test_several_lines_are_joined(self, tmp_path):
        pl.DataFrame(
            {"user_id": ["a", None], "timestamp": ["2024-01-01"] * 2, "event": ["x", "user='y'"]}
        ).write_csv(tmp_path / "log.csv")
        result = run("measure", tmp_path / "log.csv", *ROLES, "--out", tmp_path / "out")
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.endswith("Correct them, or pass --on-invalid drop to leave them out.\n")
        assert "--user" not in result.stderr

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            (
                "--every",
                "2w",
                "--every cannot be '2w'. Choose one of: '1h', '1d', '1w', '1w-sunday', '1mo', '1q', '1y'.",
            ),
            (
                "--table-format",
                "xlsx",
                "table_format cannot be 'xlsx'. Choose one of: 'parquet', 'csv', 'both'.",
            ),
            ("--missing", "warm", "missing cannot be 'warm'. Choose one of: 'raise', 'ignore', 'warn'."),
            ("--on-invalid", "ignore", "on_invalid cannot be 'ignore'. Choose one of: 'raise', 'drop'."),
            ("--by", "device", "no column 'device' for the role 'keep'."),
            ("--stages", "nowhere.toml", "nowhere.toml"),
        ],
    )
    def test_values_that_cannot_be(self, log, tmp_path, option, value, message):
        result = run("measure", log, *ROLES, option, value, "--out", tmp_path / "out")
        assert result.exit_code == (1 if option in ("--by", "--stages") else 2)
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--statistics", "conversion"], "conversion needs --goal."),
            (["--statistics", "stage_flow"], "stage_flow needs --stages."),
            (["--statistics", "transition"], "no statistic 'transition'. Did you mean 'transitions'?"),
            (["--session", "column"], "name them with --session-column."),
            (["--start", "cart"], "needs --goal"),
            (["--horizon", "7d"], "needs --goal or --stages."),
            (["--top", "0"], "greater than or equal to 1"),
            (["--nonsense"], "No such option"),
        ],
    )
    def test_wrong_usage(self, log, tmp_path, options, message):
        result = run("measure", log, *ROLES, *options, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.startswith("error: ")
        assert result.stderr.endswith(" See journeykit measure --help.\n")
        assert len(result.stderr.splitlines()) == 1

    def test_no_log_and_no_folder(self, log):
        refused(run("measure"), "Missing argument 'LOG'. See journeykit measure --help.", code=2)
        refused(run("measure", log, *ROLES), "Missing option '--out'. See journeykit measure --help.", code=2)
        refused(
            run("messure"),
            "No such command 'messure'. Did you mean 'measure'? See journeykit --help.",
            code=2,
        )
        refused(run("--nonsense"), "No such option: --nonsense. See journeykit --help.", code=2)

    def test_no_text_is_the_name_of_a_file_or_folder(self, log, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for command, option, further in (
            ("measure", "--out", ()), ("measure", "--stages", ("--out", "o")), ("report", "--out", ("--goal", "x")),
            ("check", "--learn", ()), ("measure", "--directory", ("--engine", "out-of-core", "--out", "o")),
        ):  # fmt: skip
            refused(
                run(command, log, *ROLES, option, "", *further),
                f"Invalid value for '{option}': it is empty. Name a file or a folder; '.' is the folder you are in. "
                f"See journeykit {command} --help.",
                code=2,
            )
        text = "the path is empty. Give that of a file or folder; '.' is the folder you are in."
        refused(run("measure", "", *ROLES, "--out", "o"), text)
        refused(run("measure", log, "", *ROLES, "--out", "o"), text)
        assert files(tmp_path) == []

    def test_a_column_to_keep_may_have_been_named_by_another_option(self, log, tmp_path):
        result = run("measure", log, *ROLES, "--by", "platfrom", "--out", tmp_path)
        assert result.exit_code == 1
        assert result.stderr.startswith(
            "error: no column 'platfrom' for the role 'keep'. Did you mean 'platform'? "
        )
        assert result.stderr.endswith("'. Name columns that the log has.\n")

    def test_debug_shows_the_traceback_and_the_line(self, log, tmp_path):
        result = run("measure", log, "--user", "usr", *ROLES[2:], "--debug", "--out", tmp_path)
        assert result.exit_code == 1
        assert "Traceback (most recent call last)" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: no column 'usr' for the role 'user'.")

    def test_a_fault_of_ours_is_one_line_too(self, log, tmp_path, monkeypatch):
        monkeypatch.setattr(job, "read_events", lambda *given, **options: 1 // 0)
        refused(
            run("measure", log, *ROLES, "--out", tmp_path),
            "this is a fault of journeykit, not of your log: ZeroDivisionError: integer division or modulo by zero "
            "Run it again with --debug and report what it shows.",
        )

    def test_too_little_memory(self, log, tmp_path, monkeypatch):
        def fail(*given, **options):
            raise MemoryError

        monkeypatch.setattr(job, "read_events", fail)
        refused(
            run("measure", log, *ROLES, "--out", tmp_path),
            "there is not enough memory for this log. Read fewer columns, or a part of it.",
        )


class TestWriting:
    """All or nothing."""

    @pytest.fixture
    def failing(self, monkeypatch):
        """Let the third table fail."""

        def let_fail_with(error: BaseException) -> None:
            written = []

            def write(frame: pl.DataFrame, path: Path) -> Path:
                written.append(path)
                if len(written) == 3:
                    path.write_text("half a ta")
                    raise error
                return write_frame(frame, path)

            monkeypatch.setattr(output, "write_frame", write)

        return let_fail_with

    def test_a_full_disk_leaves_nothing(self, log, tmp_path, failing):
        failing(OSError(28, "No space left on device"))
        folder = tmp_path / "deep" / "out"
        result = run("measure", log, *ROLES, "--statistics", "transitions", "--out", folder)
        assert result.exit_code == 1
        assert "cannot be written" in result.stderr
        assert "No space left on device. Check the folder's permissions" in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_an_earlier_run_stays_whole(self, log, tmp_path, failing):
        asked = ("measure", log, *ROLES, "--statistics", "transitions", "--out", tmp_path)
        run(*asked)
        before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
        failing(KeyboardInterrupt())
        assert run(*asked, "--session", "1m").exit_code == 130
        assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before

    def test_a_file_in_the_place_of_the_folder(self, log, tmp_path):
        (tmp_path / "out").write_text("mine")
        refused(
            run("measure", log, *ROLES, "--out", tmp_path / "out"),
            f"the answers cannot be written to {str(tmp_path / 'out')!r}: it is a file. Name a folder.",
        )
        assert (tmp_path / "out").read_text() == "mine"

    def test_a_folder_in_the_place_of_a_table(self, log, tmp_path):
        (tmp_path / "transitions.csv").mkdir()
        result = run("measure", log, *ROLES, "--statistics", "transitions", "--out", tmp_path)
        assert result.exit_code == 1
        assert "cannot be written" in result.stderr
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    def test_nothing_is_left_beside_the_tables(self, log, tmp_path):
        run("measure", log, *ROLES, "--statistics", "overview", "--out", tmp_path / "a" / "b")
        assert files(tmp_path) == [
            "a/b/notes.csv",
            "a/b/notes.parquet",
            "a/b/overview.csv",
            "a/b/overview.parquet",
        ]


class TestPrinting:
    @pytest.fixture
    def hostile(self, tmp_path) -> Path:
        moments = [f"2024-01-01 10:{minute:02}:00" for minute in range(len(HOSTILE))]
        path = tmp_path / "hostile.parquet"
        pl.DataFrame({"user_id": "u", "timestamp": moments, "event": HOSTILE}).write_parquet(path)
        return path

    def test_names_steer_neither_the_terminal_nor_the_markup(self, hostile, tmp_path):
        result = run("measure", hostile, *ROLES, "--statistics", "transitions", "--out", tmp_path)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        for shown in (r"\x1b[31mred\x1b[0m", "[bold]x[/bold]", "two lines", ":smile:", "naïve 🛒"):
            assert shown in result.stdout

    def test_names_come_back_from_csv_as_they_were(self, hostile, tmp_path):
        run("measure", hostile, *ROLES, "--statistics", "transitions", "--out", tmp_path)
        # What a spreadsheet would run gets an apostrophe.
        named = {f"'{name}" if name[:1] == "=" else name for name in HOSTILE}
        assert set(pl.read_csv(tmp_path / "transitions.csv")["source"]) == {"<START>", *named}
        assert set(pl.read_parquet(tmp_path / "transitions.parquet")["source"]) == {"<START>", *HOSTILE}

    def test_a_terminal_without_the_characters(self, hostile, tmp_path):
        result = process(
            "measure", hostile, *ROLES, "--statistics", "transitions", "--out", tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")
        assert r"na\xefve \U0001f6d2" in result.stdout

    @pytest.mark.parametrize(
        ("name", "row", "text"),
        [
            ("share", {"share": 0.5}, "50.0 %"),
            ("share", {"share": None, "low": None, "high": None}, "-"),
            ("rate", {"rate": 0.5, "rate_low": 0.4, "rate_high": 0.61}, "50.0 % (40.0 to 61.0)"),
            ("rate", {"rate": 0.5, "other": 1, "low": 0.4, "high": 0.6}, "50.0 %"),
            ("time_mean", {"time_mean": 59.94}, "59.9 s"),
            ("dwell_median", {"dwell_median": float("inf")}, "never"),
            ("dwell_median", {"dwell_median": 172_800.0}, "2.0 d"),
            ("time_min", {"time_min": 0.25}, "0.2 s"),
            ("value", {"value": 31_106.0, "unit": "events"}, "31,106"),
            ("value", {"value": 1.5, "unit": "events per user"}, "1.50"),
            ("users", {"users": 1234567}, "1,234,567"),
            ("inside", {"inside": True}, "yes"),
            ("path", {"path": ["a", "b\n\tc", None]}, "a > b c > -"),
        ],
    )
    def test_values(self, name, row, text):
        assert tables.value_of(name, row) == text

    def test_a_reader_that_leaves_early(self, log, tmp_path):
        command = [
            sys.executable,
            "-m",
            "journeykit.cli",
            "measure",
            str(log),
            *ROLES,
            "--out",
            str(tmp_path / "out"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            child.stdout.close()
            said = child.stderr.read()
            assert (child.wait(120), said) == (141, b"")
        assert "transitions.csv" in files(tmp_path / "out")


class TestQuality:
    def test_it_is_that_of_the_library(self, log):
        result = run("quality", log, *ROLES)
        assert result.exit_code == 0
        found = jk.read_events(log, user="user_id", time="timestamp", event="event").quality
        assert f"rows_in               {found.rows_in:,}" in result.stdout
        assert f"tied_pairs_distinct   {found.tied_pairs_distinct:,}" in result.stdout

    def test_errors_are_the_same(self, log):
        assert run("quality", log, "--user", "usr", *ROLES[2:]).exit_code == 1
        assert run("quality").exit_code == 2


class TestDemo:
    def test_both_logs_are_measured_shown_and_written(self, tmp_path):
        result = run("demo", "--users", 200, "--out", tmp_path)
        assert (result.exit_code, result.stderr) == (0, "")
        for shown in (
            "Robots are not removed",
            "What was planted, and what was measured",
            "conversion rate, mobile",
        ):
            assert shown in result.stdout
        for name in ("access_log/transitions.parquet", "shop/stage_flow.csv", "shop/truth.parquet"):
            assert name in files(tmp_path)

    def test_tables_are_those_of_the_demo(self, tmp_path):
        from journeykit.demo import shop as measured_shop

        run("demo", "--users", 200, "--out", tmp_path, "--quiet")
        part = measured_shop(200)
        assert_frame_equal(pl.read_parquet(tmp_path / "shop/truth.parquet"), part.truth)
        assert_frame_equal(
            pl.read_parquet(tmp_path / "shop/overview.parquet"), part.answers["overview"].frame
        )


class TestSignals:
    """An interrupted job leaves with the code of its signal, without a traceback, and leaves nothing behind."""

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals(self, log, tmp_path, number, code):
        slow = f"""
            import sys, time
            from journeykit.cli import job, main
            def wait(*given, **options):
                print("reading", flush=True)
                time.sleep(60)
            job.read_events = wait
            sys.argv = ["journeykit", "measure", "x.csv", "--out", {str(tmp_path / "out")!r}]
            main()
        """
        command = [sys.executable, "-c", textwrap.dedent(slow)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "reading\n"
            child.send_signal(number)
            assert child.wait(30) == code
            assert "Traceback" not in child.stderr.read()
        assert list(tmp_path.iterdir()) == []

    def test_main_leaves_with_an_exit_code(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["journeykit", "--version"])
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as left:
            main()
        signal.signal(signal.SIGTERM, before)
        assert left.value.code == 0
        assert capsys.readouterr().out == f"journeykit {jk.__version__}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_a_long_job_shows_its_step(self, monkeypatch):
        monkeypatch.setattr(progress, "PATIENCE", 0.01)
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        with progress.Steps(2) as steps:
            steps.begin("reading [the] log")
            time.sleep(0.4)
        assert "reading [the] log" in terminal.getvalue()

    def test_a_short_job_shows_nothing(self, monkeypatch):
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        with progress.Steps(2) as steps:
            steps.begin("reading")
        assert terminal.getvalue() == ""

    @pytest.mark.parametrize("stream", [io.StringIO, Terminal])
    def test_nothing_is_shown_to_files_or_if_quiet(self, monkeypatch, stream):
        monkeypatch.setattr(progress, "PATIENCE", 0.01)
        monkeypatch.setattr(sys, "stderr", shown := stream())
        with progress.Steps(2, quiet=stream is Terminal) as steps:
            steps.begin("reading")
            time.sleep(0.1)
        assert shown.getvalue() == ""

    def test_every_statistic_is_a_step(self, journeys):
        with progress.Steps(3) as steps:
            journeys.measure(jk.TopPaths(2), jk.Transitions(), engine=progress.Reporting(steps))
        assert (steps.done, steps.text) == (1, "measuring Transitions")


class TestStores:
    """``append``, and ``measure`` of a store."""

    @pytest.fixture
    def store(self, log, tmp_path) -> Path:
        rows = pl.read_parquet(log)
        rows[:5_000].write_parquet(tmp_path / "first.parquet")
        rows[5_000:].write_parquet(tmp_path / "next.parquet")
        roles = {"user": "user_id", "time": "timestamp", "event": "event"}
        first = jk.read_events(tmp_path / "first.parquet", **roles, keep=["platform"])
        return first.sessionize("30m").write(tmp_path / "shop")

    def test_appending_and_measuring_are_those_of_the_library(self, store, tmp_path):
        done = run("append", store, tmp_path / "next.parquet", *ROLES)
        assert done.exit_code == 0, done.output
        opened = jk.open_store(store)
        assert done.stdout.rstrip() == repr(opened)
        for _ in range(2):
            done = run("measure", store, "--goal", "purchase", "--by", "platform", "--out", tmp_path / "a")
            assert done.exit_code == 0, done.output
            found = pl.read_parquet(tmp_path / "a" / "transitions.parquet")
            wanted = opened.journeys().measure(jk.Transitions(), by="platform").frame
            assert_frame_equal(found, wanted, categorical_as_str=True)
        assert "8,000 events" in done.stdout

    def test_what_the_store_says_itself_is_not_said_again(self, store, tmp_path):
        for options, name in (
            (["--user", "user_id"], "--user"),
            (["--session", "1h"], "--session"),
            (["--engine", "out-of-core"], "--engine"),
        ):
            done = run("measure", store, *options, "--out", tmp_path / "a")
            assert done.exit_code == 2
            assert name in done.output
            assert "a store says itself" in " ".join(done.output.split())
        assert not (tmp_path / "a").exists()

    def test_what_cannot_be_appended_changes_nothing(self, store, tmp_path):
        before = (store / "manifest.json").read_bytes()
        done = run("append", tmp_path / "shup", tmp_path / "next.parquet", *ROLES)
        assert done.stderr.startswith(
            f"error: there are no journeys at {str(tmp_path / 'shup')!r}. Did you mean 'shop'? Available: "
        )
        assert done.exit_code == 1
        done = run("append", store, tmp_path / "next.parquet", *ROLES, "--tz", "Europe/Berlin")
        assert done.exit_code == 1
        assert "nothing was appended" in done.stderr
        assert run("append", store, tmp_path / "next.parquet", *ROLES, "--horizon", "3d").exit_code == 2
        assert (store / "manifest.json").read_bytes() == before

    def test_quiet_appending_prints_nothing(self, store, tmp_path):
        done = run("append", store, tmp_path / "next.parquet", *ROLES, "--quiet")
        assert (done.exit_code, done.output) == (0, "")
