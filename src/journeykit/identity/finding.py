"""The users that links make of ids, under rules that keep some apart. DEFINITIONS D1.8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.identity.links import ALWAYS, Int64s, Links
from journeykit.identity.rules import IdentityRules
from journeykit.ordering.user_ids import identities_of
from journeykit.support.slices import places_of

Bools = npt.NDArray[np.bool_]
NOBODY = -1


@dataclass(frozen=True, eq=False)
class Found:
    """Whose every id is.

    Attributes
    ----------
    users : numpy.ndarray of int64
        The id that names its user; of ids that are alone, themselves.
    since : numpy.ndarray of int64
        From when on; `ALWAYS` for all of the time.
    shared, apart : numpy.ndarray of bool
        Whether it was seen with too many strong ids; whether its links would make too large a user.
    turns : polars.DataFrame
        Of ids that have one owner after another: ``id``, ``since``, ``user``, numbers and microseconds, in order.
    """

    users: Int64s
    since: Int64s
    shared: Bools
    apart: Bools
    turns: pl.DataFrame


def find_users(links: Links, rules: IdentityRules) -> Found:
    """Join ids into users.

    Notes
    -----
    O(n) for n ids and links but for those whose component holds two strong ids of a kind, which are sorted.
    """
    n = len(links.ids)
    shared = _shared(links, rules)
    usable = np.flatnonzero(~(shared[links.ones] | shared[links.others]))
    roots = _components(links, usable, n)
    doubtful = _doubtful(links, rules, roots)
    again = usable[doubtful[roots[links.ones[usable]]]]
    if again.size:
        roots = _greedy(links, rules, again, np.where(doubtful[roots], np.arange(n), roots))
    sizes = np.bincount(roots, minlength=n)
    apart = np.zeros(n, np.bool_)
    if rules.max_ids is not None and rules.oversize == "apart":
        apart = (sizes > rules.max_ids)[roots]
        roots = np.where(apart, np.arange(n), roots)
    users = _named(links, roots)
    since = np.full(n, ALWAYS, np.int64)
    if not rules.retroactive:
        since = _since(links, usable, roots, users)
    turns = _no_turns()
    if rules.owner == "current":
        turns = _turns(links, rules, usable[~apart[links.ones[usable]]], users)
    return Found(users, since, shared, apart, turns)


def whole_time(found: Found, chosen: Int64s) -> pl.DataFrame:
    """Return the one turn of ids that have no more than one: ``id``, ``since``, ``user`` as in ``found.turns``."""
    one = np.setdiff1d(chosen, found.turns["id"].to_numpy())
    return pl.DataFrame({"id": one, "since": found.since[one], "user": found.users[one]})


def strong_links(links: Links, kind: int, strong: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return the links between an id of no strong kind and one of a strong `kind`: number, weak id, strong id."""
    mine, theirs = links.kinds[links.ones], links.kinds[links.others]
    forward, backward = (mine >= strong) & (theirs == kind), (theirs >= strong) & (mine == kind)
    number = np.flatnonzero(forward | backward)
    ahead = forward[number]
    return (
        number,
        np.where(ahead, links.ones[number], links.others[number]),
        np.where(ahead, links.others[number], links.ones[number]),
    )


def _shared(links: Links, rules: IdentityRules) -> Bools:
    """Mark ids that were seen with more strong ids of a kind than an id of one person may."""
    shared = np.zeros(len(links.ids), np.bool_)
    if rules.max_logins is None:
        return shared
    for kind in range(len(rules.strong)):
        weak = strong_links(links, kind, len(rules.strong))[1]
        shared |= np.bincount(weak, minlength=shared.size) > rules.max_logins
    return shared


def _components(links: Links, usable: Int64s, n: int) -> Int64s:
    from journeykit.kernels.ordering.identity import join

    parents = np.arange(n)
    join(links.ones[usable], links.others[usable], parents)
    return parents


def _doubtful(links: Links, rules: IdentityRules, roots: Int64s) -> Bools:
    """Mark the roots of components in which ids came together that must not."""
    doubtful = np.zeros(roots.size, np.bool_)
    for kind in range(len(rules.strong)):
        doubtful |= np.bincount(roots[links.kinds == kind], minlength=roots.size) > 1
    if rules.max_ids is not None and rules.oversize == "refuse":
        doubtful |= np.bincount(roots, minlength=roots.size) > rules.max_ids
    return doubtful


def in_order(links: Links, rules: IdentityRules, chosen: Int64s) -> Int64s:
    """Return links in the order in which they count; see `IdentityRules`."""
    ones, others = (links.ids.gather(ids[chosen]) for ids in (links.ones, links.others))
    when = -1 - links.last[chosen] if rules.owner == "last" else links.first[chosen]
    frame = pl.DataFrame(
        {"link": chosen, "when": when, "rare": -links.sightings[chosen], "one": ones, "other": others}
    )
    low, high = pl.min_horizontal("one", "other"), pl.max_horizontal("one", "other")
    return frame.sort("when", "rare", low, high)["link"].to_numpy()


def _greedy(links: Links, rules: IdentityRules, again: Int64s, roots: Int64s) -> Int64s:
    """Join doubtful components once more, link by link, where that brings nothing together that must not be."""
    from journeykit.kernels.ordering.identity import join_apart

    order = in_order(links, rules, again)
    names = np.full((roots.size, len(rules.strong)), NOBODY, np.int64)
    strong = np.flatnonzero(links.kinds < len(rules.strong))
    names[strong, links.kinds[strong]] = strong
    most = rules.max_ids if rules.oversize == "refuse" and rules.max_ids is not None else 0
    sizes, parents = np.ones(roots.size, np.int64), roots.copy()
    join_apart(links.ones[order], links.others[order], most, names, sizes, parents)
    return parents


def _named(links: Links, roots: Int64s) -> Int64s:
    """Name every component by its id of the strongest kind, of several by the first in the order of their bytes."""
    from journeykit.kernels.ordering.identity import name_by_first

    best = np.zeros(roots.size, np.uint8)
    for kind in range(len(links.names) - 1, -1, -1):
        best[roots[links.kinds == kind]] = kind
    candidates = np.flatnonzero(links.kinds == best[roots])
    ids = links.ids.rechunk()
    names = np.full(roots.size, NOBODY, np.int64)
    name_by_first(candidates, roots, identities_of(ids, np.empty(len(ids), np.uint64)), names)
    return names[roots]


def _since(links: Links, usable: Int64s, roots: Int64s, users: Int64s) -> Int64s:
    """Return from when on every id is its user's: the earliest time by which links lead to the name of the user."""
    from journeykit.kernels.ordering.identity import note_joining

    inside = usable[roots[links.ones[usable]] == roots[links.others[usable]]]
    inside = inside[np.argsort(links.first[inside], kind="stable")]
    since = np.full(roots.size, ALWAYS, np.int64)
    holds = users == np.arange(roots.size)
    parents, following = np.arange(roots.size), np.arange(roots.size)
    first = links.first[inside]
    note_joining(links.ones[inside], links.others[inside], first, parents, following, holds, since)
    return since


def _turns(links: Links, rules: IdentityRules, usable: Int64s, users: Int64s) -> pl.DataFrame:
    """Return the owners, one after another, of ids that were seen with several strong ids of one kind."""
    may = np.zeros(links.ones.size, np.bool_)
    may[usable] = True
    done = np.zeros(users.size, np.bool_)
    turns = []
    for kind in range(len(rules.strong)):
        number, weak, strong = strong_links(links, kind, len(rules.strong))
        own = may[number] & ~done[weak]
        number, weak, strong = number[own], weak[own], strong[own]
        several = np.bincount(weak, minlength=users.size) > 1
        number, weak, strong = (each[several[weak]] for each in (number, weak, strong))
        done |= several
        turns.append(_turns_of(links, number, weak, strong, users))
    found = pl.concat(turns) if turns else _no_turns()
    if rules.retroactive:
        first = pl.col("id").is_first_distinct()
        found = found.with_columns(pl.when(first).then(ALWAYS).otherwise("since").alias("since"))
    return found.sort("id", "since", maintain_order=True)


def _turns_of(links: Links, number: Int64s, weak: Int64s, strong: Int64s, users: Int64s) -> pl.DataFrame:
    counts = links.sightings[number]
    if not counts.size:
        return _no_turns()
    seen = pl.DataFrame(
        {
            "id": np.repeat(weak, counts),
            "since": links.times[places_of(links.offsets[number], counts)],
            "user": np.repeat(users[strong], counts),
            "name": links.ids.gather(strong).gather(np.repeat(np.arange(strong.size), counts)),
        }
    )
    seen = seen.sort("id", "since", "name").unique(["id", "since"], keep="first", maintain_order=True)
    changed = (pl.col("id") != pl.col("id").shift()) | (pl.col("user") != pl.col("user").shift())
    return seen.filter(changed.fill_null(True)).select("id", "since", "user")


def _no_turns() -> pl.DataFrame:
    return pl.DataFrame(schema={"id": pl.Int64, "since": pl.Int64, "user": pl.Int64})
