"""Competing outcomes over time, from counts per time: Aalen and Johansen. DEFINITIONS D14.1 to D14.3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.intervals import GROUPS, Bounds, jackknife, wilson
from journeykit.protocol import GROUP

Floats = npt.NDArray[np.float64]

CENSORED, CONVERTED, ABANDONED = range(3)
ENOUGH_AT_RISK = 10
BLOCK = 4_000_000


@dataclass(frozen=True)
class Incidence:
    """What became of units, per distinct time since their origin.

    Attributes
    ----------
    times : numpy.ndarray of int64
        Ascending.
    counts : numpy.ndarray of float64, times x 3
        Units censored, converted and abandoned at each time.
    parts : polars.DataFrame
        ``place`` (index into times), ``group``, ``outcome``, ``count``: the counts by jackknife group.
    """

    times: npt.NDArray[np.int64]
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

    def at_risk(self, tau: int) -> int:
        """Return how many units last at least to `tau`."""
        return int(self.counts[np.searchsorted(self.times, tau) :].sum())

    def converted_by(
        self, tau: int, level: float, groups: int | None, users: int
    ) -> tuple[float, float, float]:
        """Return the share converted by `tau` under censoring, with its interval. D14.3.

        Parameters
        ----------
        tau : int
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

        Notes ----- The formula's variance is that of the delta method (as Greenwood's where there is one
        outcome only), the interval symmetric for log(-log(1 - F)), so that it is D14.1's interval of S in
        that case.
        """
        if self.at_risk(tau) < ENOUGH_AT_RISK:
            return np.nan, np.nan, np.nan
        last = int(np.searchsorted(self.times, tau, side="right"))
        risk, left, hazard = (each[:last] for each in _steps(self.counts))
        share = float(left @ hazard[:, 0])
        if groups is not None:
            replicates = np.full((1, GROUPS), share)
            for group, value in self._replicates(last):
                replicates[0, group] = value
            ends = jackknife(np.array([share]), replicates, np.array([groups]), [users], level=level)
        elif 0 < share < 1:
            ends = _log_log(share, _variance(risk, left, hazard), level)
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


def _variance(risk: Floats, left: Floats, hazard: Floats) -> float:
    """Return the variance of F at the last time. Putter, Fiocco & Geskus 2007."""
    events, all_events = hazard[:, 0] * risk, hazard.sum(axis=1) * risk
    incidence = np.cumsum(left * hazard[:, 0])
    rest = incidence[-1] - incidence
    staying = risk - all_events
    with np.errstate(divide="ignore", invalid="ignore"):
        survived = np.where(staying > 0, rest**2 * all_events / (risk * staying), 0.0)
    here = left**2 * (risk - events) * events / risk**3
    return float((survived + here - 2 * rest * left * events / risk**2).sum())


def _log_log(share: float, variance: float, level: float) -> Bounds:
    """Return the interval that is symmetric for log(-log(1 - share)). D14.1."""
    rest = 1 - share
    reach = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(max(variance, 0.0)) / abs(rest * np.log(rest))
    return Bounds(np.array([1 - rest ** np.exp(-reach)]), np.array([1 - rest ** np.exp(reach)]))
