"""Every export in its true shape, in every container: the same log, and what was left out."""

from __future__ import annotations

import hashlib
import json

import polars as pl
import pytest

import journeykit as jk
from journeykit.adapters.snowplow import FIELDS
from journeykit.errors import (
    BrokenRowError,
    ColumnClashError,
    EmptyInputError,
    InvalidRowsError,
    MissingColumnError,
    ParameterError,
    UnknownFormatError,
    UnreadableFileError,
)
from tests import exports
from tests.exports import EXPORTS, HOSTILE, SNOWPLOW, lines, write

NAMES = [export.name for export in EXPORTS]
CONTAINERS = ["ndjson", "json", "json.gz", "zip", "parquet", "csv"]


def reader(name):
    return getattr(jk, f"read_{name}"), getattr(jk, f"scan_{name}")


def table(events) -> list[tuple]:
    shown = [name for name in ("user", "time", "event", "session", "value") if name in events.frame.columns]
    texts = events.frame.select(
        pl.col(name).cast(pl.String) if name in ("time", "event") else pl.col(name) for name in shown
    )
    return [
        tuple(str(v).replace(".000000", "") if i == 1 else v for i, v in enumerate(row))
        for row in texts.rows()
    ]


def expected(export) -> list[tuple]:
    return [(row[0], row[1], *row[2:]) for row in export.log]


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("export", EXPORTS, ids=NAMES)
def test_every_container_gives_the_same_log(export, kind, tmp_path):
    if kind == "csv" and export.name == "ga4":
        pytest.skip("BigQuery does not write nested columns to CSV")
    read, scan = reader(export.name)
    path = write(export, tmp_path, kind)
    name, values = export.keep
    events = read(path, keep=[name])
    found = [(user, time.replace(" UTC", "+00:00"), *rest) for user, time, *rest in table(events)]
    assert found == expected(export)
    assert dict(events.quality.left_out) == export.left_out
    assert events.frame[name].to_list() == values
    assert scan(path, keep=[name]).collect().frame.equals(events.frame)


@pytest.mark.parametrize("export", EXPORTS, ids=NAMES)
def test_frames_are_read_like_files(export):
    read, _ = reader(export.name)
    frame = pl.DataFrame(export.rows, infer_schema_length=None)
    events = read(frame)
    assert events.columns.height == len(export.log)
    assert read(frame.lazy()).frame.equals(events.frame)
    assert read(frame.to_arrow()).frame.equals(events.frame)


@pytest.mark.parametrize("export", EXPORTS, ids=NAMES)
def test_nothing_is_left_out_that_is_not_to_be(export):
    read, _ = reader(export.name)
    events = read(pl.DataFrame(export.rows, infer_schema_length=None), leave_out=[], deduplicate=False)
    assert events.columns.height == len(export.rows)
    assert events.quality.left_out == {}


def test_answers_are_the_same_out_of_core(tmp_path):
    plan = jk.scan_snowplow(write(SNOWPLOW, tmp_path, "ndjson")).sessionize("30m")
    in_memory, on_disk = (
        plan.measure(jk.Transitions(), engine=each) for each in (None, jk.OutOfCore(memory="1GB"))
    )
    assert in_memory.frame.equals(on_disk.frame)
    assert in_memory.notes == on_disk.notes


@pytest.mark.parametrize(
    ("name", "row", "place"),
    [
        ("posthog", {"uuid": "1", "distinct_id": "a", "event": "e"}, "$referring_domain"),
        ("rudderstack", {"id": "1", "anonymous_id": "a", "event_text": "e"}, "context_page_referrer"),
    ],
)
def test_a_referrer_that_says_there_is_none_is_none(name, row, place):
    rows = []
    for number, referrer in enumerate(["$direct", "find.example", None]):
        told = {place: referrer} if name == "rudderstack" else {"properties": {place: referrer}}
        rows.append(
            {**row, **told, "uuid": f"{number}", "id": f"{number}", "timestamp": "2026-01-05T10:00:00Z"}
        )
    events = reader(name)[0](rows, keep=["referrer"])
    assert events.frame["referrer"].to_list() == [None, "find.example", None]
    rules = jk.channels.ga4(source=None, medium=None, campaign=None, referrer="referrer")
    assert rules.channels(events.frame).to_list() == [None, "Referral", None]


def test_times_of_mixpanel_may_be_milliseconds():
    line = {"event": "view", "properties": {"time": 1767571200123, "distinct_id": "ann", "$insert_id": "a1"}}
    assert jk.read_mixpanel([line], unit="ms").frame["time"].dt.epoch("ms").to_list() == [1767571200123]
    with pytest.raises(InvalidRowsError, match="time 1"):
        jk.read_mixpanel([line])


def test_the_columns_of_snowplow_are_those_of_its_sdk():
    # The sum of the 131 names in the Python SDK 0.2.3 of Snowplow, joined by tabs as its help writes them.
    found = hashlib.sha256("\t".join(FIELDS).encode()).hexdigest()
    assert found == "e84792439c3634049d961c8f7cb9b03816a555d453d2497b660a8a751af4f176"


def test_snowplow_tsv_has_no_header(tmp_path):
    path = tmp_path / "part-0001"
    path.write_text(
        "".join("\t".join(_tsv(row.get(name)) for name in FIELDS) + "\n" for row in SNOWPLOW.rows)
    )
    events = jk.read_snowplow(path, keep=["app_id"])
    assert [row[2] for row in table(events)] == [row[2] for row in SNOWPLOW.log]
    assert events.frame["app_id"].unique().to_list() == ["shop"]
    path.write_text("a\tb\n")
    with pytest.raises(UnreadableFileError, match="line 1 has 2 fields, and 131 were expected"):
        jk.read_snowplow(path)


def _tsv(value) -> str:
    return "" if value is None else str(value)


def test_roles_can_be_named_otherwise(tmp_path):
    path = write(exports.AMPLITUDE, tmp_path, "ndjson")
    events = jk.read_amplitude(
        path,
        user=pl.col("device_id").str.to_uppercase(),
        event="event_properties.plan",
        value="event_id",
        session=None,
        order=None,
        keep={"kind": "event_type", "twice": pl.col("event_id").cast(pl.Int64) * 2},
    )
    assert events.frame.columns == ["user", "time", "event", "value", "kind", "twice"]
    assert events.frame["user"].unique().to_list() == ["D1"]
    assert events.frame["event"].unique().to_list() == ["pro"]
    assert events.frame["value"].to_list() == [0.0, 1.0, 3.0]
    assert events.frame["twice"].to_list() == [0, 2, 6]


def test_a_repeat_of_mixpanel_has_event_user_time_and_insert_id_in_common():
    first = {"time": exports.T, "distinct_id": "ann", "$insert_id": "a1"}
    others = [{"time": exports.T + 1}, {"distinct_id": "bob"}, {"$insert_id": "a2"}, {"city": "Bonn"}]
    rows = [{"event": "view", "properties": {**first, **other}} for other in ({}, *others)]
    events = jk.read_mixpanel([*rows, {**rows[0], "event": "buy"}])
    assert [row[0] for row in table(events)] == ["ann", "ann", "bob", "ann", "ann"]
    assert events.quality.left_out == {exports.REPEATS: 1}


def test_an_insert_id_of_amplitude_is_that_of_a_device():
    rows = [
        exports.amplitude_row(number, "view", "same", device_id=device)
        for number, device in enumerate(["d1", "d2", "d1", None, None])
    ]
    events = jk.read_amplitude(rows)
    assert events.frame["time"].dt.second().to_list() == [0, 1, 3]
    assert events.quality.left_out == {exports.REPEATS: 2}


def test_the_value_of_ga4_is_the_revenue_and_in_dollars_where_it_can_be():
    def row(event_value, **told):
        made = exports.ga4_row("ann", 0, "purchase", 1, **told)
        return {**made, "event_params": [exports.parameter("value", double_value=event_value)]}

    revenue = {"purchase_revenue": 9.5, "purchase_revenue_in_usd": 10.5}
    rows = [
        row(30.0, ecommerce={**revenue, "purchase_revenue_in_usd": None}),
        row(31.0, ecommerce=revenue),
        row(32.0, ecommerce=dict.fromkeys(revenue)),
        row(33.0, ecommerce=dict.fromkeys(revenue), event_value_in_usd=34.0),
    ]
    assert jk.read_ga4(rows).frame["value"].to_list() == [9.5, 10.5, 32.0, 34.0]


def test_ties_follow_the_pages_and_batches_of_ga4():
    rows = [
        exports.ga4_row(
            "ann", 0, name, 1, batch_page_id=page, batch_ordering_id=batch, batch_event_index=index
        )
        for name, page, batch, index in [("d", 2, 1, 1), ("c", 1, 2, 1), ("b", 1, 1, 2), ("a", 1, 1, 1)]
    ]
    journeys = jk.read_ga4(rows).sessionize("30m")
    assert journeys.frame["event"].to_list() == ["a", "b", "c", "d"]


def _tied(name, number):
    """Return the event e<number> of a user, at one time with all others."""
    event = f"e{number}"
    if name == "amplitude":
        return exports.amplitude_row(0, event, event, event_id=number)
    if name == "snowplow":
        device = f"2026-01-05 00:00:0{number}.000"
        now = {"derived_tstamp": "2026-01-05 00:00:00.000", "dvce_created_tstamp": device}
        return exports.snowplow_row(number, "unstruct", event_name=event, **now)
    action = {"type": "action", "pageTitle": event, "timestamp": exports.T, "pageId": number}
    return {"idVisit": "1", "visitorId": "v", "actionDetails": [action]}


@pytest.mark.parametrize("name", ["amplitude", "matomo", "snowplow"])
def test_ties_follow_the_order_of_the_tool(name):
    """Nine comes before ten, and the order of the rows says nothing."""
    numbers = (3, 1, 9, 2) if name == "snowplow" else (10, 1, 9, 2)
    journeys = reader(name)[0]([_tied(name, number) for number in numbers]).sessionize("30m")
    assert journeys.frame["event"].to_list() == [f"e{number}" for number in sorted(numbers)]


def test_columns_that_come_later_and_types_that_turn_are_reported(tmp_path):
    old = pl.DataFrame({"event_timestamp": [1], "event_name": ["x"], "user_pseudo_id": [11]})
    new = pl.DataFrame(
        {"event_timestamp": ["2"], "event_name": ["y"], "user_pseudo_id": ["b"], "platform": ["WEB"]}
    )
    for number, frame in enumerate((old, old, new)):
        frame.write_parquet(tmp_path / f"events_{number}.parquet")
    events = jk.read_ga4(tmp_path, keep=["platform"])
    assert events.frame["user"].to_list() == ["11", "11", "b"]
    assert events.frame["platform"].to_list() == [None, None, "WEB"]
    first, last = (str(tmp_path / f"events_{number}.parquet") for number in (0, 2))
    assert sorted(events.quality.notes) == sorted(
        [
            f"'user_pseudo_id' is Int64 in {first!r} and String in {last!r}",
            f"'event_timestamp' is Int64 in {first!r} and String in {last!r}",
            f"'platform' is missing in {first!r}, 2 of 3 files looked at",
        ]
    )


def test_drift_between_lines_of_json_is_read_as_text(tmp_path):
    first = {"event": 5, "properties": {"distinct_id": 7, "time": T, "plan": 1}}
    second = {"event": "b", "properties": {"distinct_id": "ann", "time": str(T), "plan": {"a": [1]}}}
    third = {"event": "c", "properties": {"distinct_id": True, "time": float(T), "later": "x"}}
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, [first, second])))
    (tmp_path / "b.json").write_text(json.dumps(third))
    events = jk.read_mixpanel(tmp_path, keep=["properties.plan", "properties.later"])
    assert events.frame["user"].to_list() == ["7", "ann", "true"]
    assert events.frame["event"].cast(pl.String).to_list() == ["5", "b", "c"]
    assert events.frame["properties.plan"].to_list() == ["1", '{"a": [1]}', None]
    assert any("'properties.later' is missing in" in note for note in events.notes)


T = exports.T


def test_a_place_that_only_late_lines_have_is_found(tmp_path):
    rows = [{"event": "a", "properties": {"distinct_id": "u", "time": T + i}} for i in range(1_200)]
    rows[-1]["properties"]["late"] = "yes"
    path = tmp_path / "a.ndjson"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert jk.read_mixpanel(path, keep=["properties.late"]).frame["properties.late"][-1] == "yes"
    with pytest.raises(MissingColumnError, match="no column 'properties.never' for the role 'keep'"):
        jk.read_mixpanel(path, keep=["properties.never"])


def test_empty_files_among_others_are_reported(tmp_path):
    write(exports.MIXPANEL, tmp_path, "ndjson")
    (tmp_path / "empty.ndjson").write_bytes(b"")
    assert jk.read_mixpanel(tmp_path).notes == ("1 of 2 files are empty",)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_required_column_is_named(name):
    read, scan = reader(name)
    for call in (read, scan):
        with pytest.raises(MissingColumnError, match=f"Pass user=<column name> to read_{name}"):
            call(pl.DataFrame({"nothing": [1]}))


def test_the_message_of_a_missing_place_names_those_of_the_file(tmp_path):
    path = write(exports.MIXPANEL, tmp_path, "ndjson")
    with pytest.raises(MissingColumnError) as caught:
        jk.read_mixpanel(path, user="properties.distinct")
    assert str(caught.value).startswith(
        "no column 'properties.distinct' for the role 'user'. Did you mean 'properties.distinct_id'? Available: "
    )
    assert "'properties.distinct'," not in str(caught.value)


def test_the_message_of_a_missing_column():
    with pytest.raises(MissingColumnError) as caught:
        jk.read_mixpanel(pl.DataFrame({"event": ["a"], "props": ["{}"]}))
    assert str(caught.value) == (
        "no column 'properties.distinct_id' for the role 'user'. Available: 'props', 'browser', "
        "'referrer', 'device', 'medium', 'system', 'campaign', 'page' and 4 more. "
        "Pass user=<column name> to read_mixpanel."
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"usr": "x"}, ParameterError, "read_mixpanel has no parameter 'usr'. Did you mean 'user'?"),
        ({"keep": "page"}, ParameterError, "keep must be a list of columns, not a text. Pass keep=['page']."),
        ({"keep": 5}, ParameterError, "keep must be a list of names or a mapping, not 5."),
        ({"keep": {"a": 5}}, ParameterError, "keep must be a name, a place or a polars expression, not 5."),
        ({"keep": ["value"]}, ColumnClashError, "the property 'value' cannot be kept under this name"),
        ({"user": 5}, ParameterError, "user must be a name, a place or a polars expression, not 5."),
        (
            {"user": None},
            ParameterError,
            "user cannot be None. Leave it out to have what read_mixpanel takes.",
        ),
        ({"leave_out": "identity"}, ParameterError, "leave_out must be a list of names, not 'identity'."),
        (
            {"leave_out": ["bots"]},
            ParameterError,
            "leave_out cannot name 'bots'. read_mixpanel can leave out: 'identity'.",
        ),
        ({"format": "avro"}, ParameterError, "format cannot be 'avro'. Choose one of: 'parquet', 'csv'"),
        ({"on_invalid": "x"}, ParameterError, "on_invalid cannot be 'x'"),
    ],
)
def test_wrong_options_raise_before_any_work(options, error, message, tmp_path):
    path = write(exports.MIXPANEL, tmp_path, "ndjson")
    for call in reader("mixpanel"):
        with pytest.raises(error) as caught:
            call(path, **options)
        assert str(caught.value).startswith(message)


def test_a_file_in_which_no_line_is_to_blame_is_named(tmp_path):
    answers = tmp_path / "answers.csv"
    answers.write_text('User,Date Submitted,"Why?"\nu1,2026-01-05 10:00:00,"a, ""b"""\n ""b"""\n')
    with pytest.raises(UnreadableFileError) as caught:
        jk.read_hotjar(answers)
    assert str(caught.value).startswith(f"{str(answers)!r} cannot be read as csv: ")


@pytest.mark.parametrize("place", [20, 60])
def test_broken_parquet_is_named(place, tmp_path):
    file = exports.write(exports.POSTHOG, tmp_path, "parquet")
    content = bytearray(file.read_bytes())
    content[place : place + 30] = bytes(30)
    file.write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        jk.read_posthog([file])
    assert str(caught.value).startswith(f"{str(file)!r} cannot be read as parquet: ")


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"event": "a", "properties": {"distinct_id": "u", "time": 1}}\n{"event": \n')
    with pytest.raises(BrokenRowError, match="line 2 is not JSON"):
        jk.read_mixpanel(path)
    path.write_bytes(b'{"event": "\xff", "properties": {"distinct_id": "u", "time": 1}}\n')
    with pytest.raises(BrokenRowError, match="line 1 is not UTF-8"):
        jk.read_mixpanel(path)
    path.write_bytes(b"[1, 2]")
    with pytest.raises(UnreadableFileError, match="its list holds more than objects"):
        jk.read_mixpanel(path)
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(UnreadableFileError, match="it is nested too deeply|Expecting value"):
        jk.read_mixpanel(path)
    for content in (b"", b"[]"):
        path.write_bytes(content)
        with pytest.raises(EmptyInputError):
            jk.read_mixpanel(path)
    cut = tmp_path / "b.json.gz"
    import gzip

    cut.write_bytes(gzip.compress(lines(exports.MIXPANEL) * 1000)[:-20])
    with pytest.raises(UnreadableFileError):
        jk.read_mixpanel(cut)
    with pytest.raises(UnknownFormatError, match="does not tell its format"):
        odd = tmp_path / "a.bin"
        odd.write_bytes(b"x")
        jk.read_mixpanel(odd)


def test_wrong_types_are_invalid_rows_not_wrong_times(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"event": "a", "properties": {"distinct_id": "u", "time": "soon"}}\n')
    with pytest.raises(InvalidRowsError, match="1 of 1 rows"):
        jk.read_mixpanel(path)


def test_a_plan_says_what_it_reads(tmp_path):
    path = write(exports.MIXPANEL, tmp_path, "ndjson")
    (tmp_path / "more.ndjson").write_bytes(lines(exports.MIXPANEL))
    assert repr(jk.scan_mixpanel(tmp_path)).startswith(
        f"EventsPlan of Mixpanel export {str(path)!r} and 1 more files"
    )


def test_hostile_names_stay_as_they_are(tmp_path):
    events = jk.read_mixpanel(
        write(exports.MIXPANEL, tmp_path, "ndjson"), keep={HOSTILE: "properties.mp_lib"}
    )
    assert events.frame.columns[-1] == HOSTILE
    assert events.frame["event"].cast(pl.String)[0] == HOSTILE
