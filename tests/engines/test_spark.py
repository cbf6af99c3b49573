"""A local Spark answers as memory does: all statistics, three real logs, a generated one; and says what fails where."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import journeykit as jk
from journeykit.sharding import distributed
from tests.logs import frame
from tests.property.test_law import EACH, MODEL, assert_same, rows_of

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    # pyspark 4.3 says this of every pandas since 3, and leaves sockets to the collector.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
ROOT = Path(__file__).parents[2]
ROLES = {"user": "user", "time": "time", "event": "event"}
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "OFF",
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
QUESTIONS = (
    jk.Overview(),
    jk.Transitions(unit="user"),
    jk.TopPaths(quantiles=(0.5,)),
    jk.Retention(),
    jk.Lifecycle(),
)


@pytest.fixture(scope="module")
def session():
    """Two workers of a local Spark."""
    pyspark = pytest.importorskip("pyspark", reason="needs pyspark: pip install 'journeykit[spark]'")
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        pytest.skip("needs Java 17: there is neither java nor JAVA_HOME")
    assert pyspark.__version__ >= "4.1"
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
        builder = SparkSession.builder.master("local[2]").appName("journeykit")
        for name, value in SETTINGS.items():
            builder = builder.config(name, value)
        started = builder.getOrCreate()
        yield started
        started.stop()


def in_spark(session, rows, partitions=3):
    """Rows as a DataFrame of Spark in some partitions, which follow each other."""
    table = rows.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String)).to_arrow()
    plain = pa.schema([(each.name, _plain(each.type)) for each in table.schema])
    rows = -(-table.num_rows // partitions)
    parts = [
        session.createDataFrame(table.cast(plain).slice(n * rows, rows)).coalesce(1)
        for n in range(partitions)
    ]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.union(part)
    return whole


def _plain(kind):
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def assert_same_answers(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)
        assert one.context.names.equals(other.context.names)
        assert one.context.labels.equals(other.context.labels)
        assert replace(one.context, names=None, labels=None) == replace(
            other.context, names=None, labels=None
        )


def assert_same_everywhere(log, source, engine, statistics, *, verbs=(), rule="30m", options=None, **reading):
    """Of a log in memory, and of the same one where Spark finds it."""
    plans = [jk.scan_events(each, **reading).sessionize(rule) for each in (source, log)]
    for verb, arguments in verbs:
        plans = [getattr(plan, verb)(**arguments) for plan in plans]
    options = options or {}
    found = plans[0].measure(*statistics, engine=engine, **options)
    assert_same_answers(found, plans[1].measure(*statistics, **options))


@pytest.fixture(scope="module")
def log():
    return frame(rows_of(1))


def test_every_statistic_of_a_generated_log(session, log, monkeypatch):
    """With ties, which keep the order of the log; tallies are added on the cluster."""
    monkeypatch.setattr(distributed, "FAN", 2)
    source, engine = in_spark(session, log), jk.Spark(session, partitions=5)
    verbs, options = [("assign_stages", {"model": MODEL})], {"by": "device", "every": "1w"}
    assert_same_everywhere(
        log, source, engine, EACH, verbs=verbs, options=options, keep=["device", "score"], **ROLES
    )


def test_the_shop(session, shared_data, tmp_path):
    """As paths of Parquet; local times, texts as ids, two properties crossed."""
    log = pl.read_csv(shared_data / "shop" / "ecom.csv.gz", try_parse_dates=True)
    log.write_parquet(tmp_path / "shop.parquet", row_group_size=10_000)
    assert_same_everywhere(
        log, tmp_path / "shop.parquet", jk.Spark(session),
        (*QUESTIONS, jk.Funnel(["catalog", "cart", "purchase"], within="7d"), jk.Conversion("purchase")),
        options={"by": ["platform", jk.Segment("acquisition_channel", "last")], "every": "1mo"},
        user="user_id", time="timestamp", event="event", keep=["platform", "acquisition_channel"], tz="Europe/Berlin",
    )  # fmt: skip


def test_trivago(session, shared_data):
    """The log's own sessions and order, rows in no order, numbers as times."""
    log = pl.read_parquet(shared_data / "trivago" / "trivago_val_100k.parquet")
    shuffled = in_spark(session, log.sample(fraction=1, shuffle=True, seed=3), 2)
    assert_same_everywhere(
        log, shuffled, jk.Spark(session, partitions=3), QUESTIONS,
        rule=jk.SessionRule.from_column(), options={"by": "device", "level": 0.9},
        verbs=[("filter", {"events": ["clickout item"], "keep": "sessions"})],
        user="session_id", time="timestamp", event="action_type", order="step", session="session_id", unit="s",
        keep=["device"],
    )  # fmt: skip


def test_the_access_log(session, shared_data):
    """Many names; rows that are no requests are left out."""
    path = shared_data / "access_log" / "elastic_apache_logs.log"
    log = pl.read_csv(path, has_header=False, separator="\0", quote_char=None, new_columns=["line"])
    fields = log["line"].str.extract_groups(r'^(?<ip>\S+) \S+ \S+ \[(?<time>[^\]]+)\] "(?<request>\S+ \S+)')
    log = fields.struct.unnest()
    assert_same_everywhere(
        log, in_spark(session, log, 2), jk.Spark(session, partitions=2), QUESTIONS[:3],
        options={"every": "1d"}, user="ip", time="time", event="request", time_format="%d/%b/%Y:%H:%M:%S %z",
        on_invalid="drop", duplicates="drop",
    )  # fmt: skip


@pytest.mark.parametrize("unmapped", ["own", "drop"])
def test_stitched_customers(session, unmapped):
    """Ids are joined once; the rows get their users in the workers. Devices change hands, and some ids are unknown."""
    shop = jk.datasets.simulate_omnichannel(300, rng=2)
    rules = jk.IdentityRules(strong="login", owner="current", retroactive=False)
    links = shop.links.filter(pl.col("login") != "user-000007")
    identity = jk.Identity.of(links, ["cookie", "device", "login"], time="time", rules=rules)
    log = pl.concat([shop.web, shop.web.head(50)]).select("id", "time", "event", "medium")
    reading = {"user": "id", "time": "time", "event": "event", "keep": ["medium"]}
    plans = [
        jk.scan_events(source, **reading).stitch(identity, unmapped=unmapped).sessionize("30m")
        for source in (in_spark(session, log), log)
    ]
    found = plans[0].measure(*QUESTIONS, engine=jk.Spark(session, partitions=3), by="medium")
    assert_same_answers(found, plans[1].measure(*QUESTIONS, by="medium"))


def test_customers_under_pseudonyms(session):
    key, reading = b"0123456789abcdef", {"user": "id", "time": "time", "event": "event", "keep": ["medium"]}
    log = jk.datasets.simulate_omnichannel(100, rng=2).web.select("id", "time", "event", "medium")
    plans = [
        jk.scan_events(source, **reading).pseudonymize(key, ["medium"]).sessionize("30m")
        for source in (in_spark(session, log), log)
    ]
    found = plans[0].measure(*QUESTIONS, engine=jk.Spark(session, partitions=3), by="medium")
    assert_same_answers(found, plans[1].measure(*QUESTIONS, by="medium"))


def test_one_giant_user(session):
    """Nearly all events are of one user, and none of another shard."""
    start = pl.datetime(2026, 1, 1, time_zone="UTC")
    log = pl.select(n=pl.int_range(60_000)).select(
        user=pl.when(pl.col("n") % 20 < 19).then(0).otherwise("n"),
        time=start + pl.duration(minutes=pl.col("n") * 7 % 1_000),
        event=pl.concat_str(pl.lit("<b>'\n"), pl.col("n") * pl.col("n") % 11),
    )
    engine = jk.Spark(session, partitions=4)
    assert_same_everywhere(log, in_spark(session, log, 2), engine, QUESTIONS[:3], **ROLES)


def test_what_a_plan_refuses(session, log):
    engine = jk.Spark(session, partitions=2)
    broken = log.with_columns(event=pl.when(pl.int_range(pl.len()) == 1).then(None).otherwise("event"))
    plan = jk.scan_events(in_spark(session, broken, 1), **ROLES).sessionize("30m")
    with pytest.raises(
        jk.errors.InvalidRowsError, match=r"(?s)^1 of 216 rows .*\n  partition 1, row 1: user="
    ):
        plan.measure(jk.Transitions(), engine=engine)
    plan = jk.scan_events(in_spark(session, log, 1), **ROLES).sessionize("30m")
    with pytest.raises(jk.errors.UnknownUserError, match="nobody"):
        plan.filter(users=["nobody"]).measure(jk.Transitions(), engine=engine)
    with pytest.raises(jk.errors.UnknownNameError, match="byu"):
        plan.measure(jk.Conversion("byu"), engine=engine)
    with pytest.raises(jk.errors.ParameterError, match="looks at other rows"):
        plan.filter(pl.col("time") > pl.col("time").mean()).measure(jk.Transitions(), engine=engine)
    with pytest.raises(jk.errors.MissingColumnError, match="Did you mean 'user'"):
        jk.scan_events(in_spark(session, log, 1), user="usr", time="time", event="event")
    with pytest.raises(jk.errors.ParameterError, match="Spark cannot read this LazyFrame"):
        jk.scan_events(log, **ROLES).sessionize("30m").measure(jk.Transitions(), engine=engine)
    assert_same_answers(
        plan.collect().measure(*QUESTIONS, engine=engine),
        jk.read_events(log, **ROLES).sessionize("30m").measure(*QUESTIONS),
    )


def test_what_fails_in_a_worker_is_named(session, log):
    class Failing(jk.Transitions):
        def tally(self, shard, cells):
            raise ZeroDivisionError("no such thing")

    class Dying(jk.Transitions):
        def tally(self, shard, cells):
            os._exit(1)

    plan = jk.scan_events(in_spark(session, log, 1), **ROLES).sessionize("30m")
    engine = jk.Spark(session, partitions=2)
    for statistic, reason in (
        (Failing(), "ZeroDivisionError: no such thing."),
        (Dying(), "its worker died. It may"),
    ):
        with pytest.raises(jk.errors.ShardError) as error:
            plan.measure(statistic, engine=engine)
        name = type(statistic).__name__
        assert re.search(rf"\b{name}\(.*\) failed on shard [12] of 2: {reason}", str(error.value)), str(
            error.value
        )


def test_the_page_runs(session, tmp_path):
    days = pl.select(n=pl.int_range(300)).select(
        user_id="n",
        event=pl.lit("view"),
        device=pl.lit("phone"),
        timestamp=pl.datetime(2026, 1, 1),
    )
    (tmp_path / "logs").mkdir()
    days.write_parquet(tmp_path / "logs" / "1.parquet")
    page = (ROOT / "docs" / "how-to" / "run-on-spark.md").read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        here = block.replace("logs/", f"{tmp_path}/logs/")
        exec(here, found := {"spark": session})
        assert found["flow"].frame.height


def test_parameters():
    with pytest.raises(jk.errors.ParameterError) as error:
        jk.Spark(object())
    assert "Give a SparkSession, such as SparkSession.builder.getOrCreate()." in str(error.value)

    class Session:
        createDataFrame = None  # noqa: N815 - as of Spark

    for wrong in (0, True, "8", 1 << 20):
        with pytest.raises(jk.errors.ParameterError) as error:
            jk.Spark(Session(), wrong)
        assert str(error.value) == (
            f"partitions cannot be {wrong!r}. Give a whole number from 1 to 65,536, or None."
        )
