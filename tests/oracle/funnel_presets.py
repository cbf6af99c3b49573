"""The rules of vendors. D7.13."""

from __future__ import annotations

from tests.oracle.funnel_rules import Rules
from tests.oracle.numbers import SECOND

MINUTE = 60 * SECOND
DAY = 1_440 * MINUTE

POSTHOG = Rules(ties="any", exclusion="furthest_run")
POSTHOG_2021 = Rules(ties="any", exclusion="per_run", times="mean_of_runs")
MIXPANEL = Rules(ties="any", grace=2 * SECOND, entry="first", exclusion="dropoff", hold_unit="first_entry")
MIXPANEL_REENTRY = Rules(ties="any", grace=2 * SECOND, pick="latest", exclusion="dropoff")
AMPLITUDE = Rules(ties="any", resolution=SECOND, exclusion="dropoff", hold_unit="pair")
GA4 = Rules(entry="first")

WINDOWS = {"posthog": 14 * DAY, "mixpanel": 7 * DAY, "amplitude": DAY}
