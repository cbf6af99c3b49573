"""The channel groups of vendors."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from journeykit.channels.rules import ChannelRule, ChannelRules

PAID = "(.*cp.*|ppc|retargeting|paid.*)"
SHOP = "(.*(([^a-df-z]|^)shop|shopping).*)"
MAIL = ("email", "e-mail", "e_mail", "e mail")


@cache
def ga4_sources() -> dict[str, tuple[str, ...]]:
    """Return the sources on Google's list, by what they are: search, shopping, social, video.

    >>> {name: len(sources) for name, sources in ga4_sources().items()}
    {'search': 129, 'social': 592, 'shopping': 52, 'video': 46}
    """
    text = (files("journeykit.channels") / "ga4_sources.csv").read_text(encoding="utf-8")
    rows = [line.rsplit(",", 1) for line in text.splitlines() if not line.startswith("#")][1:]
    kinds = dict.fromkeys(kind for _, kind in rows)
    return {kind: tuple(source for source, its_kind in rows if its_kind == kind) for kind in kinds}


def ga4(**parameters: Any) -> ChannelRules:
    """Return the default channel groups of Google Analytics 4 for manually tagged traffic.

    Parameters
    ----------
    **parameters
        Those of `ChannelRules` but for the rules, such as ``url="page_location"``; ``lists`` replaces lists of sources.

    Returns
    -------
    ChannelRules
        19 channels; what fits none is ``Unassigned``.

    Notes
    -----
    A source is looked up as it is on Google's list of 819: ``m.facebook.com`` is on it, ``developers.facebook.com`` is
    a referral. The media decide for AI assistants, ``ai-assistant``: which referrers Google Analytics gives it is not
    published. Not in it are rules on the networks of Google Ads, Display & Video 360 and Search Ads 360, whose fields
    exports of events do not have.

    References
    ----------
    Analytics Help, "Default channel group" (article 9756891): the table of manual traffic, and the list of sources and
    categories as of 2026-09-19; "What's new" of 2026-05-13 for AI assistants. Read in public copies of 2026-11.

    Examples
    --------
    >>> import polars as pl
    >>> touches = pl.DataFrame({"source": ["google", "news"], "medium": ["cpc", "email"], "campaign": [None, "may"]})
    >>> ga4().channels(touches).to_list()
    ['Paid Search', 'Email']
    """
    lists = {**ga4_sources(), **(parameters.pop("lists", None) or {})}
    paid = {"medium_matches": PAID}
    rules = (
        ChannelRule("Direct", {"source_is": "(direct)", "medium_is": ("(not set)", "(none)")}),
        ChannelRule("Cross-network", {"campaign_contains": "cross-network"}),
        ChannelRule(
            "Paid Shopping", [{"source_listed": "shopping", **paid}, {"campaign_matches": SHOP, **paid}]
        ),
        ChannelRule("Paid Search", {"source_listed": "search", **paid}),
        ChannelRule("Paid Social", {"source_listed": "social", **paid}),
        ChannelRule("Paid Video", {"source_listed": "video", **paid}),
        ChannelRule("Display", {"medium_is": ("display", "banner", "expandable", "interstitial", "cpm")}),
        ChannelRule("Paid Other", paid),
        ChannelRule("Organic Shopping", [{"source_listed": "shopping"}, {"campaign_matches": SHOP}]),
        ChannelRule(
            "Organic Social",
            [
                {"source_listed": "social"},
                {
                    "medium_is": (
                        "social",
                        "social-network",
                        "social-media",
                        "sm",
                        "social network",
                        "social media",
                    )
                },
            ],
        ),
        ChannelRule("Organic Video", [{"source_listed": "video"}, {"medium_matches": "(.*video.*)"}]),
        ChannelRule("Organic Search", [{"source_listed": "search"}, {"medium_is": "organic"}]),
        ChannelRule("AI Assistant", {"medium_is": "ai-assistant"}),
        ChannelRule("Referral", {"medium_is": ("referral", "app", "link")}),
        ChannelRule("Email", [{"source_is": MAIL}, {"medium_is": MAIL}]),
        ChannelRule("Affiliates", {"medium_is": "affiliate"}),
        ChannelRule("Audio", {"medium_is": "audio"}),
        ChannelRule("SMS", [{"source_is": "sms"}, {"medium_is": "sms"}]),
        ChannelRule(
            "Mobile Push Notifications",
            [
                {"medium_ends": "push"},
                {"medium_contains": ("mobile", "notification")},
                {"source_is": "firebase"},
            ],
        ),
    )
    return ChannelRules(rules, lists=lists, **parameters)
