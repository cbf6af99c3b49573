"""The answer to an experiment: arms, the split, every metric against the control, the best arm. DEFINITIONS D13.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.differences import chi_square_tail, detectable
from journeykit.mathematics.intervals import FEWEST_GROUPS, GROUPS
from journeykit.mathematics.multiple_tests import benjamini_hochberg, holm
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import Answer, with_floats
from journeykit.statistics.experiments.decisions import always_valid, best_arm
from journeykit.statistics.experiments.metric import Metric
from journeykit.statistics.experiments.sums import (
    SUMS,
    Sums,
    adjusted,
    compare_arms,
    slope_of,
    variance_reduction,
)

if TYPE_CHECKING:
    from journeykit.statistics.experiments.experiment import Experiment

Floats = npt.NDArray[np.float64]
POWER = 0.8
UNSOUND = 0.001
NUMBERS = ("difference", "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high", "p_value")


@dataclass(frozen=True, eq=False, repr=False)
class ExperimentAnswer(Answer):
    """What an experiment found; the frame is described in `Experiment`.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per metric and arm that is not the control.
    arms : polars.DataFrame
        Per arm: ``users`` in the comparison, their ``share``, the ``planned_share``; users left out: ``in_two_arms``
        (counted at their first), ``not_over`` (exposed too late for `within`).
    sample_ratio : polars.DataFrame
        Whether users were divided as planned: ``chi_square``, ``degrees``, ``p_value``, and ``srm``, true below 0.001.
        If so, something is wrong with the experiment, and its results with it. D13.5.
    best : polars.DataFrame
        Per metric and arm: ``mean``, the ``probability_best``, and the ``expected_loss`` of choosing it, in units of
        the metric. The true means are taken as normal around those seen, nothing known before.
    """

    arms: pl.DataFrame
    sample_ratio: pl.DataFrame
    best: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "metric", "role", "arm", "control_mean", "mean", "difference", "difference_low", "difference_high", "p_value",
        "p_holm", "detectable_difference", "variance_reduction", "always_valid_p", "verdict",
    )  # fmt: skip


def experiment_answer(question: Experiment, tables: Tables, context: Context) -> ExperimentAnswer:
    """Turn sums into the answer."""
    counted = sum_rows(tables["arms"], [CELL, "arm"])
    arms = _arms(question, counted)
    control, known = arms[0], pl.col("arm").is_not_null() & pl.col("control").is_not_null()
    cells = sorted(tables["arms"][CELL].unique()) or [0]
    parts = [_Cell(question, tables, context, cell, arms) for cell in cells]
    frame = pl.concat([part.frame() for part in parts], how="vertical_relaxed")
    frame = frame.filter(known)
    p = frame["p_value"].fill_null(np.nan).to_numpy()
    frame = with_floats(frame, {"p_benjamini_hochberg": benjamini_hochberg(p), "p_holm": holm(p)})
    ratio = pl.concat([part.sample_ratio() for part in parts])
    notes = (*_notes(question, control, tables, ratio, parts), *context.notes)
    return ExperimentAnswer(
        context.label(_ordered(frame)),
        question,
        replace(context, notes=notes),
        context.label(pl.concat([part.arm_frame() for part in parts]).drop_nulls("arm")),
        context.label(ratio),
        context.label(pl.concat([part.best() for part in parts]).drop_nulls("arm")),
    )


def _arms(question: Experiment, counted: pl.DataFrame) -> list[str | None]:
    """Return the arms, the control first; at least two, of which None has no users and is not shown."""
    seen = sorted(counted["arm"].unique())
    planned: list[str | None] = list(question.planned_shares or seen)
    unplanned = [arm for arm in seen if arm not in planned]
    if unplanned:
        raise ParameterError(
            f"planned_shares does not name the arm {unplanned[0]!r} that users were in. It names "
            f"{', '.join(map(repr, planned))}. Add it, or filter these users out."
        )
    if question.control is None or (len(planned) < 2 and question.control not in planned):
        return planned + [None] * (2 - len(planned))
    if question.control not in planned:
        raise ParameterError.choice("control", question.control, planned)
    return [question.control, *(arm for arm in planned if arm != question.control)] + [None] * (
        2 - len(planned)
    )


class _Cell:
    """The experiment in one segment or period."""

    def __init__(
        self, question: Experiment, tables: Tables, context: Context, cell: int, arms: list[str | None]
    ) -> None:
        self.question, self.context, self.cell, self.arms = question, context, cell, arms
        counts = tables["arms"].filter(pl.col(CELL) == cell)
        names = ("users", "in_two_arms", "not_over")
        totals = {
            row["arm"]: row for row in sum_rows(counts.select("arm", *names), ["arm"]).iter_rows(named=True)
        }
        self.counts = [{name: totals.get(arm, {}).get(name, 0) for name in names} for arm in arms]
        self.sums = self._sums(tables["sums"].filter(pl.col(CELL) == cell))

    def _sums(self, table: pl.DataFrame) -> list[Sums]:
        """Return per arm the sums of every metric by group: (metrics, groups)."""
        place = {arm: i for i, arm in enumerate(self.arms)}
        arm = table["arm"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
        row = (arm * len(self.question.asked) + table["metric"].to_numpy()) * GROUPS + table[GROUP].to_numpy()
        shape = (len(self.arms), len(self.question.asked), GROUPS)
        filled = [
            np.bincount(row, table[name].to_numpy(), int(np.prod(shape))).astype(np.float64).reshape(shape)
            for name in SUMS
        ]
        return [Sums(*(each[i] for each in filled)) for i in range(len(self.arms))]

    @property
    def _uses_before(self) -> bool:
        return self.question.cuped is not None

    def frame(self) -> pl.DataFrame:
        """Return one row per metric and arm."""
        rows = [self._against_control(arm) for arm in range(1, len(self.arms))]
        return pl.concat(rows, how="vertical_relaxed")

    def _against_control(self, arm: int) -> pl.DataFrame:
        a, b = self.sums[arm], self.sums[0]
        one, other = a.over_groups(), b.over_groups()
        groups = ((a.users + b.users) > 0).sum(axis=-1)
        asked, level = self.question.asked, self.context.level
        exact = np.array([metric.count == "users" and not self._uses_before for metric in asked])
        found = compare_arms(a, b, groups, exact, self._uses_before, level)
        n = len(asked)
        frame = pl.DataFrame({
            CELL: pl.Series([self.cell] * n, dtype=pl.Int32),
            "metric": [metric.title for metric in asked],
            "role": [self._role(i) for i in range(n)],
            "arm": pl.Series([self.arms[arm]] * n, dtype=pl.String),
            "control": pl.Series([self.arms[0]] * n, dtype=pl.String),
        })  # fmt: skip
        columns: dict[str, Floats] = {}
        for prefix, sums in (("", one), ("control_", other)):
            columns |= {f"{prefix}users": sums.users, f"{prefix}total": sums.y, f"{prefix}mean": sums.mean}
        columns |= {name: getattr(found, name) for name in NUMBERS}
        smallest = detectable(found.error, np.where(exact, 0, groups - 1), POWER, level)
        columns["detectable_difference"] = np.where(smallest > 0, smallest, np.nan)
        if self._uses_before:
            columns["variance_reduction"] = variance_reduction(one, other)
        low, high = found.difference_low, found.difference_high
        if self.question.sequential is not None:
            low, high, p = always_valid(
                found.difference, found.error, one.users + other.users, self.question.sequential, level,
            )  # fmt: skip
            columns |= {"always_valid_low": low, "always_valid_high": high, "always_valid_p": p}
        frame = with_floats(frame, columns).with_columns(pl.col("users", "control_users").cast(pl.Int64))
        return frame.with_columns(pl.Series("verdict", self._verdicts(low, high)))

    def _role(self, number: int) -> str:
        return "metric" if number < len(self.question.asked) - self._n_guardrails else "guardrail"

    @property
    def _n_guardrails(self) -> int:
        guardrails: Any = self.question.guardrails
        return len(guardrails)

    def _verdicts(self, low: Floats, high: Floats) -> list[str]:
        up = np.array([metric.good == "up" for metric in self.question.asked])
        better = np.where(up, low > 0, high < 0)
        worse = np.where(up, high < 0, low > 0)
        return ["better" if b else "worse" if w else "undecided" for b, w in zip(better, worse, strict=True)]

    def arm_frame(self) -> pl.DataFrame:
        """Return the users of every arm."""
        users = np.array([count["users"] for count in self.counts], np.float64)
        planned = self._planned()
        frame = pl.DataFrame(
            {CELL: pl.Series([self.cell] * len(self.arms), dtype=pl.Int32), "arm": self.arms}
        )
        total = users.sum()
        share = users / total if total > 0 else np.full(users.size, np.nan)
        frame = frame.with_columns(pl.Series("users", users).cast(pl.Int64))
        frame = with_floats(frame, {"share": share, "planned_share": planned})
        others = {name: [count[name] for count in self.counts] for name in ("in_two_arms", "not_over")}
        return frame.with_columns(pl.Series(name, values) for name, values in others.items())

    def _planned(self) -> Floats:
        shares = self.question.planned_shares
        weights = np.array([1.0 if shares is None else shares[str(arm)] for arm in self.arms])
        if None in self.arms:
            weights[[arm is None for arm in self.arms]] = 0.0
            weights[0] = 1.0
        planned: Floats = weights / weights.sum()
        return planned

    def sample_ratio(self) -> pl.DataFrame:
        """Test whether users were divided as planned. All of them, also those whose time is not over. D13.5."""
        users = np.array([count["users"] + count["not_over"] for count in self.counts], np.float64)
        expected, degrees = users.sum() * self._planned(), len(self.arms) - 1
        chi_square = p = np.nan
        if users.sum() > 0 and None not in self.arms:
            chi_square = float(((users - expected) ** 2 / expected).sum())
            p = chi_square_tail(chi_square, degrees)
        frame = pl.DataFrame({CELL: pl.Series([self.cell], dtype=pl.Int32), "degrees": [degrees]})
        frame = with_floats(frame, {"chi_square": np.array([chi_square]), "p_value": np.array([p])})
        return frame.select(CELL, "chi_square", "degrees", "p_value", srm=pl.col("p_value") < UNSOUND)

    def best(self) -> pl.DataFrame:
        """Return for every metric how likely each arm is the best."""
        totals = [sums.over_groups() for sums in self.sums]
        rows = []
        for number, metric in enumerate(self.question.asked):
            means, errors = self._known(totals, number)
            sign = 1.0 if metric.good == "up" else -1.0
            chance, loss = best_arm(sign * means, errors)
            rows.append(self._best_rows(metric, means, chance, loss))
        return pl.concat(rows)

    def _known(self, totals: list[Sums], number: int) -> tuple[Floats, Floats]:
        """Return the means of one metric, as if all arms had the past of the control and it, and their errors."""
        one = [Sums(*(getattr(sums, name)[number : number + 1] for name in SUMS)) for sums in totals]
        means, errors = np.empty(len(one)), np.empty(len(one))
        slopes = [slope_of(each, one[0]) if self._uses_before else np.zeros(1) for each in one]
        base = one[0].mean
        for i, (each, slope) in enumerate(zip(one, slopes, strict=True)):
            mean, control, _ = adjusted(each, one[0], self._uses_before)
            means[i] = (base + mean - control)[0]
            errors[i] = each.error(slope)[0]
        return means, errors

    def _best_rows(self, metric: Metric, means: Floats, chance: Floats, loss: Floats) -> pl.DataFrame:
        n = len(self.arms)
        frame = pl.DataFrame({
            CELL: pl.Series([self.cell] * n, dtype=pl.Int32), "metric": [metric.title] * n,
            "arm": pl.Series(self.arms, dtype=pl.String),
        })  # fmt: skip
        return with_floats(frame, {"mean": means, "probability_best": chance, "expected_loss": loss})

    @property
    def groups(self) -> int:
        """How many groups of users are in the experiment."""
        every = np.sum([sums.users[0] for sums in self.sums], axis=0)
        return int((every > 0).sum())


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Put the corrected p-values beside the raw one."""
    names = [name for name in frame.columns if name not in {"p_benjamini_hochberg", "p_holm"}]
    after = names.index("p_value") + 1
    return frame.select(*names[:after], "p_benjamini_hochberg", "p_holm", *names[after:])


def _notes(
    question: Experiment, control: str | None, tables: Tables, ratio: pl.DataFrame, parts: Sequence[_Cell]
) -> list[str]:
    """Say what a reader should know, the gravest first."""
    notes = []
    if None in parts[0].arms:
        named = "no arm" if control is None else f"only one arm, {control!r}"
        notes.append(
            f"The property {question.assignment!r} names {named}: there is nothing to compare. Check assignment= and "
            f"started=."
        )
    if ratio["srm"].any():
        notes.append(
            "Sample ratio mismatch: the arms do not have the users that were planned (p < 0.001). Do not trust these "
            "results; find out who is missing."
        )
    notes += _left_out(tables)
    if question.planned_shares is None:
        notes.append("No planned shares were given: equal ones are taken for the check of the split.")
    if question.control is None and control is not None:
        notes.append(f"{control!r} is taken for the control.")
    if question.within is None:
        notes.append("Users are watched to the end of the log: those exposed early for longer.")
    if any(part.groups < FEWEST_GROUPS for part in parts):
        notes.append(f"Fewer than {FEWEST_GROUPS} groups of users: means have no interval and no test.")
    return notes


def _left_out(tables: Tables) -> list[str]:
    """Say which users are not compared."""
    notes = []
    counts = tables["arms"].select(pl.col("users", "in_two_arms", "not_over").sum()).row(0, named=True)
    if counts["in_two_arms"]:
        notes.append(f"{counts['in_two_arms']:,} users were seen in more than one arm and are left out.")
    if counts["not_over"]:
        notes.append(
            f"{counts['not_over']:,} users were exposed too late to be watched for within= and are left out."
        )
    outside = int(tables["outside"]["users"].sum())
    if outside:
        notes.append(f"{outside:,} users are not in the experiment: no event names their arm.")
    return notes
