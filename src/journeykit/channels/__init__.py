"""Channel groups: rules by which sources, media and campaigns become channels, and the vendors' presets of them.

>>> ga4().names[:3]
['Direct', 'Cross-network', 'Paid Shopping']
"""

from __future__ import annotations

from journeykit.channels.presets import ga4
from journeykit.channels.rules import ChannelRule, ChannelRules

__all__ = ["ChannelRule", "ChannelRules", "ga4"]
