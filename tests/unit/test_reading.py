# Times without a zone are a kind of input here, and messages are tested whole.
"""Reading: every kind of source gives the same canonical log, and every fault is said in our words."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import journeykit as jk
from journeykit.errors import (
    BrokenRowError,
    ColumnClashError,
    ColumnTypeError,
    EmptyInputError,
    EngineError,
    InputError,
    InvalidRowsError,
    MissingColumnError,
    MissingFileError,
    ParameterError,
    ReservedNameError,
    TimeFormatError,
    TimeUnitError,
    UnknownFormatError,
    UnreadableFileError,
    UnsupportedSourceError,
)
from journeykit.ordering.vocabulary import encode_events
from journeykit.sources import FORMATS, access_log, blaming, collect_source, open_source, source_format
from journeykit.sources.canonical import (
    InvalidCounts,
    Roles,
    canonical,
    canonicalise,
    drop_duplicates,
)
from journeykit.sources.roles import check_zone
from journeykit.sources.times import FORMATS as TIME_FORMATS
from tests.measuring import resolve_invalid

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
LOG = pl.DataFrame(
    {
        "who": ["ann", "bob", "ann"],
        "when": [datetime(2026, 1, 2, 3, 4, 5, 678901), datetime(2026, 1, 1), datetime(2026, 1, 3)],
        "what": ["view", "cart", "view"],
        "device": ["phone", None, "desk"],
    }
)
ROLES = Roles("who", "when", "what", keep=["device"])
EXPECTED = [
    ("ann", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "view", "phone"),
    ("bob", datetime(2026, 1, 1, tzinfo=UTC), "cart", None),
    ("ann", datetime(2026, 1, 3, tzinfo=UTC), "view", "desk"),
]


def read(source, roles=ROLES, *, on_invalid="raise", **options) -> pl.DataFrame:
    opened = open_source(source, columns=roles.columns, **options)
    options.pop("text", None)
    with blaming(source, columns=roles.columns, **options):
        plan = canonical(opened, roles)
    frame, _ = resolve_invalid(collect_source(plan, source, columns=roles.columns, **options), on_invalid)
    return encode_events(frame)


def says(text: str) -> str:
    """Turn a full message into the pattern that matches nothing else."""
    return rf"\A{re.escape(text)}\Z"


def one(values, dtype=None, **options) -> pl.Series:
    """The canonical times of a column of times, invalid ones null."""
    frame = pl.DataFrame({"u": "a", "t": pl.Series(values, dtype=dtype), "e": "x"})
    return canonical(frame.lazy(), Roles("u", "t", "e", **options)).collect()["time"]


class OnlyStream:
    """An object with nothing but the capsule, which gives its rows once."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.reader = frame.to_arrow().to_reader()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader.__arrow_c_stream__(requested_schema)


def written(folder: Path, name: str, frame: pl.DataFrame = LOG) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_name(path.name.removesuffix(".gz"))
    if ".parquet" in name:
        frame.write_parquet(path)
    elif "json" in name:
        frame.write_ndjson(raw)
    else:
        frame.write_csv(raw, separator="\t" if ".tsv" in name else ",")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(raw.read_bytes()))
        raw.unlink()
    return path


# ---------------------------------------------------------------- every kind of source


@pytest.mark.parametrize(
    "name",
    ["l.parquet", "l.csv", "l.csv.gz", "l.tsv", "l.tsv.gz", "l.ndjson", "l.jsonl", "l.jsonl.gz", "L.CSV"],
)
def test_files_of_every_format(tmp_path, name):
    path = written(tmp_path, name)
    assert read(path).rows() == EXPECTED
    assert read(str(path)).rows() == EXPECTED
    assert read([path, path]).rows() == EXPECTED * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda log: log,
        lambda log: log.lazy(),
        lambda log: log.to_pandas(),
        lambda log: log.to_arrow(),
        lambda log: log.to_arrow().combine_chunks().to_batches()[0],
        lambda log: log.to_arrow().to_reader(),
        lambda log: ds.dataset(log.to_arrow()),
        OnlyStream,
        lambda log: duckdb.connect().sql("select * from log"),
        lambda log: log.to_dict(as_series=False),
        lambda log: log.to_dicts(),
    ],
    ids=[
        "polars", "lazy", "pandas", "table", "batch", "reader", "dataset", "capsule", "duckdb", "columns", "records",
    ],
)  # fmt: skip
def test_frames_of_every_kind(make):
    source = make(LOG)
    plan = open_source(source, columns=ROLES.columns)
    frames = [encode_events(canonical(plan, ROLES).collect()) for _ in range(2)]
    assert frames[0].rows() == EXPECTED
    # Running a plan again gives the rows again, also of a stream that gives them once.
    assert frames[1].rows() == EXPECTED


def test_canonical_types_and_order_of_columns():
    roles = Roles("who", "when", "what", session="who", order="when", value="n", keep=["n", "device", "n"])
    frame = read(LOG.with_columns(n=pl.Series([1, 2, 3])), roles)
    assert frame.columns == ["user", "time", "event", "session", "order", "value", "n", "device"]
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    assert frame.schema["event"] == pl.Enum(["cart", "view"])
    assert frame["session"].to_list() == ["ann", "bob", "ann"]


def test_pandas_with_categories_zone_and_an_index_of_its_own():
    frame = LOG.to_pandas().assign(what=lambda f: f["what"].astype("category"))
    frame["when"] = frame["when"].dt.tz_localize("Europe/Berlin")
    frame.index = pd.Index([7, 8, 9])
    result = read(frame)
    assert result["event"].to_list() == ["view", "cart", "view"]
    assert result["time"][1] == datetime(2025, 12, 31, 23, tzinfo=UTC)


def test_folders_patterns_and_hidden_files(tmp_path):
    for name in ["b/2.parquet", "a/1.parquet", "_tmp/3.parquet", ".x/4.parquet"]:
        written(tmp_path, name, LOG.with_columns(device=pl.lit(name)))
    (tmp_path / "a" / "notes.txt").write_text("not a log")
    assert read(tmp_path)["device"].unique(maintain_order=True).to_list() == ["a/1.parquet", "b/2.parquet"]
    assert read(str(tmp_path / "[ab]" / "*.parquet")).height == 6
    assert read(str(tmp_path / "**" / "2.parquet")).height == 3


def test_folders_named_by_key_and_value_become_columns(tmp_path):
    written(tmp_path, "day=1/x.parquet")
    written(tmp_path, "day=2/x.parquet")
    frame = read(tmp_path, Roles("who", "when", "what", keep=["day"]))
    assert frame["day"].to_list() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("name", ["odd [1]*.parquet", "odd [1]*.csv", "odd [1].ndjson"])
def test_a_bracket_in_a_file_name_is_only_a_bracket(tmp_path, name):
    assert read(written(tmp_path, name)).rows() == EXPECTED


def test_a_stated_format_wins_over_the_name(tmp_path):
    path = written(tmp_path, "l.csv").rename(tmp_path / "l.data")
    assert read(path, format="csv").rows() == EXPECTED
    assert source_format(path, "csv") == "csv"
    assert source_format(LOG) is None


def test_duckdb_gives_only_the_wanted_columns():
    relation = duckdb.connect().sql('select *, 1 as "odd "" name" from LOG')
    assert open_source(relation, columns=["who", 'odd " name']).collect_schema().names() == [
        "who",
        'odd " name',
    ]


def test_ids_in_csv_stay_as_written(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("u,t,e\n007,2026-01-01,1\n7,2026-01-01,2\n")
    roles = Roles("u", "t", "e")
    assert read(path, roles, text=["u", "e", "no such"])["user"].to_list() == ["007", "7"]
    assert read(path, roles)["user"].to_list() == [7, 7]


def test_an_empty_field_of_csv_is_null_and_quotes_are_a_text(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text('u,t,e\n"",2026-01-01,view\n,2026-01-01,view\n')
    frame = read(path, Roles("u", "t", "e"), on_invalid="drop", text=["u"])
    assert frame["user"].to_list() == [""]


def test_a_key_that_ndjson_shows_late(tmp_path):
    path = tmp_path / "l.ndjson"
    path.write_text(
        '{"u":1,"t":"2026-01-01","e":"a"}\n' * 10_001 + '{"u":1,"t":"2026-01-01","e":"a","late":5}\n'
    )
    assert read(path, Roles("u", "t", "e", keep=["late"]))["late"].sum() == 5


def test_arrow_extension_types_are_unpacked():
    storage = pa.array([1, 2], pa.int64())
    table = pa.table({"u": storage, "e": ["a", "b"], "j": pa.ExtensionArray.from_storage(Kilo(), storage)})
    plan = open_source(table)
    assert plan.collect_schema()["j"] == pl.Int64


class Kilo(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.int64(), "journeykit.test.kilo")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


# ---------------------------------------------------------------- files that are not there, or broken


def test_missing_files(tmp_path):
    written(tmp_path, "events.parquet")
    with pytest.raises(MissingFileError) as error:
        open_source(f"{tmp_path}/event.parquet")
    assert str(error.value) == (
        f"no file '{tmp_path}/event.parquet'. Did you mean 'events.parquet'? Available: 'events.parquet'. "
        f"Check the path, or give a pattern such as '*.parquet'."
    )
    assert isinstance(error.value, FileNotFoundError)
    assert isinstance(error.value, ValueError)
    text = "the path is empty. Give that of a file or folder; '.' is the folder you are in."
    with pytest.raises(MissingFileError, match=says(text)):
        open_source("")
    text = f"no file '{tmp_path}/no/l.csv': there is no folder '{tmp_path}/no'. Check the path."
    with pytest.raises(MissingFileError, match=says(text)):
        open_source(tmp_path / "no" / "l.csv")
    text = f"no file matches '{tmp_path}/*.csv'. Check the folder and the pattern; ** crosses folders."
    with pytest.raises(MissingFileError, match=says(text)):
        open_source(f"{tmp_path}/*.csv")


def test_empty_sources(tmp_path):
    for name in ["l.csv", "l.tsv", "l.ndjson"]:
        (tmp_path / name).write_bytes(b"")
        text = f"the file '{tmp_path}/{name}' is empty: there is no event to read. Check the path and what wrote it."
        with pytest.raises(EmptyInputError, match=says(text)):
            open_source(tmp_path / name)
    (tmp_path / "empty").mkdir()
    text = f"the folder '{tmp_path}/empty' is empty: there is no event to read. Check the path and what wrote it."
    with pytest.raises(EmptyInputError, match=says(text)):
        open_source(tmp_path / "empty")
    text = "the list of paths is empty: there is no event to read. Check the path and what wrote it."
    with pytest.raises(EmptyInputError, match=says(text)):
        open_source([])


@pytest.mark.parametrize(
    "source",
    [
        LOG.clear(),
        LOG.clear().to_pandas(),
        pd.DataFrame({"who": [], "when": [], "what": [], "device": []}, dtype="object"),
        LOG.clear().to_arrow(),
        {"who": [], "when": [], "what": [], "device": []},
    ],
    ids=["polars", "pandas", "objects", "arrow", "lists"],
)
def test_logs_without_a_row(source):
    text = "the log is empty: there is no event to read. Check the path and what wrote it."
    with pytest.raises(EmptyInputError, match=says(text)):
        read(source)


def test_a_header_alone(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("who,when,what,device\n")
    with pytest.raises(EmptyInputError, match=r"\Athe log is empty: "):
        read(path)


def test_unknown_and_mixed_formats(tmp_path):
    (tmp_path / "l.xlsx").write_text("?")
    known = "'parquet', 'csv', 'tsv', 'ndjson', 'access_log'"
    text = f"the name of '{tmp_path}/l.xlsx' does not tell its format. Pass format= one of: {known}."
    with pytest.raises(UnknownFormatError, match=says(text)):
        open_source(tmp_path / "l.xlsx")
    paths = [written(tmp_path, "l.csv"), written(tmp_path, "l.parquet")]
    text = (
        "these files have several formats: 'csv', 'parquet'. Read each format by itself, or pass "
        "format=<one of them>."
    )
    with pytest.raises(UnknownFormatError, match=says(text)):
        open_source(paths)
    with pytest.raises(ParameterError, match=says(f"format cannot be 'excel'. Choose one of: {known}.")):
        open_source(tmp_path / "l.csv", format="excel")
    text = "format='csv' goes with files, not with a DataFrame. Leave it out."
    with pytest.raises(ParameterError, match=says(text)):
        open_source(LOG, format="csv")
    assert FORMATS == ("parquet", "csv", "tsv", "ndjson", "access_log")


def test_objects_without_a_log():
    text = (
        "cannot read a log from an object of type builtins.int. Give a path, a pattern or a list of paths; a polars "
        "or pandas frame; a pyarrow table, batch, reader or dataset; a DuckDB relation; or anything with "
        "__arrow_c_stream__."
    )
    with pytest.raises(UnsupportedSourceError, match=says(text)) as error:
        open_source(5)
    assert isinstance(error.value, TypeError)


def test_corrupt_parquet(tmp_path):
    good, bad = written(tmp_path, "a.parquet"), tmp_path / "b.parquet"
    bad.write_bytes(b"PAR1 nonsense")
    with pytest.raises(UnreadableFileError) as error:
        open_source([bad, good])
    assert str(error.value) == (
        f"'{bad}' cannot be read as parquet: {str(error.value.__cause__).splitlines()[0].strip()}. "
        f"Check that it was written to its end, or write it again."
    )
    assert isinstance(error.value.__cause__, pl.exceptions.PolarsError)
    assert "The file must end with PAR1" in str(error.value)


def test_parquet_with_broken_data(tmp_path):
    path = written(tmp_path, "a.parquet", pl.concat([LOG] * 200))
    content = bytearray(path.read_bytes())
    content[10:60] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=re.escape(f"'{path}' cannot be read as parquet: ")):
        read(path)


def test_parquet_files_that_differ(tmp_path):
    paths = [
        written(tmp_path, "a.parquet"),
        written(tmp_path, "b.parquet", LOG.with_columns(who=pl.Series([1, 2, 3]))),
    ]
    text = (
        f"'{paths[1]}' cannot be read as parquet: its column 'who' is Int64, in '{paths[0]}' it is String. "
        f"Cast the columns of all files to one type."
    )
    with pytest.raises(UnreadableFileError, match=says(text)):
        read(paths)


BROKEN_CSV = {
    "long": (
        b'u,t,e\n1,2026-01-01,"a\nb"\n1,2026-01-01,a,b\n',
        (
            "line 4 has 4 fields, the header has 3. "
            "Correct the line, or read the file with polars.scan_csv and its options and pass that."
        ),
    ),
    "quote": (
        b'u,t,e\n1,2026-01-01,a\n1,"2026-01-01,a\n2,2026-01-01,b\n',
        (
            "line 3 has a quote that is not closed as it should be. "
            "Correct the line, or read the file with polars.scan_csv and its options and pass that."
        ),
    ),
    "bytes": (
        b"u,t,e\n1,2026-01-01,a\n1,2026-01-01,\xff\n",
        "line 3 is not UTF-8. Convert the file to UTF-8, for example with iconv.",
    ),
    "type": (
        b"u,t,e\n" + b"1,2026-01-01,a\n" * 10_500 + b"x,2026-01-01,a\n",
        (
            "line 10,502 has 'x' in column 'u', which is i64 in the first rows. "
            "Pass polars.scan_csv(..., schema_overrides={'u': polars.String}) instead."
        ),
    ),
}


@pytest.mark.parametrize("fault", BROKEN_CSV)
@pytest.mark.parametrize("name", ["l.csv", "l.csv.gz"])
def test_csv_with_a_broken_row(tmp_path, name, fault):
    content, text = BROKEN_CSV[fault]
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(BrokenRowError, match=says(f"'{path}' cannot be read as csv: {text}")):
        read(path, Roles("u", "t", "e"))


@pytest.mark.parametrize("keep", [[], ["note"], ["amount"]])
@pytest.mark.parametrize("name", ["l.csv", "l.csv.gz", "l.tsv"])
@pytest.mark.parametrize(
    ("line", "fields"),
    [("2|2026-01-01|b|hello| there|9", "6 fields"), ("2|2026-01-01|b|x", "4 fields"), ("2", "1 field"),
     ('2|2026-01-01|b|"x| y"', "4 fields")],
)  # fmt: skip
def test_a_row_of_another_length_is_refused_whatever_is_read(tmp_path, line, fields, name, keep):
    """polars fills up a short row, and of a long one it reads what it was asked for: values under other names."""
    text = f'u|t|e|note|amount\n1|2026-01-01|a|"two\nlines| and more"|1\n\n1|2026-01-01|a||\n{line}\n'
    path, content = tmp_path / name, text.replace("|", "\t" if "tsv" in name else ",").encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    expected = (
        f"'{path}' cannot be read as {name[2:5]}: line 6 has {fields}, the header has 5. "
        "Correct the line, or read the file with polars.scan_csv and its options and pass that."
    )
    roles = {"user": "u", "time": "t", "event": "e", "keep": keep, "on_invalid": "drop"}
    with pytest.raises(BrokenRowError, match=says(expected)):
        jk.read_events(path, **roles)
    plan = jk.scan_events(path, **roles).sessionize("30m")
    with pytest.raises(BrokenRowError, match=says(expected)):
        plan.measure(jk.Overview(), engine=jk.OutOfCore(memory="200MB"))


@pytest.mark.parametrize(
    ("header", "reason"),
    [("u,t,e,price", "column 4 is 'price', in {} it is 'amount'"),
     ("u,e,t,amount", "column 2 is 'e', in {} it is 't'"),
     ("u,t,e", "column 4 is missing, in {} it is 'amount'"),
     ("u,t,e,amount,x", "column 5 is 'x', in {} it is missing")],
)  # fmt: skip
@pytest.mark.parametrize("keep", [[], ["amount"]])
def test_csv_files_whose_columns_differ(tmp_path, header, reason, keep):
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for path, columns in zip(paths, ("u,t,e,amount", header), strict=True):
        path.write_text(
            f"{columns}\n"
            + ",".join(["1", "2026-01-01", "2026-01-01", "4", "5"][: columns.count(",") + 1])
            + "\n"
        )
    text = (
        f"'{paths[1]}' cannot be read as csv: its {reason.format(repr(str(paths[0])))}. "
        "Give all files the same columns, or read them apart."
    )
    with pytest.raises(UnreadableFileError, match=says(text)):
        jk.read_events(paths, user="u", time="t", event="e", keep=keep)


def test_csv_in_another_encoding_or_with_other_separators(tmp_path):
    path = tmp_path / "l.csv"
    for encoding in ("utf-16", "utf-32"):
        path.write_bytes("u,t,e\n1,2026-01-01,a\n".encode(encoding))
        text = f"'{path}' cannot be read as csv: line 1 is not UTF-8. Convert the file to UTF-8, "
        text += "for example with iconv."
        with pytest.raises(BrokenRowError, match=says(text)):
            jk.read_events(path, user="u", time="t", event="e")
    path.write_text("u;t;e\n1;2026-01-01;a\n")
    with pytest.raises(MissingColumnError) as raised:
        jk.read_events(path, user="u", time="t", event="e")
    assert str(raised.value) == (
        "no column 'u' for the role 'user'. Available: 'u;t;e'. Pass user=<column name> to read_events. Its fields "
        "seem to be separated by ';': write it with commas, or pass polars.scan_csv(..., separator=';')."
    )


def test_quotes_and_line_ends_in_fields_make_no_row_longer(tmp_path):
    path = tmp_path / "l.csv"
    rows = ['1,2026-01-01,"a, b",""', '2,2026-01-01,"say ""x, y""",x', "", '3,2026-01-01,"two\r\nlines",']
    path.write_bytes("\r\n".join(['u,t,"e",note', *rows, ""]).encode())
    events = jk.read_events(path, user="u", time="t", event="e", on_invalid="drop")
    assert sorted(events.frame["event"]) == ["a, b", 'say "x, y"', "two\r\nlines"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            '{"u": 2,',
            "line 3 is not JSON: Expecting property name enclosed in double quotes: line 2 column 1 (char 9).",
        ),
        ("[1, 2]", "line 3 is a JSON list, not an object."),
    ],
)
def test_ndjson_with_a_broken_line(tmp_path, line, text):
    path = tmp_path / "l.ndjson"
    good = '{"u":1,"t":"2026-01-01","e":"a"}\n'
    path.write_text(good * 2 + line + "\n" + good)
    expected = f"'{path}' cannot be read as ndjson: {text} Correct or remove the line."
    with pytest.raises(BrokenRowError, match=says(expected)):
        read(path, Roles("u", "t", "e"))


@pytest.mark.parametrize("name", ["l.csv.gz", "l.ndjson.gz", "l.log.gz"])
def test_broken_archives(tmp_path, name):
    path = tmp_path / name
    kind = source_format(path.name, {"csv": "csv", "ndj": "ndjson", "log": "access_log"}[name[2:5]])
    path.write_bytes(b"no archive")
    text = (
        f"'{path}' cannot be read as {kind}: Not a gzipped file (b'no'). "
        f"Check that it may be read and was written to its end."
    )
    with pytest.raises(UnreadableFileError, match=says(text)):
        open_source(path)
    path.write_bytes(gzip.compress(bytes(range(32, 127)) * 50_000)[:-300])
    text = (
        f"'{path}' cannot be read as {kind}: Compressed file ended before the end-of-stream marker was reached. "
        f"Check that it may be read and was written to its end."
    )
    with pytest.raises(UnreadableFileError, match=says(text)):
        read(path)


def test_files_of_a_pattern_come_by_name(tmp_path):
    for name in "hcagfbed":
        written(tmp_path, f"{name}.csv", LOG.head(1).with_columns(device=pl.lit(name)))
    assert "".join(read(f"{tmp_path}/*.csv")["device"]) == "abcdefgh"
    assert "".join(read(tmp_path)["device"]) == "abcdefgh"


def test_reading_needs_no_heavy_library():
    code = (
        "import sys, journeykit.sources, journeykit.events.quality; "
        "print([m for m in ('pandas', 'pyarrow', 'duckdb', 'numba', 'scipy', 'networkx') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert found.stdout.strip() == "[]"


def test_errors_of_duckdb_and_polars_are_chained():
    relation = duckdb.connect().sql("select error('boom') as who, 1 as \"when\", 'a' as what, 1 as device")
    with pytest.raises(
        EngineError, match=r"\Aopening the log failed: Invalid Input Error: boom\.\Z"
    ) as error:
        open_source(relation)
    assert type(error.value.__cause__).__name__ == "InvalidInputException"
    broken = LOG.lazy().with_columns(device=pl.col("device").cast(pl.Int64))
    with pytest.raises(EngineError, match=r"\Areading the log failed: conversion from `str` to `i64` failed"):
        read(broken)
    with pytest.raises(EngineError, match=r"\Aopening the log failed: "):
        open_source(LOG.lazy().select("no such column"))
    with pytest.raises(EngineError, match=r"\Aopening the log failed: "):
        open_source(pd.DataFrame({"who": [1, "a"]}))


# ---------------------------------------------------------------- roles


def test_missing_columns():
    text = (
        "no column 'usr' for the role 'user'. Did you mean 'user'? Available: 'user', 'event', 'time'. "
        "Pass user=<column name> to read_events."
    )
    with pytest.raises(MissingColumnError, match=says(text)):
        canonical(pl.LazyFrame({"user": [1], "time": [1], "event": ["a"]}), Roles("usr", "time", "event"))
    with pytest.raises(
        MissingColumnError, match=r"\Ano column 'devise' for the role 'keep'\. Did you mean 'device'\?"
    ):
        canonical(LOG.lazy(), Roles("who", "when", "what", keep=["devise"]))
    with pytest.raises(
        MissingColumnError, match=r"\Ano column 'Who' for the role 'user'\. Did you mean 'who'\?"
    ):
        canonical(LOG.lazy(), Roles("Who", "when", "what"))


def test_roles_are_checked_at_once():
    text = (
        "the property 'time' cannot be kept under this name: it is the name of a role. "
        "Rename the column, or pass time='time' if it plays that role."
    )
    with pytest.raises(ColumnClashError, match=says(text)):
        Roles("u", "t", "e", keep=["time"])
    with pytest.raises(
        ParameterError, match=says("unit cannot be 'm'. Choose one of: 's', 'ms', 'us', 'ns'.")
    ):
        Roles("u", "t", "e", unit="m")
    with pytest.raises(
        ParameterError, match=says("keep must be a list of columns, not a text. Pass keep=['dev'].")
    ):
        Roles("u", "t", "e", keep="dev")
    with pytest.raises(
        ParameterError, match=r"\Atz='Europe/Berln' is not a time zone\. Did you mean 'Europe/Berlin'\?"
    ):
        Roles("u", "t", "e", tz="Europe/Berln")
    check_zone("America/Sao_Paulo")
    assert hash(ROLES) == hash(Roles("who", "when", "what", keep=("device",)))


@pytest.mark.parametrize(
    ("values", "expected", "dtype"),
    [
        (pl.Series(["a", ""], dtype=pl.String), ["a", ""], pl.String),
        (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"], pl.String),
        (pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])), ["a", "b"], pl.String),
        (pl.Series([1, 2], dtype=pl.Int64), [1, 2], pl.Int64),
        (pl.Series([1, 2], dtype=pl.UInt8), [1, 2], pl.Int64),
        (pl.Series([1, 2], dtype=pl.UInt64), [1, 2], pl.Int64),
        (pl.Series([1, -2], dtype=pl.Int128), [1, -2], pl.Int64),
        (pl.Series([1.0, 2.0], dtype=pl.Float64), [1, 2], pl.Int64),
        (pl.Series([1, 2], dtype=pl.Decimal(38, 0)), [1, 2], pl.Int64),
    ],
)
def test_ids_of_users(values, expected, dtype):
    frame = read(pl.DataFrame({"u": values, "t": datetime(2026, 1, 1), "e": "x"}), Roles("u", "t", "e"))
    assert frame["user"].dtype == dtype
    assert frame["user"].to_list() == expected


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pl.Series([1.0, 2.5]), "the number 2.5 (Float64) among others"),
        (pl.Series([1.0, float("inf")]), "the number inf (Float64) among others"),
        (pl.Series([1.0, 2.0**60]), "the number 1.152921504606847e+18 (Float64) among others"),
        (pl.Series([1, 2**63], dtype=pl.UInt64), "the number 9223372036854775808 (UInt64) among others"),
    ],
)
def test_numbers_that_would_merge_users(values, found):
    frame = pl.LazyFrame({"u": values, "t": datetime(2026, 1, 1), "e": "x"})
    text = f"column 'u' for the role 'user' holds {found}, not texts or whole numbers. Cast it to text first."
    with pytest.raises(ColumnTypeError, match=says(text)) as error:
        canonical(frame, Roles("u", "t", "e"))
    assert isinstance(error.value, TypeError)
    assert isinstance(error.value, InputError)


@pytest.mark.parametrize(
    ("role", "dtype", "wanted"),
    [
        ("user", pl.Boolean, "texts or whole numbers"),
        ("user", pl.List(pl.Int64), "texts or whole numbers"),
        ("user", pl.Binary, "texts or whole numbers"),
        ("session", pl.Boolean, "texts or whole numbers"),
        ("event", pl.Float64, "texts or whole numbers"),
        ("event", pl.Boolean, "texts or whole numbers"),
        ("time", pl.Boolean, "times, dates, whole numbers with a unit, or texts"),
        ("time", pl.Duration("us"), "times, dates, whole numbers with a unit, or texts"),
        ("order", pl.List(pl.Int64), "something that can be ordered"),
        ("value", pl.String, "numbers"),
        ("value", pl.Boolean, "numbers"),
    ],
)
def test_types_that_cannot_play_a_role(role, dtype, wanted):
    columns = {"user": "who", "time": "when", "event": "what"} | {role: "odd"}
    frame = LOG.with_columns(odd=pl.lit(None).cast(dtype))
    text = (
        f"column 'odd' for the role '{role}' holds {dtype}, not {wanted}. "
        f"Cast it first, or pass {role}=<another column>."
    )
    with pytest.raises(ColumnTypeError, match=says(text)):
        canonical(frame.lazy(), Roles(**columns))


def test_whole_numbers_as_events_become_text():
    frame = read(pl.DataFrame({"u": 1, "t": datetime(2026, 1, 1), "e": [10, 9, 10]}), Roles("u", "t", "e"))
    assert frame["event"].to_list() == ["10", "9", "10"]
    assert frame["event"].dtype.categories.to_list() == ["10", "9"]


def test_order_and_value():
    frame = pl.DataFrame(
        {"o": [2.0, float("nan")], "v": pl.Series(["1.5", None]).cast(pl.Decimal(9, 2)), "e": ["x", "y"]}
    )
    roles = Roles("e", "t", "e", order="o", value="v")
    result = read(frame.with_columns(t=datetime(2026, 1, 1)), roles)
    assert result["order"].to_list() == [2.0, None]
    assert result["value"].to_list() == [1.5, None]
    assert result["user"].to_list() == result["event"].to_list() == ["x", "y"]


# ---------------------------------------------------------------- times


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_times_with_and_without_zone():
    naive = [datetime(2026, 7, 1, 12)]
    assert one(naive).to_list() == [utc(2026, 7, 1, 12)]
    assert one(naive, tz="Europe/Berlin").to_list() == [utc(2026, 7, 1, 10)]
    zoned = pl.Series(naive).dt.replace_time_zone("America/New_York")
    # A zone in the data wins: tz= is for times without one.
    assert one(zoned, tz="Europe/Berlin").to_list() == [utc(2026, 7, 1, 16)]
    assert one([date(2026, 7, 1)], tz="Europe/Berlin").to_list() == [utc(2026, 6, 30, 22)]
    assert one([None]).to_list() == [None]


def test_finer_than_a_microsecond_is_floored():
    assert one(pl.Series([-1500, 1999], dtype=pl.Datetime("ns"))).to_physical().to_list() == [-2, 1]
    assert one([-1500, 1999], unit="ns").to_physical().to_list() == [-2, 1]


def test_clock_changes_in_berlin():
    times = [datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 3)]
    assert one(times, tz="Europe/Berlin").to_list() == [None, utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 2)]
    texts = [str(time) for time in times]
    assert one(texts, tz="Europe/Berlin").to_list() == [None, utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 2)]


@pytest.mark.parametrize("on_text", [False, True])
def test_times_that_do_not_exist_are_said_and_counted(on_text):
    times = pl.Series([datetime(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 1), None])
    frame = pl.DataFrame(
        {"u": "a", "t": times.dt.to_string("%Y-%m-%d %H:%M:%S") if on_text else times, "e": "x"}
    )
    collected = canonical(frame.lazy(), Roles("u", "t", "e", tz="Europe/Berlin")).collect()
    text = (
        "2 of 3 rows have no valid user, time or event (user 0, time 2, event 0). "
        "1 of the times do not exist in the time zone: clocks skip them. First of them (rows count from 0):\n"
        "  row 0: user='a', time='2026-03-29 02:30:00', event='x'\n"
        "  row 2: user='a', time=None, event='x'\n"
        'Correct them, or pass on_invalid="drop" to leave them out.'
    )
    with pytest.raises(InvalidRowsError, match=says(text)):
        resolve_invalid(collected)
    kept, counts = resolve_invalid(collected, "drop")
    assert counts == InvalidCounts(rows_in=3, rows_kept=1, user=0, time=2, event=0, gap_times=1)
    assert counts.dropped == 2
    assert kept.columns == ["user", "time", "event"]


@pytest.mark.parametrize(
    ("unit", "number"), [("s", 1_767_225_600), ("ms", 1_767_225_600_000), ("us", 1_767_225_600_000_000)]
)
def test_numbers_with_a_unit(unit, number):
    assert one([number, None], unit=unit).to_list() == [utc(2026, 1, 1), None]
    assert one([str(number), "soon"], unit=unit).to_list() == [utc(2026, 1, 1), None]
    assert one([number + 0.5, float("nan")], unit=unit)[0] >= utc(2026, 1, 1)
    assert one([2**62, -(2**62)], unit=unit).to_list() == [None, None]


def test_fractions_of_seconds_are_rounded():
    assert one([1_767_225_600.25], unit="s").to_list() == [utc(2026, 1, 1, 0, 0, 0, 250_000)]


def test_a_unit_is_never_guessed():
    text = (
        "column 't' for the role 'time' holds numbers, and their unit is never guessed. Its first value would be in "
        "'ms' 2026-01-01 00:00:00, 'us' 1970-01-21 10:53:45, 'ns' 1970-01-01 00:29:27. "
        "Pass unit= one of: 's', 'ms', 'us', 'ns'."
    )
    with pytest.raises(TimeUnitError, match=says(text)):
        one([None, 1_767_225_600_000])
    text = (
        "column 't' for the role 'time' holds numbers, and their unit is never guessed. "
        "Pass unit= one of: 's', 'ms', 'us', 'ns'."
    )
    with pytest.raises(TimeUnitError, match=says(text)):
        one([None], dtype=pl.Int64)


@pytest.mark.parametrize(
    ("text", "expected", "time_format"),
    [
        ("2026-07-01T12:00:00Z", utc(2026, 7, 1, 12), "%Y-%m-%dT%H:%M:%S%.f%#z"),
        ("2026-07-01T12:00:00.123456+02:00", utc(2026, 7, 1, 10, 0, 0, 123456), "%Y-%m-%dT%H:%M:%S%.f%#z"),
        ("2026-07-01T12:00:00.123456789", utc(2026, 7, 1, 12, 0, 0, 123456), "%Y-%m-%dT%H:%M:%S%.f"),
        ("2026-07-01 12:00:00+0200", utc(2026, 7, 1, 10), "%Y-%m-%d %H:%M:%S%.f%#z"),
        ("2026-07-01 12:00:00 +0200", utc(2026, 7, 1, 10), "%Y-%m-%d %H:%M:%S%.f%#z"),
        ("2026-07-01 12:00:00.5", utc(2026, 7, 1, 12, 0, 0, 500000), "%Y-%m-%d %H:%M:%S%.f"),
        ("2026-07-01 12:00:00 UTC", utc(2026, 7, 1, 12), "%Y-%m-%d %H:%M:%S%.f UTC"),
        ("2026-07-01T12:00Z", utc(2026, 7, 1, 12), "%Y-%m-%dT%H:%M%#z"),
        ("2026-07-01T12:00", utc(2026, 7, 1, 12), "%Y-%m-%dT%H:%M"),
        ("2026-07-01 12:00+02:00", utc(2026, 7, 1, 10), "%Y-%m-%d %H:%M%#z"),
        ("2026-07-01 12:00", utc(2026, 7, 1, 12), "%Y-%m-%d %H:%M"),
        ("2026-07-01", utc(2026, 7, 1), "%Y-%m-%d"),
    ],
)
def test_formats_detected_once(text, expected, time_format):
    frame = pl.LazyFrame({"u": "a", "t": [None, text, text, "never"], "e": "x"})
    log = canonicalise(frame, Roles("u", "t", "e"))
    assert log.time_format == time_format
    assert log.time_format in TIME_FORMATS
    assert log.plan.collect()["time"].to_list() == [None, expected, expected, None]
    assert log.local_zone == (None if "z" in time_format or "UTC" in time_format else "UTC")


def test_mixed_zones_fractions_and_categories():
    texts = ["2026-07-01T12:00:00Z", "2026-07-01T12:00:00.5+02:00"]
    expected = [utc(2026, 7, 1, 12), utc(2026, 7, 1, 10, 0, 0, 500000)]
    assert one(texts).to_list() == expected
    assert one(pl.Series(texts, dtype=pl.Categorical)).to_list() == expected


def test_a_stated_format():
    assert one(["01/07/2026 12:00"], time_format="%d/%m/%Y %H:%M", tz="Europe/Berlin").to_list() == [
        utc(2026, 7, 1, 10)
    ]
    assert one(["01.07.2026"], time_format="%d.%m.%Y").to_list() == [utc(2026, 7, 1)]
    assert one(["01/Jul/2026:12:00:00 +0200"], time_format="%d/%b/%Y:%H:%M:%S %z").to_list() == [
        utc(2026, 7, 1, 10)
    ]
    text = (
        "time_format='%d/%m/%Y' reads none of the first values of column 't', such as '2026-07-01', '2026-07-02'. "
        "Correct it, or leave it out to have the format detected."
    )
    with pytest.raises(TimeFormatError, match=says(text)):
        one(["2026-07-01", "2026-07-02"], time_format="%d/%m/%Y")


def test_texts_in_no_known_format():
    text = (
        "column 't' for the role 'time' holds texts in no known format, such as 'soon', 'later', '2026-01-01'. "
        "Pass time_format=, for example '%d/%m/%Y %H:%M:%S', or unit= if they are numbers."
    )
    with pytest.raises(TimeFormatError, match=says(text)):
        one(["soon", "soon", "later", "2026-01-01"])


# ---------------------------------------------------------------- invalid rows, duplicates, events


def test_invalid_rows_are_refused_with_the_first_five():
    frame = pl.DataFrame(
        {
            "u": [1.0, float("nan"), None, 4.0, 5.0, 6.0, 7.0, 8.0],
            "t": ["2026-01-01", "2026-01-01", None, "n/a", "2026-01-01", "31.12.", "x", "y"],
            "e": ["a", "b", None, "c", None, "e", "f", "g"],
        }
    )
    collected = canonical(frame.lazy(), Roles("u", "t", "e", time_format="%Y-%m-%d")).collect()
    text = (
        "7 of 8 rows have no valid user, time or event (user 2, time 5, event 2). "
        "First of them (rows count from 0):\n"
        "  row 1: user=None, time='2026-01-01 00:00:00+00:00', event='b'\n"
        "  row 2: user=None, time=None, event=None\n"
        "  row 3: user=4, time='n/a', event='c'\n"
        "  row 4: user=5, time='2026-01-01 00:00:00+00:00', event=None\n"
        "  row 5: user=6, time='31.12.', event='e'\n"
        'Correct them, or pass on_invalid="drop" to leave them out.'
    )
    with pytest.raises(InvalidRowsError, match=says(text)) as error:
        resolve_invalid(collected)
    assert error.value.counts == {"user": 2, "time": 5, "event": 2}
    kept, counts = resolve_invalid(collected, "drop")
    assert kept["user"].to_list() == [1]
    assert counts == InvalidCounts(8, 1, 2, 5, 2)
    # A name that only a dropped row has is not a name of the log.
    assert encode_events(kept)["event"].dtype.categories.to_list() == ["a"]


def test_the_empty_text_is_a_value():
    frame = read(LOG.with_columns(who=pl.lit(""), what=pl.lit("")))
    assert frame.select("user", "event").rows() == [("", "")] * 3


def test_nothing_left():
    collected = canonical(LOG.with_columns(who=pl.lit(None, pl.String)).lazy(), ROLES).collect()
    text = (
        'no event is left: all 3 rows were dropped as invalid. Check the roles, or pass on_invalid="raise" to see '
        "the first rows."
    )
    with pytest.raises(EmptyInputError, match=says(text)):
        resolve_invalid(collected, "drop")


def test_choices():
    text = "on_invalid cannot be 'ignore'. Choose one of: 'raise', 'drop'."
    with pytest.raises(ParameterError, match=says(text)):
        jk.read_events(LOG, user="who", time="when", event="what", on_invalid="ignore")
    text = "duplicates cannot be 'first'. Choose one of: 'keep', 'drop'."
    with pytest.raises(ParameterError, match=says(text)):
        jk.read_events(LOG, user="who", time="when", event="what", duplicates="first")


def test_duplicates():
    frame = pl.concat([LOG, LOG.with_columns(device=pl.lit("other")), LOG])
    collected = canonical(frame.lazy(), ROLES).collect()
    kept, dropped = drop_duplicates(collected)
    assert dropped == 3
    assert kept.height == 6
    assert kept.equals(collected.head(6))
    assert drop_duplicates(kept)[1] == 0


HOSTILE = [
    "<b>&\"'",
    "",
    " ",
    "\n",
    "ünï",
    "\U0001f600",
    "a,b",
    "zz" * 500,
    "<start>",
    "<START",
    "null",
    "e\u0301",
    "\u00e9",
]


def test_hostile_names_sort_by_code_point():
    frame = encode_events(pl.DataFrame({"event": [*HOSTILE, None, *reversed(HOSTILE)]}))["event"]
    assert frame.to_list() == [*HOSTILE, None, *reversed(HOSTILE)]
    assert frame.dtype.categories.to_list() == sorted(HOSTILE)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["unused", "c", "a", "b"])])
@pytest.mark.parametrize("n_names", [3, 300, 70_000])
def test_encoding_in_pieces(dtype, n_names):
    if isinstance(dtype, pl.Enum) and n_names > 3:
        dtype = pl.Categorical
    names = ["c", "a", "b"] if n_names == 3 else [f"n{i}" for i in range(n_names)]
    events = pl.concat([pl.Series("event", [*names, None]).cast(dtype)] * 3, rechunk=False)
    assert events.n_chunks() == 3
    encoded = encode_events(pl.DataFrame([events]))["event"]
    assert encoded.dtype.categories.to_list() == sorted(names)
    assert encoded.cast(pl.String).to_list() == events.cast(pl.String).to_list()
    assert encoded.to_physical().dtype == {3: pl.UInt8, 300: pl.UInt16, 70_000: pl.UInt32}[n_names]


def test_encoding_nothing():
    for dtype in (pl.String, pl.Categorical):
        assert (
            encode_events(pl.DataFrame({"event": pl.Series([None, None], dtype=dtype)}))["event"].to_list()
            == [None] * 2
        )
        assert encode_events(pl.DataFrame({"event": pl.Series([], dtype=dtype)}))["event"].to_list() == []


def test_names_of_virtual_states_are_refused():
    text = (
        "event names like <START> are kept for virtual states; this log has '<END>', '<MY_OWN>'. "
        "Rename them before reading, for example to 'START'."
    )
    with pytest.raises(ReservedNameError, match=says(text)):
        encode_events(pl.DataFrame({"event": ["<MY_OWN>", "a", "<END>", "<end>", "<END>\n"]}))
    many = [f"<{chr(65 + i)}>" for i in range(10)]
    with pytest.raises(ReservedNameError, match=r"'<H>' and 2 more\. Rename"):
        encode_events(pl.DataFrame({"event": many}))


# ---------------------------------------------------------------- access logs

LINES = [
    '1.2.3.4 - - [17/May/2015:10:05:03 +0200] "GET /a?b=\\"c d\\" HTTP/1.1" 200 5 "http://x/" "Mozilla (a \\"b\\")"',
    '::1 id John Doe [17/May/2015:10:05:04 +0000] "POST /b HTTP/2.0" 304 -',
    '1.2.3.4 - - [17/May/2015:10:05:05 +0000] "-" 408 0 "-" "-"',
    '1.2.3.4 - - [17/May/2015:10:05:06 +0000] "\\x16\\x03" 400 226 "-" "agent" "10.0.0.1, 10.0.0.2" rt=0.1',
    '1.2.3.4 - - [17/May/2015:10:05:07 +0000] "GET / HTTP/1.1" 200 5 "-" "never closed',
    "",
    'caf\u00e9 - - [99/May/2015:10:05:07 +0000] "GET / HTTP/1.1" 200 5',
]


@pytest.mark.parametrize("name", ["access.log", "access.log.gz", "access.txt"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_of_access_logs(tmp_path, name, ending):
    path = tmp_path / name
    content = (ending.join(LINES) + ending).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    frame = open_source(path, format="access_log").collect()
    assert frame.columns == [
        "ip", "identity", "auth_user", "time", "method", "path", "protocol", "status", "bytes", "referer", "user_agent",
        "request",
    ]  # fmt: skip
    assert frame.row(0) == (
        "1.2.3.4", None, None, utc(2015, 5, 17, 8, 5, 3), "GET", '/a?b=\\"c d\\"', "HTTP/1.1", 200, 5, "http://x/",
        'Mozilla (a \\"b\\")', 'GET /a?b=\\"c d\\"',
    )  # fmt: skip
    assert frame.row(1) == (
        "::1", "id", "John Doe", utc(2015, 5, 17, 10, 5, 4), "POST", "/b", "HTTP/2.0", 304, None, None, None, "POST /b",
    )  # fmt: skip
    assert frame["request"].to_list()[2:] == ["-", "\\x16\\x03", LINES[4], LINES[5], "GET /"]
    assert frame["time"].is_null().to_list() == [False, False, False, False, True, True, True]
    assert frame["status"].to_list()[2:5] == [408, 400, None]
    roles = Roles(**access_log.ROLES, keep=["status"])
    _, counts = resolve_invalid(canonical(open_source(path, format="access_log"), roles).collect(), "drop")
    assert counts == InvalidCounts(rows_in=7, rows_kept=4, user=2, time=3, event=0)


def test_access_logs_with_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "a.log"
    line = b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /\xff HTTP/1.1" 200 5 "-" "\xfe"\n'
    path.write_bytes(line * 2)
    frame = read([path, path], Roles(**access_log.ROLES, keep=["user_agent"]))
    assert frame["event"].to_list() == ["GET /\ufffd"] * 4
    assert frame["user_agent"].to_list() == ["\ufffd"] * 4


@pytest.mark.conformance
def test_the_apache_sample(shared_data):
    path = shared_data / "access_log" / "elastic_apache_logs.log"
    assert source_format(path) == "access_log"
    roles = Roles(**access_log.ROLES, keep=["status"])
    frame, counts = resolve_invalid(canonical(open_source(path), roles).collect(), "drop")
    assert (counts.rows_in, counts.time, counts.dropped) == (10_000, 1, 1)
    assert frame["user"].n_unique() == 1_753
    status = frame["status"].value_counts(sort=True).rows()
    expected = {200: 9125, 304: 445, 404: 213, 301: 164, 206: 45, 500: 3, 403: 2, 416: 2}
    assert dict(status) == expected
    assert frame["time"].min() == utc(2015, 5, 17, 10, 5)
    assert frame["time"].max() == utc(2015, 5, 20, 21, 5, 59)
