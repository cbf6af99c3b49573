"""The measured journey map: tidy frames of stages, touchpoints, pain points, opportunities and quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from journeykit.journey_map.rows import map_rows
from journeykit.journey_map.withholding import without_few
from journeykit.journey_map.writing import WRITERS, write_map
from journeykit.models.pains.pain_answer import PainPointsAnswer
from journeykit.privacy.suppression import DEFAULT_K, check_k, check_users
from journeykit.protocol import Context
from journeykit.statistics.base import Answer, with_share
from journeykit.statistics.emotion.answer import EmotionAnswer
from journeykit.statistics.touchpoints.answer import TouchpointsAnswer

if TYPE_CHECKING:
    from journeykit.journey_map.journey_map import JourneyMap

OTHER = "<OTHER>"
EMOTION = ("ratings", "raters", "^emotion.*$", "^low_share.*$", "^score.*$", "^coverage.*$")


def _with_ends(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


NO_EMOTION: dict[str, Any] = {
    "ratings": pl.Int64,
    "raters": pl.Int64,
    **_with_ends("emotion", "low_share", "score", "coverage"),
}
NO_QUOTES = {
    "touchpoint": pl.String,
    "stage": pl.String,
    "rating": pl.Float64,
    "emotion": pl.Float64,
    "quote": pl.String,
}


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredMap(Answer):
    """The customer journey map. With ``by=`` and ``every=``, one per segment and period.

    Every number ``x`` with an interval stands beside ``x_low`` and ``x_high``.

    Attributes
    ----------
    frame : polars.DataFrame
        The map as one table: ``stage``, ``row``, ``item``, ``value`` with ``low`` and ``high``, ``n`` (of how many),
        ``text``. Rows, in this order: ``goal``; ``users`` (journeys that were there), ``visits``, ``reached`` (share),
        ``time`` (median, seconds), ``conversion``, ``abandonment``, ``emotion``, ``response``; then as many as
        ``top`` of each: ``touchpoint`` (share of journeys), ``channel`` (share of the stage's visits), ``pain``
        (lost conversions; the text is the largest part), ``opportunity`` (regained conversions), and ``quote``.
    stages : polars.DataFrame
        One row per ``stage`` in the order of the model: ``visits`` (events), ``users``; of ``units``: ``visited`` and
        ``reached`` with their shares of those with any stage, ``dwell_median`` and ``active_dwell_mean`` in seconds
        (see `StageFlow`); ``converted`` after it and ``conversion_rate``; ``abandoned``, the journeys that gave up here
        without any goal (D5.5), and ``abandonment_rate`` of the visited, with Wilson's interval for users; the numbers
        of `Emotion`, null without ratings.
    touchpoints : polars.DataFrame
        As in `Touchpoints`, with ``rank`` in their ``stage`` and their emotion; beyond the first ``top`` of a stage one
        row ``<OTHER>`` with their ``visits`` and ``visit_share``. Those without a stage come last.
    channels, switches, sides, reach : polars.DataFrame
        As in `Touchpoints`.
    pain_points, pain_parts, pain_outcomes, examples : polars.DataFrame
        As in `PainPoints`: its ``frame``, ``parts``, ``outcomes`` and ``examples``.
    opportunities : polars.DataFrame
        The touchpoints where conversions would be won, most first: ``exit_rate``, ``reference_exit_rate``,
        ``regained_conversions``, with ``value`` ``regained_value``, and ``in_top_10`` of the pains.
    quotes : polars.DataFrame
        As in `Emotion`.
    """

    stages: pl.DataFrame
    touchpoints: pl.DataFrame
    channels: pl.DataFrame
    switches: pl.DataFrame
    sides: pl.DataFrame
    reach: pl.DataFrame
    pain_points: pl.DataFrame
    pain_parts: pl.DataFrame
    pain_outcomes: pl.DataFrame
    examples: pl.DataFrame
    opportunities: pl.DataFrame
    quotes: pl.DataFrame

    answers: Mapping[str, Any]
    """What the map is made of: the answers ``stages``, ``touchpoints``, ``pains`` and, with ratings, ``emotion``."""

    shown: ClassVar[Sequence[str]] = ("stage", "row", "item", "value", "low", "high", "n", "text")

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages in order."""
        return self.context.stages

    def write(self, target: Any, *, suppress: int = DEFAULT_K, **options: Any) -> Path | None:
        """Write the map as ``.json``, as a table of Markdown (``.md``), or to what any answer can be written to.

        Parameters
        ----------
        target : str, pathlib.Path or connection
            See `Answer.write`. JSON holds a record per row; Markdown has the stages as columns, one table per segment.
        suppress : int
            As in the report: numbers about fewer users are withheld, and those that would give them away (D16.1); 0
            withholds nothing. What is withheld is null, ``<k`` in Markdown, and a further column ``suppressed`` says
            in which rows.
        **options
            Those of `Answer.write`, for its targets.

        Returns
        -------
        pathlib.Path or None
            The file; None for a table of a database.

        Raises
        ------
        ParameterError
            If `suppress` has a value it cannot take, or the log has fewer users; and as `Answer.write`.
        """
        k = check_k(suppress)
        drawn = self._without_few(k) if k else self
        if isinstance(target, str | Path) and Path(target).suffix in WRITERS:
            return write_map(drawn, Path(target), k)
        return super(MeasuredMap, drawn).write(target, **options)

    def _without_few(self, k: int) -> MeasuredMap:
        check_users(self.context.n_users, k)
        frame = without_few(self, k)
        rows = int(frame["suppressed"].sum())
        note = f"In {rows:,} rows numbers are withheld: they are about fewer than {k} users, or would give these away."
        notes = (*self.context.notes, note) if rows else self.context.notes
        return replace(self, frame=frame, context=replace(self.context, notes=notes))


def measured_map(statistic: JourneyMap, answers: Mapping[str, Any], context: Context) -> MeasuredMap:
    """Put the answers of the questions side by side."""
    touchpoints: TouchpointsAnswer = answers["touchpoints"]
    pains: PainPointsAnswer = answers["pains"]
    built = _Frames(statistic, answers, context)
    notes = dict.fromkeys(note for answer in answers.values() for note in answer.notes)
    frames = {
        "stages": built.stages(),
        "touchpoints": built.touchpoints(),
        "channels": touchpoints.channels,
        "switches": touchpoints.switches,
        "sides": touchpoints.sides,
        "reach": touchpoints.reach,
        "pain_points": pains.frame,
        "pain_parts": pains.parts,
        "pain_outcomes": pains.outcomes,
        "examples": pains.examples,
        "opportunities": built.opportunities(),
        "quotes": built.quotes(),
    }
    rows = map_rows(statistic, frames, touchpoints.stage_channels, context)
    return MeasuredMap(rows, statistic, replace(context, notes=tuple(notes)), answers=dict(answers), **frames)


class _Frames:
    """The frames of a map, from its answers."""

    def __init__(self, statistic: JourneyMap, answers: Mapping[str, Any], context: Context) -> None:
        self.statistic, self.answers, self.context = statistic, answers, context
        self.labels = context.labels.columns
        self.emotion: EmotionAnswer | None = answers.get("emotion")

    def _joined(self, frame: pl.DataFrame, other: pl.DataFrame, key: str) -> pl.DataFrame:
        on = [*self.labels, key]
        return frame.join(other, on=on, how="left", nulls_equal=True, maintain_order="left")

    def _felt(self, frame: pl.DataFrame, key: str) -> pl.DataFrame:
        """Put the emotion of things beside them."""
        if self.emotion is None:
            return frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in NO_EMOTION.items())
        table = self.emotion.stages if key == "stage" else self.emotion.frame
        felt = self._joined(frame, table.select(*self.labels, key, *EMOTION), key)
        return felt.with_columns(pl.col("ratings", "raters").fill_null(0))

    def stages(self) -> pl.DataFrame:
        """Return one row per stage."""
        flow = self.answers["stages"].frame
        met = self.answers["touchpoints"].stages
        numbers = met.select(*self.labels, "stage", "visits", "users", "converted", "^conversion_rate.*$")
        ended = self.answers["pains"].stages.select(*self.labels, "stage", pl.col("exits").alias("abandoned"))
        frame = self._joined(self._joined(flow.drop("visits"), numbers, "stage"), ended, "stage")
        frame = frame.with_columns(pl.col("visits", "users", "converted", "abandoned").fill_null(0))
        frame = with_share(frame, "abandonment_rate", "abandoned", "visited", self.context)
        if self.statistic.unit == "session":
            ends = [pl.lit(None, pl.Float64).alias(f"abandonment_rate_{end}") for end in ("low", "high")]
            frame = frame.with_columns(ends)
        shares = r"^(visited|reached)_share(_low|_high)?$"
        return self._felt(frame, "stage").select(
            *self.labels, "stage", "visits", "users", "units", "visited", "reached", shares,
            "^dwell_median.*$", "^active_dwell_mean.*$", "converted", "^conversion_rate.*$", "abandoned",
            "^abandonment_rate.*$", *NO_EMOTION,
        )  # fmt: skip

    def touchpoints(self) -> pl.DataFrame:
        """Return the first touchpoints of every stage, and the others in a row."""
        frame = self.answers["touchpoints"].frame
        rating = () if self.statistic.ratings is None else self.statistic.ratings.event_names
        keys = [*self.labels, "stage"]
        rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(keys).alias("rank")
        frame = frame.filter(~pl.col("touchpoint").is_in(list(rating))).with_columns(rank)
        frame = self._felt(frame, "touchpoint")
        shown = pl.col("rank") <= self.statistic.top
        rest = frame.filter(~shown).group_by(keys, maintain_order=True)
        others = rest.agg(
            pl.lit(OTHER).alias("touchpoint"),
            pl.lit(self.statistic.top + 1, pl.Int64).alias("rank"),
            pl.col("visits", "visit_share").sum(),
        )
        order = {stage: place for place, stage in enumerate(self.answers["touchpoints"].context.stages)}
        place = pl.col("stage").replace_strict(order, default=len(order), return_dtype=pl.Int64)
        first = frame.select(self.labels).unique(maintain_order=True).with_row_index("segment")
        both = pl.concat([frame.filter(shown), others], how="diagonal")
        if self.labels:
            both = both.join(first, on=self.labels, how="left", nulls_equal=True, maintain_order="left")
        else:
            both = both.with_columns(pl.lit(0).alias("segment"))
        return both.sort("segment", place, "rank").select(
            *keys, "rank", "touchpoint", "visits", "visit_share", "users", "journeys", "^journey_share.*$",
            "converted", "^conversion_rate.*$", "channels", "main_channel", *NO_EMOTION,
        )  # fmt: skip

    def opportunities(self) -> pl.DataFrame:
        """Return the touchpoints where conversions would be won."""
        frame: pl.DataFrame = self.answers["pains"].frame
        won = frame.filter(pl.col("regained_conversions") > 0)
        if self.labels:
            place = frame.select(self.labels).unique(maintain_order=True).with_row_index("segment")
            won = won.join(place, on=self.labels, how="left", nulls_equal=True, maintain_order="left")
        else:
            won = won.with_columns(pl.lit(0).alias("segment"))
        ordered = won.sort("segment", -pl.col("regained_conversions"), "touchpoint")
        return ordered.select(
            *self.labels, "touchpoint", "stage", "visits", "^(reference_)?exit_rate(_low|_high)?$",
            "^regained_.*$", "in_top_10",
        )  # fmt: skip

    def quotes(self) -> pl.DataFrame:
        """Return what users said, as far as it is shown."""
        if self.emotion is not None:
            return self.emotion.quotes
        labels: pl.DataFrame = self.answers["touchpoints"].frame.head(0).select(self.labels)
        return labels.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in NO_QUOTES.items())
