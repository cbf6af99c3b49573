"""Where events come from: source, medium and campaign by properties, addresses and referrers, and their channel."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import polars as pl

from journeykit.channels.sites import engine, host_pattern

if TYPE_CHECKING:
    from journeykit.channels.rules import ChannelRules

TOLD = ("source", "medium", "campaign")
PARTS = (*TOLD, "referrer", "url")
CLICK_IDS = ("gclid", "gbraid", "wbraid", "msclkid", "dclid")
"""Parameters that advertising networks add to the addresses of paid clicks."""
HOST = r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?(?:[^/@?#]*@)?([^/:?#]+)"


def touches(rules: ChannelRules, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the parts of every touch and its channel; see ``ChannelRules.touches``."""
    columns = {part: pl.col(name) for part, name in rules.columns.items()}
    given = frame.select(_text(columns.get(part, pl.lit(None))).alias(part) for part in PARTS)
    # Few touches are different: the rules are looked at once for each.
    distinct = given.unique()
    named = _completed(rules, distinct)
    lowered = named.select(pl.all().str.to_lowercase())
    channel = lowered.with_columns(rules.expression().cast(pl.Enum(rules.names)).alias("channel")).select(
        "channel"
    )
    touched = pl.any_horizontal(pl.col(TOLD).is_not_null())
    found = named.hstack(channel).with_columns(pl.when(touched).then("channel").alias("channel"))
    keys = distinct.rename(_given).hstack(found)
    joined = given.rename(_given).join(
        keys, on=[_given(part) for part in PARTS], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined.select(*PARTS, "channel")


def _given(part: str) -> str:
    return f"given {part}"


def _text(column: pl.Expr) -> pl.Expr:
    """Read a column as texts without outer blanks; what says nothing is null."""
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def _completed(rules: ChannelRules, parts: pl.DataFrame) -> pl.DataFrame:
    """Take what is not told from the address of the page, then from the referrer."""
    query = pl.col("url").str.extract(r"\?([^#]*)", 1)
    raw = parts.select(query.str.extract(rf"(?:^|&)utm_{part}=([^&]*)", 1).alias(part) for part in TOLD)
    clicked = query.str.contains(rf"(?:^|&)(?:{'|'.join(CLICK_IDS)})=").fill_null(value=False)
    unknown = pl.col("source").is_null() & pl.col("medium").is_null()
    told = parts.with_columns(
        *(pl.coalesce(part, _decoded(raw[part])).alias(part) for part in TOLD), _host(rules).alias("host")
    ).with_columns(engine(pl.col("host"), (rules.lists or {}).get("search", ())).alias("engine"))
    return told.with_columns(
        pl.when(pl.col("medium").is_null() & clicked)
        .then(pl.lit("cpc"))
        .when(unknown & pl.col("engine").is_not_null())
        .then(pl.lit("organic"))
        .when(unknown & pl.col("host").is_not_null())
        .then(pl.lit("referral"))
        .otherwise("medium")
        .alias("medium"),
        pl.coalesce("source", "engine", "host").alias("source"),
    ).select(PARTS)


def _decoded(values: pl.Series) -> pl.Series:
    """Decode parameters of addresses, each different one once."""
    different = values.drop_nulls().unique().to_list()
    decoded = [unquote_plus(text).strip() or None for text in different]
    return values.replace_strict(different, decoded, default=None, return_dtype=pl.String)


def _host(rules: ChannelRules) -> pl.Expr:
    """Return the host of the referrer, without ``www.``, unless it is one's own."""
    host = pl.col("referrer").str.extract(HOST, 1).str.to_lowercase()
    told = host.str.strip_prefix("www.")
    if not rules.own_hosts:
        return told
    return pl.when(~host.str.contains(host_pattern(rules.own_hosts))).then(told)
