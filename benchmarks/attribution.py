"""How long attribution takes on ready journeys: all models, and the Markov chain of several orders.

    python benchmarks/attribution.py [--journeys 10000000] [--channels 10]

Prints a Markdown table: seconds of three runs, warm. The target: order 3 on 10 million journeys in at most 3 s.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

import journeykit as jk

HOUR = 3_600_000_000
CONVERTING = 0.1


def touched(journeys: int, channels: int, seed: int = 0) -> pl.DataFrame:
    """Make one path of 1 to 15 touches per user, the first channels more often; a tenth of them buy."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(0.35, journeys).clip(1, 15)
    user = np.repeat(np.arange(journeys, dtype=np.int32), lengths)
    firsts = np.cumsum(lengths) - lengths
    step = np.arange(user.size) - np.repeat(firsts, lengths)
    weights = 1 / np.arange(1, channels + 1)
    channel = rng.choice(channels, user.size, p=weights / weights.sum()).astype(np.uint32)
    times = np.repeat(rng.integers(0, 5_000, journeys), lengths) * HOUR + step * HOUR
    buyers = np.flatnonzero(rng.random(journeys) < CONVERTING)
    bought = times[firsts[buyers] + lengths[buyers] - 1] + HOUR // 60
    names = pl.Series([f"channel {i}" for i in range(channels)])
    log = pl.DataFrame({
        "user": np.concatenate([user, buyers.astype(np.int32)]),
        "time": pl.Series(np.concatenate([times, bought])).cast(pl.Datetime("us", "UTC")),
        "event": pl.concat([pl.repeat("visit", user.size, eager=True), pl.repeat("buy", buyers.size, eager=True)]),
        "channel": pl.concat([names.gather(channel), pl.repeat(None, buyers.size, dtype=pl.String, eager=True)]),
    })  # fmt: skip
    return log.sort("time")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--journeys", type=int, default=10_000_000)
    parser.add_argument("--channels", type=int, default=10)
    asked = parser.parse_args()
    log = touched(asked.journeys, asked.channels)
    journeys = jk.read_events(log, user="user", time="time", event="event", keep=["channel"]).sessionize(
        "30m"
    )
    print(f"{asked.journeys:,} journeys, {asked.channels} channels, {journeys.n_events:,} events\n")
    questions = {f"Markov chain, order {k}": {"models": "markov", "order": k} for k in (1, 2, 3)}
    questions["seven models, order 1"] = {}
    print("| question | seconds |\n|---|---|")
    for name, options in questions.items():
        question, took = jk.Attribution("buy", "channel", **options), []
        for _ in range(3):
            began = time.perf_counter()
            journeys.measure(question)
            took.append(time.perf_counter() - began)
        print(f"| {name} | {', '.join(f'{each:.2f}' for each in sorted(took))} |", flush=True)


if __name__ == "__main__":
    main()
