"""Journeys: the ragged array with the verbs that a user says to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import polars as pl

from journeykit.cells import By, make_cells
from journeykit.engines import Engine, InMemory, ask, check_questions, counted
from journeykit.engines.asking import EngineOptions
from journeykit.errors import SHOWN_NAMES
from journeykit.protocol import Cells, Context, Statistic, Tables
from journeykit.ragged import views
from journeykit.ragged.array import Provenance, Ragged, Staged
from journeykit.support.drawing import Drawn, draw
from journeykit.support.lazily import Later
from journeykit.support.shares import percent
from journeykit.support.unknown_names import Missing

if TYPE_CHECKING:
    from journeykit.channels.assigning import assign_channels
    from journeykit.journeys.cleaning import clean
    from journeykit.journeys.databases import to_duckdb
    from journeykit.journeys.pseudonyms import pseudonymize
    from journeykit.journeys.selection import head, sample, select
    from journeykit.patterns.matches import mark, match
    from journeykit.stages import StageModel
    from journeykit.store import Stored
    from journeykit.store.shard_files import parts
    from journeykit.store.writing import write
else:
    assign_channels = Later("journeykit.channels.assigning", "assign_channels")
    clean = Later("journeykit.journeys.cleaning", "clean")
    to_duckdb = Later("journeykit.journeys.databases", "to_duckdb")
    pseudonymize = Later("journeykit.journeys.pseudonyms", "pseudonymize")
    head = Later("journeykit.journeys.selection", "head")
    sample = Later("journeykit.journeys.selection", "sample")
    select = Later("journeykit.journeys.selection", "select")
    mark = Later("journeykit.patterns.matches", "mark")
    match = Later("journeykit.patterns.matches", "match")
    parts = Later("journeykit.store.shard_files", "parts")
    write = Later("journeykit.store.writing", "write")

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
UNMAPPED = "In no stage: "


@dataclass(frozen=True, eq=False, repr=False)
class Journeys(Ragged):
    """Ordered paths of users, cut into sessions, with codes for events.

    Made by ``Events.sessionize`` and ``open_journeys``. Nothing changes it; verbs return new journeys. The array
    itself, its columns and paths, is described in `Ragged`.
    """

    frame = cached_property(views.frame)
    to_arrow = views.to_arrow
    to_duckdb = to_duckdb
    assign_channels = assign_channels
    clean = clean
    filter = select
    head = head
    sample = sample
    pseudonymize = pseudonymize
    match = match
    mark = mark
    write = write
    parts = parts
    on_disk = False
    __repr__ = views.text
    _repr_html_ = views.html

    def assign_stages(self, model: StageModel, *, missing: Missing = "raise") -> Journeys:
        """Give every event the stage that its user is in, and the furthest one so far.

        Parameters
        ----------
        model : StageModel
            Stages in order, with the rules that lead into them.
        missing : {"raise", "ignore", "warn"}
            What to do about exact names in rules that are not in the log. D0.9.

        Returns
        -------
        Journeys
            The same events with `stage_codes` and `furthest_stage_codes`, in place of those of any model before.
            A note says how many events are in no stage; ``model.unmapped(journeys)`` lists their names.

        Raises
        ------
        UnknownNameError
            If a rule names an event that is not in the log.
        StageModelError
            If an expression of a rule does not fit the log's columns.

        Notes
        -----
        A stage holds until another one is matched, through the end of a session too: stages follow the order of
        the user's events in time, also where sessions interleave. O(n) if names decide, else O(n x rules).
        D6.1 to D6.3.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": [1, 1, 1], "time": [0, 1, 2], "event": ["ping", "see", "buy"]})
        >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
        >>> staged = journeys.assign_stages(jk.StageModel([jk.Stage("look", "see"), jk.Stage("own", "buy")]))
        >>> staged.stage_codes.tolist(), staged.provenance.notes
        ([0, 1, 2], ("In no stage: 1 of 3 events (33.3 %): 'ping' (1).",))
        """
        return staged(self, model, missing)[0]

    @overload
    def measure(self, statistic: Statistic[Any, A], /, **options: Unpack[EngineOptions]) -> A: ...
    @overload
    def measure(
        self, first: Statistic[Any, A], second: Statistic[Any, B], /, **options: Unpack[EngineOptions]
    ) -> tuple[A, B]: ...
    @overload
    def measure(
        self,
        first: Statistic[Any, A],
        second: Statistic[Any, B],
        third: Statistic[Any, C],
        /,
        **options: Unpack[EngineOptions],
    ) -> tuple[A, B, C]: ...
    @overload
    def measure(self, *statistics: Statistic[Any, Any], **options: Unpack[EngineOptions]) -> Any: ...

    def measure(
        self,
        *statistics: Statistic[Any, Any],
        by: By = None,
        every: str | None = None,
        engine: Engine | None = None,
        level: float = 0.95,
    ) -> Any:
        """Answer one or more questions.

        Parameters
        ----------
        *statistics : Statistic
            The questions.
        by : str, Segment or sequence of these, optional
            Answer per segment: a kept property of the user, the session or the event. A path belongs to the
            first value known in it.
        every : {"1h", "1d", "1w", "1w-sunday", "1mo", "1q", "1y"}, optional
            Answer per calendar period of a path's first event, in the time zone of the journeys. Weeks
            start on Monday, or with ``"1w-sunday"`` on Sunday; an hour is 3,600 s, also where clocks change. D1.7.
        engine : Engine, optional
            Where to run; all cores in memory by default.
        level : float, default 0.95
            Of the intervals, between 0 and 1.

        Returns
        -------
        Answer or tuple of Answer
            One answer per statistic.

        Raises
        ------
        ParameterError
            If no statistic is given, or a parameter has a value it cannot take.
        UnknownPropertyError
            If `by` names a property that was not kept.
        """
        check_questions(statistics, level)
        engine = engine or InMemory()
        cells = make_cells(self, by, every)
        context = self.context(cells.labels, level, every)
        return ask(statistics, context, lambda asked: engine.run(self, asked, cells))

    def chart(self, **options: Any) -> Drawn:
        """Draw sample journeys, a row each, an event per cell.

        Parameters
        ----------
        **options
            ``theme``; ``of`` and ``unit``, what a cell and a row is; ``n`` rows, ``steps`` cells, and how many events,
            ``top``, have colours of their own. See `the guide <../how-to/draw-a-chart.html>`_.

        Returns
        -------
        Chart
            A plotly figure with ``save``. No user is named in it.

        Raises
        ------
        ParameterError
            If an option does not exist, or has a value it cannot take.
        """
        return draw(self, options)

    def count(
        self, statistic: Statistic[Any, Any], cells: Cells, context: Context, engine: Engine | None = None
    ) -> tuple[Statistic[Any, Any], Tables]:
        """Return the sums that an answer is made of, and the statistic that makes it: what `measure` does first.

        Parameters
        ----------
        statistic : Statistic
            The question, checked.
        cells : Cells
            What is counted apart.
        context : Context
            With the labels of the cells.
        engine : Engine, optional
            Where to run; all cores in memory by default.

        Returns
        -------
        Statistic
            The last follow-up, or the question itself.
        mapping of str to polars.DataFrame
            The tables by cell and jackknife group.
        """
        chosen = engine or InMemory()
        (found,) = counted([statistic], context, lambda asked: chosen.run(self, asked, cells))
        return found

    def context(self, labels: pl.DataFrame, level: float = 0.95, every: str | None = None) -> Context:
        """Return what an answer says of where it comes from. D0.6."""
        return context_of(self, labels, level, every)


def context_of(journeys: Any, labels: pl.DataFrame, level: float, every: str | None) -> Context:
    """Return what an answer says of journeys, or of what is known of them."""
    return Context(
        names=journeys.names,
        stages=journeys.stage_names,
        labels=labels,
        observed_from=journeys.observed_from,
        observed_until=journeys.observed_until,
        tz=journeys.tz,
        n_users=journeys.n_users,
        n_sessions=journeys.n_sessions,
        n_events=journeys.n_events,
        tied_pairs=journeys.provenance.tied_pairs,
        kept=journeys.kept,
        level=level,
        every=every,
        notes=journeys.provenance.notes,
    )


def staged(journeys: Journeys, model: StageModel, missing: Missing) -> tuple[Journeys, pl.DataFrame]:
    """Give every event its stage; return the names in no stage too, with their events."""
    found = model.assign(journeys.in_time_order(), missing=missing)
    stages = Staged(model, journeys.as_stored(found.current), journeys.as_stored(found.furthest))
    notes = unmapped_noted(journeys.provenance.notes, found.unmapped, journeys.n_events)
    provenance = replace(journeys.provenance, notes=notes)
    return replace(journeys, staged=stages, provenance=provenance), found.unmapped


def unmapped_noted(notes: tuple[str, ...], unmapped: pl.DataFrame, n_events: int) -> tuple[str, ...]:
    """Say what is in no stage, in place of what was said of any model before."""
    others = tuple(note for note in notes if not note.startswith(UNMAPPED))
    return (*others, unmapped_note(unmapped, n_events)) if unmapped.height else others


def unmapped_note(unmapped: pl.DataFrame, n_events: int) -> str:
    """Say how many of `n_events` (at least one) events are in no stage, and which, the most frequent first. D6.3."""
    missed = int(unmapped["events"].sum())
    first = unmapped.select("event", "events").head(SHOWN_NAMES)
    named = ", ".join(f"{name!r} ({count:,})" for name, count in first.iter_rows())
    more = f" and {unmapped.height - SHOWN_NAMES:,} more" if unmapped.height > SHOWN_NAMES else ""
    share = f" ({percent(missed / n_events)})"
    return f"{UNMAPPED}{missed:,} of {n_events:,} events{share}: {named}{more}."


def open_journeys(path: str | Path, *, verify: bool = False) -> Journeys:
    """Reopen journeys that ``Journeys.write`` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    verify : bool
        Compare the checksum of every file, which takes as long as reading them; otherwise their sizes only.

    Returns
    -------
    Journeys
        The same, stages included. A property is read when it is first asked for.

    Raises
    ------
    StoreError
        If there are no journeys, if they are damaged, or if a newer version wrote them.
    """
    from journeykit.store import read

    return journeys_of(read(path, verify=verify))


def journeys_of(stored: Stored) -> Journeys:
    """Put together what was read from a store."""
    staged = None if stored.stages is None else Staged(*stored.stages)
    return Journeys(**stored.parts, staged=staged, provenance=Provenance(**stored.provenance))
