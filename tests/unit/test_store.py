"""Writing journeys and opening them again, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import StageModelError, StoreError
from journeykit.ordering.user_ids import group_of
from journeykit.store.manifest import ABOUT, FILE, PROVENANCE
from tests import logs
from tests.unit.test_journeys import MODEL, minute, shop


def files(store: Path) -> dict[str, bytes]:
    return {str(each.relative_to(store)): each.read_bytes() for each in store.rglob("*") if each.is_file()}


def file(store: Path, kind: str) -> Path:
    """The first file of a kind."""
    return min((store / kind).iterdir())


def named(store: Path, kind: str) -> str:
    return f"{kind}/{file(store, kind).name}"


def edit_shard(store: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Change what the manifest says of the first shard."""
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    change(manifest["shards"][0])
    (store / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return dict(manifest["shards"][0])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return shop().assign_stages(MODEL).write(tmp_path / "shop")


def edit(store: Path, **changes: Any) -> None:
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    manifest.update(changes)
    kept = {name: value for name, value in manifest.items() if value is not ...}
    (store / "manifest.json").write_text(json.dumps(kept), encoding="utf-8")


def refusal(store: Path, **options: Any) -> str:
    with pytest.raises(StoreError) as caught:
        jk.open_journeys(store, **options)
    return str(caught.value)


def test_what_was_written_is_opened_again(tmp_path: Path) -> None:
    span = {"observed_from": minute(-500), "observed_until": minute(500)}
    journeys = shop(tz="Europe/Berlin", **span).assign_stages(MODEL).filter(events="view")
    path = journeys.write(str(tmp_path / "deep" / "shop"))
    assert path == tmp_path / "deep" / "shop"
    again = jk.open_journeys(str(path))
    assert repr(again) == repr(journeys)
    assert (again.observed_from, again.observed_until) == (journeys.observed_from, journeys.observed_until)
    assert_frame_equal(again.frame, journeys.frame)
    assert again.provenance == journeys.provenance
    assert again.staged is not None
    assert again.staged.model == MODEL
    question = jk.Transitions(of="stage")
    assert_frame_equal(again.measure(question).frame, journeys.measure(question).frame)
    by = again.measure(jk.Transitions(), by="device", every="1w").frame
    assert_frame_equal(by, journeys.measure(jk.Transitions(), by="device", every="1w").frame)


@pytest.mark.parametrize("order", ["by time", "by user", "shuffled", "interleaved"])
def test_the_verbs_go_on_after_opening(order: str, tmp_path: Path) -> None:
    journeys = shop(order)
    again = jk.open_journeys(journeys.write(tmp_path / "shop"))
    assert (again.time_order is None) == (journeys.time_order is None)
    condition = (pl.col("device") == "mobile") & (pl.col("event") != "cart")
    expected = journeys.filter(condition).assign_stages(MODEL)
    found = again.filter(condition).assign_stages(MODEL)
    assert_frame_equal(found.frame, expected.frame)
    second = jk.open_journeys(found.write(tmp_path / "second"), verify=True)
    assert_frame_equal(second.frame, expected.frame)
    assert second.property("device").to_list() == expected.property("device").to_list()


def test_every_session_rule_comes_back(tmp_path: Path) -> None:
    rules = [
        jk.sessions.adobe(),
        jk.sessions.mixpanel(),
        jk.SessionRule(None, end_events=["purchase"], passive=["search"], engaged_after="5s"),
        jk.SessionRule("36h", timeout_inclusive=True, split_on="device", start_events=["cart"]),
        jk.SessionRule.from_column("rule"),
    ]
    events = jk.read_events(
        logs.frame([row | {"device": "x", "session": None} for row in logs.SMALL_SHOP], user=pl.String()),
        user="user",
        time="time",
        event="event",
        session="session",
        keep=["device"],
    )
    for number, rule in enumerate(rules):
        again = jk.open_journeys(events.sessionize(rule).write(tmp_path / str(number)))
        assert again.session_rule == rule


def test_runs_outside_sessions_come_back(tmp_path: Path) -> None:
    rows = logs.log("a 0 ping; a 100 view; b 0 view; b 50 ping; b 90 view; c 3 view")
    events = jk.read_events(logs.frame(rows), user="user", time="time", event="event")
    journeys = events.sessionize("30m", passive=["ping"])
    again = jk.open_journeys(journeys.write(tmp_path / "shop"))
    assert again.user_sessions.tolist() == journeys.user_sessions.tolist()
    assert again.n_sessions == journeys.n_sessions == 4
    assert_frame_equal(again.frame, journeys.frame)


def test_no_journeys_are_written_and_opened(tmp_path: Path) -> None:
    journeys = shop("interleaved").assign_stages(MODEL).filter(pl.lit(False))
    again = jk.open_journeys(journeys.write(tmp_path / "shop"), verify=True)
    assert again.n_events == again.n_users == again.n_sessions == 0
    assert_frame_equal(again.frame, journeys.frame)
    assert again.filter(events="view").n_events == 0


def test_properties_keep_their_types(tmp_path: Path) -> None:
    log = pl.DataFrame({
        "u": [2**62, -5], "t": [0, 1], "e": list(logs.HOSTILE_NAMES[:2]),
        "day": [date(2024, 1, 2), None], "at": [datetime(2024, 1, 2, tzinfo=UTC), None],
        "kind": pl.Series(["a", None], dtype=pl.Categorical), "level": pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])),
        "tags": [["x", "y"], []], "price": pl.Series(["1.25", None]).cast(pl.Decimal(10, 2)), "flag": [True, None],
        "pair": [{"a": 1}, {"a": None}], "stage": ["own", "name"],
    })  # fmt: skip
    kept = log.columns[3:]
    journeys = jk.read_events(log, user="u", time="t", event="e", unit="s", keep=kept).sessionize("30m")
    journeys = journeys.assign_stages(jk.StageModel([jk.Stage("<all>", jk.stages.glob("*"))]))
    again = jk.open_journeys(journeys.write(tmp_path / "typed"))
    assert again.kept == tuple(kept)
    for name in kept:
        assert again.property(name).equals(journeys.property(name), check_dtypes=True), name
    assert again.users.equals(journeys.users, check_dtypes=True)
    assert again.frame["stage_property"].to_list() == journeys.property("stage").to_list()


def test_large_vocabularies_keep_their_code_width(tmp_path: Path) -> None:
    rows = [{"user": i % 7, "time": i, "event": f"e{i}"} for i in range(70_000)]
    journeys = jk.read_events(logs.frame(rows), user="user", time="time", event="event").sessionize("30m")
    again = jk.open_journeys(journeys.write(tmp_path / "wide"))
    assert again.event_codes.dtype == journeys.event_codes.dtype == np.uint32
    assert (again.event_codes == journeys.event_codes).all()


def test_the_files_are_plain_parquet(store: Path) -> None:
    assert sorted(each.name for each in store.iterdir()) == ["events", "manifest.json", "sessions", "users"]
    plain = pl.read_parquet(store / "events/*.parquet")
    journeys = jk.open_journeys(store)
    assert_frame_equal(plain.with_columns(pl.col("event").cast(pl.Enum(journeys.names))), journeys.frame)
    assert_frame_equal(jk.open_store(store).scan().collect(), plain)
    with duckdb.connect() as connection:
        found = connection.sql(
            f"select stage, count(*) from '{store}/events/*.parquet' group by all order by all"
        ).fetchall()
        totals = connection.sql(
            f"select sum(events), sum(sessions) from '{store}/users/*.parquet'"
        ).fetchall()
        causes = connection.sql(
            f"select cause, count(*) from '{store}/sessions/*.parquet' group by all order by all"
        )
        assert found == [("look", 6), ("own", 1), ("want", 2)]
        assert totals == [(9, 4)]
        assert causes.fetchall() == [("first", 3), ("timeout", 1)]


def test_the_manifest_says_what_is_there(store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    shards = manifest.pop("shards")
    assert [shard["number"] for shard in shards] == sorted(group_of(jk.open_journeys(store).users).tolist())
    assert sum(shard["events"] for shard in shards) == 9
    for shard in shards:
        assert sorted(shard["files"]) == ["events", "sessions", "users"]
        for each in shard["files"].values():
            assert (store / each["file"]).stat().st_size == each["bytes"]
            assert each["sha256"][:16] in each["file"]
            assert len(each["sha256"]) == 64
    assert jk.StageModel.loads(manifest.pop("stages")) == MODEL
    rule = manifest.pop("session_rule")
    assert rule["timeout"] == "30m"
    notes = manifest["provenance"].pop("notes")
    assert len(notes) == 1
    start = int(minute(0).timestamp()) * logs.SECOND
    assert manifest == {
        "format": "journeykit journeys",
        "version": 2,
        "journeykit": jk.__version__,
        "users": 3,
        "sessions": 4,
        "events": 9,
        "tz": "UTC",
        "observed_from": start,
        "observed_until": start + 200 * logs.MINUTE,
        "properties": {"session": "session_property", "device": "device"},
        "provenance": {
            "tied_pairs": 1,
            "tied_pairs_distinct": 1,
            "out_of_order": 0,
            "events_outside": 0,
            "rows_dropped": 0,
            "rows_left_out": 0,
            "duplicates_dropped": 0,
            "rows_moved": 0,
            "rows_unmapped": 0,
            "day_events": 0,
            "verbs": [],
        },
        "n_shards": 64,
        "tie_break": False,
        "unmapped": {},
        "names": ["cart", "purchase", "search", "view"],
    }


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (shop().assign_stages(MODEL).write(tmp_path / name) for name in "ab")
    assert files(one) == files(other)


def test_properties_are_read_when_they_are_asked_for(store: Path) -> None:
    journeys = jk.open_journeys(store)
    assert journeys.kept == ("session", "device")
    assert journeys.property("device").null_count() == 1
    shop().write(store, overwrite=True)
    assert journeys.property("device").null_count() == 1
    assert journeys.n_events == 9
    with pytest.raises(StoreError) as caught:
        journeys.property("session")
    assert str(caught.value) == (
        f"the journeys at {str(store)!r} were removed or replaced after they were opened, and their properties "
        f"were not read yet. Open them again."
    )


# Whole or not at all


def test_what_is_there_is_not_replaced_unasked(store: Path) -> None:
    before = (store / "manifest.json").read_bytes()
    with pytest.raises(StoreError) as caught:
        shop().write(store)
    assert str(caught.value) == (
        f"there are journeys at {str(store)!r} already. Pass overwrite=True to replace them."
    )
    assert (store / "manifest.json").read_bytes() == before
    assert shop("interleaved").write(store, overwrite=True) == store
    assert jk.open_journeys(store, verify=True).staged is None
    shop().write(store, overwrite=True)
    assert sorted(each.name for each in store.iterdir()) == ["events", "manifest.json", "sessions", "users"]
    assert [each.name for each in store.parent.iterdir()] == [store.name]


def test_only_journeys_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("folder", "file"):
        with pytest.raises(StoreError) as caught:
            shop().write(tmp_path / name, overwrite=True)
        assert str(caught.value) == (
            f"there is something else than journeys at {str(tmp_path / name)!r}, which is never replaced. "
            f"Choose another path."
        )
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_what_was_there(
    error: BaseException, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("journeykit.store.writing.checksum", fail)
    with pytest.raises(StoreError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        shop().write(store.parent / "other")
    if isinstance(error, OSError):
        assert str(caught.value) == (
            f"the journeys cannot be written to {str(store.parent / 'other')!r}: No space left on device. "
            f"Nothing was left there."
        )
    with pytest.raises((StoreError, KeyboardInterrupt)):
        shop().write(store, overwrite=True)
    monkeypatch.undo()
    assert [each.name for each in store.parent.iterdir()] == [store.name]
    assert jk.open_journeys(store, verify=True).staged is not None


def test_a_failed_move_puts_the_old_journeys_back(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError("busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StoreError, match="busy"):
        shop().write(store, overwrite=True)
    monkeypatch.undo()
    assert jk.open_journeys(store, verify=True).staged is not None


def test_a_rule_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    model = jk.StageModel([jk.Stage("look", jk.stages.where(pl.col("event").str.len_chars() > 0))])
    with pytest.raises(StageModelError, match="cannot be written to TOML"):
        shop().assign_stages(model).write(tmp_path / "shop")
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        shop().shards()[0].write(tmp_path / "shop")
    assert str(caught.value) == (
        f"the journeys cannot be written to {str(tmp_path / 'shop')!r}: a shard is a view, and has no journeys "
        f"of its own. Nothing was left there."
    )


# Damage


def test_a_path_without_journeys_is_refused(store: Path) -> None:
    missing = store.parent / "shops"
    assert refusal(missing) == (
        f"there are no journeys at {str(missing)!r}. Did you mean 'shop'? Available: 'shop'. Check the path."
    )
    nowhere = store / "no" / "where"
    assert refusal(nowhere) == f"there are no journeys at {str(nowhere)!r}. There are none. Check the path."
    foreign = (
        "{!r} does not hold journeys: it has no manifest.json of journeykit. Pass the folder that "
        "Journeys.write made, or read a log with read_events."
    )
    assert refusal(store / "manifest.json") == foreign.format(str(store / "manifest.json"))
    assert refusal(store.parent) == foreign.format(str(store.parent))
    edit(store, format="other")
    assert refusal(store) == foreign.format(str(store))
    (store / "manifest.json").write_text("[]")
    assert refusal(store) == foreign.format(str(store))


def test_an_older_format_is_refused(store: Path) -> None:
    edit(store, version=1, journeykit="0.0.9")
    assert refusal(store) == (
        f"the journeys at {str(store)!r} have format 1, written by journeykit 0.0.9; this version reads format 2. "
        f"Write them again from the log with this version."
    )


def test_a_newer_format_is_refused(store: Path) -> None:
    edit(store, version=3, journeykit="9.9.0")
    assert refusal(store) == (
        f"the journeys at {str(store)!r} have format 3, written by journeykit 9.9.0; this version reads formats "
        f"up to 2. Upgrade journeykit, or write them again with this version."
    )


def damaged(store: Path, file: str, reason: str) -> str:
    return (
        f"the journeys at {str(store)!r} are damaged: {file} {reason}. Write them again from the log, or "
        f"restore the folder from a copy."
    )


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"names": ...}, "manifest.json", "has no 'names'"),
        (
            {"names": ["cart", "purchase", "search"]},
            "events",
            "has other event names than the manifest",
        ),
        ({"session_rule": {"timeout": "soon"}}, "manifest.json", None),
        (
            {"session_rule": {"timeuot": "1h"}},
            "manifest.json",
            "has a wrong value: session_rule has the unknown option 'timeuot'",
        ),
        ({"shards": 3}, "manifest.json", "has a wrong value: 'int' object is not iterable"),
    ],
)
def test_a_wrong_manifest_is_refused(changes: Any, where: str, reason: str | None, store: Path) -> None:
    edit(store, **changes)
    if reason is None:
        assert refusal(store).startswith(
            f"the journeys at {str(store)!r} are damaged: {where} has a wrong value:"
        )
    else:
        shown = named(store, where) if where == "events" else where
        assert refusal(store) == damaged(store, shown, reason)


@pytest.mark.parametrize("opening", [jk.open_journeys, jk.open_store])
def test_every_value_of_a_manifest_is_needed(opening: Any, store: Path) -> None:
    """Without any one value, or with one of another type, a store is refused before it is asked anything."""
    whole = json.loads((store / "manifest.json").read_text())
    shard, file = whole["shards"][0], whole["shards"][0]["files"]["events"]
    for place, names in (
        (whole, ABOUT),
        (whole["provenance"], PROVENANCE),
        (shard, ("users", "runs")),
        (file, FILE),
    ):
        for name in names:
            value = place.pop(name)
            for other in (..., {"a": 1}, "x", 1.5):
                if other is not ...:
                    if isinstance(value, type(other)) or name == "stages":
                        continue
                    place[name] = other
                (store / "manifest.json").write_text(json.dumps(whole))
                with pytest.raises(StoreError) as raised:
                    opening(store)
                said = f"has no '{name}'" if other is ... else f"has a wrong value: {name!r} is {other!r}"
                assert said in str(raised.value) or place is shard
            place[name] = value
    (store / "manifest.json").write_text(json.dumps(whole))
    assert opening(store)


def test_a_name_that_no_file_can_have_is_refused(store: Path) -> None:
    long = "users/" + 400 * "a"

    def change(shard: dict[str, Any]) -> None:
        shard["files"]["users"]["file"] = long

    edit_shard(store, change)
    assert refusal(store) == damaged(store, long, "is missing")


def test_a_column_that_one_shard_has_under_another_name_is_refused(store: Path) -> None:
    journeys = jk.open_journeys(store).write(store.parent / "two", shards=2)
    users = sorted((journeys / "users").glob("*.parquet"))[-1]
    pl.read_parquet(users).rename({"sessions": "visits"}).write_parquet(users)
    text = json.loads((journeys / "manifest.json").read_text())
    for shard in text["shards"]:
        if shard["files"]["users"]["file"].endswith(users.name):
            shard["files"]["users"]["bytes"] = users.stat().st_size
    (journeys / "manifest.json").write_text(json.dumps(text))
    assert f"users/{users.name} has other columns than its neighbours." in refusal(journeys)


def test_a_cut_manifest_is_refused(store: Path) -> None:
    text = (store / "manifest.json").read_text()
    (store / "manifest.json").write_text(text[: len(text) // 2])
    assert refusal(store).startswith(
        f"the journeys at {str(store)!r} are damaged: manifest.json cannot be read: "
    )


@pytest.mark.parametrize("kind", ["events", "users"])
def test_wrong_counts_are_refused(kind: str, store: Path) -> None:
    def change(shard: dict[str, Any]) -> None:
        shard[kind] += 1

    rows = edit_shard(store, change)[kind]
    assert refusal(store) == damaged(store, named(store, kind), f"has {rows - 1:,} rows, not {rows:,}")


def test_files_that_do_not_fit_together_are_refused(store: Path) -> None:
    users = file(store, "users")
    pl.read_parquet(users).with_columns(pl.col("events") + 1).write_parquet(users)

    def change(shard: dict[str, Any]) -> None:
        shard["files"]["users"]["bytes"] = users.stat().st_size

    edit_shard(store, change)
    assert refusal(store) == damaged(
        store, "users", "and sessions count other events or sessions than there are"
    )


@pytest.mark.parametrize("kind", ["events", "users", "sessions"])
def test_damaged_files_are_refused(kind: str, store: Path) -> None:
    damage, name = file(store, kind), named(store, kind)
    content = damage.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 255
    damage.write_bytes(changed)
    expected = damaged(store, name, "has another checksum than when it was written")
    assert refusal(store, verify=True) == expected
    with pytest.raises(StoreError) as caught:
        jk.open_store(store, verify=True)
    assert str(caught.value) == expected
    damage.write_bytes(b"x" * len(content))
    assert refusal(store).startswith(f"the journeys at {str(store)!r} are damaged: {name} cannot be read: ")
    damage.write_bytes(content[:-1])
    assert refusal(store) == damaged(store, name, f"has {len(content) - 1:,} bytes, not {len(content):,}")
    damage.unlink()
    assert refusal(store) == damaged(store, name, "is missing")
