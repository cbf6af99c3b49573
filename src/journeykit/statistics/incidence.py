"""Competing outcomes over time, from counts per time: Aalen and Johansen. DEFINITIONS D14.1 to D14.3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GROUPS, Bounds, jackknife, wilson
from journeykit.protocol import GROUP

Floats = npt.NDArray[np.float64]

CENSORED, CONVERTED, ABANDONED = range(3)
ENOUGH_AT_RISK = 10
BLOCK = 4_000_000
ROUNDING = 1e-12


@dataclass(frozen=True)
class Incidence:
    """What became of units, per distinct time since their origin.

    Attributes
    ----------
    times : numpy.ndarray of int64 or float64
        Ascending.
    counts : numpy.ndarray of float64, times x 3
        Units censored, converted and abandoned at each time.
    parts : polars.DataFrame
        ``place`` (index into times), ``group``, ``outcome``, ``count``: the counts by jackknife group.
    """

    times: npt.NDArray[np.int64] | Floats
    counts: Floats
    parts: pl.DataFrame

    @classmethod
    def of(cls, table: pl.DataFrame) -> Incidence:
        """Gather the rows of a tally: ``group``, ``outcome``, ``time``, ``count``."""
        times, place = np.unique(table["time"].to_numpy(), return_inverse=True)
        outcome, count = table["outcome"].to_numpy(), table["count"].to_numpy()
        counts = np.bincount(place * 3 + outcome, count, times.size * 3).astype(np.float64).reshape(-1, 3)
        return cls(times, counts, table.select(pl.Series("place", place), GROUP, "outcome", "count"))

    def curve(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return one row per distinct time: units at risk, what became of them, S, F of both outcomes.

        Returns
        -------
        dict of str to numpy.ndarray
            ``at_risk`` counts units that last at least to the time; ``unresolved`` is S after it, and
            ``converted_by`` and ``abandoned_by`` sum to 1 with it. D14.1, D14.2.
        """
        risk, left, hazard = _steps(self.counts)
        incidence = np.cumsum(left[:, None] * hazard, axis=0)
        return {
            "at_risk": risk.astype(np.int64),
            "converted": self.counts[:, CONVERTED].astype(np.int64),
            "abandoned": self.counts[:, ABANDONED].astype(np.int64),
            "censored": self.counts[:, CENSORED].astype(np.int64),
            "unresolved": left * (1 - hazard.sum(axis=1)),
            "converted_by": incidence[:, 0],
            "abandoned_by": incidence[:, 1],
        }

    def bounds(self, level: float) -> dict[str, Floats]:
        """Return the ends of the intervals of S and of F of conversion at every time, each unit being a user.

        Greenwood's variance, and that of the delta method; symmetric for log(-log). D14.1, D14.2.
        """
        risk, left, hazard = _steps(self.counts)
        gone, events = hazard.sum(axis=1), hazard.sum(axis=1) * risk
        survival = left * (1 - gone)
        with np.errstate(divide="ignore", invalid="ignore"):
            greenwood = np.cumsum(np.where(risk > events, events / (risk * (risk - events)), 0.0))
        of_survival = _log_log(1 - survival, survival**2 * greenwood, level)
        of_incidence = _log_log(np.cumsum(left * hazard[:, 0]), _variance(risk, left, hazard), level)
        return {
            "unresolved_low": 1 - of_survival.high,
            "unresolved_high": 1 - of_survival.low,
            "converted_by_low": of_incidence.low,
            "converted_by_high": of_incidence.high,
        }

    def quantile(self, q: float, level: float, groups: int | None, users: int) -> tuple[float, float, float]:
        """Return the first time at which a share q has converted, infinite if none, with its Woodruff interval.

        The interval of the share converted by that time, mapped back. Parameters as of `converted_by`. D12.5, D14.1.
        """
        _, left, hazard = _steps(self.counts)
        incidence = np.cumsum(left * hazard[:, 0])

        def reached(share: float) -> float:
            place = int(np.searchsorted(incidence, share - ROUNDING))
            return float(self.times[place]) if place < self.times.size else np.inf

        time = reached(q)
        if np.isinf(time):
            return time, np.nan, np.nan
        _, low, high = self._share(int(np.searchsorted(self.times, time)) + 1, level, groups, users)
        return time, np.nan if np.isnan(low) else reached(low), np.nan if np.isnan(high) else reached(high)

    def restricted_mean(self, tau: float) -> tuple[float, float]:
        """Return the mean time without outcome up to `tau`, the integral of S, and its variance. D14.4."""
        risk, left, hazard = _steps(self.counts)
        survival = left * (1 - hazard.sum(axis=1))
        if self.times.size == 0 or (tau > self.times[-1] and survival[-1] > ROUNDING):
            return np.nan, np.nan
        last = int(np.searchsorted(self.times, tau, side="right"))
        survival = np.append(1.0, survival[:last])
        edges = np.concatenate([[0.0], self.times[:last], [tau]]).astype(np.float64)
        areas = survival * np.diff(edges)
        events, here = (hazard.sum(axis=1) * risk)[:last], risk[:last]
        later = areas[::-1].cumsum()[::-1][1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.where(here > events, later**2 * events / (here * (here - events)), 0.0)
        return float(areas.sum()), float(parts.sum())

    def hazards(
        self, width: float, level: float, groups: int | None, users: int
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Return per stretch of time who was at risk at its beginning, and by whom each outcome came in it. D14.5.

        Parameters
        ----------
        width : float
            How long a stretch is, in the unit of the times. A time of exactly a bound belongs to the stretch before it,
            0 to the first.
        level, groups, users
            As of `converted_by`.

        Returns
        -------
        dict of str to numpy.ndarray
            ``at_risk``; ``converted``, ``abandoned``, and of both ``*_hazard``, ``*_low``, ``*_high``: Wilson's
            interval of users, the jackknife's of others (of a hazard of 0 or 1 Wilson's, of as many users as can be at
            risk).
        """
        stretch = np.maximum(np.ceil(self.times / width - 1e-9).astype(np.int64) - 1, 0)
        size = int(stretch.max(initial=-1)) + 1
        counts = np.array([np.bincount(stretch, self.counts[:, k], size) for k in range(3)])
        risk = _from_the_end(counts.sum(axis=0))
        columns: dict[str, npt.NDArray[np.generic]] = {"at_risk": risk.astype(np.int64)}
        own = self.parts.select(pl.Series("place", stretch[self.parts["place"]]), GROUP, "outcome", "count")
        for k, name in ((CONVERTED, "converted"), (ABANDONED, "abandoned")):
            ends = wilson(counts[k], risk, level)
            if groups is not None:
                left = risk[:, None] - _from_the_end(_by_group(own, size))
                went = counts[k][:, None] - _by_group(own.filter(pl.col("outcome") == k), size)
                with np.errstate(invalid="ignore"):
                    replicates = np.where(left > 0, went / left, np.nan)
                present = np.full(size, groups)
                ends = jackknife(counts[k] / risk, replicates, present, np.minimum(risk, users), level=level)
            columns |= {name: counts[k].astype(np.int64), f"{name}_hazard": counts[k] / risk}
            columns |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
        return columns

    def at_risk(self, tau: float) -> int:
        """Return how many units last at least to `tau`."""
        return int(self.counts[np.searchsorted(self.times, tau) :].sum())

    def converted_by(
        self, tau: float, level: float, groups: int | None, users: int
    ) -> tuple[float, float, float]:
        """Return the share converted by `tau` under censoring, with its interval. D14.3.

        Parameters
        ----------
        tau : float
            In the unit of the times.
        level : float
            Of the interval.
        groups : int or None
            None when every unit is a user: the interval is the formula's own. Else how many jackknife groups
            have units: D12.3.
        users : int
            Distinct users.

        Returns
        -------
        tuple of float
            The share and the ends of its interval; NaN with fewer than 10 units at risk at `tau`.

        Notes
        -----
        The formula's variance is that of the delta method (as Greenwood's where there is one
        outcome only), the interval symmetric for log(-log(1 - F)), so that it is D14.1's interval of S in
        that case.
        """
        if self.at_risk(tau) < ENOUGH_AT_RISK:
            return np.nan, np.nan, np.nan
        return self._share(int(np.searchsorted(self.times, tau, side="right")), level, groups, users)

    def _share(self, last: int, level: float, groups: int | None, users: int) -> tuple[float, float, float]:
        """Return the share converted by the first `last` times, with its interval."""
        risk, left, hazard = (each[:last] for each in _steps(self.counts))
        share = float(left @ hazard[:, 0])
        if groups is not None:
            replicates = np.full((1, GROUPS), share)
            for group, value in self._replicates(last):
                replicates[0, group] = value
            ends = jackknife(np.array([share]), replicates, np.array([groups]), [users], level=level)
        elif 0 < share < 1:
            ends = _log_log(np.array([share]), _variance(risk, left, hazard)[-1:], level)
        else:
            ends = wilson([share * users], [users], level)
        return share, float(ends.low[0]), float(ends.high[0])

    def _replicates(self, last: int) -> Iterator[tuple[int, float]]:
        """Give the share converted by the first `last` times without each group, few groups at a time."""
        group = self.parts[GROUP].to_numpy()
        present, column = np.unique(group, return_inverse=True)
        place, outcome = self.parts["place"].to_numpy(), self.parts["outcome"].to_numpy()
        count = self.parts["count"].to_numpy()
        everyone = self.counts.sum()
        step = max(1, BLOCK // max(1, last))
        for first in range(0, present.size, step):
            width = min(step, present.size - first)
            own = (column >= first) & (column < first + width)
            theirs = np.bincount(column[own] - first, count[own], width)
            own &= place < last
            cell = ((column[own] - first) * last + place[own]) * 3 + outcome[own]
            parts = np.bincount(cell, count[own], width * last * 3).reshape(width, last, 3)
            _, left, hazard = _steps(self.counts[:last] - parts, everyone - theirs)
            shares = (left * hazard[..., 0]).sum(axis=1)
            yield from zip(present[first : first + width].tolist(), shares.tolist(), strict=True)


def log_rank(samples: Sequence[Incidence], outcome: int = CONVERTED) -> tuple[float, int, float]:
    """Test whether an outcome comes at the same rate in all samples; other outcomes are censorings. D14.6.

    Returns
    -------
    chi_square, degrees, p_value
        NaN with fewer than two samples, or without any outcome.
    """
    from scipy.stats import chi2

    degrees = len(samples) - 1
    if degrees < 1:
        return np.nan, 0, np.nan
    times = np.unique(np.concatenate([each.times[each.counts[:, outcome] > 0] for each in samples]))
    if times.size == 0:
        return np.nan, degrees, np.nan
    risk, events = np.zeros((len(samples), times.size)), np.zeros((len(samples), times.size))
    for i, each in enumerate(samples):
        left = np.append(each.counts.sum(axis=1)[::-1].cumsum()[::-1], 0.0)
        risk[i] = left[np.searchsorted(each.times, times)]
        own = each.counts[:, outcome] > 0
        events[i, np.searchsorted(times, each.times[own])] = each.counts[own, outcome]
    n, d = risk.sum(axis=0), events.sum(axis=0)
    share = risk / n
    excess = (events - d * share).sum(axis=1)
    spread = d * (n - d) / np.maximum(n - 1, 1)
    variance = np.diag((spread * share).sum(axis=1)) - (spread * share) @ share.T
    statistic = float(excess @ np.linalg.pinv(variance, hermitian=True) @ excess)
    return statistic, degrees, float(chi2.sf(statistic, degrees))


def _by_group(parts: pl.DataFrame, size: int) -> Floats:
    """Return the units of every place and jackknife group."""
    cell = parts["place"].to_numpy() * GROUPS + parts[GROUP].to_numpy()
    return (
        np.bincount(cell, parts["count"].to_numpy(), size * GROUPS).astype(np.float64).reshape(size, GROUPS)
    )


def _from_the_end(counts: Floats) -> Floats:
    """Add up what is here and later."""
    summed: Floats = counts[::-1].cumsum(axis=0)[::-1]
    return summed


def _steps(counts: Floats, everyone: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Return units at risk, S just before, and both hazards, per time; the times are the last axis but one."""
    gone = counts.sum(axis=-1)
    total = gone.sum(axis=-1) if everyone is None else everyone
    risk = np.asarray(total)[..., None] - (gone.cumsum(axis=-1) - gone)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(risk[..., None] > 0, counts[..., 1:] / risk[..., None], 0.0)
    left = np.cumprod(1 - hazard.sum(axis=-1), axis=-1)
    before = np.concatenate([np.ones((*left.shape[:-1], 1)), left[..., :-1]], axis=-1)
    return risk, before, hazard


def _variance(risk: Floats, left: Floats, hazard: Floats) -> Floats:
    """Return the variance of F at every time. Putter, Fiocco & Geskus 2007.

    The sums over times up to t of (F(t) - F(u))^2 and of F(t) - F(u) are taken from sums without F(t).
    """
    events, all_events = hazard[:, 0] * risk, hazard.sum(axis=1) * risk
    incidence = np.cumsum(left * hazard[:, 0])
    staying = risk - all_events
    with np.errstate(divide="ignore", invalid="ignore"):
        survived = np.where(staying > 0, all_events / (risk * staying), 0.0)
    here, both = left**2 * (risk - events) * events / risk**3, left * events / risk**2
    first, second = np.cumsum(survived), np.cumsum(incidence * survived)
    spread = incidence**2 * first - 2 * incidence * second + np.cumsum(incidence**2 * survived)
    joint = incidence * np.cumsum(both) - np.cumsum(incidence * both)
    variance: Floats = np.maximum(spread + np.cumsum(here) - 2 * joint, 0.0)
    return variance


def _log_log(share: Floats, variance: Floats, level: float) -> Bounds:
    """Return the intervals that are symmetric for log(-log(1 - share)); the share itself where it is 0 or 1. D14.1."""
    rest = 1 - share
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = z * np.sqrt(variance) / np.abs(rest * np.log(rest))
        low, high = 1 - rest ** np.exp(-reach), 1 - rest ** np.exp(reach)
    inside = (rest > 0) & (rest < 1)
    return Bounds(np.where(inside, low, share), np.where(inside, high, share))
