"""Presets of `Source` for exports that many have: CRM, support, e-mail, advertising, social media, tills, surveys.

Each names the columns that such an export commonly has, and each can be told others: what is passed by name replaces
what the preset says. `where` alone is added: rows have to fit the preset's own condition, such as that a case is
closed, and the one passed. Where one row tells of two things, such as a case that was opened and closed, a preset is
two sources.

>>> import polars as pl
>>> tickets = pl.DataFrame({"requester": ["ann"], "opened_at": ["2026-01-05 10:00"], "closed_at": [None]})
>>> support_tickets(tickets, user="requester", opened="opened_at", closed="closed_at")
(Source('support'), Source('support'))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import and_
from typing import Any, Literal, TypeAlias, get_args

import polars as pl

from journeykit.combining import Source
from journeykit.errors import ParameterError

__all__ = [
    "ads",
    "email",
    "salesforce_cases",
    "salesforce_contacts",
    "salesforce_opportunities",
    "social",
    "support_tickets",
    "survey",
    "till",
]

SurveyKind: TypeAlias = Literal["nps", "csat", "ces", "text"]


def salesforce_contacts(log: Any, user: str = "Email", **changes: Any) -> Source:
    """Contacts of Salesforce: one event, ``contact created``, at ``CreatedDate``; ``LeadSource`` is kept.

    References
    ----------
    Object Reference for the Salesforce Platform, "Contact".
    """
    source = Source(
        log=log, source="salesforce", user=user, time="CreatedDate", event=pl.lit("contact created"), channel="crm",
        optional=("Id", "AccountId", "LeadSource"),
    )  # fmt: skip
    return _changed(source, changes)


def salesforce_opportunities(log: Any, user: str = "AccountId", **changes: Any) -> tuple[Source, Source]:
    """Opportunities of Salesforce: ``opportunity created``, and ``opportunity won`` or ``lost`` on its ``CloseDate``.

    The close date is a day, and stands after that day's other events; only opportunities that are closed count. The
    value of one that was won is its ``Amount``. `changes` are made to both sources.

    References
    ----------
    Object Reference for the Salesforce Platform, "Opportunity".
    """
    kept = ("Id", "Name", "LeadSource", "StageName", "Type")
    created = Source(
        log=log, source="salesforce", user=user, time="CreatedDate", event=pl.lit("opportunity created"),
        channel="sales", optional=kept,
    )  # fmt: skip
    won = _truth("IsWon")
    closed = Source(
        log=log, source="salesforce", user=user, time="CloseDate", channel="sales", optional=kept,
        event=pl.when(won).then(pl.lit("opportunity won")).otherwise(pl.lit("opportunity lost")),
        value=pl.when(won).then(pl.col("Amount").cast(pl.Float64)), where=_truth("IsClosed"),
        precision="day", day_order="after",
    )  # fmt: skip
    return _changed(created, changes), _changed(closed, changes)


def salesforce_cases(log: Any, user: str = "ContactId", **changes: Any) -> tuple[Source, Source]:
    """Cases of Salesforce: ``case opened`` at ``CreatedDate`` and ``case closed`` at ``ClosedDate``.

    The channel is the case's ``Origin``, such as Phone or Web. `changes` are made to both sources.

    References
    ----------
    Object Reference for the Salesforce Platform, "Case".
    """
    return _opened_and_closed(
        Source(
            log=log, source="salesforce", user=user, time="CreatedDate", event=pl.lit("case opened"),
            channel=pl.col("Origin").cast(pl.String).str.to_lowercase().fill_null("support"),
            optional=("CaseNumber", "Priority", "Reason", "Status", "Type"),
        ),
        "ClosedDate",
        "case closed",
        changes,
    )  # fmt: skip


def support_tickets(
    log: Any,
    *,
    user: str = "requester_id",
    opened: str = "created_at",
    closed: str | None = "solved_at",
    **changes: Any,
) -> tuple[Source, ...]:
    """Tickets of a help desk: ``ticket opened`` and, unless `closed` is None, ``ticket solved``."""
    first = Source(
        log=log, source="support", user=user, time=opened, event=pl.lit("ticket opened"), channel="support",
        optional=("subject", "status", "priority", "tags", "satisfaction_score"),
    )  # fmt: skip
    if closed is None:
        return (_changed(first, changes),)
    return _opened_and_closed(first, closed, "ticket solved", changes)


def email(
    log: Any, user: str = "email", event: str = "event", time: str = "timestamp", **changes: Any
) -> Source:
    """What a mailing tool tells: ``email sent``, ``email opened``, ``email clicked`` and others that it names.

    Opens are counted by a picture that is loaded, by mail programs that protect privacy also unread.
    """
    named = pl.lit("email ") + pl.col(event).cast(pl.String).str.to_lowercase()
    source = Source(
        log=log, source="email", user=user, time=time, event=named, channel="email",
        optional=("campaign", "subject", "url"),
    )  # fmt: skip
    return _changed(source, changes)


def ads(log: Any, user: str = "user_id", event: str = "event", time: str = "time", **changes: Any) -> Source:
    """What is known of advertising per person: ``ad impression``, ``ad click``."""
    named = pl.lit("ad ") + pl.col(event).cast(pl.String).str.to_lowercase()
    source = Source(
        log=log, source="ads", user=user, time=time, event=named, channel="ads",
        optional=("campaign", "network", "creative", "cost"),
    )  # fmt: skip
    return _changed(source, changes)


def social(
    log: Any, user: str = "author", event: str = "type", time: str = "created_at", **changes: Any
) -> Source:
    """Posts and mentions of customers: ``social post``, ``social mention``, ``social reply``."""
    named = pl.lit("social ") + pl.col(event).cast(pl.String).str.to_lowercase()
    source = Source(
        log=log, source="social", user=user, time=time, event=named, channel="social",
        optional=("network", "text", "sentiment", "url"),
    )  # fmt: skip
    return _changed(source, changes)


def till(
    log: Any, user: str = "loyalty_card", time: str = "time", value: str | None = "total", **changes: Any
) -> Source:
    """Receipts of a shop: ``bought in the shop``, with what was paid. Pass ``precision="day"`` for days' totals."""
    source = Source(
        log=log, source="till", user=user, time=time, event=pl.lit("bought in the shop"), channel="shop", value=value,
        optional=("store", "receipt", "items"),
    )  # fmt: skip
    return _changed(source, changes)


def survey(
    log: Any,
    kind: SurveyKind,
    user: str = "email",
    time: str = "answered_at",
    score: str = "score",
    **changes: Any,
) -> Source:
    """Answers to a survey: ``survey nps``, ``survey csat``, ``survey ces`` with their score, or ``survey text``.

    Raises
    ------
    ParameterError
        If `kind` is no choice.
    """
    if kind not in get_args(SurveyKind):
        raise ParameterError.choice("kind", kind, get_args(SurveyKind))
    source = Source(
        log=log, source=f"survey {kind}", user=user, time=time, event=pl.lit(f"survey {kind}"), channel="survey",
        value=None if kind == "text" else score, optional=("comment", "touchpoint"),
    )  # fmt: skip
    return _changed(source, changes)


def _opened_and_closed(
    opened: Source, closed: str, name: str, changes: Mapping[str, Any]
) -> tuple[Source, Source]:
    """Return a source of what was opened, and one of those that were closed."""
    after = replace(opened, time=closed, event=pl.lit(name), where=pl.col(closed).is_not_null())
    return _changed(opened, changes), _changed(after, changes)


def _changed(source: Source, changes: Mapping[str, Any]) -> Source:
    """Return a source with what was passed by name; its own condition holds beside the one passed."""
    conditions = [each for each in (source.where, changes.get("where")) if each is not None]
    return replace(source, **{**changes, "where": reduce(and_, conditions) if conditions else None})


def _truth(column: str) -> pl.Expr:
    """Read true and false, as texts of an export too."""
    return pl.col(column).cast(pl.String).str.to_lowercase().is_in(["true", "1"])
