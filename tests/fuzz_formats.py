"""Broken logs, models and stores for the readers of our own formats: what they read, and what may come of it."""

from __future__ import annotations

import io
import json
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl

import journeykit as jk
from journeykit.errors import JourneykitError

LONGEST_SECONDS = 5.0
ROLES = {"user": "user", "time": "time", "event": "event"}
TOKENS = (
    b"", b"\0", b"\xff\xfe",
    b'"', b"'", b",", b"\n", b"\r\n", b"{", b"}", b"[", b"]", b"\\", b"-1", b"1e999", b"NaN", b"null",
    b"9" * 40, b"2026-13-45", "🙂".encode(), b"<script>", b"=1+1", b"../..", b"%s", b"\xed\xa0\x80", b"a" * 5_000,
)  # fmt: skip
LOG = pl.DataFrame(
    {
        "user": ["ada", "bob", "ada", "Ünï"] * 5,
        "time": [f"2026-01-05 10:{minute:02}:00" for minute in range(20)],
        "event": ["view", "cart", "buy", 'say "x", y'] * 5,
        "price": [1.5, None, 3.0, 4.25] * 5,
    }
)
STAGES = """planned_moves = [["look", "own"]]

[[stages]]
name = "look"
priority = 2
rules = ["view", {glob = "cart*", where = {column = "price", op = ">", value = 2.5}}]

[[stages]]
name = "own"
rules = [{regex = "^buy$", after = {names = ["cart"]}, within = "7d"}]
"""
ACCESS = "\n".join(
    f'203.0.113.{n} - - [05/Jan/2026:10:{n:02}:00 +0000] "GET /page/{n % 3}?q=1 HTTP/1.1" 200 {n} "-" "Mozilla/5.0"'
    for n in range(20)
)


def seeds(folder: Path) -> dict[str, tuple[bytes, Callable[[bytes], None]]]:
    """Give what each reader reads, and how to have it read other bytes."""
    parquet, typed = io.BytesIO(), LOG.with_columns(pl.col("time").str.to_datetime(time_zone="UTC"))
    typed.write_parquet(parquet)
    expected = jk.Expectations.of(jk.read_events(LOG, **ROLES, keep=["price"]))
    found = {
        "log.csv": (LOG.write_csv().encode(), log_reader(folder)),
        "log.ndjson": (LOG.write_ndjson().encode(), log_reader(folder)),
        "log.parquet": (parquet.getvalue(), log_reader(folder)),
        "log.log": (ACCESS.encode(), log_reader(folder)),
        "stages.toml": (STAGES.encode(), lambda content: stages(folder, content)),
        "expected.toml": (expected.dumps().encode(), lambda content: expectations(folder, content)),
    }
    store = jk.read_events(typed, **ROLES, keep=["price"]).sessionize("30m").write(folder / "store", shards=2)
    for file in sorted(each for each in store.rglob("*") if each.is_file()):
        name = f"store/{file.parent.name}" if file.suffix == ".parquet" else f"store/{file.name}"
        found.setdefault(name, (file.read_bytes(), store_reader(folder, store, file.relative_to(store))))
    return found


def log_reader(folder: Path) -> Callable[[bytes], None]:
    """Read a log to its journeys."""

    def read(content: bytes, ending: str = "") -> None:
        path = folder / f"mutated{ending}"
        path.write_bytes(content)
        roles = {} if ending == ".log" else ROLES
        events = jk.read_events(path, **roles, on_invalid="drop")
        assert events.quality.rows_kept == events.sessionize("30m").n_events

    return read


def stages(folder: Path, content: bytes) -> None:
    """Load a stage model."""
    path = folder / "mutated.toml"
    path.write_bytes(content)
    model = jk.StageModel.load(path)
    assert jk.StageModel.loads(model.dumps()) == model


def expectations(folder: Path, content: bytes) -> None:
    """Load expectations."""
    path = folder / "mutated.toml"
    path.write_bytes(content)
    loaded = jk.Expectations.load(path)
    assert jk.Expectations.loads(loaded.dumps()) == loaded


def store_reader(folder: Path, store: Path, file: Path) -> Callable[[bytes], None]:
    """Open a store of which one file is another; its manifest may say that this is its size."""

    def read(content: bytes) -> None:
        broken = folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(store, broken)
        (broken / file).write_bytes(content)
        if file.suffix == ".parquet":
            manifest = json.loads((broken / "manifest.json").read_text())
            for shard in manifest["shards"]:
                for each in shard["files"].values():
                    if each["file"] == str(file):
                        each["bytes"] = len(content)
            (broken / "manifest.json").write_text(json.dumps(manifest))
        opened = jk.open_store(broken)
        assert opened.journeys().frame.height == opened.journeys().n_events
        opened.measure(jk.Transitions(), jk.Overview())

    return read


def read_whole(name: str, read: Callable[..., None], content: bytes) -> str:
    """Read bytes that are whole: ``"read"``. The first reading may compile kernels."""
    read(content, Path(name).suffix) if name.startswith("log.") else read(content)
    return "read"


def outcome(name: str, read: Callable[..., None], content: bytes) -> str:
    """Read broken bytes: ``"read"``, or the kind of our error; anything else comes out as it is.

    Raises
    ------
    AssertionError
        If it takes longer than a reader may, or something that is none of our errors comes out.
    """
    # Of the process, not of the clock: other work on the machine is no fault of the reader.
    begun = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_whole(name, read, content)
        found = "read"
    except JourneykitError as error:
        found = type(error).__name__
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
    seconds = time.process_time() - begun
    assert seconds < LONGEST_SECONDS, f"{name} took {seconds:.1f} s"
    return found
