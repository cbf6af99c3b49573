"""Broken exports for the readers of vendors: only journeykit's errors come out, in time and in memory.

``python -m tests.fuzz_exports ga4 10000 [seed]`` reads that many mutated files, and says what came out.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import journeykit as jk
from tests import exports
from tests.mutating import mutated
from tests.unit import test_adapter_files as files

HOSTILE = [
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"\\", b"\\\t", b"\n", b"\r", b"\t", b",", b"{", b"}", b"[", b"]",
    b"null", b"NaN", b"-1", b"1e999", b"99999999999999999999", b"-9223372036854775808", b"true", b"'", b"<", b"&x;",
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b"]]>", b"=cmd()", b"PK\x03\x04", b"\x1f\x8b", b"[" * 300, b'{"a":' * 300,
]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    2**63,
    1e300,
    "",
    "x",
    "\u0000",
    [],
    {},
    [1, "a"],
    {"a": {"b": []}},
    "[1]",
]
SLOWEST, LARGEST = 5.0, 2 << 30
"""Seconds of CPU for one file; bytes of the process."""
CONTAINERS = ("ndjson", "ndjson", "ndjson", "json", "csv", "csv", "json.gz", "zip", "parquet")


@cache
def seeds() -> dict[str, list[tuple[str, bytes]]]:
    """Return whole files by reader, each with the ending of its name."""
    with TemporaryDirectory() as folder:
        found = {
            export.name: [
                (kind, exports.write(export, Path(folder), kind).read_bytes())
                for kind in CONTAINERS
                if (export.name, kind) != ("ga4", "csv")
            ]
            for export in exports.EXPORTS
        }
        visits = json.dumps(files.VISITS).encode()
        lines = "\n".join(map(json.dumps, files.VISITS)).encode()
        requests = "".join(files.LINE.format(*row) for row in files.REQUESTS).encode()
        answers = b'User,Date Submitted,Source URL,"Why?"\nu1,2026-01-05 10:00:00,https://x/,"a, ""b"""\n'
        found |= {
            "matomo": [("json", visits), ("ndjson", lines)],
            "hotjar": [("csv", answers)],
            "access_log": [("log", requests)],
            "xes": [("xes", files.XES.encode())],
            "adobe": [
                ("zip", files.deliver(Path(folder), "zip").read_bytes()),
                *[("tsv", files.feed()["hit_data.tsv"])] * 4,
            ],
        }
    return found


def _other_values(content: bytes, draw: random.Random) -> bytes:
    """Give values of lines of JSON another type, and take keys away."""
    try:
        rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        return content
    for row in rows:
        place = row
        while isinstance(place, dict) and place:
            key = draw.choice(list(place))
            if draw.random() < 0.5 and isinstance(place[key], dict):
                place = place[key]
                continue
            if draw.random() < 0.3:
                del place[key]
            else:
                place[key] = draw.choice(VALUES)
            break
    return "\n".join(map(json.dumps, rows)).encode()


def read_once(name: str, kind: str, content: bytes, draw: random.Random, folder: Path) -> str:
    """Read one file, and return the name of what came out; anything but an error of ours goes up."""
    path = folder / f"fuzz.{kind}"
    path.write_bytes(content)
    (folder / "column_headers.tsv").write_bytes(files.feed()["column_headers.tsv"])
    options: dict[str, Any] = {"on_invalid": draw.choice(["raise", "drop", "drop"])}
    if draw.random() < 0.3:
        options["keep"] = (
            ["page"] if name not in ("xes", "rudderstack") else ["platform" if name != "xes" else "role"]
        )
    if draw.random() < 0.3:
        options |= {"deduplicate": False, "leave_out": []}
    try:
        if draw.random() < 0.3:
            getattr(jk, f"scan_{name}")(path, **options).sessionize("30m").collect()
        else:
            events = getattr(jk, f"read_{name}")(path, **options)
            assert events.columns.height == events.quality.rows_kept > 0
    except jk.JourneykitError as error:
        return type(error).__name__ if str(error).strip() else "an error without a message"
    return "read"


def fuzz(name: str, inputs: int, seed: int = 0) -> tuple[Counter[str], float]:
    """Read mutated files; return what came out, and the seconds of CPU of the slowest.

    Raises
    ------
    AssertionError
        If a reader takes too long or too much memory.
    """
    draw, results, slowest, before = random.Random(seed), Counter[str](), 0.0, peak_bytes()
    whole = seeds()[name]
    with TemporaryDirectory() as folder:
        for number in range(inputs):
            kind, content = draw.choice(whole)
            if draw.random() < 0.3:
                content = _other_values(content, draw)
            content = mutated(content, draw, HOSTILE)
            # Of the process, not of the clock: other work on the machine is no fault of the reader.
            started = time.process_time()
            try:
                results[read_once(name, kind, content, draw, Path(folder))] += 1
            except BaseException as error:
                error.add_note(f"read_{name}, seed {seed}, input {number}, .{kind}: {content[:2_000]!r}")
                raise
            slowest = max(slowest, time.process_time() - started)
    assert slowest < SLOWEST, f"read_{name} took {slowest:.1f} s"
    grown = peak_bytes() - before
    assert grown < LARGEST, f"read_{name} took {grown:,} bytes"
    return results, slowest


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


if __name__ == "__main__":
    reader, inputs, seed = sys.argv[1], int(sys.argv[2]), int(dict(enumerate(sys.argv)).get(3, "0"))
    counts, seconds = fuzz(reader, inputs, seed)
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    sys.stdout.write(
        f"read_{reader}: {inputs:,} inputs: {shown}; slowest {seconds:.2f} s of CPU, peak {peak_bytes() >> 20:,} MB\n"
    )
