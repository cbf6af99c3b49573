"""Logs out of databases: a real PostgreSQL that the test starts, SQLite, DuckDB; what goes wrong says no password."""

from __future__ import annotations

import pickle
import sqlite3
import traceback
from datetime import UTC, datetime
from urllib.parse import quote

import duckdb
import polars as pl
import pytest

import journeykit as jk
from journeykit.databases.addresses import address_of
from journeykit.databases.writing import write_table
from journeykit.errors import (
    ColumnTypeError,
    DatabaseError,
    EmptyInputError,
    EngineError,
    InvalidRowsError,
    MissingColumnError,
    MissingFileError,
    ParameterError,
)
from journeykit.sources.collecting import engine_errors
from journeykit.sources.sql import Query
from tests import postgresql

ROLES = {"user": "who", "time": "at", "event": "what"}
ROWS = 50_000
HIDDEN = quote(postgresql.PASSWORD, safe="")


@pytest.fixture(scope="module")
def address():
    """A server with a table of clicks; user and password in the address."""
    pytest.importorskip("adbc_driver_postgresql", reason="needs adbc-driver-postgresql")
    if postgresql.programs() is None:
        pytest.skip("needs the programs of a PostgreSQL server")
    from adbc_driver_postgresql import dbapi

    with postgresql.server_folder() as folder, postgresql.server(folder) as place:
        found = f"postgresql://{postgresql.USER}:{HIDDEN}@{place}/postgres"
        with dbapi.connect(found) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"create table clicks as select 'u' || (i % 997) as who, "
                f"timestamptz '2026-01-01' + i * interval '7 seconds' as at, 'e' || (i % 13) as what, "
                f"i as number, 'unused' as other from generate_series(0, {ROWS - 1}) i"
            )
            cursor.execute("create type mood as enum ('sad', 'glad')")
            connection.commit()
        yield found


def clicks():
    number = pl.int_range(ROWS, eager=True)
    return pl.DataFrame(
        {
            "who": "u" + pl.Series(number % 997).cast(pl.String),
            "at": (datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000 + number * 7_000_000)
            .cast(pl.Int64)
            .cast(pl.Datetime("us", "UTC")),
            "what": "e" + pl.Series(number % 13).cast(pl.String),
            "number": number,
        }
    )


def alike(one, other):
    return one.frame.with_columns(pl.col("event").cast(pl.String)).equals(
        other.frame.with_columns(pl.col("event").cast(pl.String))
    )


def said(error):
    """All that anybody could print of an error, or of those it is chained to."""
    texts = ["".join(traceback.format_exception(error)), repr(pickle.loads(pickle.dumps(error)))]
    while error is not None:
        texts += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def assert_no_secret(error, *secrets):
    text = said(error)
    for secret in (postgresql.PASSWORD, HIDDEN, *secrets):
        assert secret not in text


# PostgreSQL


def test_postgresql_gives_the_log(address):
    query = "select * from clicks order by number"
    found = jk.read_sql(address, query, **ROLES, keep=["number"])
    assert alike(found, jk.read_events(clicks(), **ROLES, keep=["number"]))
    planned = jk.scan_sql(address, query, **ROLES, keep=["number"])
    assert alike(planned.collect(), found)
    assert repr(planned).startswith("EventsPlan of LazyFrame, not run yet")
    flows = [
        each.sessionize("30m").measure(jk.Transitions(), **engine)
        for each, engine in [(found, {}), (planned, {"engine": jk.OutOfCore(memory="100MB")})]
    ]
    assert flows[0].frame.equals(flows[1].frame)


def test_answers_and_hostile_names_in_postgresql(address):
    answer = (
        jk.read_sql(address, "select * from clicks limit 99", **ROLES)
        .sessionize("30m")
        .measure(jk.TopPaths(3))
    )
    name = 'an"; drop table clicks; --'
    assert answer.write(address, table=name) is None
    with pytest.raises(DatabaseError, match="there is such a table already"):
        answer.write(address, table=name)
    answer.write(address, table=name, if_exists="append")
    answer.write(address, table=("public", name), if_exists="append")
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute('select count(*) from "an""; drop table clicks; --"')
        assert cursor.fetchone() == (3 * answer.frame.height,)
        cursor.execute("select count(*) from clicks")
        assert cursor.fetchone() == (ROWS,)
        answer.write(connection, table=name, if_exists="replace")
        cursor.execute('select * from "an""; drop table clicks; --"')
        assert cursor.fetch_polars().select(answer.frame.columns).equals(answer.frame)


def test_a_failure_writes_no_table(address):
    frame = pl.DataFrame({"text": ["a\0b"]})
    with pytest.raises(DatabaseError) as raised:
        write_table(frame, address, table="broken")
    assert "invalid byte sequence" in str(raised.value)
    write_table(pl.DataFrame({"text": ["fine"]}), address, table="broken")
    with pytest.raises(ParameterError) as long:
        write_table(frame, address, table="x" * 64)
    assert str(long.value) == (
        f"the name {'x' * 64!r} has 64 bytes, and PostgreSQL keeps 63 of a name. Shorten it."
    )


def test_values_travel_apart_from_the_query(address):
    query = "select * from clicks where what = $1 and number < $2"
    assert jk.read_sql(address, query, parameters=["e3", 40], **ROLES).columns.height == 3
    with pytest.raises(EmptyInputError):
        jk.read_sql(address, query, parameters=["e3' or true --", 40], **ROLES)


def test_types_of_postgresql(address):
    query = (
        "select '00112233-4455-6677-8899-aabbccddeeff'::uuid as who, date '2026-01-02' as at, 7::smallint as what, "
        "'12345678901234567890.5'::numeric as exact, 1.5::numeric as amount, '{\"a\": 1}'::jsonb as document, "
        "null::uuid as nobody, 'glad'::mood as mood"
    )
    found = jk.read_sql(address, query, **ROLES, value="amount", keep=["exact", "document", "nobody", "mood"])
    assert found.frame.row(0, named=True) == {
        "user": "00112233-4455-6677-8899-aabbccddeeff",
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "event": "7",
        "value": 1.5,
        "exact": "12345678901234567890.5",
        "document": '{"a": 1}',
        "nobody": None,
        "mood": "glad",
    }


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("int4range(1, 2)", r"unnamed<oid:\d+>"),
        ("interval '1 day'", "interval"),
        ("'10.0.0.1'::inet", "inet"),
    ],
)
def test_types_that_are_no_texts_are_refused(value, kind, address):
    with pytest.raises(
        ColumnTypeError,
        match=rf"^column 'what' for the role 'event' holds values of the type {kind}, not texts, numbers or times. "
        r"Cast it to text in the query.$",
    ):
        jk.read_sql(address, f"select 1 as who, now() as at, {value} as what", **ROLES)
    cast = jk.read_sql(address, f"select 1 as who, now() as at, ({value})::text as what", **ROLES)
    assert cast.columns.height == 1


def test_times_that_no_calendar_has_are_invalid(address):
    query = (
        "select 1 as who, unnest(array[timestamp 'infinity', '-infinity', '2026-01-01']) as at, 'x' as what"
    )
    with pytest.raises(
        InvalidRowsError, match=r"2 of 3 rows have no valid user, time or event \(user 0, time 2, event 0\)"
    ):
        jk.read_sql(address, query, **ROLES)
    assert jk.read_sql(address, query, **ROLES, on_invalid="drop").columns["time"].to_list() == [
        datetime(2026, 1, 1, tzinfo=UTC)
    ]


def test_a_missing_table_is_answered_with_those_that_exist(address):
    place = address.rpartition("@")[2].removesuffix("/postgres").rpartition(":")
    for read in (jk.read_sql, jk.scan_sql):
        with pytest.raises(DatabaseError) as raised:
            read(address, "select * from clickz", **ROLES)
        assert str(raised.value).startswith(
            f"reading from the PostgreSQL database 'postgres' at {place[0]}:{place[2]} failed: "
            f"relation \"clickz\" does not exist. Did you mean 'clicks'? Available: 'clicks'"
        )
        assert_no_secret(raised.value)


def test_a_missing_column_is_answered_with_those_that_exist(address):
    with pytest.raises(
        MissingColumnError, match=r"^no column 'wo' for the role 'user'. Did you mean 'who'\?"
    ):
        jk.read_sql(address, "select * from clicks", user="wo", time="at", event="what")


def test_a_wrong_password_is_not_printed(address):
    wrong = address.replace(HIDDEN, "hunter2%21")
    with pytest.raises(DatabaseError) as raised:
        jk.read_sql(wrong, "select 1", **ROLES)
    assert str(raised.value).endswith(
        'password authentication failed for user "owner". Check the user and the password.'
    )
    assert_no_secret(raised.value, "hunter2%21", "hunter2!")
    with pytest.raises(DatabaseError) as raised:
        jk.read_sql(address.replace("/postgres", "/shop"), "select 1", **ROLES)
    assert 'database "shop" does not exist' in str(raised.value)
    assert_no_secret(raised.value)


def test_a_lost_connection(address):
    query = (
        "select case when i = 400000 then pg_terminate_backend(pg_backend_pid()) end as lost, "
        "i as who, now() as at, repeat('x', 99) as what from generate_series(1, 1000000) i"
    )
    for read in (jk.read_sql, lambda *a, **k: jk.scan_sql(*a, **k).collect()):
        with pytest.raises(DatabaseError) as raised:
            read(address, query, **ROLES)
        assert str(raised.value).endswith(
            "failed: terminating connection due to administrator command. "
            "The server ended the connection. Try again when it is there."
        )
        assert_no_secret(raised.value)


def test_nobody_listens():
    pytest.importorskip("adbc_driver_postgresql", reason="needs adbc-driver-postgresql")
    with pytest.raises(DatabaseError) as raised:
        jk.read_sql(f"postgresql://owner:{HIDDEN}@127.0.0.1:1/shop", "select 1", **ROLES)
    assert str(raised.value) == (
        "opening the PostgreSQL database 'shop' at 127.0.0.1:1 failed: connection to server at \"127.0.0.1\", port 1 "
        "failed: Connection refused. Check host and port, and that the server runs."
    )
    assert_no_secret(raised.value)


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://owner:se@cret@host/db",
        "postgresql://owner:se/cret@host/db",
        "postgresql://owner:se?cret@host/db",
        "postgresql://owner:se#cret@host/db",
        "postgresql://owner:se:cret@host/db",
        "postgresql://owner:se%zzcret@host/db",
        "postgresql://owner:se cret@host/db",
        "postgres://owner:secret@[host/db",
    ],
)
def test_an_address_that_libpq_would_take_apart_elsewhere_is_refused(address):
    with pytest.raises(
        ParameterError, match="the address of the PostgreSQL database cannot be taken apart"
    ) as raised:
        jk.read_sql(address, "select 1", **ROLES)
    assert "cret" not in said(raised.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "postgresql://ada:s3cr%65t@h:1/a%20b?sslpassword=s3cret2&connect_timeout=3",
            "the PostgreSQL database 'a b' at h:1",
        ),
        ("postgres://", "the PostgreSQL server at this machine"),
        ("postgresql:///shop?host=/run/pg&password=s3cret", "the PostgreSQL database 'shop' at /run/pg"),
        ("sqlite:///a/b.db", "the SQLite database 'a/b.db'"),
        ("sqlite:////a/b.db", "the SQLite database '/a/b.db'"),
        ("duckdb:///x", "the DuckDB database 'x'"),
        ("a.DuckDB", "the DuckDB database 'a.DuckDB'"),
    ],
)
def test_how_addresses_are_shown(text, shown):
    found = address_of(text)
    assert found.shown == shown
    assert "s3cr" not in repr(found)


@pytest.mark.parametrize("target", ["a.csv", 3, None, "mysql://a:secret@b/c", "a.db"])
def test_what_is_no_database(target):
    with pytest.raises(ParameterError, match="Give 'postgresql://user@host/database'") as raised:
        jk.read_sql(target, "select 1", **ROLES)
    assert "secret" not in said(raised.value)


# SQLite and DuckDB


@pytest.mark.parametrize("name", ["a.sqlite", "odd ?#%41 'name'.sqlite"])
def test_sqlite(name, tmp_path):
    pytest.importorskip("adbc_driver_sqlite", reason="needs adbc-driver-sqlite")
    path = tmp_path / name
    with sqlite3.connect(path) as connection:
        connection.execute("create table clicks (who text, at text, what text)")
        connection.executemany(
            "insert into clicks values (?, ?, ?)",
            [("a", "2026-01-01 00:00:00", "<script>"), ("b'", "2026-01-01 00:00:01", "🙂")],
        )
    connection.close()
    for read in (jk.read_sql, lambda *a, **k: jk.scan_sql(*a, **k).collect()):
        found = read(path, "select * from clicks", **ROLES)
        assert found.frame["user"].to_list() == ["a", "b'"]
        assert found.frame["event"].to_list() == ["<script>", "🙂"]
    assert (
        jk.read_sql(path, "select * from clicks where who = ?", parameters=["b'"], **ROLES).columns.height
        == 1
    )
    with pytest.raises(DatabaseError) as raised:
        jk.read_sql(path, "select * from click", **ROLES)
    assert str(raised.value) == (
        f"reading from the SQLite database {str(path)!r} failed: no such table: click. "
        f"Did you mean 'clicks'? Available: 'clicks'."
    )
    with pytest.raises(DatabaseError):
        jk.read_sql(path, "insert into clicks values ('c', '2026-01-01', 'x') returning *", **ROLES)
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from clicks").fetchone() == (2,)
    connection.close()


def test_duckdb_file_connection_and_what_is_attached(tmp_path):
    path = tmp_path / "a.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(
            "create table clicks as select 'ada' as who, now() as at, 'view' as what, uuid() as id"
        )
    assert jk.read_sql(path, "from clicks", **ROLES, keep=["id"]).frame["user"].to_list() == ["ada"]
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as shop (read_only); use shop")
        assert jk.read_sql(connection, "from clicks", **ROLES).columns.height == 1
        assert (
            jk.read_sql(
                connection, "from shop.clicks where who = $1", parameters=["ada"], **ROLES
            ).columns.height
            == 1
        )
        with pytest.raises(DatabaseError) as raised:
            jk.read_sql(connection, "select * from klicks", **ROLES)
        assert str(raised.value) == (
            "reading from the DuckDB connection failed: Catalog Error: Table with name klicks does not exist. "
            "Did you mean 'clicks'? Available: 'clicks'."
        )
    with pytest.raises(DatabaseError, match="read-only"):
        jk.read_sql(path, "create table more as select 1", **ROLES)


def test_a_missing_file_is_not_made(tmp_path):
    (tmp_path / "shop.duckdb").touch()
    for name in ("shap.duckdb", "shap.sqlite"):
        with pytest.raises(MissingFileError) as raised:
            jk.read_sql(tmp_path / name, "select 1", **ROLES)
        assert str(raised.value).startswith(f"no file {str(tmp_path / name)!r}. ")
        assert "Available: 'shop.duckdb'." in str(raised.value)
    assert [each.name for each in tmp_path.iterdir()] == ["shop.duckdb"]


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("", {}, "query must be a text of SQL, not ''."),
        (7, {}, "query must be a text of SQL, not 7."),
        (
            "select 1",
            {"parameters": "ab"},
            "parameters must be a list of values, one for each open place of the query.",
        ),
        (
            "select 1",
            {"unti": "s"},
            "read_sql has no parameter 'unti'. Did you mean 'unit'? Available: 'unit', ",
        ),
        ("select 1", {"unit": "h"}, "unit cannot be 'h'. Choose one of: 's', 'ms', 'us', 'ns'."),
        ("select 1", {"on_invalid": "no"}, "on_invalid cannot be 'no'. Choose one of: 'raise', 'drop'."),
    ],
)
def test_parameters_are_checked_before_the_database_is_asked(query, options, message):
    with pytest.raises(ParameterError) as raised:
        jk.read_sql("postgresql://owner:secret@127.0.0.1:1/shop", query, **ROLES, **options)
    assert str(raised.value).startswith(message)


def test_a_query_that_cannot_be_a_log():
    with duckdb.connect() as connection:
        with pytest.raises(ParameterError) as raised:
            jk.read_sql(connection, "select 1 as who, 2 as who, now() as at, 'x' as what", **ROLES)
        assert (
            str(raised.value) == "the query gives several columns the name 'who'. Give each its own with AS."
        )
        with pytest.raises(DatabaseError) as raised:
            jk.read_sql(connection, "selec", **ROLES)
        assert str(raised.value) == (
            'reading from the DuckDB connection failed: Parser Error: syntax error at or near "selec". '
            "Check what was asked of it."
        )
        with pytest.raises(MissingColumnError):
            jk.read_sql(connection, "create table t (a int)", **ROLES)


def test_a_query_is_shown_without_secrets():
    query = Query(
        "postgresql://ada:secret@h/shop", "select *\nfrom read_csv('s3://k:secret@b') where password='secret'"
    )
    assert repr(query) == (
        "query \"select * from read_csv('s3://k:***@b') where password=***\" to the PostgreSQL database 'shop' at h"
    )


def test_times_outside_the_calendar_are_invalid_in_any_log():
    times = pl.Series([2**63 - 1, -(2**63) + 1, 253_402_300_799_999_999, -62_135_596_800_000_000]).cast(
        pl.Datetime("us")
    )
    log = pl.DataFrame({"who": ["a", "b", "c", "d"], "at": times, "what": ["x"] * 4})
    with pytest.raises(InvalidRowsError, match="2 of 4 rows"):
        jk.read_events(log, **ROLES)
    assert jk.read_events(log, **ROLES, on_invalid="drop").frame["user"].to_list() == ["c", "d"]


def test_a_panic_of_polars_is_an_error_of_ours():
    with pytest.raises(EngineError) as raised, engine_errors("reading the log"):
        raise pl.exceptions.PanicException("no way")
    assert str(raised.value) == "reading the log failed: no way."


def test_a_plan_that_fails_is_an_error_of_ours():
    plan = pl.LazyFrame({"who": ["a"], "at": ["2026-01-01"], "what": ["x"]}).with_columns(
        pl.col("who").str.to_integer()
    )
    with pytest.raises(EngineError, match="^reading the log failed: "):
        jk.read_events(plan, **ROLES)
