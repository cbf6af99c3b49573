"""Which links between ids make one user of them, and which do not; the rules of the vendors. DEFINITIONS D1.8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

from journeykit.errors import ParameterError

Owner: TypeAlias = Literal["first", "last", "current"]
Oversize: TypeAlias = Literal["apart", "refuse"]
MixedKinds: TypeAlias = Literal["raise", "strongest"]

PLACEHOLDERS = (
    "", "0", "-1", "null", "(null)", "nil", "none", "undefined", "nan", "n/a", "na", "(not set)", "[object object]",
    "true", "false", "anonymous", "guest", "unknown", "not_authenticated", "distinct_id", "id", "email",
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
"""What stands in columns of ids and is no one's id; compared without case and outer blanks."""


@dataclass(frozen=True, kw_only=True)
class IdentityRules:
    """Which ids that were seen together are one user. D1.8.

    Parameters
    ----------
    strong : str or sequence of str
        Kinds of ids that name one person, such as ``"login"``, the most telling first. A user has at most one id of
        each; an id of these names the user, in this order.
    retroactive : bool
        Whether events from before ids were first seen together are the user's too. Otherwise an event is, from
        the first link on that leads to the user's name; before it the id is a user of its own.
    owner : {"first", "last", "current"}
        Whose an id is that was seen with several strong ids of one kind: of the one it was seen with first, or last; or
        at any time the one it was last seen with, and before that the first.
    max_logins : int, optional
        With how many different ids of one strong kind another id may be seen. One that was seen with more, such as that
        of a kiosk, is nobody's: its links do not count. None: any.
    max_ids : int, optional
        How many ids a user may have. None: any.
    oversize : {"apart", "refuse"}
        What becomes of more: all of them stay apart; or links are taken in their order as long as they do not lead to
        more.
    mixed_kinds : {"raise", "strongest"}
        What an id is that was seen under two kinds: a mistake, since the number 7 of a device is not the 7 of a
        customer; or one id, of the strongest of its kinds.
    ignored : sequence of str
        Texts that are no ids, without regard to case: links with them do not count.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    Links count in this order: those seen first (with ``owner="last"``: seen last) before others, then those that were
    seen more often, then by their texts. So the result does not depend on the order of the rows.

    Examples
    --------
    >>> IdentityRules(strong="login", max_logins=5)
    IdentityRules(strong=('login',), max_logins=5)
    """

    strong: str | Sequence[str] = ()
    retroactive: bool = True
    owner: Owner = "first"
    max_logins: int | None = 10
    max_ids: int | None = 1_000
    oversize: Oversize = "apart"
    mixed_kinds: MixedKinds = "raise"
    ignored: Sequence[str] = PLACEHOLDERS

    def __post_init__(self) -> None:
        for name in ("strong", "ignored"):
            given = getattr(self, name)
            texts = (given,) if isinstance(given, str) else tuple(given)
            if not all(isinstance(text, str) for text in texts):
                raise ParameterError(f"{name} must be texts, not {given!r}.")
            object.__setattr__(self, name, tuple(dict.fromkeys(texts)))
        for name, choices in (("owner", Owner), ("oversize", Oversize), ("mixed_kinds", MixedKinds)):
            if getattr(self, name) not in get_args(choices):
                raise ParameterError.choice(name, getattr(self, name), get_args(choices))
        for name, least in (("max_logins", 1), ("max_ids", 2)):
            given = getattr(self, name)
            if given is None:
                continue
            if isinstance(given, bool) or not isinstance(given, int) or given < least:
                raise ParameterError(
                    f"{name} cannot be {given!r}. Give a whole number from {least} on, or None."
                )

    def __repr__(self) -> str:
        shown = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }
        return f"IdentityRules({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def timed(self) -> bool:
        """Whether the times of links matter."""
        return not self.retroactive or self.owner != "first"


def posthog(identified: str = "distinct_id") -> IdentityRules:
    """PostHog: an anonymous id becomes part of the person who identifies first; two identified persons never merge.

    `identified` is the kind of ids given to ``identify``; the links are the events ``$identify`` (``$anon_distinct_id``
    and ``distinct_id``) and ``$create_alias`` (``alias`` and ``distinct_id``).

    References
    ----------
    PostHog Docs, "Identifying users" and "Persons" (a merge of two identified persons is refused; past events are the
    person's too; placeholder ids do not merge). Remains: ``$merge_dangerously`` merges anything there.
    """
    return IdentityRules(strong=identified, max_logins=None, max_ids=None, mixed_kinds="strongest")


def amplitude(user: str = "user_id") -> IdentityRules:
    """Amplitude: a device's earlier anonymous events are its first user's; later ones those of who signed in last.

    References
    ----------
    Amplitude Docs, "How Amplitude assigns Amplitude IDs" and "Track unique users" (user ids never merge). Remains:
    merges by the user mapping API.
    """
    return IdentityRules(strong=user, owner="current", max_logins=None, max_ids=None)


def mixpanel(user: str = "$user_id") -> IdentityRules:
    """Mixpanel, Simplified ID Merge: a device is the user's with whom it was first seen; user ids never merge.

    References
    ----------
    Mixpanel Docs, "Identifying Users (Simplified)": the first event with both ids makes the link, any number of
    devices, the user id is the canonical one, earlier events are updated.
    """
    return IdentityRules(strong=user, max_logins=None, max_ids=None)


def mixpanel_original(identified: str = "$identified_id") -> IdentityRules:
    """Mixpanel, Original ID Merge: an anonymous id is merged once; a cluster has at most 500 ids.

    References
    ----------
    Mixpanel Docs, "Identifying Users (Original)": a merge that would lead to more than 500 ids fails. Remains:
    ``$merge`` events join any two ids there, and anonymous ids must be UUIDs of version 4.
    """
    return IdentityRules(
        strong=identified, max_logins=None, max_ids=500, oversize="refuse", mixed_kinds="strongest"
    )


def snowplow(user: str = "user_id") -> IdentityRules:
    """Snowplow's packages for dbt: a ``domain_userid`` is the latest ``user_id``'s, with all that it ever did.

    References
    ----------
    Snowplow Documentation, "Users and identity stitching": the latest user id per device id.
    """
    return IdentityRules(strong=user, owner="last", max_logins=None, max_ids=None)
