"""The models of attribution: their names, and how a kernel weighs touches by them. DEFINITIONS D11.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError
from journeykit.support.durations import Duration, microseconds

Model: TypeAlias = Literal[
    "first",
    "last",
    "last_non_direct",
    "linear",
    "linear_distinct",
    "position",
    "j",
    "inverse_j",
    "time_decay",
    "participation",
    "shapley",
    "shapley_ordered",
    "markov",
]
MODELS: tuple[Model, ...] = get_args(Model)
BY_CHAIN: Model = "markov"
BY_PLACE: Model = "shapley_ordered"
NOT_SHARED_OUT: Model = "participation"
TRANSFORMS = ("unique", "exposure", "first")
J, INVERSE_J = (0.2, 0.2, 0.6), (0.6, 0.2, 0.2)


def checked_models(models: Sequence[str]) -> tuple[str, ...]:
    """Return the models asked for, each once, or refuse a name that is none."""
    if isinstance(models, str):
        models = (models,)
    if not isinstance(models, Sequence) or not models:
        raise ParameterError(f"models cannot be {models!r}. Give a list of names, of {', '.join(MODELS)}.")
    for model in models:
        if model not in MODELS:
            raise ParameterError.choice("models", model, MODELS)
    return tuple(dict.fromkeys(models))


def checked_position(position: Sequence[float]) -> tuple[float, float, float]:
    """Return the weights of the first touch, those between and the last one, or refuse them."""
    numbers = tuple(position) if isinstance(position, Sequence) and not isinstance(position, str) else ()
    fine = len(numbers) == 3 and all(
        isinstance(each, float | int) and not isinstance(each, bool) and 0 <= each <= 1 for each in numbers
    )
    if not fine or abs(sum(numbers) - 1) > 1e-9 or numbers[0] + numbers[2] == 0:
        raise ParameterError(
            f"position must be three shares that sum to 1: of the first touch, of all between, and of the last one, "
            f"such as (0.4, 0.2, 0.4), not {position!r}. First and last cannot both be 0."
        )
    return numbers[0], numbers[1], numbers[2]


@dataclass(frozen=True, eq=False)
class Weighing:
    """The models whose credit is a sum of weights, as the kernels take them.

    Attributes
    ----------
    names : tuple of str
        In the order of the kernel's columns.
    kinds : numpy.ndarray of int64
        See `journeykit.kernels.outcomes.attribution`.
    numbers : numpy.ndarray of float64, models x 3
        The parameters of each.
    """

    names: tuple[str, ...]
    kinds: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, models: Sequence[str], position: Sequence[float], half_life: Duration, direct: int
    ) -> Weighing:
        """Look up the models that are not solved from a chain; `direct` is the number of the direct channel."""
        from journeykit.kernels.outcomes import attribution as kernels

        half = float(microseconds(half_life, "half_life"))
        known: dict[str, tuple[int, Sequence[float]]] = {
            "first": (kernels.FIRST, ()),
            "last": (kernels.LAST, ()),
            "last_non_direct": (kernels.LAST_NON, (direct,)),
            "linear": (kernels.LINEAR, ()),
            "linear_distinct": (kernels.DISTINCT, ()),
            "position": (kernels.POSITION, position),
            "j": (kernels.POSITION, J),
            "inverse_j": (kernels.POSITION, INVERSE_J),
            "time_decay": (kernels.DECAY, (half,)),
            "participation": (kernels.PARTICIPATION, ()),
            "shapley": (kernels.DISTINCT, ()),
            "shapley_ordered": (kernels.DISTINCT, ()),
        }
        names = additive(models)
        numbers = np.zeros((len(names), 3))
        for row, name in enumerate(names):
            own = known[name][1]
            numbers[row, : len(own)] = own
        return cls(names, np.array([known[name][0] for name in names], np.int64), numbers)


def additive(models: Sequence[str]) -> tuple[str, ...]:
    """Return the models whose credit adds up path by path."""
    return tuple(model for model in models if model != BY_CHAIN)
