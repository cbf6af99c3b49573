"""Pseudonyms, rules for columns, erasure: nobody is left in any byte, and no key is in anything printed."""

from __future__ import annotations

import hashlib
import pickle
import traceback
import zipfile
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.errors import ParameterError, StoreError, UnknownPropertyError, UnknownUserError
from journeykit.growing import erasing
from journeykit.ordering.user_ids import group_of
from tests.property.test_out_of_core import assert_same_everywhere

KEY = b"0123456789abcdef-top-secret"
IDS = st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=12)


def log(n_users=150, name="u{}"):
    user = np.repeat(np.arange(n_users), 4)
    number = np.arange(user.size)
    names = [name.format(i) for i in user.tolist()]
    return pl.DataFrame(
        {
            "user": names,
            "time": (number * 997) % 50_000,
            "event": [f"/page/{i % 7}" for i in number.tolist()],
            "friend": [name.format((i + 1) % n_users) for i in user.tolist()],
        }
    )


def read(frame, **options):
    options = {"keep": [c for c in frame.columns if c not in ("user", "time", "event")], **options}
    return jk.read_events(frame, user="user", time="time", event="event", unit="s", **options)


# Pseudonyms


def test_a_pseudonym_is_keyed_blake2b():
    expected = hashlib.blake2b("Ädá 🙂".encode(), key=KEY, digest_size=16).hexdigest()
    assert jk.pseudonyms(["Ädá 🙂"], KEY).to_list() == [expected]
    assert jk.pseudonyms(pl.Series("id", [42, None]), KEY).to_list() == [
        hashlib.blake2b(b"42", key=KEY, digest_size=16).hexdigest(),
        None,
    ]


@given(ids=IDS)
def test_pseudonyms_tell_apart_what_ids_tell_apart(ids):
    series = pl.Series("id", ids, dtype=pl.String)
    found = jk.pseudonyms(series, KEY)
    assert found.name == "id"
    assert [each is None for each in found] == [each is None for each in ids]
    for one, this in zip(ids, found, strict=True):
        for other, that in zip(ids, found, strict=True):
            assert (one == other) == (this == that)
    others = jk.pseudonyms(series, KEY + b"!")
    assert not set(found.drop_nulls()) & set(others.drop_nulls())


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a", "b"])])
def test_pseudonyms_of_categories(kind):
    assert jk.pseudonyms(pl.Series(["a", "b"], dtype=kind), KEY).equals(jk.pseudonyms(["a", "b"], KEY))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "a secret text of more than sixteen",
            "key must be bytes, not str. Make one with secrets.token_bytes(32), and keep it safe.",
        ),
        (b"short secret", "key must have 16 to 64 bytes, not 12. Make one with secrets.token_bytes(32)."),
        (b"secret" * 11, "key must have 16 to 64 bytes, not 66. Make one with secrets.token_bytes(32)."),
    ],
)
def test_a_key_that_is_none_is_not_shown(key, message):
    for call in (lambda: jk.pseudonyms(["a"], key), lambda: read(log(2)).pseudonymize(key)):
        with pytest.raises(ParameterError) as raised:
            call()
        assert str(raised.value) == message
        assert repr(key) not in "".join(traceback.format_exception(raised.value))


def test_pseudonyms_of_what_is_no_id():
    with pytest.raises(ParameterError) as raised:
        jk.pseudonyms([1.5], KEY)
    assert str(raised.value) == "pseudonyms are made of texts or whole numbers, not of Float64."


@pytest.mark.parametrize("kind", ["text", "number"])
def test_events_and_journeys_under_pseudonyms_are_the_same(kind):
    frame = log() if kind == "text" else log().with_columns(pl.col("user").str.slice(1).cast(pl.Int64))
    plain = read(frame)
    first = plain.pseudonymize(KEY, ["friend"]).sessionize("30m")
    second = plain.sessionize("30m").pseudonymize(KEY, ["friend"])
    expected = plain.sessionize("30m").frame.with_columns(
        user=jk.pseudonyms(plain.sessionize("30m").frame["user"], KEY),
        friend=jk.pseudonyms(plain.sessionize("30m").frame["friend"], KEY),
    )
    for journeys in (first, second):
        assert journeys.frame.sort("user", maintain_order=True).equals(
            expected.sort("user", maintain_order=True)
        )
        groups = np.repeat(np.arange(64), np.diff(journeys.group_offsets))
        assert (group_of(journeys.users) == groups).all()
    answers = [each.measure(jk.Transitions()).frame for each in (first, second)]
    assert answers[0].equals(answers[1])
    counted = plain.sessionize("30m").measure(jk.Transitions()).frame
    assert (
        answers[0]
        .select("source", "target", "transitions")
        .equals(counted.select("source", "target", "transitions"))
    )
    for each in (first, second, plain.pseudonymize(KEY)):
        assert KEY not in pickle.dumps(each)
        assert "secret" not in repr(each)


def scan(frame, **options):
    options = {"keep": [c for c in frame.columns if c not in ("user", "time", "event")], **options}
    return jk.scan_events(frame, user="user", time="time", event="event", unit="s", **options)


@pytest.mark.parametrize("kind", ["text", "number"])
@pytest.mark.parametrize("options", [{}, {"duplicates": "drop"}], ids=str)
def test_a_plan_under_pseudonyms_is_what_the_log_is_in_memory(kind, options, tmp_path):
    frame = log() if kind == "text" else log().with_columns(pl.col("user").str.slice(1).cast(pl.Int64))
    frame = pl.concat([frame, frame.head(9)])
    plan = scan(frame, **options).pseudonymize(KEY, ["friend"])
    eager = read(frame, **options).pseudonymize(KEY, ["friend"])
    assert plan.collect().frame.equals(eager.frame)
    assert plan.sessionize("30m").collect().frame.equals(eager.sessionize("30m").frame)
    engine = jk.OutOfCore(shards=3, directory=tmp_path)
    assert_same_everywhere(plan.sessionize("30m"), engine, jk.Transitions(), jk.TopPaths(5), by="friend")


def test_shards_are_of_pseudonyms(tmp_path, monkeypatch):
    from journeykit.sharding import sharded

    seen = []
    events_of = sharded.events_of
    monkeypatch.setattr(sharded, "events_of", lambda *given: seen.append(events_of(*given)) or seen[-1])
    plan = scan(log()).pseudonymize(KEY).sessionize("30m")
    plan.measure(jk.Transitions(), engine=jk.OutOfCore(shards=3, directory=tmp_path))
    users = pl.concat([each.users.series().unique() for each in seen])
    assert sorted(users) == sorted(jk.pseudonyms(log()["user"].unique(), KEY))


def test_a_plan_joins_ids_before_it_hides_them(tmp_path):
    pairs = pl.DataFrame({"cookie": ["u0", "u2"], "login": ["u1", "u3"]})
    identity = jk.Identity.of(pairs, ["cookie", "login"])
    plan = scan(log(9)).stitch(identity).pseudonymize(KEY)
    assert plan.collect().frame.equals(read(log(9)).stitch(identity).pseudonymize(KEY).frame)
    engine = jk.OutOfCore(shards=2, directory=tmp_path)
    assert_same_everywhere(plan.sessionize("30m"), engine, jk.Overview(), jk.Transitions())


def test_a_plan_does_not_show_its_key():
    plain = scan(log(2))
    plan = plain.pseudonymize(KEY, ["friend"])
    assert "pseudonymize(key=<secret>, columns=('friend',))" in repr(plan)
    assert "secret>" in repr(plan.sessionize("30m"))
    assert repr(KEY) not in repr(plan)
    assert plan == plain.pseudonymize(KEY, ["friend"])
    assert plan != plain.pseudonymize(KEY + b"!", ["friend"])
    with pytest.raises(UnknownPropertyError, match="no property 'freind'"):
        scan(log(2)).pseudonymize(KEY, ["freind"])
    with pytest.raises(ParameterError, match="key must have 16 to 64 bytes, not 3"):
        scan(log(2)).pseudonymize(b"abc")
    with pytest.raises(ParameterError, match="pseudonyms are made of texts or whole numbers, not of Float64"):
        scan(log(2).with_columns(paid=0.5), value="paid").pseudonymize(KEY, ["value"]).collect()


def test_interleaved_sessions_and_stages_go_along():
    frame = log(40).with_columns(visit=pl.col("time") % 3)
    model = jk.StageModel([jk.Stage("look", "/page/1"), jk.Stage("own", "/page/2")])
    plain = (
        read(frame, session="visit", keep=["friend"])
        .sessionize(jk.SessionRule.from_column())
        .assign_stages(model)
    )
    made = plain.pseudonymize(KEY)
    assert made.time_order is not None
    expected = plain.frame.with_columns(user=jk.pseudonyms(plain.frame["user"], KEY))
    assert made.frame.sort("user", maintain_order=True).equals(expected.sort("user", maintain_order=True))
    flows = [each.measure(jk.Transitions(of="stage")).frame for each in (plain, made)]
    assert (
        flows[0]
        .select("source", "target", "transitions", "sessions")
        .equals(flows[1].select("source", "target", "transitions", "sessions"))
    )


def test_nothing_is_appended_under_true_ids(tmp_path):
    store = jk.open_store(read(log(9)).sessionize("30m").pseudonymize(KEY).write(tmp_path / "s"))
    with pytest.raises(StoreError, match="its journeys are what pseudonymize left"):
        store.append(read(log(9)))
    first = jk.open_store(read(log(9)).pseudonymize(KEY).sessionize("30m").write(tmp_path / "t"))
    assert first.append(read(log(12)).pseudonymize(KEY)).journeys().n_users == 12
    everything = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert KEY not in everything


def test_unknown_columns_are_refused():
    events = read(log(2))
    for each in (events, events.sessionize("30m")):
        with pytest.raises(
            UnknownPropertyError, match="no property 'freind' in these journeys. Did you mean 'friend'"
        ):
            each.pseudonymize(KEY, ["freind"])


# Rules


def protected(values, rules, column="x"):
    frame = pl.DataFrame(
        {
            "user": ["u"] * len(values),
            "time": range(len(values)),
            "event": ["e"] * len(values),
            column: values,
        }
    )
    return read(frame).protect(rules, key=KEY).columns[column].to_list()


def test_ips_become_networks():
    given = [
        "203.0.113.77",
        "::1",
        "2001:db8:abcd:12::7",
        "::ffff:10.1.2.3",
        "2002:cb00:7109:1::2",
        "fe80::1%eth0",
        "no address",
        "",
        None,
        "1.2.3",
    ]
    expected = [
        "203.0.113.0",
        "::",
        "2001:db8:abcd::",
        "10.1.2.0",
        "203.0.113.0",
        "fe80::",
        None,
        None,
        None,
        None,
    ]
    assert protected(given, jk.PrivacyRules(ips=["x"])) == expected


def test_urls_lose_what_follows_the_path_and_who_asks():
    given = [
        "https://ada:pw@shop.example/a?token=1#x",
        "/a/b#frag?",
        "//h/p",
        "mailto:a@b.de",
        "a\n?b",
        "?",
        None,
        "/x@y",
    ]
    expected = ["https://shop.example/a", "/a/b", "//h/p", "mailto:a@b.de", "a\n", "", None, "/x@y"]
    assert protected(given, jk.PrivacyRules(urls=["x"])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to Ada.Lovelace+shop@mail.example.co.uk, please", "write to <email>, please"),
        ("ünï@bücher.de", "<email>"),
        ("a%40b.example", "<email>"),
        ("call +49 (0)30 1234-5678 now", "call <phone> now"),
        ("0049 30 12345678", "<phone>"),
        ("(030) 123 456 78.", "<phone>."),
        ("555-123-4567", "<phone>"),
        ("order 12345678 of 2026-01-05 for 99.90", "order 12345678 of 2026-01-05 for 99.90"),
        ("user@host", "user@host"),
        ("<script>", "<script>"),
        ("", ""),
    ],
)
def test_texts_are_scrubbed(text, expected):
    assert protected([text, None], jk.PrivacyRules(scrub=["x"])) == [expected, None]


def test_scrubbing_takes_linear_time():
    text = "a" * 200_000 + "@" + "." * 200_000 + "0 " * 200_000
    assert len(protected([text], jk.PrivacyRules(scrub=["x"]))[0]) > 0


def test_coarser_columns():
    assert protected([37, 40, None], jk.PrivacyRules(bins={"x": 10})) == [30.0, 40.0, None]
    assert protected(["10115", "9", "🙂🙂🙂", None], jk.PrivacyRules(prefixes={"x": 2})) == [
        "10",
        "9",
        "🙂🙂",
        None,
    ]
    assert protected(["a", None], jk.PrivacyRules(pseudonymize=["x"])) == [jk.pseudonyms(["a"], KEY)[0], None]


def test_names_of_events_and_dropped_columns():
    frame = pl.DataFrame(
        {"user": [1, 1, 2], "time": [0, 1, 2], "event": ["/a?x=1", "/a", "a@b.de"], "mail": ["q"] * 3}
    )
    events = read(frame).protect(jk.PrivacyRules(drop=["mail"], urls=["event"], scrub=["event"]))
    assert events.columns["event"].to_list() == ["/a", "/a", "<email>"]
    assert events.columns.columns == ["time", "event"]
    assert events.columns["event"].dtype == pl.Enum(["/a", "<email>"])
    assert events.sessionize("30m").measure(jk.Transitions()).frame.height


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jk.PrivacyRules(drop="mail"), "drop must be a list of columns, not 'mail'."),
        (lambda: jk.PrivacyRules(ips=[1]), "ips must be a list of columns, not [1]."),
        (lambda: jk.PrivacyRules(bins=["age"]), "bins must give each column a number, not ['age']."),
        (lambda: jk.PrivacyRules(bins={"age": 0}), "bins needs a number above zero for 'age', not 0."),
        (
            lambda: jk.PrivacyRules(prefixes={"zip": 1.5}),
            "prefixes needs a whole number above zero for 'zip', not 1.5.",
        ),
        (
            lambda: read(log(1)).protect(jk.PrivacyRules(drop=["freind"])),
            "a rule names the column 'freind'. Did you mean 'friend'? Available: 'friend', 'event'.",
        ),
        (
            lambda: read(log(1)).protect(jk.PrivacyRules(drop=["event"])),
            "drop cannot be about 'event': only urls, scrub and prefixes can.",
        ),
        (
            lambda: read(log(1)).protect(jk.PrivacyRules(bins={"friend": 2})),
            "bins need numbers, and 'friend' holds String.",
        ),
        (
            lambda: read(log(1).with_columns(friend=1)).protect(jk.PrivacyRules(scrub=["friend"])),
            "scrub need texts, and 'friend' holds Int32.",
        ),
        (
            lambda: read(log(1)).protect(jk.PrivacyRules(pseudonymize=["friend"])),
            "rules.pseudonymize needs a key. Pass key=<16 to 64 secret bytes>.",
        ),
    ],
)
def test_rules_that_do_not_do(make, message):
    with pytest.raises(ParameterError) as raised:
        make()
    assert str(raised.value) == message


def test_rules_are_values():
    rules = jk.PrivacyRules(drop=["a"], bins={"b": 2})
    assert rules == pickle.loads(pickle.dumps(rules)) == eval(repr(rules), {"PrivacyRules": jk.PrivacyRules})
    assert hash(rules) == hash(jk.PrivacyRules(drop=("a",), bins={"b": 2}))


# Erasure

ADA, SECRET_PAGE, MAIL = "ada-lovelace-1815", "/profile/ada-only", "ada@engine.example"


def grown_store(folder):
    """A store with appends, changes and tallies, of which one user has names and values of her own."""
    frame = log(80).with_columns(mail=pl.lit("none"))
    ada = pl.DataFrame(
        {"user": [ADA] * 5, "time": [1, 2, 3, 70_000, 70_001],
         "event": ["/page/1", SECRET_PAGE, "/page/2", "/page/3", "/page/1"],
         "friend": ["u1"] * 5, "mail": [MAIL] * 5}
    )  # fmt: skip
    model = jk.StageModel([jk.Stage("look", "/page/1"), jk.Stage("own", "/page/2")])
    first = pl.concat([frame, ada.head(3).cast({"time": pl.Int64})])
    store = jk.open_store(read(first).sessionize("30m").assign_stages(model).write(folder, shards=8))
    store.measure(jk.Transitions(), jk.TopPaths(10))
    store.append(read(ada.tail(2)))
    store.measure(jk.Transitions(), jk.TopPaths(10), by="mail")
    return store, read(frame).sessionize("30m").assign_stages(model)


def assert_gone(folder, *texts):
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        contents = {file.name: file.read_bytes()}
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                contents |= {name: archive.read(name) for name in archive.namelist()}
        for name, content in contents.items():
            parts = [name.encode(), content]
            if name.endswith(".parquet"):
                table = pl.read_parquet(content)
                parts += [
                    repr(table[column].cast(pl.String, strict=False).to_list()).encode()
                    for column in table.columns
                ]
            for text in texts:
                assert not any(text.encode() in part for part in parts), (file, text)


def test_the_bytes_hold_who_was_not_erased(tmp_path):
    store, _ = grown_store(tmp_path / "s")
    for text in (ADA, SECRET_PAGE, MAIL):
        with pytest.raises(AssertionError):
            assert_gone(store.path, text)


def test_erased_users_are_in_no_byte(tmp_path):
    store, without = grown_store(tmp_path / "s")
    assert store.erase(ADA) is store
    assert_gone(store.path, ADA, SECRET_PAGE, MAIL)
    store.measure(jk.Transitions(), jk.TopPaths(10), by="mail")
    assert_gone(store.path, ADA, SECRET_PAGE, MAIL)
    found = store.journeys(verify=True)
    assert found.frame.sort("user", maintain_order=True).equals(
        without.frame.sort("user", maintain_order=True)
    )
    assert found.names.to_list() == without.names.to_list()
    assert found.provenance.tied_pairs_distinct == without.provenance.tied_pairs_distinct
    assert [each for each in found.provenance.notes if "In no stage" in each] == [
        each for each in without.provenance.notes if "In no stage" in each
    ]
    for question in (jk.Transitions(), jk.TopPaths(10)):
        assert store.measure(question).frame.equals(without.measure(question).frame)
    again = store.append(read(log(2).with_columns(user=pl.lit("new"), mail=pl.lit("x"))))
    assert again.journeys().n_users == 81


def test_everybody_is_erased(tmp_path):
    store = jk.open_store(read(log(5)).sessionize("30m").write(tmp_path / "s"))
    store.erase(*[f"u{i}" for i in range(5)])
    assert store.journeys().n_users == 0
    assert_gone(store.path, "u1", "/page/1")


def test_ties_of_the_erased_are_counted_no_more(tmp_path):
    """Of the events outside of sessions too; those of others stay."""
    frame = pl.DataFrame(
        {"user": ["ann"] * 4 + ["bob"] * 3, "time": [5, 5, 5, 9, 5, 5, 9], "event": list("aabcaba"),
         "own": [None, "s", "s", "s", "s", "s", None]}
    )  # fmt: skip
    rule = jk.SessionRule.from_column(null_session="outside")

    def cut(rows):
        return jk.read_events(
            rows, user="user", time="time", event="event", session="own", unit="s"
        ).sessionize(rule)

    store = jk.open_store(cut(frame).write(tmp_path / "s"))
    given = store.journeys().provenance
    assert (given.tied_pairs, given.tied_pairs_distinct, given.events_outside) == (3, 2, 2)
    left, alone = store.erase("ann").journeys().provenance, cut(frame.filter(user="bob")).provenance
    assert (left.tied_pairs, left.tied_pairs_distinct, left.events_outside) == (1, 1, 1)
    assert left.notes == alone.notes


def test_numbers_and_pseudonyms_are_erased(tmp_path):
    frame = log(30).with_columns(pl.col("user").str.slice(1).cast(pl.Int64))
    store = jk.open_store(read(frame).sessionize("30m").write(tmp_path / "s"))
    assert 7 not in store.erase(7).journeys().users
    assert store.journeys().n_users == 29
    hidden = jk.open_store(read(log(30)).pseudonymize(KEY).sessionize("30m").write(tmp_path / "t"))
    assert hidden.erase("u7", key=KEY).journeys().n_users == 29
    assert_gone(hidden.path, jk.pseudonyms(["u7"], KEY)[0])


def test_unknown_users_erase_nobody(tmp_path):
    store = jk.open_store(read(log(5)).sessionize("30m").write(tmp_path / "s"))
    with pytest.raises(UnknownUserError) as raised:
        store.erase("u1", "nobody", "<script>")
    assert str(raised.value) == (
        "2 of 3 users asked for are not in these journeys: 'nobody', '<script>'. "
        'Pass missing="ignore" to leave them out.'
    )
    assert store.journeys().n_users == 5
    assert store.erase("u1", "nobody", missing="ignore").journeys().n_users == 4
    with pytest.raises(ParameterError, match="erase needs the ids of users"):
        store.erase()
    with pytest.raises(ParameterError, match="missing cannot be 'no'"):
        store.erase("u1", missing="no")


@pytest.mark.parametrize("step", ["write_shard", "replace_manifest", "clear"])
def test_a_crash_leaves_a_whole_store_and_the_next_call_finishes(step, tmp_path, monkeypatch):
    store, _ = grown_store(tmp_path / "s")
    before = store.journeys().frame
    whole, calls = getattr(erasing, step), []

    def crash(*given, **options):
        calls.append(step)
        if step != "clear" or len(calls) > 1:
            raise KeyboardInterrupt
        return whole(*given, **options)

    monkeypatch.setattr(erasing, step, crash)
    with pytest.raises(KeyboardInterrupt):
        store.erase(ADA)
    monkeypatch.undo()
    reopened = jk.open_store(store.path, verify=True)
    found = reopened.journeys().frame
    assert found.equals(before) if step != "clear" else ADA not in found["user"]
    reopened.erase(ADA, missing="ignore")
    assert_gone(store.path, ADA, SECRET_PAGE, MAIL)


def test_nothing_counted_outlives_an_erasure(tmp_path, monkeypatch):
    """Neither where it is killed half-way, nor what others ask while it is at work."""
    store, _ = grown_store(tmp_path / "s")
    tables, replaced, seen = erasing.read_tables, erasing.replace_manifest, []

    def look(*given):
        seen.append(list((store.path / "tallies").glob("*")))
        return tables(*given)

    def ask(*given):
        jk.open_store(store.path).measure(jk.TopPaths(10), by="mail")
        seen.append(list((store.path / "tallies").glob("*")))
        return replaced(*given)

    monkeypatch.setattr(erasing, "read_tables", look)
    monkeypatch.setattr(erasing, "replace_manifest", ask)
    store.erase(ADA)
    assert seen[0] == []
    assert seen[-1] != []
    assert_gone(store.path, ADA, SECRET_PAGE, MAIL)


def test_a_disk_that_is_full_is_said(tmp_path, monkeypatch):
    store = jk.open_store(read(log(5)).sessionize("30m").write(tmp_path / "s"))

    def full(*given, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(erasing, "write_shard", full)
    with pytest.raises(StoreError) as raised:
        store.erase("u1")
    assert str(raised.value) == (
        f"nobody was erased from {str(store.path)!r}: [Errno 28] No space left on device. "
        "Erase them again once that is repaired."
    )
    assert store.journeys().n_users == 5


def test_the_span_of_observation_stays(tmp_path):
    store, _ = grown_store(tmp_path / "s")
    store.erase(ADA)
    assert store.journeys().observed_until == int(datetime.fromtimestamp(70_001, UTC).timestamp() * 1e6)
