"""Which column plays which part: the user, the time, the event, and what comes with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import polars as pl

from journeykit.errors import ColumnClashError, ColumnTypeError, MissingColumnError, ParameterError
from journeykit.sources.collecting import collect

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns"]
REQUIRED = ("user", "time", "event")
OPTIONAL = ("session", "order", "value")
ROLES = (*REQUIRED, *OPTIONAL)
LARGEST_EXACT_FLOAT = 2**53


@dataclass(frozen=True)
class Roles:
    """The columns of a log by the part they play. DEFINITIONS D1.1, D1.2.

    Parameters
    ----------
    user, time, event : str
        Columns with who, when and what. One column may play two roles.
    session : str, optional
        Column with the log's own session.
    order : str, optional
        Column that orders events of one user and time; null sorts last (D1.3).
    value : str, optional
        Column of numbers, such as revenue.
    keep : sequence of str
        Properties to keep, under their own names, which must not be those of roles.
    tz : str, optional
        Time zone of times without one (default UTC), such as ``"Europe/Berlin"``.
    unit : {"s", "ms", "us", "ns"}, optional
        Unit of times that are numbers. It is never guessed.
    time_format : str, optional
        Format of times that are texts, such as ``"%d.%m.%Y %H:%M"``; otherwise detected once.

    Raises
    ------
    ColumnClashError
        If a property has the name of a role.
    ParameterError
        For an unknown unit or time zone.
    """

    user: str
    time: str
    event: str
    session: str | None = None
    order: str | None = None
    value: str | None = None
    keep: Sequence[str] = ()
    tz: str | None = None
    unit: TimeUnit | None = None
    time_format: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.keep, str):
            raise ParameterError(f"keep must be a list of columns, not a text. Pass keep=[{self.keep!r}].")
        object.__setattr__(self, "keep", tuple(dict.fromkeys(self.keep)))
        for name in self.keep:
            if name in ROLES:
                raise ColumnClashError(name)
        if self.unit is not None and self.unit not in get_args(TimeUnit):
            raise ParameterError.choice("unit", self.unit, get_args(TimeUnit))
        if self.tz is not None:
            check_zone(self.tz)

    @property
    def named(self) -> dict[str, str]:
        """The column of every role in use, in canonical order."""
        given = ((role, getattr(self, role)) for role in ROLES)
        return {role: column for role, column in given if column is not None}

    @property
    def columns(self) -> list[str]:
        """Every column to be read, each once."""
        return list(dict.fromkeys([*self.named.values(), *self.keep]))

    def check_columns(self, schema: Collection[str]) -> None:
        """Raise MissingColumnError for the first column that is not there."""
        for role, column in [*self.named.items(), *(("keep", name) for name in self.keep)]:
            if column not in schema:
                raise MissingColumnError(role, column, list(schema))


def check_zone(tz: str, parameter: str = "tz") -> None:
    """Refuse a name that is no time zone.

    Parameters
    ----------
    tz : str
        A name of the IANA database, such as ``"Europe/Berlin"``.
    parameter : str
        The name for the message.

    Raises
    ------
    ParameterError
        With the closest names.
    """
    from zoneinfo import available_timezones

    from journeykit.errors import suggestion

    try:
        pl.Series([0], dtype=pl.Datetime("us")).dt.replace_time_zone(tz)
    except (pl.exceptions.PolarsError, TypeError) as error:
        known = suggestion(str(tz), available_timezones())
        raise ParameterError(f"{parameter}={tz!r} is not a time zone. {known}") from error


def identifier(plan: pl.LazyFrame, role: str, column: str, dtype: pl.DataType) -> pl.Expr:
    """Read a column as ids: texts stay as they are, whole numbers become Int64. NaN is null (D1.4)."""
    values = pl.col(column)
    if dtype in (pl.String, pl.Int64):
        return values
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null):
        return values.cast(pl.String)
    if dtype in (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32):
        return values.cast(pl.Int64)
    if dtype.is_numeric():
        return _whole(plan, role, column, dtype)
    raise wrong_type(role, column, dtype, "texts or whole numbers")


def _whole(plan: pl.LazyFrame, role: str, column: str, dtype: pl.DataType) -> pl.Expr:
    """Turn numbers into Int64 after a look at all of them: a fraction or an overflow would merge ids."""
    values = pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)
    numbers = values.cast(pl.Int64, strict=False)
    wrong = numbers.is_null() | (numbers.cast(dtype, strict=False) != values)
    if dtype.is_float():
        wrong |= values.abs() > LARGEST_EXACT_FLOAT
    bad = plan.select(values.filter(values.is_not_null() & wrong).head(1))
    found = collect(bad, f"checking column {column!r}")
    if found.height:
        kind = f"the number {found.item()} ({dtype}) among others"
        raise ColumnTypeError(role, column, kind, "texts or whole numbers", "Cast it to text first.")
    return numbers


def event_name(column: str, dtype: pl.DataType) -> pl.Expr:
    """Read a column as event names, dictionary-encoded if they come so; whole numbers become their decimal text."""
    values = pl.col(column)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return values
    if dtype == pl.String or dtype.is_integer() or dtype == pl.Null:
        return values.cast(pl.String)
    raise wrong_type("event", column, dtype, "texts or whole numbers")


def tie_break(column: str, dtype: pl.DataType) -> pl.Expr:
    """Read a column that orders events; NaN is null, and null sorts last (D1.3)."""
    values = pl.col(column)
    if dtype.is_float():
        return values.fill_nan(None)
    if isinstance(dtype, pl.Categorical):
        return values.cast(pl.String)
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Boolean):
        raise wrong_type("order", column, dtype, "something that can be ordered")
    return values


def amount(column: str, dtype: pl.DataType) -> pl.Expr:
    """Read a column of numbers; decimals become Float64, NaN is null."""
    values = pl.col(column)
    if dtype.is_decimal() or dtype == pl.Null:
        return values.cast(pl.Float64)
    if dtype.is_float():
        return values.cast(pl.Float64).fill_nan(None)
    if dtype.is_integer():
        return values
    raise wrong_type("value", column, dtype, "numbers")


def wrong_type(role: str, column: str, dtype: pl.DataType, wanted: str) -> ColumnTypeError:
    """Say that a column's type cannot play its role."""
    advice = f"Cast it first, or pass {role}=<another column>."
    return ColumnTypeError(role, column, str(dtype), wanted, advice)
