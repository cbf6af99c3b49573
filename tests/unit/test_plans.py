"""Plans: recorded, checked at once, run later."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.engines import InMemory
from journeykit.errors import MissingColumnError, MissingFileError, ParameterError, UnknownNameError
from journeykit.plans import EventsPlan, JourneysPlan, Step, scan_events
from tests import logs
from tests.unit.test_journeys import MODEL, minute

ROLES: dict[str, Any] = {"user": "user", "time": "time", "event": "event"}


def log() -> pl.DataFrame:
    return logs.frame([row | {"device": row["user"][0]} for row in logs.SMALL_SHOP])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    log().write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def plan(source: Any) -> JourneysPlan:
    return (
        jk.scan_events(source, **ROLES, keep=["device"])
        .sessionize("30m")
        .assign_stages(MODEL)
        .filter(pl.col("device") != "c", events=["view", "cart"])
    )


def test_a_plan_gives_what_the_same_verbs_give(file: Path) -> None:
    events = jk.read_events(file, **ROLES, keep=["device"])
    expected = (
        events.sessionize("30m").assign_stages(MODEL).filter(pl.col("device") != "c", events=["view", "cart"])
    )
    assert_frame_equal(plan(file).collect().frame, expected.frame)
    assert plan(file).collect().provenance == expected.provenance
    question = jk.Transitions(unit="user")
    found = plan(file).measure(question, by="device", level=0.9)
    assert_frame_equal(found.frame, expected.measure(question, by="device", level=0.9).frame)
    one, two = plan(file).measure(jk.Transitions(), jk.Transitions(of="stage"), every="1w")
    assert_frame_equal(two.frame, expected.measure(jk.Transitions(of="stage"), every="1w").frame)
    assert one.frame.height > 0
    assert_frame_equal(jk.scan_events(file, **ROLES, keep=["device"]).collect().frame, events.frame)


def test_all_arguments_reach_read_events(tmp_path: Path) -> None:
    text = "u;t;o;v;s;x\na;05.01.2026 10:00;2;1.5;k;p\na;05.01.2026 10:00;1;;k;q\na;05.01.2026 10:00;1;;k;q\n;;;;;r\n"
    (tmp_path / "log.dat").write_text(text.replace(";", ","))
    arguments: dict[str, Any] = {
        "user": "u", "time": "t", "event": "x", "order": "o", "value": "v", "session": "s", "keep": ["x"],
        "tz": "Europe/Berlin", "time_format": "%d.%m.%Y %H:%M", "format": "csv", "on_invalid": "drop",
        "duplicates": "drop", "observed_from": datetime(2026, 1, 1, tzinfo=UTC),
        "observed_until": datetime(2026, 2, 1, tzinfo=UTC),
    }  # fmt: skip
    found = jk.scan_events(tmp_path / "log.dat", **arguments).collect()
    expected = jk.read_events(tmp_path / "log.dat", **arguments)
    assert_frame_equal(found.frame, expected.frame)
    assert (found.counts, found.duplicates_dropped, found.tz) == (expected.counts, 1, "Europe/Berlin")
    assert (found.observed_from, found.observed_until) == (expected.observed_from, expected.observed_until)


class Recording:
    """An engine that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def run(self, journeys: Any, statistics: Any, cells: Any) -> Any:
        self.asked.append((journeys.n_events, statistics))
        return InMemory().run(journeys, statistics, cells)


def test_the_engine_is_handed_on(file: Path) -> None:
    engine = Recording()
    plan(file).measure(jk.Transitions(), engine=engine)
    assert engine.asked == [(6, [jk.Transitions()])]


def test_nothing_is_read_before_it_is_asked_for(file: Path) -> None:
    planned = plan(file)
    file.unlink()
    with pytest.raises(MissingFileError):
        planned.collect()
    log().filter(pl.col("user") != "bob").vstack(log().filter(event="search")).write_parquet(file)
    assert planned.collect().n_events == 4


def test_a_lazy_frame_is_not_collected() -> None:
    def fail(_: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("it was read")

    lazy = log().lazy().map_batches(fail, schema=log().schema)
    planned = jk.scan_events(lazy, **ROLES).sessionize("30m")
    with pytest.raises(Exception, match="it was read"):
        planned.collect()


def test_a_source_that_is_read_once_can_be_asked_twice() -> None:
    table = log().to_arrow()
    planned = jk.scan_events(
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches()), **ROLES
    ).sessionize("30m")
    assert planned.collect().n_events == planned.collect().n_events == 9


def test_access_logs_have_their_roles(tmp_path: Path) -> None:
    line = '1.2.3.4 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 23 "-" "x"\n'
    (tmp_path / "access.log").write_text(line)
    found = jk.scan_events(tmp_path / "access.log", format="access_log")
    assert found.steps[0].arguments == {
        "user": "ip",
        "time": "time",
        "event": "request",
        "format": "access_log",
    }
    assert found.collect().frame.height == 1


def test_verbs_leave_the_plan_as_it_was(file: Path) -> None:
    planned = jk.scan_events(file, **ROLES).sessionize("30m")
    before = planned.steps
    planned.filter(events="view")
    assert planned.steps == before
    assert planned.filter() != planned


# Values


def test_equal_plans_compare_equal(file: Path) -> None:
    assert plan(file) == plan(file)
    assert hash(plan(file)) == hash(plan(file))
    frame = log()
    assert plan(file) != plan(str(file))
    assert plan(file) != plan(frame)
    base = jk.scan_events(file, **ROLES)
    assert base == scan_events(file, **ROLES, on_invalid="raise", keep=())
    assert base != base.sessionize("30m")
    assert base != "base"
    assert base.sessionize("30m") == base.sessionize(jk.SessionRule("1800s"))
    cut = base.sessionize("30m")
    for one, other in [
        ({"where": pl.col("a") > 1}, {"where": pl.col("a") > 2}),
        ({"users": ["a"]}, {"users": ["b"]}),
        ({"users": ["a"]}, {}),
        ({"start": minute(1)}, {"end": minute(1)}),
        ({"keep": "users"}, {"keep": "sessions"}),
    ]:
        assert cut.filter(**one) == cut.filter(**one)
        assert cut.filter(**one) != cut.filter(**other)
    assert cut.filter(users=["a"]) == cut.filter(users=pl.Series(["a"]))
    assert Step("filter") != 3


def test_repr_shows_the_recipe(file: Path) -> None:
    planned = plan(str(file)).filter(users=["ann"], start=minute(0), keep="users")
    assert repr(planned) == (
        f"JourneysPlan of {str(file)!r}, not run yet\n"
        "  read_events(user='user', time='time', event='event', keep=('device',))\n"
        "  sessionize(timeout=SessionRule(timeout='30m'))\n"
        "  assign_stages(model=<3 stages: 'look', 'want', 'own'>)\n"
        "  filter(where=[(col(\"device\")) != (\"c\")], events=('view', 'cart'))\n"
        "  filter(keep='users', users=<1 values>, start=2024-01-01T00:00:00+00:00)"
    )
    assert repr(jk.scan_events(file, **ROLES)).startswith(
        f"EventsPlan of {str(file)!r}, not run yet\n  read_events("
    )
    assert isinstance(jk.scan_events(file, **ROLES), EventsPlan)


# Refused at once


def test_wrong_columns_are_refused_at_once(file: Path) -> None:
    with pytest.raises(MissingColumnError) as caught:
        jk.scan_events(file, user="usr", time="time", event="event")
    assert str(caught.value) == (
        "no column 'usr' for the role 'user'. Did you mean 'user'? Available: 'user', 'device', 'event', 'time'. "
        "Pass user=<column name> to read_events."
    )
    with pytest.raises(MissingColumnError):
        jk.scan_events(file, **ROLES, keep=["devise"])
    with pytest.raises(MissingFileError):
        jk.scan_events(file.parent / "nothing.parquet", **ROLES)
    with pytest.raises(ParameterError, match="read_events needs to know"):
        jk.scan_events(file, user="user")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_invalid": "skip"}, "on_invalid cannot be 'skip'. Choose one of: 'raise', 'drop'."),
        ({"duplicates": "skip"}, "duplicates cannot be 'skip'. Choose one of: 'keep', 'drop'."),
        ({"unit": "h"}, "unit cannot be 'h'. Choose one of: 's', 'ms', 'us', 'ns'."),
        ({"keep": "device"}, "keep must be a list of columns, not a text. Pass keep=['device']."),
    ],
)
def test_wrong_options_are_refused_at_once(arguments: dict[str, Any], message: str, file: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        jk.scan_events(file, **ROLES, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda base: base.sessionize(30),
            (
                "timeout cannot be 30. Give a duration with its unit, such as '30m', '36h' "
                "or '7d' (us, ms, s, m, h, d, w), or a datetime.timedelta."
            ),
        ),
        (
            lambda base: base.sessionize(jk.SessionRule(), max_events=3),
            "sessionize takes a SessionRule or options, not both. Put ['max_events'] into the rule.",
        ),
        (
            lambda base: base.sessionize().filter(keep="rows"),
            "keep cannot be 'rows'. Choose one of: 'events', 'sessions', 'users'.",
        ),
        (
            lambda base: base.sessionize().assign_stages("stages.toml"),
            "model must be a StageModel, not 'stages.toml'. Load one with StageModel.load(path).",
        ),
        (
            lambda base: base.sessionize().assign_stages(MODEL, missing="skip"),
            "missing cannot be 'skip'. Choose one of: 'raise', 'ignore', 'warn'.",
        ),
    ],
)
def test_wrong_arguments_of_verbs_are_refused_at_once(ask: Any, message: str, file: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        ask(jk.scan_events(file, **ROLES))
    assert str(caught.value) == message


def test_unknown_options_of_sessionize_are_refused_at_once(file: Path) -> None:
    with pytest.raises(
        ParameterError, match="sessionize has no parameter 'max_event'. Did you mean 'max_events'"
    ):
        jk.scan_events(file, **ROLES).sessionize("30m", max_event=3)


def test_names_are_looked_up_when_the_plan_is_run(file: Path) -> None:
    planned = jk.scan_events(file, **ROLES).sessionize("30m").filter(events="veiw")
    with pytest.raises(UnknownNameError):
        planned.collect()
