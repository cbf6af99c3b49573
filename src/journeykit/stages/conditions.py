"""What a rule asks of an event's properties: comparisons that can be saved, or any polars expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

import polars as pl

from journeykit.errors import ParameterError, StageModelError

Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "is_null", "contains"]
Scalar: TypeAlias = bool | int | float | str | date | datetime

_BUILD: dict[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "==": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "in": lambda column, value: column.is_in(list(value)),
    "is_null": lambda column, value: column.is_null() if value else column.is_not_null(),
    "contains": lambda column, value: column.str.contains(value, literal=True),
}
OPERATORS = tuple(_BUILD)
GRAMMAR = "column, op (one of " + ", ".join(OPERATORS) + ") and value"


@dataclass(frozen=True)
class Condition:
    """One comparison of one property with a value. DEFINITIONS D6.1.

    Parameters
    ----------
    column : str
        A kept property, or ``"event"``, ``"time"``, ``"user"``.
    op : str
        One of ``==, !=, <, <=, >, >=, in, is_null, contains``; ``contains`` looks for a piece of text.
    value : bool, int, float, str, date, datetime, or for ``in`` a sequence of them
        What to compare with; for ``is_null`` whether the property is to be null (default) or not.

    Raises
    ------
    StageModelError
        If the operator does not exist or the value does not fit it.

    Notes
    -----
    A null property matches only ``is_null`` (D0.3).

    Examples
    --------
    >>> print(Condition("value", ">", 100))
    value > 100
    """

    column: str
    op: Operator
    value: Scalar | Sequence[Scalar] = True

    def __post_init__(self) -> None:
        """Refuse what no event could be compared with, and make equal values compare equal."""
        if not _is_name(self.column):
            raise StageModelError([f"a condition's column must be a name, not {self.column!r}"])
        if self.op not in OPERATORS:
            raise StageModelError([str(ParameterError.choice("op", self.op, OPERATORS))])
        value = self.value
        if self.op == "in" and isinstance(value, Sequence) and not isinstance(value, str):
            value = tuple(_in_utc(each) for each in value)
        elif isinstance(value, datetime):
            value = _in_utc(value)
        object.__setattr__(self, "value", value)
        if problem := self._problem():
            raise StageModelError([problem])

    def _problem(self) -> str | None:
        shown = f"the value {self.value!r} of the condition on {self.column!r}"
        if self.op == "in":
            if not isinstance(self.value, tuple) or not self.value or not all(map(_is_scalar, self.value)):
                return f"{shown} does not fit 'in': give a list of values"
            if len({_kind(each) for each in self.value}) > 1:
                return f"{shown} mixes kinds: give values of one kind"
        elif self.op == "is_null" and not isinstance(self.value, bool):
            return f"{shown} does not fit 'is_null': give true or false"
        elif self.op == "contains" and not isinstance(self.value, str):
            return f"{shown} does not fit 'contains': give a text"
        elif not _is_scalar(self.value):
            return f"{shown} cannot be compared: give a text, number, boolean, date or datetime"
        try:
            if self.expression().meta.has_multiple_outputs():
                return f"the column {self.column!r} of a condition is a pattern for several: name one"
        except (pl.exceptions.PolarsError, OverflowError, TypeError, ValueError):
            return f"{shown} cannot be compared: it is out of range"
        return None

    def expression(self) -> pl.Expr:
        """Give the same comparison as a polars expression."""
        return _BUILD[self.op](pl.col(self.column), self.value)

    def __str__(self) -> str:
        """Write the comparison for people."""
        if self.op == "is_null":
            return f"{self.column} is null" if self.value else f"{self.column} is not null"
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return f"{self.column} {self.op} {value!r}"


@dataclass(frozen=True, eq=False, repr=False)
class Expression:
    """A polars expression that is not a list of conditions; it compares by its form and cannot be saved."""

    expression: pl.Expr

    def __eq__(self, other: object) -> bool:
        """Compare the form of the two expressions."""
        return isinstance(other, Expression) and self.expression.meta.eq(other.expression)

    def __hash__(self) -> int:
        """Hash the written form."""
        return hash(str(self))

    def __str__(self) -> str:
        """Write the expression as polars does, on one line."""
        return " ".join(str(self.expression).split())

    __repr__ = __str__


Where: TypeAlias = tuple[Condition, ...] | Expression


def as_where(given: object) -> Where:
    """Bring what was given as `where` into one form: conditions if it can be said with them.

    Raises
    ------
    StageModelError
        If it is no condition, or an expression that does not look at one event at a time.
    """
    if isinstance(given, Expression):
        return given
    if isinstance(given, Condition):
        return (given,)
    if isinstance(given, Sequence) and given and all(isinstance(each, Condition) for each in given):
        return tuple(given)
    if not isinstance(given, pl.Expr):
        raise StageModelError([f"where cannot be {given!r}: give a polars expression or conditions"])
    if problem := _expression_problem(given):
        raise StageModelError([problem])
    return _conditions(given) or Expression(given)


def predicate(where: Where) -> pl.Expr:
    """Give one boolean polars expression."""
    if isinstance(where, Expression):
        return where.expression
    expressions = [condition.expression() for condition in where]
    whole = expressions[0]
    for expression in expressions[1:]:
        whole = whole & expression
    return whole


def _expression_problem(expression: pl.Expr) -> str | None:
    shown = " ".join(str(expression).split())
    if expression.meta.has_multiple_outputs():
        return f"where={shown} gives several columns: name one column, and join with & and |"
    if not expression.meta.root_names():
        return f"where={shown} looks at no column of the log"
    if not looks_at_one_event(expression):
        return (
            f"where={shown} looks at other rows: a rule looks at one event at a time. "
            "Use nth=, after=, within= and min_gap= for what came before"
        )
    return None


def looks_at_one_event(expression: pl.Expr) -> bool:
    """Tell whether no part of an expression looks at other rows; Python functions in it are trusted.

    Examples
    --------
    >>> [looks_at_one_event(pl.col("value") > each) for each in (1, pl.col("value").mean())]
    [True, False]
    """
    return all(_one_row_at_a_time(node) for node in _nodes(expression))


def _nodes(expression: pl.Expr) -> Iterable[pl.Expr]:
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.meta.pop())


def _one_row_at_a_time(node: pl.Expr) -> bool:
    if node.meta.is_literal():
        return True
    try:
        return node.meta.is_row_separable()
    except pl.exceptions.PolarsError:  # polars cannot know it of a Python function: trust the caller
        return True


def _conditions(expression: pl.Expr) -> tuple[Condition, ...] | None:
    """Read conditions back from an expression, by building each possible one and comparing."""
    parts = expression.meta.pop()
    if len(parts) == 2 and any(expression.meta.eq(left & right) for left, right in (parts, parts[::-1])):
        right_side, left_side = (_conditions(part) for part in parts)
        return left_side + right_side if left_side and right_side else None
    column = next((part for part in parts if part.meta.is_column()), None)
    if column is None:
        return None
    literals = [part for part in parts if part.meta.is_literal()]
    values: list[Any] = [_literal(part) for part in literals] if literals else [True, False]
    for condition in _candidates(column.meta.output_name(), values):
        if expression.meta.eq(condition.expression()):
            return (condition,)
    return None


def _candidates(column: str, values: list[Any]) -> Iterable[Condition]:
    for value in values:
        for op in OPERATORS:
            try:
                yield Condition(column, op, value)  # type: ignore[arg-type]
            except StageModelError:
                continue


def _literal(part: pl.Expr) -> object:
    value = pl.select(part).item()
    return value.to_list() if isinstance(value, pl.Series) else value


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float | str | date) and value == value  # noqa: PLR0124  (NaN)


def _kind(value: object) -> type:
    kinds: tuple[type, ...] = (bool, int, float, str, datetime, date)
    return next(kind for kind in kinds if isinstance(value, kind))


def _in_utc(value: Scalar) -> Scalar:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value
