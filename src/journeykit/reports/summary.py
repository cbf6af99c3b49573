"""The first page in plain sentences, each with its numbers and how sure they are."""

from __future__ import annotations

from collections.abc import Iterator

from journeykit.charts.text import count, percent
from journeykit.reports.map_table import MapTable
from journeykit.reports.measuring import SEGMENT
from journeykit.reports.shown import ENDLESS, Shown, amount, score, time
from journeykit.reports.tables import Tables


def summary(tables: Tables, made: MapTable | None, goal: str) -> list[str]:
    """Return the sentences; what must be withheld, or is not known, is not said."""
    said = [*_whole(tables, goal), *_abandoned(tables), *_stages(tables)]
    if made is not None:
        said += _pains(tables, made)
        said += _emotion(tables, made)
    if tables.segments is not None:
        said += _segments(tables, tables.segments)
    return [*said, *_course(tables)]


def _whole(tables: Tables, goal: str) -> Iterator[str]:
    context, shown = tables.findings.overview.context, tables.overview
    yield tables.wording(
        "said_log",
        users=count(context.n_users),
        sessions=count(context.n_sessions),
        events=count(context.n_events),
    )
    if shown.known(0, "converted_users", "user_conversion_rate"):
        yield tables.wording(
            "said_goal", converted=shown.text(0, "converted_users"), users=shown.text(0, "users"), goal=goal,
            rate=shown.estimate(0, "user_conversion_rate"), sessions=shown.estimate(0, "session_conversion_rate"),
        )  # fmt: skip


def _abandoned(tables: Tables) -> Iterator[str]:
    shown, left = tables.abandonment, tables.left_at
    if shown is None or not shown.known(0, "abandoned", "resolved", "abandonment_rate"):
        return
    yield tables.wording(
        "said_abandoned", abandoned=shown.text(0, "abandoned"), resolved=shown.text(0, "resolved"),
        rate=shown.estimate(0, "abandonment_rate"),
    )  # fmt: skip
    if left is not None and left.frame.height and left.known(0, "abandoned", "share"):
        yield tables.wording(
            "said_left", event=str(left.value(0, "state")), share=left.estimate(0, "share"),
            abandoned=left.text(0, "abandoned"),
        )  # fmt: skip


def _stages(tables: Tables) -> Iterator[str]:
    """Name the stage that most users went no further than."""
    shown = tables.stages
    if shown is None:
        return
    known = [row for row in shown.rows[:-1] if shown.known(row, "step_through", "reached", "reached_next")]
    lost = {row: shown.value(row, "reached") - shown.value(row, "reached_next") for row in known}
    if lost and max(lost.values()) > 0:
        row = max(lost, key=lambda each: lost[each])
        said = tables.wording(
            "said_stage", stage=shown.value(row, "stage"), lost=count(lost[row]),
            reached=shown.text(row, "reached"), rate=shown.estimate(row, "step_through"),
        )  # fmt: skip
        yield " ".join([said, *_stay(tables, shown, row)])


def _stay(tables: Tables, shown: Shown, row: int) -> Iterator[str]:
    """Say how long half of the visits to a stage last, if that is known."""
    if shown.known(row, "dwell_median"):
        median = shown.text(row, "dwell_median", time)
        yield (
            tables.wording("said_endless") if median == ENDLESS else tables.wording("said_stay", time=median)
        )


def _pains(tables: Tables, made: MapTable) -> Iterator[str]:
    """Name what costs most and where most is to be won, and say so where it may be chance."""
    for key, row in (("said_pain", made.worst), ("said_opportunity", made.best)):
        if row is not None:
            said = tables.wording(
                key,
                touchpoint=row["item"],
                amount=amount(row["value"]),
                interval=_between(tables, row, amount),
            )
            unsure = row["low"] is not None and row["low"] <= 0
            yield f"{said} {tables.wording('said_chance')}" if unsure else said


def _emotion(tables: Tables, made: MapTable) -> Iterator[str]:
    low = made.saddest
    if low is not None:
        yield tables.wording(
            "said_emotion", stage=low["stage"], emotion=score(low["value"]), ratings=count(low["n"]),
            interval=_between(tables, low, score),
        )  # fmt: skip


def _segments(tables: Tables, shown: Shown) -> Iterator[str]:
    """Name the best and the worst segment, if their intervals are apart."""
    rate = "user_conversion_rate"
    known = [row for row in shown.rows if shown.known(row, rate, f"{rate}_low", f"{rate}_high")]
    if len(known) < 2:
        return
    best, worst = (pick(known, key=lambda row: shown.value(row, rate)) for pick in (max, min))
    if shown.value(best, rate) == shown.value(worst, rate):
        return
    apart = shown.value(best, f"{rate}_low") > shown.value(worst, f"{rate}_high")
    yield tables.wording(
        "said_segments" if apart else "said_segments_alike", by=tables.findings.by, best=_named(shown, best),
        worst=_named(shown, worst), best_rate=shown.estimate(best, rate), worst_rate=shown.estimate(worst, rate),
    )  # fmt: skip


def _named(shown: Shown, row: int) -> str:
    value = shown.frame[SEGMENT][row]
    return shown.wording("unknown") if value is None else str(value)


def _course(tables: Tables) -> Iterator[str]:
    """Compare the last two periods of which something is known; the last of the log may not be over."""
    shown, rate = tables.over_time, "session_conversion_rate"
    known = [row for row in shown.rows[:-1] if shown.known(row, rate)]
    if len(known) < 2:
        return
    before, last = known[-2], known[-1]
    yield tables.wording(
        "said_course", period=f"{shown.value(last, 'period'):%Y-%m-%d}", rate=shown.estimate(last, rate),
        before=percent(shown.value(before, rate)),
    )  # fmt: skip


def _between(tables: Tables, row: dict[str, object], write: object) -> str:
    low, high = row["low"], row["high"]
    if low is None or high is None:
        return tables.wording("no_interval")
    return tables.wording("interval", low=write(low), high=write(high))  # type: ignore[operator]
