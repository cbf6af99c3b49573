"""The whole of a log from what its shards know: counts, span, notes, as if the verbs were said to all of it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from journeykit.cells import By, make_cells
from journeykit.errors import UnknownUserError
from journeykit.events.events import log_provenance
from journeykit.identity import Stitch
from journeykit.journeys.journeys import Journeys, staged, unmapped_noted
from journeykit.journeys.selection import Selection, absent_users, code_flags, noted, spanned, unknown_users
from journeykit.privacy.pseudonyms import pseudonyms
from journeykit.ragged.array import Int64s, Provenance
from journeykit.sessions import SessionRule
from journeykit.support.unknown_names import refuse_unknown

SHOWN_IDS = 1_000
"""Per shard, of which the closest to an unknown one are named."""
Verb = tuple[str, Mapping[str, Any]]


class Steps(NamedTuple):
    """The verbs of a plan by what they are said to.

    Attributes
    ----------
    reading : mapping of str to object
        The arguments of ``read_events``.
    stitches : list of (str, mapping)
        What is said to events, in order: what gives the rows other users.
    rule : SessionRule
        How users are cut into sessions.
    verbs : list of (str, mapping)
        What is said to journeys.
    """

    reading: Mapping[str, Any]
    stitches: list[Verb]
    rule: SessionRule
    verbs: list[Verb]


def kept_of(reading: Mapping[str, Any]) -> list[str]:
    """Name the properties of a log by the arguments of ``read_events``, the session and the value among them."""
    return [role for role in ("session", "value") if reading.get(role) is not None] + [
        *reading.get("keep", ())
    ]


def divided(steps: Sequence[Verb]) -> Steps:
    """Tell the verbs of a plan apart."""
    cut = [verb for verb, _ in steps].index("sessionize")
    return Steps(steps[0][1], [*steps[1:cut]], steps[cut][1]["timeout"], [*steps[cut + 1 :]])


@dataclass(frozen=True)
class Pseudonymizing:
    """Gives the users of rows, and the ids in further columns, pseudonyms; it does not show its key."""

    key: bytes = field(repr=False)
    columns: Sequence[str] = ()

    def rows(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """Return rows of a canonical log under pseudonyms; none of them becomes another user's."""
        return rows.with_columns(pseudonyms(rows[name], self.key) for name in ("user", *self.columns)), 0


@dataclass(frozen=True)
class Stitching:
    """Gives rows other users, part by part, and counts.

    Attributes
    ----------
    stitches : sequence of Stitch or Pseudonymizing
        In their order.
    """

    stitches: Sequence[Stitch | Pseudonymizing]

    @classmethod
    def of(cls, verbs: Sequence[Verb]) -> Stitching:
        """Make it of what is said to events: ``stitch`` and ``pseudonymize``."""
        return cls(
            [
                Pseudonymizing(**given)
                if verb == "pseudonymize"
                else given["identity"].stitch(given.get("unmapped", "own"))
                for verb, given in verbs
            ]
        )

    @property
    def any(self) -> bool:
        """Whether there is anything to do; then users are texts."""
        return bool(self.stitches)

    def __call__(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
        """Return the rows that are left, how many have another user, how many were left out."""
        moved, before = 0, rows.height
        for stitch in self.stitches:
            rows, changed = stitch.rows(rows)
            moved += changed
        return rows, moved, before - rows.height


@dataclass(frozen=True)
class Facts:
    """What a shard knows after one verb. Facts of shards add.

    Attributes
    ----------
    n_users, n_sessions, n_events : int
        What there is.
    ends : tuple of int
        The first and the last time of an event, in microseconds; empty without events.
    provenance : Provenance
        What was counted on the way.
    unmapped : Counter of str
        Of ``assign_stages``: the events in no stage, by name.
    unknown : frozenset, optional
        Of ``filter(users=...)``: the ids that this shard does not have.
    ids : tuple
        Some ids that it has, if some are unknown.
    """

    n_users: int
    n_sessions: int
    n_events: int
    ends: tuple[int, ...]
    provenance: Provenance
    unmapped: Counter[str]
    unknown: frozenset[Any] | None = None
    ids: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Whole:
    """What is known of all users without their events: what a context says, and where new facts are added.

    Attributes
    ----------
    names, kept, stage_names, tz, observed_from, observed_until, provenance, n_users, n_sessions, n_events
        As of `Journeys`.
    times : numpy.ndarray of int64
        The first and the last; empty without events.
    """

    names: pl.Series
    tz: str
    observed_from: int
    observed_until: int
    kept: tuple[str, ...] = ()
    stage_names: tuple[str, ...] = ()
    n_users: int = 0
    n_sessions: int = 0
    n_events: int = 0
    times: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    provenance: Provenance = field(default_factory=Provenance)


def said(journeys: Journeys, verbs: Sequence[Verb]) -> tuple[Journeys, list[Facts]]:
    """Say verbs to one shard.

    Parameters
    ----------
    journeys : Journeys
        All events of some users, sessionized.
    verbs : sequence of (str, mapping)
        The steps of a plan after that, with their arguments.

    Returns
    -------
    tuple of Journeys and list of Facts
        What is left, and what there was at first and after each verb.

    Raises
    ------
    JourneykitError
        Whatever a verb refuses, but for unknown users: another shard may have them.
    """
    facts = [_facts(journeys)]
    for verb, arguments in verbs:
        journeys, found = _one_said(journeys, verb, arguments)
        facts.append(found)
    return journeys, facts


def _one_said(journeys: Journeys, verb: str, arguments: Mapping[str, Any]) -> tuple[Journeys, Facts]:
    if verb == "assign_stages":
        after, unmapped = staged(journeys, arguments["model"], arguments.get("missing", "raise"))
        return after, _facts(after, unmapped=Counter(dict(unmapped.select("event", "events").iter_rows())))
    if verb == "filter" and arguments.get("users") is not None:
        asked = Selection(**arguments)
        unknown = absent_users(asked, journeys.users)
        if asked.events is not None:
            code_flags(asked, journeys)
        after = journeys.filter(**{**arguments, "missing": "ignore"})
        ids = tuple(journeys.users.head(SHOWN_IDS).to_list()) if unknown else ()
        return after, _facts(after, unknown=unknown, ids=ids)
    after = getattr(journeys, verb)(**arguments)
    return after, _facts(after)


def _facts(journeys: Journeys, unmapped: Counter[str] | None = None, **others: Any) -> Facts:
    times = journeys.times
    ends = (int(times.min()), int(times.max())) if times.size else ()
    counts = replace(journeys.provenance, notes=(), verbs=())
    size = journeys.n_users, journeys.n_sessions, journeys.n_events
    return Facts(*size, ends, counts, Counter() if unmapped is None else unmapped, **others)


def whole_of(log: Whole, facts: Sequence[Sequence[Facts]], verbs: Sequence[Verb]) -> Whole:
    """Say verbs to the sums of what all shards know.

    Parameters
    ----------
    log : Whole
        The span of the log, and in its provenance the rows that were dropped before it was cut into shards; the
        names, properties and stages that the verbs have left.
    facts : sequence of sequence of Facts
        What `said` returned, one per shard, at least one.
    verbs : sequence of (str, mapping)
        What was said.

    Returns
    -------
    Whole
        Counts, span and notes of what is left.

    Raises
    ------
    UnknownUserError
        If no shard has a user that a filter names.
    """
    first, *rest = (_sum(each) for each in zip(*facts, strict=True))
    names = ("rows_dropped", "rows_left_out", "rows_moved", "rows_unmapped")
    rows = {name: getattr(log.provenance, name) for name in names}
    whole = _with(log, first, log_provenance(replace(first.provenance, **rows)))
    for (verb, arguments), found in zip(verbs, rest, strict=True):
        whole = _after(whole, found, verb, arguments)
    return whole


def labels_of(journeys: Journeys, by: By, every: str | None) -> pl.DataFrame:
    """Return the labels of the cells of a shard; see `journeykit.cells.joined_labels`."""
    return make_cells(journeys, by, every).labels


def _after(before: Whole, facts: Facts, verb: str, arguments: Mapping[str, Any]) -> Whole:
    outside = replace(before.provenance, events_outside=facts.provenance.events_outside)
    after: Any = _with(before, facts, outside)
    if verb == "assign_stages":
        counts = sorted(facts.unmapped.items(), key=lambda each: (-each[1], each[0]))
        unmapped = pl.DataFrame(counts, {"event": pl.String, "events": pl.Int64}, orient="row")
        notes = unmapped_noted(before.provenance.notes, unmapped, facts.n_events)
        return replace(before, provenance=replace(before.provenance, notes=notes))
    earlier: Any = before
    if verb == "clean":
        after = noted(earlier, after, repr(arguments["cleaning"]))
    elif verb == "filter":
        asked = Selection(**arguments)
        if facts.unknown:
            refuse_unknown(UnknownUserError(*unknown_users(asked, facts.unknown), facts.ids), asked.missing)
        after = spanned(asked, noted(earlier, after, repr(asked)))
    found: Whole = after
    return found


def _with(whole: Whole, facts: Facts, provenance: Provenance) -> Whole:
    return replace(
        whole,
        n_users=facts.n_users,
        n_sessions=facts.n_sessions,
        n_events=facts.n_events,
        times=np.array(facts.ends, np.int64),
        provenance=provenance,
    )


def _sum(parts: Iterable[Facts]) -> Facts:
    parts = list(parts)
    counted = [each.name for each in fields(Provenance) if each.name not in ("notes", "verbs")]
    times = [time for part in parts for time in part.ends]
    unknown = [part.unknown for part in parts if part.unknown is not None]
    return Facts(
        sum(part.n_users for part in parts),
        sum(part.n_sessions for part in parts),
        sum(part.n_events for part in parts),
        (min(times), max(times)) if times else (),
        Provenance(**{name: sum(getattr(part.provenance, name) for part in parts) for name in counted}),
        sum((part.unmapped for part in parts), Counter()),
        frozenset.intersection(*unknown) if unknown else None,
        tuple(name for part in parts for name in part.ids),
    )
