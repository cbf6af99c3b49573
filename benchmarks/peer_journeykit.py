"""journeykit's answers to the six questions of the yardstick (``../shared/bench``), all from the public API
but for the funnel, which uses the kernel that its statistic will stand on.

Intervals are on wherever the statistic has them.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from vocabulary import NAMES, START_US

import journeykit as jk
from journeykit.threads import on_all_cores

STEPS = ("product_view", "add_to_cart", "checkout", "purchase")
WEEK_US = 604_800_000_000


class Peer:
    """One process: read once, order once, answer everything (plan ``once``)."""

    def __init__(self, log, threads):
        self.log = log

    def prepare(self, plan):
        """Read the file into journeys."""
        events = jk.read_events(self.log, user="user_id", time="ts", event="event")
        self.journeys = events.sessionize("30m")

    def sessions(self):
        """Question a."""
        return self.journeys.n_sessions

    def funnel(self, window):
        """Questions b7 and b1: users who reach each step."""
        from journeykit.kernels.funnel import funnel_levels

        names = self.journeys.names.to_list()
        masks = np.array([sum(1 << k for k, step in enumerate(STEPS) if step == name) for name in names])

        def levels(shard):
            paths = shard.paths("user")
            found = np.zeros(paths.n_paths, np.uint8)
            funnel_levels(
                paths.user_paths,
                paths.starts,
                paths.ends,
                paths.codes,
                paths.times,
                masks,
                len(STEPS),
                window,
                found,
            )
            return np.bincount(found, minlength=len(STEPS) + 1)

        reached = sum(on_all_cores(levels, self.journeys.shards(8)))
        return np.cumsum(reached[::-1])[::-1][1:].tolist()

    def transitions(self):
        """Question c."""
        frame = self.journeys.measure(jk.Transitions()).frame
        frame = frame.filter(~frame["source"].is_in(["<START>"]), ~frame["target"].is_in(["<END>"]))
        return [list(row) for row in frame.select("source", "target", "transitions").iter_rows()]

    def top_paths(self):
        """Question d: ties by event code of the yardstick, so ask for more and sort."""
        frame = self.journeys.measure(jk.TopPaths(24)).frame
        code = {name: i for i, name in enumerate(NAMES)}
        rows = sorted(
            (-count, [code[name] for name in path]) for path, count in frame.select("path", "count").rows()
        )
        return [[">".join(NAMES[i] for i in path), -count] for count, path in rows[:20]]

    def retention(self):
        """Question e."""
        answer = self.journeys.measure(jk.Retention(period="1w"))
        week = pl.col("cohort").dt.replace_time_zone(None).dt.epoch("us") - START_US
        cells = answer.frame.filter(pl.col("returned") > 0).select(week // WEEK_US, "offset", "returned")
        return [list(row) for row in cells.iter_rows()]
