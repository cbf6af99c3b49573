"""Sessions: the rule that cuts a user's events, the presets of the vendors, and the cut. DEFINITIONS D2.

>>> SessionRule("30m", max_duration="12h")
SessionRule(timeout='30m', max_duration='12h')
>>> adobe()
SessionRule(timeout='30m', max_duration='12h', max_events=2500, burst=(100, '100s'))
"""

from __future__ import annotations

from journeykit.sessions.cutting import CAUSES, SessionCut, check_nulls, cut
from journeykit.sessions.presets import (
    adobe,
    amplitude_mobile,
    amplitude_web,
    ga4,
    matomo,
    mixpanel,
    posthog,
    posthog_2021,
    snowplow,
)
from journeykit.sessions.rule import SessionRule, is_open

__all__ = [
    "CAUSES",
    "SessionCut",
    "SessionRule",
    "adobe",
    "amplitude_mobile",
    "amplitude_web",
    "check_nulls",
    "cut",
    "ga4",
    "is_open",
    "matomo",
    "mixpanel",
    "posthog",
    "posthog_2021",
    "snowplow",
]
