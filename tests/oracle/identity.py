"""Ids joined into users, link by link. D1.8.

Rows are dicts from column to id (a text, or None), and ``time`` (microseconds, or None: always).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ALWAYS = float("-inf")


class Rules(NamedTuple):
    """The rules of one identity."""

    strong: Sequence[str] = ()
    retroactive: bool = True
    owner: str = "first"
    max_logins: int | None = None
    max_ids: int | None = None
    oversize: str = "apart"
    ignored: Sequence[str] = ()


def kinds_of(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], rules: Rules) -> dict[str, str]:
    """The kind of every id: the strongest that it is seen under."""
    order = list(dict.fromkeys([*rules.strong, *kinds.values()]))
    seen: dict[str, set[str]] = {}
    for row in rows:
        for column, kind in kinds.items():
            if row[column] is not None:
                seen.setdefault(row[column], set()).add(kind)
    return {name: min(found, key=order.index) for name, found in seen.items()}


def links_of(
    rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], rules: Rules
) -> dict[Any, list[float]]:
    """The times at which two ids were seen together, in order."""
    ignored = {text.strip().lower() for text in rules.ignored}
    links: dict[Any, list[float]] = {}
    for row in rows:
        when = ALWAYS if row.get("time") is None else row["time"]
        for one, other in itertools.combinations(kinds, 2):
            pair = row[one], row[other]
            if None in pair or pair[0] == pair[1] or any(each.strip().lower() in ignored for each in pair):
                continue
            links.setdefault(tuple(sorted(pair)), []).append(when)
    return {pair: sorted(times) for pair, times in links.items()}


def users(
    rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], rules: Rules
) -> dict[str, list[tuple[float, str]]]:
    """Whose every id is: the moments from which on it is a user's, and the users. Before the first it is its own."""
    kind_of, links = kinds_of(rows, kinds, rules), links_of(rows, kinds, rules)
    order = list(dict.fromkeys([*rules.strong, *kinds.values()]))
    shared = {name for name in kind_of if _shared(name, kind_of, links, rules)}
    usable = {pair: times for pair, times in links.items() if not shared & {*pair}}

    def place(pair: Any) -> Any:
        times = usable[pair]
        return (-times[-1] if rules.owner == "last" else times[0], -len(times), pair)

    groups = {name: {name} for name in kind_of}
    for one, other in sorted(usable, key=place):
        both = groups[one] | groups[other]
        names = [kind_of[name] for name in both if kind_of[name] in rules.strong]
        too_many = rules.oversize == "refuse" and rules.max_ids is not None and len(both) > rules.max_ids
        if groups[one] is not groups[other] and len(names) == len(set(names)) and not too_many:
            for name in both:
                groups[name] = both
    apart = set()
    if rules.max_ids is not None and rules.oversize == "apart":
        apart = {name for name, group in groups.items() if len(group) > rules.max_ids}
    groups = {name: {name} if name in apart else group for name, group in groups.items()}
    user = {
        name: min(group, key=lambda each: (order.index(kind_of[each]), each.encode()))
        for name, group in groups.items()
    }
    found = {name: [(since(name, user, usable, rules), user[name])] for name in kind_of}
    if rules.owner == "current":
        for name in kind_of:
            if kind_of[name] not in rules.strong and name not in apart:
                found[name] = _turns(name, kind_of, usable, user, rules) or found[name]
    return found


def _shared(name: str, kind_of: Mapping[str, str], links: Any, rules: Rules) -> bool:
    if kind_of[name] in rules.strong or rules.max_logins is None:
        return False
    others = [other for pair in links if name in pair for other in pair if other != name]
    return any(sum(kind_of[other] == kind for other in others) > rules.max_logins for kind in rules.strong)


def since(name: str, user: Mapping[str, str], links: Any, rules: Rules) -> float:
    """When links between ids of one user first lead from an id to the name of the user: the latest on the best way."""
    if rules.retroactive or user[name] == name:
        return ALWAYS
    moments = sorted(
        {times[0] for pair, times in links.items() if user[pair[0]] == user[pair[1]] == user[name]}
    )
    for moment in moments:
        reached = {name}
        for _ in links:
            for pair, times in links.items():
                if times[0] <= moment and user[pair[0]] == user[pair[1]] and reached & {*pair}:
                    reached |= {*pair}
        if user[name] in reached:
            return moment
    raise AssertionError("the ids of a user are linked")


def _turns(name: str, kind_of: Any, links: Any, user: Any, rules: Rules) -> list[tuple[float, str]]:
    for kind in rules.strong:
        logins = {
            other: times
            for pair, times in links.items()
            for other in pair
            if name in pair and other != name and kind_of[other] == kind
        }
        if len(logins) > 1:
            seen: dict[float, str] = {}
            for other in sorted(logins, key=str.encode, reverse=True):
                seen |= dict.fromkeys(logins[other], user[other])
            turns = [(when, seen[when]) for when in sorted(seen)]
            kept = [turn for i, turn in enumerate(turns) if i == 0 or turn[1] != turns[i - 1][1]]
            return [(ALWAYS, kept[0][1]), *kept[1:]] if rules.retroactive else kept
    return []


def owner(name: str, time: float, found: Mapping[str, list[tuple[float, str]]]) -> str:
    """Whose an event of an id at a time is."""
    mine = [user for moment, user in found.get(name, []) if moment <= time]
    return mine[-1] if mine else name
