"""The tables of a report, from answers, with small cells withheld. DEFINITIONS D16.1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from journeykit.journey_map.withholding import lines_of_stages
from journeykit.privacy.suppression import Sensitive, lines_of
from journeykit.reports.measuring import Findings
from journeykit.reports.shown import Shown
from journeykit.reports.wording import Wording
from journeykit.statistics.overview.table import OverviewAnswer
from journeykit.statistics.transitions.graph import START

RATES = {"user_conversion_rate": "converted_users", "session_conversion_rate": "converted_sessions"}


@dataclass(frozen=True)
class Tables:
    """What may be shown of the findings.

    Attributes
    ----------
    findings : Findings
        All answers.
    k : int
        Fewest users that a number may be about; 0 withholds nothing.
    wording : Wording
        The language.
    """

    findings: Findings
    k: int
    wording: Wording

    def _shown(self, frame: pl.DataFrame, sensitive: Sensitive) -> Shown:
        return Shown.of(frame, sensitive, self.k, self.wording)

    @cached_property
    def overview(self) -> Shown:
        """All users: one row."""
        return self._conversions(self.findings.overview)

    @cached_property
    def over_time(self) -> Shown:
        """One row per period that is over."""
        return self._conversions(self.findings.over_time)

    @cached_property
    def segments(self) -> Shown | None:
        """One row per segment, the largest first."""
        return None if self.findings.segments is None else self._conversions(self.findings.segments)

    def _conversions(self, answer: OverviewAnswer) -> Shown:
        """Lay out users, sessions and conversions in a row per segment or period."""
        keys = answer.context.labels.columns
        wanted = ("users", "sessions", "events", *RATES)
        long = answer.frame.filter(pl.col("number").is_in(wanted)).with_columns(
            pl.concat_list("value", "low", "high", "numerator").alias("all")
        )
        if keys:
            wide = long.pivot("number", index=keys, values="all", maintain_order=True)
        else:
            wide = pl.DataFrame({name: [value] for name, value in long.select("number", "all").iter_rows()})
        columns = [pl.col(name).list.get(0).cast(pl.Int64).alias(name) for name in wanted[:3]]
        for rate, converted in RATES.items():
            columns += [
                pl.col(rate).list.get(place).alias(f"{rate}{end}")
                for place, end in enumerate(("", "_low", "_high"))
            ]
            columns.append(pl.col(rate).list.get(3).cast(pl.Int64).alias(converted))
        frame = wide.select(*keys, *columns)
        behind = {
            "users": "users", "sessions": "users", "events": "users", "converted_users": "converted_users",
            "converted_sessions": "converted_users",
        }  # fmt: skip
        rates = {
            "user_conversion_rate": ("converted_users", "users"),
            "session_conversion_rate": ("converted_sessions", "sessions"),
        }
        down = ("users", "sessions", "events", "converted_users", "converted_sessions") if keys else ()
        return self._shown(frame, Sensitive(behind, rates=rates, down=down))

    @cached_property
    def stages(self) -> Shown | None:
        """One row per stage, in the model's order."""
        answer = self.findings.stages
        if answer is None:
            return None
        frame = answer.frame
        behind = {
            "visits": "visited", "visited": "visited", "reached": "reached", "reached_next": "reached_next",
            "exits": "exits", "furthest": "furthest", "staged_units": "staged_units",
        }  # fmt: skip
        rates = {
            "reached_share": ("reached", "staged_units"),
            "step_through": ("reached_next", "reached"),
            "exit_share": ("exits", "visited"),
        }
        lines = lines_of_stages(range(frame.height))
        values = {"dwell_median": "visited", "active_dwell_mean": "visited"}
        return self._shown(
            frame, Sensitive(behind, rates=rates, values=values, lines=lines, down=("exits", "furthest"))
        )

    @cached_property
    def edges(self) -> Shown:
        """One row per move between events; how often a state was entered is known as well as how often it was left."""
        frame = self.findings.graph.frame.select(
            "source", "target", "transitions", "users", "probability", "time_mean",
            probability_low="low", probability_high="high", leaving=pl.col("transitions").sum().over("source"),
        )  # fmt: skip
        lines = [*lines_of("transitions", frame, ["source"]), *lines_of("transitions", frame, ["target"])]
        behind = {"transitions": "users", "users": "users", "leaving": "leaving"}
        sensitive = Sensitive(
            behind,
            rates={"probability": ("transitions", "leaving")},
            values={"time_mean": "users"},
            lines=lines,
        )
        return self._shown(frame, sensitive)

    @cached_property
    def states(self) -> pl.DataFrame:
        """The states that enough users were in, the most visited first."""
        states = self.findings.graph.states
        return states.filter(pl.col("users") >= self.k, pl.col("state") != START)

    @cached_property
    def paths(self) -> Shown:
        """One row per path; those of too few users are left out, as a path may be what gives a person away."""
        frame = self.findings.paths.frame
        frame = frame.filter(pl.col("users") >= self.k) if "users" in frame.columns else frame
        frame = frame.rename({"low": "share_low", "high": "share_high"})
        behind = {"count": "users", "paths": "users", "converted": "converted"}
        rates = {"conversion_rate": ("converted", "paths")}
        values = {"share": "users", "duration_mean": "users"}
        return self._shown(frame, Sensitive(behind, rates=rates, values=values))

    @cached_property
    def abandonment(self) -> Shown | None:
        """One row."""
        answer = self.findings.abandonment
        if answer is None:
            return None
        parts = ("converted", "abandoned", "open")
        behind = {"reached": "users", "resolved": "resolved", **{name: name for name in parts}}
        sums = [("reached", parts), ("resolved", parts[:2])]
        return self._shown(
            answer.frame, Sensitive(behind, rates={"abandonment_rate": ("abandoned", "resolved")}, sums=sums)
        )

    @cached_property
    def left_at(self) -> Shown | None:
        """One row per event at which units gave up, those of most first."""
        answer = self.findings.abandonment
        if answer is None:
            return None
        frame = answer.where.filter(pl.col("kind") == "last_event", pl.col("abandoned") > 0)
        behind = {"reached": "reached", "abandoned": "abandoned"}
        sensitive = Sensitive(
            behind,
            rates={"rate": ("abandoned", "reached")},
            values={"share": "abandoned"},
            down=("abandoned",),
        )
        return self._shown(frame, sensitive)

    @cached_property
    def personas(self) -> Shown | None:
        """One row per group of users who move alike."""
        answer = self.findings.personas
        if answer is None:
            return None
        frame = answer.frame.rename({"low": "share_low", "high": "share_high"})
        behind = {"users": "users", "all_users": "all_users", "converted": "converted"}
        rates = {"share": ("users", "all_users"), "conversion_rate": ("converted", "users")}
        return self._shown(frame, Sensitive(behind, rates=rates, down=("users", "converted")))

    @property
    def withheld(self) -> int:
        """How many cells of all tables are withheld."""
        every = (
            self.overview, self.over_time, self.segments, self.stages, self.edges, self.paths, self.abandonment,
            self.left_at, self.personas,
        )  # fmt: skip
        return sum(each.cells for each in every if each is not None)
