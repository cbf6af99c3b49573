"""The walks of a Markov chain in the long run: where they are, when they come back. DEFINITIONS D10.3, D10.6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.models.chains.fitted import Quantity
from journeykit.models.chains.recurrence import NO_CLASS, EndlessChain
from journeykit.models.chains.states import ChainStates, Floats, estimate_frame

if TYPE_CHECKING:
    from journeykit.models.chains.hypotheses import ChiSquare


@dataclass(frozen=True, eq=False, repr=False)
class LongRun(ChainStates):
    """Where walks are after many moves; where a walk ends, the next one starts."""

    def stationary(self) -> pl.DataFrame:
        """Return the share of time spent in each state in the long run; ends lead back to the start, if there is one.

        Returns
        -------
        polars.DataFrame
            ``state``, ``recurrent_class`` (null for states that are left for ever), ``share``, ``low``, ``high``.
            Shares sum to 1 in each class.
        """
        users = np.append(self._users, np.full(len(self.ends), self._users.max(initial=0)))
        quantity = Quantity(lambda chain: self._closed(chain).stationary, "logit", users)
        found = self.fitted.estimates({"pi": quantity})["pi"]
        number = pl.Series("recurrent_class", self._closed(self.fitted.chain).classes)
        frame = estimate_frame({"state": self.names, "recurrent_class": number}, "share", found)
        return frame.with_columns(pl.col("recurrent_class").replace(NO_CLASS, None))

    def first_passage(self, target: str | Sequence[str] | None = None) -> pl.DataFrame:
        """Return how many moves it takes on average to first arrive in a state; ends lead back to the start.

        Parameters
        ----------
        target : str or sequence of str, optional
            Where to; every state by default, which is one factorisation each.

        Returns
        -------
        polars.DataFrame
            ``source``, ``target``, ``steps``, ``low``, ``high``; null where it need not happen. From a state to
            itself it is 0, see `recurrence`.
        """
        wanted = self.names if target is None else (target,) if isinstance(target, str) else tuple(target)
        tables = [self._passage(name) for name in wanted]
        return pl.concat(tables)

    def _passage(self, target: str) -> pl.DataFrame:
        place, size = self._any(target), len(self.names)
        quantity = Quantity(lambda chain: self._closed(chain).passage(place), "log", 0)
        found = self.fitted.estimates({"m": quantity})["m"]
        found.value[place] = 0.0
        return estimate_frame({"source": self.names, "target": [target] * size}, "steps", found)

    def recurrence(self) -> pl.DataFrame:
        """Return how many moves it takes on average to come back to each state: 1 / its stationary share.

        Returns
        -------
        polars.DataFrame
            ``state``, ``steps``, ``low``, ``high``; null for states that are left for ever.
        """

        def times(chain: AbsorbingChain) -> Floats:
            share = self._closed(chain).stationary
            return np.asarray(np.divide(1.0, share, out=np.full(share.size, np.nan), where=share > 0))

        found = self.fitted.estimates({"r": Quantity(times, "log", 0)})["r"]
        return estimate_frame({"state": self.names}, "steps", found)

    def after(self, steps: int, start: str | None = None) -> pl.DataFrame:
        """Return where a walk is after so many moves; an end is not left.

        Returns
        -------
        polars.DataFrame
            ``state``, ``probability``, ``low``, ``high``.
        """
        if not isinstance(steps, int) or steps < 0:
            raise ParameterError(f"steps must be a whole number from 0 on, not {steps!r}.")
        first = np.append(self._one(start), np.zeros(len(self.ends)))
        users = np.append(self._users, np.full(len(self.ends), self._users.max(initial=0)))
        quantity = Quantity(
            lambda chain: EndlessChain.closed(chain, None).after(first, steps), "logit", users
        )
        return estimate_frame(
            {"state": self.names}, "probability", self.fitted.estimates({"p": quantity})["p"]
        )

    def reversibility(self) -> ChiSquare:
        """Test whether the chain runs backwards as it runs forwards: as many moves A to B as B to A.

        Returns
        -------
        ChiSquare
            Bowker's test of symmetry of the moves; paths are closed by joining their ends with the start. Takes moves
            as independent; those of one user are not quite, and p-values are too small then.
        """
        from journeykit.models.chains.hypotheses import symmetry

        return symmetry(self.fitted, None if self.start is None else self._place(self.start))

    def _closed(self, chain: AbsorbingChain) -> EndlessChain:
        return EndlessChain.closed(chain, None if self.start is None else self._place(self.start))
