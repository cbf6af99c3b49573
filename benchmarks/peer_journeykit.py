"""journeykit's answers to the six questions of the yardstick (``../shared/bench``), all from the public API.

Intervals are on wherever the statistic has them.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from vocabulary import NAMES, START_US

import journeykit as jk

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
        asked = jk.Funnel(STEPS, within=timedelta(microseconds=window), quantiles=())
        return self.journeys.measure(asked).frame["reached"].to_list()

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
