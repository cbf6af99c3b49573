"""Experiments: which arm is better, whether the split is sound, and what the past explains. DEFINITIONS D13.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import MatchLike, check_matches, symbols_of
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.experiments.answer import ExperimentAnswer, experiment_answer
from journeykit.statistics.experiments.metric import Metric, as_metrics
from journeykit.statistics.experiments.sums import SUMS
from journeykit.statistics.funnels.runs import numbers_of
from journeykit.statistics.goals import NEVER, longest
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
EPOCH = -NEVER


@dataclass(frozen=True)
class Experiment(Statistic[ExperimentAnswer]):
    """Compare the arms of an experiment, user by user. D13.5.

    Parameters
    ----------
    assignment : str
        The kept property that names the arm. A user is exposed at the first event that has one; what they do from then
        on counts. Users without one are not in the experiment.
    metrics, guardrails : Metric, event or sequence of these
        What shall become better, and what must not become worse. An event by itself asks whether the user did it.
    control : str, optional
        The arm the others are compared with; by default the first of `planned_shares`, or the first by name.
    planned_shares : mapping of str to float, optional
        How users were to be divided, as shares or weights; equally by default.
    started : str, date or datetime, optional
        Earlier events expose nobody: where the arm is known of all events, so that the past can be told from the
        experiment. In the time zone of the journeys.
    within : str or timedelta, optional
        How long after the exposure a user is watched. Users whose time is not over are left out; without it everyone is
        watched to the end of the log.
    cuped : str or timedelta, optional
        How long before the exposure to look at the same metric, to take out of the comparison what users were like
        before. Nothing is taken out by default.
    sequential : int, optional
        Add intervals and p-values that hold however often one looks, sharpest at this number of users in both arms.
    missing : {"raise", "ignore", "warn"}
        Whether a name that the log does not have is an error, or matches nothing. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    See Also
    --------
    journeykit.compare : Any statistic in two segments.

    Notes
    -----
    The answer's frame has one row per metric and arm that is not the control:

    ``metric``, ``role``, ``arm``, ``control``
        What, whether it is a ``metric`` or a ``guardrail``, and who is compared with whom.
    ``users``, ``total``, ``mean`` and ``control_users``, ``control_total``, ``control_mean``
        As counted: a mean is total / users.
    ``difference``, ``ratio`` and their ``_low``, ``_high``
        Arm against control. With `cuped`, of the means as if both arms had the same past.
    ``p_value``, ``p_benjamini_hochberg``, ``p_holm``
        Of no difference; corrected over all rows of the table (D13.4).
    ``detectable_difference``
        The smallest true difference that data like these show in 8 of 10 experiments.
    ``variance_reduction``
        With `cuped`: the share of the metric's variance that the past explains.
    ``always_valid_low``, ``always_valid_high``, ``always_valid_p``
        With `sequential`.
    ``verdict``
        ``better``, ``worse`` or ``undecided``, by whether the interval leaves out 0, with `sequential` the always valid
        one.

    Without `cuped`, whether users did something is compared as proportions (Newcombe; pooled score or Fisher); all else
    by the group jackknife, in which the slope of CUPED is fitted anew each time (D13.2). Users seen in two arms are
    counted, left out and reported. One pass per metric, O(n); 20 bytes a user.

    References
    ----------
    Fabijan et al. 2019, KDD; Deng, Xu, Kohavi & Walker 2013, WSDM (CUPED); Johari et al. 2022, Oper. Res. 70(3).

    Examples
    --------
    >>> import journeykit as jk
    >>> shop = jk.datasets.simulate_shop(4000, rng=1)
    >>> roles = {"user": "user", "time": "time", "event": "event", "value": "value"}
    >>> journeys = jk.read_events(shop.events, **roles, keep=["device"]).sessionize("30m")
    >>> question = jk.Experiment(
    ...     "device", ["purchase", jk.Metric("purchase", "value")], planned_shares={"desktop": 2, "mobile": 3}
    ... )
    >>> answer = journeys.measure(question)
    >>> answer.frame.select("metric", "arm", pl.col("control_mean", "mean", "difference").round(4), "verdict").rows()
    [('purchase', 'mobile', 0.2028, 0.0782, -0.1246, 'worse'),
     ('value of purchase', 'mobile', 15.6531, 4.7453, -10.9078, 'worse')]
    >>> answer.sample_ratio["srm"].to_list()
    [False]
    """

    assignment: str
    metrics: Metric | MatchLike | Sequence[Metric | MatchLike]
    guardrails: Metric | MatchLike | Sequence[Metric | MatchLike] = ()
    control: str | None = None
    planned_shares: Mapping[str, float] | None = None
    started: str | date | datetime | None = None
    within: Duration | None = None
    cuped: Duration | None = None
    sequential: int | None = None
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "arms": ("arm",),
        "sums": ("arm", "metric"),
        "outside": (),
    }

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.assignment, str) or not self.assignment:
            raise ParameterError(
                f"assignment must be the name of the property that holds the arm, not {self.assignment!r}."
            )
        object.__setattr__(self, "metrics", as_metrics(self.metrics, "metrics"))
        object.__setattr__(self, "guardrails", as_metrics(self.guardrails, "guardrails"))
        if not self.metrics:
            raise ParameterError("metrics is empty. Give at least one event, such as metrics=['purchase'].")
        as_metrics(self.asked, "metrics and guardrails")
        for parameter in ("within", "cuped"):
            longest(getattr(self, parameter), parameter)
        if self.sequential is not None and (not isinstance(self.sequential, int) or self.sequential < 1):
            raise ParameterError(f"sequential must be a number of users from 1 on, not {self.sequential!r}.")
        self._check_shares()
        if self.started is not None:
            object.__setattr__(self, "started", _moment(self.started))

    def _check_shares(self) -> None:
        shares = self.planned_shares
        if shares is None:
            return
        if not isinstance(shares, Mapping) or len(shares) < 2:
            raise ParameterError(
                f"planned_shares must name at least two arms, such as {{'A': 0.5, 'B': 0.5}}, not {shares!r}."
            )
        wrong = {arm: share for arm, share in shares.items() if not share > 0 or share == float("inf")}
        if wrong:
            arm, share = next(iter(wrong.items()))
            raise ParameterError(f"planned_shares must be greater than zero; that of {arm!r} is {share!r}.")
        if self.control is not None and self.control not in shares:
            raise ParameterError(
                f"the control {self.control!r} is not in planned_shares, which names {', '.join(map(repr, shares))}."
            )

    @property
    def asked(self) -> tuple[Metric, ...]:
        """All metrics, then all guardrails."""
        return (*self.metrics, *self.guardrails)  # type: ignore[misc]

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        if self.assignment not in context.kept:
            raise UnknownPropertyError(self.assignment, context.kept)
        check_matches([metric.match for metric in self.asked], "event", self.missing, context)
        for metric in self.asked:
            metric.check(context)

    def start(self, tz: str) -> int:
        """Return the first moment that exposes, in microseconds."""
        if self.started is None:
            return EPOCH
        assert isinstance(self.started, datetime)
        moment = pl.Series([self.started])
        if self.started.tzinfo is None:
            moment = moment.dt.replace_time_zone(tz, ambiguous="earliest")
        return int(moment.dt.epoch("us")[0])

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Add up every metric by arm in one shard."""
        exposed = Exposed.of(self, shard)
        paths = shard.paths("user")
        arm = exposed.arm
        cell = cells.of(paths, "user")
        n = exposed.names.len()
        key = cell.astype(np.int64) * n + arm
        size = cells.count * n
        arms = {
            "users": exposed.watched,
            "in_two_arms": exposed.twice & (arm >= 0),
            "not_over": exposed.early,
        }
        counts = {name: np.bincount(key[which], minlength=size) for name, which in arms.items()}
        some = np.flatnonzero(np.sum(list(counts.values()), axis=0))
        sums = [
            self._sums(exposed, metric, key, size, number).filter(pl.col("users") > 0)
            for number, metric in enumerate(self.asked)
        ]
        outside = np.bincount(cell[arm < 0], minlength=cells.count)
        return {
            "arms": pl.DataFrame(
                {**exposed.labels(some), **{name: values[some] for name, values in counts.items()}}
            ),
            "sums": pl.concat(sums),
            "outside": pl.DataFrame({CELL: np.arange(cells.count, dtype=np.int32), "users": outside}),
        }

    def _sums(self, exposed: Exposed, metric: Metric, key: Int64s, size: int, number: int) -> pl.DataFrame:
        """Add up one metric over the users of every cell and arm."""
        y, x = exposed.values(metric, number)
        key = key[exposed.watched]
        y, x = y[exposed.watched], x[exposed.watched]
        each = (np.ones(key.size), y, y * y, x, x * x, x * y)
        added = {
            name: np.bincount(key, part, size).astype(np.float64)
            for name, part in zip(SUMS, each, strict=True)
        }
        labels = exposed.labels(np.arange(size))
        return pl.DataFrame({**labels, "metric": np.full(size, number, np.int32), **added})

    def answer(self, tables: Tables, context: Context) -> ExperimentAnswer:
        """Compare the arms."""
        return experiment_answer(self, tables, context)

    def rehearse(
        self,
        journeys: Journeys,
        *,
        rng: int | np.random.Generator,
        simulations: int = 1000,
        effect: float = 0.0,
        level: float = 0.95,
    ) -> pl.DataFrame:
        """Assign the same users at random again and again, and count what such experiments find.

        Parameters
        ----------
        journeys : Journeys
            Users like those of the experiment. They are exposed at their first event from `started` on; whatever arm
            they are in, if any, is not looked at.
        rng : int or numpy.random.Generator
            A seed, or a generator, which then moves on.
        simulations : int
            How many experiments of two arms, with the first two of `planned_shares`.
        effect : float
            How much larger each mean is made in the second arm: 0 for an A/A test, 0.05 for 5 %.
        level : float
            Of the intervals, between 0 and 1.

        Returns
        -------
        polars.DataFrame
            Per metric: ``users``, ``mean``, ``simulations``, how many were ``significant`` (p below 1 - level), their
            ``share`` with ``low`` and ``high``, ``mean_error`` (the mean standard error of the difference), and
            ``covered``, the share of intervals that hold the effect. Without an effect the share is the rate of false
            alarms, which should be 1 - level; with one it is the power.

        Raises
        ------
        ParameterError
            If a parameter has a value it cannot take, or no user is exposed.

        Notes
        -----
        O(users) per simulation and metric, a few milliseconds for 100,000 users.
        """
        from journeykit.statistics.experiments.rehearsal import Rehearsal

        return Rehearsal(self, journeys, effect, level).run(simulations, rng)


class Exposed:
    """The users of one shard: when they were exposed, to what, and what they did."""

    def __init__(
        self, question: Experiment, shard: Journeys, codes: npt.NDArray[np.int32], names: pl.Series
    ) -> None:
        from journeykit.kernels.outcomes.experiments import expose

        self.question, self.shard, self.names = question, shard, names
        self.paths = paths = shard.paths("user")
        at, twice = np.empty(paths.n_paths, np.int64), np.zeros(paths.n_paths, np.bool_)
        expose(paths.starts, paths.ends, codes, paths.times, question.start(shard.tz), at, twice)
        self.arm = np.where(at >= 0, codes[at], -1).astype(np.int64) if codes.size else at
        self.at, self.twice = at, twice
        until = shard.observed_until - longest(question.within, "within")
        times = paths.times[at] if codes.size else np.zeros(at.size, np.int64)
        single = (at >= 0) & ~twice
        self.early = single & (times > until) if question.within is not None else np.zeros_like(single)
        self.watched = single & ~self.early

    @classmethod
    def of(cls, question: Experiment, shard: Journeys) -> Exposed:
        """Find the exposures of one shard."""
        numbered = numbers_of(shard, (question.assignment,), "user")
        return cls(question, shard, numbered.codes.astype(np.int32), numbered.values.cast(pl.String))

    @classmethod
    def everyone(cls, question: Experiment, journeys: Journeys) -> Exposed:
        """Expose everyone at their first event."""
        return cls(question, journeys, np.zeros(journeys.n_events, np.int32), pl.Series(["all"]))

    def labels(self, keys: Int64s) -> dict[str, Any]:
        """Return the cell and the arm of each key."""
        n = max(len(self.names), 1)
        names = self.names.gather(pl.Series(keys % n, dtype=pl.UInt32)) if len(self.names) else self.names
        return {CELL: (keys // n).astype(np.int32), "arm": names}

    def values(self, metric: Metric, number: int) -> tuple[Floats, Floats]:
        """Return every user's number after the exposure, and before it."""
        from journeykit.kernels.outcomes.experiments import add_up

        question, paths = self.question, self.paths
        symbols = symbols_of(self.shard, [each.match for each in question.asked], "event", "user")
        after, before = np.zeros(paths.n_paths), np.zeros(paths.n_paths)
        added = np.empty(0)
        if metric.count == "value":
            added = _numbers(self.shard, metric.value)
        earlier = 0 if question.cuped is None else longest(question.cuped, "cuped")
        rule = (1 << number, longest(question.within, "within"), earlier)
        exposed = np.where(self.watched, self.at, -1)
        add_up(
            paths.starts, paths.ends, exposed, symbols.codes, symbols.masks, paths.times, added, rule, after, before,
        )  # fmt: skip
        if question.cuped is None:
            before[:] = 0.0
        if metric.count == "users":
            return (after > 0).astype(np.float64), (before > 0).astype(np.float64)
        return after, before


def _numbers(shard: Journeys, name: str) -> Floats:
    """Return a property as numbers in the order of the users' events, once for all shards; NaN for null."""
    whole = shard.whole

    def make() -> Floats:
        column = whole.in_time_order().property(name)
        if not column.dtype.is_numeric() and column.dtype not in (pl.Null, pl.Boolean):
            raise ParameterError(
                f"the property {name!r} holds {column.dtype}, not numbers, and cannot be added up."
            )
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()

    return whole.memo.get(("floats", name), make)


def _moment(started: Any) -> datetime:
    if isinstance(started, str):
        try:
            return datetime.fromisoformat(started)
        except ValueError:
            started = repr(started)
    elif isinstance(started, datetime):
        return started
    elif isinstance(started, date):
        return datetime.combine(started, datetime.min.time())
    raise ParameterError(f"started={started} is no date. Give a day or a time, such as '2026-02-01'.")
