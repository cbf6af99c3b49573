"""The channel of every session: that of its first touch, that of its last, and the campaign of the first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from journeykit.channels.rules import ChannelRules
from journeykit.errors import ParameterError
from journeykit.patterns.matches import MoreColumns
from journeykit.ragged.array import Int64s
from journeykit.ragged.taking import J

CHANNEL, LAST_CHANNEL, CAMPAIGN = "session_channel", "session_last_channel", "session_campaign"
MADE = (CHANNEL, LAST_CHANNEL, CAMPAIGN)


def assign_channels(journeys: J, rules: ChannelRules) -> J:
    """Keep the channel and the campaign of every session as properties of its events.

    Parameters
    ----------
    rules : ChannelRules
        How touches become channels, such as ``jk.channels.ga4()``.

    Returns
    -------
    Journeys
        The same, with ``session_channel`` (that of the session's first touch), ``session_last_channel`` (of its last)
        and ``session_campaign`` (of the first touch; null if it has none). A touch is an event that says where it comes
        from; sessions without one are ``rules.untouched``.

    Raises
    ------
    ParameterError
        If `rules` are none, or the journeys have such properties already.
    UnknownPropertyError
        If a property that the rules name was not kept.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame(
    ...     {
    ...         "user": [1, 1, 1], "time": [0, 9, 90_000], "event": ["see", "buy", "see"],
    ...         "source": ["google", None, None], "medium": ["cpc", None, None], "campaign": ["may", None, None],
    ...     }
    ... )
    >>> keep = ["source", "medium", "campaign"]
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=keep).sessionize("30m")
    >>> journeys.assign_channels(jk.channels.ga4()).frame.select("session_channel", "session_campaign").rows()
    [('Paid Search', 'may'), ('Paid Search', 'may'), ('Direct', None)]
    """
    check_rules(rules)
    for name in MADE:
        if name in journeys.kept:
            raise ParameterError(
                f"the journeys have a property {name!r} already. Channels are assigned once."
            )
    told = rules.touches(
        pl.DataFrame([journeys.property(name) for name in dict.fromkeys(rules.columns.values())])
    )
    touched = np.flatnonzero(told["channel"].is_not_null().to_numpy())
    n_runs = journeys.session_offsets.size - 1
    run_of_event = np.repeat(np.arange(n_runs), np.diff(journeys.session_offsets))
    run = run_of_event[touched]
    first, last = np.full(n_runs, -1, np.int64), np.full(n_runs, -1, np.int64)
    last[run], first[run[::-1]] = touched, touched[::-1]
    made = {
        CHANNEL: _at(told["channel"], first).fill_null(rules.untouched),
        LAST_CHANNEL: _at(told["channel"], last).fill_null(rules.untouched),
        CAMPAIGN: _at(told["campaign"], first),
    }
    rows = journeys.rows.astype(np.int64)
    run_of_row = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
    run_of_row[rows] = run_of_event
    more = {name: values.gather(pl.Series(run_of_row)).alias(name) for name, values in made.items()}
    return replace(journeys, source=MoreColumns(journeys.source, more))


def check_rules(rules: ChannelRules) -> ChannelRules:
    """Refuse what are no rules of channels."""
    if not isinstance(rules, ChannelRules):
        raise ParameterError(
            f"assign_channels needs ChannelRules, not {rules!r}. Pass jk.channels.ga4(), for example."
        )
    return rules


def _at(values: pl.Series, places: Int64s) -> pl.Series:
    return values.gather(pl.Series(places).replace(-1, None))
