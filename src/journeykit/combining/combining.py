"""Several sources as one log: the events of a customer in one order, wherever they happened."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

import polars as pl

from journeykit.combining.source import CHANNEL, ORDER, SOURCE, Source
from journeykit.errors import ParameterError
from journeykit.events.events import Events
from journeykit.events.reading import read_events
from journeykit.plans import EventsPlan, scan_events
from journeykit.sources.canonical import BESIDE, Duplicates, OnInvalid
from journeykit.sources.collecting import engine_errors
from journeykit.support.precision import DAY, PRECISION

Sources: TypeAlias = Source | Iterable["Sources"]


def combine(
    sources: Iterable[Sources],
    *,
    tz: str | None = None,
    on_invalid: OnInvalid = "raise",
    duplicates: Duplicates = "keep",
    observed_from: datetime | None = None,
    observed_until: datetime | None = None,
) -> Events:
    """Read several sources into one log.

    Parameters
    ----------
    sources : iterable of Source
        The sources; lists of them, such as the presets give, may stand among them. Events at one time that nothing else
        orders stand in this order.
    tz : str, optional
        The time zone of times without one where a source has none of its own, and of calendar days; UTC by default.
    on_invalid, duplicates, observed_from, observed_until
        See ``read_events``.

    Returns
    -------
    Events
        With the properties ``channel`` and ``source``, those of the sources, null where a source has none, ``value``
        where one has it, and ``precision`` (``exact`` or ``day``) where one knows days only.

    Raises
    ------
    ParameterError
        If there is no source, or a parameter has a value it cannot take.
    MissingColumnError
        If a source does not have a column.
    EngineError
        If columns of one name cannot be put together.

    Notes
    -----
    An event that is known to the day stands before or after the others of its day (``day_order``): at its first or its
    last microsecond. That time is made up, and a note says how many there are. `TimeBetween` leaves times from and to
    them out; in sessions they stand alone unless the day's other events are near.

    Examples
    --------
    >>> import journeykit as jk
    >>> web = pl.DataFrame({"user": ["ann", "ann"], "time": [0, 60], "event": ["view", "order"]})
    >>> calls = pl.DataFrame({"who": ["ann"], "day": ["1970-01-01"]})
    >>> events = jk.combine(
    ...     [
    ...         jk.Source(log=web, source="web", unit="s"),
    ...         jk.Source(log=calls, source="calls", user="who", time="day", event=pl.lit("call"), precision="day",
    ...                   day_order="after", channel="call centre"),
    ...     ]
    ... )
    >>> events.sessionize("30m").frame.select("event", "channel", "precision").rows()
    [('view', 'web', 'exact'), ('order', 'web', 'exact'), ('call', 'call centre', 'day')]
    """
    given = list(_flat(sources))
    log, roles = _combined(given, tz)
    for source in given:
        source.check_rows()
    return read_events(
        log, **roles, tz=tz, on_invalid=on_invalid, duplicates=duplicates,
        observed_from=observed_from, observed_until=observed_until,
    )  # fmt: skip


def scan_combined(
    sources: Iterable[Sources],
    *,
    tz: str | None = None,
    on_invalid: OnInvalid = "raise",
    duplicates: Duplicates = "keep",
    observed_from: datetime | None = None,
    observed_until: datetime | None = None,
) -> EventsPlan:
    """Plan to read several sources as one log: the parameters of `combine`, and the verbs of ``scan_events``.

    Returns
    -------
    EventsPlan
        Nothing is read yet but what tells columns and types.

    Raises
    ------
    ParameterError, MissingColumnError, EngineError
        Those of `combine`.
    """
    log, roles = _combined(sources, tz)
    return scan_events(
        log, **roles, tz=tz, on_invalid=on_invalid, duplicates=duplicates,
        observed_from=observed_from, observed_until=observed_until,
    )  # fmt: skip


def _combined(sources: Iterable[Sources], tz: str | None) -> tuple[pl.LazyFrame, dict[str, Any]]:
    """Put the plans of sources below each other; return which columns play which part too."""
    found = list(_flat(sources))
    if not found:
        raise ParameterError("combine needs at least one source. Give jk.Source(...) values.")
    to_the_day = any(source.precision == DAY for source in found)
    plans = [source.plan(tz) for source in found]
    with engine_errors("putting the sources together"):
        log = pl.concat(plans, how="diagonal_relaxed")
        if not to_the_day:
            log = log.drop(PRECISION, ORDER)
        columns = log.collect_schema().names()
    roles = {name: name for name in ("user", "time", "event", "value", ORDER) if name in columns}
    first = [name for name in (CHANNEL, SOURCE, PRECISION) if name in columns]
    others = [name for name in columns if name not in (*roles, *first, *BESIDE)]
    return log, {**roles, "keep": [*first, *others]}


def _flat(sources: Any) -> Iterable[Source]:
    if isinstance(sources, Source):
        yield sources
        return
    if isinstance(sources, str) or not isinstance(sources, Iterable):
        raise ParameterError(
            f"combine takes Source values, not {sources!r}. Write jk.Source(log=..., source=...)."
        )
    for each in sources:
        yield from _flat(each)
