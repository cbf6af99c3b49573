"""Funnel questions of ``posthog.json``: what a query asks, and the answers of the slow twin and the package.

Steps count from 0 in the file, from 1 here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

import journeykit as jk
from tests import oracle
from tests.conformance import posthog
from tests.oracle.funnel_numbers import median, span_times, times_of_runs
from tests.oracle.funnel_rules import Exclusion, Question, Rules, Step
from tests.oracle.numbers import mean

LATER = Rules(ties="any", exclusion="furthest_run")
CLASSIC = Rules(ties="any", exclusion="per_run", times="mean_of_runs")


@dataclass(frozen=True)
class Asked:
    """A funnel query of a case, read once for the slow twin and for the package."""

    case: Mapping[str, Any]
    check: Mapping[str, Any]

    @property
    def query(self) -> Mapping[str, Any]:
        """What is asked."""
        return self.check["query"]

    @property
    def classic(self) -> bool:
        """Whether the rules are those of 2021."""
        return self.case["source"]["engine"] == "classic-2021"

    @property
    def rows(self) -> list[posthog.Row]:
        """The events of known persons."""
        return posthog.rows(self.case, self.check)

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """The steps, with the conditions of the whole query and its dates in each."""
        return [{**step, "tree": self.tree(step)} for step in self.query["steps"]]

    def tree(self, matcher: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the conditions of a step, or an exclusion, and of the whole query."""
        return {"and": [posthog.conditions(matcher), posthog.conditions(self.query)]}

    @property
    def last(self) -> int:
        """The number of the last step."""
        return len(self.query["steps"])

    def number(self, name: str, default: int) -> int:
        """Return a step of the query, counted from 1."""
        given = self.query.get(name)
        return default if given is None else given + 1

    @property
    def zone(self) -> ZoneInfo:
        """Where calendar days begin."""
        return ZoneInfo(self.query.get("timezone") or "UTC")

    @property
    def column(self) -> str:
        """The property of a breakdown."""
        asked = self.query["breakdown"]
        return f"{asked['scope']}:{asked['key']}"

    @property
    def at(self) -> str:
        """Where the value of a breakdown is taken. D7.12."""
        rule = self.query["breakdown"].get("attribution") or "first_touch"
        if rule.startswith("step:"):
            return f"each:{int(rule.removeprefix('step:')) + 1}"
        return {"first_touch": "first", "last_touch": "last", "all_events": "all"}[rule]


def question(asked: Asked) -> Question:
    """Return the slow twin's question: the range limits all steps."""
    start, end = posthog.span(asked.query)

    def holds(tree: Mapping[str, Any]) -> Callable[[posthog.Row], bool]:
        return lambda row: bool(posthog.within([row], start, end)) and posthog.holds(tree, row)

    def names(matcher: Mapping[str, Any]) -> Sequence[str]:
        return () if matcher["event"] is None else (matcher["event"],)

    steps = [
        Step(
            names(step),
            holds(step["tree"]),
            bool(step.get("first_time_for_user")),
            optional=bool(step.get("optional")),
        )
        for step in asked.steps
    ]
    exclude = [
        Exclusion(names(one), holds(asked.tree(one)), one["from_step"] + 1, one["to_step"] + 1)
        for one in asked.query.get("exclusions") or ()
    ]
    rules = replace(CLASSIC if asked.classic else LATER, order=asked.query["order"])
    within = posthog.duration(asked.query["window"]) // posthog.MICROSECOND
    until = None if end is None else posthog.microseconds(end)
    return Question(steps, within, exclude, rules=rules, until=until)


@dataclass(frozen=True)
class Funnelled:
    """What a funnel says: persons by step, seconds from the step before."""

    reached: list[list[str]]
    average: list[float | None]
    median: list[float | None]

    @property
    def counts(self) -> list[int]:
        """How many persons reached each step."""
        return [len(persons) for persons in self.reached]


def of_twin(asked: Asked) -> Funnelled:
    """Ask the slow twin."""
    mine = question(asked)
    return summed_up(oracle.funnel_units(asked.rows, mine), mine)


def summed_up(units: Sequence[Any], mine: Question) -> Funnelled:
    """Sum units up."""
    numbers = range(1, len(mine.steps) + 1)
    reached = [
        sorted(str(unit.name) for unit in units for run in unit.chosen if k in run.reached) for k in numbers
    ]
    own = mine.rules.times == "mean_of_runs"

    def of(k: int, what: Callable[[Sequence[float]], float | None]) -> float | None:
        found = times_of_runs(units, mine, k, what) if own else oracle.funnel_times(units, mine, k)
        return what(found)

    return Funnelled(reached, [of(k, mean) for k in numbers], [of(k, median) for k in numbers])


def groups_of_twin(asked: Asked) -> dict[str, Funnelled]:
    """Ask the slow twin for a breakdown; what is missing is named by an empty text."""
    mine = question(asked)
    groups = oracle.breakdown(asked.rows, mine, asked.column, asked.at)
    return {value or "": summed_up(units, mine) for value, units in groups.items()}


def seconds_of_twin(asked: Asked) -> list[float]:
    """Ask the slow twin for the seconds between two steps, one value per person."""
    mine = question(asked)
    units = oracle.funnel_units(asked.rows, mine)
    since, to = asked.number("from_step", 1), asked.number("to_step", asked.last)
    if mine.rules.times != "mean_of_runs":
        return span_times(units, mine, since, to)
    parts = [times_of_runs([unit], mine, k) for unit in units for k in range(since + 1, to + 1)]
    size = to - since
    per_unit = [parts[i : i + size] for i in range(0, len(parts), size)]
    return [sum(own[0] for own in steps) for steps in per_unit if all(steps)]


def period_start(time: int, interval: str, zone: ZoneInfo) -> datetime:
    """Return the start of the period of a time; weeks start on Sunday. D1.7."""
    local = (posthog.EPOCH + timedelta(microseconds=time)).astimezone(zone)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    if interval == "week":
        return day - timedelta(days=(day.weekday() + 1) % 7)
    return day.replace(day=1) if interval == "month" else day


def periods(asked: Asked) -> list[datetime]:
    """Return the starts of all periods of the range."""
    start, end = posthog.span(asked.query)
    times = [row["time"] for row in asked.rows]
    first = posthog.microseconds(start) if start else min(times)
    last = (posthog.microseconds(end) if end else max(times) + 1) - 1
    interval = asked.query["interval"]
    found, stop = [], period_start(last, interval, asked.zone)
    own = period_start(first, interval, asked.zone)
    while own <= stop:
        found.append(own)
        own = next_period(own, interval)
    return found


def next_period(start: datetime, interval: str) -> datetime:
    """Return the start of the period after one."""
    if interval == "month":
        return (start + timedelta(days=31)).replace(day=1)
    return start + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[interval]


@dataclass(frozen=True)
class Trended:
    """What a trend says of a period."""

    reached_from: int
    reached_to: int
    rate: float | None
    units: Mapping[str, bool]
    final: bool


def trend_of_twin(asked: Asked) -> dict[datetime, Trended]:
    """Ask the slow twin for a trend."""
    mine = question(asked)
    interval = asked.query["interval"]
    found = oracle.trend(
        oracle.funnel_units(asked.rows, mine), mine, lambda time: period_start(time, interval, asked.zone),
        periods(asked), asked.number("from_step", 1), asked.number("to_step", asked.last),
    )  # fmt: skip
    last = posthog.span(asked.query)[1]
    window = posthog.duration(asked.query["window"])
    return {
        start: Trended(*own, final=last is not None and next_period(start, interval) + window <= last)
        for start, own in found.items()
    }


def correlates_of_twin(asked: Asked) -> dict[str, Any]:
    """Ask the slow twin what goes with conversion."""
    mine = question(asked)
    units = oracle.funnel_units(asked.rows, mine)
    of = "events" if asked.query["by"] == "events" else f"person:{asked.query['property']}"
    return oracle.correlates(units, mine, of)


def funnel(asked: Asked, **options: Any) -> jk.Funnel:
    """Return the package's question: the range limits all steps."""
    start, end = posthog.span(asked.query)

    def matched(matcher: Mapping[str, Any], **more: Any) -> jk.Match:
        names = () if matcher["event"] is None else (matcher["event"],)
        return jk.Match(names, where=limited(asked.tree(matcher), start, end), **more)

    steps = [
        jk.Step(
            matched(step, first_time=bool(step.get("first_time_for_user"))),
            optional=bool(step.get("optional")),
        )
        for step in asked.query["steps"]
    ]
    exclude = [
        jk.Exclusion(matched(one), after=one["from_step"] + 1, before=one["to_step"] + 1)
        for one in asked.query.get("exclusions") or ()
    ]
    rules = (jk.rules.posthog_2021 if asked.classic else jk.rules.posthog)(asked.query["order"])
    within = posthog.duration(asked.query["window"])
    return jk.Funnel(steps, within=within, exclude=exclude, rules=rules, missing="ignore", **options)


def limited(tree: Mapping[str, Any], start: datetime | None, end: datetime | None) -> pl.Expr | None:
    """Return conditions on properties and on time as one expression; None for none."""
    parts = [posthog.expression(tree)]
    parts += [pl.col("time") >= start] if start else []
    parts += [pl.col("time") < end] if end else []
    known = [part for part in parts if part is not None]
    return pl.all_horizontal(known) if known else None


def journeys_of(asked: Asked) -> jk.Journeys:
    """Read the events, with who they are of as a property too."""
    rows = [{**row, "person": row["user"]} for row in asked.rows]
    _, end = posthog.span(asked.query)
    return posthog.journeys(rows, tz=str(asked.zone), until=end)


def of_package(asked: Asked) -> Funnelled:
    """Ask `jk.Funnel`, with its run table, and by person."""
    made, question = journeys_of(asked), funnel(asked, runs=True)
    answer = made.measure(question)
    assert persons_of(answer) == by_person(made.measure(question, by="person").frame)
    return measured(answer.frame, persons_of(answer))


def persons_of(answer: Any) -> list[list[str]]:
    """Return who reached each step, from the run table."""
    counts = answer.runs.filter("counts")
    return [sorted(map(str, counts.filter(pl.col("step") == k)["user"])) for k in answer.frame["step"]]


def by_person(frame: pl.DataFrame) -> list[list[str]]:
    """Return who reached each step, from the rows of a funnel by person."""
    steps = frame["step"].unique().sort()
    return [sorted(frame.filter((pl.col("step") == k) & (pl.col("reached") > 0))["person"]) for k in steps]


def measured(whole: pl.DataFrame, reached: list[list[str]]) -> Funnelled:
    """Read the rows of one funnel, and who reached each of its steps."""
    assert [len(persons) for persons in reached] == whole["reached"].to_list()
    return Funnelled(reached, whole["time_mean"].to_list(), whole["time_median"].to_list())


def groups_of_package(asked: Asked) -> dict[str, Funnelled]:
    """Ask `jk.Funnel` for a breakdown; what is missing is named by an empty text."""
    made, question = journeys_of(asked), funnel(asked, breakdown=asked.column, at=asked.at)
    whole, persons = (made.measure(question, by=by).frame for by in (None, "person"))
    found = {}
    for value in whole[asked.column].unique():
        own = [frame.filter(pl.col(asked.column).eq_missing(pl.lit(value))) for frame in (whole, persons)]
        found[value or ""] = measured(own[0], by_person(own[1]))
    return found


def seconds_of_package(asked: Asked) -> list[float]:
    """Ask `jk.Funnel` for the seconds between two steps, one value per person."""
    since, to = asked.number("from_step", 1), asked.number("to_step", asked.last)
    answer = journeys_of(asked).measure(funnel(asked, times_between=[(since, to)]))
    own = answer.times.filter((pl.col("step") == to) & (pl.col("since") == f"step:{since}"))
    return [seconds for seconds, units in own.select("seconds", "units").rows() for _ in range(units)]


EVERY = {"hour": "1h", "day": "1d", "week": "1w-sunday", "month": "1mo"}


def trend_of_package(asked: Asked) -> dict[datetime, Trended]:
    """Ask `jk.Funnel` for every period of the range."""
    since, to = asked.number("from_step", 1), asked.number("to_step", asked.last)
    question = funnel(asked, entry_between=posthog.span(asked.query), runs=True)
    answer = journeys_of(asked).measure(question, every=EVERY[asked.query["interval"]])
    found = {}
    for (start,), own in answer.frame.partition_by("period", as_dict=True, maintain_order=True).items():
        runs = answer.runs.filter(pl.col("counts") & (pl.col("period") == start))
        came, went = (sorted(map(str, runs.filter(pl.col("step") == k)["user"])) for k in (since, to))
        steps = {row["step"]: row for row in own.to_dicts()}
        assert (steps[since]["reached"], steps[to]["reached"]) == (len(came), len(went))
        rate = len(went) / len(came) if came else None
        units = {person: person in went for person in came}
        found[start] = Trended(len(came), len(went), rate, units, own["final"][0])
    return found


def correlates_of_package(asked: Asked) -> dict[str, Any]:
    """Ask `jk.FunnelCorrelation` what goes with conversion."""
    of = "events" if asked.query["by"] == "events" else f"person:{asked.query['property']}"
    frame = journeys_of(asked).measure(jk.FunnelCorrelation(funnel(asked), of)).frame
    found = {}
    for row in frame.to_dicts():
        name = row["event" if of == "events" else "value"]
        found[name] = oracle.Correlate(row["success"], row["failure"], row["converted"], row["others"])
        assert row["odds_ratio"] == found[name].odds_ratio
    return found
