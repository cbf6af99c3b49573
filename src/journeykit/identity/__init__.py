"""Identity: the rules by which ids are joined into users, and the vendors' presets of them. DEFINITIONS D1.8.

>>> snowplow("customer").strong
('customer',)
"""

from __future__ import annotations

from journeykit.identity.identity import Identity
from journeykit.identity.rules import (
    PLACEHOLDERS,
    IdentityRules,
    amplitude,
    mixpanel,
    mixpanel_original,
    posthog,
    snowplow,
)
from journeykit.identity.stitch import Stitch

__all__ = [
    "PLACEHOLDERS",
    "Identity",
    "IdentityRules",
    "Stitch",
    "amplitude",
    "mixpanel",
    "mixpanel_original",
    "posthog",
    "snowplow",
]
