"""The addresses of databases, and how to speak of them without their secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from journeykit.errors import ParameterError

Kind: TypeAlias = Literal["duckdb", "postgresql", "sqlite"]
SCHEMES: dict[str, Kind] = {
    "duckdb": "duckdb",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
}
FILES: dict[str, Kind] = {".duckdb": "duckdb", ".ddb": "duckdb", ".sqlite": "sqlite", ".sqlite3": "sqlite"}
NAMES: dict[Kind, str] = {"duckdb": "DuckDB", "postgresql": "PostgreSQL", "sqlite": "SQLite"}
HIDDEN = "***"
_SECRET_NAME = re.compile(r"password|passwd|pwd|secret|token|key", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(\b[\w+.-]+://[^\s:/@]*:)[^\s@]+@")
_ASSIGNED = re.compile(
    r"\b(\w*(?:password|passwd|pwd|secret|token)\w*\s*[=:]\s*)('[^']*'|[^\s,;&]+)", re.IGNORECASE
)
_BROKEN_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Address:
    """Where a database is.

    Attributes
    ----------
    kind : {"duckdb", "postgresql", "sqlite"}
        Of database.
    shown : str
        For messages: kind and place, without user, password and options.
    place : str
        What the driver connects to; it may hold a password, and is in no repr.
    secrets : tuple of str
        What must not be printed.
    """

    kind: Kind
    shown: str
    place: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def address_of(target: object) -> Address | None:
    """Read an address; None if the target is no address of a database.

    Parameters
    ----------
    target : object
        ``"postgresql://user@host/database"``, ``"sqlite:///file"``, ``"duckdb:///file"`` (four slashes before an
        absolute path), or a path that ends in ``.duckdb``, ``.ddb``, ``.sqlite`` or ``.sqlite3``.

    Raises
    ------
    ParameterError
        If it has the form of an address but is none of these; the message has no part of a password.

    Examples
    --------
    >>> address_of("postgresql://ada:secret@db.example/shop")
    Address(kind='postgresql', shown="the PostgreSQL database 'shop' at db.example")
    """
    if not isinstance(target, str | os.PathLike):
        return None
    text = os.fspath(target)
    scheme, separator, _ = text.partition("://")
    if not separator:
        kind = FILES.get(Path(text).suffix.lower())
        return None if kind is None else _file(kind, text)
    known = SCHEMES.get(scheme.lower())
    if known is None:
        return None
    return _server(text) if known == "postgresql" else _file(known, _path(scheme, text))


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """Hide secrets in a text: those that are known, and what stands where passwords do.

    Examples
    --------
    >>> scrubbed("cannot connect to postgresql://ada:secret@db.example, password=secret")
    'cannot connect to postgresql://ada:***@db.example, password=***'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text))


def _file(kind: Kind, path: str) -> Address:
    return Address(kind, f"the {NAMES[kind]} database {path!r}", str(Path(path).expanduser()))


def _path(scheme: str, text: str) -> str:
    path = text.partition("://")[2]
    if not path.startswith("/") or len(path) == 1 or "?" in path:
        raise ParameterError(
            f"an address {scheme}:// names a file and nothing else. "
            f"Write {scheme}:///folder/file, or {scheme}:////folder/file for an absolute path."
        )
    return unquote(path[1:])


def _server(text: str) -> Address:
    parts = _split(text)
    options = parse_qsl(parts.query, keep_blank_values=True)
    secrets = [parts.password, *(value for name, value in options if _SECRET_NAME.search(name))]
    told = {each for secret in secrets if secret for each in (secret, unquote(secret))}
    name = unquote(parts.path.removeprefix("/"))
    host = dict(options).get("host") or unquote(parts.netloc.rpartition("@")[2]) or "this machine"
    shown = f"the PostgreSQL database {name!r} at {host}" if name else f"the PostgreSQL server at {host}"
    return Address("postgresql", shown, text, tuple(sorted(told)))


def _split(text: str) -> SplitResult:
    """Take an address apart; one that the driver would take apart elsewhere may put the password in its message."""
    rest = text.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user = authority.rpartition("@")[0]
    broken = rest.count("@") > 1 or ("@" in rest and not user) or user.count(":") > 1
    if broken or _BROKEN_PERCENT.search(rest) or re.search(r"[\s#]", rest):
        raise ParameterError(
            "the address of the PostgreSQL database cannot be taken apart. In user, password and options write "
            "special characters such as @ : / ? # % as percent codes: urllib.parse.quote(password, safe='')."
        )
    try:
        return urlsplit(text)
    except ValueError as error:
        raise ParameterError(
            "the address of the PostgreSQL database cannot be taken apart: its host is no host. "
            "Write postgresql://user:password@host:port/database."
        ) from error
