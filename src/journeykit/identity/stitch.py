"""Whose the rows of a log are, once ids are joined: a small value that goes where rows are read. DEFINITIONS D1.8."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.identity.finding import NOBODY, Found, whole_time
from journeykit.identity.links import ALWAYS, Int64s, Links
from journeykit.ordering.user_ids import Words, identities_of, quick_hashes
from journeykit.support.slices import offsets

Unmapped: TypeAlias = Literal["own", "drop"]


class Stitched(NamedTuple):
    """The users of some rows.

    Attributes
    ----------
    users : polars.Series of String
        Whose every row is.
    known : polars.Series of Boolean or None
        Which rows stay; None if all do.
    moved : int
        How many of those that stay have another user than before.
    """

    users: pl.Series
    known: pl.Series | None
    moved: int


@dataclass(frozen=True, eq=False)
class Stitch:
    """Tells whose rows are, by their ids and times.

    Attributes
    ----------
    ids : polars.Series of String
        The ids whose rows may become another's; every known id, if rows of others are dropped.
    offsets, starts : numpy.ndarray of int64
        Where the turns of every id begin, and when each turn starts; the first before all times.
    users : polars.Series of String
        Whose the id is in each turn.
    drop : bool
        Whether rows of unknown ids are dropped.
    """

    ids: pl.Series
    offsets: Int64s
    starts: Int64s
    users: pl.Series
    drop: bool

    @classmethod
    def of(cls, links: Links, found: Found, unmapped: Unmapped) -> Stitch:
        """Make it of what was found."""
        if unmapped not in get_args(Unmapped):
            raise ParameterError.choice("unmapped", unmapped, get_args(Unmapped))
        own = np.arange(len(links.ids))
        moving = found.users != own
        moving[found.turns["id"].to_numpy()] = True
        chosen = own if unmapped == "drop" else np.flatnonzero(moving)
        turns = found.turns.select("id", "since", "user").vstack(whole_time(found, chosen))
        late = turns.filter(pl.col("id").is_first_distinct(), pl.col("since") > ALWAYS)
        before = late.select("id", pl.lit(ALWAYS).alias("since"), pl.col("id").alias("user"))
        turns = turns.vstack(before).sort("id", "since")
        sizes = turns.group_by("id", maintain_order=True).len()["len"].to_numpy()
        return cls(
            links.ids.gather(chosen),
            offsets(sizes),
            turns["since"].to_numpy(),
            links.ids.gather(turns["user"]),
            unmapped == "drop",
        )

    def __call__(self, users: pl.Series, times: pl.Series) -> Stitched:
        """Return the users of rows by their ids (String or Int64) and their times (microseconds or Datetime)."""
        from journeykit.kernels.ordering.identity import look_up, slices_at

        given = users.cast(pl.String).rechunk()
        number, turn = np.empty(len(given), np.int64), np.empty(len(given), np.int64)
        identities, hashes = _hashed(given)
        look_up(identities, hashes, *self._known, number)
        when = times.to_physical().rechunk().to_numpy()
        slices_at(number, when, self.offsets, self.starts, turn)
        theirs = self.users.gather(pl.Series(turn).replace(NOBODY, None))
        frame = pl.DataFrame({"given": given, "theirs": theirs}).select(
            pl.coalesce("theirs", "given").alias("user"),
            moved=pl.col("theirs").ne(pl.col("given")).fill_null(value=False),
        )
        known = pl.Series(number != NOBODY) if self.drop else None
        return Stitched(frame["user"], known, int(frame["moved"].sum()))

    def rows(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """Return rows of a canonical log under their users, and how many of them have another user than before."""
        found = self(frame["user"], frame["time"])
        stitched = frame.with_columns(found.users)
        return (stitched if found.known is None else stitched.filter(found.known)), found.moved

    @cached_property
    def _known(self) -> tuple[Words, Words, Any]:
        """Where the texts of the ids lie, their hashes, and a table of them."""
        from journeykit.kernels.ordering.identity import fill_table

        identities, hashes = _hashed(self.ids)
        table = np.empty(1 << max(1, (2 * len(self.ids)).bit_length()), np.int64)
        fill_table(hashes, table)
        return identities, hashes, table

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what points into memory."""
        return {name: value for name, value in self.__dict__.items() if name != "_known"}


def _hashed(ids: pl.Series) -> tuple[Words, Words]:
    identities = identities_of(ids, np.empty(len(ids), np.uint64))
    return identities, quick_hashes(identities, np.empty(len(ids), np.uint64), text=True)
