"""Attribution: which touches earned the conversions. DEFINITIONS D11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import Cells, Context, Tables, add
from journeykit.statistics.attribution.answer import AttributionAnswer, attribution_of
from journeykit.statistics.attribution.models import (
    BY_CHAIN,
    BY_PLACE,
    TRANSFORMS,
    checked_models,
    checked_position,
)
from journeykit.statistics.attribution.path_table import path_columns, path_context
from journeykit.statistics.attribution.tally import count_journeys, count_table
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.goals import longest
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing

DEFAULT_MODELS = ("first", "last", "linear", "position", "time_decay", "shapley", "markov")


@dataclass(frozen=True)
class Attribution(Statistic[AttributionAnswer]):
    """Share conversions out among the touches before them, by several models at once. D11.

    Parameters
    ----------
    goal : str, sequence of str, Match or expression
        The conversion. Every such event is one.
    channel : str
        A kept property. An event that has a value there is a touch of that channel; null is no touch.
    models : sequence of str
        Of ``first``, ``last``, ``last_non_direct``, ``linear``, ``linear_distinct``, ``position``, ``j``,
        ``inverse_j``, ``time_decay``, ``participation``, ``shapley``, ``shapley_ordered``, ``markov``; see Notes.
    touch : str, sequence of str, Match or expression, optional
        Only these events are touches, such as ``"visit"``; without it, all that have a channel.
    per : {"event", "session"}
        What a touch is: every event with a channel, or the first one of every session. Take sessions where the log
        repeats the channel of a visit in each of its events.
    lookback : "user", "session" or duration
        How far back touches count: all of the user's, those of the session of the goal, or those at most so long before
        it, for example ``"30d"``, itself included.
    horizon : str or timedelta, optional
        How long a silence of a user means that they will not convert any more. Who was seen since has neither converted
        nor not: such paths are left out, and told. Without it all are over. A session is over when its own timeout has
        passed.
    reset : bool
        Whether touches before a conversion count for that one alone; False lets them count for later ones too.
    value : str, optional
        A kept property of numbers of the goal: what a conversion is worth. Null is worth 0.
    order : int
        Of the Markov chain: how many of the last touches make up a state.
    transform : {"unique", "exposure", "first"}
        What becomes of a path of touches beforehand (D8.12): nothing; one of every run of a channel; the first touch of
        every channel.
    position : sequence of float
        What the first touch, all between together, and the last one get by ``position``.
    half_life : str or timedelta
        By ``time_decay``: the time after which a touch counts half.
    direct : str
        Who is credited with conversions without any touch, by every model; ``last_non_direct`` passes this channel
        over.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    Touches come before the goal in the order of the log; the goal's own channel is none. What is left of a user (of a
    session, with ``lookback="session"``) after the last conversion is a path without one, if it has touches; those more
    than `lookback` before its last touch are left out. Events outside any session are in none.

    The models share one conversion out among m touches:

    ==================  =======================================================================================
    first, last         all to that touch
    last_non_direct     all to the last touch that is not `direct`; if all are, to the last
    linear              1/m each, a channel once for every touch
    linear_distinct     the same for every distinct channel
    position            by default 0.4 first, 0.4 last, 0.2 shared between; of two touches, as first to last
    j, inverse_j        0.2 first, 0.6 last, 0.2 between; or 0.6, 0.2, 0.2 (Adobe)
    time_decay          by ``2 ** -(age / half_life)``
    participation       1 to each distinct channel: it sums to more than there are conversions
    shapley             the Shapley value of the game in which channels earn what needs no other: as linear_distinct
    shapley_ordered     the same; ``.places`` tells it apart by the place at which a channel came
    markov              by removal effect: the share of P(convert) lost if paths end at the channel
    ==================  =======================================================================================

    The answer's frame has one row per model and channel, of most conversions first:

    ``conversions``
        Credited. Of each model they sum to all conversions (but ``participation``).
    ``share``, ``share_low``, ``share_high``
        Of all conversions; jackknife, which refits the chain (D12.3).
    ``value``, ``value_share`` ...
        The same in value, with `value=`. The chain is fitted to conversions, and its shares hold for value.
    ``removal_effect``, ``removal_effect_low``, ``removal_effect_high``
        With the model ``markov``, in its rows; of the conversions that have touches.
    ``touches``
        How often the channel was touched, on paths with and without conversion.

    A row of ``every=`` holds the conversions of the period, and the paths without one whose last touch is in it.

    One pass, O(touches); 60 bytes per event of a block of a million. With ``reset=False``, O(touches times
    conversions) per user. The chain costs one sparse solve per channel and jackknife group.

    References
    ----------
    Anderl et al. 2016, IJRM 33(3); Zhao, Mahboobi & Bagheri 2018; documentation of Adobe Analytics and Matomo.

    Examples
    --------
    >>> import journeykit as jk
    >>> import polars as pl
    >>> log = pl.DataFrame(
    ...     {
    ...         "user": [1, 1, 1, 2],
    ...         "time": [0, 10, 20, 5],
    ...         "event": ["visit", "visit", "buy", "visit"],
    ...         "channel": ["ad", "mail", None, "ad"],
    ...     }
    ... )
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["channel"])
    >>> answer = events.sessionize("30m").measure(Attribution("buy", "channel", models=["first", "linear", "markov"]))
    >>> answer.side_by_side().select("channel", "first", "linear", "markov").rows()
    [('ad', 1.0, 0.5, 0.5), ('mail', 0.0, 0.5, 0.5)]
    """

    goal: MatchLike
    channel: str
    models: Sequence[str] = DEFAULT_MODELS
    touch: MatchLike | None = None
    per: Literal["event", "session"] = "event"
    lookback: Duration = "user"
    horizon: Duration | None = None
    reset: bool = True
    value: str | None = None
    order: int = 1
    transform: Literal["unique", "exposure", "first"] = "unique"
    position: Sequence[float] = (0.4, 0.2, 0.4)
    half_life: Duration = "7d"
    direct: str = "<DIRECT>"
    missing: Missing = "raise"

    SPANS: ClassVar[Sequence[str]] = ("user", "session")

    def __post_init__(self) -> None:
        check_choices(self, per=("event", "session"), reset=(True, False), transform=TRANSFORMS)
        object.__setattr__(self, "goal", as_match(self.goal, "goal"))
        if self.touch is not None:
            object.__setattr__(self, "touch", as_match(self.touch, "touch"))
        object.__setattr__(self, "models", checked_models(self.models))
        object.__setattr__(self, "position", checked_position(self.position))
        if not isinstance(self.order, int) or isinstance(self.order, bool) or self.order < 1:
            raise ParameterError(f"order must be a whole number from 1 on, not {self.order!r}.")
        for name in ("channel", "direct") + (("value",) if self.value is not None else ()):
            if not isinstance(getattr(self, name), str):
                raise ParameterError(f"{name} must be a name, not {getattr(self, name)!r}.")
        if not self.by_span:
            microseconds(self.lookback, "lookback")
        longest(self.horizon, "horizon")
        if self.horizon is not None and self.unit == "session":
            raise ParameterError(
                "horizon is for touches of a whole user: a session has ended when its own timeout has passed. "
                'Leave horizon out, or pass another lookback than "session".'
            )
        microseconds(self.half_life, "half_life")

    @property
    def by_span(self) -> bool:
        """Whether touches are looked for in the whole user or session, whatever their age."""
        return isinstance(self.lookback, str) and self.lookback in self.SPANS

    @property
    def unit(self) -> Unit:
        """Whose touches may count for a conversion."""
        return "session" if self.lookback == "session" else "user"

    @property
    def matches(self) -> tuple[Match, Match]:
        """Conversions, and what may be a touch."""
        return as_match(self.goal, "goal"), Match() if self.touch is None else as_match(self.touch, "touch")

    @property
    def touch_columns(self) -> tuple[str, ...]:
        """The key columns of a state: its last touches, oldest first."""
        return tuple(f"touch_{i}" for i in range(1, self.order + 1))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        tables: dict[str, Sequence[str]] = {UNITS_TABLE: (), "credit": ("channel",)}
        if BY_PLACE in self.models:
            tables["places"] = ("channel", "place")
        if BY_CHAIN in self.models:
            tables["moves"] = (*self.touch_columns, "target", "outcome")
        return tables

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        check_matches(self.matches, "event", self.missing, context)
        for name in (self.channel, self.value):
            if name is not None and name not in context.kept:
                raise UnknownPropertyError(name, context.kept)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count touches, credits and moves of one shard."""
        return count_journeys(self, shard, cells)

    def answer(self, tables: Tables, context: Context) -> AttributionAnswer:
        """Turn sums into credit with intervals."""
        return attribution_of(self, tables, context)

    @classmethod
    def of_paths(
        cls,
        paths: Any,
        path: str = "path",
        conversions: str = "conversions",
        *,
        nulls: str | None = None,
        value: str | None = None,
        separator: str = ">",
        models: Sequence[str] | None = None,
        order: int = 1,
        transform: Literal["unique", "exposure", "first"] = "unique",
        position: Sequence[float] = (0.4, 0.2, 0.4),
        direct: str = "<DIRECT>",
    ) -> AttributionAnswer:
        """Share out the conversions of a table of paths with their counts.

        Parameters
        ----------
        paths : polars.DataFrame or anything that polars can read
            One row per path; a path may stand in several rows.
        path : str
            The column of paths, oldest touch first: lists of names, or texts with `separator` between names.
        conversions : str
            The column of how many conversions each path had.
        nulls : str, optional
            The column of how often the path did not convert; ``markov`` needs it.
        value : str, optional
            The column of what the conversions of the path were worth together.
        separator : str
            Between the names of a text; spaces around names are left out.
        models, order, transform, position, direct
            As of `Attribution`; all models but ``time_decay``, which needs times.

        Returns
        -------
        AttributionAnswer
            Without intervals: a table of paths has no users.

        Raises
        ------
        ParameterError
            If a column is missing or of another type, a count is negative or null, or a model cannot be computed.

        Examples
        --------
        >>> import polars as pl
        >>> paths = pl.DataFrame({"path": ["ad > mail", "ad"], "conversions": [3, 1], "lost": [5, 7]})
        >>> answer = Attribution.of_paths(paths, nulls="lost", models=["last", "markov"])
        >>> answer.side_by_side().select("channel", "last", pl.col("markov").round(3)).rows()
        [('ad', 1.0, 2.286), ('mail', 3.0, 1.714)]
        """
        if models is None:
            models = [
                name
                for name in DEFAULT_MODELS
                if name != "time_decay" and (name != BY_CHAIN or nulls is not None)
            ]
        statistic = cls(
            conversions, path, models, value=value, order=order, transform=transform, position=position,
            direct=direct,
        )  # fmt: skip
        columns = path_columns(paths, statistic, conversions, nulls, separator)
        tables = add([(Cells(), count_table(statistic, columns))], statistic.tables)
        return statistic.answer(tables, path_context())
