"""Names of tables and columns: given as they are, quoted in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from journeykit.errors import ParameterError

TableName: TypeAlias = str | Sequence[str]
LONGEST_POSTGRESQL = 63


class Table(NamedTuple):
    """The name of a table.

    Attributes
    ----------
    schema : str or None
        None: that of the connection.
    name : str
        Any text: it is quoted where it is used, so that nothing in it is SQL.
    """

    schema: str | None
    name: str

    @classmethod
    def of(cls, given: object) -> Table:
        """Read a name, or a pair of schema and name.

        Raises
        ------
        ParameterError
            If it is neither, or if a name is empty or has a NUL character.
        """
        parts = (None, given) if isinstance(given, str) else given
        if not isinstance(parts, tuple | list) or len(parts) != 2 or not isinstance(parts[1], str):
            raise ParameterError(f"table must be a name or (schema, name), not {given!r}.")
        schema, name = parts
        if not (schema is None or isinstance(schema, str)):
            raise ParameterError(f"table must be a name or (schema, name), not {given!r}.")
        for each in (name,) if schema is None else (schema, name):
            check_name(each, "table")
        return cls(schema, name)

    def __str__(self) -> str:
        return repr(self.name) if self.schema is None else f"{self.schema!r}.{self.name!r}"

    @property
    def sql(self) -> str:
        """The name in SQL."""
        return ".".join(quoted(each) for each in self if each is not None)


def check_name(name: str, what: str) -> None:
    """Refuse what no database takes as a name."""
    if not name or "\0" in name:
        raise ParameterError(f"{what} cannot be {name!r}: a name has a character, and no NUL among them.")


def check_lengths(names: Iterable[str]) -> None:
    """Refuse names that PostgreSQL would cut."""
    for name in names:
        if len(name.encode()) > LONGEST_POSTGRESQL:
            raise ParameterError(
                f"the name {name!r} has {len(name.encode())} bytes, and PostgreSQL keeps {LONGEST_POSTGRESQL} of "
                f"a name. Shorten it."
            )


def quoted(name: str) -> str:
    """Quote a name for SQL.

    Examples
    --------
    >>> quoted('a" ; drop table b --')
    '"a"" ; drop table b --"'
    """
    return '"' + name.replace('"', '""') + '"'
