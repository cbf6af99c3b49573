"""Solving x = b + Q x for moves between states: factorised where that is cheap, else iterated to the same digits.

A factorisation of moves between thousands of states, of which each leads to many, is about dense: it takes states^3.
An iteration takes a pass over the moves, and few are needed, as most walks end soon. Where they do not, or the moves
form long chains, the iteration does not get there, and the moves are factorised after all.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
FEW_STATES = 400
"""Up to so many states are factorised at once: it takes milliseconds."""
MOST_STEPS, MOST_STARTS = 60, 6
"""Steps of an iteration, and how often it may begin again with what is left to be solved."""
CLOSE = 1e-15
"""What may be left, relative to the largest numbers of the system: a few times the precision of numbers."""
COLUMNS = 1 << 22
"""Numbers of the right-hand sides that are iterated together."""


class LinearSystem:
    """The system (I - Q) x = b of the moves Q between states.

    Parameters
    ----------
    rows, columns : numpy.ndarray of int64
        Source and target of every move; what is said twice adds up.
    values : numpy.ndarray of float64
        Their probabilities: not negative, those of a row sum to at most 1.
    size : int
        How many states, at least one. From each of them some walk ends.
    """

    def __init__(self, rows: Int64s, columns: Int64s, values: Floats, size: int) -> None:
        from scipy.sparse import csr_array, eye_array

        self.size = size
        self._matrix = eye_array(size, format="csr") - csr_array(
            (values, (rows, columns)), shape=(size, size)
        )
        self._iterated = size > FEW_STATES

    def solve(self, right: Floats, *, transposed: bool = False) -> Floats:
        """Return x of (I - Q) x = b, or of its transpose.

        Parameters
        ----------
        right : numpy.ndarray of float64, states or states x columns
            The b; finite.
        transposed : bool
            Whether to solve (I - Q)' x = b.

        Returns
        -------
        numpy.ndarray of float64
            In the same shape. Zeros that follow from which moves there are, are zeros.
        """
        if self._iterated:
            found = self._iterate(right, transposed)
            if found is not None:
                return found
            self._iterated = False
        factors = self._factors
        return np.asarray(factors.solve(np.ascontiguousarray(right), "T" if transposed else "N"))

    @cached_property
    def _factors(self) -> Any:
        from scipy.sparse.linalg import splu

        return splu(self._matrix.tocsc())

    @cached_property
    def _transpose(self) -> Any:
        return self._matrix.T.tocsr()

    def _iterate(self, right: Floats, transposed: bool) -> Floats | None:
        matrix = self._transpose if transposed else self._matrix
        b = right if right.ndim == 2 else right[:, None]
        width = max(1, COLUMNS // self.size)
        found = np.empty_like(b)
        for first in range(0, b.shape[1], width):
            part = iterated(matrix, b[:, first : first + width])
            if part is None:
                return None
            found[:, first : first + width] = part
        return found.reshape(right.shape)


def iterated(matrix: Any, right: Floats) -> Floats | None:
    """Solve by BiCGSTAB, each time anew for what is left, until next to nothing is.

    Parameters
    ----------
    matrix : sparse array, states x states
        Of the system.
    right : numpy.ndarray of float64, states x columns
        One system per column.

    Returns
    -------
    numpy.ndarray of float64 or None
        None if some column does not get there.

    References
    ----------
    van der Vorst 1992, SIAM Journal on Scientific and Statistical Computing 13(2).
    """
    found, left = np.zeros_like(right), right
    size = scale = _largest(right)
    for _ in range(MOST_STARTS):
        found = found + _bicgstab(matrix, left, CLOSE / 2 * scale)
        left = right - matrix @ found
        scale = size + 2 * _largest(found)
        if (_largest(left) <= CLOSE * scale).all():
            return found
        if not np.isfinite(found).all():
            return None
    return None


def _largest(each: Floats) -> Floats:
    return np.asarray(np.abs(each).max(axis=0, initial=0.0))


def _bicgstab(matrix: Any, right: Floats, enough: Floats) -> Floats:
    """Return about the solution, from zero on, until so much is left; a column that cannot be divided stands still."""
    found, left, shadow = np.zeros_like(right), right.copy(), right
    rho = alpha = omega = np.ones(right.shape[1])
    direction = moved = np.zeros_like(right)
    for _ in range(MOST_STEPS):
        before, rho = rho, _dots(shadow, left)
        direction = left + _ratio(rho * alpha, before * omega) * (direction - omega * moved)
        moved = matrix @ direction
        alpha = _ratio(rho, _dots(shadow, moved))
        half = left - alpha * moved
        turned = matrix @ half
        omega = _ratio(_dots(turned, half), _dots(turned, turned))
        found += alpha * direction + omega * half
        left = half - omega * turned
        if (_largest(left) <= enough).all():
            break
    return found


def _dots(one: Floats, other: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->j", one, other))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)
