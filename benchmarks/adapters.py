"""Readers of exports, timed on generated exports: ``python -m benchmarks.adapters [ga4|ndjson|log|xes|all]``."""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import journeykit as jk

EVENTS = ["page_view", "scroll", "view_item", "add_to_cart", "begin_checkout", "purchase"]
T = 1_767_571_200


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ga4(folder: Path, n: int) -> Path:
    """Events with six parameters each, in files of 500,000."""
    draw = np.random.default_rng(1)
    keys = [
        "ga_session_id",
        "ga_session_number",
        "page_location",
        "page_title",
        "engagement_time_msec",
        "value",
    ]
    for number in range(-(-n // 500_000)):
        size = min(500_000, n - number * 500_000)
        whole = np.tile(np.isin(np.arange(6), [0, 1, 4]), size)
        ints = pa.array(draw.integers(1, 9, size * 6) + np.where(whole, T, 0), mask=~whole)
        names = pa.array([f"https://shop.example/{page}" for page in range(500)])
        pages = names.take(pa.array(draw.integers(0, 500, size * 6), mask=whole))
        values = pa.StructArray.from_arrays(
            [
                pages,
                ints,
                pa.nulls(size * 6, pa.float64()),
                pa.nulls(size * 6, pa.float64()),
            ],
            names=["string_value", "int_value", "float_value", "double_value"],
        )
        parameters = pa.StructArray.from_arrays([pa.array(keys * size), values], names=["key", "value"])
        users = draw.integers(0, n // 12, size)
        table = pa.table(
            {
                "event_name": np.array(EVENTS)[draw.choice(6, size, p=[0.4, 0.3, 0.15, 0.08, 0.05, 0.02])],
                "event_timestamp": (T + number * 43_200) * 1_000_000
                + np.sort(draw.integers(0, 43_200_000_000, size)),
                "user_pseudo_id": [f"{user}.{user * 7919}" for user in users],
                "event_params": pa.ListArray.from_arrays(
                    np.arange(0, size * 6 + 1, 6, dtype=np.int32), parameters
                ),
                "batch_page_id": (T * 1_000) + np.arange(size),
            }
        )
        pq.write_table(table, folder / f"events_{number:03}.parquet")
    return folder


def mixpanel(folder: Path, n: int) -> Path:
    draw, path = random.Random(1), folder / "export.ndjson"
    with path.open("w") as lines:
        for number in range(n):
            properties = {
                "time": T + number, "distinct_id": f"u{draw.randrange(n // 12)}", "$browser": "Chrome",
                "$insert_id": f"{draw.getrandbits(64):016x}", "$current_url": f"https://shop.example/{number % 900}",
                "$os": "Mac OS X", "$city": "Berlin", "mp_country_code": "DE", "$screen_height": 1080, "mp_lib": "web",
                "$screen_width": 1920, "$lib_version": "2.45.0", "utm_source": None, "amount": number / 7,
            }  # fmt: skip
            lines.write(json.dumps({"event": draw.choice(EVENTS), "properties": properties}) + "\n")
    return path


def access_log(folder: Path, n: int) -> Path:
    draw, path = random.Random(1), folder / "access.log"
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0",
        "Googlebot/2.1 (+http://www.google.com/bot.html)",
    ]
    with path.open("w") as lines:
        for number in range(n):
            clock = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(T + number // 10))
            page = draw.choice(["/", "/cart", f"/p/{draw.randrange(5_000)}", "/a.css", "/logo.png?v=2"])
            user, agent = draw.randrange(n // 12), draw.choices(agents, [9, 1])[0]
            lines.write(
                f'10.{user >> 16}.{user >> 8 & 255}.{user & 255} - - [{clock}] "GET {page} HTTP/1.1" 200 512 '
                f'"https://find.example/" "{agent}"\n'
            )
    return path


def xes(folder: Path, n: int) -> Path:
    draw, path = random.Random(1), folder / "log.xes.gz"
    with gzip.open(path, "wt", compresslevel=1) as lines:
        lines.write('<log xmlns="http://www.xes-standard.org/">')
        for case in range(n // 10):
            lines.write(f'<trace><string key="concept:name" value="{case}"/>')
            for step in range(10):
                clock = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(T + case * 60 + step * 600))
                lines.write(
                    f'<event><string key="concept:name" value="{draw.choice(EVENTS)}"/>'
                    f'<date key="time:timestamp" value="{clock}"/><string key="org:resource" value="r{case % 40}"/>'
                    f'<string key="lifecycle:transition" value="complete"/></event>\n'
                )
            lines.write("</trace>")
        lines.write("</log>")
    return path


def timed(name: str, folder: Path, n: int) -> str:
    """Make an export of `n` events, read it to journeys, and say how long that took."""
    path = {"ga4": ga4, "ndjson": mixpanel, "log": access_log, "xes": xes}[name](folder, n)
    read = {"ga4": jk.read_ga4, "ndjson": jk.read_mixpanel, "log": jk.read_access_log, "xes": jk.read_xes}[
        name
    ]
    to_events = seconds(lambda: read(path))
    journeys: list[Any] = []
    # The second time, when the kernels are compiled.
    to_journeys = min(seconds(lambda: journeys.append(read(path).sessionize("30m"))) for _ in range(2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    line = f"{name}: {n:,} events, to events {to_events:.2f} s, to journeys {to_journeys:.2f} s, peak {peak:,} MB"
    if name == "ndjson":
        own = seconds(lambda: pl.scan_ndjson(path).collect())
        line += f"; polars' own reading {own:.2f} s, so {own / to_events:.0%} of its speed"
    return line


SIZES = {"ga4": 5_000_000, "ndjson": 1_000_000, "log": 1_000_000, "xes": 260_000}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=[*SIZES, "all"], default="all", nargs="?")
    parser.add_argument("--events", type=int)
    given = parser.parse_args()
    for each in SIZES if given.name == "all" else [given.name]:
        with TemporaryDirectory() as made:
            print(timed(each, Path(made), given.events or SIZES[each]), flush=True)
