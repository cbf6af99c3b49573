"""Touchpoints against their slow twin."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import logs, oracle
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table
from tests.oracle import touchpoints as twin

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "<script>alert(1)</script>", "buy")
CHANNELS = ("web", "app", "shop", "<b>phone</b>", None)
OFFLINE = ("shop", "<b>phone</b>")
STAGE = {"view": 1, "cart": 2}
MODEL = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart")])
GROUPS = {"goods": ("view", "cart")}
COLUMNS = twin.Met._fields


@st.composite
def visited(draw):
    rows = draw(logs.logs(min_events=1, max_events=30, names=NAMES, max_users=4))
    return [{**row, "channel": draw(st.sampled_from(CHANNELS))} for row in rows]


def stages_of(path):
    found, now = [], None
    for name in path.names:
        now = {1: "look", 2: "want"}.get(STAGE.get(name), now)
        found.append(now)
    return found


def user_stages(rows):
    """The stage after every row, by its identity: stages go on from session to session."""
    return {
        id(item.row): stage
        for path in oracle.user_paths(rows)
        for item, stage in zip(path.items, stages_of(path), strict=True)
    }


@given(visited(), st.sampled_from(("user", "session")), st.booleans())
def test_every_frame(rows, unit, grouped):
    groups = GROUPS if grouped else None
    question = jk.Touchpoints(
        "buy", channel="channel", offline=OFFLINE, groups=groups, unit=unit, missing="ignore"
    )
    answer = journeys_of(rows).assign_stages(MODEL, missing="ignore").measure(question)
    paths, stage = paths_of(rows, unit), user_stages(rows)
    group_of = {name: group for group, names in (groups or {}).items() for name in names}

    def touchpoint(path, i):
        return group_of.get(path.names[i], path.names[i])

    def channel(path, i):
        return path.items[i].row["channel"]

    def stage_at(path, i):
        return stage[id(path.items[i].row)]

    def shown(label):
        return {key: one._asdict() for key, one in twin.met(paths, label, {"buy"}).items()}

    by_touchpoint = shown(touchpoint)
    assert_close(table(answer.frame, ["touchpoint"], COLUMNS), by_touchpoint)
    assert_close(table(answer.stages, ["stage"], COLUMNS), shown(stage_at))
    assert_close(table(answer.channels, ["channel"], COLUMNS), shown(channel))
    both = shown(lambda path, i: (touchpoint(path, i), channel(path, i)))
    assert_close(table(answer.by_channel, ["touchpoint", "channel"], COLUMNS[1:]),
                 {key: {name: one[name] for name in COLUMNS[1:]} for key, one in both.items()})  # fmt: skip
    where = Counter(
        (touchpoint(path, i), stage_at(path, i)) for path in paths for i in range(len(path.items))
    )
    which = Counter((touchpoint(path, i), channel(path, i)) for path in paths for i in range(len(path.items)))
    for row in answer.frame.iter_rows(named=True):
        name = row["touchpoint"]
        own = {stage: n for (each, stage), n in where.items() if each == name and stage is not None}
        assert row["stage"] == min(
            own, key=lambda each: (-own[each], ["look", "want"].index(each)), default=None
        )
        known = {channel: n for (each, channel), n in which.items() if each == name and channel is not None}
        assert row["channels"] == len(known)
        assert row["main_channel"] == min(known, key=lambda each: (-known[each], each), default=None)
        assert row["visit_share"] == pytest.approx(row["visits"] / len(rows))


@given(visited(), st.sampled_from(("user", "session")))
def test_journeys_across_channels(rows, unit):
    question = jk.Touchpoints("buy", channel="channel", offline=OFFLINE, unit=unit, missing="ignore")
    answer = journeys_of(rows).measure(question)
    paths = paths_of(rows, unit)
    wanted = twin.switches(paths, "channel")
    leaving = Counter()
    for (source, _), (n, _) in wanted.items():
        leaving[source] += n
    assert_close(
        table(answer.switches, ["source", "target"], ["switches", "journeys", "probability"]),
        {
            pair: {"switches": n, "journeys": own, "probability": n / leaving[pair[0]]}
            for pair, (n, own) in wanted.items()
        },
    )
    for frame, label in (
        (answer.sides, lambda path: twin.kind(path, "channel", OFFLINE)),
        (answer.reach, lambda path: len(set(twin.channels(path, "channel"))) or None),
    ):
        counts, won = (
            Counter(map(label, paths)),
            Counter(label(path) for path in paths if "buy" in path.names),
        )
        del counts[None]
        found = table(
            frame, [frame.columns[0]], ["journeys", "journey_share", "converted", "conversion_rate"]
        )
        assert_close(
            found,
            {
                key: {"journeys": n, "journey_share": n / len(paths), "converted": won[key],
                      "conversion_rate": won[key] / n}
                for key, n in counts.items()
            },
        )  # fmt: skip


@pytest.mark.parametrize("unit", ["user", "session"])
def test_intervals(unit):
    draw = random.Random(3)
    rows = [{**row, "channel": draw.choice(CHANNELS[:3])} for row in many_users(5)]
    answer = journeys_of(rows).measure(jk.Touchpoints("buy", channel="channel", unit=unit))
    paths = paths_of(rows, unit)
    users = sorted({path.user for path in paths})

    def number(name):
        def of(some):
            own = [path for path in paths if path.user in set(some)]
            return getattr(twin.met(own, lambda path, i: path.names[i], {"buy"})["view"], name)

        return of

    row = answer.frame.filter(touchpoint="view").row(0, named=True)
    for name, whole in (("journey_share", len(paths)), ("conversion_rate", row["journeys"])):
        wanted = (
            oracle.wilson(row[name], whole)
            if unit == "user"
            else oracle.jackknife(
                users, number(name), "logit",
                denominator_users=len(users) if name == "journey_share" else row["users"],
            )
        )  # fmt: skip
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(tuple(wanted[:2]), rel=1e-9)
