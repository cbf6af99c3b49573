"""Patterns against their slow twin, on small paths with ties, of every kind of element and connector."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.patterns import Pattern
from journeykit.patterns.searching import Search, found_in
from tests.oracle import patterns as oracle

pytestmark = pytest.mark.property

NAMES = ("a", "b", "c", "d")
PATHS = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((0, 0, 1, 1, 2, 5))), min_size=1, max_size=9),
    min_size=1,
    max_size=4,
)
CLASSES = st.sampled_from(
    [(("a",), False), (("b",), False), (("c",), False), (("a", "b"), False), (("b", "c"), False), (("a",), True),
     (("b", "d"), True), ((), True)]
)  # fmt: skip
REPEATS = st.sampled_from([(1, 1)] * 6 + [(0, 1), (1, None), (0, None), (2, 3), (1, 3), (2, None), (0, 2)])
TESTS = st.one_of(
    st.tuples(st.sampled_from(("<", "<=", ">", ">=", "==")), st.sampled_from((1, 2, 5)), st.just("time")),
    st.tuples(st.sampled_from(("<", "<=", ">", ">=", "==")), st.sampled_from((1, 2, 3)), st.just("events")),
)
CONNECTORS = st.tuples(
    st.sampled_from((True, False, False)),
    st.sampled_from((None, None, None, ("c",), ("b", "d"))),
    st.lists(TESTS, max_size=2) | st.just([]),
)


def journeys_of_paths(paths):
    rows = []
    for user, path in enumerate(paths):
        clock = 0
        for name, gap in path:
            clock += gap
            rows.append({"user": user, "time": clock, "event": name})
    schema = {"user": pl.Int64, "time": pl.Int64, "event": pl.String}
    log = pl.DataFrame(rows, schema=schema)
    return jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")


def timed(path):
    clock, found = 0, []
    for name, gap in path:
        clock += gap
        found.append((name, clock))
    return found


def written(elements, connectors, at_start, at_end):
    """Write a pattern of the slow twin as text."""
    parts = ["^"] if at_start else []
    for number, (names, negated, least, most) in enumerate(elements):
        text = "." if not names and negated else f"[{'^' if negated else ''}{'|'.join(names)}]"
        text += "" if (least, most) == (1, 1) else f"{{{least},{'' if most is None else most}}}"
        parts.append(text)
        if number < len(connectors):
            direct, without, tests = connectors[number]
            arrow = "->" if direct else "~>" + (f"[^{'|'.join(without)}]" if without else "")
            said = [f"{sign}{n}{'s' if what == 'time' else ' events'}" for sign, n, what in tests]
            parts.append(arrow + (f"({', '.join(said)})" if said else ""))
    return " ".join([*parts, *(["$"] if at_end else [])])


@st.composite
def patterns(draw):
    elements = [(*draw(CLASSES), *draw(REPEATS)) for _ in range(draw(st.sampled_from((1, 2, 2, 3, 3, 3, 4))))]
    connectors = []
    for number in range(len(elements) - 1):
        direct, without, tests = draw(CONNECTORS)
        plain = 0 in (elements[number][2], elements[number + 1][2])
        connectors.append((direct, None if direct or plain else without, [] if plain else tests))
    return (
        elements,
        connectors,
        draw(st.booleans()) and draw(st.booleans()),
        draw(st.booleans()) and draw(st.booleans()),
    )


@settings(max_examples=400, deadline=None)
@given(
    PATHS,
    patterns(),
    st.sampled_from((None, None, None, 1, 3, 5)),
    st.sampled_from((None, None, "abc", "bc")),
)
def test_matches_are_those_of_the_slow_twin(paths, drawn, within, alphabet):
    elements, connectors, at_start, at_end = drawn
    try:
        pattern = Pattern(
            written(*drawn), unit="user", within=within and f"{within}s",
            alphabet=alphabet and list(alphabet), missing="ignore",
        )  # fmt: skip
    except jk.errors.PatternError:
        return
    journeys = journeys_of_paths(paths)
    users, starts = journeys.users.to_list(), journeys.paths("user").starts
    asked = {"at_start": at_start, "at_end": at_end, "within": within, "alphabet": alphabet}
    counts = dict(zip(users, Search.of(journeys, pattern).counts().tolist(), strict=True))
    has = dict(zip(users, Search.of(journeys, pattern).counts(first_only=True).tolist(), strict=True))
    for occurrence, overlapping in (
        ("first", False),
        ("last", False),
        ("all", False),
        ("all", True),
        ("last", True),
    ):
        found = found_in(journeys, pattern, occurrence, overlapping=overlapping)
        for place, user in enumerate(users):
            path = timed(paths[user])
            wanted = oracle.matches(path, elements, connectors, overlapping=overlapping, **asked)
            if not overlapping:
                assert counts[user] == len(wanted)
                assert has[user] == min(1, len(wanted))
            numbered = list(enumerate(wanted, 1))
            numbered = {"first": numbered[:1], "last": numbered[-1:], "all": numbered}[occurrence]
            rows = found[found[:, 0] == place]
            ours = [
                (number, (tuple((rows[rows[:, 1] == number, 2] - starts[place]).tolist()),
                          tuple(pattern.compiled.elements[s] for s in rows[rows[:, 1] == number, 3])))
                for number in sorted(set(rows[:, 1].tolist()))
            ]  # fmt: skip
            assert ours == numbered, (pattern.text, path)


@settings(max_examples=150, deadline=None)
@given(PATHS, patterns(), st.sampled_from((None, None, 1, 3)))
def test_prefixes_are_those_of_the_slow_twin(paths, drawn, within):
    """The longest prefix that has a match, and of it the first match."""
    elements, connectors, at_start, _ = drawn
    elements = [(names, negated, 1, 1) for names, negated, *_ in elements]
    try:
        pattern = Pattern(
            written(elements, connectors, at_start, False), unit="user", within=within and f"{within}s",
            missing="ignore",
        )  # fmt: skip
    except jk.errors.PatternError:
        return
    journeys = journeys_of_paths(paths)
    starts = journeys.paths("user").starts
    found = found_in(journeys, pattern, prefixes=True)
    for place, user in enumerate(journeys.users.to_list()):
        wanted = ()
        for size in range(len(elements), 0, -1):
            some = oracle.matches(
                timed(paths[user]), elements[:size], connectors[: size - 1], at_start=at_start, within=within
            )
            if some:
                wanted = some[0][0]
                break
        rows = found[found[:, 0] == place]
        assert tuple((rows[:, 2] - starts[place]).tolist()) == wanted
        assert set(rows[:, 1].tolist()) <= {1 if len(wanted) == len(elements) else 0}


@settings(max_examples=60, deadline=None)
@given(PATHS, patterns(), st.integers(0, 3), st.sampled_from(("session", "user")), st.booleans())
def test_a_step_or_an_anchor_is_the_captured_or_the_last_event_of_every_match(
    paths, drawn, place, unit, capture
):
    """And the journeys marked with it give the same answers."""
    elements, connectors, at_start, at_end = drawn
    place %= len(elements)
    parts = written(*drawn).split(" ")
    if capture:
        parts[2 * place + at_start] = f"it={parts[2 * place + at_start]}"
    try:
        pattern = Pattern(" ".join(parts), unit=unit, missing="ignore")
    except jk.errors.PatternError:
        return
    journeys = journeys_of_paths(paths)
    users, starts = journeys.users.to_list(), journeys.paths("user").starts
    wanted = set()
    for user, start in zip(users, starts.tolist(), strict=True):
        for positions, of in oracle.matches(
            timed(paths[user]), elements, connectors, at_start=at_start, at_end=at_end
        ):
            meant = [at for at, element in zip(positions, of, strict=True) if element == place]
            wanted |= {start + at for at in (meant if capture else positions[-1:])}
    meant = pattern.events_meant(journeys)
    assert set(np.flatnonzero(meant).tolist()) == wanted
    row = pl.Series("row", journeys.rows).filter(pl.Series(meant))
    log = journeys.frame.with_columns(pl.Series("row", journeys.rows)).with_columns(
        is_meant=pl.col("row").is_in(row.implode()), time=pl.col("time").dt.epoch("us")
    )
    read = jk.read_events(log, user="user", time="time", event="event", unit="us", keep=["is_meant"])
    marked, match = read.sessionize("30m"), jk.Match(where=pl.col("is_meant"), label=pattern.text)
    for ask in (
        lambda one: jk.Funnel([one, "a"], unit=unit, missing="ignore"),
        lambda one: jk.Flow(start=one, unit=unit),
        lambda one: jk.StepMatrix(anchor=one, occurrence="last", unit=unit),
    ):
        assert_frame_equal(journeys.measure(ask(pattern)).frame, marked.measure(ask(match)).frame)
