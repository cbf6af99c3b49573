"""Out of core by hand: what is refused, what is left on disk when something goes wrong, what a caller is told."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import ParameterError, ShardError, UnknownPropertyError, WorkspaceError

DAY = 86_400


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Forty users with three events each, in two days."""
    rows = [
        {
            "user": f"u{user}",
            "time": user + DAY * (user % 2) + 60 * step,
            "event": name,
            "device": "ab"[user % 2],
        }
        for user in range(40)
        for step, name in enumerate(("see", "put", "buy")[: 1 + user % 3])
    ]
    path = tmp_path / "log.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def plan(log: Path, **options: Any) -> jk.JourneysPlan:
    return jk.scan_events(
        str(log), user="user", time="time", event="event", unit="s", keep=["device"], **options
    ).sessionize("30m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def acting(step: str, action: Any) -> Any:
    """Do something when a step begins."""
    return lambda progress: action() if progress.step == step and not progress.rows else None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 4}, "memory cannot be 4. Give a size with its unit, such as '4GB'."),
        ({"memory": "4"}, "memory cannot be '4'. Give a size with its unit, such as '4GB'."),
        ({"memory": "1MB"}, "memory='1MB' is too little. Give at least '64MB'."),
        ({"shards": 0}, "shards cannot be 0. Give a whole number from 1 to 16,384, or 'auto'."),
        ({"shards": True}, "shards cannot be True. Give a whole number from 1 to 16,384, or 'auto'."),
        ({"progress": 1}, "progress cannot be 1. Give a function that takes a Progress."),
    ],
)
def test_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as error:
        jk.OutOfCore(**options)
    assert str(error.value) == message


@pytest.mark.parametrize(("memory", "size"), [("4GB", 4 * 10**9), ("1.5 GiB", 3 << 29), ("64MiB", 64 << 20)])
def test_memory_has_a_unit(memory: str, size: int) -> None:
    assert jk.OutOfCore(memory=memory).memory_bytes == size


def test_conditions_over_other_rows_are_refused_before_reading(log: Path, folder: Path) -> None:
    asked = plan(log).filter(pl.col("device") == pl.col("device").shift())
    log.unlink()
    with pytest.raises(ParameterError, match="looks at other rows, and shards do not see each other's"):
        asked.measure(jk.Transitions(), engine=jk.OutOfCore(directory=folder))
    with pytest.raises(UnknownPropertyError):
        plan_without_file(log).measure(jk.Transitions(), by="devise", engine=jk.OutOfCore(directory=folder))
    assert not [*folder.iterdir()]


def plan_without_file(log: Path) -> jk.JourneysPlan:
    pl.DataFrame({"user": ["a"], "time": [0], "event": ["see"], "device": ["a"]}).write_parquet(log)
    asked = plan(log)
    log.unlink()
    return asked


def test_progress_counts_every_row_of_every_step(log: Path, folder: Path) -> None:
    told: list[jk.Progress] = []
    engine = jk.OutOfCore(directory=folder, shards=3, progress=told.append)
    answer = plan(log).measure(jk.Transitions(), engine=engine)
    steps = list(dict.fromkeys(each.step for each in told))
    assert steps == ["cutting the log", "ordering", "measuring"]
    for step in steps:
        own = [each for each in told if each.step == step]
        assert (own[0].rows, own[-1].rows, own[-1].total) == (
            0,
            answer.context.n_events,
            answer.context.n_events,
        )
        assert own[-1].seconds_left == 0
    assert jk.Progress("ordering", 25, 100, 2.0).seconds_left == 6.0


def test_a_full_disk_is_said_and_nothing_is_left(
    log: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.writev", full)
    with pytest.raises(WorkspaceError) as error:
        plan(log).measure(jk.Transitions(), engine=jk.OutOfCore(directory=folder))
    found = str(error.value)
    assert found.startswith(
        f"writing the shards to {str(folder)!r} failed: [Errno 28] No space left on device, "
    )
    assert found.endswith("bytes are free there. The temporary files were removed. Pass directory=<a folder on a disk "
                          "with room>: the shards need about as much as the log uncompressed.")  # fmt: skip
    assert not [*folder.iterdir()]


def test_a_real_disk_that_is_full(log: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be made by root only")
    try:
        with pytest.raises(WorkspaceError, match="No space left on device"):
            plan(log).measure(jk.Transitions(), engine=jk.OutOfCore(directory=small))
        assert not [*small.iterdir()]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_writes_that_the_system_cuts_short_go_on(
    log: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    monkeypatch.setattr("os.writev", lambda number, buffers: whole(number, buffers[0][:7]))
    engine = jk.OutOfCore(directory=folder, shards=2)
    found = plan(log).measure(jk.Transitions(), by="device", engine=engine)
    assert_frame_equal(found.frame, plan(log).measure(jk.Transitions(), by="device").frame)


@pytest.mark.parametrize(
    ("step", "pattern"),
    [("ordering", "bucket-*"), ("measuring", "shard-*/times.npy"), ("measuring", "shard-*/about.pickle")],
)
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_parts_that_cannot_be_read_back(step: str, pattern: str, harm: str, log: Path, folder: Path) -> None:
    def spoil() -> None:
        for file in folder.glob(f"*/{pattern}"):
            if harm == "gone":
                file.unlink()
            else:
                file.write_bytes(file.read_bytes()[:-9])

    engine = jk.OutOfCore(directory=folder, shards=2, progress=acting(step, spoil))
    with pytest.raises(WorkspaceError, match=r"^shard \d of \d cannot be read back: .* changed or removed"):
        plan(log).measure(jk.Transitions(), engine=engine)
    assert not [*folder.iterdir()]


@pytest.mark.parametrize("step", ["cutting the log", "ordering", "measuring"])
def test_an_interruption_leaves_nothing(step: str, log: Path, folder: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan(log).measure(
            jk.Transitions(), engine=jk.OutOfCore(directory=folder, progress=acting(step, interrupt))
        )
    assert not [*folder.iterdir()]


SCRIPT = """
    import sys, time
    import journeykit as jk

    def wait(progress):
        if progress.step == "measuring":
            print("measuring", flush=True)
            time.sleep(60)

    log, folder = sys.argv[1:]
    plan = jk.scan_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    plan.measure(jk.Transitions(), engine=jk.OutOfCore(directory=folder, progress=wait))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_process_that_is_ended_in_the_middle(number: int, code: int, log: Path, folder: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(log), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "measuring\n"
        (left,) = folder.iterdir()
        plan(log).measure(jk.Transitions(), engine=jk.OutOfCore(directory=folder))
        assert left.exists()
        process.send_signal(number)
        assert process.wait(20) == code
    if number != signal.SIGKILL:
        assert not [*folder.iterdir()]
        return
    with pytest.warns(jk.JourneykitWarning) as caught:
        plan(log).measure(jk.Transitions(), engine=jk.OutOfCore(directory=folder))
    assert [str(each.message) for each in caught] == [
        f"removed {str(left)!r}, which a run that was killed had left."
    ]
    assert not [*folder.iterdir()]


def test_a_folder_that_cannot_be_used(log: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(WorkspaceError) as error:
        plan(log).measure(jk.Transitions(), engine=jk.OutOfCore(directory=file))
    assert str(error.value) == (
        f"no temporary files can be made in {str(file)!r}: File exists. Pass directory=<a folder on a disk with room>."
    )


class Failing(jk.Transitions):
    """Fails where there is a user."""

    def tally(self, shard: Any, cells: Any) -> Any:
        raise ZeroDivisionError("no such thing")


def test_a_statistic_that_fails_is_named_with_its_shard(log: Path, folder: Path) -> None:
    with pytest.raises(ShardError) as error:
        plan(log).measure(Failing(), engine=jk.OutOfCore(directory=folder, shards=2))
    assert "failed on shard 1 of 2: ZeroDivisionError: no such thing. No answer was made." in str(error.value)
    assert "Failing(" in str(error.value)
    assert not [*folder.iterdir()]


def test_one_user_with_most_events(folder: Path, tmp_path: Path) -> None:
    rows = pl.DataFrame({"time": range(200_000)}).with_columns(
        user=pl.when(pl.col("time") % 100 == 0).then(pl.format("u{}", "time")).otherwise(pl.lit("giant")),
        event=pl.format("e{}", pl.col("time") % 7),
    )
    file = tmp_path / "giant.parquet"
    rows.write_parquet(file, row_group_size=30_000)
    asked = jk.scan_events(str(file), user="user", time="time", event="event", unit="s").sessionize("30m")
    statistics = jk.Transitions(unit="user"), jk.TopPaths(5)
    engine = jk.OutOfCore(memory="64MB", directory=folder)
    for found, wanted in zip(
        asked.measure(*statistics, engine=engine), asked.measure(*statistics), strict=True
    ):
        assert_frame_equal(found.frame, wanted.frame)
