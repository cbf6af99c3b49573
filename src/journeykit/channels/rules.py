"""Channel groups as a value: which source, medium and campaign make which channel; the first rule that fits decides."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import Any

import polars as pl

from journeykit.channels.sites import lowered, site_pattern
from journeykit.errors import ParameterError, suggestion
from journeykit.support.files import replacing

FIELDS = ("source", "medium", "campaign", "referrer", "url")
OPERATORS = ("is", "in", "listed", "matches", "contains", "starts", "ends", "missing")
Condition = Mapping[str, Any]


@dataclass(frozen=True)
class ChannelRule:
    """One channel, and the touches that belong to it.

    Parameters
    ----------
    name : str
        The channel.
    when : mapping, or sequence of mapping
        Alternatives, of which one has to fit; of an alternative everything. A key is a field, ``source``, ``medium``,
        ``campaign``, ``referrer`` or ``url``, and an operator: ``medium_is`` (a text, or several), ``source_in`` (the
        name of a list of sites, whose hosts fit too), ``source_listed`` (the name of a list, of which it is one as
        written), ``medium_matches`` (a regular expression for all of it), ``_contains``, ``_starts``, ``_ends`` (a
        text, or several), ``_missing`` (true or false).

    Raises
    ------
    ParameterError
        If there is no such field or operator, or a value does not go with it.

    Examples
    --------
    >>> ChannelRule("Email", [{"source_is": "newsletter"}, {"medium_contains": "mail"}]).when[0]
    {'source_is': 'newsletter'}
    """

    name: str
    when: Condition | Sequence[Condition]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ParameterError(f"a channel cannot be called {self.name!r}. Give it a name.")
        when = self.alternatives if isinstance(self.when, Mapping | Sequence) else ()
        if not when or not all(isinstance(each, Mapping) and each for each in when):
            raise ParameterError(
                f"the channel {self.name!r} has no conditions. Give mappings such as {{'medium_is': 'email'}}."
            )
        object.__setattr__(
            self, "when", tuple({key: _plain(value) for key, value in each.items()} for each in when)
        )
        for alternative in self.alternatives:
            for key, value in alternative.items():
                _check(self.name, key, value)

    @property
    def alternatives(self) -> tuple[Condition, ...]:
        """The conditions, of which one has to fit."""
        return (self.when,) if isinstance(self.when, Mapping) else tuple(self.when)


@dataclass(frozen=True)
class ChannelRules:
    """How touches become channels.

    Parameters
    ----------
    rules : sequence of ChannelRule
        The first that fits decides.
    otherwise : str
        What touches are that no rule fits.
    lists : mapping of str to sequence of str
        Sites by name of the list, such as ``{"search": ["google", "bing.com"]}``. ``source_in = "search"`` fits a
        source that is one of them, or a host of it: ``google`` fits ``google``, ``www.google.com`` and
        ``google.co.uk``, not ``notgoogle.com``. ``source_listed = "search"`` fits ``google`` alone.
    source, medium, campaign : str, optional
        The properties that hold these.
    url : str, optional
        The property of page addresses, whose ``utm_source``, ``utm_medium`` and ``utm_campaign`` are taken where those
        above have none; an address with ``gclid`` or the like is of a paid click.
    referrer : str, optional
        The property of where a visitor came from. Where nothing else tells, its host, without ``www.``, is the source
        and the medium ``referral``; engines of the list ``search`` are the source by the name that the list has for
        them (``google`` for ``www.google.co.uk``, not for ``mail.google.com``), and the medium is ``organic``.
    own_hosts : sequence of str
        Hosts that are no referrers, with their subdomains.
    untouched : str
        The channel of sessions without a touch.

    Raises
    ------
    ParameterError
        If a rule names a list that is not there, a parameter has a value it cannot take, or nothing tells where touches
        come from.

    Notes
    -----
    Compared without case and outer blanks. An event without any of these is no touch. Expressions are those of Rust's
    ``regex``. Rules are looked at once per distinct touch.

    Examples
    --------
    >>> rules = ChannelRules([ChannelRule("Email", {"medium_is": "email"})], source=None, campaign=None)
    >>> rules.channels(pl.DataFrame({"medium": ["E-Mail", "email ", None]})).to_list()
    ['Unassigned', 'Email', None]
    """

    rules: Sequence[ChannelRule]
    otherwise: str = "Unassigned"
    lists: Mapping[str, Sequence[str]] | None = None
    source: str | None = "source"
    medium: str | None = "medium"
    campaign: str | None = "campaign"
    url: str | None = None
    referrer: str | None = None
    own_hosts: Sequence[str] = ()
    untouched: str = "Direct"

    def __post_init__(self) -> None:
        _check_kinds(self)
        lists = {
            name: _texts(f"the list {name!r}", sites, "google") for name, sites in (self.lists or {}).items()
        }
        object.__setattr__(self, "rules", tuple(self.rules))
        object.__setattr__(self, "own_hosts", _texts("own_hosts", self.own_hosts, "shop.example"))
        object.__setattr__(self, "lists", lists)
        if not self.columns:
            raise ParameterError(
                "nothing tells where touches come from. Name the property of source, medium, campaign, url or referrer."
            )
        for rule in self.rules:
            if not isinstance(rule, ChannelRule):
                raise ParameterError(
                    f"rules must be ChannelRule values, not {rule!r}. Write jk.ChannelRule(name, when)."
                )
            for alternative in rule.alternatives:
                for key, value in alternative.items():
                    if key.endswith(("_in", "_listed")) and value not in lists:
                        raise ParameterError(
                            f"the channel {rule.name!r} asks for the list {value!r}. {suggestion(str(value), lists)}"
                        )

    @property
    def columns(self) -> dict[str, str]:
        """The property of every field that has one."""
        return {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}

    @property
    def names(self) -> list[str]:
        """The channels, in the order of the rules, then those of the rest."""
        return list(dict.fromkeys([*(rule.name for rule in self.rules), self.otherwise, self.untouched]))

    def touches(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return where events come from: ``source``, ``medium``, ``campaign``, ``referrer``, ``url`` and ``channel``.

        Parameters
        ----------
        frame : polars.DataFrame
            With the properties that the rules name.

        Returns
        -------
        polars.DataFrame
            One row per row; null where an event is no touch.
        """
        from journeykit.channels.touches import touches

        return touches(self, frame)

    def channels(self, frame: pl.DataFrame) -> pl.Series:
        """Return the channel of events, an Enum of `names`; null where an event is no touch."""
        return self.touches(frame)["channel"]

    def expression(self) -> pl.Expr:
        """Return what makes a channel of ``source``, ``medium`` and so on in lower case: the first rule that fits."""
        chain: Any = pl
        for rule in self.rules:
            chain = chain.when(reduce(or_, (self._fits(each) for each in rule.alternatives))).then(
                pl.lit(rule.name)
            )
        otherwise = pl.lit(self.otherwise)
        return chain.otherwise(otherwise) if self.rules else otherwise

    def _fits(self, alternative: Condition) -> pl.Expr:
        tests = (self._test(key, value) for key, value in alternative.items())
        return reduce(and_, tests)

    def _test(self, key: str, value: Any) -> pl.Expr:
        name, operator = key.rsplit("_", 1)
        column = pl.col(name)
        if operator == "missing":
            return column.is_null() if value else column.is_not_null()
        if operator == "matches":
            found = column.str.contains(f"(?i)^(?:{value})$")
        elif operator == "in":
            found = column.str.contains(site_pattern((self.lists or {})[value]))
        elif operator == "listed":
            found = column.is_in(lowered((self.lists or {})[value]))
        else:
            found = _compared(column, operator, lowered([value] if isinstance(value, str) else value))
        return found.fill_null(value=False)

    def save(self, path: str | Path) -> Path:
        """Write the rules as TOML."""
        path = Path(path)
        with replacing(path) as temporary:
            temporary.write_text(self.dumps(), encoding="utf-8", newline="\n")
        return path

    def dumps(self) -> str:
        """Return the rules as TOML."""
        from journeykit.channels.files import written

        return written(self)

    @classmethod
    def load(cls, path: str | Path) -> ChannelRules:
        """Read rules from a file of TOML.

        Raises
        ------
        ParameterError
            If it is not there, no TOML, or does not hold rules.
        """
        try:
            return cls.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise ParameterError(f"the channel rules at {str(path)!r} cannot be read: {reason}.") from error

    @classmethod
    def loads(cls, text: str) -> ChannelRules:
        """Read rules from TOML; see `load`."""
        from journeykit.channels.files import read

        try:
            return read(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ParameterError(f"the channel rules are no TOML: {error}.") from error


def settings(rules: ChannelRules) -> dict[str, Any]:
    """Return the parameters that are not their defaults, without rules and lists."""
    given = {each.name: (getattr(rules, each.name), each.default) for each in fields(rules)}
    return {
        name: value
        for name, (value, default) in given.items()
        if name not in ("rules", "lists") and value != default
    }


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_kinds(rules: ChannelRules) -> None:
    """Refuse parameters of a wrong type."""
    if isinstance(rules.rules, str) or not isinstance(rules.rules, Sequence):
        raise ParameterError(f"rules must be a list of ChannelRule values, not {rules.rules!r}.")
    if not isinstance(rules.lists, Mapping | None):
        raise ParameterError(
            f"lists must give every list of sites a name, not {rules.lists!r}. Give {{'search': ['google']}}, say."
        )
    for name in (*FIELDS, "otherwise", "untouched"):
        value, optional = getattr(rules, name), name in FIELDS
        if not (value is None and optional) and not (isinstance(value, str) and value):
            raise ParameterError(f"{name} must be a name{' or None' if optional else ''}, not {value!r}.")


def _texts(parameter: str, value: object, such_as: str) -> tuple[str, ...]:
    """Return a list of texts, and refuse anything else: one text alone is no list of its characters."""
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(each, str) for each in value)
    ):
        raise ParameterError(f"{parameter} must be a list of texts such as [{such_as!r}], not {value!r}.")
    return tuple(value)


def _compared(column: pl.Expr, operator: str, texts: Sequence[str]) -> pl.Expr:
    if operator == "is":
        return column.is_in(texts)
    if operator == "contains":
        return column.str.contains_any([*texts])
    tests = [
        column.str.starts_with(text) if operator == "starts" else column.str.ends_with(text) for text in texts
    ]
    return reduce(or_, tests)


def _check(channel: str, key: str, value: Any) -> None:
    """Refuse a condition that cannot be tested."""
    name, _, operator = str(key).rpartition("_")
    if name not in FIELDS or operator not in OPERATORS:
        known = [f"{field}_{each}" for field in FIELDS for each in OPERATORS]
        raise ParameterError(
            f"the channel {channel!r} has a condition {key!r}. {suggestion(str(key), known)}"
        )
    texts = [value] if isinstance(value, str) else value
    fits = isinstance(value, bool) if operator == "missing" else isinstance(value, str)
    if operator in ("is", "contains", "starts", "ends"):
        fits = (
            isinstance(texts, list | tuple)
            and bool(texts)
            and all(isinstance(each, str) and each for each in texts)
        )
    if not fits:
        wanted = {"missing": "true or false", "matches": "a regular expression"}
        wanted |= dict.fromkeys(("in", "listed"), "the name of a list")
        raise ParameterError(
            f"the condition {key!r} of the channel {channel!r} cannot be {value!r}. "
            f"Give {wanted.get(operator, 'a text, or several')}."
        )
    if operator == "matches":
        try:
            pl.Series([""]).str.contains(f"(?i)^(?:{value})$")
        except pl.exceptions.PolarsError as error:
            raise ParameterError(
                f"the condition {key!r} of the channel {channel!r} is no regular expression: {value!r}."
            ) from error
