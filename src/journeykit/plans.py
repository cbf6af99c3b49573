"""Plans: the verbs of events and journeys recorded, checked at once, run when an answer is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, get_args, overload

import polars as pl

from journeykit.cells import By
from journeykit.channels import ChannelRules
from journeykit.channels.assigning import check_rules
from journeykit.engines import Engine, OnDisk, Spark
from journeykit.engines.asking import EngineOptions
from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.events.events import Events, session_rule
from journeykit.events.reading import check_span, read_events, roles_of
from journeykit.events.stitching import check_identity
from journeykit.identity import Identity
from journeykit.identity.stitch import Unmapped
from journeykit.journeys.cleaning import PathCleaning
from journeykit.journeys.journeys import Journeys
from journeykit.journeys.selection import Keep, Matching, Selection, Users
from journeykit.patterns import Matches, Occurrence, Pattern
from journeykit.privacy.pseudonyms import check_key
from journeykit.protocol import Statistic
from journeykit.sessions import SessionRule
from journeykit.sharding.distributed import measure_on_cluster
from journeykit.sharding.sharded import measure_in_shards
from journeykit.sharding.whole import kept_of
from journeykit.sources import open_source, source_format
from journeykit.sources.canonical import Duplicates, OnInvalid
from journeykit.sources.frames import is_spark
from journeykit.sources.prepared import PreparedLog
from journeykit.sources.roles import TimeUnit
from journeykit.stages import StageModel
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing, check_missing

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """One verb of a recipe, with the arguments that are not its defaults."""

    verb: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Step):
            return NotImplemented
        return (
            self.verb == other.verb
            and self.arguments.keys() == other.arguments.keys()
            and all(_same(value, other.arguments[name]) for name, value in self.arguments.items())
        )

    def __hash__(self) -> int:
        return hash((self.verb, *self.arguments))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return f"{self.verb}({shown})"


@dataclass(frozen=True, eq=False, repr=False)
class _Plan:
    """A source, and what will be done to it."""

    source: Any
    steps: tuple[Step, ...]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _same(self.source, other.source) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(self.steps)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} of {_shown(self.source)}, not run yet", *map(repr, self.steps)]
        return "\n  ".join(lines)

    def _run(self) -> Any:
        """Read the source and say every verb, in memory."""
        value: Any = read_events(self.source, **self.steps[0].arguments)
        for step in self.steps[1:]:
            value = getattr(value, step.verb)(**step.arguments)
        return value


class EventsPlan(_Plan):
    """A log that will be read. Made by `scan_events`."""

    def sessionize(self, timeout: Duration | SessionRule | None = "30m", **options: Any) -> JourneysPlan:
        """Plan to order the events of every user and to cut them into sessions; see ``Events.sessionize``.

        Raises
        ------
        ParameterError
            If an option has a value it cannot take.
        """
        rule = session_rule(timeout, options)
        return JourneysPlan(self.source, (*self.steps, Step("sessionize", {"timeout": rule})))

    def stitch(self, identity: Identity, *, unmapped: Unmapped = "own") -> EventsPlan:
        """Plan to give every event to the user that its id belongs to; see ``Events.stitch``.

        Raises
        ------
        ParameterError
            If `identity` is none, or `unmapped` no choice.
        """
        if unmapped not in get_args(Unmapped):
            raise ParameterError.choice("unmapped", unmapped, get_args(Unmapped))
        arguments: dict[str, Any] = {"identity": check_identity(identity)}
        if unmapped != "own":
            arguments["unmapped"] = unmapped
        return EventsPlan(self.source, (*self.steps, Step("stitch", arguments)))

    def pseudonymize(self, key: bytes, columns: Sequence[str] = ()) -> EventsPlan:
        """Plan to replace the ids of the users by pseudonyms; see ``Events.pseudonymize``.

        Raises
        ------
        ParameterError
            If the key is no such bytes; no byte of it is in the message.
        UnknownPropertyError
            If a column was not kept.

        Notes
        -----
        The plan holds the key as long as it lives, shows it nowhere, and writes it where it is pickled: to the workers
        of `Spark`, which read the log. Shards on disk hold pseudonyms only.
        """
        check_key(key)
        kept = kept_of(self.steps[0].arguments)
        for name in columns:
            if name not in kept:
                raise UnknownPropertyError(name, kept)
        arguments: dict[str, Any] = {"key": key, **({"columns": tuple(columns)} if columns else {})}
        return EventsPlan(self.source, (*self.steps, Step("pseudonymize", arguments)))

    def collect(self) -> Events:
        """Read the log into memory; the same as ``read_events`` with these arguments, and the verbs after it."""
        events = self._run()
        assert isinstance(events, Events)
        return events


class JourneysPlan(_Plan):
    """Journeys that will be made. The verbs are those of `Journeys`, and each returns a new plan."""

    def assign_stages(self, model: StageModel, *, missing: Missing = "raise") -> JourneysPlan:
        """Plan to give every event the stage that its user is in; see ``Journeys.assign_stages``.

        Raises
        ------
        ParameterError
            If `model` is not a stage model, or `missing` is no choice.
        """
        if not isinstance(model, StageModel):
            raise ParameterError(
                f"model must be a StageModel, not {model!r}. Load one with StageModel.load(path)."
            )
        check_missing(missing)
        return self._then("assign_stages", {"model": model, "missing": missing}, {"missing": "raise"})

    def assign_channels(self, rules: ChannelRules) -> JourneysPlan:
        """Plan to keep the channel and the campaign of every session; see ``Journeys.assign_channels``.

        Raises
        ------
        ParameterError
            If `rules` are none.
        """
        return self._then("assign_channels", {"rules": check_rules(rules)}, {})

    def clean(self, cleaning: PathCleaning, *, missing: Missing = "raise") -> JourneysPlan:
        """Plan to make names alike, leave out noise and join repeats; see ``Journeys.clean``.

        Raises
        ------
        ParameterError
            If `cleaning` is no PathCleaning, or `missing` is no choice.
        """
        if not isinstance(cleaning, PathCleaning):
            raise ParameterError(
                f"clean needs a PathCleaning, not {cleaning!r}. Write clean(jk.PathCleaning(...))."
            )
        check_missing(missing)
        return self._then("clean", {"cleaning": cleaning, "missing": missing}, {"missing": "raise"})

    def filter(
        self,
        where: pl.Expr | None = None,
        *,
        keep: Keep = "events",
        users: Users | None = None,
        events: str | Iterable[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        matching: Matching | None = None,
        missing: Missing = "raise",
    ) -> JourneysPlan:
        """Plan to keep some events, sessions or users; see ``Journeys.filter``.

        Raises
        ------
        ParameterError
            If a parameter has a value it cannot take. Names are looked up when the plan is run.
        """
        asked = Selection(where, keep, users, events, start, end, missing, matching)
        arguments = {each.name: getattr(asked, each.name) for each in fields(asked)}
        defaults = {**dict.fromkeys(arguments), "keep": "events", "missing": "raise"}
        return self._then("filter", arguments, defaults)

    def mark(
        self, name: str, matches: Pattern | str, *, of: str = "event", capture: str | None = None
    ) -> JourneysPlan:
        """Plan to keep where a pattern matches as a property; see ``Journeys.mark``.

        Raises
        ------
        ParameterError
            If `matches` are not a pattern: those of other journeys are not of these.
        PatternError
            If a text is no pattern.
        """
        pattern = Pattern(matches) if isinstance(matches, str) else matches
        if not isinstance(pattern, Pattern):
            raise ParameterError(
                f"a plan can mark where a pattern matches, and not what was matched elsewhere: "
                f"{type(pattern).__name__} is no pattern."
            )
        arguments = {"name": name, "matches": pattern, "of": of, "capture": capture}
        return self._then("mark", arguments, {"of": "event", "capture": None})

    def match(
        self,
        pattern: Pattern | str,
        occurrence: Occurrence = "first",
        *,
        overlapping: bool = False,
        prefixes: bool = False,
    ) -> Matches:
        """Run the plan and find where a pattern matches; see ``Journeys.match``."""
        pattern = pattern if isinstance(pattern, Pattern) else Pattern(pattern)
        return self.collect().match(pattern, occurrence, overlapping=overlapping, prefixes=prefixes)

    @overload
    def measure(self, statistic: Statistic[Any, A], /, **options: Unpack[EngineOptions]) -> A: ...
    @overload
    def measure(
        self, first: Statistic[Any, A], second: Statistic[Any, B], /, **options: Unpack[EngineOptions]
    ) -> tuple[A, B]: ...
    @overload
    def measure(
        self,
        first: Statistic[Any, A],
        second: Statistic[Any, B],
        third: Statistic[Any, C],
        /,
        **options: Unpack[EngineOptions],
    ) -> tuple[A, B, C]: ...
    @overload
    def measure(self, *statistics: Statistic[Any, Any], **options: Unpack[EngineOptions]) -> Any: ...

    def measure(
        self,
        *statistics: Statistic[Any, Any],
        by: By = None,
        every: str | None = None,
        engine: Engine | None = None,
        level: float = 0.95,
    ) -> Any:
        """Run the plan and answer one or more questions; see ``Journeys.measure``.

        Notes
        -----
        The journeys are not kept: `collect` them once to ask several times. They are made in memory, or with
        ``engine=jk.OutOfCore(...)`` or ``jk.Pool(...)`` in shards on disk, or with
        ``jk.Spark(...)`` on a cluster; the log is read once for all statistics.
        """
        steps = [(step.verb, step.arguments) for step in self.steps]
        if isinstance(engine, OnDisk):
            return measure_in_shards(self.source, steps, statistics, engine, by, every, level)
        if isinstance(engine, Spark):
            return measure_on_cluster(self.source, steps, statistics, engine, by, every, level)
        return self.collect().measure(*statistics, by=by, every=every, engine=engine, level=level)

    def collect(self) -> Journeys:
        """Run the plan in memory."""
        journeys = self._run()
        assert isinstance(journeys, Journeys)
        return journeys

    def _then(self, verb: str, arguments: dict[str, Any], defaults: dict[str, Any]) -> JourneysPlan:
        given = {name: value for name, value in arguments.items() if not _same(value, defaults.get(name))}
        return JourneysPlan(self.source, (*self.steps, Step(verb, given)))


def scan_events(  # noqa: PLR0913 - those of read_events
    source: Any,
    *,
    user: str | None = None,
    time: str | None = None,
    event: str | None = None,
    session: str | None = None,
    order: str | None = None,
    value: str | None = None,
    keep: Sequence[str] = (),
    tz: str | None = None,
    unit: TimeUnit | None = None,
    time_format: str | None = None,
    format: str | None = None,
    on_invalid: Literal["raise", "drop"] = "raise",
    duplicates: Literal["keep", "drop"] = "keep",
    observed_from: datetime | None = None,
    observed_until: datetime | None = None,
) -> EventsPlan:
    """Plan to read a log: the parameters and the verbs of ``read_events``, and nothing is read yet.

    Parameters
    ----------
    source : object
        What ``read_events`` takes. A DataFrame of Spark is read by Spark. A source that can be read only once, such as
        a reader of record batches, is read now.
    user, time, event, session, order, value, keep, tz, unit, time_format, format
        See ``read_events``.
    on_invalid, duplicates, observed_from, observed_until
        See ``read_events``.

    Returns
    -------
    EventsPlan
        With `sessionize`, and after it `assign_stages`, `filter` and `measure`. ``collect()`` runs a plan.

    Raises
    ------
    MissingColumnError
        If a named column is not there; with the closest names.
    MissingFileError, UnreadableFileError, EmptyInputError
        If there is nothing to read.
    ParameterError
        If a parameter has a value it cannot take.

    Examples
    --------
    >>> log = pl.DataFrame({"who": ["a", "a"], "at": [0, 9], "what": ["view", "cart"]})
    >>> scan_events(log, user="who", time="at", event="what", unit="s").sessionize("30m")
    JourneysPlan of LazyFrame, not run yet
      read_events(user='who', time='at', event='what', unit='s')
      sessionize(timeout=SessionRule(timeout='30m'))
    """
    if on_invalid not in get_args(OnInvalid):
        raise ParameterError.choice("on_invalid", on_invalid, get_args(OnInvalid))
    if duplicates not in get_args(Duplicates):
        raise ParameterError.choice("duplicates", duplicates, get_args(Duplicates))
    check_span(observed_from, observed_until)
    shared = {
        "session": session,
        "order": order,
        "value": value,
        "keep": tuple(keep) if not isinstance(keep, str) else keep,
        "tz": tz,
        "unit": unit,
        "time_format": time_format,
    }
    roles = roles_of(source, format, {"user": user, "time": time, "event": event}, **shared)
    distributed = is_spark(source)
    shown = source.limit(0) if distributed else source
    plan = open_source(shown, format=format, columns=roles.columns, text=[roles.user])
    roles.check_columns(plan.collect_schema())
    required = {"user": roles.user, "time": roles.time, "event": roles.event}
    arguments = {
        **required,
        **shared,
        "format": format,
        "on_invalid": on_invalid,
        "duplicates": duplicates,
        "observed_from": observed_from,
        "observed_until": observed_until,
    }
    defaults = {"on_invalid": "raise", "duplicates": "keep", "keep": ()}
    given = {name: value for name, value in arguments.items() if not _same(value, defaults.get(name))}
    again = distributed or isinstance(source, PreparedLog) or source_format(source, format) is not None
    replayable = source if again else plan
    return EventsPlan(replayable, (Step("read_events", given),))


def _same(one: Any, other: Any) -> bool:
    """Compare values, some of which answer ``==`` with a value of their own."""
    if one is other:
        return True
    if type(one) is not type(other) or isinstance(one, pl.LazyFrame):
        return False
    if isinstance(one, pl.Expr):
        return one.meta.eq(other)
    if isinstance(one, pl.Series):
        return one.equals(other, check_dtypes=True)
    return bool(one == other)


def _shown(value: object) -> str:
    if isinstance(value, pl.LazyFrame | bytes):
        return "<secret>" if isinstance(value, bytes) else "LazyFrame"
    if isinstance(value, PreparedLog):
        return repr(value)
    if isinstance(value, pl.Series):
        return f"<{len(value):,} values>"
    if isinstance(value, pl.Expr):
        return " ".join(str(value).split())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Identity):
        return f"<{value.n_ids:,} ids of {value.n_users:,} users>"
    if isinstance(value, StageModel):
        return f"<{len(value.stages):,} stages: {', '.join(map(repr, value.names))}>"
    return repr(str(value) if isinstance(value, Path) else value)
