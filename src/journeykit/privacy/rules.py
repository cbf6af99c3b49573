"""What is done to the columns of a log before anybody works with it: dropped, made coarser, cut, scrubbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import polars as pl

from journeykit.errors import ParameterError, suggestion

EMAIL = r"[\p{L}\p{N}._%+\-']+(?:@|%40)[\p{L}\p{N}\-]+(?:\.[\p{L}\p{N}\-]+)+"
PHONE = r"(?:\+|\b00|\(|\b0)\d(?:[ ./()\-]{0,2}\d){6,14}\b|\b\d{3}[ .\-]\d{3}[ .\-]\d{4}\b"
USER_IN_URL = r"^([A-Za-z][A-Za-z0-9+.\-]*:)?//[^/?#]*@"
AFTER_PATH = r"(?s)[?#].*"
OF_TEXTS = ("ips", "urls", "scrub", "prefixes")


@dataclass(frozen=True, repr=False)
class PrivacyRules:
    """What happens to the columns of a log. Applied by ``Events.protect``, in the order of the parameters.

    Parameters
    ----------
    drop : sequence of str
        Properties that are left out.
    pseudonymize : sequence of str
        Properties that become pseudonyms, as `pseudonyms` makes them; ``protect`` then needs a key.
    ips : sequence of str
        IP addresses: the last number of IPv4 becomes 0 (a /24), all after the first three groups of IPv6 (a /48); IPv4
        addresses inside of IPv6 count as such; what is no address becomes null.
    urls : sequence of str
        URLs: cut at the first ``?`` or ``#``, and without a user name and password before the host.
    scrub : sequence of str
        Free text: e-mail addresses become ``<email>``, phone numbers ``<phone>``.
    prefixes : mapping of str to int
        Texts cut to their first characters, such as postal codes.
    bins : mapping of str to float
        Numbers floored to multiples, such as an age to tens.

    Raises
    ------
    ParameterError
        If a parameter has a value that it cannot take.

    Notes
    -----
    ``event`` may stand in `urls`, `scrub` and `prefixes`: names are changed once per distinct name. Null stays null.
    Scrubbing finds what looks like an address or a number: names and other details that stand in a text stay there.
    All expressions are linear in the length of the text.

    Examples
    --------
    >>> PrivacyRules(scrub=["comment"], bins={"age": 10})
    PrivacyRules(scrub=('comment',), bins={'age': 10})
    """

    drop: Sequence[str] = ()
    pseudonymize: Sequence[str] = ()
    ips: Sequence[str] = ()
    urls: Sequence[str] = ()
    scrub: Sequence[str] = ()
    prefixes: Mapping[str, int] = field(default_factory=dict)
    bins: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("drop", "pseudonymize", "ips", "urls", "scrub"):
            given = getattr(self, name)
            if isinstance(given, str) or not all(isinstance(each, str) for each in given):
                raise ParameterError(f"{name} must be a list of columns, not {given!r}.")
            object.__setattr__(self, name, tuple(given))
        for name, kinds, what in (("prefixes", int, "whole"), ("bins", int | float, "")):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise ParameterError(f"{name} must give each column a number, not {given!r}.")
            for column, value in given.items():
                if not isinstance(value, kinds) or isinstance(value, bool) or not 0 < value < float("inf"):
                    number = f"a {what} number".replace("  ", " ")
                    raise ParameterError(f"{name} needs {number} above zero for {column!r}, not {value!r}.")
            object.__setattr__(self, name, dict(given))

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        """Show the parameters that are set."""
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        return f"PrivacyRules({', '.join(f'{name}={value!r}' for name, value in given if value)})"

    @property
    def columns(self) -> list[str]:
        """Every column that a rule names, each once."""
        return list(dict.fromkeys(name for each in fields(self) for name in getattr(self, each.name)))

    def check(self, columns: Sequence[str]) -> None:
        """Refuse names that a log does not have, or that a rule cannot be for."""
        known = [*columns, "event"]
        for name in self.columns:
            if name not in known:
                raise ParameterError(f"a rule names the column {name!r}. {suggestion(name, known)}")
        for rule in ("drop", "pseudonymize", "ips", "bins"):
            if "event" in getattr(self, rule):
                raise ParameterError(f"{rule} cannot be about 'event': only urls, scrub and prefixes can.")

    def applied(self, column: pl.Series) -> pl.Series:
        """Return one column as the rules leave it; `drop` and `pseudonymize` are not done here.

        Raises
        ------
        ParameterError
            If a rule does not fit the type of the column.
        """
        name = column.name
        wanted = [rule for rule in OF_TEXTS if name in getattr(self, rule)]
        if wanted:
            return self._texts(column, wanted)
        if name not in self.bins:
            return column
        if not column.dtype.is_numeric():
            raise ParameterError(f"bins need numbers, and {name!r} holds {column.dtype}.")
        width = self.bins[name]
        return column.to_frame().select((pl.col(name) / width).floor() * width).to_series()

    def _texts(self, column: pl.Series, rules: Sequence[str]) -> pl.Series:
        dtype = column.dtype
        if not (dtype in (pl.String, pl.Categorical, pl.Null) or isinstance(dtype, pl.Enum)):
            raise ParameterError(f"{rules[0]} need texts, and {column.name!r} holds {dtype}.")
        texts = column.cast(pl.String)
        distinct = texts.drop_nulls().unique()
        made = distinct
        for rule in rules:
            made = getattr(self, f"_{rule}")(made, column.name)
        return texts.replace_strict(distinct, made, default=None, return_dtype=pl.String)

    def _ips(self, texts: pl.Series, name: str) -> pl.Series:
        return pl.Series(name, [_network(each) for each in texts], dtype=pl.String)

    def _urls(self, texts: pl.Series, name: str) -> pl.Series:
        return texts.str.replace(USER_IN_URL, "$1//").str.replace(AFTER_PATH, "")

    def _scrub(self, texts: pl.Series, name: str) -> pl.Series:
        return texts.str.replace_all(EMAIL, "<email>").str.replace_all(PHONE, "<phone>")

    def _prefixes(self, texts: pl.Series, name: str) -> pl.Series:
        return texts.str.head(self.prefixes[name])


def _network(text: str) -> str | None:
    """Return the first address of the network of an address; None if it is none."""
    from ipaddress import IPv4Address, ip_address, ip_network

    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if not isinstance(address, IPv4Address):
        # Of an address of 6to4 the first three groups hold the IPv4 address whole.
        address = address.ipv4_mapped or address.sixtofour or address
    bits = 24 if isinstance(address, IPv4Address) else 48
    return str(ip_network((address, bits), strict=False).network_address)
