"""Cleaned journeys against the slow twin. D3.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import oracle
from tests.logs import logs
from tests.measuring import journeys_of
from tests.property.test_selection import assert_sound

pytestmark = pytest.mark.property

RULES = (("e", "E"), ("i(.)", "<i>"), (r"\?(.*)", "?"), ("^c", "view"), ("n", ""))
GROUPS = ("*a*", "v*w", "r*h", "*", ".", "lo")

cleanings = st.fixed_dictionaries(
    {
        "rename": st.lists(st.sampled_from(RULES), max_size=2),
        "wildcards": st.lists(st.sampled_from(GROUPS), max_size=2),
        "exclude": st.lists(st.sampled_from(("view", "*a*", "cart", "", "vIEw")), max_size=2),
        "collapse_repeats": st.sampled_from((None, "first", "last")),
    }
)


def cleaning_of(options, unit):
    return jk.PathCleaning(
        rules=options["rename"],
        groups=options["wildcards"],
        exclude=options["exclude"],
        collapse_repeats=options["collapse_repeats"] is not None,
        keep=options["collapse_repeats"] or "first",
        unit=unit,
    )


def stored(journeys, unit):
    """List (user, name, time, run length) of every event, in the order of the paths, path by path."""
    frame = journeys.frame
    lengths = frame["run_length"] if "run_length" in frame.columns else [1] * frame.height
    paths = {}
    for user, session, event, time, length in zip(
        frame["user"], frame["session"], frame["event"], frame["time"].to_physical(), lengths, strict=True
    ):
        paths.setdefault((user, session if unit == "session" else 0), []).append((event, time, length))
    return sorted((str(user), path) for (user, _), path in paths.items())


@pytest.mark.parametrize("unit", ["session", "user"])
@given(rows=logs(min_events=1, with_order=True), options=cleanings)
def test_names_noise_and_repeats(unit, rows, options):
    journeys = journeys_of(rows)
    found = journeys.clean(cleaning_of(options, unit), missing="ignore")
    paths = oracle.session_paths(rows) if unit == "session" else oracle.user_paths(rows)
    expected, lost = oracle.clean(paths, **options)
    assert_sound(found)
    assert stored(found, unit) == sorted(
        (str(path.user), [(item.name, item.time, item.run) for item in path.items]) for path in expected
    )
    had = journeys.n_sessions if unit == "session" else journeys.n_users
    has = found.n_sessions if unit == "session" else found.n_users
    assert had - has == lost or unit == "user"
    assert found.names.to_list() == sorted(found.names)
    assert found.names.dtype == journeys.names.dtype


@given(rows=logs(min_events=1, with_session=True, with_order=True), keep=st.sampled_from(("first", "last")))
def test_runs_of_users_whose_sessions_interleave(rows, keep):
    journeys = journeys_of(rows, jk.SessionRule.from_column("outside"))
    found = journeys.clean(jk.PathCleaning(collapse_repeats=True, keep=keep, unit="user"))
    assert_sound(found)
    expected, _ = oracle.clean(oracle.user_paths(rows), collapse_repeats=keep)
    assert stored(found, "user") == sorted(
        (str(path.user), [(item.name, item.time, item.run) for item in path.items]) for path in expected
    )


@given(rows=logs(min_events=1, with_order=True), options=cleanings)
def test_cleaning_twice_in_parts_is_cleaning_once(rows, options):
    journeys = journeys_of(rows)
    names = {**options, "exclude": [], "collapse_repeats": None}
    rest = {**options, "rename": [], "wildcards": []}
    parts = journeys.clean(cleaning_of(names, "session")).clean(
        cleaning_of(rest, "session"), missing="ignore"
    )
    whole = journeys.clean(cleaning_of(options, "session"), missing="ignore")
    assert stored(parts, "session") == stored(whole, "session")
