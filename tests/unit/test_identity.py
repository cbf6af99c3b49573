"""Identity: small cases worked out by hand, the vendors' examples, and the full text of every message."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl
import pytest

import journeykit as jk
from journeykit import errors

LOGIN = jk.IdentityRules(strong="login")


def found(identity):
    return {row["id"]: row["user"] for row in identity.frame.iter_rows(named=True)}


def of(cookies, logins, rules=LOGIN, **options):
    rows = pl.DataFrame({"cookie": cookies, "login": logins, **options}, strict=False)
    time = {"time": "at", "unit": "s"} if options else {}
    return jk.Identity.of(rows, ["cookie", "login"], rules=rules, **time)


def test_nothing_makes_nobody():
    identity = of(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String))
    assert (identity.n_ids, identity.n_users, identity.frame.height, identity.largest().height) == (
        0,
        0,
        0,
        0,
    )
    assert identity.summary["value"].sum() == 0
    log = pl.DataFrame({"user": ["a"], "time": [0], "event": ["x"]})
    events = jk.read_events(log, user="user", time="time", event="event", unit="s")
    assert events.stitch(identity).frame.equals(events.frame)


def test_nulls_are_no_ids_and_an_id_alone_is_known():
    assert found(of([None, "c1", None], [None, None, "ann"])) == {"ann": "ann", "c1": "c1"}


def test_an_id_with_itself_is_no_link():
    rows = pl.DataFrame({"one": ["a", "b"], "other": ["a", "a"]})
    identity = jk.Identity.of(rows, {"one": "device", "other": "device"})
    assert (found(identity), identity.links.ones.size) == ({"a": "a", "b": "a"}, 1)


def test_numbers_are_ids_by_their_digits():
    rows = pl.DataFrame({"cookie": [7, 8, 8], "login": ["ann", None, "ann"]})
    identity = jk.Identity.of(rows, ["cookie", "login"], rules=LOGIN)
    log = pl.DataFrame({"user": [7, 8, 9], "time": [0, 1, 2], "event": ["x"] * 3})
    events = jk.read_events(log, user="user", time="time", event="event", unit="s").stitch(identity)
    assert events.frame["user"].to_list() == ["ann", "ann", "9"]
    assert (events.rows_moved, events.rows_unmapped) == (2, 0)
    journeys = events.sessionize("30m")
    assert journeys.provenance.notes == ("2 events became another user's when ids were joined.",)
    assert journeys.users.sort().to_list() == ["9", "ann"]


def test_placeholders_join_nobody():
    identity = of(["c1", "c2", "c3", "c4"], ["Guest ", "guest", "NULL", ""], jk.IdentityRules())
    assert all(name == user for name, user in found(identity).items())
    free = of(["c1", "c2"], ["guest", "guest"], jk.IdentityRules(ignored=()))
    assert set(found(free).values()) == {"c1"}


def test_a_kiosk_swallows_nobody():
    logins = [f"u{number:02}" for number in range(12)]
    rows = [*zip(["kiosk"] * 12, logins, strict=True), *((f"c{name}", name) for name in logins)]
    identity = of(*zip(*rows, strict=True))
    assert identity.n_users == 13
    assert found(identity)["kiosk"] == "kiosk"
    assert found(identity)["cu03"] == "u03"
    assert "'kiosk' was seen with more logins than max_logins=10" in repr(identity.explain("u03"))
    narrow = of(*zip(*rows, strict=True), jk.IdentityRules(strong="login", max_logins=None))
    assert (found(narrow)["kiosk"], narrow.n_users) == ("u00", 12)


def test_as_many_logins_as_allowed_make_no_kiosk():
    rules = jk.IdentityRules(strong="login", max_logins=2)
    two = of(["tablet"] * 2, ["ann", "bob"], rules)
    assert found(two) == {"tablet": "ann", "ann": "ann", "bob": "bob"}
    three = of(["tablet"] * 3, ["ann", "bob", "cid"], rules)
    assert found(three)["tablet"] == "tablet"


def test_a_row_of_a_kiosk_still_joins_its_other_ids():
    rows = {"d": ["kiosk"] * 3, "mail": ["m1", "m2", "m3"], "login": ["l1", "l2", "l3"]}
    rules = jk.IdentityRules(strong=("login", "mail"), max_logins=2)
    identity = jk.Identity.of(pl.DataFrame(rows), ["d", "mail", "login"], rules=rules)
    assert found(identity) == {
        "kiosk": "kiosk",
        "m1": "l1",
        "l1": "l1",
        "m2": "l2",
        "l2": "l2",
        "m3": "l3",
        "l3": "l3",
    }


def test_too_large_a_user_falls_apart_or_stops_growing():
    pairs = (["a", "b", "c", "x"], ["b", "c", "d", "y"])
    kinds = {"cookie": "id", "login": "id"}
    rows = pl.DataFrame({"cookie": pairs[0], "login": pairs[1]})
    apart = jk.Identity.of(rows, kinds, rules=jk.IdentityRules(max_ids=3))
    assert found(apart) == {"a": "a", "b": "b", "c": "c", "d": "d", "x": "x", "y": "x"}
    stopped = jk.Identity.of(rows, kinds, rules=jk.IdentityRules(max_ids=3, oversize="refuse"))
    assert found(stopped) == {"a": "a", "b": "a", "c": "a", "d": "d", "x": "x", "y": "x"}
    assert repr(stopped.explain("d")) == (
        "'d' is a user of 1 id: 'd' (id).\n"
        "  'c' (id) and 'd' (id) were seen together once: refused, for together they would have more ids than "
        "max_ids=3."
    )


def test_the_explanation_says_when_and_how_often():
    identity = of(["c1", "c1", "c1"], ["ann", "ann", "bob"], LOGIN, at=[5, 0, 9])
    explanation = identity.explain("c1")
    assert repr(explanation) == (
        "'ann' is a user of 2 ids: 'ann' (login), 'c1' (cookie).\n"
        "  'c1' (cookie) and 'ann' (login) were seen together 2 times, first at 1970-01-01 00:00:00 UTC: joined.\n"
        "  'c1' (cookie) and 'bob' (login) were seen together once, first at 1970-01-01 00:00:09 UTC: "
        "refused, for both users have a 'login'."
    )
    assert explanation.frame.columns == [
        "one", "one_kind", "other", "other_kind", "first", "last", "sightings", "outcome", "because",
    ]  # fmt: skip
    assert explanation.frame["last"][0] == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)


def test_a_long_explanation_is_cut():
    identity = of([f"c{number:03}" for number in range(70)], ["ann"] * 70)
    lines = repr(identity.explain("ann")).splitlines()
    assert lines[0].startswith("'ann' is a user of 71 ids: 'ann' (login), 'c000' (cookie), ")
    assert lines[0].endswith("'c018' (cookie) and 51 more.")
    assert lines[-1] == "  and 20 links more."
    assert len(lines) == 52


def test_hostile_ids_are_shown_and_joined_as_they_are():
    names = [
        "<script>",
        "say \"yes\" & 'no'",
        "two\nlines",
        "🛒",
        "'; DROP TABLE ids; --",
        " a ",
        "nul\x00byte",
    ]
    identity = of(names, ["x"] * len(names))
    assert found(identity) == dict.fromkeys([*names, "x"], "x")
    assert "'two\\nlines' (cookie)" in repr(identity.explain("two\nlines"))


# The example flows of the vendors' documentation: device, user, then whose the event is.
JOHN = [("G", None, "John"), ("G", None, "John"), ("G", "John", "John")]
RETURNING = [("D1", None, "U1"), ("D1", "U1", "U1"), ("D2", None, "U1"), ("D2", "U1", "U1")]
TWO_AFTER_RESET = [("D1", None, "U1"), ("D1", "U1", "U1"), ("D2", None, "U2"), ("D2", "U2", "U2")]
SHARED = [("H", None), ("H", "ann"), ("H", None), ("H", "bob"), ("H", None), ("H", "ann"), ("H", None)]
OWNERS = {
    "amplitude": ["ann", "ann", "ann", "bob", "bob", "ann", "ann"],
    "mixpanel": ["ann", "ann", "ann", "bob", "ann", "ann", "ann"],
    "mixpanel_original": ["ann", "ann", "ann", "bob", "ann", "ann", "ann"],
    "posthog": ["ann", "ann", "ann", "bob", "ann", "ann", "ann"],
    "snowplow": ["ann", "ann", "ann", "bob", "ann", "ann", "ann"],
}


def stitched(flow, rules):
    rows = pl.DataFrame([each[:2] for each in flow], {"device": pl.String, "login": pl.String}, orient="row")
    rows = rows.with_columns(at=pl.int_range(pl.len()), event=pl.lit("x"), id=pl.coalesce("login", "device"))
    identity = jk.Identity.of(rows, ["device", "login"], time="at", unit="s", rules=rules)
    events = jk.read_events(rows, user="id", time="at", event="event", unit="s")
    return events.stitch(identity).frame["user"].to_list()


@pytest.mark.parametrize("preset", OWNERS)
@pytest.mark.parametrize("flow", [JOHN, RETURNING, TWO_AFTER_RESET], ids=["john", "returning", "reset"])
def test_flows_of_the_vendors(preset, flow):
    assert stitched(flow, getattr(jk.identity, preset)("login")) == [user for *_, user in flow]


@pytest.mark.parametrize("preset", OWNERS)
def test_a_shared_device(preset):
    assert stitched(SHARED, getattr(jk.identity, preset)("login")) == OWNERS[preset]


def test_snowplow_takes_the_latest():
    flow = [("H", None), ("H", "ann"), ("H", "bob"), ("H", None)]
    assert stitched(flow, jk.identity.snowplow("login")) == ["bob", "ann", "bob", "bob"]


def test_the_cluster_of_mixpanel_original_ends_at_500():
    rows = pl.DataFrame({"anon": [f"a{number:04}" for number in range(600)], "user": ["ann"] * 600})
    identity = jk.Identity.of(rows, ["anon", "user"], rules=jk.identity.mixpanel_original("user"))
    assert identity.largest(1)["ids"].to_list() == [500]
    assert identity.summary.filter(measure="links refused: oversize")["value"].to_list() == [101]


def test_an_id_of_two_kinds_is_the_strongest_if_that_is_said():
    rows = pl.DataFrame({"anon": ["a", "b"], "distinct_id": ["b", "c"]})
    rules = jk.identity.posthog()
    identity = jk.Identity.of(rows, ["anon", "distinct_id"], rules=rules)
    assert found(identity) == {"a": "b", "b": "b", "c": "c"}


def test_unknown_ids_are_left_out_if_that_is_said():
    identity = of(["c1", "c2"], ["ann", None])
    log = pl.DataFrame({"user": ["c1", "zz", "c2"], "time": [0, 1, 2], "event": ["x", "y", "x"]})
    events = jk.read_events(log, user="user", time="time", event="event", unit="s").stitch(
        identity, unmapped="drop"
    )
    assert events.frame["user"].to_list() == ["ann", "c2"]
    assert (events.rows_moved, events.rows_unmapped) == (1, 1)
    assert events.sessionize("30m").provenance.notes == (
        "1 events became another user's when ids were joined.",
        "1 events of ids that the identity does not know were left out.",
    )


def test_the_plan_shows_and_compares_its_identity():
    identity = of(["c1"], ["ann"])
    log = pl.DataFrame({"user": ["c1"], "time": [0], "event": ["x"]})
    plan = jk.scan_events(log, user="user", time="time", event="event", unit="s")
    stitched_plan = plan.stitch(identity)
    assert repr(stitched_plan).splitlines()[-1] == "  stitch(identity=<2 ids of 1 users>)"
    assert stitched_plan == plan.stitch(identity) != plan
    assert stitched_plan.collect().frame["user"].to_list() == ["ann"]
    assert repr(identity) == "Identity: 2 ids of 1 users by IdentityRules(strong=('login',))"


def test_the_report_compares_before_and_after():
    log = pl.DataFrame(
        {
            "user": ["c1", "ann", "c2", "c1", "zz"],
            "time": [0, 60, 100, 7200, 0],
            "event": ["see", "buy", "see", "see", "see"],
        }
    )
    events = jk.read_events(log, user="user", time="time", event="event", unit="s")
    identity = of(["c1", "c2"], ["ann", "ann"])
    report = events.stitch_report(identity)
    assert report.frame.rows() == [
        ("users", 4.0, 2.0),
        ("sessions", 5.0, 3.0),
        ("events", 5.0, 5.0),
        ("sessions per user", 1.25, 1.5),
        ("events per user", 1.25, 2.5),
    ]
    assert (report.ids, report.ids_stitched, report.share_stitched, report.sessions_merged) == (4, 3, 0.75, 2)
    assert report.largest.rows() == [("ann", 3, 4), ("zz", 1, 1)]
    assert repr(report).splitlines()[0] == (
        "3 of 4 ids (75.0 %) are one user with another; 3 events changed hands, 0 were left out; 2 sessions fewer."
    )
    strict = events.stitch_report(identity, unmapped="drop")
    assert (strict.events_left_out, strict.largest.rows()) == (1, [("ann", 3, 4)])


def plan():
    log = pl.DataFrame({"user": ["zz"], "time": [0], "event": ["x"]})
    return jk.scan_events(log, user="user", time="time", event="event", unit="s")


MESSAGES = {
    "no column": (
        lambda: jk.Identity.of(pl.DataFrame({"a": ["x"]}), ["a", "login"]),
        errors.MissingColumnError,
        "no column 'login' for the role 'ids'. Available: 'a'. Pass ids=<column name> to Identity.of.",
    ),
    "no time": (
        lambda: jk.Identity.of(pl.DataFrame({"a": ["x"]}), ["a"], time="at"),
        errors.MissingColumnError,
        (
            "no column 'at' for the role 'time'. Did you mean 'a'? Available: 'a'. "
            "Pass time=<column name> to Identity.of."
        ),
    ),
    "one text": (
        lambda: jk.Identity.of(pl.DataFrame({"a": ["x"]}), "a"),
        errors.ParameterError,
        "ids must be columns, not one text. Pass ids=['a', ...].",
    ),
    "no ids": (
        lambda: jk.Identity.of(pl.DataFrame({"a": ["x"]}), []),
        errors.ParameterError,
        "ids cannot be []. Give columns of ids, such as ['device', 'login'], or their kinds by column.",
    ),
    "unknown kind": (
        lambda: of(["a"], ["b"], jk.IdentityRules(strong="mail")),
        errors.ParameterError,
        "strong cannot be 'mail'. Choose one of: 'cookie', 'login'.",
    ),
    "rules that need times": (
        lambda: of(["a"], ["b"], jk.identity.snowplow("login")),
        errors.ParameterError,
        "owner='last' needs to know when ids were seen together. Pass time=<column of times> to Identity.of.",
    ),
    "from the login on": (
        lambda: of(["a"], ["b"], jk.IdentityRules(retroactive=False)),
        errors.ParameterError,
        "retroactive=False needs to know when ids were seen together. Pass time=<column of times> to Identity.of.",
    ),
    "two kinds": (
        lambda: of(["7", "8"], ["x", "7"]),
        errors.InputError,
        (
            "the id '7' is of two kinds: 'cookie' and 'login'. Ids are told apart by their text: put the kind in front "
            'of it, or pass mixed_kinds="strongest" to IdentityRules if it is one id.'
        ),
    ),
    "no rules": (
        lambda: of(["a"], ["b"], "posthog"),
        errors.ParameterError,
        "rules must be IdentityRules, not 'posthog'. Write jk.IdentityRules(...).",
    ),
    "strong": (
        lambda: jk.IdentityRules(strong=[1]),
        errors.ParameterError,
        "strong must be texts, not [1].",
    ),
    "owner": (
        lambda: jk.IdentityRules(owner="nobody"),
        errors.ParameterError,
        "owner cannot be 'nobody'. Choose one of: 'first', 'last', 'current'.",
    ),
    "oversize": (
        lambda: jk.IdentityRules(oversize="drop"),
        errors.ParameterError,
        "oversize cannot be 'drop'. Choose one of: 'apart', 'refuse'.",
    ),
    "mixed kinds": (
        lambda: jk.IdentityRules(mixed_kinds="any"),
        errors.ParameterError,
        "mixed_kinds cannot be 'any'. Choose one of: 'raise', 'strongest'.",
    ),
    "max_logins": (
        lambda: jk.IdentityRules(max_logins=0),
        errors.ParameterError,
        "max_logins cannot be 0. Give a whole number from 1 on, or None.",
    ),
    "max_ids": (
        lambda: jk.IdentityRules(max_ids=True),
        errors.ParameterError,
        "max_ids cannot be True. Give a whole number from 2 on, or None.",
    ),
    "unknown id": (
        lambda: of(["c1"], ["ann"]).explain("anm"),
        errors.ParameterError,
        "no id 'anm' in this identity. Did you mean 'ann'? Available: 'ann', 'c1'.",
    ),
    "unmapped": (
        lambda: of(["c1"], ["ann"]).stitch("keep"),
        errors.ParameterError,
        "unmapped cannot be 'keep'. Choose one of: 'own', 'drop'.",
    ),
    "unmapped of a plan": (
        lambda: plan().stitch(of(["c1"], ["ann"]), unmapped="keep"),
        errors.ParameterError,
        "unmapped cannot be 'keep'. Choose one of: 'own', 'drop'.",
    ),
    "duplicates out of core": (
        lambda: (
            jk.scan_events(
                pl.DataFrame({"user": ["a"], "time": [0], "event": ["x"]}),
                user="user",
                time="time",
                event="event",
                unit="s",
                duplicates="drop",
            )
            .stitch(of(["c1"], ["ann"]))
            .sessionize("30m")
            .measure(jk.Overview(), engine=jk.OutOfCore())
        ),
        errors.ParameterError,
        (
            'duplicates="drop" and stitch go together in memory only: equal rows are told by the id that they came '
            "with, and shards are cut by user. Drop duplicates where the log is made, or collect the plan."
        ),
    ),
    "no identity": (
        lambda: plan().stitch(LOGIN),
        errors.ParameterError,
        (
            "stitch needs an Identity, not IdentityRules(strong=('login',)). "
            "Make one with jk.Identity.of(rows, ids=[...])."
        ),
    ),
    "nobody is left": (
        lambda: plan().collect().stitch(of(["c1"], ["ann"]), unmapped="drop"),
        errors.EmptyInputError,
        (
            "no event is left: the identity knows none of the ids of this log. Check that user= names the ids that it "
            'was made of, or pass unmapped="own" to keep them.'
        ),
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_refused_and_how(name):
    act, kind, message = MESSAGES[name]
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        act()


def test_the_score_counts_pairs():
    identity = of(["c1", "c2", "c3", "c4"], ["ann", "ann", "bob", None])
    truth = pl.DataFrame(
        {"id": ["c1", "c2", "ann", "c3", "bob", "c4", "zz"], "person": [1, 2, 1, 3, 3, 3, 3]}
    )
    score = identity.score(truth)
    assert (score.joined, score.same, score.right) == (4, 7, 2)
    assert (score.precision, score.recall) == (0.5, 2 / 7)
    nothing = identity.score(truth.clear())
    assert (nothing.precision, nothing.recall) == (None, None)


def test_a_truth_is_refused_that_is_none():
    identity = of(["c1"], ["ann"])
    with pytest.raises(
        errors.MissingColumnError, match=r"^no column 'person' for the role 'person'\. Available: 'id'\. "
    ):
        identity.score(pl.DataFrame({"id": ["c1"]}))
    message = "the truth has the id 'c1' more than once. Give each id one person."
    with pytest.raises(errors.ParameterError, match=f"^{re.escape(message)}$"):
        identity.score(pl.DataFrame({"id": ["c1", "c1"], "person": [1, 2]}))
