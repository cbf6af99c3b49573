"""How long it takes to join ids: millions of pairs into users, and a log stitched by them; and how right it is.

python benchmarks/identity.py --pairs 10m
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from dataclasses import replace

import numpy as np
import polars as pl
from logs import whole_number

import journeykit as jk


def pairs(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Make pairs of device and login: 2 devices to a login, seen 2.5 times; some are shared by two, a few by many."""
    people = max(1, n // 5)
    login = rng.integers(0, people, n)
    device = 2 * login + rng.integers(0, 2, n)
    shared = rng.random(n) < 0.02
    device[shared] = 2 * rng.integers(0, people, int(shared.sum()))
    kiosk = rng.random(n) < 0.001
    device[kiosk] = 2 * people + rng.integers(0, 20, int(kiosk.sum()))
    numbers = pl.DataFrame({"device": device, "login": login, "time": rng.integers(0, 90 * 86_400, n)})
    device_text = pl.format("d-{}", pl.col("device").cast(pl.String).str.zfill(9))
    return numbers.with_columns(device_text, pl.format("user{}@mail.example", "login").alias("login"))


def measure(what: str, work):
    """Run once, and print a row of the table."""
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"| {what} | {wall:.1f} | {cpu:.1f} | {peak:.1f} |", flush=True)
    return result


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=whole_number, default=10_000_000)
    parser.add_argument("--customers", type=whole_number, default=20_000)
    asked = parser.parse_args()
    small = pairs(1_000, np.random.default_rng(1))  # kernels are compiled
    for known in ({}, {"time": "time", "unit": "s"}):
        jk.Identity.of(small, ["device", "login"], rules=jk.IdentityRules(strong="login"), **known)
    table = pairs(asked.pairs, np.random.default_rng(1))
    print(f"{asked.pairs:,} pairs, load {os.getloadavg()[0]:.1f}\n")
    print("| what | wall s | CPU s | peak of the process so far, GiB |\n|---|---|---|---|")
    strong = jk.IdentityRules(strong="login")
    ids = ["device", "login"]
    measure("components alone: no strong kind", lambda: jk.Identity.of(table, ids, rules=jk.IdentityRules()))
    found = measure(
        "one login per user, shared devices, kiosks",
        lambda: jk.Identity.of(table, ids, time="time", unit="s", rules=strong),
    )
    late = jk.IdentityRules(strong="login", retroactive=False)
    measure(
        "the same from the login on", lambda: jk.Identity.of(table, ids, time="time", unit="s", rules=late)
    )
    log = table.select(id="device", time="time", event=pl.lit("view"))
    events = measure(
        "read a log of as many events",
        lambda: jk.read_events(log, user="id", time="time", event="event", unit="s"),
    )
    measure("stitch it", lambda: events.stitch(found))
    print(f"\n{found.n_ids:,} ids, {found.n_users:,} users")
    quality(asked.customers)


def quality(customers: int) -> None:
    """Print precision, recall, conversion and attribution for rules that are more and less careful."""
    simulated = jk.datasets.simulate_omnichannel(customers, rng=1)
    events = jk.combine(simulated.sources)
    kinds = ["cookie", "device", "login", "customer", "email", "loyalty_card"]
    rules = {
        "limits: one login, shared ids are nobody's": jk.IdentityRules(
            strong=("login", "customer"), max_logins=1
        ),
        "one login; the first one owns a shared id": jk.IdentityRules(
            strong=("login", "customer"), max_logins=None
        ),
        "no limits at all": jk.IdentityRules(max_ids=None),
    }
    print(f"\n{customers:,} simulated customers\n")
    print(
        "| identity | precision | recall | users | order within 30 days | first touch Paid Social | last touch Direct |"
    )
    print("|---|---|---|---|---|---|---|")
    row("login, else cookie", events, None)
    web, app, *others = simulated.sources
    cookies = jk.combine([replace(web, user="cookie"), replace(app, user="device"), *others])
    row("cookie", cookies, None)
    for name, rule in rules.items():
        identity = jk.Identity.of(simulated.links, kinds, time="time", rules=rule)
        row(name, events.stitch(identity), identity.score(simulated.truth))
    person = simulated.truth.select("id", person=pl.concat_str(pl.lit("person "), "person"))
    right = jk.Identity.of(
        person, {"id": "id", "person": "person"}, rules=jk.IdentityRules(strong="person", max_ids=None)
    )
    row("the truth", events.stitch(right), None)


def row(name: str, events, score) -> None:
    """Print what one identity makes of the customers."""
    rules = jk.channels.ga4(source="utm_source", medium="utm_medium", campaign="utm_campaign")
    journeys = events.sessionize("30m").assign_channels(rules)
    funnel = journeys.measure(jk.Funnel(["view", "order"], within="30d"))
    asked = jk.Attribution("order", "session_channel", models=["first", "last"], per="session")
    credit = journeys.measure(asked).side_by_side()
    share = {
        kind: dict(zip(credit["channel"], credit[kind] / credit[kind].sum(), strict=True))
        for kind in ("first", "last")
    }
    paid, direct = share["first"].get("Paid Social", 0.0), share["last"].get("Direct", 0.0)
    told = ["", ""] if score is None else [f"{score.precision:.3f}", f"{score.recall:.3f}"]
    rate = funnel.frame["total_rate"][-1]
    cells = [name, *told, f"{journeys.n_users:,}", f"{rate:.3f}", f"{paid:.3f}", f"{direct:.3f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
