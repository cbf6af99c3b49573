"""How often the 95 % intervals hold the planted truth: many simulated shops, one table.

    python benchmarks/interval_coverage.py --shops 200 --users 1500 --processes 2 --out coverage.md

`planted_truths` says what is true, `MEASURERS` holds the ways to estimate it. "journeykit" asks the public
API, "models" too, for chains, what-if, attribution and times (`model_truths.py`). "plain" is a control written
with polars alone (ratio of sums over users, linearised), which shows that the harness and the planted truths
are right whatever journeykit does.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
from model_truths import measure_models, model_truths

import journeykit as jk
from journeykit.datasets import ShopTruth, SimulatedShop, simulate_shop
from journeykit.mathematics.intervals import GROUPS, jackknife
from journeykit.protocol import Context, Tables

Measurer = Callable[[SimulatedShop], pl.DataFrame]
Truths = Callable[[ShopTruth, int], pl.DataFrame]

KEYS = ["truth", "device", "source", "target"]
ALL, RATE = "all", ""
PURCHASE, START = "purchase", "<START>"
LOWEST, HIGHEST = 0.92, 0.98


def planted_truths(truth: ShopTruth, users: int = 0) -> pl.DataFrame:
    """List every truth to be covered: `truth`, `device` ("all" for both), `source`, `target`, `value`."""
    stages = pl.concat(
        [
            truth.stage_transitions.select(pl.lit(ALL).alias("device"), pl.all()),
            truth.stage_transitions_by_device,
        ]
    ).select(pl.lit("stage transition").alias("truth"), *KEYS[1:], pl.col("probability").alias("value"))
    rates = [
        (
            "cart abandonment",
            {ALL: truth.cart_abandonment_rate} | dict(truth.cart_abandonment_rate_by_device),
        ),
        ("conversion", {ALL: truth.conversion_rate} | dict(truth.conversion_rate_by_device)),
        ("effect of mobile", {"mobile - desktop": truth.device_effect}),
    ]
    rows = [
        {"truth": name, "device": device, "source": RATE, "target": RATE, "value": value}
        for name, values in rates
        for device, value in values.items()
    ]
    return pl.concat([stages, pl.DataFrame(rows)])


# The public API


def measure_with_journeykit(shop: SimulatedShop) -> pl.DataFrame:
    """Estimate the truths through the public API: the columns of KEYS, `low` and `high` (null: no interval).

    One row per truth that the API answers; a truth without a row counts as not measured, not as missed.
    `device` is "all" for the pooled answer, `source` and `target` are RATE ("") except for stage transitions.
    """
    journeys = (
        jk.read_events(shop.events, user="user", time="time", event="event", keep=["device"])
        .sessionize(timeout="30m")
        .assign_stages(jk.stages.five_stage(**shop.stages))
    )
    flow = jk.Transitions(of="stage", unit="session")
    cart = jk.Abandonment(PURCHASE, start="add_to_cart", unit="session")
    conversion = jk.Conversion(PURCHASE)
    found = []
    for by in (None, "device"):
        edges, lost, states = journeys.measure(flow, cart, conversion, by=by)
        sessions = states.frame.filter(pl.col("state") == START)
        bounds = {"abandonment_rate_low": "low", "abandonment_rate_high": "high"}
        found += [
            _rows("stage transition", edges.frame),
            _rows("cart abandonment", lost.frame.select(pl.exclude("low", "high")).rename(bounds)),
            _rows("conversion", sessions),
        ]
    found.append(_rows("effect of mobile", journeys.measure(ConversionEffect(PURCHASE), by="device")))
    return pl.concat(found)


def _rows(truth: str, frame: pl.DataFrame) -> pl.DataFrame:
    missing = {"device": ALL, "source": RATE, "target": RATE}
    return frame.select(
        pl.lit(truth).alias("truth"),
        *(
            pl.col(key).cast(pl.String) if key in frame.columns else pl.lit(missing[key]).alias(key)
            for key in KEYS[1:]
        ),
        "low",
        "high",
    )


class ConversionEffect(jk.Conversion):
    """Session conversion on mobile minus that on desktop, with the jackknife of D12.3 on the identity scale.

    Stands in for a comparison of segments: the same tally, another answer.
    """

    def answer(self, tables: Tables, context: Context) -> pl.DataFrame:  # type: ignore[override]
        """Return one row: `device`, `estimate`, `low`, `high`."""
        states = tables["states"].filter(pl.col("state") == len(context.names))
        devices = context.labels["device"].to_list()
        parts = np.zeros((2, len(devices), GROUPS))
        cell, group = states["cell"].to_numpy(), states["group"].to_numpy()
        for number, column in enumerate(("converted", "reached")):
            np.add.at(parts[number], (cell, group), states[column].to_numpy())
        total = parts.sum(axis=2)
        rate = total[0] / total[1]
        without = (total[0][:, None] - parts[0]) / (total[1][:, None] - parts[1])
        mobile, desktop = devices.index("mobile"), devices.index("desktop")
        estimate = np.array([rate[mobile] - rate[desktop]])
        replicates = (without[mobile] - without[desktop])[None, :]
        groups = np.array([np.unique(group).size])
        bounds = jackknife(estimate, replicates, groups, np.array([0]), scale="identity", level=context.level)
        return pl.DataFrame(
            {"device": ["mobile - desktop"], "estimate": estimate, "low": bounds.low, "high": bounds.high}
        )


# The control


def measure_plainly(shop: SimulatedShop) -> pl.DataFrame:
    """Estimate the same without journeykit: ratios of sums over independent users, linearised."""
    stage = {event: name for name, events in shop.stages.items() for event in events}
    cut = (pl.col("time").diff() > pl.duration(minutes=30)) | (pl.col("user") != pl.col("user").shift())
    events = shop.events.sort("user", "time").with_columns(
        cut.fill_null(True).cast(pl.Int64).cum_sum().alias("session"),
        pl.col("event").replace_strict(stage).alias("stage"),
    )
    users = pl.concat([_plain_moves(events), _plain_rates(events)])
    pooled = users.with_columns(pl.lit(ALL).alias("device"))
    found = pl.concat([_plain_ratios(users), _plain_ratios(pooled)])
    rate = found.filter(pl.col("truth") == "conversion")
    mobile, desktop = (
        rate.row(by_predicate=pl.col("device") == name, named=True) for name in ("mobile", "desktop")
    )
    effect = pl.DataFrame(
        {
            "truth": ["effect of mobile"],
            "device": ["mobile - desktop"],
            "source": [RATE],
            "target": [RATE],
            "estimate": [mobile["estimate"] - desktop["estimate"]],
            "error": [(mobile["error"] ** 2 + desktop["error"] ** 2) ** 0.5],
        }
    )
    estimate, margin = pl.col("estimate"), 1.959964 * pl.col("error")
    return pl.concat([found, effect]).select(
        *KEYS, (estimate - margin).alias("low"), (estimate + margin).alias("high")
    )


def _plain_moves(events: pl.DataFrame) -> pl.DataFrame:
    """Count per user and edge the moves (`hit`) and the moves from its source (`base`)."""
    states = events.select("user", "device", "session", source="stage").with_columns(
        pl.col("source").shift(-1).over("session").fill_null("<END>").alias("target")
    )
    entries = states.group_by("session", maintain_order=True).first()
    entries = entries.select("user", "device", "session", source=pl.lit("<START>"), target="source")
    moves = (
        pl.concat([states, entries]).group_by("user", "device", "source", "target").agg(pl.len().alias("hit"))
    )
    base = moves.group_by("user", "device", "source").agg(pl.col("hit").sum().alias("base"))
    edges = moves.select("source", "target").unique()
    return (
        base.join(edges, on="source")
        .join(moves, on=["user", "device", "source", "target"], how="left")
        .select(
            pl.lit("stage transition").alias("truth"),
            *KEYS[1:],
            pl.col("hit").fill_null(0).cast(pl.Int64),
            pl.col("base").cast(pl.Int64),
        )
    )


def _plain_rates(events: pl.DataFrame) -> pl.DataFrame:
    bought, carted = pl.col("event") == "purchase", pl.col("event") == "add_to_cart"
    sessions = (
        events.with_columns(in_cart=carted.cast(pl.Int64).cum_sum().over("session") > 0)
        .group_by("user", "device", "session")
        .agg(
            bought.any().alias("bought"),
            carted.any().alias("carted"),
            (bought & pl.col("in_cart")).any().alias("kept"),
        )
    )
    lost = (pl.col("carted") & ~pl.col("kept")).alias("hit")
    counted = [
        ("conversion", sessions.select("user", "device", hit="bought", base=pl.lit(True))),
        ("cart abandonment", sessions.select("user", "device", lost, base="carted")),
    ]
    return pl.concat(
        frame.group_by("user", "device")
        .agg(pl.col("hit", "base").cast(pl.Int64).sum())
        .select(
            pl.lit(name).alias("truth"),
            "device",
            pl.lit(RATE).alias("source"),
            pl.lit(RATE).alias("target"),
            "hit",
            "base",
        )
        for name, frame in counted
    )


def _plain_ratios(users: pl.DataFrame) -> pl.DataFrame:
    hit, base = pl.col("hit"), pl.col("base")
    ratio = hit.sum() / base.sum()
    error = ((hit - ratio * base) ** 2).sum().sqrt() / base.sum()
    return users.group_by(KEYS).agg(ratio.alias("estimate"), error.alias("error"))


MEASURERS: Mapping[str, tuple[Truths, Measurer]] = {
    "journeykit": (planted_truths, measure_with_journeykit),
    "models": (model_truths, measure_models),
    "plain": (planted_truths, measure_plainly),
}


# The loop and the table


def covered(truths: Truths, measure: Measurer, seeds: Iterable[int], users: int) -> pl.DataFrame:
    """Simulate one shop per seed; give per truth and seed whether its interval holds it (null: none)."""
    rows = []
    for seed in seeds:
        shop = simulate_shop(users, rng=seed)
        found = measure(shop).select(*KEYS, pl.col("low", "high").cast(pl.Float64))
        joined = truths(shop.truth, users).join(found, on=KEYS, how="left", validate="1:1")
        held = pl.col("value").is_between("low", "high")
        rows.append(
            joined.select(pl.lit(seed).alias("seed"), *KEYS, "value", "low", "high", held.alias("held"))
        )
    return pl.concat(rows)


def covered_in_processes(measurer: str, seeds: Sequence[int], users: int, processes: int) -> pl.DataFrame:
    """Do the same in several processes, one core each; results do not depend on how many."""
    if processes == 1:
        return covered(*MEASURERS[measurer], seeds, users)
    os.environ["POLARS_MAX_THREADS"] = "1"
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_covered_one, measurer, seed, users) for seed in seeds]
        return pl.concat(task.result() for task in tasks)


def _covered_one(measurer: str, seed: int, users: int) -> pl.DataFrame:
    return covered(*MEASURERS[measurer], [seed], users)


def coverage(held: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Give intervals made, the share that holds the truth, and its binomial standard error.

    Intervals of one shop depend on one another, so the error of a row that joins several truths is from the
    share per shop, not from the number of intervals.
    """
    per_shop = held.group_by(*by, "seed").agg(
        pl.col("held").count().alias("intervals"),
        pl.col("held").null_count().alias("none"),
        pl.col("held").mean(),
    )
    shops = pl.col("held").count()
    summary = per_shop.group_by(by).agg(
        pl.col("intervals", "none").sum().cast(pl.Int64),
        ((pl.col("held") * pl.col("intervals")).sum() / pl.col("intervals").sum())
        .fill_nan(None)
        .alias("coverage"),
        (pl.col("held").std() / shops.sqrt()).alias("error"),
        (pl.col("intervals").max() == 1).alias("single"),
        shops.alias("shops"),
    )
    binomial = (pl.col("coverage") * (1 - pl.col("coverage")) / pl.col("shops")).sqrt()
    error = pl.when("single").then(binomial).otherwise("error")
    return summary.select(*by, "intervals", "none", "coverage", error.alias("standard_error")).sort(by)


def markdown(table: pl.DataFrame) -> str:
    """Write a table for RESULTS.md."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * table.width]
    for row in table.iter_rows():
        cells = [
            "" if cell is None else f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(held: pl.DataFrame, measurer: str, users: int, seconds: float) -> str:
    """Write the coverage of each kind of truth, and of each single truth."""
    shops = held["seed"].n_unique()
    kinds = coverage(held, ["truth", "device"])
    singles = coverage(held, KEYS).filter(pl.col("intervals") > 0)
    outside = singles.filter(~pl.col("coverage").is_between(LOWEST, HIGHEST)).height
    everything = coverage(held.with_columns(pl.lit("all").alias("truth")), ["truth"])
    remark = (
        f"{seconds:.0f} s. A row of several truths has its standard error from the share per shop. "
        f"Single truths outside {LOWEST:.0%} to {HIGHEST:.0%}: {outside} of {singles.height}."
    )
    return "\n\n".join(
        [
            f"## Coverage of the 95 % intervals: {shops} simulated shops of {users:,} users, by {measurer}",
            remark,
            markdown(everything),
            markdown(kinds),
            "### Each truth",
            markdown(singles),
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; exit with 1 if the coverage over all truths is outside the bounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shops", type=int, default=200)
    parser.add_argument("--users", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first shop; the others follow")
    parser.add_argument("--measure", choices=MEASURERS, default="journeykit")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a Parquet file for every single interval")
    parser.add_argument("--out", type=Path, help="a markdown file; without it, standard output")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    seeds = range(options.seed, options.seed + options.shops)
    held = covered_in_processes(options.measure, seeds, options.users, options.processes)
    if options.keep:
        held.write_parquet(options.keep)
    text = report(held, options.measure, options.users, time.perf_counter() - began)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    share = held["held"].mean()
    return 0 if isinstance(share, float) and LOWEST <= share <= HIGHEST else 1


if __name__ == "__main__":
    raise SystemExit(main())
