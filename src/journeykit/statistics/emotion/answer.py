"""The answer to Emotion: emotion, score and coverage of touchpoints and stages; quotes. DEFINITIONS D15.2, D15.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from journeykit.mathematics.intervals import Scale
from journeykit.protocol import CELL, Context, Tables
from journeykit.statistics.base import Answer, Grouped, groups_per_cell, with_rate
from journeykit.statistics.goals import state_names

if TYPE_CHECKING:
    from journeykit.statistics.emotion.emotion import Emotion

RESPONDERS = "Ratings are from those who answered only: who answers may feel otherwise than who does not."
HIDDEN = ("emotion", "low_share", "top_share", "score")
COLUMNS = (
    "visits", "visitors", "ratings", "raters", "rated_visits", "^coverage.*$", "^emotion(_low|_high)?$",
    "low_ratings", "^low_share.*$", "top_ratings", "^top_share.*$", "^score.*$",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class EmotionAnswer(Answer):
    """How users feel, where.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per ``touchpoint``, those with most ratings first: its ``visits`` and ``visitors`` (users);
        ``ratings`` of ``raters`` (users); ``rated_visits`` and ``coverage`` = rated_visits / visits, the response rate;
        ``emotion``, the mean from -1 to 1; ``low_ratings`` with an emotion below 0, and ``low_share``;
        ``top_ratings`` and ``top_share``; ``score``, by the kind of the ratings (see `Ratings`). Each number has
        ``_low`` and ``_high``; jackknife (D12.3). Null with fewer ratings than ``min_n``.
    stages : polars.DataFrame
        The same per ``stage``, in the order of the model, null (before the first) last: the emotion curve. Without rows
        where the journeys have no stages.
    overall : polars.DataFrame
        The same over all, one row.
    quotes : polars.DataFrame
        ``touchpoint``, ``stage``, ``rating``, ``emotion``, ``quote``: of every touchpoint those of the users with the
        smallest hashes, so that they are the same ones on every engine. No rows unless ``quotes=`` asks for them.
    """

    stages: pl.DataFrame
    overall: pl.DataFrame
    quotes: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "touchpoint", "visits", "ratings", "raters", "coverage", "emotion", "emotion_low", "emotion_high", "low_share",
        "score",
    )  # fmt: skip


def emotion_answer(statistic: Emotion, tables: Tables, context: Context) -> EmotionAnswer:
    """Turn the sums of all shards into means and rates."""
    rates = _Rates(statistic, groups_per_cell(tables), context)
    touchpoints = rates.frame(Grouped(tables["touchpoints"], ("touchpoint",)))
    stages = rates.frame(Grouped(tables["stages"], ("stage",)))
    names, stage_names = state_names("event", context), state_names("stage", context)
    touchpoints = touchpoints.with_columns(pl.lit(names).gather(pl.col("touchpoint")).alias("touchpoint"))
    order = [CELL, "ratings", "visits", "touchpoint"]
    touchpoints = touchpoints.sort(order, descending=[False, True, True, False])
    place = pl.when(pl.col("stage") > 0).then("stage")
    stages = stages.sort(CELL, place, nulls_last=True).with_columns(
        pl.lit(stage_names).gather(pl.col("stage")).alias("stage")
    )
    overall = rates.frame(Grouped(tables["overall"], ()))
    return EmotionAnswer(
        context.label(touchpoints),
        statistic,
        replace(context, notes=(*context.notes, *_notes(statistic, tables))),
        context.label(stages),
        context.label(overall),
        context.label(_quotes(statistic, tables["quotes"], names, stage_names)),
    )


class _Rates:
    """Means and rates of one answer, with their intervals."""

    def __init__(self, statistic: Emotion, groups: Mapping[int, int], context: Context) -> None:
        self.statistic, self.groups, self.context = statistic, groups, context

    def frame(self, table: Grouped) -> pl.DataFrame:
        """Return one row per thing."""
        frame = self._rate(table.totals, table, "coverage", "rated_visits", "visits", "visitors")
        by_user = self.statistic.weight == "user"
        top, bottom = ("user_sum", "raters") if by_user else ("emotion_sum", "ratings")
        frame = self._rate(frame, table, "emotion", top, bottom, "raters", "identity")
        frame = self._rate(frame, table, "low_share", "low_ratings", "ratings", "raters")
        frame = self._rate(frame, table, "top_share", "top_ratings", "ratings", "raters")
        score: tuple[str, Scale] = {"nps": ("emotion_sum", "identity"), "csat": ("top_ratings", "logit")}.get(
            self.statistic.ratings.kind, ("value_sum", "identity")
        )  # type: ignore[assignment]
        frame = self._rate(frame, table, "score", score[0], "ratings", "raters", score[1])
        hidden = [f"{name}{end}" for name in HIDDEN for end in ("", "_low", "_high")]
        enough = pl.col("ratings") >= self.statistic.min_n
        frame = frame.with_columns(pl.when(enough).then(pl.col(hidden)))
        return frame.select(CELL, *table.keys, *COLUMNS)

    def _rate(
        self, frame: pl.DataFrame, table: Grouped, name: str, top: str, bottom: str, users: str,
        scale: Scale = "logit",
    ) -> pl.DataFrame:  # fmt: skip
        return with_rate(
            frame, name, table.sums(top), table.sums(bottom), np.arange(frame.height), self.groups,
            frame[users].to_numpy(), self.context, scale=scale,
        )  # fmt: skip


def _quotes(statistic: Emotion, table: pl.DataFrame, names: pl.Series, stages: pl.Series) -> pl.DataFrame:
    """Choose the quotes of every touchpoint, and cut them to their length."""
    order = [CELL, "touchpoint", "hash", "time", "value", "comment"]
    rows = (
        table.sort(order)
        .select(pl.exclude("quotes").repeat_by("quotes"))
        .explode(table.drop("quotes").columns, empty_as_null=False)
    )
    chosen = rows.filter(pl.int_range(pl.len()).over(CELL, "touchpoint") < statistic.quotes)
    text, longest = pl.col("comment"), statistic.quote_length
    cut = pl.when(text.str.len_chars() > longest).then(text.str.head(longest) + "…").otherwise(text)
    return chosen.select(
        CELL,
        pl.lit(names).gather(pl.col("touchpoint")).alias("touchpoint"),
        pl.lit(stages).gather(pl.col("stage")).alias("stage"),
        pl.col("value").alias("rating"),
        "emotion",
        cut.alias("quote"),
    ).sort(CELL, "touchpoint", maintain_order=True)


def _notes(statistic: Emotion, tables: Tables) -> list[str]:
    """Say what the ratings do not speak of."""
    counts = tables["matched"].select(pl.col("matched", "unmatched").sum()).row(0)
    notes = [RESPONDERS]
    if counts[1]:
        notes.append(
            f"{counts[1]:,} ratings speak of no visit: their users had no event in the {statistic.ratings.max_lag} "
            f"before them."
        )
    if statistic.ratings.event is None:
        strangers = statistic.ratings.rows.height - sum(counts)
        if strangers:
            notes.append(f"{strangers:,} ratings are of users who are not in these journeys.")
    return notes
