"""Friction before giving up, by hand."""

from __future__ import annotations

import pytest

import journeykit as jk
from journeykit.mathematics.differences import fisher
from tests.logs import log
from tests.measuring import journeys_of

# T = minute 2000, horizon 100 minutes, goal buy, trouble fail.
#   a  cart 0, fail 1                         gone, error at fail
#   b  cart 0, fail 1, cart 2                 gone, error at fail and at cart (which follows it)
#   c  cart 0, fail 1, buy 9                  converted, error at fail
#   d  cart 0, buy 5, fail 6                  converted; its error comes after the goal
#   e  cart 0                                 gone
#   f  cart 1950, fail 1951                   open
#   g  fail 0, cart 200                       gone; with start cart, its failure came before the start
CARTS = log(
    """
    a 0 cart; a 1 fail; b 0 cart; b 1 fail; b 2 cart; c 0 cart; c 1 fail; c 9 buy; d 0 cart; d 5 buy; d 6 fail
    e 0 cart; f 1950 cart; f 1951 fail; g 0 fail; g 200 cart; z 2000 ping
    """
)
ERRORS = jk.Friction("fail", rage=None, slow=None)


def asked(**options):
    question = jk.FrictionBeforeAbandonment("buy", "cart", ERRORS, horizon="100m", **options)
    return journeys_of(CARTS).measure(question)


def counts(table, side, **row):
    columns = [f"{what}_{side}" for what in ("units", "converted", "abandoned", "open")]
    return table.filter(**row).select(columns).rows()


def test_only_what_comes_before_the_goal_counts():
    answer = asked()
    assert counts(answer.frame, "with", flag="error") == [(4, 1, 2, 1)]
    assert counts(answer.frame, "without", flag="error") == [(3, 1, 2, 0)]
    # c's purchase follows a failure, and is no part of what came before it.
    assert set(answer.events["event"]) == {"cart", "fail"}


def test_at_an_event_the_others_visited_it_too():
    """Cart: b has an error there; a, c, d, e, f and g were there without one. Fail: none without."""
    answer = asked()
    assert counts(answer.events, "with", event="cart", flag="error") == [(1, 0, 1, 0)]
    assert counts(answer.events, "without", event="cart", flag="error") == [(6, 2, 3, 1)]
    assert counts(answer.events, "without", event="fail", flag="error") == [(0, 0, 0, 0)]
    assert answer.events.filter(event="fail", flag="error")["difference"].to_list() == [None]


def test_rates_leave_open_units_out():
    row = asked(min_units=1).frame.filter(flag="error").to_dicts()[0]
    assert (row["resolved_with"], row["rate_with"]) == (3, pytest.approx(2 / 3))
    assert row["rate_without"] == pytest.approx(2 / 3)
    assert (row["difference"], row["ratio"]) == (pytest.approx(0), pytest.approx(1))
    assert row["p_value"] == pytest.approx(fisher(2, 3, 2, 3))


def test_few_units_are_shown_and_not_tested():
    row = asked(min_units=4).frame.filter(flag="error").to_dicts()[0]
    assert (row["resolved_with"], row["p_value"], row["p_adjusted"]) == (3, None, None)
    assert "Flags that fewer than 4 resolved units met are shown and not tested." in asked(min_units=4).notes


def test_the_window_ends_the_hope_and_not_the_count():
    """Within 4 minutes nobody buys: d's and c's stretches go on, so that d's late failure counts."""
    answer = asked(within="4m")
    assert counts(answer.frame, "with", flag="error") == [(5, 0, 5, 0)]


def test_sessions_end_by_their_timeout():
    question = jk.FrictionBeforeAbandonment("buy", "cart", ERRORS, unit="session")
    answer = journeys_of(CARTS).measure(question)
    assert counts(answer.frame, "with", flag="error") == [(4, 1, 3, 0)]
    assert counts(answer.frame, "without", flag="error") == [(3, 1, 2, 0)]


def many(seed=0):
    """Sixty users of two sessions; three of four with a failure give up, one of four without."""
    rows = []
    for user in range(60):
        for session in range(2):
            fails, buys = (user + session) % 2 == 0, (user // 2 + session) % 4 == 0
            names = ["cart", *(["fail"] if fails else []), *(["buy"] if buys == fails else [])]
            rows += [
                {"user": f"u{user}", "time": (session * 100 + i) * 60_000_000, "event": name}
                for i, name in enumerate(names)
            ]
    return rows


def test_sessions_are_compared_by_the_jackknife():
    """The last session is open: it is counted, and in no rate."""
    question = jk.FrictionBeforeAbandonment("buy", "cart", ERRORS, unit="session")
    late = [{"user": "late", "time": 3_600_000_000_000, "event": name} for name in ("cart", "fail")]
    row = journeys_of([*many(), *late]).measure(question).frame.filter(flag="error").to_dicts()[0]
    assert (row["units_with"], row["open_with"], row["units_without"]) == (61, 1, 60)
    assert row["difference"] == pytest.approx(row["rate_with"] - row["rate_without"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert row["difference"] - row["difference_low"] == pytest.approx(
        row["difference_high"] - row["difference"]
    )
    assert row["ratio"] ** 2 == pytest.approx(row["ratio_low"] * row["ratio_high"])
    assert row["p_value"] < 1e-4


REFUSED = {
    "friction cannot be 'fail'. Give a Friction, such as Friction('help').": {
        "friction": "fail",
        "horizon": "1d",
    },
    "min_units must be a whole number from 1 on, not 0.": {"min_units": 0, "horizon": "1d"},
    "horizon is needed for users, and has no default: how long a silence means that a user is gone decides the "
    "rates. Take a time after which few return, such as horizon='30d'. For sessions that end without the goal, pass "
    'unit="session".': {},
    'horizon is for unit="user": a session has ended when its own timeout has passed. Leave horizon out, or pass '
    'unit="user".': {"unit": "session", "horizon": "1d"},
    "unit cannot be 'device'. Choose one of: 'session', 'user'.": {"unit": "device"},
}


@pytest.mark.parametrize("expected", REFUSED)
def test_what_is_refused(expected):
    with pytest.raises(jk.JourneykitError) as caught:
        jk.FrictionBeforeAbandonment("buy", **REFUSED[expected])
    assert str(caught.value) == expected


def test_unknown_names_are_refused_before_any_work():
    with pytest.raises(jk.errors.UnknownNameError, match="no event 'bye' in this log. Did you mean 'buy'"):
        journeys_of(CARTS).measure(jk.FrictionBeforeAbandonment("bye", horizon="1d"))
