"""False alarms, power and speed of experiments: A/A tests of simulated users, against what theory says.

    python benchmarks/experiments.py [--users 100000] [--simulations 2000]

Prints Markdown tables. The targets: false alarms 4 to 6 % at 5 % over 2,000 A/A tests; power within 3 points of theory;
1,000 A/A tests of 100,000 users in at most 60 s.
"""

from __future__ import annotations

import argparse
import time
from statistics import NormalDist

import numpy as np
import polars as pl

import journeykit as jk

HOUR = 3_600_000_000
START = 240 * HOUR


def shop(users: int, seed: int) -> jk.Journeys:
    """Simulate users who look and buy before and after the experiment starts, some far more than others."""
    rng = np.random.default_rng(seed)
    taste = rng.gamma(0.8, 1.2, users)
    before, after = rng.poisson(taste), rng.poisson(taste)
    user = np.concatenate(
        [np.arange(users), np.repeat(np.arange(users), before), np.repeat(np.arange(users), after)]
    )
    times = [
        np.full(users, START), rng.integers(0, START, before.sum()), rng.integers(START + 1, 2 * START, after.sum())
    ]  # fmt: skip
    bought = np.concatenate([np.zeros(users, bool), rng.random(user.size - users) < 0.3])
    log = pl.DataFrame({
        "user": user,
        "time": pl.Series(np.concatenate(times)).cast(pl.Datetime("us", "UTC")),
        "event": np.where(bought, "buy", "look"),
        "value": np.where(bought, rng.lognormal(3.8, 0.6, user.size), np.nan),
    }).with_columns(pl.col("value").fill_nan(None)).sort("time")  # fmt: skip
    return jk.read_events(log, user="user", time="time", event="event", value="value").sessionize("30m")


def question(cuped: str | None) -> jk.Experiment:
    """Return an experiment with the three kinds of metrics."""
    started = pl.Series([START]).cast(pl.Datetime("us"))[0]
    metrics = ["buy", jk.Metric("buy", "events"), jk.Metric("buy", "value")]
    return jk.Experiment("arm", metrics, started=started, cuped=cuped)


def theory(row: dict[str, float], effect: float) -> float:
    """Return the power of a two-sided test at 5 % with the standard error that was met."""
    normal, z = NormalDist(), NormalDist().inv_cdf(0.975)
    d = row["mean"] * effect / row["mean_error"]
    return normal.cdf(d - z) + normal.cdf(-d - z)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--simulations", type=int, default=2_000)
    asked = parser.parse_args()
    journeys = shop(asked.users, 1)
    print(f"{asked.users:,} users, {journeys.n_events:,} events\n")
    print("| past used | metric | A/A tests | false alarms | low | high | mean error | seconds of CPU |")
    print("|---|---|---|---|---|---|---|---|")
    for cuped in (None, "10d"):
        began = time.process_time()
        found = question(cuped).rehearse(journeys, rng=7, simulations=asked.simulations)
        took = time.process_time() - began
        for row in found.iter_rows(named=True):
            print(
                f"| {cuped or 'no'} | {row['metric']} | {row['simulations']:,} | {row['share']:.2%} | {row['low']:.2%} "
                f"| {row['high']:.2%} | {row['mean_error']:.5f} | {took:.1f} for the three |"
            )
    print("\n| past used | metric | effect | power | theory | covered |\n|---|---|---|---|---|---|")
    small = shop(10_000, 2)
    for cuped in (None, "10d"):
        for effect in (0.05, 0.1):
            found = question(cuped).rehearse(small, rng=3, simulations=asked.simulations, effect=effect)
            for row in found.iter_rows(named=True):
                print(
                    f"| {cuped or 'no'} | {row['metric']} | {effect:.0%} | {row['share']:.1%} "
                    f"| {theory(row, effect):.1%} | {row['covered']:.1%} |"
                )


if __name__ == "__main__":
    main()
