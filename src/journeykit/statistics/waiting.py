"""Exact medians of waits: plain (type 7), or under censoring (Kaplan-Meier). DEFINITIONS D0.2, D12.5, D14.1.

Medians alone, of waits that may be censored: each is 8 bytes with its jackknife group, so that logs of any size are
sorted whole and the medians are exact. Other percentiles, of values that are all known, are the business of
`journeykit.statistics.distribution`, which bins what is above its budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GROUPS, jackknife
from journeykit.protocol import GROUP
from journeykit.support.threads import on_all_cores

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
HALF = 0.5


@dataclass(frozen=True)
class Medians:
    """One median per thing, in seconds, with its interval; NaN where there is none, infinite where not reached."""

    value: Floats
    low: Floats
    high: Floats


def distinct(things: Int64s, values: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Count the distinct pairs of two arrays of numbers from 0 on.

    Returns
    -------
    things, values, counts : numpy.ndarray of int64
        One entry per pair, sorted.

    Examples
    --------
    >>> [each.tolist() for each in distinct(np.array([1, 0, 1]), np.array([5, 7, 5]))]
    [[0, 1], [7, 5], [1, 2]]
    """
    room = int(values.max(initial=0)).bit_length()
    if int(things.max(initial=0)).bit_length() + room < 63:
        from journeykit.kernels.outcomes.waiting import count_pairs, pack_pairs

        packed = np.empty(values.size, np.int64)
        pack_pairs(things, values, room, packed)
        packed.sort()
        found = tuple(np.empty(values.size, np.int64) for _ in range(3))
        n = count_pairs(packed, room, *found)
        return found[0][:n], found[1][:n], found[2][:n]
    pairs = pl.DataFrame({"thing": things, "value": values}).group_by("thing", "value").len("count")
    pairs = pairs.sort("thing", "value").cast(pl.Int64)
    return pairs["thing"].to_numpy(), pairs["value"].to_numpy(), pairs["count"].to_numpy()


@dataclass(frozen=True)
class Waits:
    """Waits of several things, each with its jackknife group, ordered by thing and packed for sorting.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, things + 1
        Where the waits of each thing start.
    packed : numpy.ndarray of int64
        See `journeykit.kernels.outcomes.waiting`; sorted within a thing.
    """

    offsets: Int64s
    packed: Int64s

    @classmethod
    def of(
        cls,
        things: pl.DataFrame,
        keys: Sequence[str],
        frame: pl.DataFrame,
        value: str,
        closed: str | None = None,
    ) -> Waits:
        """Gather the rows of a tally by the thing they belong to.

        Parameters
        ----------
        things : polars.DataFrame
            One row per thing.
        keys : one or two names of columns
            Small numbers from 0 on, in `things` and in `frame`.
        frame : polars.DataFrame
            The tally, with ``group`` and ``count``.
        value, closed : str
            Its columns of microseconds, and of 1 for a wait that ended, 0 for a censored one.
        """
        from journeykit.kernels.outcomes.waiting import count_waits, pack_waits

        first, second = things[keys[0]].to_numpy(), things[keys[-1]].to_numpy()
        size = int(second.max(initial=0)) + 1 if len(keys) > 1 else 0
        place = np.zeros((int(first.max(initial=0)) + 1) * max(size, 1), np.int64)
        place[first.astype(np.int64) * max(size, 1) + (second if size else 0)] = np.arange(things.height)
        columns = [*(keys if size else (keys[0], keys[0])), value, closed or GROUP, GROUP, "count"]
        rows = [(*(np.asarray(part) for part in parts), place, size) for parts in _chunks(frame, columns)]
        totals = np.zeros(things.height, np.int64)
        for row in rows:
            count_waits(*row, totals)
        offsets = np.concatenate([[0], totals.cumsum()])
        places, packed = offsets[:-1].copy(), np.empty(offsets[-1], np.int64)
        for row in rows:
            pack_waits(*row, closed is not None, places, packed)
        on_all_cores(lambda span: packed[span[0] : span[1]].sort(), pairwise(offsets.tolist()))
        return cls(offsets, packed)

    def closed(self) -> Waits:
        """Leave the censored waits out."""
        kept = [waits[waits & 64 == 0] for waits in map(self._of, range(self.offsets.size - 1))]
        offsets = np.cumsum([0, *(waits.size for waits in kept)])
        return Waits(offsets, np.concatenate(kept) if len(kept) > 1 else kept[0] if kept else self.packed)

    def plain(self, groups: Int64s, level: float) -> Medians:
        """Return type-7 medians with Woodruff intervals; no wait may be censored. D0.2, D12.5."""
        from journeykit.kernels.outcomes.waiting import count_groups

        things = self.offsets.size - 1
        estimate = np.array([_type_7(self._of(i), HALF) for i in range(things)])
        sizes, below = np.zeros((things, GROUPS)), np.zeros((things, GROUPS))
        for i in range(things):
            waits = self._of(i)
            if waits.size:
                reached = np.searchsorted(waits, (int(estimate[i]) + 1) << 7)
                count_groups(waits, reached, sizes[i], below[i])
        n, x = sizes.sum(axis=1), below.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            replicates = np.where(n[:, None] > sizes, (x[:, None] - below) / (n[:, None] - sizes), np.nan)
            ends = jackknife(x / n, replicates, groups, n, level=level)
        low = np.array([_type_7(self._of(i), ends.low[i]) for i in range(things)])
        high = np.array([_type_7(self._of(i), ends.high[i]) for i in range(things)])
        return Medians(estimate / 1e6, low / 1e6, high / 1e6)

    def censored(self, groups: Int64s, users: npt.ArrayLike, level: float) -> Medians:
        """Return Kaplan-Meier medians with Woodruff intervals. D14.1, D12.5.

        `users` are the distinct users behind each thing, for a median at which nobody is left.
        """
        from journeykit.kernels.outcomes.waiting import replicates_at, time_of_survival

        things = self.offsets.size - 1
        share, replicates = np.full(things, np.nan), np.full((things, GROUPS), np.nan)
        estimate = np.full(things, np.nan)

        def survive(thing: int) -> None:
            waits = self._of(thing)
            if waits.size == 0:
                return
            time, survival = time_of_survival(waits, HALF)
            estimate[thing] = np.inf if time < 0 else time / 1e6
            if time >= 0:
                share[thing] = 1 - survival
                replicates_at(waits, time, replicates[thing])

        on_all_cores(survive, range(things))
        ends = jackknife(share, 1 - replicates, groups, users, level=level)
        return Medians(estimate, self._reached(ends.low), self._reached(ends.high))

    def _reached(self, shares: Floats) -> Floats:
        """Return when each share of a thing's waits has ended, in seconds."""
        from journeykit.kernels.outcomes.waiting import time_of_survival

        times = np.full(shares.size, np.nan)
        for i in np.flatnonzero(~np.isnan(shares)).tolist():
            time, _ = time_of_survival(self._of(i), 1 - shares[i])
            times[i] = np.inf if time < 0 else time / 1e6
        return times

    def _of(self, thing: int) -> Int64s:
        return self.packed[self.offsets[thing] : self.offsets[thing + 1]]


def _type_7(packed: Int64s, q: float) -> float:
    """Interpolate between the order statistics of sorted waits. D0.2."""
    if packed.size == 0 or np.isnan(q):
        return float("nan")
    position = (packed.size - 1) * q
    below = int(position)
    low, high = int(packed[below]) >> 7, int(packed[min(below + 1, packed.size - 1)]) >> 7
    return low + (position - below) * (high - low)


def _chunks(frame: pl.DataFrame, columns: Sequence[str]) -> Iterator[Sequence[pl.Series]]:
    """Go through columns chunk by chunk: putting the chunks together would copy them."""
    if len({tuple(len(chunk) for chunk in frame[name].get_chunks()) for name in columns}) > 1:
        frame = frame.rechunk()
    yield from zip(*(frame[name].get_chunks() for name in columns), strict=True)
