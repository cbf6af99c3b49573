"""The store as a user sees it: a folder that is asked, and added to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Unpack, overload

import numpy as np
import polars as pl

from journeykit.cells import By
from journeykit.engines import ask, check_questions
from journeykit.engines.asking import MeasureOptions
from journeykit.errors import ParameterError, StoreError
from journeykit.events.events import Events
from journeykit.events.reading import read_events
from journeykit.growing.appending import append
from journeykit.growing.counting import Counter
from journeykit.growing.erasing import erase
from journeykit.growing.tallies import forget
from journeykit.journeys.journeys import Journeys, journeys_of, open_journeys
from journeykit.journeys.selection import counted_users, generator_of
from journeykit.plans import EventsPlan
from journeykit.privacy.pseudonyms import pseudonyms
from journeykit.protocol import Context, Statistic
from journeykit.stages import StageModel
from journeykit.store import EVENTS, Manifest, check_files, read_manifest, read_shards
from journeykit.support.slices import offsets
from journeykit.support.unknown_names import Missing

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
ROLES = ("session", "value")
TRIES = 3


@dataclass(frozen=True)
class Store:
    """Journeys in a folder, to which new events are appended and which keeps what was counted.

    Made by `open_store`. Nothing of the journeys is held in memory: every call looks at the folder as it is.

    Attributes
    ----------
    path : pathlib.Path
        The folder that ``Journeys.write`` made.
    """

    path: Path

    @property
    def files(self) -> list[Path]:
        """The Parquet files of the events, for any tool that takes a list of files."""
        return read_manifest(self.path).paths(EVENTS)

    def scan(self) -> pl.LazyFrame:
        """Return the table of ``journeys.frame`` as a lazy polars frame, with event names as Categorical."""
        return pl.scan_parquet(self.files, glob=False)

    def journeys(self, *, verify: bool = False) -> Journeys:
        """Open all journeys; see ``open_journeys``."""
        return open_journeys(self.path, verify=verify)

    def sample(self, n_users: int, *, rng: int | np.random.Generator) -> Journeys:
        """Open the journeys of users drawn at random, without reading all shards.

        Parameters
        ----------
        n_users : int
            How many, 0 or more.
        rng : int or numpy.random.Generator
            A seed or a generator. The same seed draws the same users from the same store.

        Returns
        -------
        Journeys
            Of these users, whole; of all if there are fewer.

        Raises
        ------
        ParameterError
            If `n_users` is negative or not a whole number, or `rng` is neither a seed nor a generator.

        Notes
        -----
        As many shards as have so many users are drawn, and users from these. Which shard a user is in depends on
        nothing but a hash of the id.
        """
        generator, manifest = generator_of(rng), read_manifest(self.path)
        wanted = counted_users(n_users)
        drawn = [manifest.shards[i] for i in generator.permutation(len(manifest.shards)).tolist()]
        before = offsets(np.array([shard.users for shard in drawn], np.int64))[:-1]
        chosen = [
            shard for shard, users in zip(drawn, before.tolist(), strict=True) if users < max(wanted, 1)
        ]
        chosen.sort(key=lambda shard: shard.number)
        return journeys_of(read_shards(manifest, chosen)).sample(wanted, rng=generator)

    def append(self, events: Any, **options: Any) -> Store:
        """Add events, as if they had been read together with those that are there.

        Parameters
        ----------
        events : Events or source
            Events, or what ``read_events`` reads.
        **options
            Of ``read_events``, if it is a source: ``user=``, ``time=``, ``event=`` and so on. `keep` and `tz` are
            by default those of the store.

        Returns
        -------
        Store
            The same store.

        Raises
        ------
        StoreError
            If the events were not read as those of the store (other properties, types, ids or time zone), if its
            journeys were filtered or cleaned before they were written, or if another process is writing.
            The store is as it was.

        Notes
        -----
        The journeys are those that reading everything at once would give, in the order of the appends: events may
        come late, and of equal times those read first come first (D1.3). Users of one group may stand in
        another order. Only users of the new events are ordered, cut and staged again, only shards that they
        belong to are read and written again; names of events may be new. The new files stand beside the old ones
        until the manifest is replaced in one step: a crash leaves the old store, and the next append clears what
        it left.
        ``out_of_order`` counts an appended event against the user's latest one so far (D1.9). Rows that were
        appended twice are counted twice.

        Examples
        --------
        >>> import journeykit as jk
        >>> first = pl.DataFrame({"user": ["a", "b"], "time": [0, 60], "event": ["view", "view"]})
        >>> roles = {"user": "user", "time": "time", "event": "event", "unit": "s"}
        >>> folder = getfixture("tmp_path") / "shop"
        >>> store = jk.open_store(jk.read_events(first, **roles).sessionize("30m").write(folder))
        >>> store.append(pl.DataFrame({"user": ["a"], "time": [30], "event": ["buy"]}), **roles)
        Store of 2 users, 2 sessions, 3 events, 1970-01-01 00:00:00 .. 1970-01-01 00:01:00 (UTC)
        """
        append(self.path, self._read(events, options))
        return self

    def _read(self, events: Any, options: dict[str, Any]) -> Events:
        if isinstance(events, Events | EventsPlan):
            if options:
                raise ParameterError(
                    f"append takes events or a source with options, not both: {sorted(options)} belong into "
                    f"read_events."
                )
            return events if isinstance(events, Events) else events.collect()
        about = read_manifest(self.path).about
        defaults = {"keep": [name for name in about["properties"] if name not in ROLES]}
        if about["tz"] != "UTC":
            defaults["tz"] = about["tz"]
        return read_events(events, **{**defaults, **options})

    @overload
    def measure(self, statistic: Statistic[Any, A], /, **options: Unpack[MeasureOptions]) -> A: ...
    @overload
    def measure(
        self, first: Statistic[Any, A], second: Statistic[Any, B], /, **options: Unpack[MeasureOptions]
    ) -> tuple[A, B]: ...
    @overload
    def measure(
        self,
        first: Statistic[Any, A],
        second: Statistic[Any, B],
        third: Statistic[Any, C],
        /,
        **options: Unpack[MeasureOptions],
    ) -> tuple[A, B, C]: ...
    @overload
    def measure(self, *statistics: Statistic[Any, Any], **options: Unpack[MeasureOptions]) -> Any: ...

    def measure(
        self,
        *statistics: Statistic[Any, Any],
        by: By = None,
        every: str | None = None,
        level: float = 0.95,
    ) -> Any:
        """Answer one or more questions, counting only what changed since they were last asked.

        Parameters
        ----------
        *statistics : Statistic
            The questions.
        by, every, level
            See ``Journeys.measure``.

        Returns
        -------
        Answer or tuple of Answer
            Those that ``store.journeys().measure`` would give.

        Raises
        ------
        ParameterError
            If no statistic is given, or a parameter has a value it cannot take.
        UnknownPropertyError
            If `by` names a property that was not kept.
        StoreError
            If a shard that has to be counted is damaged.

        Notes
        -----
        What was counted is kept in ``tallies/`` of the store, by the question, its segments and periods, the content
        of the shards, and the versions of journeykit and polars. Of users that appends changed, what they were is
        taken away and what they are is added, in whole numbers. Where that cannot be told exactly (a
        table of other numbers, an extreme that went away) or is not worth it (users with more than a tenth of the
        events of their shard), the shard is counted again. A new event name renumbers the others, and
        everything is counted again; so are the statistics that look at the end of the observation (abandonment,
        conversion) whenever it moves, unless they know what their tally is at a later end
        (``Statistic.at_later_end``: `Overview`, `Retention`, plain funnels, `Stickiness`, `TimeBetween`).
        Statistics of other packages are counted each time: their code may have changed. No more than one shard per
        core is in memory.
        """
        check_questions(statistics, level)
        manifest = read_manifest(self.path)
        for _ in range(TRIES):
            try:
                return _answers(manifest, statistics, by, every, level)
            except StoreError:
                before, manifest = manifest, read_manifest(self.path)
                if manifest.about == before.about:
                    raise
        raise StoreError.replaced(str(self.path))

    def forget(self) -> Store:
        """Remove all that was counted, so that it is counted again; the journeys stay."""
        forget(self.path)
        return self

    def erase(self, *users: str | int, key: bytes | None = None, missing: Missing = "raise") -> Store:
        """Erase users for good: their events, sessions and properties, and all that was counted.

        Parameters
        ----------
        *users : str or int
            Their ids.
        key : bytes, optional
            With which the ids of the store were made pseudonyms: the users are then named by their true ids.
        missing : {"raise", "ignore", "warn"}
            What to do about users who are not there. ``"ignore"`` lets a job be run again after it stopped half-way.

        Returns
        -------
        Store
            The same store, without them.

        Raises
        ------
        UnknownUserError
            If a user is not there; nobody was erased then.
        StoreError
            If the store is damaged, cannot be written to, or another process is writing.
        ParameterError
            If no user is given, or the key is no key.

        Notes
        -----
        The shards of the users are written again without them, and the manifest is replaced in one step; then the old
        files are removed. Names of events that nobody else had leave the manifest; all tallies and what was kept of
        earlier appends are removed, and counted again when they are asked for. A crash leaves the old store or the
        new one, and files that the next call of `erase` or `append` removes. What stays: the span of observation and
        the counts of rows dropped and out of order. What cannot be known: copies and backups of the folder, files that
        answers were written to, and rows of other users that name these. Disks and file systems may keep blocks of
        removed files.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": ["ada", "bob"], "time": [0, 60], "event": ["view", "view"]})
        >>> roles = {"user": "user", "time": "time", "event": "event", "unit": "s"}
        >>> folder = getfixture("tmp_path") / "shop"
        >>> store = jk.open_store(jk.read_events(log, **roles).sessionize("30m").write(folder))
        >>> store.erase("ada").journeys().users.to_list()
        ['bob']
        """
        if not users:
            raise ParameterError("erase needs the ids of users. Write store.erase(id, ...).")
        named = users if key is None else pseudonyms([str(user) for user in users], key).to_list()
        erase(self.path, named, missing)
        return self

    def __repr__(self) -> str:
        about = read_manifest(self.path).about
        counts = ((kind, about[f"{kind}s"]) for kind in ("user", "session", "event"))
        size = ", ".join(f"{count:,} {kind}{'s' * (count != 1)}" for kind, count in counts)
        ends = pl.Series([about["observed_from"], about["observed_until"]]).cast(pl.Datetime("us", "UTC"))
        first, last = ends.dt.convert_time_zone(about["tz"]).dt.to_string("%Y-%m-%d %H:%M:%S")
        return f"Store of {size}, {first} .. {last} ({about['tz']})"


def open_store(path: str | Path, *, verify: bool = False) -> Store:
    """Open journeys that ``Journeys.write`` wrote, to add to them and to ask them day by day.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    verify : bool
        Compare the checksum of every file, which takes as long as reading them; otherwise their sizes only.

    Returns
    -------
    Store
        With ``append``, ``measure`` and ``journeys``.

    Raises
    ------
    StoreError
        If there are no journeys, if they are damaged, or if another version wrote them.
    """
    check_files(read_manifest(path), verify)
    return Store(Path(path))


def _answers(
    manifest: Manifest, statistics: tuple[Statistic[Any, Any], ...], by: By, every: str | None, level: float
) -> Any:
    counter = Counter(manifest, by, every)
    context = _context(manifest, counter.labels, level, every)
    return ask(statistics, context, counter.tables)


def _context(manifest: Manifest, labels: pl.DataFrame, level: float, every: str | None) -> Context:
    """Say where an answer comes from, as the journeys would."""
    about = manifest.about
    stages = () if about["stages"] is None else StageModel.loads(about["stages"]).names
    return Context(
        names=pl.Series("event", about["names"], dtype=pl.String),
        stages=stages,
        labels=labels,
        observed_from=about["observed_from"],
        observed_until=about["observed_until"],
        tz=about["tz"],
        n_users=about["users"],
        n_sessions=about["sessions"],
        n_events=about["events"],
        tied_pairs=about["provenance"]["tied_pairs"],
        kept=tuple(about["properties"]),
        level=level,
        every=every,
        notes=tuple(about["provenance"]["notes"]),
    )
