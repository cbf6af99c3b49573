"""Counting what changed: users that an append touched, or whole shards, each opened once for all questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from journeykit.cells import By, joined_labels, make_cells
from journeykit.errors import StoreError
from journeykit.growing import tallies
from journeykit.growing.keys import question_text
from journeykit.growing.tallies import Tally
from journeykit.growing.updating import updated
from journeykit.journeys.journeys import Journeys, journeys_of
from journeykit.protocol import GROUP, Cells, Statistic, Tables, add_split
from journeykit.store import Change, Manifest, Shard, read_shards
from journeykit.support.threads import on_all_cores

END = "observed_until"
SPAN = ("observed_from", END)
LABELS = "labels"
NONE = pl.DataFrame([{}])
Counted = tuple[Tables, Mapping[str, int]]
"""The tables of a statistic, and what it looked at."""


class Watched(Journeys):
    """A shard that notes whether the span of the whole log was asked for: the end moves with every new event."""

    def __getattribute__(self, name: str) -> Any:
        """Return an attribute, and note it if it is of the whole log."""
        if name in SPAN and (noted := object.__getattribute__(self, "__dict__").get("looked_at")) is not None:
            noted.add(name)
        return super().__getattribute__(name)


class Counter:
    """The tallies of one state of a store: kept ones, and those that have to be counted."""

    def __init__(self, manifest: Manifest, by: By, every: str | None) -> None:
        self._manifest, self._by, self._every = manifest, by, every
        self._common = tallies.vocabulary_text(manifest.about)
        self._by_text = question_text((by, every)) or ""
        self._checksums = {shard.number: shard.checksum for shard in manifest.shards}
        self._shard_of_group = manifest.shard_of_group()
        self.labels = self._labels()

    def tables(self, statistics: Sequence[Statistic[Any, Any]]) -> list[Tables]:
        """Return the summed tables of some statistics, by cell of all labels and group."""
        keys = [self._key(question_text(each)) for each in statistics]
        kept = on_all_cores(lambda each: self._still_true(*each), zip(keys, statistics, strict=True))
        found: list[Tally | None] = list(kept)
        for change in self._manifest.changes:
            found = self._brought_on(change, statistics, found)
        complete = self._completed(statistics, found)
        for key, before, after in zip(keys, kept, complete, strict=True):
            if key is not None and after is not before:
                tallies.keep(self._manifest.folder, key, after, self.labels)
        labelled = self.labels.width > 0
        return [
            add_split([tally.tables], statistic.tables, apart=True, labelled=labelled)
            for tally, statistic in zip(complete, statistics, strict=True)
        ]

    def _key(self, question: str | None) -> str | None:
        return question and tallies.tally_key(question, self._by_text, self._common)

    def _still_true(self, key: str | None, statistic: Statistic[Any, Any]) -> Tally | None:
        """Return the kept tally, seen from the end of the observation as it is; None if it looked at what changed."""
        found = self._kept(key, self.labels)
        if found is None:
            return None
        about = {name: self._manifest.about[name] for name in found.looked_at}
        if about == found.looked_at:
            return found
        if about | {END: found.looked_at.get(END)} != found.looked_at or about[END] < found.looked_at[END]:
            return None
        later = statistic.at_later_end(found.tables, found.looked_at[END], about[END])
        return None if later is None else replace(found, tables=later, looked_at=about)

    def _kept(self, key: str | None, labels: pl.DataFrame) -> Tally | None:
        return None if key is None else tallies.kept(self._manifest.folder, key, labels)

    def _brought_on(
        self, change: Change, statistics: Sequence[Statistic[Any, Any]], kept: Sequence[Tally | None]
    ) -> list[Tally | None]:
        """Count the users of a change for the tallies that are of the state before it."""
        shards = [linked(each, change) for each in kept]
        asked = [each if own else None for each, own in zip(statistics, shards, strict=True)]
        if not any(shards):
            return list(kept)
        try:
            after, *old = on_all_cores(
                lambda users: self._counted(self._manifest.changed(users), users, asked),
                [change.after] if change.before is None else [change.after, change.before],
            )
        except StoreError:
            # What cannot be told from the change is counted anew.
            return list(kept)
        before = old[0] if old else [None] * len(asked)
        given = zip(shards, kept, statistics, before, after, strict=True)
        return [self._with_change(change, *each) for each in given]

    def _with_change(
        self,
        change: Change,
        shards: set[int],
        tally: Tally | None,
        statistic: Statistic[Any, Any],
        before: Counted | None,
        after: Counted | None,
    ) -> Tally | None:
        """Return the tally with a change of these shards; as it was if that cannot be told exactly."""
        if tally is None or after is None:
            return tally
        new = self._of_shards(after[0], shards)
        if before is None:
            old: Tables = {name: table.clear() for name, table in new.items()}
        else:
            old = self._of_shards(before[0], shards)
        looked_at = {name for each in (before, after) if each is not None for name in each[1]}
        if not looked_at <= tally.looked_at.keys():
            return tally
        told = updated(tally.tables, old, new, statistic.tables)
        if told is None:
            return tally
        tables, unknown = told
        lost = set(self._shard_of_group[list(unknown)].tolist())
        known = {number: checksum for number, checksum in tally.shards.items() if number not in lost}
        checksums = {number: change.shards[number][1] for number in shards - lost}
        return Tally(tables, known | checksums, tally.looked_at)

    def _completed(
        self, statistics: Sequence[Statistic[Any, Any]], found: Sequence[Tally | None]
    ) -> list[Tally]:
        """Count the shards that a tally does not hold as they are."""
        holding = [self._holding(tally) for tally in found]
        missing = [
            shard for shard in self._manifest.shards if any(shard.number not in own for own in holding)
        ]

        def count(shard: Shard) -> list[Counted | None]:
            asked = [
                None if shard.number in own else each for each, own in zip(statistics, holding, strict=True)
            ]
            return self._counted(self._manifest, shard, asked)

        counted = on_all_cores(count, missing)
        return [
            self._complete(tally, own, [each[n] for each in counted], statistics[n].tables)
            for n, (tally, own) in enumerate(zip(found, holding, strict=True))
        ]

    def _complete(
        self,
        tally: Tally | None,
        holding: set[int],
        counted: Sequence[Counted | None],
        keys: Mapping[str, Sequence[str]],
    ) -> Tally:
        """Put what was kept of some shards beside what was counted in the others."""
        if tally is not None and tally.shards == self._checksums:
            return tally
        new = [each for each in counted if each is not None]
        parts, looked_at = [tables for tables, _ in new], dict[str, int]()
        if tally is not None:
            parts.insert(0, self._of_shards(tally.tables, holding))
        for told in ({} if tally is None else tally.looked_at, *(told for _, told in new)):
            looked_at |= told
        tables = {name: pl.concat([each[name] for each in parts]) for name in keys}
        return Tally(tables, self._checksums, looked_at)

    def _holding(self, tally: Tally | None) -> set[int]:
        """Return the shards that a tally holds as they are."""
        shards = {} if tally is None else tally.shards
        return {number for number, checksum in self._checksums.items() if shards.get(number) == checksum}

    def _of_shards(self, tables: Tables, shards: set[int]) -> Tables:
        """Return the rows of the groups of some shards."""
        known = np.isin(self._shard_of_group, list(shards))
        if known.all():
            return tables
        return {
            name: table.filter(pl.Series(known[table[GROUP].to_numpy()])) for name, table in tables.items()
        }

    def _counted(
        self, manifest: Manifest, users: Shard, statistics: Sequence[Statistic[Any, Any] | None]
    ) -> list[Counted | None]:
        """Tally users of one shard or of several; those of every shard apart where what is counted is not by group."""
        journeys = opened(manifest, users)
        cells = make_cells(journeys, self._by, self._every, self.labels)
        first = np.flatnonzero(np.diff(self._shard_of_group, prepend=-1))
        bounds = np.unique([*journeys.group_offsets[first], journeys.n_users]).tolist()
        together = journeys.shards()
        apart = [journeys._shard(*each) for each in pairwise(bounds)] or together
        return [
            None if each is None else counted(journeys, together if each.by_group else apart, each, cells)
            for each in statistics
        ]

    def _labels(self) -> pl.DataFrame:
        """Return the labels of all users; kept like a tally. They only become more: no event goes away."""
        if self._by is None and self._every is None:
            return NONE
        key = self._key(LABELS)
        kept = self._kept(key, NONE)
        parts = [] if kept is None else [kept.tables[LABELS]]
        state = {} if kept is None else dict(kept.shards)
        for change in self._manifest.changes:
            if own := linked(kept and Tally(kept.tables, state, {}), change):
                try:
                    parts.append(self._labels_of(self._manifest.changed(change.after), change.after))
                except StoreError:
                    continue
                state |= {number: change.shards[number][1] for number in own}
        missing = [
            shard for shard in self._manifest.shards if state.get(shard.number) != shard.checksum
        ]  # fmt: skip
        parts += on_all_cores(lambda shard: self._labels_of(self._manifest, shard), missing)
        labels = joined_labels(parts)
        if key is not None and (kept is None or kept.shards != self._checksums):
            tallies.keep(self._manifest.folder, key, Tally({LABELS: labels}, self._checksums, {}), NONE)
        return labels

    def _labels_of(self, manifest: Manifest, shard: Shard) -> pl.DataFrame:
        return make_cells(opened(manifest, shard), self._by, self._every).labels


def linked(tally: Tally | None, change: Change) -> set[int]:
    """Return the shards that a tally holds as they were before a change."""
    if tally is None:
        return set()
    return {number for number, (first, _) in change.shards.items() if tally.shards.get(number) == first}


def opened(manifest: Manifest, shard: Shard) -> Watched:
    """Read one shard."""
    plain = journeys_of(read_shards(manifest, [shard]))
    return Watched(**{each.name: getattr(plain, each.name) for each in fields(plain)})


def counted(
    journeys: Watched, shards: Sequence[Journeys], statistic: Statistic[Any, Any], cells: Cells
) -> Counted:
    """Tally shards of journeys, and note what of the whole log the statistic looked at."""
    noted, parts = set[str](), list[Tables]()
    journeys.__dict__["looked_at"] = noted
    for shard in shards:
        shard.__dict__["looked_at"] = noted
        own = cells.by_group(shard.groups)
        tables = statistic.tally(shard, own)
        parts.append({name: own.split(tables[name]) for name in statistic.tables})
        del shard.__dict__["looked_at"]
    del journeys.__dict__["looked_at"]
    joined = {name: pl.concat([tables[name] for tables in parts]) for name in statistic.tables}
    return joined, {name: getattr(journeys, name) for name in sorted(noted)}
