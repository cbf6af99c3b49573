"""The oracle itself, against numbers worked out by hand and the shop answers of another program."""

from __future__ import annotations

import json
import math
from datetime import date
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from tests import logs, oracle
from tests.logs import (
    ABANDONED_CARTS,
    HOUR,
    MINUTE,
    RESTARTED_FUNNEL,
    SECOND,
    SMALL_SHOP,
    STAGE_WALK,
    THREE_WEEKS,
)
from tests.oracle import END, OTHER, START

BASE = SMALL_SHOP[0]["time"]


def minutes(rows: Any) -> list[float]:
    """Times of rows as minutes of the hand-made logs."""
    return [(row["time"] - BASE) / MINUTE for row in rows]


def names(rows: Any) -> list[str]:
    return [row["event"] for row in rows]


class TestOrder:
    def test_ties_keep_input_order_and_null_order_comes_last(self) -> None:
        rows = [
            {"user": "b", "time": 1, "event": "z"},
            {"user": "a", "time": 5, "event": "late"},
            {"user": "a", "time": 1, "event": "null", "order": None},
            {"user": "a", "time": 1, "event": "two", "order": 2},
            {"user": "a", "time": 1, "event": "one", "order": 1},
            {"user": "a", "time": 1, "event": "two again", "order": 2},
        ]
        ordered = oracle.order(rows)
        assert list(ordered) == ["a", "b"]
        assert names(ordered["a"]) == ["one", "two", "two again", "null", "late"]

    def test_quality(self) -> None:
        found = oracle.quality(SMALL_SHOP)
        assert (found["users"], found["events"], found["event_names"]) == (3, 9, 4)
        assert (found["tied_pairs"], found["tied_pairs_distinct"], found["tied_events"]) == (1, 1, 2)
        assert (found["out_of_order"], found["duplicates"], found["single_event_users"]) == (0, 0, 1)
        backwards = oracle.quality(SMALL_SHOP[::-1])
        assert (
            backwards["out_of_order"] == 4 + 1
        )  # ann goes back four times, bob once: his tie is no step back


class TestSessions:
    def cut(self, text: str, **options: Any) -> tuple[list[list[float]], list[str], list[float]]:
        found = oracle.sessions(logs.log(text), **options)
        return [minutes(one) for one in found.sessions], found.causes, minutes(found.outside)

    def test_gap_equal_to_the_timeout(self) -> None:
        assert self.cut("u 0 a; u 30 b; u 61 c") == ([[0, 30], [61]], ["first", "timeout"], [])
        cut = self.cut("u 0 a; u 30 b; u 61 c", timeout_inclusive=True)
        assert cut == ([[0], [30], [61]], ["first", "timeout", "timeout"], [])

    def test_length_rules(self) -> None:
        text = "u 0 a; u 1 a; u 2 a; u 10 a; u 11 a"
        assert self.cut(text, max_duration=2 * MINUTE)[0] == [[0, 1, 2], [10, 11]]
        assert self.cut(text, max_events=2)[:2] == (
            [[0, 1], [2, 10], [11]],
            ["first", "max_events", "max_events"],
        )
        # Three events within two minutes close a burst; the next three take nine, so they do not.
        assert self.cut(text + "; u 19 a; u 20 a", burst=(3, 2 * MINUTE))[:2] == (
            [[0, 1, 2], [10, 11, 19, 20]],
            ["first", "burst"],
        )

    def test_calendar_day_of_the_zone(self) -> None:
        text = "u 1435 a; u 1440 b"  # 23:55 and 00:00 UTC; in Berlin 00:55 and 01:00
        assert self.cut(text, split_at="day")[:2] == ([[1435], [1440]], ["first", "split_at"])
        assert self.cut(text, split_at="day", tz="Europe/Berlin")[0] == [[1435, 1440]]

    def test_named_events_and_the_order_of_the_rules(self) -> None:
        text = "u 0 in; u 1 a; u 2 out; u 3 in; u 4 in; u 50 in"
        assert self.cut(text, start_events={"in"}, end_events={"out"})[:2] == (
            [[0, 1, 2], [3], [4], [50]],
            ["first", "start_events", "start_events", "timeout"],
        )
        assert self.cut("u 0 out; u 1 a", end_events={"out"})[1] == ["first", "end_events"]

    def test_a_changed_property(self) -> None:
        values = [None, "x", None, "x", "y", None]
        rows = [{"user": "u", "time": i, "event": "a", "campaign": value} for i, value in enumerate(values)]
        found = oracle.sessions(rows, split_on=["campaign"])
        assert [len(one) for one in found.sessions] == [4, 2]
        assert found.causes == ["first", "split_on"]

    def test_passive_events(self) -> None:
        # ping 20 is inside; a 31 is 31 minutes after a 0 in spite of it; ping 62 is too late.
        cut = self.cut("u -5 ping; u 0 a; u 20 ping; u 31 a; u 62 ping", passive={"ping"})
        assert cut == ([[0, 20], [31]], ["first", "timeout"], [-5, 62])

    def test_column(self) -> None:
        values = ["s2", "s1", None, "s2", None]
        rows = [
            {"user": "u", "time": i * 20 * MINUTE, "event": "a", "session": value}
            for i, value in enumerate(values)
        ]
        with pytest.raises(ValueError, match="2 rows without a session"):
            oracle.column_sessions(rows)
        places = {
            mode: [[rows.index(row) for row in one] for one in oracle.column_sessions(rows, mode).sessions]
            for mode in ("own", "rule", "outside")
        }
        assert places == {
            "own": [[0, 3], [1], [2], [4]],
            "rule": [[0, 3], [1], [2], [4]],  # 40 minutes between the null rows
            "outside": [[0, 3], [1]],
        }
        assert len(oracle.column_sessions(rows, "rule", timeout=HOUR).sessions) == 3
        null_first = oracle.column_sessions(rows[2:], "own")  # null, s2, null
        assert [rows.index(session[0]) for session in null_first.sessions] == [2, 3, 4]
        assert null_first.causes == ["own", "column", "own"]


class TestOverview:
    def test_small_shop(self) -> None:
        found = oracle.overview(SMALL_SHOP)
        assert (found["users"], found["sessions"], found["events"]) == (3, 4, 9)
        assert found["sessions_per_user"] == 4 / 3
        assert found["duration_mean"] == (35 + 0 + 4 + 0) * 60 / 4
        assert found["events_per_session"] == 9 / 4
        assert found["bounce_rate"] == 2 / 4
        assert found["single_event_users"] == 1
        assert found["splits"] == {"first": 3, "timeout": 1}

    def test_a_bounce_is_one_event(self) -> None:
        assert oracle.overview(logs.log("u 0 a; u 1 a; v 0 a"))["bounce_rate"] == 1 / 2

    def test_empty(self) -> None:
        found = oracle.overview([])
        assert (found["users"], found["bounce_rate"], found["duration_mean"]) == (0, None, None)

    def test_engaged_and_gaps(self) -> None:
        own = oracle.sessions(oracle.order(SMALL_SHOP)["ann"]).sessions
        assert oracle.engaged_rate(own) == 1 / 2
        assert oracle.engaged_rate(own, keys={"view"}) == 1
        assert oracle.return_gaps(own, BASE + 200 * MINUTE) == [(31 * 60, True), (134 * 60, False)]


class TestStages:
    MODEL = (
        oracle.Stage("awareness", [oracle.Rule(names=["ad"])]),
        oracle.Stage("consideration", [oracle.Rule(glob="v*w")]),
        oracle.Stage("purchase", [oracle.Rule(regex="^buy$")]),
        oracle.Stage("loyalty", [oracle.Rule(names=["buy"], nth=2)], priority=1),
    )

    def test_walk(self) -> None:
        staged = oracle.assign(STAGE_WALK, self.MODEL)
        assert [one.matched for one in staged] == [None, 2, None, 1, 3, 2, 4, None]
        assert [one.current for one in staged] == [None, 2, 2, 1, 3, 2, 4, 4]
        assert [one.furthest for one in staged] == [None, 2, 2, 2, 3, 3, 4, 4]
        found = oracle.visits([one.current for one in staged])
        assert found == [(2, 1, 2), (1, 3, 3), (3, 4, 4), (2, 5, 5), (4, 6, 7)]
        made = [
            (move.source, move.target, move.kind, move.re_entry, move.skipped) for move in oracle.moves(found)
        ]
        assert made == [
            (2, 1, "regress", False, ()),
            (1, 3, "skip", False, (2,)),
            (3, 2, "regress", True, ()),
            (2, 4, "skip", False, (3,)),
        ]
        assert oracle.moves(found, loop_edges=[(3, 2)])[2].kind == "loop_move"

    def test_numbers(self) -> None:
        staged = oracle.assign(STAGE_WALK, self.MODEL)
        times = [row["time"] for row in STAGE_WALK]
        walk = oracle.StagedUnit(times, staged, [1, 1, 1, 1, 1, 1, 1, 2])
        shopper = oracle.StagedUnit([times[0]], [oracle.Staged(3, 3, 3)], [3])
        nobody = oracle.StagedUnit([times[0]], [oracle.Staged(None, None, None)], [4])
        table = oracle.stage_numbers([walk, shopper, nobody], 4, BASE + 86 * MINUTE)
        assert [table[k]["visited"] for k in (1, 2, 3, 4)] == [1, 1, 2, 1]
        assert [table[k]["reached"] for k in (1, 2, 3, 4)] == [2, 2, 2, 1]
        assert [table[k]["current"] for k in (1, 2, 3, 4)] == [0, 0, 1, 1]
        assert [table[k]["bypass_rate"] for k in (1, 2, 3, 4)] == [1 / 2, 1 / 2, 0, None]
        assert [table[k]["step_through"] for k in (1, 2, 3, 4)] == [1, 1, 1 / 2, None]
        assert (table[1]["units"], table[1]["staged_units"]) == (3, 2)
        two = table[2]
        assert (two["visits"], two["entries"], two["regress_rate"], two["re_entry_rate"]) == (
            2,
            1,
            1 / 2,
            1 / 2,
        )
        assert (two["skipped"], table[3]["skipped"]) == (1, 1)
        assert (two["dwell_mean_closed"], two["dwell_median"]) == (270, 180)
        assert two["active_dwell_mean"] == (3 + 6) * 60 / 2
        # Loyalty: open since 26, T = 86; no gap of it lies inside a session.
        four = table[4]
        assert (four["dwell_mean_closed"], four["dwell_median"], four["active_dwell_mean"]) == (
            None,
            math.inf,
            0,
        )

    def test_conditions(self) -> None:
        rows = logs.log("u 0 x; u 1 buy; u 3 buy; u 4 x; u 9 buy")
        matched = lambda **rule: [  # noqa: E731
            i for i in range(5) if oracle.Rule(names=["buy"], **rule).matches(rows, i)
        ]
        x = oracle.Rule(names=["x"])
        assert matched() == [1, 2, 4]
        assert matched(nth=2) == [2, 4]
        assert matched(nth=2, nth_exact=True) == [2]
        assert matched(after=x) == [1, 2, 4]
        assert matched(after=x, within=2 * MINUTE) == [1]
        assert matched(after=x, within=5 * MINUTE) == [1, 2, 4]
        assert matched(min_gap=2 * MINUTE) == [2, 4]
        assert matched(min_gap=3 * MINUTE) == [4]
        assert matched(predicate=lambda row: None) == []

    def test_fullmatch(self) -> None:
        row = {"event": "add to cart"}
        assert oracle.Rule(regex="cart").names_it(row)
        assert not oracle.Rule(regex="cart", fullmatch=True).names_it(row)


class TestPaths:
    def test_cleaning_in_sequence(self) -> None:
        rows = logs.log("u 0 /p/1; u 1 /p/2; u 2 ad; u 3 /p/3; u 4 end")
        paths = oracle.user_paths(rows)
        options: dict[str, Any] = {
            "rename": [(r"\d", "n"), ("^/p", "/page")],
            "wildcards": ["/p*n", "/page*"],
        }
        (named,), _ = oracle.clean(paths, **options)
        assert named.names == ("/p*n", "/p*n", "ad", "/p*n", "end")
        (path,), gone = oracle.clean(paths, exclude={"ad"}, collapse_repeats="last", **options)
        assert (path.names, gone) == (("/p*n", "end"), 0)
        assert (minutes([path.items[0].row])[0], path.items[0].run) == (3, 3)
        assert oracle.clean(paths, keep_row=lambda row: row["event"] == "no") == ([], 1)

    @pytest.mark.parametrize(
        ("start", "end", "occurrence", "limit", "expected"),
        [
            ("A", None, "first", None, "ABCABD"),
            ("A", None, "last", None, "ABD"),
            ("A", None, 2, None, "ABD"),
            ("A", None, 3, None, ""),
            ("B", "B", "first", None, "BCAB"),
            (None, "B", "first", None, "XAB"),
            (None, "D", "first", 3, "ABD"),
            ("A", None, "first", 2, "AB"),
            (None, None, "first", 2, "XA"),
            ("A", "D", "first", 5, "AB*BD"),
            ("A", "D", "first", 6, "ABCABD"),
            ("D", "A", "first", None, ""),
        ],
    )
    def test_anchors(self, start: str, end: str, occurrence: Any, limit: int, expected: str) -> None:
        items = [oracle.Item(name, i, None) for i, name in enumerate("XABCABD")]
        kept = oracle.anchor(items, start, end, occurrence, limit)
        assert [item.name for item in kept] == [OTHER if name == "*" else name for name in expected]

    def test_open(self) -> None:
        assert [path.open for path in oracle.session_paths(SMALL_SHOP)] == [False, False, False, True]
        until = BASE + 230 * MINUTE
        assert [path.open for path in oracle.session_paths(SMALL_SHOP, until)][-1]
        assert not [path.open for path in oracle.session_paths(SMALL_SHOP, until, timeout_inclusive=True)][-1]
        horizon = 134 * MINUTE  # ann's silence: T - l < H does not hold
        assert [path.open for path in oracle.user_paths(SMALL_SHOP, horizon=horizon)] == [False, False, True]


class TestTransitions:
    def test_counts_in_sessions(self) -> None:
        assert oracle.transition_counts(oracle.session_paths(SMALL_SHOP)) == {
            (START, "view"): 3,
            (START, "search"): 1,
            ("view", "view"): 1,
            ("view", "cart"): 2,
            ("cart", "purchase"): 1,
            ("search", "view"): 1,
            ("purchase", END): 1,
            ("view", END): 2,
            ("cart", END): 1,
        }

    def test_counts_of_users(self) -> None:
        found = oracle.transition_counts(oracle.user_paths(SMALL_SHOP))
        assert sum(found.values()) == 12
        assert (found["purchase", "view"], found["purchase", END], found[START, "view"]) == (1, 0, 2)

    def test_numbers_of_an_edge(self) -> None:
        edge = oracle.edges(oracle.session_paths(SMALL_SHOP))["view", "cart"]
        assert (edge.count, edge.users, edge.sessions) == (2, 2, 2)
        assert (edge.probability, edge.probability_in, edge.share) == (2 / 5, 1, 2 / 13)
        assert edge.user_share == 2 / 3
        assert edge.lift == pytest.approx(
            (2 / 5) / (2 / 9)
        )  # 9 transitions do not leave START, 2 of them reach cart
        assert (edge.time_mean, edge.time_median, edge.time_min, edge.time_max) == (210, 210, 180, 240)
        assert edge.time_p90 == pytest.approx(234)
        start = oracle.edges(oracle.session_paths(SMALL_SHOP))[START, "search"]
        assert (start.probability, start.lift, start.time_mean) == (1 / 4, None, None)

    def test_without_end(self) -> None:
        table = oracle.edges(oracle.session_paths(SMALL_SHOP), include_end=False)
        assert table["view", "cart"].probability == 2 / 3
        assert table["view", END].probability is None

    def test_collapsed_times(self) -> None:
        paths = oracle.session_paths(SMALL_SHOP)
        first = oracle.edges(paths, collapse_repeats="first")["view", "cart"]
        last = oracle.edges(paths, collapse_repeats="last")["view", "cart"]
        assert (first.time_mean, last.time_mean) == (270, 210)  # ann: 5 or 3 minutes
        assert ("view", "view") not in oracle.transition_counts(paths, collapse_repeats="first")

    def test_censored(self) -> None:
        paths = oracle.session_paths(SMALL_SHOP)
        assert oracle.transition_counts(paths, open_paths="censor")["view", END] == 1
        assert oracle.nodes(paths, open_paths="censor")["view"] == (5, 3, 1 / 4, 3 / 4)

    def test_order_two(self) -> None:
        found = oracle.transition_counts(oracle.session_paths(SMALL_SHOP), order=2)
        assert found[START, ("view",)] == 3
        assert found[("view",), ("view", "view")] == 1
        assert found[("view", "view"), ("view", "cart")] == 1
        assert found[("search", "view"), ("view", "cart")] == 1
        assert found[("view", "cart"), ("cart", "purchase")] == 1
        assert found[("view", "cart"), END] == 1
        assert sum(found.values()) == 13

    def test_nodes(self) -> None:
        table = oracle.nodes(oracle.session_paths(SMALL_SHOP))
        assert table["view"] == (5, 3, 2 / 5, 3 / 4)
        assert table["purchase"] == (1, 1, 1, 0)

    @settings(max_examples=50, deadline=None)
    @given(logs.logs())
    def test_identities(self, rows: list[logs.Row]) -> None:
        for paths in (oracle.session_paths(rows), oracle.user_paths(rows)):
            found = oracle.transition_counts(paths)
            assert sum(found.values()) == len(rows) + len(paths)
            for name in {row["event"] for row in rows}:
                count = names(rows).count(name)
                assert sum(n for (a, _), n in found.items() if a == name) == count
                assert sum(n for (_, b), n in found.items() if b == name) == count


class TestWholePaths:
    def test_top_paths(self) -> None:
        paths = oracle.session_paths(SMALL_SHOP)
        top = oracle.top_paths(paths, goals={"purchase"})
        assert top[0] == (("view",), False, 2, 1 / 2, 1 / 2, 2, 0, 0)
        assert top[1] == (("search", "view", "cart"), False, 1, 1 / 4, 3 / 4, 1, 0, 240)
        assert top[2] == (("view", "view", "cart", "purchase"), False, 1, 1 / 4, 1, 1, 1, 2100)
        cut = oracle.top_paths(paths, max_length=1, goals={"purchase"})
        assert [(row.names, row.cut, row.count) for row in cut] == [
            (("view",), False, 2),
            (("search",), True, 1),
            (("view",), True, 1),
        ]
        prefixes = oracle.top_paths(paths, prefix=1, goals={"purchase"})
        assert [(row.names, row.count, row.conversion_rate) for row in prefixes] == [
            (("view",), 3, 1 / 3),
            (("search",), 1, 0),
        ]

    def test_ngrams(self) -> None:
        paths = oracle.session_paths(SMALL_SHOP)
        pairs = oracle.ngrams(paths, 2)
        assert pairs["view", "view"] == (1, 1, 1 / 4, 1, "loop")
        triples = oracle.ngrams(paths, 3)
        # Expected view view cart: 5 views x p(view given view) 1/5 x p(cart given view) 2/5 = 0.4.
        assert triples["view", "view", "cart"].lift == pytest.approx(1 / 0.4)
        assert oracle.ngrams(paths, 1)["view",] == (5, 4, 1, 1, "other")
        overlapping = oracle.ngrams(oracle.user_paths(logs.log("u 0 a; u 1 b; u 2 a; u 3 b; u 4 a")), 3)
        assert overlapping["a", "b", "a"] == (2, 1, 1, pytest.approx(2 / (3 * (2 / 3) * 1)), "cycle")


class TestConversion:
    def test_observed(self) -> None:
        found = oracle.conversion(oracle.user_paths(SMALL_SHOP), {"purchase"})
        assert found[START] == (3, 1, 1 / 3)
        assert found["view"] == (3, 1, 1 / 3)
        assert found["cart"] == (2, 1, 1 / 2)
        assert found["purchase"] == (1, 0, 0)
        visits = oracle.conversion_per_visit(oracle.user_paths(SMALL_SHOP), {"purchase"})
        assert visits["view"] == (5, 2, 2 / 5)  # ann's first two of three, bob's, cid's
        assert visits["purchase"] == (1, 0, 0)

    def test_a_path_with_the_goal_is_closed_there(self) -> None:
        paths = oracle.user_paths(SMALL_SHOP, horizon=1000 * MINUTE)
        cut = oracle.cut_at_goal(paths, {"purchase"})
        assert [(path.names[-1], path.open) for path in cut] == [
            ("purchase", False),
            ("cart", True),
            ("view", True),
        ]

    def test_chain(self) -> None:
        # cart 1/2; view = 1/5 view + 2/5 cart + 2/5 END, so view = (2/5 x 1/2) / (4/5) = 1/4;
        # START = 3/4 view + 1/4 search, and search always leads to view.
        counts = oracle.chain_counts(oracle.session_paths(SMALL_SHOP), {"purchase"})
        assert oracle.absorption(counts, {"purchase"}) == {
            START: Fraction(1, 4),
            "search": Fraction(1, 4),
            "view": Fraction(1, 4),
            "cart": Fraction(1, 2),
        }

    def test_published_chain(self) -> None:
        # Six users of a published example, o = purchased, d = deferred: published.json, C01.
        text = "hccpchcppcppo icicccd hicicpccpccid ccpcd hccppcpppipo ihccppcpcd"
        rows = [
            {"user": u, "time": t, "event": e}
            for u, path in enumerate(text.split())
            for t, e in enumerate(path)
        ]
        counts = {
            pair: n for pair, n in oracle.transition_counts(oracle.user_paths(rows)).items() if pair[0] != "o"
        }
        found = oracle.absorption(counts | {("o", END): 2}, {"d"})
        expected = {
            START: 2 / 3,
            "c": 0.6518337408312962,
            "h": 0.6586797066014674,
            "i": 0.6860635696821519,
            "p": 0.5364303178484111,
            "o": 0,
        }
        assert {state: float(share) for state, share in found.items()} == pytest.approx(expected, abs=1e-12)

    @settings(max_examples=50, deadline=None)
    @given(logs.logs(min_events=1))
    def test_chain_of_closed_paths_gives_the_observed_rate(self, rows: list[logs.Row]) -> None:
        goal = {rows[0]["event"]}
        paths = oracle.session_paths(rows)
        observed = oracle.conversion(paths, goal)[START]
        for order in (1, 2):
            counts = oracle.chain_counts(paths, goal, order=order)
            goals = {
                b for _, b in counts if b == rows[0]["event"] or (order > 1 and b != END and b[-1] in goal)
            }
            assert oracle.absorption(counts, goals)[START] == Fraction(observed.converted, observed.reached)

    def test_states_without_an_end_are_named(self) -> None:
        with pytest.raises(ValueError, match=r"no absorbing state can be reached from \['b'\]"):
            oracle.absorption({(START, "a"): 1, (START, "b"): 1, ("a", END): 1, ("b", "b"): 1}, {"goal"})


def cart_units() -> list[oracle.Unit]:
    """Return the users of ABANDONED_CARTS with the cart as origin and the purchase as goal."""
    return [
        oracle.Unit(
            [r["time"] for r in own], oracle.flags(own, {"cart"}), oracle.flags(own, {"purchase"}), names(own)
        )
        for own in oracle.order(ABANDONED_CARTS).values()
    ]


class TestAbandonment:
    T = BASE + 1000 * MINUTE
    H = 100 * MINUTE

    def test_status(self) -> None:
        found = [oracle.status(unit, self.H, self.T) for unit in cart_units()]
        assert [one and one.status for one in found] == [
            "converted", "abandoned", "converted", "open", "abandoned", None,
        ]  # fmt: skip
        assert oracle.abandonment(cart_units(), self.H, self.T) == {
            "reached": 5,
            "converted": 2,
            "abandoned": 2,
            "expired": 0,
            "open": 1,
            "resumed": 1,
            "conversion_share": 2 / 5,
            "abandoned_share": 2 / 5,
            "open_share": 1 / 5,
            "abandonment_rate": 1 / 2,
        }

    def test_window(self) -> None:
        # 50 minutes: a converts at its very end; c is too late; b, c, e have expired; d expires at T.
        found = oracle.abandonment(cart_units(), self.H, self.T, window=50 * MINUTE)
        assert (found["converted"], found["abandoned"], found["expired"], found["open"]) == (1, 4, 4, 0)
        found = oracle.abandonment(cart_units(), self.H, self.T, window=50 * MINUTE + 1)
        assert (found["converted"], found["abandoned"], found["expired"], found["open"]) == (1, 3, 3, 1)

    def test_horizons(self) -> None:
        rates = oracle.horizon_sensitivity(cart_units(), self.H, self.T)
        assert [one for _, one in rates] == [3 / 5, 3 / 5, 1 / 2, 1 / 3, 1 / 3]
        assert [one / MINUTE for one, _ in rates] == [25, 50, 100, 200, 400]

    def test_where(self) -> None:
        found = oracle.where_abandoned(cart_units(), self.H, self.T)
        assert found == {"view": {"abandoned": 2, "share": 1, "reached": 3, "rate": 2 / 3}}

    def test_episodes(self) -> None:
        found = [oracle.time_and_outcome(unit, self.H, self.T) for unit in cart_units()]
        assert found == [(3000, 1), (6600, 2), (6000, 2), (3000, 0), (7200, 2), None]
        found = [oracle.time_and_outcome(unit, self.H, self.T, 105 * MINUTE) for unit in cart_units()]
        assert found == [(3000, 1), (6300, 0), (6000, 2), (3000, 0), (6300, 0), None]

    def test_a_goal_that_is_the_origin_needs_another_event(self) -> None:
        unit = oracle.Unit([0, 5], [True, True], [True, True])
        assert oracle.status(unit, 10, 5) == ("converted", False, False, 0, 1)
        assert oracle.status(oracle.Unit([0], [True], [True]), 10, 5) == ("open", False, False, 0, None)

        assert oracle.time_and_outcome(oracle.Unit([0], [True], [True]), 10, 5) == (5e-6, 0)

    def test_resumed(self) -> None:
        pause = oracle.Unit([0, 10, 11], [True, False, False], [False, False, False])
        assert oracle.status(pause, 10, 11) == ("open", False, True, 0, None)
        assert oracle.status(pause, 11, 11) == ("open", False, False, 0, None)
        later = oracle.Unit([0, 1, 500], [True, False, False], [False, True, False])
        assert oracle.status(later, 10, 500) == ("converted", False, False, 0, 1)

    def test_an_outcome_at_the_end_of_the_window(self) -> None:
        found = [oracle.time_and_outcome(unit, self.H, self.T, 50 * MINUTE) for unit in cart_units()]
        assert found == [(3000, 1), (3000, 0), (3000, 0), (3000, 0), (3000, 0), None]

    def test_states_before_the_origin_do_not_count(self) -> None:
        units = [
            oracle.Unit([0, 1], [False, True], [False, False], ["view", "cart"]),
            oracle.Unit([0, 1], [True, False], [False, False], ["cart", "view"]),
        ]
        found = oracle.where_abandoned(units, 10, 100)
        assert found["view"] == {"abandoned": 1, "share": 1 / 2, "reached": 1, "rate": 1}
        assert found["cart"] == {"abandoned": 1, "share": 1 / 2, "reached": 2, "rate": 1 / 2}

    def test_where_by_furthest_stage(self) -> None:
        units = [oracle.Unit([0], [True], [False], [stage]) for stage in (1, 1, 3, None)]
        found = oracle.where_abandoned(units, 10, 100, at_least=True)
        assert {stage: row["reached"] for stage, row in found.items()} == {1: 3, 3: 1, None: 4}

    def test_classic(self) -> None:
        rows = logs.log("a 0 cart; a 1 buy; b 0 buy; b 1 cart; c 0 cart; d 0 view; b 300 buy")
        after = oracle.classic_abandonment(oracle.session_paths(rows), {"cart"}, {"buy"})
        assert after == {"carts": 3, "purchased": 1, "rate": pytest.approx(2 / 3)}
        anywhere = oracle.classic_abandonment(oracle.session_paths(rows), {"cart"}, {"buy"}, after=False)
        assert anywhere["purchased"] == 2
        assert oracle.classic_abandonment(oracle.user_paths(rows), {"cart"}, {"buy"})["purchased"] == 2
        assert oracle.classic_abandonment([], {"cart"}, {"buy"})["rate"] is None
        # Bought at a later position: the cart event itself does not count.
        assert oracle.classic_abandonment(oracle.user_paths(rows), {"buy"}, {"buy"})["purchased"] == 1

    @settings(max_examples=50, deadline=None)
    @given(logs.logs(min_events=1))
    def test_exactly_one_status(self, rows: list[logs.Row]) -> None:
        until = max(row["time"] for row in rows)
        units = [
            oracle.Unit(
                [r["time"] for r in own], oracle.flags(own, None), oracle.flags(own, {rows[0]["event"]})
            )
            for own in oracle.order(rows).values()
        ]
        found = oracle.abandonment(units, HOUR, until)
        assert found["converted"] + found["abandoned"] + found["open"] == found["reached"] == len(units)


class TestSurvival:
    def test_kaplan_meier(self) -> None:
        # At 2 one event among 4, then a censoring at the same time; at 5 one event among 2.
        points = oracle.kaplan_meier([(2, 1), (2, 0), (5, 1), (9, 0)])
        assert points == [(2, 4, 1, 0.75), (5, 2, 1, 0.375)]
        assert oracle.median_survival(points) == 5
        assert oracle.median_survival(points[:1]) == math.inf

    def test_aalen_johansen(self) -> None:
        observed = list(zip(range(1, 7), [0, 1, 1, 2, 2, 0], strict=True))  # published.json G03
        assert oracle.aalen_johansen(observed, 2, 6) == pytest.approx(0.4)
        assert oracle.aalen_johansen(observed, 1, 6) == pytest.approx(0.4)
        assert oracle.kaplan_meier(observed)[-1].survival == pytest.approx(0.2)

    def test_converted_by_needs_ten_at_risk(self) -> None:
        observed = [(float(i), 1) for i in range(1, 21)]
        assert oracle.converted_by(observed, 11) == pytest.approx(11 / 20)
        assert oracle.converted_by(observed, 11.5) is None
        assert oracle.unconverted_by([], 1, 1, 1) is None


class TestIntervals:
    @pytest.mark.parametrize(
        ("user", "expected"), [("1", 31), (1, 31), ("42", 2), (42, 2), ("u1", 31), ("user_1", 47), ("a", 56)]
    )
    def test_groups_of_the_definitions(self, user: str | int, expected: int) -> None:
        assert oracle.group(user) == expected

    def test_a_seed_makes_other_groups(self) -> None:
        assert all(oracle.group(user, seed=0) == oracle.group(user) for user in range(100))
        assert sum(oracle.group(user, seed=7) == oracle.group(user) for user in range(1000)) < 50

    def test_wilson(self) -> None:
        # Wilson 1927 by hand for 5 of 10 with z = 1.959964: 0.5 -+ 0.2634.
        low, high, method = oracle.wilson(0.5, 10)
        assert (low, high, method) == (
            pytest.approx(0.2366, abs=1e-4),
            pytest.approx(0.7634, abs=1e-4),
            "wilson",
        )
        assert oracle.wilson(0.0, 10)[:2] == (pytest.approx(0), pytest.approx(0.2775, abs=1e-4))
        assert oracle.wilson(0.5, 0).low is None

    def test_jackknife_of_a_mean_of_equal_groups_is_the_textbook_error(self) -> None:
        # One user in each group: the jackknife error of a mean is s / sqrt(n).
        one_each = {oracle.group(i): i for i in range(2000)}
        users = sorted(one_each.values())
        value = {user: position % 7 for position, user in enumerate(users)}
        mean = lambda own: sum(value[user] for user in own) / len(own)  # noqa: E731
        interval = oracle.jackknife(users, mean)
        m = mean(users)
        se = math.sqrt(sum((value[user] - m) ** 2 for user in users) / 63 / 64)
        assert len(users) == 64
        assert interval.low == pytest.approx(m - 1.9983405 * se)  # t with 63 degrees of freedom
        assert interval.high == pytest.approx(m + 1.9983405 * se)

    def test_scales(self) -> None:
        # t with 9 degrees of freedom is 2.262157.
        low, high, _ = oracle.intervals.interval(0.2, 0.016, 10, "logit")
        assert low == pytest.approx(1 / (1 + math.exp(math.log(4) + 2.262157 * 0.1)))
        assert high == pytest.approx(1 / (1 + math.exp(math.log(4) - 2.262157 * 0.1)))
        low, high, _ = oracle.intervals.interval(50, 5, 10, "log")
        assert (low, high) == (
            pytest.approx(50 * math.exp(-0.2262157)),
            pytest.approx(50 * math.exp(0.2262157)),
        )

    def test_fallbacks(self) -> None:
        users = list(range(200))
        assert oracle.jackknife(users, lambda own: 1.0, "logit", denominator_users=200) == oracle.wilson(
            1, 200
        )
        assert oracle.jackknife(users, lambda own: 0.5, "logit", denominator_users=200) == oracle.wilson(
            0.5, 200
        )
        assert oracle.jackknife(users[:5], lambda own: 0.5).method == "too few groups"
        assert oracle.jackknife(users, lambda own: None).method == "no value"
        sometimes = lambda own: 0.5 if len(own) == 200 else None  # noqa: E731
        assert oracle.jackknife(users, sometimes).method == "too many null replicates"

    def test_total_is_rescaled(self) -> None:
        users = sorted({oracle.group(i): i for i in range(2000)}.values())
        assert oracle.jackknife(users, lambda own: float(len(own)), total=True)[:2] == (
            pytest.approx(64),
            pytest.approx(64),
        )


class TestRetention:
    def test_three_weeks(self) -> None:
        first, second = date(2024, 1, 1), date(2024, 1, 8)
        assert oracle.retention(THREE_WEEKS) == {
            (first, 0): (2, 2, 1, True),
            (first, 1): (1, 2, 1 / 2, True),
            (first, 2): (2, 2, 1, False),
            (second, 0): (1, 1, 1, True),
            (second, 1): (0, 1, 0, False),
        }

    def test_a_week_is_complete_when_the_next_one_starts(self) -> None:
        cells = oracle.retention(logs.log("p 0 view; p 10080 view"))
        assert [(cell.returned, cell.complete) for cell in cells.values()] == [(1, True), (1, False)]

    def test_a_zone_moves_an_event_into_the_next_week(self) -> None:
        rows = logs.log("p 0 view; p 10050 view")  # Sunday 23:30 UTC
        assert (date(2024, 1, 1), 1) not in oracle.retention(rows)
        assert oracle.retention(rows, tz="Europe/Berlin")[date(2024, 1, 1), 1].returned == 1

    def test_start_and_return_events(self) -> None:
        rows = logs.log("p 0 view; p 10080 buy; p 20160 view; q 0 buy; q 10080 view")
        cells = oracle.retention(rows, starts={"buy"}, returns={"view"})
        assert [(week.day, k, cell.returned) for (week, k), cell in cells.items()] == [
            (1, 0, 1), (1, 1, 1), (1, 2, 0), (8, 0, 1), (8, 1, 1),
        ]  # fmt: skip


class TestFunnel:
    STEPS = ({"a"}, {"b"}, {"c"})

    def test_best_start(self) -> None:
        u, v, w = oracle.order(RESTARTED_FUNNEL).values()
        assert oracle.chain(u, self.STEPS, 10 * MINUTE) == (1, 2, 3)
        assert oracle.chain(v, self.STEPS, 10 * MINUTE) == (1,)
        assert oracle.chain(v, self.STEPS, 10 * MINUTE, ties="any") == (1, 0, 2)
        assert oracle.chain(v, self.STEPS, 10 * MINUTE, ties="strict") == (1,)
        assert oracle.funnel([u, v, w], self.STEPS, 10 * MINUTE) == [3, 1, 1]
        assert oracle.funnel([u, v, w], self.STEPS) == [3, 2, 1]

    def test_one_event_serves_one_step(self) -> None:
        rows = logs.log("u 0 a; u 1 a")
        for ties in ("input", "any"):
            assert oracle.chain(rows, [{"a"}, {"a"}, {"a"}], ties=ties) == (0, 1)

    def test_grace(self) -> None:
        rows = [{"user": 1, "time": t * SECOND, "event": e} for t, e in ((0, "b"), (2, "a"), (3, "c"))]
        assert len(oracle.chain(rows, self.STEPS, ties="any")) == 1
        assert len(oracle.chain(rows, self.STEPS, ties="any", grace=2 * SECOND)) == 3


class TestLogs:
    @settings(max_examples=50, deadline=None)
    @given(logs.logs(with_order=True, with_session=True, with_properties=True))
    def test_frame_keeps_every_value(self, rows: list[logs.Row]) -> None:
        table = logs.frame(rows)
        assert table.height == len(rows)
        assert table.schema["time"] == pl.Datetime("us", "UTC")
        assert table.with_columns(pl.col("time").cast(pl.Int64)).to_dicts() == [
            {name: row.get(name) for name in table.columns} for row in rows
        ]

    def test_empty_frame(self) -> None:
        table = logs.frame(logs.EMPTY, columns=["device"])
        assert table.schema == {
            "user": pl.String(),
            "time": pl.Datetime("us", "UTC"),
            "event": pl.String(),
            "device": pl.String(),
        }
        assert logs.frame([], user=pl.Int64()).schema["user"] == pl.Int64()


@pytest.fixture(scope="module")
def shop(shared: FilePath) -> list[logs.Row]:
    """Return the shop log as rows, in file order."""
    table = pl.read_csv(shared / "data" / "shop" / "ecom.csv.gz", try_parse_dates=True).select(
        user="user_id", session="session_id", event="event", time=pl.col("timestamp").cast(pl.Int64)
    )
    return table.to_dicts()


@pytest.fixture(scope="module")
def answers(shared: FilePath) -> FilePath:
    """Return the folder with another program's answers about the shop log."""
    return shared / "conformance" / "shop_oracle"


def matrix(file: FilePath) -> dict[tuple[str, str], float]:
    """Return the non-zero cells of a square file of the shop answers."""
    table = pl.read_csv(file)
    virtual = {"path_start": START, "path_end": END}
    return {
        (virtual.get(row["event"], row["event"]), virtual.get(target, target)): row[target]
        for row in table.iter_rows(named=True)
        for target in table.columns[1:]
        if row[target]
    }


@pytest.mark.conformance
class TestShop:
    def test_transition_counts(self, shop: list[logs.Row], answers: FilePath) -> None:
        assert oracle.transition_counts(oracle.user_paths(shop)) == matrix(
            answers / "transition__count__user_id.csv"
        )

    def test_users_of_transitions(self, shop: list[logs.Row], answers: FilePath) -> None:
        users: dict[Any, set[Any]] = {}
        for path in oracle.user_paths(shop):
            for pair in oracle.transition_counts([path]):
                users.setdefault(pair, set()).add(path.user)
        assert {pair: len(own) for pair, own in users.items()} == matrix(
            answers / "transition__unique_paths__user_id.csv"
        )

    def test_probabilities_in_sessions(self, shop: list[logs.Row], answers: FilePath) -> None:
        counts = oracle.transition_counts(oracle.session_paths(shop))
        leaving: dict[Any, int] = {}
        for (source, _), count in counts.items():
            leaving[source] = leaving.get(source, 0) + count
        found = {pair: count / leaving[pair[0]] for pair, count in counts.items()}
        assert found == pytest.approx(matrix(answers / "transition__proba_out__session_id.csv"))
        assert counts == oracle.transition_counts(oracle.column_paths(shop))

    def test_session_counts(self, shop: list[logs.Row], answers: FilePath) -> None:
        expected = {
            row["timeout"]: row for row in pl.read_csv(answers / "split_sessions__summary.csv").to_dicts()
        }
        for timeout, length in (
            ("1m", MINUTE),
            ("15m", 15 * MINUTE),
            ("30m", 30 * MINUTE),
            ("1d", 24 * HOUR),
        ):
            sizes = [
                len(oracle.sessions(own, timeout=length).sessions) for own in oracle.order(shop).values()
            ]
            assert (sum(sizes), max(sizes)) == (
                expected[timeout]["sessions"],
                expected[timeout]["max_sessions_per_user"],
            )

    def test_ngrams(self, shop: list[logs.Row], answers: FilePath) -> None:
        paths = oracle.user_paths(shop)
        found = {
            " -> ".join(gram): (row.paths, row.count, row.type)
            for length in (1, 2, 3)
            for gram, row in oracle.ngrams(paths, length).items()
        }
        table = pl.read_csv(answers / "sequences__ngram_1_3.csv")
        expected = table.select("Sequence", "user_id", "count", "sequence_type").rows()
        assert found == {name: (users, count, kind) for name, users, count, kind in expected}

    def test_funnels(self, shop: list[logs.Row], answers: FilePath) -> None:
        cases = json.loads((answers / "funnels_closed.json").read_text())
        paths = {"session_id": oracle.column_paths(shop), "user_id": oracle.user_paths(shop)}
        for name, case in cases.items():
            steps = case["steps"]
            containers = [
                [item.row for item in path.items if item.row and item.name in steps]
                for path in paths[name.split("|")[1]]
            ]
            found = oracle.funnel(containers, [{step} for step in steps])
            assert found == [row["unique_paths"] for row in case["result"]], name
