"""Numbers behind which too few users stand are withheld, and those that would give them away. DEFINITIONS D16.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]
Cell = tuple[str, int]
Line = Sequence[Cell]

DEFAULT_K = 5
"""What is shared withholds cells of fewer users than this, unless asked otherwise."""


@dataclass(frozen=True)
class Sensitive:
    """What the columns of a frame tell, and about how many users.

    Attributes
    ----------
    counts : mapping of str to str
        Column of an amount -> column with the distinct users behind it; a column of users stands for itself.
    rates : mapping of str to (str, str)
        Column of a rate -> the columns in `counts` that are its numerator and its denominator.
    values : mapping of str to str
        Column of a median, a time or a score -> column with the users behind it.
    sums : sequence of (str, sequence of str)
        A column in `counts` and the columns in `counts` that add up to it, row by row.
    down : sequence of str
        Columns in `counts` whose rows add up to a total that is known.
    lines : sequence of sequences of (str, int)
        Further cells, by column and row, of which any one follows from the others.
    """

    counts: Mapping[str, str]
    rates: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    sums: Sequence[tuple[str, Sequence[str]]] = ()
    down: Sequence[str] = ()
    lines: Sequence[Line] = ()


@dataclass(frozen=True)
class Suppressed:
    """A frame that may be shared.

    Attributes
    ----------
    frame : polars.DataFrame
        The frame, null where a number is withheld, with a last column ``suppressed``: whether any of the row is.
    withheld : polars.DataFrame
        Of the same columns and rows as the frame that was given: which cells are withheld.
    """

    frame: pl.DataFrame
    withheld: pl.DataFrame

    @property
    def cells(self) -> int:
        """How many cells are withheld."""
        return int(sum(self.withheld.sum().row(0)))


def check_k(k: object) -> int:
    """Return the fewest users that a number may be about; 0 for no suppression.

    Raises
    ------
    ParameterError
        If it is neither 0 nor an integer above 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 0 or k == 1:
        raise ParameterError(
            f"suppress must be 0 (nothing is withheld) or a number of users above 1, such as {DEFAULT_K}, not {k!r}."
        )
    return k


def check_users(users: int, k: int) -> None:
    """Refuse to share numbers of a log of which all would be withheld.

    Raises
    ------
    ParameterError
        If it has fewer users than a number may be about.
    """
    if users < k:
        raise ParameterError(
            f"these journeys are of {users:,} users, and suppress={k} withholds numbers of fewer than {k}: "
            f"nothing is left to report. Take more users, or pass suppress=0 if nobody else will see it."
        )


def suppress(frame: pl.DataFrame, sensitive: Sensitive, k: int = DEFAULT_K) -> Suppressed:
    """Withhold what is about 1 to k - 1 users, and what would let it be computed.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per thing. Null is not withheld: nothing is known there.
    sensitive : Sensitive
        What its columns tell.
    k : int
        Fewest users that a number may be about; 0 withholds nothing.

    Returns
    -------
    Suppressed
        The frame and what is withheld of it.

    Raises
    ------
    ParameterError
        If `k` is neither 0 nor above 1.

    Notes
    -----
    A count is withheld if 1 to k - 1 users are behind it; zero is shown. A rate is withheld if its denominator has
    fewer than k users, if its numerator or what is left of the denominator is withheld, and with it its interval
    (``<rate>_low``, ``<rate>_high``); a median or time if fewer than k users are behind it. Of sessions and moves, what
    is left of a denominator counts by its amount: how many users it has is not in the frame. Where exactly one cell of
    a sum is withheld, so is the next smallest that is not zero: no withheld cell is one subtraction or division away
    from what is shown. Several sums solved together may still bound it. D16.1. O(cells) per round, at most one round
    per cell.

    Examples
    --------
    >>> carts = pl.DataFrame({"device": ["tv", "phone"], "reached": [9, 90], "bought": [7, 40], "left": [2, 50]})
    >>> users = {name: name for name in ("reached", "bought", "left")}
    >>> suppress(carts, Sensitive(users, sums=[("reached", ("bought", "left"))])).frame.rows()
    [('tv', 9, None, None, True), ('phone', 90, 40, 50, False)]
    """
    check_k(k)
    hidden = {name: np.zeros(frame.height, np.bool_) for name in frame.columns}
    if k:
        _counts(frame, sensitive, k, hidden)
        for name, (numerator, denominator) in sensitive.rates.items():
            users = _numbers(frame, sensitive.counts[denominator])
            mask = hidden[numerator] | hidden[denominator] | (users < k)
            _hide(hidden, name, mask)
        for name, behind in sensitive.values.items():
            _hide(hidden, name, _numbers(frame, behind) < k)
    withheld = pl.DataFrame({
        name: pl.Series(mask, dtype=pl.Boolean) & frame[name].is_not_null() for name, mask in hidden.items()
    })  # fmt: skip
    shown = frame.with_columns(
        frame[name].set(withheld[name], None) for name in frame.columns if withheld[name].any()
    )
    any_ = pl.any_horizontal(pl.all()) if frame.width else pl.lit(value=False)
    return Suppressed(shown.with_columns(withheld.select(any_.alias("suppressed")).to_series()), withheld)


def protect(values: Mapping[Cell, int], withheld: Iterable[Cell], lines: Sequence[Line]) -> set[Cell]:
    """Withhold further cells until no line has exactly one that is withheld. D16.1.

    Parameters
    ----------
    values : mapping of cell to int
        The amounts.
    withheld : iterable of cell
        Those withheld for themselves.
    lines : sequence of sequences of cells
        Cells of which any one follows from the others, such as a total and its parts.

    Returns
    -------
    set of cell
        All that are withheld. Where a line has exactly one, the smallest other cell that is not zero joins it; of
        equals the first. A line in which all others are zero stays as it is.
    """
    hidden = set(withheld)
    waiting = list(range(len(lines)))
    of_cell: dict[Cell, list[int]] = {}
    for number, line in enumerate(lines):
        for cell in line:
            of_cell.setdefault(cell, []).append(number)
    while waiting:
        line = lines[waiting.pop()]
        if sum(cell in hidden for cell in line) != 1:
            continue
        others = [cell for cell in line if cell not in hidden and values[cell]]
        if others:
            partner = min(others, key=lambda cell: (values[cell], line.index(cell)))
            hidden.add(partner)
            waiting += of_cell[partner]
    return hidden


def lines_of(column: str, frame: pl.DataFrame, keys: Sequence[str]) -> list[Line]:
    """Return the lines of an amount whose sum over the rows of every key is known."""
    numbered = frame.select(keys).with_row_index("at").group_by(keys, maintain_order=True).agg("at")
    return [[(column, row) for row in rows] for rows in numbered["at"].to_list()]


def _counts(frame: pl.DataFrame, sensitive: Sensitive, k: int, hidden: dict[str, Bools]) -> None:
    """Mark the counts that are withheld, from lines over rows, sums and rates."""
    values: dict[Cell, int] = {}
    first: list[Cell] = []
    for name, behind in sensitive.counts.items():
        users, amounts = _numbers(frame, behind), _numbers(frame, name)
        values |= {(name, row): amount for row, amount in enumerate(amounts.tolist())}
        first += [(name, row) for row in np.flatnonzero((users > 0) & (users < k)).tolist()]
    lines = [*sensitive.lines, *([(name, row) for row in range(frame.height)] for name in sensitive.down)]
    for total, parts in sensitive.sums:
        lines += [[(name, row) for name in (total, *parts)] for row in range(frame.height)]
    for numerator, denominator in dict.fromkeys(sensitive.rates.values()):
        rest = _numbers(frame, denominator) - _numbers(frame, numerator)
        # Who is in the denominator alone has no column, but is one subtraction away.
        alone = f"{denominator} without {numerator}"
        values |= {(alone, row): max(0, amount) for row, amount in enumerate(rest.tolist())}
        lines += [[(numerator, row), (alone, row), (denominator, row)] for row in range(frame.height)]
        first += [(alone, row) for row in np.flatnonzero((rest > 0) & (rest < k)).tolist()]
    for name, row in protect(values, first, lines):
        if name in hidden:
            hidden[name][row] = True


def _numbers(frame: pl.DataFrame, name: str) -> Int64s:
    return frame[name].cast(pl.Int64).fill_null(0).to_numpy()


def _hide(hidden: dict[str, Bools], name: str, mask: Bools) -> None:
    """Mark a number and its interval."""
    for each in (name, f"{name}_low", f"{name}_high"):
        if each in hidden:
            hidden[each] |= mask
