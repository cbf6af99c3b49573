"""Why ids are one user or not: a sentence per link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.identity.finding import NOBODY, Found, in_order
from journeykit.identity.links import ALWAYS, Int64s, Links
from journeykit.identity.rules import IdentityRules

OUTCOMES = ("joined", "shared", "conflict", "oversize")
JOINED, SHARED, CONFLICT, OVERSIZE = range(4)
SHOWN_IDS, SHOWN_LINKS = 20, 50


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why some ids are one user.

    Attributes
    ----------
    user : str
        The id that names the user.
    ids : polars.DataFrame
        ``id``, ``kind``, by kind and id.
    frame : polars.DataFrame
        The links of these ids in the order in which they count: ``one``, ``one_kind``, ``other``, ``other_kind``,
        ``first``, ``last``, ``sightings``, ``outcome``, ``because``. Those between ids that earlier links join say
        nothing new, and are ``joined`` too.
    """

    user: str
    ids: pl.DataFrame
    frame: pl.DataFrame

    def __repr__(self) -> str:
        named = [f"{name!r} ({kind})" for name, kind in self.ids.head(SHOWN_IDS).iter_rows()]
        more = f" and {self.ids.height - SHOWN_IDS:,} more" if self.ids.height > SHOWN_IDS else ""
        are = "1 id" if self.ids.height == 1 else f"{self.ids.height:,} ids"
        lines = [f"{self.user!r} is a user of {are}: {', '.join(named)}{more}."]
        for row in self.frame.head(SHOWN_LINKS).iter_rows(named=True):
            times = "once" if row["sightings"] == 1 else f"{row['sightings']:,} times"
            first = "" if row["first"] is None else f", first at {row['first']:%Y-%m-%d %H:%M:%S} UTC"
            verdict = "joined" if row["outcome"] == OUTCOMES[JOINED] else f"refused, for {row['because']}"
            lines.append(
                f"  {row['one']!r} ({row['one_kind']}) and {row['other']!r} ({row['other_kind']}) were seen together "
                f"{times}{first}: {verdict}."
            )
        if self.frame.height > SHOWN_LINKS:
            lines.append(f"  and {self.frame.height - SHOWN_LINKS:,} links more.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.frame._repr_html_()


def moments(times: pl.Series) -> pl.Series:
    """Return microseconds as moments; null for `ALWAYS`."""
    return times.replace(ALWAYS, None).cast(pl.Datetime("us", "UTC"))


def outcomes(rules: IdentityRules, links: Links, found: Found, chosen: Int64s) -> npt.NDArray[np.uint8]:
    """Return what became of chosen links: the position in `OUTCOMES`."""
    ones, others = links.ones[chosen], links.others[chosen]
    outcome = np.full(ones.size, OVERSIZE, np.uint8)
    outcome[_rivals(rules, links, found, chosen) != NOBODY] = CONFLICT
    outcome[found.apart[ones] & found.apart[others]] = OVERSIZE
    outcome[found.shared[ones] | found.shared[others]] = SHARED
    outcome[found.users[ones] == found.users[others]] = JOINED
    return outcome


def _rivals(rules: IdentityRules, links: Links, found: Found, chosen: Int64s) -> Int64s:
    """Return the strong kind of which the users of both ends of a link have an id, or `NOBODY`."""
    ones, others = found.users[links.ones[chosen]], found.users[links.others[chosen]]
    rival = np.full(chosen.size, NOBODY, np.int64)
    for kind in range(len(rules.strong) - 1, -1, -1):
        named = np.zeros(len(links.ids), np.bool_)
        named[found.users[links.kinds == kind]] = True
        rival[named[ones] & named[others]] = kind
    return rival


def link_frame(rules: IdentityRules, links: Links, found: Found, chosen: Int64s) -> pl.DataFrame:
    """Return links as a frame: the id of the weaker kind first, then by text."""
    ones, others = links.ones[chosen], links.others[chosen]
    names = pl.Series(links.names, dtype=pl.String)
    columns = pl.DataFrame(
        {
            "one": links.ids.gather(ones),
            "one_kind": names.gather(links.kinds[ones]),
            "other": links.ids.gather(others),
            "other_kind": names.gather(links.kinds[others]),
            "first": moments(pl.Series(links.first[chosen])),
            "last": moments(pl.Series(links.last[chosen])),
            "sightings": links.sightings[chosen],
            "outcome": pl.Series(OUTCOMES).gather(outcomes(rules, links, found, chosen)),
            "strengths": links.kinds[others].astype(np.int16) - links.kinds[ones],
        }
    )
    swapped = (pl.col("strengths") > 0) | ((pl.col("strengths") == 0) & (pl.col("one") > pl.col("other")))
    sides = {"one": "other", "other": "one", "one_kind": "other_kind", "other_kind": "one_kind"}
    return columns.with_columns(
        pl.when(swapped).then(pl.col(theirs)).otherwise(pl.col(mine)).alias(mine)
        for mine, theirs in sides.items()
    ).drop("strengths")


def explain(rules: IdentityRules, links: Links, found: Found, user: int) -> Explanation:
    """Gather what is known of the ids of a user."""
    mine = found.users == user
    chosen = np.flatnonzero(mine[links.ones] | mine[links.others])
    chosen = in_order(links, rules, chosen)
    frame = link_frame(rules, links, found, chosen)
    reasons = _reasons(rules, links, found, chosen)
    ids = np.flatnonzero(mine)
    members = pl.DataFrame(
        {
            "id": links.ids.gather(ids),
            "kind": pl.Series(links.names, dtype=pl.String).gather(links.kinds[ids]),
            "strength": links.kinds[ids],
        }
    )
    return Explanation(
        str(links.ids[user]),
        members.sort("strength", "id").drop("strength"),
        frame.with_columns(pl.Series("because", reasons, dtype=pl.String)),
    )


def _reasons(rules: IdentityRules, links: Links, found: Found, chosen: Int64s) -> list[str | None]:
    """Say of links why they were refused; null of those that joined."""
    rival, outcome = _rivals(rules, links, found, chosen), outcomes(rules, links, found, chosen)
    said: list[str | None] = []
    for link, kind, what in zip(chosen.tolist(), rival.tolist(), outcome.tolist(), strict=True):
        if what == JOINED:
            said.append(None)
        elif what == SHARED:
            ends = (int(links.ones[link]), int(links.others[link]))
            shared = next(links.ids[end] for end in ends if found.shared[end])
            said.append(f"{shared!r} was seen with more logins than max_logins={rules.max_logins}")
        elif what == CONFLICT:
            said.append(f"both users have a {links.names[kind]!r}")
        else:
            said.append(f"together they would have more ids than max_ids={rules.max_ids}")
    return said
