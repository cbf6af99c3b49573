"""Shards of journeys as files: whole users with everything that hangs on them, to be tallied elsewhere or later."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from journeykit.errors import WorkspaceError
from journeykit.ragged.array import Codes, Provenance, Ragged, Staged
from journeykit.support.files import READ_ERRORS, first_line

ABOUT, USERS, PROPERTIES = "about.pickle", "users.parquet", "properties.parquet"
STAGES = ("current", "furthest")


@dataclass(frozen=True)
class ShardFile:
    """Where a shard lies. Small, and can be sent to another process that sees the same disk.

    Attributes
    ----------
    path : pathlib.Path
        Its folder.
    number, of : int
        Which of how many shards it is, from 1.
    n_events : int
        How many events it has.
    observed : tuple of int, optional
        The span of observation of the whole log.
    provenance : Provenance, optional
        That of the whole log.
    """

    path: Path
    number: int
    of: int
    n_events: int
    observed: tuple[int, int] | None = None
    provenance: Provenance | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"shard {self.number} of {self.of}"

    def open(self) -> Ragged:
        """Return the journeys of these users.

        Raises
        ------
        WorkspaceError
            If a file of it is gone or damaged.
        """
        try:
            journeys = _opened(self.path)
        except (
            ValueError,
            KeyError,
            EOFError,
            pickle.UnpicklingError,
            *READ_ERRORS,
        ) as error:
            raise WorkspaceError.unreadable(self.name, first_line(error)) from error
        if self.observed is None or self.provenance is None:
            return journeys
        first, last = self.observed
        return replace(journeys, observed_from=first, observed_until=last, provenance=self.provenance)


@dataclass(frozen=True)
class _Properties:
    """The properties of a shard, each read when it is asked for."""

    path: Path
    columns: list[str]

    def __getitem__(self, name: str, /) -> pl.Series:
        return pl.read_parquet(self.path, columns=[name], glob=False)[name]


def parts(journeys: Ragged, folder: Path, most: int) -> list[ShardFile]:
    """Write one to `most` shards of journeys in memory to a folder.

    Parameters
    ----------
    folder : pathlib.Path
        An empty one; a folder per shard is made in it.
    most : int
        How many; there are fewer where jackknife groups are too large or have no users.

    Returns
    -------
    list of ShardFile
        In the order of the users.

    Notes
    -----
    O(n); 13 bytes per event, and the properties.
    """
    shards = journeys.shards(most)
    return [
        save(detached(shard), folder / f"shard-{number}", number, len(shards))
        for number, shard in enumerate(shards, start=1)
    ]


def save(journeys: Ragged, folder: Path, number: int, of: int) -> ShardFile:
    """Write the journeys of some users as files that are quick to open: the arrays as they are."""
    folder.mkdir(parents=True)
    rest: dict[str, Any] = {}
    for each in fields(journeys):
        value = getattr(journeys, each.name)
        if each.name == "rows":
            continue
        if isinstance(value, np.ndarray):
            np.save(folder / f"{each.name}.npy", value, allow_pickle=False)
        elif each.name not in ("users", "source", "tie_breaks", "staged"):
            rest[each.name] = value
    if journeys.staged is not None:
        for name in STAGES:
            np.save(folder / f"{name}.npy", getattr(journeys.staged, name), allow_pickle=False)
    journeys.users.to_frame("user").write_parquet(
        folder / USERS, compression="uncompressed", statistics=False
    )
    properties = _gathered(journeys, journeys.rows)
    if properties.width:
        properties.write_parquet(folder / PROPERTIES, compression="lz4", statistics=False)
    model = None if journeys.staged is None else journeys.staged.model
    about = {"kind": type(journeys), "rest": rest, "model": model, "columns": properties.columns}
    (folder / ABOUT).write_bytes(pickle.dumps(about))
    return ShardFile(folder, number, of, journeys.n_events)


def _opened(folder: Path) -> Ragged:
    about = pickle.loads((folder / ABOUT).read_bytes())
    arrays = {file.stem: np.load(file, allow_pickle=False) for file in sorted(folder.glob("*.npy"))}
    stages = [arrays.pop(name, None) for name in STAGES]
    source: Any = _Properties(folder / PROPERTIES, about["columns"]) if about["columns"] else pl.DataFrame()
    opened: Ragged = about["kind"](
        users=pl.read_parquet(folder / USERS, glob=False)["user"],
        rows=np.arange(
            arrays["times"].size, dtype=np.uint32 if arrays["times"].size < 1 << 32 else np.uint64
        ),
        source=source,
        staged=None if about["model"] is None else Staged(about["model"], *stages),
        **about["rest"],
        **arrays,
    )
    return opened


def detached(shard: Ragged) -> Ragged:
    """Return the users of a shard as journeys of their own, not a view."""
    if shard.user_range is None:
        return shard
    first, last = shard.user_range
    begin, end = (int(shard.user_offsets[user]) for user in (first, last))
    sessions = slice(int(shard.user_sessions[first]), int(shard.user_sessions[last]))
    events, order, staged = slice(begin, end), shard.time_order, shard.staged
    causes, inside = shard.session_causes, shard.sessions_inside
    return replace(
        shard,
        users=shard.users[first:last],
        user_offsets=shard.user_offsets[first : last + 1] - begin,
        session_offsets=shard.session_offsets[sessions.start : sessions.stop + 1] - begin,
        user_sessions=shard.user_sessions[first : last + 1] - sessions.start,
        group_offsets=np.clip(shard.group_offsets, first, last) - first,
        event_codes=shard.event_codes[events],
        times=shard.times[events],
        rows=np.arange(end - begin, dtype=shard.rows.dtype),
        source=_gathered(shard, shard.rows[events]),
        tie_breaks=pl.DataFrame(),
        session_causes=None if causes is None else causes[sessions],
        sessions_inside=None if inside is None else inside[sessions],
        time_order=None if order is None else order[events] - begin,
        staged=staged and replace(staged, current=staged.current[events], furthest=staged.furthest[events]),
        user_range=None,
    )


def _gathered(journeys: Ragged, rows: Codes) -> pl.DataFrame:
    """Bring the properties into the order of the events, row by row as these are stored."""
    places, source = pl.Series(rows), journeys.source
    return pl.DataFrame([source[name].gather(places).alias(name) for name in source.columns])
