"""How long a report takes: journeys of the simulated shop, with segments, stages, the map and personas.

python benchmarks/report.py --users 1015000
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from logs import say, whole_number
from tables import machine, markdown

import journeykit as jk

QUESTION = {"start": "add_to_cart", "by": "device", "channel": "channel", "personas": 3}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=whole_number, default=1_015_000)
    users = parser.parse_args().users
    with TemporaryDirectory() as folder:
        shop = jk.datasets.simulate_shop(users, rng=1)
        shop.events.write_parquet(Path(folder) / "shop.parquet")
        rows = shop.events.height
        say(f"{rows:,} events")
        small = jk.datasets.simulate_shop(500, rng=1)
        reported(small, small.events, [])  # kernels are compiled
        steps: list[tuple[str, float, float]] = []
        report = reported(shop, Path(folder) / "shop.parquet", steps)
        size = report.write(Path(folder) / "journey.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{rows:,} events of {users:,} users. {machine()}.\n")
    print(
        markdown(
            ["step", "wall, s", "CPU, s"], [[what, f"{wall:.1f}", f"{cpu:.1f}"] for what, wall, cpu in steps]
        )
    )
    print(
        f"\nThe page has {size / 1e6:.2f} MB. Peak of the process, the simulation included: {peak:.1f} GiB."
    )


def reported(shop, source, steps):
    """Read, order, stage and report; note what each took."""

    def timed(what, work):
        wall, cpu = time.perf_counter(), time.process_time()
        found = work()
        steps.append((what, time.perf_counter() - wall, time.process_time() - cpu))
        return found

    events = timed(
        "read",
        lambda: jk.read_events(source, user="user", time="time", event="event", keep=["device", "channel"]),
    )
    model = jk.stages.five_stage(**shop.stages)
    journeys = timed("order, stages", lambda: events.sessionize("30m").assign_stages(model, missing="ignore"))
    return timed("the report", lambda: jk.report(journeys, "purchase", log=events, **QUESTION))


if __name__ == "__main__":
    main()
