"""Counting shard by shard: only shards that changed are opened, each once for all questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import polars as pl

from journeykit.cells import By, joined_labels, make_cells
from journeykit.growing import tallies
from journeykit.growing.keys import question_text
from journeykit.growing.tallies import Tally
from journeykit.journeys import Journeys, journeys_of
from journeykit.protocol import Cells, Statistic, Tables, add_split
from journeykit.store import Manifest, Shard, read_shards
from journeykit.threads import on_all_cores

SPAN = ("observed_from", "observed_until")
LABELS = "labels"
NONE = pl.DataFrame([{}])


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
        self.labels = joined_labels(self._labels())

    def tables(self, statistics: Sequence[Statistic[Any, Any]]) -> list[Tables]:
        """Return the summed tables of some statistics, by cell of all labels and group."""
        return [
            self._joined(each, statistic.tables)
            for each, statistic in zip(self._found(statistics), statistics, strict=True)
        ]

    def _found(self, statistics: Sequence[Statistic[Any, Any]]) -> list[dict[str, Tally]]:
        shards, keys = self._manifest.shards, [self._key(question_text(each)) for each in statistics]
        found = [self._current(key, self.labels) for key in keys]
        missing = [shard for shard in shards if any(shard.checksum not in each for each in found)]

        def count(shard: Shard) -> list[Tally | None]:
            wanted = [
                statistic if shard.checksum not in known else None
                for statistic, known in zip(statistics, found, strict=True)
            ]
            journeys = self._opened(shard)
            cells = make_cells(journeys, self._by, self._every, self.labels)
            return _counted(journeys, wanted, cells)

        counted = on_all_cores(count, missing)
        for n, (known, key) in enumerate(zip(found, keys, strict=True)):
            new = {
                shard.checksum: tally
                for shard, each in zip(missing, counted, strict=True)
                if (tally := each[n]) is not None
            }
            known.update(new)
            if new and key is not None:
                order = {shard.checksum: known[shard.checksum] for shard in shards}
                tallies.keep(self._manifest.folder, key, order, self.labels)
        return found

    def _key(self, question: str | None) -> str | None:
        return question and tallies.tally_key(question, self._by_text, self._common)

    def _current(self, key: str | None, labels: pl.DataFrame) -> dict[str, Tally]:
        """Return the kept tallies that still hold, by cell of these labels: those that did not look at what changed."""
        if key is None:
            return {}
        about, wanted = self._manifest.about, {shard.checksum for shard in self._manifest.shards}
        return {
            checksum: tally
            for checksum, tally in tallies.kept(self._manifest.folder, key, labels).items()
            if checksum in wanted and all(about[name] == value for name, value in tally.looked_at.items())
        }

    def _opened(self, shard: Shard) -> Watched:
        plain = journeys_of(read_shards(self._manifest, [shard]))
        return Watched(**{each.name: getattr(plain, each.name) for each in fields(plain)})

    def _labels(self) -> tuple[pl.DataFrame, ...]:
        """Return the labels of every shard; kept like a tally, so that untouched shards stay closed."""
        shards = self._manifest.shards
        if self._by is None and self._every is None:
            return tuple(NONE for _ in shards)
        key = self._key(LABELS)
        found = self._current(key, NONE)
        missing = [shard for shard in shards if shard.checksum not in found]
        made = on_all_cores(
            lambda shard: make_cells(self._opened(shard), self._by, self._every).labels, missing
        )
        found |= {
            shard.checksum: Tally({LABELS: labels}, {}) for shard, labels in zip(missing, made, strict=True)
        }
        if missing and key is not None:
            order = {shard.checksum: found[shard.checksum] for shard in shards}
            tallies.keep(self._manifest.folder, key, order, NONE)
        return tuple(found[shard.checksum].tables[LABELS] for shard in shards)

    def _joined(self, found: Mapping[str, Tally], keys: Mapping[str, Sequence[str]]) -> Tables:
        """Put the tallies of all shards together. No two have users of one group, so that nothing adds up."""
        parts = [found[shard.checksum].tables for shard in self._manifest.shards]
        return add_split(parts, keys, apart=True, labelled=self.labels.width > 0)


def _counted(
    journeys: Watched, statistics: Sequence[Statistic[Any, Any] | None], cells: Cells
) -> list[Tally | None]:
    """Tally one shard for those statistics that need it."""
    (shard,) = journeys.shards()
    cells = cells.by_group(shard.groups)
    found: list[Tally | None] = []
    for statistic in statistics:
        if statistic is None:
            found.append(None)
            continue
        noted: set[str] = set()
        shard.__dict__["looked_at"] = journeys.__dict__["looked_at"] = noted
        tables = statistic.tally(shard, cells)
        del shard.__dict__["looked_at"], journeys.__dict__["looked_at"]
        split = {name: cells.split(tables[name]) for name in statistic.tables}
        found.append(Tally(split, {name: getattr(journeys, name) for name in sorted(noted)}))
    return found
