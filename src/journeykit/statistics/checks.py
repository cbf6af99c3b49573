"""What statistics refuse: when they are made, and before they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from journeykit.errors import ParameterError, UnknownNameError
from journeykit.support.unknown_names import MISSING, refuse_unknown

if TYPE_CHECKING:
    from journeykit.protocol import Context

CHOICES: dict[str, tuple[str, ...]] = {
    "of": ("event", "stage"),
    "unit": ("session", "user"),
    "missing": MISSING,
    "occurrence": ("first", "last"),
    "open_paths": ("end", "censor"),
    "episodes": ("first", "all"),
}
"""The parameters that several statistics share, and the values they can take."""

CALLER = 6
"""Who asked: above ``refuse_unknown``, ``check_names``, ``check``, the checking of all questions and ``measure``."""


def check_choices(statistic: Any, **own: Sequence[object]) -> None:
    """Refuse a parameter of `CHOICES`, or of a statistic's `own` ones, that has another value."""
    for parameter, allowed in {**CHOICES, **own}.items():
        value = getattr(statistic, parameter, allowed[0])
        if value not in allowed:
            raise ParameterError.choice(parameter, value, allowed)


def check_states(of: str, context: Context) -> None:
    """Refuse a question about stages to journeys that have none."""
    if of == "stage" and not context.stages:
        raise ParameterError('of="stage" needs stages. Call assign_stages(model) first.')


def check_names(of: str, names: Sequence[str], missing: str, context: Context) -> None:
    """Refuse names of events or stages that the journeys do not have, or warn of them. D0.9."""
    check_states(of, context)
    known = context.stages if of == "stage" else context.names.to_list()
    unknown = sorted(set(names) - set(known))
    if unknown:
        refuse_unknown(UnknownNameError(of, unknown, known), missing, stacklevel=CALLER)
