"""PainPoints against exact fractions, and the identity of D15.6."""

from __future__ import annotations

import random
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import journeykit as jk
from tests import logs, oracle
from tests.measuring import journeys_of, many_users, paths_of
from tests.oracle import friction as flags_twin
from tests.oracle import pain as twin
from tests.oracle.intervals import interval, standard_error
from tests.oracle.paths import Path

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "<b>help</b>", "buy", "other")
STAGE = {"view": 1, "cart": 2}
MODEL = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart")])
FEW = settings(max_examples=max(1, settings().max_examples // 2))
HELP = "<b>help</b>"


def stages_by_row(rows):
    found = {}
    for path in oracle.user_paths(rows):
        now = 0
        for item in path.items:
            now = STAGE.get(item.name, now)
            found[id(item.row)] = now
    return found


def classes_by_row(rows):
    return {
        id(path.items[i].row): flags_twin.class_of(flags_twin.flags_of(path, i, {HELP}, None, 10_000_000, {}))
        for path in oracle.session_paths(rows)
        for i in range(len(path.items))
    }


def ends_everywhere(paths, censor):
    """Whether a path leads from every state to an end, so that the fractions have a solution."""
    moves = set(twin.chain_moves(paths, {twin.CONVERT: {"buy"}}, censor=censor))
    states, reached = {a for a, _ in moves}, {twin.CONVERT, twin.ABANDON}
    states |= {b for _, b in moves} - reached
    for _ in states:
        reached |= {a for a, b in moves if b in reached}
    return states <= reached


def question(unit, staged, censor, targets):
    chain = jk.Chain(
        "buy", unit=unit, open_paths="censor" if censor else "end",
        horizon="2h" if unit == "user" and censor else None, missing="ignore",
    )  # fmt: skip
    return jk.PainPoints(chain, jk.Friction(HELP, rage=None, slow=None), targets=targets)


def close(found, wanted):
    return (found is None) == (wanted is None) and (
        wanted is None or found == pytest.approx(float(wanted), abs=1e-9)
    )


@given(
    logs.logs(min_events=1, max_events=24, names=NAMES, max_users=5),
    st.sampled_from(("session", "user")),
    st.booleans(),
    st.booleans(),
    st.sampled_from((None, {"cart": 0.25})),
)
def test_pains_are_those_of_the_definition(rows, unit, staged, censor, targets):
    if targets and not any(row["event"] == "cart" for row in rows):
        targets = None
    options = {"horizon": 2 * logs.HOUR} if unit == "user" and censor else {}
    paths = paths_of(rows, unit, **options)
    assume(ends_everywhere(paths, censor))
    journeys = journeys_of(rows)
    if staged:
        journeys = journeys.assign_stages(MODEL, missing="ignore")
    answer = journeys.measure(question(unit, staged, censor, targets))
    wanted, together = twin.pains(
        paths, {"buy"}, stages_by_row(rows) if staged else {}, classes_by_row(rows), censor,
        {name: Fraction(rate) for name, rate in (targets or {}).items()},
    )  # fmt: skip
    assert set(answer.frame["touchpoint"]) == set(wanted)
    parts = {(row["touchpoint"], row["part"]): row for row in answer.parts.iter_rows(named=True)}
    for row in answer.frame.iter_rows(named=True):
        pain = wanted[row["touchpoint"]]
        assert row["stage"] == (None, "look", "want")[pain.stage]
        assert (row["visits"], row["exits"]) == (pain.visits, pain.exits)
        assert close(row["exit_rate"], pain.exit_rate)
        assert close(row["reference_exit_rate"], pain.level)
        assert close(row["conversion_if_staying"], pain.staying)
        assert close(row["lost_conversions"], pain.lost)
        assert close(row["base"], pain.base)
        assert close(row["regained_conversions"], pain.regained), row["touchpoint"]
        assert close(parts[row["touchpoint"], "base"]["lost_conversions"], pain.base)
        for kind, part in pain.parts.items():
            assert close(parts[row["touchpoint"], kind]["lost_conversions"], part)
    assert close(answer.outcomes["regained_conversions"].item(), together)


@FEW
@given(
    logs.logs(min_events=1, max_events=40, max_users=5),
    st.integers(0, 5),
    st.sampled_from(("session", "user")),
    st.booleans(),
)
def test_pain_is_base_and_friction_exactly(rows, pick, unit, censor):
    """On hostile names, with rage, slow visits and ratings: D15.6."""
    names = sorted({row["event"] for row in rows})
    goal, trouble = names[pick % len(names)], names[(pick + 1) % len(names)]
    said = pl.DataFrame(
        {
            "user": pl.Series([row["user"] for row in rows[:9]], dtype=logs.own_type(rows, "user")),
            "time": [row["time"] for row in rows[:9]],
            "value": [float(len(row["event"]) % 5 + 1) for row in rows[:9]],
        }
    )
    friction = jk.Friction(trouble, slow=0.5, ratings=jk.Ratings("csat", said, unit="us"))
    chain = jk.Chain(goal, unit=unit, open_paths="censor" if censor else "end")
    answer = journeys_of(rows).measure(jk.PainPoints(chain, friction))
    sums = answer.parts.group_by("touchpoint").agg(
        pl.col("lost_conversions").sum().alias("sum"),
        pl.col("visits").sum().alias("all"),
        pl.col("exits").sum().alias("out"),
    )
    joined = answer.frame.join(sums, on="touchpoint", how="left")
    assert joined.height == answer.frame.height
    for row in joined.iter_rows(named=True):
        assert (row["visits"], row["exits"]) == (row["all"], row["out"])
        if row["lost_conversions"] is not None:
            assert row["sum"] == pytest.approx(row["lost_conversions"], abs=1e-9)
            assert row["base"] + row["friction"] == pytest.approx(row["lost_conversions"], abs=1e-9)


def test_intervals_refit_without_each_group():
    rows = many_users(11, users=70, events=9, names=("view", "cart", HELP, "buy"))
    answer = journeys_of(rows).measure(question("session", False, False, None))
    found = {row["touchpoint"]: row for row in answer.frame.iter_rows(named=True)}
    everybody = sorted({row["user"] for row in rows})
    classes, paths = classes_by_row(rows), oracle.session_paths(rows)
    groups = sorted({oracle.group(user) for user in everybody})

    def pains(left_out: int | None) -> dict[str, twin.Pain]:
        own: list[Path] = [path for path in paths if oracle.group(path.user) != left_out]
        return twin.pains(own, {"buy"}, {}, classes, False, {})[0]

    full, replicates = pains(None), [pains(group) for group in groups]
    rescale = len(groups) / (len(groups) - 1)
    for name in ("view", "cart", HELP):
        for column, field in (
            ("lost_conversions", "lost"),
            ("regained_conversions", "regained"),
            ("base", "base"),
        ):
            theta = float(getattr(full[name], field))
            others = [float(getattr(each[name], field)) * rescale for each in replicates]
            wanted = interval(theta, standard_error(theta, others, len(groups)), len(groups), "identity")
            ends = (found[name][f"{column}_low"], found[name][f"{column}_high"])
            assert ends == pytest.approx(tuple(wanted[:2]), rel=1e-8)


def test_a_reference_segment():
    draw = random.Random(2)
    device = {f"u{n}": draw.choice(("mobile", "desktop")) for n in range(60)}
    rows = [
        {**row, "device": device[row["user"]]} for row in many_users(7, names=("view", "cart", HELP, "buy"))
    ]
    asked = jk.PainPoints(
        jk.Chain("buy", open_paths="end"), jk.Friction(HELP, rage=None, slow=None),
        reference={"device": "desktop"},
    )  # fmt: skip
    answer = journeys_of(rows).measure(asked, by="device")
    assert answer.frame["device"].unique().to_list() == ["mobile"]
    sides = {
        side: [path for path in oracle.session_paths(rows) if device[path.user] == side]
        for side in ("mobile", "desktop")
    }
    classes = classes_by_row(rows)
    level = {
        name: each.exit_rate
        for name, each in twin.pains(sides["desktop"], {"buy"}, {}, classes, False, {})[0].items()
    }
    wanted = twin.pains(sides["mobile"], {"buy"}, {}, classes, False, level)[0]
    for row in answer.frame.iter_rows(named=True):
        assert close(row["lost_conversions"], wanted[row["touchpoint"]].lost)
        assert close(row["regained_conversions"], wanted[row["touchpoint"]].regained)
