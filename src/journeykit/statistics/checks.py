"""What statistics refuse: when they are made, and before they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from journeykit.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from journeykit.protocol import Context

CHOICES: dict[str, tuple[str, ...]] = {
    "of": ("event", "stage"),
    "unit": ("session", "user"),
    "missing": ("raise", "ignore"),
    "occurrence": ("first", "last"),
    "open_paths": ("end", "censor"),
    "episodes": ("first", "all"),
}
"""The parameters that several statistics share, and the values they can take."""


def check_choices(statistic: Any) -> None:
    """Refuse a parameter of `CHOICES` that has another value."""
    for parameter, allowed in CHOICES.items():
        value = getattr(statistic, parameter, allowed[0])
        if value not in allowed:
            raise ParameterError.choice(parameter, value, allowed)


def check_states(of: str, context: Context) -> None:
    """Refuse a question about stages to journeys that have none."""
    if of == "stage" and not context.stages:
        raise ParameterError('of="stage" needs stages. Call assign_stages(model) first.')


def check_names(of: str, names: Sequence[str], missing: str, context: Context) -> None:
    """Refuse names of events or stages that the journeys do not have. D0.9."""
    check_states(of, context)
    known = context.stages if of == "stage" else context.names.to_list()
    unknown = sorted(set(names) - set(known))
    if unknown and missing == "raise":
        raise UnknownNameError(of, unknown, known)
