"""The channel groups of vendors."""

from __future__ import annotations

from typing import Any

from journeykit.channels.rules import ChannelRule, ChannelRules

PAID = "(.*cp.*|ppc|retargeting|paid.*)"
SHOP = "(.*(([^a-df-z]|^)shop|shopping).*)"
MAIL = ("email", "e-mail", "e_mail", "e mail")
SITES = {
    "search": (
        "360.cn", "alice", "aol", "ask", "auone", "avg", "babylon", "baidu", "biglobe", "bing", "brave", "cnn",
        "comcast", "conduit", "daum", "dogpile", "duckduckgo", "ecosia", "exalead", "excite", "google", "info.com",
        "kvasir", "lycos", "mojeek", "msn", "najdi", "naver", "onet", "qwant", "rambler", "search-results", "seznam",
        "so.com", "sogou", "startpage", "startsiden", "terra", "tut.by", "ukr", "virgilio", "yahoo", "yandex",
    ),
    "social": (
        "badoo", "blogger", "blogspot", "bsky.app", "discord", "facebook", "fb", "fb.me", "flickr", "foursquare", "ig",
        "instagram", "kakaocorp", "line.me", "linkedin", "livejournal", "lnkd.in", "mastodon", "medium.com", "meetup",
        "messenger", "myspace", "nextdoor", "odnoklassniki", "ok.ru", "pinterest", "pocket", "quora", "reddit", "skype",
        "snapchat", "stackoverflow", "t.co", "t.me", "telegram", "threads.net", "threads.com", "tiktok", "tumblr",
        "twitter", "viadeo", "vk", "vk.com", "vkontakte", "wechat", "weibo", "whatsapp", "wordpress", "x.com", "xing",
        "yelp",
    ),
    "shopping": (
        "alibaba", "aliexpress", "amazon", "ebay", "etsy", "google shopping", "igshopping", "mercadolibre", "shop.app",
        "shopify", "shopping.google", "shopping.yahoo", "shopzilla", "stripe", "taobao", "tmall", "walmart",
    ),
    "video": (
        "crackle", "curiositystream", "d.tube", "dailymotion", "disneyplus", "hulu", "iqiyi", "netflix", "ted.com",
        "twitch", "utreon", "veoh", "vimeo", "wistia", "youku", "youtube", "youtu.be",
    ),
}  # fmt: skip
"""Well-known sites. Google keeps a longer list; what is not on it is a referral."""


def ga4(**parameters: Any) -> ChannelRules:
    """Return the default channel groups of Google Analytics 4 for manually tagged traffic.

    Parameters
    ----------
    **parameters
        Those of `ChannelRules` but for the rules, such as ``url="page_location"``; ``lists`` replaces lists of sites.

    Returns
    -------
    ChannelRules
        18 channels; what fits none is ``Unassigned``.

    References
    ----------
    Analytics Help, "Default channel group" (article 9756891), the table of manual traffic. Remains: rules on the
    networks of Google Ads, Display & Video 360 and Search Ads 360, whose fields exports of events do not have; and
    Google's full lists of sites.

    Examples
    --------
    >>> import polars as pl
    >>> touches = pl.DataFrame({"source": ["google", "news"], "medium": ["cpc", "email"], "campaign": [None, "may"]})
    >>> ga4().channels(touches).to_list()
    ['Paid Search', 'Email']
    """
    lists = {**SITES, **(parameters.pop("lists", None) or {})}
    paid = {"medium_matches": PAID}
    rules = (
        ChannelRule("Direct", {"source_is": "(direct)", "medium_is": ("(not set)", "(none)")}),
        ChannelRule("Cross-network", {"campaign_contains": "cross-network"}),
        ChannelRule("Paid Shopping", [{"source_in": "shopping", **paid}, {"campaign_matches": SHOP, **paid}]),
        ChannelRule("Paid Search", {"source_in": "search", **paid}),
        ChannelRule("Paid Social", {"source_in": "social", **paid}),
        ChannelRule("Paid Video", {"source_in": "video", **paid}),
        ChannelRule("Display", {"medium_is": ("display", "banner", "expandable", "interstitial", "cpm")}),
        ChannelRule("Paid Other", paid),
        ChannelRule("Organic Shopping", [{"source_in": "shopping"}, {"campaign_matches": SHOP}]),
        ChannelRule(
            "Organic Social",
            [
                {"source_in": "social"},
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
        ChannelRule("Organic Video", [{"source_in": "video"}, {"medium_matches": "(.*video.*)"}]),
        ChannelRule("Organic Search", [{"source_in": "search"}, {"medium_is": "organic"}]),
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
