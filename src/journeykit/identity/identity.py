"""Identity: which ids are one customer, found once from links between ids, explained, and applied to a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, suggestion
from journeykit.identity.explaining import OUTCOMES, Explanation, explain, link_frame, moments, outcomes
from journeykit.identity.finding import Found, find_users, whole_time
from journeykit.identity.links import Links, read_links
from journeykit.identity.rules import IdentityRules
from journeykit.identity.scoring import StitchingScore, scored
from journeykit.identity.stitch import Stitch, Unmapped

SEARCHED = 1_000


@dataclass(frozen=True, eq=False, repr=False)
class Identity:
    """Ids of devices, logins, mailboxes, customers, joined into users. D1.8.

    Made by `Identity.of`. ``events.stitch(identity)`` applies it to a log.

    Attributes
    ----------
    rules : IdentityRules
        Which links count.
    links : Links
        What was seen together.
    found : Found
        Whose every id is.
    """

    rules: IdentityRules
    links: Links
    found: Found

    @classmethod
    def of(
        cls,
        source: Any,
        ids: Mapping[str, str] | Sequence[str],
        *,
        time: str | None = None,
        rules: IdentityRules | None = None,
        unit: Any = None,
        tz: str | None = None,
        time_format: str | None = None,
        format: str | None = None,
    ) -> Identity:
        """Join ids that stand in one row.

        Parameters
        ----------
        source : object
            What ``read_events`` takes: a log with several columns of ids, a table of pairs, an export of the CRM.
        ids : sequence of str, or mapping of str to str
            The columns of ids, each a kind of its own; or the kind of each column. All ids of a row are linked with
            each other; null is no id, and a row with one id makes it known.
        time : str, optional
            When they were seen together. Null: from the start. Rules that ask who came first need it.
        rules : IdentityRules, optional
            Which links count, such as ``jk.identity.posthog()``. By default all but those of ids with more than 10
            logins, and of more than 1,000 ids together; without strong kinds there are no logins.
        unit, tz, time_format, format
            See ``read_events``.

        Returns
        -------
        Identity
            The same for any order of the rows.

        Raises
        ------
        MissingColumnError
            If a column is not there.
        ColumnTypeError, TimeUnitError, TimeFormatError
            If a column holds no ids, or no times.
        InputError
            If a text is an id of two kinds.
        ParameterError
            If rules need times and there are none, or name a kind that there is not.

        Notes
        -----
        Ids are compared as texts: 7 and "7" are one id. About 60 bytes per link and 30 and the text per id.

        Examples
        --------
        >>> rows = pl.DataFrame({"cookie": ["c1", "c1", "c2"], "login": ["ann", None, "ann"]})
        >>> identity = Identity.of(rows, ["cookie", "login"], rules=IdentityRules(strong="login"))
        >>> identity.frame.select("id", "kind", "user").rows()
        [('ann', 'login', 'ann'), ('c1', 'cookie', 'ann'), ('c2', 'cookie', 'ann')]
        """
        rules = rules if rules is not None else IdentityRules()
        if not isinstance(rules, IdentityRules):
            raise ParameterError(f"rules must be IdentityRules, not {rules!r}. Write jk.IdentityRules(...).")
        links = read_links(source, ids, time, rules, unit=unit, tz=tz, time_format=time_format, format=format)
        return cls(rules, links, find_users(links, rules))

    @property
    def n_ids(self) -> int:
        """How many ids are known."""
        return len(self.links.ids)

    @property
    def n_users(self) -> int:
        """How many users they are."""
        return int(np.unique(self.found.users).size)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Whose every id is, by user and id: ``id``, ``kind``, ``user``, ``since``.

        ``since`` is when that begins, null where it holds for all of the time. An id that passes from one user to
        another has a row for each; before its first it is a user of its own.
        """
        links, found = self.links, self.found
        rows = whole_time(found, np.arange(self.n_ids)).vstack(found.turns.select("id", "since", "user"))
        return pl.DataFrame(
            {
                "id": links.ids.gather(rows["id"]),
                "kind": pl.Series(links.names, dtype=pl.String).gather(links.kinds[rows["id"].to_numpy()]),
                "user": links.ids.gather(rows["user"]),
                "since": moments(rows["since"]),
            }
        ).sort("user", "id", "since")

    @cached_property
    def summary(self) -> pl.DataFrame:
        """What was found and what was refused: ``measure``, ``value``."""
        links, found = self.links, self.found
        sizes = np.bincount(found.users, minlength=1)
        became = outcomes(self.rules, links, found, np.arange(links.ones.size))
        refused = np.bincount(became, minlength=len(OUTCOMES)).tolist()
        rows = {
            "ids": self.n_ids,
            "links": links.ones.size,
            "users": self.n_users,
            "users of several ids": int((sizes > 1).sum()),
            "ids of the largest user": int(sizes.max()),
            "ids seen with too many logins": int(found.shared.sum()),
            "ids that would make too large a user": int(found.apart.sum()),
            "ids that pass between users": found.turns["id"].n_unique(),
            **{
                f"links refused: {outcome}": count
                for outcome, count in zip(OUTCOMES, refused, strict=True)
                if outcome != "joined"
            },
        }
        return pl.DataFrame(
            {"measure": [*rows], "value": [*rows.values()]}, {"measure": pl.String, "value": pl.Int64}
        )

    def largest(self, n: int = 10) -> pl.DataFrame:
        """Return the users of the most ids: ``user``, ``ids``, then how many of each kind."""
        links, users = self.links, self.found.users
        sizes = np.bincount(users, minlength=self.n_ids)
        alive = np.flatnonzero(sizes)
        top = alive[np.argsort(-sizes[alive], kind="stable")]
        if top.size > n:
            # All that are as large as the last: which of them are shown must not depend on the order of the rows.
            top = top[sizes[top] >= sizes[top[n - 1]]] if n else top[:0]
        columns: dict[str, Any] = {"user": links.ids.gather(top), "ids": sizes[top]}
        for kind, name in enumerate(links.names):
            columns[f"ids of kind {name!r}"] = np.bincount(users[links.kinds == kind], minlength=self.n_ids)[
                top
            ]
        return pl.DataFrame(columns).sort("ids", "user", descending=[True, False]).head(n)

    @cached_property
    def link_frame(self) -> pl.DataFrame:
        """Every link: ``one``, ``other``, their kinds, ``first``, ``last``, ``sightings``, ``outcome``.

        ``outcome`` is ``joined``, or why the ids stay apart: ``shared`` (one was seen with too many logins),
        ``conflict`` (both users have a strong id of one kind), ``oversize`` (too many ids).
        """
        every = np.arange(self.links.ones.size)
        return link_frame(self.rules, self.links, self.found, every).sort("one", "other")

    def explain(self, id: str | int) -> Explanation:
        """Say why an id is whose it is: the links that join it to its user, and those that were refused.

        Parameters
        ----------
        id : str or int
            Any id of the user.

        Returns
        -------
        Explanation
            Printed, a sentence per link; its `frame` has one row per link.

        Raises
        ------
        ParameterError
            If there is no such id.

        Examples
        --------
        >>> rows = pl.DataFrame({"cookie": ["c1", "c2", "c2"], "login": ["ann", "ann", "bob"]})
        >>> identity = Identity.of(rows, ["cookie", "login"], rules=IdentityRules(strong="login"))
        >>> print(identity.explain("c1"))
        'ann' is a user of 3 ids: 'ann' (login), 'c1' (cookie), 'c2' (cookie).
          'c1' (cookie) and 'ann' (login) were seen together once: joined.
          'c2' (cookie) and 'ann' (login) were seen together once: joined.
          'c2' (cookie) and 'bob' (login) were seen together once: refused, for both users have a 'login'.
        """
        text = str(id)
        at = self.links.ids.index_of(text)
        if at is None:
            known = suggestion(text, self.links.ids.head(SEARCHED).to_list())
            raise ParameterError(f"no id {text!r} in this identity. {known}")
        return explain(self.rules, self.links, self.found, int(self.found.users[at]))

    def score(self, truth: pl.DataFrame) -> StitchingScore:
        """Compare with what is known of some ids, by pairs; ids that pass between users count for the last.

        Parameters
        ----------
        truth : polars.DataFrame
            ``id`` and ``person``, each id once; an id of nobody, such as a kiosk's, is a person of its own.

        Returns
        -------
        StitchingScore
            With `precision` and `recall`. An id of the truth that the identity does not know is a user of its own.

        Raises
        ------
        MissingColumnError, ParameterError
            If a column is not there, or an id has two persons.

        Examples
        --------
        >>> rows = pl.DataFrame({"cookie": ["c1", "c2"], "login": ["ann", "ann"]})
        >>> truth = pl.DataFrame({"id": ["c1", "c2", "ann"], "person": [1, 2, 1]})
        >>> Identity.of(rows, ["cookie", "login"]).score(truth)
        StitchingScore(joined=3, same=1, right=1)
        """
        return scored(
            self.frame.sort("id", "since")
            .unique("id", keep="last", maintain_order=True)
            .select("id", "user"),
            truth,
        )

    def stitch(self, unmapped: Unmapped = "own") -> Stitch:
        """Return what tells whose the rows of a log are; see ``Events.stitch``, which uses it.

        Raises
        ------
        ParameterError
            If `unmapped` is no choice.
        """
        return Stitch.of(self.links, self.found, unmapped)

    def __repr__(self) -> str:
        return f"Identity: {self.n_ids:,} ids of {self.n_users:,} users by {self.rules!r}"

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()
