"""Answers and journeys as files and as tables of databases: exact, whole or not at all, and nothing in them runs."""

from __future__ import annotations

import csv
import sqlite3
import sys
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

import journeykit as jk
from journeykit.databases.identifiers import quoted
from journeykit.databases.writing import write_table
from journeykit.errors import DatabaseError, MissingPackageError, ParameterError
from journeykit.support.files import write_frame

HOSTILE = ['"; drop table t; --', "a'b", "<script>", "x\ny", "🙂", "=1+1", "select", "a.b"]
FRAME = pl.DataFrame(
    {
        "name": ["view", "=1+1", None],
        "path": [["a", "b"], [], ["c"]],
        "count": [2, 1, 0],
        "share": [0.25, None, 1.0],
        "time": pl.Series([datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)] * 3, dtype=pl.Datetime("us", "UTC")),
        "day": [date(2026, 1, 2), None, date(1999, 12, 31)],
        "kind": pl.Series(["x", "y", "x"], dtype=pl.Enum(["x", "y"])),
        "sure": [True, False, None],
        "nothing": pl.Series([None] * 3, dtype=pl.Null),
        "small": pl.Series([1, 2, 3], dtype=pl.UInt32),
    }
)
PLAIN = FRAME.with_columns(pl.col("kind", "nothing").cast(pl.String), pl.col("path").list.join(" > "))


def log(**columns):
    rows = {"user": ["a", "a", "b"], "time": [0, 9_999, 5], "event": ["see", "buy", "see"], **columns}
    return jk.read_events(
        pl.DataFrame(rows), user="user", time="time", event="event", unit="s", keep=list(columns)
    )


@pytest.fixture(scope="module")
def answer():
    return log().sessionize("30m").measure(jk.Transitions())


# Spreadsheets


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_has_no_formulas(start, tmp_path):
    frame = pl.DataFrame(
        {f"{start}name": [f"{start}1", "a=1", None, ""], "paths": [[f"{start}x", "b"], [], None, ["q"]]}
    )
    path = write_frame(frame, tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == [f"'{start}name", "paths"]
    assert rows == [[f"'{start}1", f"'{start}x > b"], ["a=1", ""], ["", ""], ["", "q"]]


def test_csv_is_exact_if_asked(tmp_path):
    path = write_frame(pl.DataFrame({"=a": ["=1+1", "-"]}), tmp_path / "a.csv", spreadsheet_safe=False)
    assert path.read_text() == "=a\n=1+1\n-\n"


def test_categories_in_csv_have_no_formulas(tmp_path):
    path = write_frame(pl.DataFrame({"a": pl.Series(["=1"], dtype=pl.Categorical)}), tmp_path / "a.csv")
    assert path.read_text() == "a\n'=1\n"


def test_excel_holds_texts_as_texts(tmp_path):
    pytest.importorskip("xlsxwriter", reason="needs xlsxwriter")
    frame = FRAME.with_columns(
        link=pl.Series(["https://example.org", "{=1}", "internal:a!b"]), odd=[float("inf")] * 3
    )
    path = write_frame(frame, tmp_path / "a.xlsx", notes=["=note"])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        texts = archive.read("xl/sharedStrings.xml").decode()
        notes = archive.read("xl/worksheets/sheet2.xml").decode()
        names = archive.read("xl/workbook.xml").decode()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet
    for text in ("=1+1", "{=1}", "https://example.org", "a &gt; b", "=note", "internal:a!b"):
        assert f"<t>{text}</t>" in texts
    assert sheet.count("<row ") == 4
    assert "<v>46024.12783564815</v>" in sheet  # 2026-01-02 03:04:05 in days since 1899-12-30
    assert "<f>" not in notes
    assert 'name="answer"' in names
    assert 'name="notes"' in names


def test_excel_refuses_what_it_would_cut(tmp_path):
    pytest.importorskip("xlsxwriter", reason="needs xlsxwriter")
    rows = pl.DataFrame({"n": pl.int_range(1_048_576, eager=True)})
    with pytest.raises(ParameterError) as raised:
        write_frame(rows, tmp_path / "a.xlsx")
    assert str(raised.value) == (
        "a sheet of Excel holds 1,048,575 rows of 16,384 columns, and this are 1,048,576 of 1. Write .parquet or .csv."
    )
    with pytest.raises(ParameterError) as raised:
        write_frame(pl.DataFrame({"text": ["x" * 32_768]}), tmp_path / "a.xlsx")
    assert str(raised.value) == (
        "a cell of Excel holds 32,767 characters, and a text in 'text' has 32,768. Write .parquet or .csv."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "package", "message"),
    [
        (
            "a.xlsx",
            "xlsxwriter",
            "an .xlsx file needs xlsxwriter, which is not installed. Install it with journeykit[excel].",
        ),
        (
            "a.hyper",
            "tableauhyperapi",
            "a .hyper file needs tableauhyperapi, which is not installed. Install it with journeykit[tableau].",
        ),
        (
            "sqlite:///a.db",
            "adbc_driver_sqlite.dbapi",
            (
                "SQLite at an address needs adbc-driver-sqlite, which is not installed. "
                "Install it with journeykit[sqlite]."
            ),
        ),
        (
            "postgresql://a:secret@b/c",
            "adbc_driver_postgresql.dbapi",
            (
                "PostgreSQL at an address needs adbc-driver-postgresql, which is not installed. "
                "Install it with journeykit[postgres]."
            ),
        ),
    ],
)
def test_a_missing_package_is_named(target, package, message, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as raised:
        answer.write(target, table="t" if "://" in target else None)
    assert str(raised.value) == message
    assert list(tmp_path.iterdir()) == []


def test_tableau_reads_an_extract(tmp_path):
    hyper = pytest.importorskip("tableauhyperapi", reason="needs tableauhyperapi")
    path = write_table(FRAME, tmp_path / "a.hyper")
    assert [each.name for each in tmp_path.iterdir()] == ["a.hyper"]
    with (
        hyper.HyperProcess(
            hyper.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}
        ) as process,
        hyper.Connection(process.endpoint, path) as connection,
    ):
        rows = connection.execute_list_query(
            'select "name", "path", "count", "share", "kind", "sure", "small" from "Extract"."Extract"'
        )
        expected = PLAIN.select("name", "path", "count", "share", "kind", "sure", "small").rows()
        assert [tuple(row) for row in rows] == expected
        times = connection.execute_list_query(
            'select cast("time" as text), cast("day" as text) from "Extract"."Extract"'
        )
        assert list(times[0]) == ["2026-01-02 03:04:05+00", "2026-01-02"]


# Databases


def test_duckdb_file(tmp_path):
    path = tmp_path / "new.duckdb"
    assert write_table(FRAME, path, table="t") is None
    with duckdb.connect(path, read_only=True) as connection:
        found = connection.sql('select * from "t"').pl()
    expected = FRAME.with_columns(pl.col("kind", "nothing").cast(pl.String))
    assert found.with_columns(pl.col("time").dt.convert_time_zone("UTC")).equals(expected)
    assert connection is not None


def test_sqlite_file(tmp_path):
    pytest.importorskip("adbc_driver_sqlite", reason="needs adbc-driver-sqlite")
    write_table(FRAME, f"sqlite:///{tmp_path}/a.db", table="t")
    with sqlite3.connect(tmp_path / "a.db") as connection:
        found = connection.execute('select name, path, count, share, kind, day from "t"').fetchall()
    expected = PLAIN.with_columns(pl.col("day").cast(pl.String)).select(
        "name", "path", "count", "share", "kind", "day"
    )
    assert found == expected.rows()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_nothing_in_a_name_is_sql(name, kind, tmp_path):
    if kind == "sqlite":
        pytest.importorskip("adbc_driver_sqlite", reason="needs adbc-driver-sqlite")
    path, frame = tmp_path / f"a.{kind}", pl.DataFrame({name: [name], "n": [1]})
    write_table(pl.DataFrame({"x": [1]}), path, table="t")
    write_table(frame, path, table=name)
    read = duckdb.connect(path) if kind == "duckdb" else sqlite3.connect(path)
    assert read.execute(f"select * from {quoted(name)}").fetchall() == [(name, 1)]
    assert read.execute("select * from t").fetchall() == [(1,)]
    read.close()


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_a_table_that_exists(kind, tmp_path):
    if kind == "sqlite":
        pytest.importorskip("adbc_driver_sqlite", reason="needs adbc-driver-sqlite")
    path = tmp_path / f"a.{kind}"

    def rows():
        connection = duckdb.connect(path) if kind == "duckdb" else sqlite3.connect(path)
        found = connection.execute("select n from t").fetchall()
        connection.close()
        return [n for (n,) in found]

    write_table(pl.DataFrame({"n": [1]}), path, table="t", if_exists="append")
    with pytest.raises(DatabaseError) as raised:
        write_table(pl.DataFrame({"n": [2]}), path, table="t")
    named = "DuckDB" if kind == "duckdb" else "SQLite"
    assert str(raised.value) == (
        f"writing 't' to the {named} database {str(path)!r} failed: there is such a table already. "
        f'Pass if_exists="replace" or "append", or another name.'
    )
    assert rows() == [1]
    write_table(pl.DataFrame({"n": [2]}), path, table="t", if_exists="append")
    assert rows() == [1, 2]
    write_table(pl.DataFrame({"n": [3]}), path, table="t", if_exists="replace")
    assert rows() == [3]
    with pytest.raises(DatabaseError):
        write_table(pl.DataFrame({"other": [4]}), path, table="t", if_exists="append")
    assert rows() == [3]


def test_a_connection_of_the_user_is_written_to_where_it_is():
    with duckdb.connect() as connection:
        connection.execute('attach \':memory:\' as "an odd"" one"; use "an odd"" one"; create schema s')
        write_table(pl.DataFrame({"n": [1]}), connection, table="t")
        write_table(pl.DataFrame({"n": [2]}), connection, table=("s", "t"))
        assert connection.sql("select * from t").fetchall() == [(1,)]
        assert connection.sql("select * from s.t").fetchall() == [(2,)]
        with pytest.raises(
            DatabaseError, match=r"writing 's'\.'t' to the DuckDB connection failed: there is such"
        ):
            write_table(pl.DataFrame({"n": [2]}), connection, table=("s", "t"))


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("a.duckdb", {}, "a database needs the name of the table. Pass table=<name>."),
        ("a.duckdb", {"table": ""}, "table cannot be '': a name has a character, and no NUL among them."),
        (
            "a.duckdb",
            {"table": "a\0"},
            "table cannot be 'a\\x00': a name has a character, and no NUL among them.",
        ),
        ("a.duckdb", {"table": 3}, "table must be a name or (schema, name), not 3."),
        (
            "a.duckdb",
            {"table": ("a", "b", "c")},
            "table must be a name or (schema, name), not ('a', 'b', 'c').",
        ),
        ("a.duckdb", {"table": (1, "c")}, "table must be a name or (schema, name), not (1, 'c')."),
        ("a.csv", {"table": "t"}, "table='t' goes with a database, not with a .csv file. Leave it out."),
        (
            "a.csv",
            {"if_exists": "no"},
            "if_exists cannot be 'no'. Choose one of: 'raise', 'replace', 'append'.",
        ),
        (
            "a.db",
            {},
            (
                "the ending of the file name cannot be '.db'. Choose one of: '.parquet', '.csv', '.ndjson', "
                "'.xlsx', '.hyper', '.duckdb', '.sqlite'."
            ),
        ),
        (
            "mysql://ada:secret@host/db",
            {"table": "t"},
            (
                "an address mysql:// leads to no database that is known here. Give 'postgresql://user@host/database', "
                "'sqlite:///file', 'duckdb:///file', the path of a .duckdb or .sqlite file, or a connection of "
                "DuckDB or of an ADBC driver."
            ),
        ),
        (
            7,
            {},
            (
                "an object of type int is no database. Give 'postgresql://user@host/database', 'sqlite:///file', "
                "'duckdb:///file', the path of a .duckdb or .sqlite file, or a connection of DuckDB "
                "or of an ADBC driver."
            ),
        ),
        (
            "sqlite://a",
            {"table": "t"},
            (
                "an address sqlite:// names a file and nothing else. Write sqlite:///folder/file, or "
                "sqlite:////folder/file for an absolute path."
            ),
        ),
    ],
)
def test_bad_targets_are_refused_before_any_work(target, options, message, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError) as raised:
        answer.write(target, **options)
    assert str(raised.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("no database " * 999), lambda path: path.mkdir()]
)
def test_a_file_that_is_no_database(make, answer, tmp_path):
    path = tmp_path / "a.duckdb"
    make(path)
    with pytest.raises(DatabaseError) as raised:
        answer.write(path, table="t")
    assert str(raised.value).startswith(f"opening the DuckDB database {str(path)!r} failed: ")


def test_answers_are_written_with_their_notes(answer, tmp_path):
    pytest.importorskip("xlsxwriter", reason="needs xlsxwriter")
    assert answer.write(tmp_path / "a.xlsx") == tmp_path / "a.xlsx"
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        assert "<t>Transitions()</t>" in archive.read("xl/sharedStrings.xml").decode()
    assert answer.write(str(tmp_path / "a.parquet")) == tmp_path / "a.parquet"
    assert pl.read_parquet(tmp_path / "a.parquet").equals(answer.frame)


# Journeys


def test_journeys_to_duckdb(tmp_path):
    journeys = log(**{'a"b': ["x", None, "z"]}).sessionize("30m")
    path: Path = tmp_path / "j.duckdb"
    journeys.to_duckdb(path)
    with duckdb.connect(path) as connection:
        connection.execute("set TimeZone = 'UTC'")
        assert connection.sql("show tables").fetchall() == [("events",), ("sessions",), ("users",)]
        events = connection.sql("select * from events").pl()
        assert events.equals(journeys.frame.with_columns(pl.col("event").cast(pl.String)))
        sessions = connection.sql(
            'select "user", session, epoch(first), epoch(last), events, cause from sessions order by all'
        ).fetchall()
        assert sessions == [
            ("a", 1, 0.0, 0.0, 1, "first"),
            ("a", 2, 9999.0, 9999.0, 1, "timeout"),
            ("b", 1, 5.0, 5.0, 1, "first"),
        ]
        users = connection.sql(
            'select "user", epoch(first), epoch(last), events, sessions from users order by all'
        ).fetchall()
        assert users == [("a", 0.0, 9999.0, 2, 2), ("b", 5.0, 5.0, 1, 1)]


def test_interleaved_sessions_and_events_outside_to_duckdb():
    rows = pl.DataFrame(
        {
            "user": ["a"] * 5,
            "time": [0, 1, 2, 3, 4],
            "event": ["p", "q", "r", "s", "t"],
            "visit": ["v", "w", "v", None, "w"],
        }
    )
    events = jk.read_events(rows, user="user", time="time", event="event", session="visit", unit="s")
    journeys = events.sessionize(jk.SessionRule.from_column(null_session="outside"))
    with duckdb.connect() as connection:
        journeys.to_duckdb(connection, tables={"sessions": "s", "users": "u"})
        sessions = connection.sql(
            'select session, epoch(first), epoch(last), events from "s" order by all'
        ).fetchall()
        assert sessions == [(1, 0.0, 2.0, 2), (2, 1.0, 4.0, 2)]
        assert connection.sql("select epoch(first), epoch(last), events, sessions from u").fetchall() == [
            (0.0, 4.0, 5, 2)
        ]


def test_either_all_tables_or_none():
    journeys = log().sessionize("30m")
    with duckdb.connect() as connection:
        connection.execute("create view users as select 1")
        with pytest.raises(DatabaseError, match="there is such a table already"):
            journeys.to_duckdb(connection)
        assert connection.sql("show tables").fetchall() == [("users",)]
        with pytest.raises(DatabaseError):
            journeys.to_duckdb(connection, if_exists="append")
        assert connection.sql("show tables").fetchall() == [("users",)]


def test_only_duckdb():
    journeys = log().sessionize("30m")
    for target in ("a.csv", "postgresql://a:secret@b/c", 7):
        with pytest.raises(ParameterError) as raised:
            journeys.to_duckdb(target)
        assert str(raised.value) == (
            "to_duckdb writes to DuckDB: give a file that ends in .duckdb, 'duckdb:///file', or a connection of DuckDB."
        )
    with pytest.raises(ParameterError) as raised:
        journeys.to_duckdb("a.duckdb", tables=["event"])
    assert str(raised.value) == (
        "a table of journeys cannot be 'event'. Choose one of: 'events', 'sessions', 'users'."
    )
