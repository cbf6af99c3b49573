"""Experiments on the same users, assigned at random again and again: false alarms and power."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import GROUPS, wilson
from journeykit.statistics.base import with_floats
from journeykit.statistics.experiments.sums import Sums, compare_arms

if TYPE_CHECKING:
    from journeykit.statistics.experiments.experiment import Experiment

Floats = npt.NDArray[np.float64]
BLOCK = 500


class Rehearsal:
    """The users of an experiment, with what each would have shown."""

    def __init__(self, question: Experiment, journeys: Journeys, effect: float, level: float) -> None:
        from journeykit.statistics.experiments.experiment import Exposed

        if not -1 < effect < float("inf"):
            raise ParameterError(f"effect must be a number above -1, such as 0.05 for 5 %, not {effect!r}.")
        if not 0 < level < 1:
            raise ParameterError(f"level must lie between 0 and 1, not {level!r}.")
        self.question, self.effect, self.level = question, effect, level
        exposed = Exposed.everyone(question, journeys)
        watched = exposed.watched
        if not watched.any():
            raise ParameterError(
                "no user is exposed: started= is after the last event, or within= is too long."
            )
        numbers = [exposed.values(metric, i) for i, metric in enumerate(question.asked)]
        self.numbers = [(y[watched], x[watched]) for y, x in numbers]
        groups = journeys.groups
        self.group = np.repeat(groups.numbers, np.diff(groups.bounds))[watched].astype(np.int64)
        shares = list((question.planned_shares or {"A": 1.0, "B": 1.0}).values())
        self.share = shares[1] / (shares[0] + shares[1])

    def run(self, simulations: int, rng: int | np.random.Generator) -> pl.DataFrame:
        """Return what was found, metric by metric."""
        if not isinstance(simulations, Integral) or simulations < 1:
            raise ParameterError(f"simulations must be a whole number from 1 on, not {simulations!r}.")
        if not isinstance(rng, np.random.Generator | Integral):
            raise ParameterError(f"rng must be a seed or a numpy.random.Generator, not {rng!r}.")
        generator = np.random.default_rng(rng)
        found = np.zeros((len(self.numbers), 3))
        for first in range(0, simulations, BLOCK):
            found += self._block(min(BLOCK, int(simulations) - first), generator)
        return self._frame(found, int(simulations))

    def _block(self, simulations: int, rng: np.random.Generator) -> Floats:
        """Count significant and covered simulations and add up the standard errors, metric by metric."""
        shape = (simulations, 2 * GROUPS)
        sums = [{name: np.empty(shape) for name in Sums.__dataclass_fields__} for _ in self.numbers]
        for simulation in range(simulations):
            second = rng.random(self.group.size) < self.share
            key = 2 * self.group + second
            users = np.bincount(key, minlength=2 * GROUPS)
            for metric, (added, (own, x)) in enumerate(zip(sums, self.numbers, strict=True)):
                y = self._moved(metric, own, second, rng)
                parts = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}
                added["users"][simulation] = users
                for name, part in parts.items():
                    added[name][simulation] = np.bincount(key, part, 2 * GROUPS)
        return np.array([self._found(metric, added) for metric, added in enumerate(sums)])

    def _moved(
        self, metric: int, y: Floats, second: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Floats:
        """Return the numbers with the effect in the second arm."""
        if self.effect == 0:
            return y
        if self.question.asked[metric].count != "users":
            return np.where(second, y * (1 + self.effect), y)
        p = y.mean()
        if self.effect < 0:
            return np.where(second & (rng.random(y.size) < -self.effect), 0.0, y)
        more = min(1.0, p * self.effect / (1 - p)) if p < 1 else 0.0
        return np.where(second & (rng.random(y.size) < more), 1.0, y)

    def _found(self, metric: int, added: dict[str, Floats]) -> Floats:
        a, b = (Sums(**{name: part[:, side::2] for name, part in added.items()}) for side in (1, 0))
        groups = ((a.users + b.users) > 0).sum(axis=1)
        use_before = self.question.cuped is not None
        exact = np.full(groups.size, self.question.asked[metric].count == "users" and not use_before)
        found = compare_arms(a, b, groups, exact, use_before, self.level)
        truth = self.numbers[metric][0].mean() * self.effect
        covered = (found.difference_low <= truth) & (truth <= found.difference_high)
        return np.array([(found.p_value < 1 - self.level).sum(), covered.sum(), found.error.sum()])

    def _frame(self, found: Floats, simulations: int) -> pl.DataFrame:
        bounds = wilson(found[:, 0], np.full(found.shape[0], simulations), self.level)
        frame = pl.DataFrame({
            "metric": [metric.title for metric in self.question.asked],
            "users": [self.group.size] * found.shape[0],
        })  # fmt: skip
        mean = np.array([y.mean() for y, _ in self.numbers])
        frame = with_floats(frame, {"mean": mean}).with_columns(
            pl.lit(simulations, pl.Int64).alias("simulations"),
            pl.Series("significant", found[:, 0]).cast(pl.Int64),
        )
        columns = {"share": found[:, 0] / simulations, "low": bounds.low, "high": bounds.high}
        columns |= {"mean_error": found[:, 2] / simulations, "covered": found[:, 1] / simulations}
        return with_floats(frame, columns)
