"""What is odd in a log: gaps, sudden changes, new and vanished names, repeated ids, skewed clocks, bots, test users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.ordering.order import order_events
from journeykit.support.durations import Duration, microseconds

if TYPE_CHECKING:
    from journeykit.events.events import Events

Int64s = npt.NDArray[np.int64]
RULES = (
    "gap", "volume", "new_event", "vanished_event", "duplicate", "duplicate_id", "clock_skew", "clock_broken", "bot",
    "test_user", "unexpected_event", "expected_volume", "null_share", "missing_column",
)  # fmt: skip
"""What a finding may be about; the last four are of `Expectations`."""
MINUTE, DAY = 60_000_000, 86_400_000_000
PAUSE = 30 * MINUTE
LEAST_GAPS = 50
EXPECTED = 20.0
COVERED = 0.9
BOT_AGENTS = (
    r"(?i)bot\b|bot/|crawl|spider|slurp|headless|phantomjs|selenium|puppeteer|playwright|curl/|wget/|python-requests"
    r"|python-urllib|go-http-client|java/|libwww|scrapy|monitor|preview"
)


class Finding(NamedTuple):
    """One thing that is odd.

    Attributes
    ----------
    rule : str
        One of `RULES`.
    subject : str
        The event, day, column or moment.
    value, limit : float
        What was found, and what it may be.
    text : str
        One sentence.
    """

    rule: str
    subject: str
    value: float
    limit: float
    text: str


@dataclass(frozen=True)
class QualityRules:
    """What counts as odd in a log. None switches a rule off.

    Parameters
    ----------
    gap : str or timedelta, optional
        ``gap``: a silence of the whole log, between neighbouring events of any users, that is longer than this.
    change, least_change, baseline : float, int, int
        ``volume``: on a whole day an event has at least `change` times its median of the `baseline` whole days before,
        or at most that part of it, and differs from it by at least `least_change` events. A day, in the time zone of
        the log, is whole if the observation covers nine tenths of it.
    recent : str or timedelta, optional
        ``new_event``: a name whose first event lies in this last part of the log, where the log before is as long or
        longer. ``vanished_event``: a name without an event in it, of which its rate before lets expect 20 or more.
    id : str, optional
        ``duplicate_id``: rows whose id, in this kept property, an earlier row has. Null is no id.
    received, skew, skewed_users : str, str or timedelta, float
        ``clock_skew``: the share of users whose clock is off by more than `skew` is above `skewed_users`. A user's
        clock is off by the smallest difference of an event's arrival, in the kept property `received`, and its time: a
        delay is never negative, and once about zero. Users with fewer than five events are left out.
    bot_rate, regularity, user_agent : int, float, str
        ``bot``: users with `bot_rate` or more events in one minute of the clock; users whose gaps of at most 30
        minutes, 50 or more, have a standard deviation below `regularity` times their mean; users with an event whose
        property `user_agent` is that of a known robot or tool.
    test_users : str, optional
        ``test_user``: users whose id this regular expression finds.

    Notes
    -----
    ``duplicate``: rows that equal an earlier one in every column read (D1.5). ``clock_broken``: times before 1990 or in
    the future (D1.9). Both have no limit but zero. Users are listed, never dropped.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.
    """

    gap: Duration | None = "1h"
    change: float | None = 3.0
    least_change: int = 50
    baseline: int = 7
    recent: Duration | None = "1d"
    id: str | None = None
    received: str | None = None
    skew: Duration = "5m"
    skewed_users: float = 0.01
    bot_rate: int | None = 120
    regularity: float | None = 0.05
    user_agent: str | None = None
    test_users: str | None = r"(?i)(^|[^a-z])(test|tester|testuser|qa|dummy|demo)([^a-z]|$)"

    def __post_init__(self) -> None:
        for name in ("gap", "recent", "skew"):
            if getattr(self, name) is not None:
                microseconds(getattr(self, name), name)
        for name, least in (
            ("change", 1),
            ("least_change", 0),
            ("baseline", 0),
            ("bot_rate", 1),
            ("regularity", 0),
        ):
            given = getattr(self, name)
            if given is not None and (
                isinstance(given, bool) or not isinstance(given, int | float) or given <= least
            ):
                raise ParameterError(f"{name} must be a number above {least}, not {given!r}.")
        if self.test_users is not None:
            try:
                pl.select(pl.lit("").str.contains(self.test_users))
            except (pl.exceptions.PolarsError, TypeError) as error:
                raise ParameterError(f"test_users is no regular expression: {self.test_users!r}.") from error

    def check(self, events: Events) -> None:
        """Refuse properties that were not kept, or that hold something else."""
        for name in ("id", "received", "user_agent"):
            column = getattr(self, name)
            if column is not None and column not in events.columns.columns:
                raise UnknownPropertyError(column, events.columns.columns)
        if self.received is not None and not isinstance(events.columns[self.received].dtype, pl.Datetime):
            held = events.columns[self.received].dtype
            raise ParameterError(
                f"received={self.received!r} must hold times, and holds {held}. Convert it before reading."
            )


def findings(events: Events, rules: QualityRules) -> Iterator[Finding]:
    """Find what is odd in a log, but for users."""
    yield from _gaps(events, rules)
    yield from _volumes(events, rules)
    yield from _names(events, rules)
    yield from _repeats(events, rules)
    yield from _clocks(events, rules)


def odd_users(events: Events, rules: QualityRules) -> pl.DataFrame:
    """List bots and test users.

    Returns
    -------
    polars.DataFrame
        ``user`` (as text), ``kind`` (``bot`` or ``test_user``), ``reason``, ``events``; a user may have several.
    """
    ordered = order_events(
        events.users, events.columns["time"].to_physical(), events.columns["event"].to_physical()
    )
    users, sizes = ordered.users.cast(pl.String), np.diff(ordered.user_offsets)
    rows = np.repeat(np.arange(sizes.size), sizes)
    parts = []
    if rules.bot_rate is not None:
        parts.append(_fast(rows, ordered.times, rules.bot_rate))
    if rules.regularity is not None:
        parts.append(_regular(rows, ordered.times, rules.regularity))
    if rules.user_agent is not None:
        agents = events.columns[rules.user_agent].cast(pl.String).gather(pl.Series(ordered.rows))
        parts.append(_robots(rows, agents))
    found = [part.with_columns(kind=pl.lit("bot")) for part in parts]
    if rules.test_users is not None:
        own = users.str.contains(rules.test_users).arg_true()
        found.append(
            pl.DataFrame({"row": own}).with_columns(reason=pl.lit("the id says so"), kind=pl.lit("test_user"))
        )
    schema = pl.Schema({"row": pl.Int64, "kind": pl.String, "reason": pl.String})
    listed = pl.concat(
        [pl.DataFrame(schema=schema), *(part.select(list(schema)).cast(schema) for part in found)]
    )
    events_of = pl.Series("events", sizes)
    named = listed.select(users.gather(listed["row"]), "kind", "reason", events_of.gather(listed["row"]))
    return named.sort("events", "user", "reason", descending=[True, False, False])


def whole_days(events: Events) -> tuple[pl.DataFrame, list[Any]]:
    """Count events per name and whole day.

    Returns
    -------
    polars.DataFrame
        ``event``, ``day``, ``events``; no row for none.
    list of date
        The whole days, in order.
    """
    times = events.columns["time"].dt.convert_time_zone(events.tz)
    log = pl.DataFrame({"event": events.columns["event"], "day": times.dt.date()})
    counts = log.group_by("event", "day").agg(pl.len().cast(pl.Int64).alias("events"))
    counts = counts.with_columns(pl.col("event").cast(pl.String))
    span = pl.DataFrame({"first": [events.observed_from], "last": [events.observed_until]})
    local = span.select(pl.all().dt.convert_time_zone(events.tz))
    days = local.select(
        pl.date_ranges(pl.col("first").dt.date(), pl.col("last").dt.date(), "1d").explode().alias("day")
    )
    start = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone(events.tz, non_existent="null")
    end = (
        pl.col("day")
        .dt.offset_by("1d")
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone(events.tz, non_existent="null")
    )
    covered = pl.min_horizontal(end, pl.lit(local["last"][0])) - pl.max_horizontal(
        start, pl.lit(local["first"][0])
    )
    whole = days.filter(covered >= COVERED * (end - start))["day"]
    return counts.filter(pl.col("day").is_in(whole.implode())), whole.to_list()


def _gaps(events: Events, rules: QualityRules) -> Iterator[Finding]:
    if rules.gap is None:
        return
    limit = microseconds(rules.gap, "gap")
    times = np.sort(events.columns["time"].to_physical().to_numpy())
    for place in np.flatnonzero(np.diff(times) > limit).tolist():
        begin, silence = times[place], float(times[place + 1] - times[place])
        moment = pl.Series([begin]).cast(pl.Datetime("us", "UTC")).dt.to_string("%Y-%m-%d %H:%M:%S")[0]
        text = f"no event for {silence / 3.6e9:,.1f} hours after {moment} UTC"
        yield Finding("gap", f"{moment} UTC", silence / 1e6, limit / 1e6, text)


def _volumes(events: Events, rules: QualityRules) -> Iterator[Finding]:
    if rules.change is None:
        return
    counts, days = whole_days(events)
    names = sorted(counts["event"].unique())
    if len(days) <= rules.baseline:
        return
    table = np.zeros((len(days), len(names)), np.int64)
    row, column = ({each: i for i, each in enumerate(keys)} for keys in (days, names))
    for name, day, number in counts.iter_rows():
        table[row[day], column[name]] = number
    for i in range(rules.baseline, len(days)):
        usual = np.median(table[i - rules.baseline : i], axis=0)
        now = table[i]
        odd = ((now >= rules.change * usual) | (now * rules.change <= usual)) & (
            abs(now - usual) >= rules.least_change
        )
        for j in np.flatnonzero(odd & (usual > 0)).tolist():
            limit = usual[j] * rules.change if now[j] > usual[j] else usual[j] / rules.change
            text = f"{names[j]!r} has {now[j]:,} events on {days[i]}, usually {usual[j]:,.0f}"
            yield Finding("volume", f"{names[j]} on {days[i]}", float(now[j]), float(limit), text)


def _names(events: Events, rules: QualityRules) -> Iterator[Finding]:
    if rules.recent is None:
        return
    recent = microseconds(rules.recent, "recent")
    times = events.columns["time"].to_physical()
    first, last = int(str(times.min())), int(str(times.max()))
    before = last - recent - first
    if before < recent:
        return
    log = pl.DataFrame({"event": events.columns["event"], "late": times > last - recent})
    for name, earlier, later in (
        log.group_by("event")
        .agg((~pl.col("late")).sum(), pl.col("late").sum().alias("n"))
        .with_columns(pl.col("event").cast(pl.String))
        .sort("event")
        .iter_rows()
    ):
        expected = earlier * recent / before
        if not earlier:
            yield Finding(
                "new_event", name, float(later), 0.0, f"{name!r} is new: {later:,} events, none before"
            )
        elif not later and expected >= EXPECTED:
            yield Finding(
                "vanished_event",
                name,
                0.0,
                expected,
                f"{name!r} has vanished: {expected:,.0f} events were to be expected",
            )


def _repeats(events: Events, rules: QualityRules) -> Iterator[Finding]:
    quality = events.quality
    if quality.duplicates:
        yield Finding(
            "duplicate",
            "rows",
            float(quality.duplicates),
            0.0,
            f"{quality.duplicates:,} rows equal an earlier one",
        )
    if rules.id is not None:
        ids = events.columns[rules.id].drop_nulls()
        repeated = len(ids) - ids.n_unique()
        if repeated:
            yield Finding(
                "duplicate_id",
                rules.id,
                float(repeated),
                0.0,
                f"{repeated:,} rows have a {rules.id!r} that an earlier row has",
            )


def _clocks(events: Events, rules: QualityRules) -> Iterator[Finding]:
    quality = events.quality
    broken = quality.before_1990 + quality.in_future
    if broken:
        yield Finding(
            "clock_broken", "time", float(broken), 0.0, f"{broken:,} times are before 1990 or in the future"
        )
    if rules.received is None:
        return
    zoned = events.columns[rules.received]
    arrived = zoned.dt.cast_time_unit("us").to_physical()
    delays = pl.DataFrame(
        {"user": events.users.series(), "delay": arrived - events.columns["time"].to_physical()}
    )
    known = delays.drop_nulls().group_by("user").agg(pl.len(), pl.col("delay").min())
    known = known.filter(pl.col("len") >= 5)
    off = known.filter(pl.col("delay").abs() > microseconds(rules.skew, "skew")).height
    share = off / known.height if known.height else 0.0
    if share > rules.skewed_users:
        text = f"the clocks of {off:,} of {known.height:,} users are off by more than {rules.skew}"
        yield Finding("clock_skew", rules.received, share, rules.skewed_users, text)


def _fast(users: Int64s, times: Int64s, limit: int) -> pl.DataFrame:
    """Find users with many events in one minute of the clock."""
    begins = np.flatnonzero((np.diff(users, prepend=-1) != 0) | (np.diff(times // MINUTE, prepend=0) != 0))
    minutes = pl.DataFrame({"row": users[begins], "len": np.diff(begins, append=times.size)})
    fast = minutes.filter(pl.col("len") >= limit).group_by("row").agg(pl.col("len").max())
    return fast.select("row", pl.format("{} events in one minute", "len").alias("reason"))


def _robots(users: Int64s, agents: pl.Series) -> pl.DataFrame:
    """Find users with an event of a known robot or tool; the first by name is the reason."""
    known = agents.unique().drop_nulls()
    robots = known.filter(known.str.contains(BOT_AGENTS))
    found = pl.DataFrame({"row": users, "agent": agents}).filter(pl.col("agent").is_in(robots.implode()))
    first = found.group_by("row").agg(pl.col("agent").min())
    return first.select("row", pl.format("user agent {}", "agent").alias("reason"))


def _regular(users: Int64s, times: Int64s, limit: float) -> pl.DataFrame:
    """Find users whose gaps, in the order of time, are all but equal."""
    gaps = np.diff(times)
    short = np.flatnonzero((users[1:] == users[:-1]) & (gaps <= PAUSE))
    spread = (
        pl.DataFrame({"row": users[short], "gap": gaps[short]})
        .group_by("row")
        .agg(pl.len(), pl.col("gap").mean().alias("mean"), pl.col("gap").std(ddof=0).alias("std"))
    )
    found = spread.filter(
        (pl.col("len") >= LEAST_GAPS) & (pl.col("mean") > 0) & (pl.col("std") < limit * pl.col("mean"))
    )
    return found.select(
        "row", pl.format("an event every {} s", (pl.col("mean") / 1e6).round(1)).alias("reason")
    )
