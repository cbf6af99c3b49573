"""What a store refuses to append, and what a crash leaves."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import JourneykitWarning, ParameterError, StoreError
from journeykit.growing import opened
from tests import logs


def events(rows: list[logs.Row], **options: Any) -> jk.Events:
    return jk.read_events(logs.frame(rows), user="user", time="time", event="event", **options)


@pytest.fixture
def store(tmp_path: Path) -> jk.Store:
    return jk.open_store(events(logs.SMALL_SHOP[:4]).sessionize("30m").write(tmp_path / "shop"))


def refusal(store: jk.Store, new: jk.Events) -> str:
    before = (store.path / "manifest.json").read_bytes()
    with pytest.raises(StoreError) as caught:
        store.append(new)
    assert (store.path / "manifest.json").read_bytes() == before
    return str(caught.value)


def hold(store: jk.Store, **owner: Any) -> None:
    held = {"process": os.getpid(), "machine": socket.gethostname(), "since": "noon", "token": "x"} | owner
    (store.path / "writing.lock").write_text(json.dumps(held))


def test_users_are_drawn_from_few_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"user": f"u{n}", "time": n, "event": ("view", "buy")[n % 2]} for n in range(2_000)]
    journeys = events(rows).sessionize("30m")
    store = jk.open_store(journeys.write(tmp_path / "many", shards=8))
    drawn = store.sample(30, rng=4)
    assert drawn.n_users == 30
    assert set(drawn.users) < set(journeys.users)
    assert drawn.users.equals(store.sample(30, rng=4).users)
    assert not drawn.users.equals(store.sample(30, rng=5).users)
    assert drawn.frame.equals(journeys.filter(users=drawn.users.to_list()).frame)
    assert store.sample(5_000, rng=1).frame.equals(journeys.frame)
    assert store.sample(0, rng=1).n_users == 0
    read: list[Any] = []
    whole = opened.read_shards
    monkeypatch.setattr(opened, "read_shards", lambda about, only: read.append(only) or whole(about, only))
    store.sample(30, rng=4)
    assert [len(shards) for shards in read] == [1]
    with pytest.raises(ParameterError, match="n_users cannot be -1"):
        store.sample(-1, rng=1)
    with pytest.raises(ParameterError, match="rng cannot be None"):
        store.sample(1, rng=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("owner", [{}, {"process": 2**22 + 1, "machine": "elsewhere"}])
def test_a_second_writer_is_told_who_is_first(owner: dict[str, Any], store: jk.Store) -> None:
    hold(store, **owner)
    who = {"process": os.getpid(), "machine": socket.gethostname()} | owner
    assert refusal(store, events(logs.SMALL_SHOP[4:])) == (
        f"the journeys at {str(store.path)!r} are being written by process {who['process']} on {who['machine']!r} "
        f"(since noon). Wait until it has finished; if it is gone for certain, remove "
        f"{str(store.path / 'writing.lock')!r}."
    )


def test_the_lock_of_a_process_that_is_gone_is_taken_over(store: jk.Store) -> None:
    hold(store, process=2**22 + 1)
    with pytest.warns(JourneykitWarning, match="process 4194305 stopped while it wrote"):
        store.append(events(logs.SMALL_SHOP[4:]))
    assert store.journeys(verify=True).n_events == len(logs.SMALL_SHOP)
    assert not (store.path / "writing.lock").exists()


def test_an_interrupted_append_leaves_the_old_store(store: jk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.path / "events" / "99-left.parquet").write_text("half")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("journeykit.growing.appending.replace_manifest", fail)
    with pytest.raises(KeyboardInterrupt):
        store.append(events(logs.SMALL_SHOP[4:]))
    assert store.journeys(verify=True).n_events == 4
    assert sorted((store.path / "events").iterdir()) == sorted(store.files)


def test_events_that_do_not_fit_are_refused(store: jk.Store) -> None:
    start = f"nothing was appended to {str(store.path)!r}: "
    assert refusal(store, events(logs.SMALL_SHOP, tz="Europe/Berlin")) == (
        f"{start}its days are those of 'UTC', and the new events were read with tz='Europe/Berlin'. Read them "
        f"with tz='UTC'."
    )
    assert refusal(store, events([{"user": 1, "time": 0, "event": "view"}])) == (
        f"{start}'user' has the type Int64 in the new events and String in the store. Convert it before reading."
    )
    session = [row | {"session": "s"} for row in logs.SMALL_SHOP]
    assert refusal(store, events(session, session="session")) == (
        f"{start}the new events hold 'session', which the store does not. Leave that out, or write the store again "
        f"from the whole log."
    )


def test_filtered_journeys_are_not_added_to(store: jk.Store) -> None:
    seen = jk.open_store(store.journeys().filter(events="view").write(store.path.parent / "seen"))
    assert refusal(seen, events(logs.SMALL_SHOP)) == (
        f"nothing was appended to {str(seen.path)!r}: its journeys are what filter(events=['view'], keep='events') "
        f"left, and new events have not gone that way. Append to a store of the whole log, open it, and apply the "
        f"verbs to the journeys."
    )


def test_who_was_still_deciding_has_given_up_when_others_come_later(tmp_path: Path) -> None:
    """A shard of which no user has changed is counted anew where the end of the log says more."""
    carts = [{"user": f"u{n}", "time": n * logs.MINUTE, "event": "cart"} for n in range(20)]
    late = [{"user": "u3", "time": 90 * logs.MINUTE, "event": "cart"}]
    store = jk.open_store(events(carts).sessionize("30m").write(tmp_path / "store", shards=8))
    question = jk.Abandonment("buy", horizon="1h", missing="ignore")
    assert store.measure(question).frame.select("abandoned", "open").row(0) == (0, 20)
    store.append(events(late))
    assert store.measure(question).frame.select("abandoned", "open").row(0) == (19, 1)


def test_what_was_read_is_counted_through_appends_and_erasures(tmp_path: Path) -> None:
    """Rows moved to another user, rows of unknown ids, and times that are known to the day only."""
    web = pl.DataFrame(
        {"user": ["c1", "ann", "bob", "eve"], "time": [0, 60, 120, 180], "event": ["view"] * 4}
    )
    calls = pl.DataFrame({"user": ["ann", "bob", "c1"], "time": [5, 65, 125], "event": ["call"] * 3})
    pairs = pl.DataFrame({"cookie": ["c1", "c2"], "login": ["ann", "bob"]})
    identity = jk.Identity.of(pairs, ["cookie", "login"], rules=jk.IdentityRules(strong="login"))

    def read(first: int, last: int) -> jk.Events:
        sources = [
            jk.Source(log=web[first:last], source="web", unit="s"),
            jk.Source(log=calls[first:last], source="calls", unit="s", precision="day"),
        ]
        return jk.combine(sources).stitch(identity, unmapped="drop")

    whole = read(0, 4).sessionize("30m")
    assert whole.provenance.rows_moved == 2
    assert whole.provenance.rows_unmapped == 1
    assert whole.provenance.day_events == 3
    store = jk.open_store(read(0, 2).sessionize("30m").write(tmp_path / "store"))
    store.append(read(2, 4))
    assert store.journeys().provenance == whole.provenance
    store.erase("ann")
    found = store.journeys().provenance
    assert found.day_events == 1
    assert "1 events are known to the day only: their times of day are made up." in found.notes
