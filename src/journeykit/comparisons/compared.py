"""What is compared: journeys, or what gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys

if TYPE_CHECKING:
    from journeykit.growing import Store
    from journeykit.plans import JourneysPlan

Compared: TypeAlias = "Journeys | JourneysPlan | Store"


def in_memory(given: Any) -> Journeys:
    """Return journeys in memory: those given, those of a plan, which runs, or those of a store."""
    from journeykit.growing import Store
    from journeykit.plans import JourneysPlan

    if isinstance(given, Journeys):
        return given
    if isinstance(given, JourneysPlan):
        return given.collect()
    if isinstance(given, Store):
        return given.journeys()
    raise ParameterError(
        f"journeys, a plan of them or a store can be compared, and not {type(given).__name__}. Call sessionize() "
        f"on events first."
    )
