"""How well-known products count funnels: rule sets with their sources. DEFINITIONS D7.13.

``jk.Funnel(steps, rules=jk.rules.mixpanel())`` counts as Mixpanel documents it. Each preset is a value: change one
rule with ``dataclasses.replace(jk.rules.posthog(), order="strict")``. Retention as products count it is a question by
itself: ``journeys.measure(jk.rules.retention_mixpanel("signup", "open"))``. D9.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from journeykit.errors import ParameterError
from journeykit.patterns.matchers import MatchLike
from journeykit.statistics.funnels.rules import FunnelRules
from journeykit.statistics.retention.retention import Cohort, Retention

__all__ = [
    "FunnelRules",
    "adobe",
    "amplitude",
    "clickhouse",
    "default",
    "ga4",
    "mixpanel",
    "mixpanel_reentry",
    "posthog",
    "posthog_2021",
    "retention_adobe",
    "retention_amplitude",
    "retention_ga4",
    "retention_mixpanel",
    "retention_posthog",
]

Order = Literal["ordered", "strict", "unordered"]
CLICKHOUSE_MODES = ("strict_increase", "strict_once")


def default() -> FunnelRules:
    """Return journeykit's own rules: ordered, ties by input order, best run, no window unless stated.

    Examples
    --------
    >>> default()
    FunnelRules()
    """
    return FunnelRules()


def posthog(order: Order = "ordered") -> FunnelRules:
    """Return the rules of PostHog today: 14 days, best run, ties in any order, the furthest run decides exclusions.

    Its breakdown at a step is ``at="each:k"``; its weeks start on Sunday; its date range limits every step.

    References
    ----------
    PostHog documentation, "Funnels"; its test suite (HogQL and UDF engines).
    """
    return FunnelRules(order=order, ties="any", exclusion="furthest_run", within="14d")


def posthog_2021(order: Order = "ordered") -> FunnelRules:
    """Return the rules of PostHog in 2021: as `posthog`, but excluded runs are void, and times are means over runs.

    References
    ----------
    PostHog's test suite of 2021.
    """
    return FunnelRules(order=order, ties="any", times="mean_of_runs", within="14d")


def mixpanel(order: Order = "ordered") -> FunnelRules:
    """Return the rules of Mixpanel: 7 days from the first entry, 2 seconds of grace, an exclusion is a drop-off.

    ``unit="totals"`` counts every conversion, one after another.

    References
    ----------
    Mixpanel documentation, "Funnels: Advanced".
    """
    return FunnelRules(
        order=order, ties="any", grace="2s", entry="first", exclusion="dropoff", hold_unit="first_entry", within="7d"
    )  # fmt: skip


def mixpanel_reentry(order: Order = "ordered") -> FunnelRules:
    """Return the rules of Mixpanel's "optimized re-entry": as `mixpanel`, but the best run, and of these the latest.

    References
    ----------
    Mixpanel documentation, "Funnels: Advanced".
    """
    return FunnelRules(
        order=order, ties="any", grace="2s", pick="latest", exclusion="dropoff", hold_unit="first_entry", within="7d"
    )  # fmt: skip


def amplitude(order: Order = "ordered") -> FunnelRules:
    """Return the rules of Amplitude: 1 day, best run, ticks of a second in any order, values held count as pairs.

    A breakdown takes the value of the first step.

    References
    ----------
    Amplitude documentation, "Funnel Analysis: how Amplitude computes conversions", "Hold properties constant",
    "How Amplitude handles simultaneous events".
    """
    return FunnelRules(
        order=order, ties="any", resolution="1s", exclusion="dropoff", hold_unit="pair", within="1d", at="step:1"
    )  # fmt: skip


def ga4(open_entry: bool = False) -> FunnelRules:
    """Return the rules of a Google Analytics 4 funnel exploration: first entry, no window; steps may set `max_gap`.

    With ``open_entry=True`` a user may enter at any step; "directly followed by" is ``Step(..., direct=True)``.

    References
    ----------
    Google Analytics help, "Funnel exploration".
    """
    return FunnelRules(entry="first", open_entry=open_entry)


def adobe() -> FunnelRules:
    """Return the rules of Adobe Analytics' fallout: first entry, no window but the visit or visitor.

    ``unit="session"`` is its visit container; "next hit" is ``Step(..., direct=True)``.

    References
    ----------
    Adobe Analytics documentation, "Fallout visualization".
    """
    return FunnelRules(entry="first")


def clickhouse(*modes: str) -> FunnelRules:
    """Return the rules of ClickHouse's ``windowFunnel``: events of one time in any order, one row for several steps.

    Parameters
    ----------
    *modes : {"strict_increase", "strict_once"}
        Times must increase; a row makes one step only. The other modes stop the scan, which no rule of a funnel
        does: they are exact in ``jk.WindowFunnel``.

    Raises
    ------
    ParameterError
        If a mode is another one.

    Notes
    -----
    The true maximum; ``windowFunnel`` with ``strict_increase`` can miss it (its issue 93789). D7.14.

    References
    ----------
    ClickHouse documentation, "windowFunnel".
    """
    for mode in modes:
        if mode not in CLICKHOUSE_MODES:
            error = ParameterError.choice("modes", mode, CLICKHOUSE_MODES)
            raise ParameterError(f"{error} Modes that stop the scan are those of jk.WindowFunnel.")
    increase = "strict_increase" in modes
    reuse = not increase and "strict_once" not in modes
    return FunnelRules(ties="strict" if increase else "any", reuse_event=reuse)


def retention_posthog(
    start: MatchLike | None = None,
    returning: MatchLike | None = None,
    period: str = "1d",
    first_time: bool = False,
) -> Retention:
    """Return the retention of PostHog: recurring cohorts by the calendar, weeks from Sunday. D9.7.

    References
    ----------
    PostHog documentation, "Retention"; its test suite. Its "first time" is that of the events that pass the filters.

    Examples
    --------
    >>> retention_posthog("signup", period="1w").week_start
    'sunday'
    """
    cohort: Cohort = "first_time_filtered" if first_time else "recurring"
    return Retention(start, returning, cohort=cohort, period=period, week_start="sunday")


def retention_mixpanel(
    start: MatchLike | None = None,
    returning: MatchLike | None = None,
    period: str = "1d",
    calendar: bool = False,
) -> Retention:
    """Return the retention of Mixpanel: on or after, in spans of 24 hours (of a week: 7 days, a month: 30). D9.7.

    References
    ----------
    Mixpanel documentation, "Retention".
    """
    clock = "calendar" if calendar else _span(period)
    return Retention(start, returning, cohort="recurring", rule="on_or_after", clock=clock, period=period)


def retention_amplitude(
    start: MatchLike | None = None,
    returning: MatchLike | None = None,
    period: str = "1d",
    rule: Literal["on", "on_or_after"] = "on_or_after",
    brackets: Sequence[int] | None = None,
    calendar: bool = False,
) -> Retention:
    """Return the retention of Amplitude: on or after by default, or on, or custom brackets; in spans of 24 hours. D9.7.

    References
    ----------
    Amplitude documentation, "Retention Analysis".
    """
    clock = "calendar" if calendar else _span(period)
    return Retention(
        start, returning, cohort="recurring", rule=rule, brackets=brackets, clock=clock, period=period
    )


def retention_ga4(returning: MatchLike | None = None, period: str = "1d") -> Retention:
    """Return the cohorts of GA4: by the first session, on the calendar; weeks from Sunday, a month is 30 days. D9.7.

    References
    ----------
    GA4 documentation, "Cohort exploration".
    """
    return Retention(None, returning, period="30d" if period == "1mo" else period, week_start="sunday")


def retention_adobe(
    inclusion: MatchLike, returning: MatchLike | None = None, period: str = "1mo", rolling: bool = True
) -> Retention:
    """Return the cohort table of Adobe: by the inclusion metric; `rolling` compares with the column before. D9.7.

    Its "churn" is the column ``churn``.

    References
    ----------
    Adobe Analytics documentation, "Cohort table".
    """
    vs: Literal["first", "previous"] = "previous" if rolling else "first"
    return Retention(inclusion, returning, cohort="recurring", period=period, vs=vs)


def _span(period: str) -> str:
    """Return how long a period is on the clock."""
    spans = {"1d": "24h", "1w": "7d", "1mo": "30d"}
    if period not in spans:
        raise ParameterError.choice("period", period, spans)
    return spans[period]
