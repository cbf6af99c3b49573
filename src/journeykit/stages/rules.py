"""Rules and stages: which events belong to a stage. DEFINITIONS D6.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypedDict, Unpack, cast

import polars as pl

from journeykit.errors import JourneykitError, StageModelError
from journeykit.stages.conditions import Condition, Expression, Where, as_where, predicate
from journeykit.support.durations import MICROSECONDS, Duration, microseconds

LONGEST = 2**62

RuleLike: TypeAlias = "Rule | str | pl.Expr | Condition | Sequence[Rule | str | pl.Expr | Condition]"


@dataclass(frozen=True, repr=False)
class Rule:
    """Which events a stage takes. DEFINITIONS D6.1.

    One of `names`, `glob` and `regex` says which events are meant, `where` what must be true of their
    properties; an event that fulfils both is a *match*. `nth`, `after` and `min_gap` then keep some of the
    matches; each is asked of all matches by itself, so that their order does not matter.

    Parameters
    ----------
    names : str or sequence of str
        Exact event names, case-sensitive.
    glob : str
        A pattern for whole names: ``*``, ``?``, ``[abc]``, ``[!abc]``, case-sensitive.
    regex : str
        A regular expression in the syntax of polars (no look-around, linear time), searched in the name.
    fullmatch : bool
        The regular expression must cover the whole name.
    where : polars expression, Condition or sequence of Condition
        What must be true of the event's properties; also of ``event``, ``time``, ``user``. Null is no match.
    nth : int
        The n-th match of the user and the later ones, counted over the whole log.
    nth_exact : bool
        Only the n-th match.
    after : rule, str or sequence of str
        An event that the user must have had at an earlier position.
    within : duration
        Longest time since the latest such event; exactly this long still counts.
    min_gap : duration
        Shortest time since the user's previous match; exactly this long counts. The first match has no
        previous one, so it does not count (D0.3).

    Raises
    ------
    StageModelError
        If anything of it cannot be; every problem is listed.

    Examples
    --------
    >>> Rule(names="purchase", nth=2, min_gap="24h")
    event('purchase', nth=2, min_gap='1d')
    """

    names: str | Sequence[str] = ()
    glob: str | None = None
    regex: str | None = None
    fullmatch: bool = False
    where: object = None
    nth: int | None = None
    nth_exact: bool = False
    after: object = None
    within: Duration | None = None
    min_gap: Duration | None = None

    def __post_init__(self) -> None:
        """Bring every part into one form, and refuse the rule with all that is wrong with it."""
        problems: list[str] = []
        broken: set[str] = set()
        forms = {"names": _names, "where": _where, "after": _after, "within": _duration, "min_gap": _duration}
        for part, form in forms.items():
            try:
                object.__setattr__(self, part, form(getattr(self, part), part))
            except StageModelError as error:
                problems += error.problems
                object.__setattr__(self, part, None)
                broken.add(part)
        problems += _matcher_problems(self, broken) + _sequence_problems(self, broken)
        if problems:
            raise StageModelError(problems)

    @property
    def is_sequential(self) -> bool:
        """Whether the rule looks at the user's earlier events."""
        return self.nth is not None or self.after is not None or self.min_gap is not None

    @property
    def pattern(self) -> str | None:
        """The regular expression as polars runs it."""
        return rf"\A(?:{self.regex})\z" if self.fullmatch and self.regex is not None else self.regex

    def predicate(self) -> pl.Expr:
        """Give `where` as one polars expression; only if there is one."""
        return predicate(cast("Where", self.where))

    def parts(self) -> dict[str, Any]:
        """Give the parts that were set, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }

    def __repr__(self) -> str:
        """Write the rule as the call that makes it."""
        parts = self.parts()
        kind = next(each for each in ("names", "glob", "regex", "where") if each in parts)
        first = parts.pop(kind)
        if kind == "names":
            shown = ", ".join(repr(name) for name in first)
        else:
            shown = _written(first) if kind == "where" else repr(first)
        rest = [f"{name}={_written(value)}" for name, value in parts.items()]
        return f"{'event' if kind == 'names' else kind}({', '.join([shown, *rest])})"


class Extras(TypedDict, total=False):
    """What any rule may ask on top of the event's name."""

    nth: int | None
    nth_exact: bool
    after: object
    within: Duration | None
    min_gap: Duration | None


class NameExtras(Extras, total=False):
    """What a rule on names may ask on top of the name."""

    where: object


@dataclass(frozen=True, init=False, repr=False)
class Stage:
    """One stage of a model with the rules that lead into it; any of them is enough. DEFINITIONS D6.1, D6.2.

    Parameters
    ----------
    name : str
        The stage's name.
    *rules : Rule, str, sequence of str, polars expression
        A string or a list of strings means exact event names, an expression a rule on properties.
        A stage without rules keeps its place in the order and takes no event.
    priority : int
        Stages with a higher priority are tried first; equal ones in the model's order.

    Raises
    ------
    StageModelError
        If the name, a rule or the priority cannot be.

    Examples
    --------
    >>> Stage("loyalty", event("purchase", nth=2), "invite_friend", priority=1)
    Stage('loyalty', event('purchase', nth=2), event('invite_friend'), priority=1)
    """

    name: str
    rules: tuple[Rule, ...]
    priority: int

    def __init__(self, name: str, *rules: RuleLike, priority: int = 0) -> None:
        problems = [] if _is_text(name) and name else [f"a stage's name must be a text, not {name!r}"]
        if not _is_whole(priority):
            problems.append(f"the priority of stage {name!r} must be a whole number, not {priority!r}")
        made: list[Rule] = []
        for given in rules:
            try:
                made += as_rules(given)
            except StageModelError as error:
                problems += [f"stage {name!r}: {problem}" for problem in error.problems]
        if problems:
            raise StageModelError(problems)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "rules", tuple(made))
        object.__setattr__(self, "priority", priority)

    def __repr__(self) -> str:
        """Write the stage as the call that makes it."""
        priority = [f"priority={self.priority}"] if self.priority else []
        return f"Stage({', '.join([repr(self.name), *map(repr, self.rules), *priority])})"


def event(*names: str, **extras: Unpack[NameExtras]) -> Rule:
    """Take events with these exact names; keywords as in `Rule`.

    Examples
    --------
    >>> event("purchase", nth=2)
    event('purchase', nth=2)
    """
    return Rule(names=names, **extras)


def glob(pattern: str, **extras: Unpack[NameExtras]) -> Rule:
    """Take events whose whole name fits a pattern with ``*``, ``?`` and ``[...]``; keywords as in `Rule`.

    Examples
    --------
    >>> glob("cart*", after="view", within="7d")
    glob('cart*', after=event('view'), within='7d')
    """
    return Rule(glob=pattern, **extras)


def regex(pattern: str, *, fullmatch: bool = False, **extras: Unpack[NameExtras]) -> Rule:
    """Take events in whose name the regular expression is found; keywords as in `Rule`.

    Examples
    --------
    >>> regex("^/product/[0-9]+$")
    regex('^/product/[0-9]+$')
    """
    return Rule(regex=pattern, fullmatch=fullmatch, **extras)


def where(condition: object, **extras: Unpack[Extras]) -> Rule:
    """Take events, whatever their name, of which a polars expression is true; keywords as in `Rule`.

    Examples
    --------
    >>> where(pl.col("value") > 100)
    where(value > 100)
    """
    return Rule(where=condition, **extras)


def as_rules(given: object) -> list[Rule]:
    """Turn what stands for rules into rules: strings are exact names, neighbouring strings one rule.

    Raises
    ------
    StageModelError
        If something in it cannot be a rule.
    """
    if isinstance(given, Rule):
        return [given]
    if isinstance(given, pl.Expr | Condition | Expression):
        return [Rule(where=given)]
    if isinstance(given, str):
        return [Rule(names=given)]
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise StageModelError(
            [f"{given!r} cannot be a rule: give event names, a rule or a polars expression"]
        )
    made: list[Rule] = []
    names: list[str] = []
    for each in (*given, None):
        if isinstance(each, str):
            names.append(each)
            continue
        if names:
            made.append(Rule(names=tuple(names)))
            names = []
        if each is not None:
            made += as_rules(each)
    return made


def written_duration(us: int) -> str:
    """Write microseconds exactly, in the largest unit that divides them."""
    unit = next(unit for unit in ("d", "h", "m", "s", "ms", "us") if us % MICROSECONDS[unit] == 0)
    return f"{us // MICROSECONDS[unit]}{unit}"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return " & ".join(str(condition) for condition in value)
    return str(value) if isinstance(value, Expression) else repr(value)


def _names(given: object, part: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence) or isinstance(names, bytes):
        raise StageModelError([f"{part} must be event names, not {given!r}"])
    if wrong := [name for name in names if not _is_text(name)]:
        raise StageModelError([f"{part} must be event names, not {name!r}" for name in wrong])
    return tuple(dict.fromkeys(names))


def _where(given: object, part: str) -> object:
    return None if given is None else as_where(given)


def _after(given: object, part: str) -> Rule | None:
    if given is None:
        return None
    try:
        rules = as_rules(given)
    except StageModelError as error:
        raise StageModelError([f"in {part}: {problem}" for problem in error.problems]) from error
    if len(rules) != 1:
        raise StageModelError([f"{part} must be one rule or a list of event names, not {given!r}"])
    return rules[0]


def _duration(given: Duration | None, part: str) -> str | None:
    if given is None:
        return None
    try:
        us = microseconds(given, part)
    except OverflowError:
        us = LONGEST + 1
    except JourneykitError as error:
        raise StageModelError([str(error)]) from error
    if us > LONGEST:
        raise StageModelError([f"{part} cannot be {given!r}: it is longer than any log"])
    return written_duration(us)


def _matcher_problems(rule: Rule, broken: set[str]) -> list[str]:
    given = [part for part in ("names", "glob", "regex") if getattr(rule, part) not in (None, ())]
    problems = []
    if len(given) > 1:
        problems.append(f"give only one of {' and '.join(given)}, or one rule for each")
    if not given and rule.where is None and not broken & {"names", "where"}:
        problems.append("a rule needs event names, a glob, a regex or where")
    if rule.glob is not None and not _is_text(rule.glob):
        problems.append(f"glob must be a text, not {rule.glob!r}")
    if rule.regex is None and rule.fullmatch is not False:
        problems.append("fullmatch needs a regex")
    elif rule.regex is not None:
        problems += _regex_problems(rule)
    return problems


def _regex_problems(rule: Rule) -> list[str]:
    if not _is_text(rule.regex):
        return [f"regex must be a text, not {rule.regex!r}"]
    if not _is_flag(rule.fullmatch):
        return [f"fullmatch must be true or false, not {rule.fullmatch!r}"]
    for pattern in (rule.regex, rule.pattern):
        try:
            pl.Series([""]).str.contains(str(pattern))
        except pl.exceptions.PolarsError as error:
            reasons = [line[6:].strip() for line in str(error).splitlines() if line.startswith("error:")]
            reason = reasons[0] if reasons else "it is too large"
            return [f"the regex {rule.regex!r} is not one that polars can run: {reason}"]
    return []


def _sequence_problems(rule: Rule, broken: set[str]) -> list[str]:
    problems = []
    if rule.nth is not None and not (_is_whole(rule.nth) and rule.nth >= 1):
        problems.append(f"nth must be a whole number from 1, not {rule.nth!r}")
    if not _is_flag(rule.nth_exact):
        problems.append(f"nth_exact must be true or false, not {rule.nth_exact!r}")
    elif rule.nth_exact and rule.nth is None:
        problems.append("nth_exact needs nth")
    if rule.within is not None and rule.after is None and "after" not in broken:
        problems.append("within needs after: the event since which the time is taken")
    return problems


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    """Whether the value is a string that can be encoded: a lone surrogate can be in no log."""
    try:
        return isinstance(value, str) and value.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False
