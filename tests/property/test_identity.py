"""Identity against a slow twin: components, strong ids, shared ids, sizes, times; and whose rows are, everywhere."""

from __future__ import annotations

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import journeykit as jk
from journeykit.identity.explaining import OUTCOMES
from tests import logs
from tests.oracle import identity as slow
from tests.property.test_law import assert_same
from tests.property.test_out_of_core import assert_same_everywhere

pytestmark = pytest.mark.property

KINDS = {"cookie": "device", "phone": "device", "login": "login", "card": "card"}
TEXTS = (
    *logs.HOSTILE_NAMES,
    "7",
    "07",
    "ann",
    "Ann",
    "é" * 40,
    "a-long-id-that-does-not-fit",
    "a-long-id-that-does-not-fis",
)


def ids_of(prefix, size):
    """Few ids, so that they meet; each hostile text is an id of one kind."""
    texts = [f"{prefix}{text}" for text in random.Random(prefix).sample(TEXTS, size)]
    return st.one_of(st.none(), st.sampled_from(texts))


ROW = st.fixed_dictionaries(
    {
        "cookie": ids_of("d", 5),
        "phone": ids_of("d", 5),
        "login": ids_of("l", 4),
        "card": ids_of("c", 3),
        "time": st.one_of(st.none(), st.integers(0, 5)),
    }
)
ROWS = st.lists(ROW, max_size=14)
RULES = st.builds(
    slow.Rules,
    strong=st.sampled_from(((), ("login",), ("login", "card"), ("card", "login"))),
    retroactive=st.booleans(),
    owner=st.sampled_from(("first", "last", "current")),
    max_logins=st.sampled_from((None, 1, 2)),
    max_ids=st.sampled_from((None, 2, 3, 5)),
    oversize=st.sampled_from(("apart", "refuse")),
    ignored=st.sampled_from(((), ("d", " DTWO\nLINES "))),
)


def frame_of(rows):
    schema = {**dict.fromkeys(KINDS, pl.String), "time": pl.Int64}
    return pl.DataFrame(rows, schema)


def identity_of(rows, rules):
    return jk.Identity.of(
        frame_of(rows), KINDS, time="time", unit="us", rules=jk.IdentityRules(**rules._asdict())
    )


def turns_of(identity):
    """Per id: its turns as the twin gives them."""
    found = {}
    for row in identity.frame.sort("id", "since").iter_rows(named=True):
        since = slow.ALWAYS if row["since"] is None else row["since"].timestamp() * 1e6
        found.setdefault(row["id"], []).append((since, row["user"]))
    return found


@given(ROWS, RULES)
def test_users_are_those_of_the_slow_twin(rows, rules):
    assert turns_of(identity_of(rows, rules)) == slow.users(rows, KINDS, rules)


@given(ROWS, RULES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows, rules, chance):
    mixed = chance.sample(rows, len(rows))
    one, other = identity_of(rows, rules), identity_of(mixed, rules)
    assert one.frame.equals(other.frame)
    assert one.link_frame.equals(other.link_frame)
    assert one.summary.equals(other.summary)
    assert one.largest(2).equals(other.largest(2))
    for name in one.links.ids:
        assert repr(one.explain(name)) == repr(other.explain(name))


@given(ROWS, RULES)
def test_what_keeps_ids_apart_is_said_of_every_link(rows, rules):
    identity = identity_of(rows, rules)
    user = {
        name: turns[-1][1] for name, turns in slow.users(rows, KINDS, rules._replace(owner="first")).items()
    }
    counts = dict.fromkeys(OUTCOMES, 0)
    assert identity.link_frame.height == len(slow.links_of(rows, KINDS, rules))
    for row in identity.link_frame.iter_rows(named=True):
        counts[row["outcome"]] += 1
        if rules.owner == "first":
            assert (row["outcome"] == "joined") == (user[row["one"]] == user[row["other"]])
    told = dict(identity.summary.iter_rows())
    assert {name: told[f"links refused: {name}"] for name in OUTCOMES[1:]} == {
        name: count for name, count in counts.items() if name != "joined"
    }


@given(
    ROWS,
    RULES,
    st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from("dlcx"), st.integers(-1, 6)), min_size=1),
)
def test_rows_get_the_users_of_the_slow_twin(rows, rules, events):
    identity = identity_of(rows, rules)
    found = slow.users(rows, KINDS, rules)
    names = [prefix + text for text, prefix, _ in events]
    users, times = pl.Series("user", names), pl.Series([time for *_, time in events])
    stitch = pickle.loads(pickle.dumps(identity.stitch()))
    wanted = [slow.owner(name, time, found) for name, (*_, time) in zip(names, events, strict=True)]
    got = stitch(users, times)
    assert got.users.to_list() == wanted
    assert got.known is None
    assert got.moved == sum(one != other for one, other in zip(names, wanted, strict=True))
    strict = identity.stitch("drop")(users, times)
    assert strict.users.to_list() == wanted
    assert strict.known.to_list() == [name in found for name in names]


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.sampled_from([prefix + text for prefix in "dlc" for text in TEXTS[:8]]),
            "time": st.integers(0, 40).map(lambda number: number * logs.MINUTE * 10),
            "event": st.sampled_from(("see", "buy", "ask")),
        }
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(EVENTS, ROWS, RULES, st.sampled_from(("own", "drop")))
def test_users_are_cut_by_who_they_are_out_of_core(events, rows, rules, unmapped):
    identity = identity_of(rows, rules)
    log = pl.DataFrame(events + events[:3])
    roles = {name: name for name in log.columns}
    plan = jk.scan_events(log, **roles, unit="us").stitch(identity, unmapped=unmapped).sessionize("30m")
    questions = (jk.Overview(), jk.TopPaths(None, unit="user"), jk.Transitions())
    engine = jk.OutOfCore(shards=3)
    found = slow.users(rows, KINDS, rules)
    if unmapped == "drop" and not any(event["user"] in found for event in events):
        with pytest.raises(jk.errors.EmptyInputError) as in_memory:
            plan.collect()
        with pytest.raises(jk.errors.EmptyInputError) as in_shards:
            plan.measure(*questions, engine=engine)
        assert str(in_memory.value) == str(in_shards.value)
        return
    assert_same_everywhere(plan, engine, *questions)
    with ThreadPoolExecutor(2) as executor:
        pool = jk.Pool(executor, shards=5)
        assert_same(plan.measure(jk.Overview(), engine=pool), plan.measure(jk.Overview()))
