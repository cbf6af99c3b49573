"""What a pipeline expects of its logs: a TOML file that it keeps with its data."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.errors import ExpectationsError, JourneykitError, suggestion
from journeykit.events.checks import Finding, QualityRules, whole_days
from journeykit.support.durations import microseconds
from journeykit.support.escaping import toml
from journeykit.support.files import replacing
from journeykit.support.shares import percent

if TYPE_CHECKING:
    from journeykit.events.events import Events

TABLES = ("events", "volume", "nulls", "rules")


@dataclass(frozen=True)
class Expectations:
    """What a log should hold. Made from a good log by `of`; checked by ``Events.check``.

    Parameters
    ----------
    events : sequence of str
        ``unexpected_event``: every other name is a finding.
    volume : mapping of str to (int, int)
        ``expected_volume``: fewest and most events of a name on a whole day, in the time zone of the log; see
        `QualityRules` for which days are whole.
    nulls : mapping of str to float
        ``null_share``: the largest share of null in a kept property; ``missing_column`` if it was not kept.
    rules : QualityRules
        What else counts as odd.

    Raises
    ------
    ExpectationsError
        If a value is of another kind.

    Examples
    --------
    >>> import journeykit as jk
    >>> events = jk.read_events(jk.datasets.shop(), user="user_id", time="timestamp", event="event", keep=["platform"])
    >>> expected = Expectations.of(events)
    >>> expected.nulls
    {'platform': 0.01}
    >>> Expectations.loads(expected.dumps()) == expected
    True
    """

    events: Sequence[str] = ()
    volume: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    nulls: Mapping[str, float] = field(default_factory=dict)
    rules: QualityRules = field(default_factory=QualityRules)

    def __post_init__(self) -> None:
        problems = []
        if isinstance(self.events, str) or not all(isinstance(name, str) for name in self.events):
            problems.append(f"events must be a list of names, not {self.events!r}")
        for name, bounds in self.volume.items():
            if len(bounds) != 2 or not all(_is_number(each) for each in bounds) or bounds[0] > bounds[1]:
                problems.append(f"the volume of {name!r} must be [fewest, most], not {list(bounds)!r}")
        for name, share in self.nulls.items():
            if not _is_number(share) or not 0 <= share <= 1:
                problems.append(f"the share of nulls of {name!r} must be between 0 and 1, not {share!r}")
        if problems:
            raise ExpectationsError(problems)
        object.__setattr__(self, "events", tuple(self.events))
        object.__setattr__(self, "volume", {name: (low, high) for name, (low, high) in self.volume.items()})
        object.__setattr__(self, "nulls", dict(self.nulls))

    def __hash__(self) -> int:
        return hash(self.dumps())

    @classmethod
    def of(cls, events: Events, *, slack: float = 2.0, rules: QualityRules | None = None) -> Expectations:
        """Expect what a good log has.

        Parameters
        ----------
        events : Events
            A log that is as it should be, best of several weeks.
        slack : float, default 2
            A name may have from the fewest events of a whole day divided by this, to the most times this.
        rules : QualityRules, optional
            What else counts as odd.

        Returns
        -------
        Expectations
            All names; the volume of names on whole days, if there are any; of every property its share of nulls, and
            one percent more.
        """
        counts, days = whole_days(events)
        per_name = counts.group_by("event").agg(
            pl.col("events").min().alias("low"), pl.col("events").max().alias("high"), pl.len().alias("days")
        )
        volume = {
            name: (int(low / slack) if n == len(days) else 0, int(high * slack) + 1)
            for name, low, high, n in per_name.sort("event").iter_rows()
        }
        nulls = {name: min(1.0, round(_null_share(events.columns[name]) + 0.01, 4)) for name in events.kept}
        names = events.columns["event"].unique().cast(pl.String).sort().to_list()
        return cls(names, volume, nulls, rules or QualityRules())

    @classmethod
    def load(cls, path: str | Path) -> Expectations:
        """Read a file that `save` wrote, or that was written by hand.

        Raises
        ------
        ExpectationsError
            With every problem of the file. Nothing in it is evaluated.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise ExpectationsError([f"it cannot be read: {reason}"], str(path)) from error
        return cls.loads(text, str(path))

    @classmethod
    def loads(cls, text: str, source: str | None = None) -> Expectations:
        """Read TOML; errors as of `load`."""
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ExpectationsError([f"it is not TOML: {error}"], source) from error
        problems = [
            f"no table {name!r}. {suggestion(name, TABLES)}" for name in document if name not in TABLES
        ]
        problems += [
            f"{name} must be a table" for name in TABLES if not isinstance(document.get(name, {}), dict)
        ]
        if problems:
            raise ExpectationsError(problems, source)
        events = document.get("events", {})
        options = document.get("rules", {})
        known = [each.name for each in fields(QualityRules)]
        problems = [f"no rule {name!r}. {suggestion(name, known)}" for name in options if name not in known]
        problems += [f"events has no key {name!r}, only names" for name in events if name != "names"]
        problems += [
            f"the volume of {name!r} must be [fewest, most], not {given!r}"
            for name, given in document.get("volume", {}).items()
            if not isinstance(given, list)
        ]
        if problems:
            raise ExpectationsError(problems, source)
        off: dict[str, Any] = {name: None if value is False else value for name, value in options.items()}
        try:
            rules = QualityRules(**off)
            return cls(events.get("names", []), document.get("volume", {}), document.get("nulls", {}), rules)
        except ExpectationsError as error:
            raise ExpectationsError(error.problems, source) from error
        except (JourneykitError, TypeError) as error:
            raise ExpectationsError([str(error)], source) from error

    def dumps(self) -> str:
        """Write TOML that `loads` reads back as an equal value; a rule that is off is ``false``."""
        lines = ["[events]", "names = ["]
        lines += [f"    {toml(name)}," for name in self.events]
        lines += [
            "]",
            "",
            "[volume]",
            *(f"{toml(name)} = {list(each)}" for name, each in self.volume.items()),
        ]
        lines += ["", "[nulls]", *(f"{toml(name)} = {float(share)!r}" for name, share in self.nulls.items())]
        lines += ["", "[rules]", *(f"{name} = {_value(value)}" for name, value in asdict(self.rules).items())]
        return "\n".join(lines) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all."""
        with replacing(Path(path)) as temporary:
            temporary.write_text(self.dumps(), encoding="utf-8", newline="\n")
        return Path(path)

    def findings(self, events: Events) -> Iterator[Finding]:
        """Find where a log is not as expected, but for `rules`."""
        yield from self._unexpected(events)
        yield from self._volumes(events)
        for name, limit in self.nulls.items():
            if name not in events.columns.columns:
                yield Finding(
                    "missing_column", name, 1.0, 0.0, f"the property {name!r} was not kept or is not there"
                )
            elif (share := _null_share(events.columns[name])) > limit:
                text = f"{percent(share)} of {name!r} is null, at most {percent(limit)} is expected"
                yield Finding("null_share", name, share, limit, text)

    def _unexpected(self, events: Events) -> Iterator[Finding]:
        if self.events:
            counts = events.columns["event"].value_counts(name="n").cast({"event": pl.String}).sort("event")
            for name, number in counts.filter(~pl.col("event").is_in(self.events)).iter_rows():
                yield Finding(
                    "unexpected_event",
                    name,
                    float(number),
                    0.0,
                    f"{name!r} is not expected: {number:,} events",
                )

    def _volumes(self, events: Events) -> Iterator[Finding]:
        if not self.volume:
            return
        counts, days = whole_days(events)
        found = {(name, day): number for name, day, number in counts.iter_rows()}
        for name, (low, high) in self.volume.items():
            for day in days:
                number = found.get((name, day), 0)
                if not low <= number <= high:
                    text = f"{name!r} has {number:,} events on {day}, expected are {low:,} to {high:,}"
                    yield Finding(
                        "expected_volume",
                        f"{name} on {day}",
                        float(number),
                        float(low if number < low else high),
                        text,
                    )


def _null_share(column: pl.Series) -> float:
    return column.null_count() / len(column) if len(column) else 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: object) -> str:
    """Write one value as TOML."""
    if value is None:
        return "false"
    if isinstance(value, timedelta):
        return toml(f"{microseconds(value)}us")
    return toml(value) if isinstance(value, str) else repr(value)
