"""Sites by name or host."""

from __future__ import annotations

import re
from collections.abc import Sequence


def site_pattern(sites: Sequence[str]) -> str:
    """Return an expression that fits sites and their hosts, in lower case.

    >>> [re.fullmatch(site_pattern(["google"]), name) is not None for name in ("www.google.co.uk", "notgoogle.com")]
    [True, False]
    """
    either = "|".join(re.escape(site.strip().lower()) for site in sites)
    return rf"^(?:[^/]+\.)?(?:{either})(?:\.[^/]+)?$"


def host_pattern(hosts: Sequence[str]) -> str:
    """Return an expression that fits hosts and their subdomains, in lower case.

    >>> [re.fullmatch(host_pattern(["shop.eu"]), name) is not None for name in ("www.shop.eu", "shop.eu.evil.com")]
    [True, False]
    """
    either = "|".join(re.escape(host.strip().lower()) for host in hosts)
    return rf"^(?:[^/]+\.)?(?:{either})$"
