"""When a burst of equal events counts as rage, with the vendors' thresholds. DEFINITIONS D15.4."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.protocol import Context
from journeykit.support.durations import Duration, microseconds


@dataclass(frozen=True)
class RageRule:
    """A burst: so many of one event on one target, in a short time, close together. D15.4.

    Parameters
    ----------
    repeats : int
        How many make a burst, 2 or more; the last of them and those that go on are rage.
    within : str or timedelta
        The longest time from the first of them to the last, itself included.
    distance : float
        The longest distance from one to the next, itself included, in the unit of `x` and `y`, such as pixels.
        Tested only where `x` and `y` are named.
    target : str, optional
        A kept property that says what was acted on, such as a button; the same event on two targets is no burst.
        Where it is null, there is none.
    x, y : str, optional
        Kept properties that say where; both or none. Where one is null, there is no burst.

    Raises
    ------
    ParameterError
        If a number is not possible, or one of `x` and `y` is missing.

    Notes
    -----
    Other events may lie between those of a burst; all lie in one session. The vendors detect it in the browser,
    on clicks alone, and log it as an event of its own: where such an event is in the log, name it in ``trouble=``.

    Examples
    --------
    >>> RageRule.mixpanel(target="element")
    RageRule(repeats=4, within='1s', distance=30, target='element', x=None, y=None)
    """

    repeats: int = 3
    within: Duration = "1s"
    distance: float = 30
    target: str | None = None
    x: str | None = None
    y: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.repeats, int) or isinstance(self.repeats, bool) or self.repeats < 2:
            raise ParameterError(f"repeats must be a whole number from 2 on, not {self.repeats!r}.")
        microseconds(self.within, "within")
        if not isinstance(self.distance, int | float) or not 0 <= self.distance < np.inf:
            raise ParameterError(f"distance must be a number from 0 on, not {self.distance!r}.")
        if (self.x is None) != (self.y is None):
            raise ParameterError("x and y say together where an event was. Name both of them, or neither.")

    @classmethod
    def posthog(cls, target: str | None = None, x: str | None = None, y: str | None = None) -> RageRule:
        """Return PostHog's thresholds: 3 in 1 second, 30 pixels. The default."""
        return cls(3, "1s", 30, target, x, y)

    @classmethod
    def mixpanel(cls, target: str | None = None, x: str | None = None, y: str | None = None) -> RageRule:
        """Return Mixpanel's thresholds: 4 in 1 second, 30 pixels."""
        return cls(4, "1s", 30, target, x, y)

    @classmethod
    def amplitude(cls, target: str | None = None, x: str | None = None, y: str | None = None) -> RageRule:
        """Return Amplitude's thresholds: 4 in 1 second, 50 pixels."""
        return cls(4, "1s", 50, target, x, y)

    def check(self, context: Context) -> None:
        """Refuse properties that were not kept."""
        for name in (self.target, self.x, self.y):
            if name is not None and name not in context.kept:
                raise UnknownPropertyError(name, context.kept)

    def targets(self, journeys: Journeys) -> npt.NDArray[np.int32]:
        """Number the target of every event, -1 where it is null; empty without targets. Made once for all shards."""
        if self.target is None:
            return np.empty(0, np.int32)
        name, whole = self.target, journeys.whole
        return whole.memo.get(("targets", name), lambda: _numbered(whole.property(name)))

    def places(self, journeys: Journeys) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return where every event was, NaN where it is null; empty without places. Made once for all shards."""
        if self.x is None or self.y is None:
            return np.empty(0), np.empty(0)
        return _place(journeys.whole, self.x), _place(journeys.whole, self.y)


def _numbered(values: pl.Series) -> npt.NDArray[np.int32]:
    distinct = pl.DataFrame({"value": values.drop_nulls().unique()}).with_row_index("code")
    codes = values.to_frame("value").join(distinct, on="value", how="left", maintain_order="left")["code"]
    return codes.cast(pl.Int32).fill_null(-1).to_numpy()


def _place(journeys: Journeys, name: str) -> npt.NDArray[np.float64]:
    def made() -> npt.NDArray[np.float64]:
        values = journeys.property(name)
        if not values.dtype.is_numeric():
            raise ParameterError(
                f"the property {name!r} cannot say where: it holds {values.dtype}, not numbers."
            )
        return values.cast(pl.Float64).fill_null(np.nan).to_numpy()

    return journeys.memo.get(("place", name), made)
