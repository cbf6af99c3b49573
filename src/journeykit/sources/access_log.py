"""Access logs of web servers, in the common and the combined format of Apache and nginx."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from journeykit.sources.paths import is_remote
from journeykit.sources.texts import decoded_lines, first_undecodable

ROLES = {"user": "ip", "time": "time", "event": "request"}
"""The columns that play the roles unless others are named."""
TIME_FORMAT = "%d/%b/%Y:%H:%M:%S %z"
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = (
    r"^(?P<ip>\S+) (?P<identity>\S+) (?P<auth_user>.*?) \[(?P<time>[^\]]+)\] "
    + _QUOTED.replace("(", "(?P<request>", 1)
    + r" (?P<status>\d{3}) (?P<bytes>\d+|-)(?: "
    + _QUOTED.replace("(", "(?P<referer>", 1)
    + " "
    + _QUOTED.replace("(", "(?P<user_agent>", 1)
    + r')?(?: (?:"(?:[^"\\]|\\.)*"|[^" ]+))*\s*$'
)
"""One line: common, combined, or combined with more fields, each without blanks or in quotes."""
REQUEST = r"^(?P<method>\S+) (?P<path>.*?)(?: (?P<protocol>[A-Za-z]+/[\d.]+))?$"


def scan(names: Sequence[str]) -> pl.LazyFrame:
    r"""Plan to read access logs.

    Parameters
    ----------
    names : sequence of str
        Files, compressed or not. One with bytes that are not UTF-8 is read into memory with these replaced.

    Returns
    -------
    polars.LazyFrame
        ``ip, identity, auth_user, time`` (Datetime in UTC), ``method, path, protocol, status`` (Int64),
        ``bytes`` (Int64), ``referer, user_agent, request``. A dash is null. ``request`` is the method and
        the path with a blank between them, or what stood in their place. A line in another form has a null
        time, its text in ``request`` and null elsewhere, so it counts as an invalid row (D1.4).
    """
    plans = [_lines(name) for name in names]
    lines = plans[0] if len(plans) == 1 else pl.concat(plans)
    fields = lines.select("line", pl.col("line").str.extract_groups(LINE).alias("fields")).unnest("fields")
    parts = fields.with_columns(pl.col("request").str.extract_groups(REQUEST).alias("parts"))
    method_and_path = pl.col("parts").struct.field("method") + " " + pl.col("parts").struct.field("path")
    return parts.select(
        *(_dash_is_null(name) for name in ("ip", "identity", "auth_user")),
        pl.col("time").str.to_datetime(TIME_FORMAT, strict=False, time_unit="us"),
        *(pl.col("parts").struct.field(name) for name in ("method", "path", "protocol")),
        pl.col("status").cast(pl.Int64, strict=False),
        pl.col("bytes").cast(pl.Int64, strict=False),
        *(_dash_is_null(name) for name in ("referer", "user_agent")),
        pl.coalesce(method_and_path, "request", "line").alias("request"),
    )


def _lines(name: str) -> pl.LazyFrame:
    if is_remote(name):
        return pl.scan_lines(name)
    return decoded_lines(name) if first_undecodable(name) else pl.scan_lines(name, glob=False)


def _dash_is_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "-").then(pl.col(name)).alias(name)
