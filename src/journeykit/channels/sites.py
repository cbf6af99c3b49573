"""Sites by name or host."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl


def site_pattern(sites: Sequence[str]) -> str:
    """Return an expression that fits sites and their hosts, in lower case.

    >>> [re.fullmatch(site_pattern(["google"]), name) is not None for name in ("www.google.co.uk", "notgoogle.com")]
    [True, False]
    """
    either = "|".join(map(re.escape, lowered(sites)))
    return rf"^(?:[^/]+\.)?(?:{either})(?:\.[^/]+)?$"


def host_pattern(hosts: Sequence[str]) -> str:
    """Return an expression that fits hosts and their subdomains, in lower case.

    >>> [re.fullmatch(host_pattern(["shop.eu"]), name) is not None for name in ("www.shop.eu", "shop.eu.evil.com")]
    [True, False]
    """
    either = "|".join(map(re.escape, lowered(hosts)))
    return rf"^(?:[^/]+\.)?(?:{either})$"


def engine(host: pl.Expr, engines: Sequence[str]) -> pl.Expr:
    """Return the search engine that a host in lower case, without ``www.``, is, as the list names it; else null.

    A name without a dot stands for its host under any top-level domain. Of hosts below it only ``m.`` and ``search.``
    are searched: a click in ``mail.google.com`` is none on a result.

    >>> hosts = pl.Series("host", ["google.co.uk", "m.google.de", "mail.google.com", "so.com", "google.com.evil.com"])
    >>> pl.select(engine(pl.lit(hosts), ["google", "so.com"])).to_series().to_list()
    ['google', 'google', None, 'so.com', None]
    """
    names = lowered(engines)
    below = host.str.replace(r"^(?:m|search)\.", "")
    label = below.str.extract(r"^([^.]+)\.(?:[a-z]{2,3}\.)?[a-z]{2,}$", 1)
    found: pl.Expr = pl.coalesce(*(pl.when(name.is_in(names)).then(name) for name in (host, below, label)))
    return found


def lowered(texts: Sequence[str]) -> list[str]:
    """Return texts as they are compared."""
    return [text.strip().lower() for text in texts]
