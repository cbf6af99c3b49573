"""JourneyMap: the customer journey map, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

from journeykit.errors import ParameterError, UnknownNameError
from journeykit.journey_map.measured import MeasuredMap, measured_map
from journeykit.journey_map.together import Together
from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.chain import Chain
from journeykit.models.pains.pain_points import ANY_FRICTION, PainPoints
from journeykit.paths import Unit
from journeykit.patterns.matchers import MatchLike
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import Statistic, described
from journeykit.statistics.checks import check_choices
from journeykit.statistics.emotion.emotion import Emotion
from journeykit.statistics.emotion.ratings import Ratings
from journeykit.statistics.friction.friction import Friction
from journeykit.statistics.goals import Names, as_goal
from journeykit.statistics.stage_flow.stage_flow import StageFlow
from journeykit.statistics.touchpoints.touchpoints import Touchpoints
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing


@dataclass(frozen=True)
class JourneyMap(Statistic[MeasuredMap]):
    """Draw the customer journey map from what users did: stages by touchpoints, time, emotion, pains, opportunities.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match
        What a success is.
    ratings : Ratings, optional
        What users said. Without it the map has no emotion.
    channel : str, optional
        A property that says through what an event came.
    offline : str or sequence of str
        Which channels are offline.
    friction : Friction
        What friction is; ``Friction(trouble)`` finds errors too. It takes the ratings of the map.
    unit : {"user", "session"}
        What a journey is.
    horizon : str or timedelta, optional
        With users: how long a silence means that one has gone. Without it every journey counts as over.
    value : str, optional
        A numeric property of the goal event: what a conversion is worth.
    goals : mapping of str to str, optional
        What users want at each stage, in the words of the team.
    top : int
        How many touchpoints, channels, pains and opportunities the map shows per stage. The other frames have all.
    quotes : int
        How many comments to show per touchpoint; none by default.
    examples : int
        How many paths to show of those that gave up, per painful touchpoint; never with ids.
    min_n : int
        With fewer ratings than this, there is no emotion.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take. When measured: if the journeys have no stages.

    Notes
    -----
    The answer is described in `MeasuredMap`. Made of `StageFlow`, `Touchpoints`, `PainPoints` and `Emotion`, counted in
    the same runs over the journeys, on every engine; what these say of their numbers holds here. The stage of a
    touchpoint is where most of its visits are. Rating events of the log are no touchpoints.

    Examples
    --------
    >>> import polars as pl
    >>> import journeykit as jk
    >>> paths = [["list", "cart", "buy"]] * 2 + [["list", "cart"]] * 2 + [["list", "help"]]
    >>> rows = [(u, t, e) for u, path in enumerate(paths) for t, e in enumerate(path)]
    >>> log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> model = jk.StageModel([jk.Stage("look", ["list", "help"]), jk.Stage("want", ["cart", "buy"])])
    >>> drawn = journeys.assign_stages(model).measure(JourneyMap("buy", goals={"look": "Find a gift"}))
    >>> drawn.stages.select("stage", "visits", "reached", "converted").rows()
    [('look', 6, 5, 2), ('want', 6, 4, 2)]
    >>> drawn.frame.filter(stage="look").select("row", "item", "value", "n", "text").head(3).rows()
    [('goal', None, None, None, 'Find a gift'), ('users', None, 5.0, 5, None), ('visits', None, 6.0, 5, None)]
    """

    goal: MatchLike
    _: KW_ONLY
    ratings: Ratings | None = None
    channel: str | None = None
    offline: Names | tuple[()] = ()
    friction: Friction = ANY_FRICTION
    unit: Unit = "user"
    horizon: Duration | None = None
    value: str | None = None
    goals: Mapping[str, str] | None = None
    top: int = 5
    quotes: int = 0
    examples: int = 0
    min_n: int = 5
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self)
        object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        if isinstance(self.top, bool) or not isinstance(self.top, int) or self.top < 1:
            raise ParameterError(f"top must be a whole number from 1 on, not {self.top!r}.")
        object.__setattr__(self, "goals", _checked_words(self.goals))
        _ = self.questions

    def __repr__(self) -> str:
        return described(self)

    @property
    def words(self) -> dict[str, str]:
        """What users want, by stage."""
        return dict(self.goals or ())

    @property
    def questions(self) -> dict[str, Statistic[Any]]:
        """What the map is made of, by name."""
        friction = self.friction
        if isinstance(friction, Friction) and friction.ratings is None and self.ratings is not None:
            friction = replace(friction, ratings=self.ratings)
        found: dict[str, Statistic[Any]] = {
            "stages": StageFlow(self.unit, self.horizon),
            "touchpoints": Touchpoints(
                self.goal, channel=self.channel, offline=self.offline, unit=self.unit, missing=self.missing
            ),
            "pains": PainPoints(
                Chain(
                    self.goal, unit=self.unit, horizon=self.horizon, value=self.value, missing=self.missing
                ),
                friction,
                examples=self.examples,
            ),
        }
        if self.ratings is not None:
            found["emotion"] = Emotion(self.ratings, min_n=self.min_n, quotes=self.quotes)
        return found

    @property
    def _together(self) -> Together:
        questions = self.questions
        return Together(questions, tuple(questions), _Making(self))

    by_group: ClassVar[bool] = False

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally: those of every question."""
        return self._together.tables

    def check(self, context: Context) -> None:
        """Refuse journeys without stages, and names and properties that they do not have."""
        if not context.stages:
            raise ParameterError("JourneyMap needs stages. Call assign_stages(model) first.")
        unknown = [name for name in self.words if name not in context.stages]
        if unknown:
            raise UnknownNameError("stage", unknown, context.stages)
        self._together.check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count one shard."""
        return self._together.tally(shard, cells)

    def follow_up(self, tables: Tables, context: Context) -> Statistic[Any] | None:
        """Ask what the questions ask next."""
        return self._together.follow_up(tables, context)

    def answer(self, tables: Tables, context: Context) -> MeasuredMap:
        """Put the answers side by side."""
        answer: MeasuredMap = self._together.answer(tables, context)
        return answer


@dataclass(frozen=True)
class _Making:
    """Makes the map of the answers; a value, so that it can be sent to another process."""

    statistic: JourneyMap

    def __call__(self, answers: Mapping[str, Any], context: Context) -> MeasuredMap:
        return measured_map(self.statistic, answers, context)


def _checked_words(goals: Any) -> Any:
    """Bring words by stage into a form that can be compared."""
    if goals is None:
        return None
    pairs = tuple(goals.items()) if isinstance(goals, Mapping) else goals
    if not isinstance(pairs, tuple) or not all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(each, str) for each in pair)
        for pair in pairs
    ):
        raise ParameterError(
            f"goals cannot be {goals!r}. Give a text by stage, such as {{'look': 'Find a gift'}}."
        )
    return pairs
