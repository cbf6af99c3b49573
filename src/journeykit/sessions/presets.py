"""The session rules of the vendors. DEFINITIONS D2.6."""

from __future__ import annotations

from collections.abc import Collection

from journeykit.sessions.rule import SessionRule


def ga4(views: Collection[str] = (), key_events: Collection[str] = ()) -> SessionRule:
    """Google Analytics 4: 30 minutes; a bounce is a session that is not engaged. D2.6.

    Source: Analytics Help, "About Analytics sessions". Remains: a session there is a client with
    the session id that it sent (`SessionRule.from_column` if the log has it).
    """
    return SessionRule("30m", bounce="ga4", views=views, key_events=key_events)


def mixpanel() -> SessionRule:
    """Mixpanel: 30 minutes, at most 24 hours, never over midnight. D2.6.

    Source: Mixpanel Docs, "Sessions". Remains: midnight is that of the project there, of the log's `tz` here.
    """
    return SessionRule("30m", max_duration="24h", split_at="day")


def adobe() -> SessionRule:
    """Adobe Analytics: 30 minutes, 12 hours, 2,500 hits, or 100 hits within 100 seconds. D2.6.

    Source: Adobe Analytics Components Guide, "Visits". Remains: a visit over midnight counts on both
    days there, on its first here.
    """
    return SessionRule("30m", max_duration="12h", max_events=2500, burst=(100, "100s"))


def matomo(campaign: str | None = "campaign") -> SessionRule:
    """Matomo: 1,800 seconds, 10,000 actions, never over midnight or from one campaign to another. D2.6.

    `campaign` names the property that holds the campaign; None leaves this rule out.
    Source: Matomo configuration defaults, ``config/global.ini.php``, section Tracker. Remains: a new website
    referrer can be made to split there; by default it does not, as here.
    """
    return SessionRule(
        "1800s", max_events=10_000, split_at="day", split_on=() if campaign is None else campaign
    )


def snowplow() -> SessionRule:
    """Snowplow: 30 minutes. D2.6.

    Source: Snowplow Documentation on sessions. Remains: the three days after which a session is no longer
    processed there are a limit of the processing, not a rule.
    """
    return SessionRule("30m")


def posthog() -> SessionRule:
    """PostHog: 30 minutes, at most 24 hours. D2.6.

    Source: PostHog Docs, "Sessions". Remains: the browser's session id there (`SessionRule.from_column`).
    """
    return SessionRule("30m", max_duration="24h")


def posthog_2021() -> SessionRule:
    """PostHog before session ids: a silence of 30 minutes or more. D2.6.

    Source: PostHog's queries of 2021, as in the conformance cases (D17). Remains: per device there,
    per user here.
    """
    return SessionRule("30m", timeout_inclusive=True)


def amplitude_web() -> SessionRule:
    """Amplitude in browsers: 30 minutes. D2.6.

    Source: Amplitude Docs, "Track sessions". Remains: there a session id of -1 puts an event outside any
    session; with such a column make -1 null and use ``SessionRule.from_column("outside")``.
    """
    return SessionRule("30m")


def amplitude_mobile() -> SessionRule:
    """Amplitude in apps: 5 minutes. D2.6.

    Source: Amplitude Docs, "Track sessions". Remains: as in `amplitude_web`.
    """
    return SessionRule("5m")
