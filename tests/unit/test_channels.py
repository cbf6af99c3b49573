"""Channels: GA4's documented groups row by row, addresses and referrers, sessions, TOML, and every message."""

from __future__ import annotations

import hashlib
import re

import polars as pl
import pytest

import journeykit as jk
from journeykit import errors
from journeykit.channels.presets import ga4_sources
from tests.property.test_out_of_core import assert_same_everywhere

# Source, medium, campaign, and the channel that the table of manual traffic gives them (Analytics Help 9756891).
DOCUMENTED = [
    ("(direct)", "(none)", None, "Direct"),
    ("(direct)", "(not set)", None, "Direct"),
    ("(direct)", "referral", None, "Referral"),
    ("google", "cpc", "Cross-network spring", "Cross-network"),
    ("ebay", "cpc", None, "Paid Shopping"),
    ("IGShopping", "paid", None, "Paid Shopping"),
    ("news", "retargeting", "summer shopping", "Paid Shopping"),
    ("news", "ppc", "bookshop", "Paid Other"),
    ("google", "ppc", "workshop", "Paid Search"),
    ("news", "ppc", "bishop", "Paid Other"),
    ("google", "ppc", "eshop", "Paid Shopping"),
    ("google", "cpc", None, "Paid Search"),
    ("Bing", "ecpc", None, "Paid Search"),
    ("cn.bing.com", "PAIDsearch", None, "Paid Search"),
    ("www.bing.com", "ecpc", None, "Paid Other"),
    ("facebook", "paid_social", None, "Paid Social"),
    ("m.facebook.com", "cpm", None, "Paid Social"),
    ("youtube.com", "cpv", None, "Paid Video"),
    ("news", "banner", None, "Display"),
    ("news", "cpm", None, "Display"),
    ("news", "interstitial", None, "Display"),
    ("news", "cpa", None, "Paid Other"),
    ("news", "retargeting", None, "Paid Other"),
    ("etsy.com", "referral", None, "Organic Shopping"),
    ("Google Shopping", "feed", None, "Organic Shopping"),
    ("news", "link", "the shop", "Organic Shopping"),
    ("t.co", "referral", None, "Organic Social"),
    ("groups.google.com", "referral", None, "Organic Social"),
    ("developers.facebook.com", "referral", None, "Referral"),
    ("news", "Social Network", None, "Organic Social"),
    ("news", "sm", None, "Organic Social"),
    ("vimeo.com", "referral", None, "Organic Video"),
    ("news", "myvideos", None, "Organic Video"),
    ("viadeo.journaldunet.com", "referral", None, "Organic Video"),
    ("news.google.com", "referral", None, "Organic Search"),
    ("duckduckgo", "x", None, "Organic Search"),
    ("mail.google.com", "referral", None, "Referral"),
    ("cnn.com", "referral", None, "Referral"),
    ("news", "organic", None, "Organic Search"),
    ("chatgpt.com", "AI-Assistant", "(ai-assistant)", "AI Assistant"),
    ("chatgpt.com", "referral", None, "Referral"),
    ("chatgpt.com", "cpc", None, "Paid Other"),
    ("news", "referral", None, "Referral"),
    ("news", "app", None, "Referral"),
    ("news", "link", None, "Referral"),
    ("news", "e mail", None, "Email"),
    ("E-Mail", "newsletter", None, "Email"),
    ("news", "affiliate", None, "Affiliates"),
    ("news", "affiliates", None, "Unassigned"),
    ("news", "audio", None, "Audio"),
    ("sms", "text", None, "SMS"),
    ("news", "sms", None, "SMS"),
    ("news", "webpush", None, "Mobile Push Notifications"),
    ("news", "mobile app", None, "Mobile Push Notifications"),
    ("firebase", "x", None, "Mobile Push Notifications"),
    ("news", "podcast", None, "Unassigned"),
    ("notgoogle.com", "podcast", None, "Unassigned"),
    ("google.evil.com/bing", "podcast", None, "Unassigned"),
    (None, None, "spring", "Unassigned"),
    (None, "  ", "", None),
    (None, None, None, None),
    ("<script>🛒\n", "'; DROP TABLE", None, "Unassigned"),
]


def touches(rows, names=("source", "medium", "campaign")):
    return pl.DataFrame(rows, dict.fromkeys(names, pl.String), orient="row")


def test_the_groups_of_ga4_are_those_of_its_table():
    found = jk.channels.ga4().channels(touches([row[:3] for row in DOCUMENTED]))
    assert list(zip(DOCUMENTED, found, strict=True)) == [(row, row[3]) for row in DOCUMENTED]


def test_the_list_of_sources_is_the_one_that_google_publishes():
    pairs = sorted((source, kind) for kind, sources in ga4_sources().items() for source in sources)
    # The sum that a public copy has of the list of 2026-09-19, made from Google's document by a program of its own.
    found = hashlib.sha256("\n".join(map("=".join, pairs)).encode()).hexdigest()
    assert found == "2e11fbff582c9337b5ac92c3fc53c3cc9d76c4ee33b2caed2f23c8ee5c2fc70c"


def test_ga4_has_its_channels_in_its_order():
    assert jk.channels.ga4().names == [
        "Direct", "Cross-network", "Paid Shopping", "Paid Search", "Paid Social", "Paid Video", "Display", "Paid Other",
        "Organic Shopping", "Organic Social", "Organic Video", "Organic Search", "AI Assistant", "Referral", "Email",
        "Affiliates", "Audio", "SMS", "Mobile Push Notifications", "Unassigned",
    ]  # fmt: skip


# Page, referrer, and what they say: source, medium, campaign, channel.
SHOP = "https://shop.eu/"
LETTER = f"{SHOP}?utm_source=news&utm_medium=email&utm_campaign=May+sale%21#top"
PAGES = [
    (LETTER, None, "news", "email", "May sale!", "Email"),
    (f"{SHOP}a?x=1&gclid=Cj0", "https://www.google.com/", "google", "cpc", None, "Paid Search"),
    (LETTER.replace("#", "&gclid=Cj0#"), None, "news", "email", "May sale!", "Email"),
    (f"{SHOP}?utm_source=news", "https://www.google.com/", "news", None, None, "Unassigned"),
    (SHOP, "https://www.google.de/search?q=x", "google", "organic", None, "Organic Search"),
    (SHOP, "https://m.google.co.uk/", "google", "organic", None, "Organic Search"),
    (SHOP, "https://us.search.yahoo.com/", "us.search.yahoo.com", "organic", None, "Organic Search"),
    (SHOP, "https://search.yahoo.com/", "yahoo.com", "organic", None, "Organic Search"),
    (SHOP, "https://mail.google.com/", "mail.google.com", "referral", None, "Referral"),
    (SHOP, "https://WWW.Facebook.com/", "facebook.com", "referral", None, "Organic Social"),
    (SHOP, "https://google.com.evil.com/", "google.com.evil.com", "referral", None, "Referral"),
    (SHOP, "http://user@Blog.Example:8080/a", "blog.example", "referral", None, "Referral"),
    (SHOP, "android-app://com.reddit.frontpage", "com.reddit.frontpage", "referral", None, "Referral"),
    (SHOP, "https://www.shop.eu/a", None, None, None, None),
    (SHOP, "https://shop.eu.evil.com/", "shop.eu.evil.com", "referral", None, "Referral"),
    ("/b?autm_source=no&utm_source=", "", None, None, None, None),
    (None, None, None, None, None, None),
]


def test_addresses_and_referrers_tell_where_a_touch_comes_from():
    rules = jk.channels.ga4(
        source=None, medium=None, campaign=None, url="page", referrer="from", own_hosts=["shop.eu"]
    )
    found = rules.touches(touches([row[:2] for row in PAGES], ("page", "from")))
    assert found.select("source", "medium", "campaign", "channel").rows() == [row[2:] for row in PAGES]


def test_what_is_told_goes_before_the_address():
    rules = jk.channels.ga4(url="page")
    frame = touches(
        [("news", None, None, "/?utm_source=x&utm_medium=email")], ("source", "medium", "campaign", "page")
    )
    assert rules.touches(frame).select("source", "medium", "channel").rows() == [("news", "email", "Email")]


def test_rules_of_ones_own():
    rules = jk.ChannelRules(
        [
            jk.ChannelRule("Partners", {"source_in": "partners", "campaign_missing": False}),
            jk.ChannelRule(
                "Partners, no campaign", [{"source_in": "partners"}, {"source_starts": ("partner-", "p-")}]
            ),
            jk.ChannelRule("Letters", [{"medium_contains": "LETTER"}, {"source_listed": "letters"}]),
        ],
        otherwise="Rest",
        lists={"partners": ["Acme.com"], "letters": [" Weekly", "daily.eu"]},
    )
    rows = [("acme.com", None, "x"), ("www.acme.com", "post", None), ("p-7", "post", None)]
    rows += [
        ("y", "newsletter", None),
        ("weekly ", None, None),
        ("www.daily.eu", None, None),
        ("y", "z", None),
    ]
    partners = "Partners, no campaign"
    expected = ["Partners", partners, partners, "Letters", "Letters", "Rest", "Rest"]
    assert rules.channels(touches(rows)).to_list() == expected
    assert jk.ChannelRules([]).channels(touches(rows)).to_list() == ["Unassigned"] * 7
    assert rules.channels(touches([])).to_list() == []


ROWS = pl.DataFrame(
    {
        "user": ["a", "a", "a", "a", "b", "c"],
        "time": [0, 60, 120, 90_000, 10, 20],
        "event": ["see", "see", "buy", "see", "see", "see"],
        "source": [None, "google", "news", None, "t.co", None],
        "medium": [None, "cpc", "email", None, "referral", "affiliate"],
        "campaign": [None, None, "may", None, "x", None],
    }
)
ROLES = {
    "user": "user",
    "time": "time",
    "event": "event",
    "unit": "s",
    "keep": ["source", "medium", "campaign"],
}


def test_sessions_have_the_channel_of_their_first_touch_and_of_their_last():
    journeys = jk.read_events(ROWS, **ROLES).sessionize("30m").assign_channels(jk.channels.ga4())
    found = journeys.frame.sort("user", "time").select(
        "session_channel", "session_last_channel", "session_campaign"
    )
    assert found.rows() == [
        *[("Paid Search", "Email", None)] * 3,
        ("Direct", "Direct", None),
        ("Organic Social", "Organic Social", "x"),
        ("Affiliates", "Affiliates", None),
    ]
    by = journeys.measure(jk.Overview(), by="session_channel").frame.filter(number="sessions")
    assert dict(by.select("session_channel", "value").iter_rows()) == {
        "Paid Search": 1,
        "Direct": 1,
        "Organic Social": 1,
        "Affiliates": 1,
    }


def test_channels_are_assigned_out_of_core_as_in_memory(tmp_path):
    plan = jk.scan_events(ROWS, **ROLES).sessionize("30m").assign_channels(jk.channels.ga4())
    engine = jk.OutOfCore(shards=3, directory=tmp_path)
    for name in ("session_channel", "session_last_channel", "session_campaign"):
        assert_same_everywhere(plan, engine, jk.Overview(), jk.TopPaths(None), by=name)


def test_channels_of_part_of_the_journeys():
    journeys = jk.read_events(ROWS, **ROLES).sessionize("30m").filter(events=["buy"])
    assert journeys.assign_channels(jk.channels.ga4()).frame["session_channel"].to_list() == ["Email"]
    nothing = journeys.filter(events=["see"]).assign_channels(jk.channels.ga4())
    assert nothing.frame["session_channel"].to_list() == []


@pytest.mark.parametrize(
    "rules",
    [
        jk.channels.ga4(),
        jk.channels.ga4(url="page", campaign=None, own_hosts=["shop.eu"], untouched="nobody"),
        jk.ChannelRules(
            [
                jk.ChannelRule(
                    "two\nlines \"<b>'\\ 🛒\x7f", {"medium_is": ["é", "\x00"], "source_missing": True}
                )
            ]
        ),
    ],
)
def test_rules_survive_their_file(rules, tmp_path):
    path = rules.save(tmp_path / "channels.toml")
    assert jk.ChannelRules.load(path) == rules
    assert [*tmp_path.iterdir()] == [path]


def rule(**when):
    return jk.ChannelRule("X", when)


MESSAGES = {
    "no name": (
        lambda: jk.ChannelRule("", {"medium_is": "x"}),
        "a channel cannot be called ''. Give it a name.",
    ),
    "no conditions": (
        lambda: jk.ChannelRule("X", []),
        "the channel 'X' has no conditions. Give mappings such as {'medium_is': 'email'}.",
    ),
    "unknown field": (
        lambda: rule(medum_is="x"),
        (
            "the channel 'X' has a condition 'medum_is'. Did you mean 'medium_is'? Available: 'medium_is', "
            "'medium_in', 'medium_listed', 'medium_ends', 'medium_missing', 'medium_contains', 'medium_starts', "
            "'medium_matches' and 32 more."
        ),
    ),
    "no text": (
        lambda: rule(medium_is=7),
        "the condition 'medium_is' of the channel 'X' cannot be 7. Give a text, or several.",
    ),
    "no truth": (
        lambda: rule(medium_missing="yes"),
        "the condition 'medium_missing' of the channel 'X' cannot be 'yes'. Give true or false.",
    ),
    "no expression": (
        lambda: rule(medium_matches="("),
        "the condition 'medium_matches' of the channel 'X' is no regular expression: '('.",
    ),
    "no list": (
        lambda: jk.ChannelRules([rule(source_in="serch")], lists={"search": ["google"]}),
        "the channel 'X' asks for the list 'serch'. Did you mean 'search'? Available: 'search'.",
    ),
    "no list of exact names": (
        lambda: jk.ChannelRules([rule(source_listed="serch")], lists={"search": ["google"]}),
        "the channel 'X' asks for the list 'serch'. Did you mean 'search'? Available: 'search'.",
    ),
    "no name of a list": (
        lambda: rule(source_listed=["google"]),
        "the condition 'source_listed' of the channel 'X' cannot be ('google',). Give the name of a list.",
    ),
    "no rule": (
        lambda: jk.ChannelRules(["Email"]),
        "rules must be ChannelRule values, not 'Email'. Write jk.ChannelRule(name, when).",
    ),
    "no field": (
        lambda: jk.ChannelRules([], source=None, medium=None, campaign=None),
        "nothing tells where touches come from. Name the property of source, medium, campaign, url or referrer.",
    ),
    "no rules": (
        lambda: jk.read_events(ROWS, **ROLES).sessionize("30m").assign_channels("ga4"),
        "assign_channels needs ChannelRules, not 'ga4'. Pass jk.channels.ga4(), for example.",
    ),
    "no rules of a plan": (
        lambda: jk.scan_events(ROWS, **ROLES).sessionize("30m").assign_channels("ga4"),
        "assign_channels needs ChannelRules, not 'ga4'. Pass jk.channels.ga4(), for example.",
    ),
    "twice": (
        lambda: (
            jk.read_events(ROWS, **ROLES)
            .sessionize("30m")
            .assign_channels(jk.channels.ga4())
            .assign_channels(jk.channels.ga4())
        ),
        "the journeys have a property 'session_channel' already. Channels are assigned once.",
    ),
    "no TOML": (
        lambda: jk.ChannelRules.loads("rules = ["),
        "the channel rules are no TOML: Invalid value (at end of document).",
    ),
    "unknown key": (
        lambda: jk.ChannelRules.loads("rule = []"),
        (
            "channel rules have no 'rule'. Did you mean 'rules'? Available: 'rules', 'url', 'source', 'referrer', "
            "'otherwise', 'untouched', 'lists', 'medium' and 2 more."
        ),
    ),
    "a broken rule": (
        lambda: jk.ChannelRules.loads("[[rules]]\nname = 'X'"),
        "a rule of channels has 'name' and 'when', and this one is {'name': 'X'}.",
    ),
    "rules that are no list": (
        lambda: jk.ChannelRules.loads("rules = 5"),
        "rules of channels are a list, and this is 5. Write [[rules]] before each.",
    ),
    "conditions that are none": (
        lambda: jk.ChannelRules.loads("[[rules]]\nname = 'X'\nwhen = 5"),
        "the channel 'X' has no conditions. Give mappings such as {'medium_is': 'email'}.",
    ),
    "one rule": (
        lambda: jk.ChannelRules(rule(medium_is="x")),
        "rules must be a list of ChannelRule values, not ChannelRule(name='X', when=({'medium_is': 'x'},)).",
    ),
    "lists that are none": (
        lambda: jk.ChannelRules.loads("lists = 5"),
        "lists must give every list of sites a name, not 5. Give {'search': ['google']}, say.",
    ),
    "a list that is one text": (
        lambda: jk.ChannelRules.loads("lists = {search = 'google'}"),
        "the list 'search' must be a list of texts such as ['google'], not 'google'.",
    ),
    "hosts that are none": (
        lambda: jk.ChannelRules.loads("own_hosts = 5"),
        "own_hosts must be a list of texts such as ['shop.example'], not 5.",
    ),
    "one host": (
        lambda: jk.ChannelRules([], own_hosts="shop.eu"),
        "own_hosts must be a list of texts such as ['shop.example'], not 'shop.eu'.",
    ),
    "a host that is no text": (
        lambda: jk.ChannelRules.loads("own_hosts = ['a', 5]"),
        "own_hosts must be a list of texts such as ['shop.example'], not ['a', 5].",
    ),
    "a property that is no name": (
        lambda: jk.ChannelRules.loads("medium = ['a']"),
        "medium must be a name or None, not ['a'].",
    ),
    "no channel for the rest": (
        lambda: jk.ChannelRules.loads("otherwise = ''"),
        "otherwise must be a name, not ''.",
    ),
    "no file": (
        lambda: jk.ChannelRules.load("absent.toml"),
        "the channel rules at 'absent.toml' cannot be read: No such file or directory.",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_refused_and_how(name):
    act, message = MESSAGES[name]
    with pytest.raises(errors.ParameterError, match=f"^{re.escape(message)}$"):
        act()


def test_a_property_that_was_not_kept_is_named():
    journeys = jk.read_events(ROWS, user="user", time="time", event="event", unit="s").sessionize("30m")
    with pytest.raises(errors.UnknownPropertyError, match="no property 'source' in these journeys"):
        journeys.assign_channels(jk.channels.ga4())
