"""The report of a check: what is odd, who is no customer, and whether a pipeline should go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.errors import ParameterError
from journeykit.events.checks import RULES, Finding, QualityRules, findings, odd_users
from journeykit.events.expectations import Expectations
from journeykit.events.quality import Quality
from journeykit.support.drawing import Drawn, draw
from journeykit.support.escaping import visible
from journeykit.support.files import write_frame

if TYPE_CHECKING:
    from journeykit.events.events import Events

SHOWN = 5
"""Findings of one rule that are printed."""
SCHEMA = {
    "rule": pl.String,
    "subject": pl.String,
    "value": pl.Float64,
    "limit": pl.Float64,
    "text": pl.String,
}


@dataclass(frozen=True, repr=False, eq=False)
class QualityReport:
    """What is odd in a log. Made by ``Events.check``.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per finding: ``rule``, ``subject``, ``value``, ``limit``, ``text``, in the order of the rules.
    users : polars.DataFrame
        Bots and test users: ``user``, ``kind``, ``reason``, ``events``. They are in the log still.
    quality : Quality
        The numbers of D1.9.
    """

    frame: pl.DataFrame
    users: pl.DataFrame
    quality: Quality

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.frame.is_empty()

    def failed(self, rules: str | Iterable[str] = "any") -> list[str]:
        """List the rules, of some or of ``"any"``, that have findings.

        Raises
        ------
        ParameterError
            If there is no such rule.
        """
        asked = RULES if rules == "any" else (rules,) if isinstance(rules, str) else tuple(rules)
        for name in asked:
            if name not in RULES:
                raise ParameterError.choice("a rule", name, ("any", *RULES))
        found = set(self.frame["rule"])
        return [name for name in RULES if name in asked and name in found]

    def chart(self, **options: Any) -> Drawn:
        """Draw how many findings every rule has, and the quality of the log.

        Parameters
        ----------
        **options
            ``theme="light"`` or ``"dark"``; ``top``, how many findings of a rule are shown on hover.

        Returns
        -------
        Chart
            A plotly figure with ``save``. No user is named in it.

        Raises
        ------
        ParameterError
            If an option does not exist, or has a value it cannot take.
        """
        return draw(self, options)

    def write(self, path: str | Path) -> Path:
        """Write the findings as a file, as answers are written."""
        return write_frame(self.frame, Path(path))

    def __repr__(self) -> str:
        size = f"{self.quality.events:,} events of {self.quality.users:,} users"
        if self.ok:
            return f"Check of {size}: nothing odd"
        lines = [f"Check of {size}: {self.frame.height:,} finding{'s' * (self.frame.height > 1)}"]
        width = max(len(rule) for rule in self.frame["rule"])
        return "\n".join([*lines, *(f"  {rule:<{width}}  {text}" for rule, text in self._lines())])

    def _repr_html_(self) -> str:
        first = escape(repr(self).partition("\n")[0])
        cells = (f"<tr><td>{escape(rule)}</td><td>{escape(text)}</td></tr>" for rule, text in self._lines())
        return f"<table><caption>{first}</caption><tbody>{''.join(cells)}</tbody></table>"

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Give the first findings of every rule, and say how many more there are."""
        for rule in self.failed():
            texts = self.frame.filter(pl.col("rule") == rule)["text"]
            yield from ((rule, visible(text)) for text in texts.head(SHOWN))
            if len(texts) > SHOWN:
                yield rule, f"and {len(texts) - SHOWN:,} more in .frame"


def check(events: Events, expectations: Expectations | QualityRules | None = None) -> QualityReport:
    """Look for what is odd in the log: gaps, sudden changes, new names, repeats, clocks, bots, test users.

    Parameters
    ----------
    expectations : Expectations or QualityRules, optional
        What a log of this kind holds and what counts as odd, or the rules alone.

    Returns
    -------
    QualityReport
        Findings; rules that have none are fine. Nothing is dropped.

    Raises
    ------
    ParameterError, UnknownPropertyError
        If a rule names a property that was not kept, or that holds something else.

    Notes
    -----
    Each rule is defined in `QualityRules` and `Expectations`. Sorts the log once or twice.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": ["ada", "qa-1"], "time": [0, 7200], "event": ["view", "view"]})
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s")
    >>> events.check()
    Check of 2 events of 2 users: 3 findings
      gap           no event for 2.0 hours after 1970-01-01 00:00:00 UTC
      clock_broken  2 times are before 1990 or in the future
      test_user     1 user with 50.0 % of the events
    """
    expected = (
        expectations
        if isinstance(expectations, Expectations)
        else Expectations(rules=expectations or QualityRules())
    )
    rules = expected.rules
    rules.check(events)
    users = odd_users(events, rules)
    found = [*findings(events, rules), *_of_users(users, events.columns.height), *expected.findings(events)]
    order = {rule: place for place, rule in enumerate(RULES)}
    found.sort(key=lambda each: order[each.rule])
    return QualityReport(pl.DataFrame(found, schema=SCHEMA, orient="row"), users, events.quality)


def _of_users(users: pl.DataFrame, events: int) -> Iterable[Finding]:
    for kind in ("bot", "test_user"):
        own = users.filter(pl.col("kind") == kind).unique("user")
        if own.height:
            share = int(own["events"].sum()) / events
            plural = "s" if own.height > 1 else ""
            text = f"{own.height:,} user{plural} with {100 * share:.1f} % of the events"
            yield Finding(kind, f"{own.height:,} user{plural}", share, 0.0, text)
