"""Appends by real processes: killed at any moment, and two at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import JourneykitWarning, StoreError
from tests import logs

ROLES = {"user": "user", "time": "time", "event": "event"}
FIRST, NEW = logs.SMALL_SHOP[:4], logs.SMALL_SHOP[4:]
APPEND = """
import os, signal, sys, time
from pathlib import Path
import journeykit as jk
from journeykit.growing import appending
from journeykit.store import manifest, writing

folder, moment = Path(sys.argv[1]), sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def wait(*_, **__):
    (folder.parent / "holding").touch()
    while not (folder.parent / "go").exists():
        time.sleep(0.01)

def before(module, name, do, which=1):
    function, calls = getattr(module, name), []
    def patched(*given, **options):
        calls.append(name)
        if len(calls) == which:
            do()
        return function(*given, **options)
    setattr(module, name, patched)

if moment == "first file": before(writing, "checksum", die)
if moment == "fourth file": before(writing, "checksum", die, 4)
if moment == "before the manifest": before(appending, "replace_manifest", die)
if moment == "in the manifest": before(os, "fsync", die)
if moment == "after the manifest":
    before(appending, "clear", die, 2)
if moment == "wait": before(appending, "replace_manifest", wait)
jk.open_store(folder).append(folder.parent / "new.parquet", user="user", time="time", event="event")
"""


def events(rows: list[logs.Row]) -> jk.Events:
    return jk.read_events(logs.frame(rows), **ROLES)


@pytest.fixture
def store(tmp_path: Path) -> jk.Store:
    logs.frame(NEW).write_parquet(tmp_path / "new.parquet")
    return jk.open_store(events(FIRST).sessionize("30m").write(tmp_path / "shop", shards=2))


def appending(store: jk.Store, moment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", APPEND, str(store.path), moment]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def left(store: jk.Store) -> list[str]:
    return sorted(
        str(each.relative_to(store.path))
        for each in store.path.rglob("*")
        if each.is_file() and "tallies" not in each.parts
    )


@pytest.mark.parametrize(
    "moment", ["first file", "fourth file", "before the manifest", "in the manifest", "after the manifest"]
)
def test_an_append_that_is_killed_happened_or_not(moment: str, store: jk.Store) -> None:
    whole = [events(rows).sessionize("30m") for rows in (FIRST, logs.SMALL_SHOP)]
    before = store.measure(jk.Transitions())
    child = appending(store, moment)
    assert child.wait(60) == -signal.SIGKILL
    done = moment == "after the manifest"
    now = jk.open_store(store.path, verify=True)
    assert_frame_equal(
        now.journeys(verify=True).frame.sort("user", maintain_order=True),
        whole[done].frame.sort("user", maintain_order=True),
    )
    assert now.measure(jk.Transitions()).frame.equals(before.frame) != done
    with pytest.warns(JourneykitWarning) as caught:
        now.append(events(NEW))
    assert str(caught[0].message).startswith(
        f"process {child.pid} stopped while it wrote to {str(store.path)!r}"
    )
    outcome = "All that it wrote is in the store." if done else "The store is as it was before."
    assert str(caught[0].message).endswith(f"its lock was removed. {outcome}")
    if not done:
        assert_frame_equal(now.measure(jk.Transitions()).frame, whole[1].measure(jk.Transitions()).frame)
    known = {str(each.relative_to(store.path)) for each in now.files}
    assert {each for each in left(now) if each.startswith("events")} == known
    assert not [each for each in left(now) if "/." in each or each.startswith(".") or each.endswith("lock")]


def test_an_append_may_be_killed_whenever(store: jk.Store) -> None:
    """Whatever moment it is: the store opens, and holds all of the new events or none."""
    for wait in (0.4, 0.8, 1.2, 1.6):
        child = appending(store, "whenever")
        time.sleep(wait)
        child.kill()
        child.wait(60)
        now = jk.open_store(store.path, verify=True).journeys(verify=True)
        assert (now.n_events - len(FIRST)) % len(NEW) == 0


def test_the_second_of_two_processes_is_told_who_is_first(store: jk.Store) -> None:
    child = appending(store, "wait")
    while not (store.path.parent / "holding").exists():
        assert child.poll() is None
        time.sleep(0.01)
    with pytest.raises(StoreError, match=rf"are being written by process {child.pid} on '.*' \(since "):
        store.append(events(NEW))
    assert store.journeys(verify=True).n_events == len(FIRST)
    (store.path.parent / "go").touch()
    assert child.wait(60) == 0
    assert store.journeys(verify=True).n_events == len(logs.SMALL_SHOP)
    assert not (store.path / "writing.lock").exists()
    store.append(events(NEW))
    assert store.journeys().n_events == len(logs.SMALL_SHOP) + len(NEW)
