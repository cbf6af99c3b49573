"""The logs that ship with the package, as paths to files."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "data"


def access_log() -> Path:
    """Give the path of a real web server log, Apache combined format, packed with gzip.

    Returns
    -------
    Path
        10,000 requests of 1,753 addresses, 2015-05-17 10:05:00 to 2015-05-20 21:05:59 UTC.

    Notes
    -----
    The lines are not in time order, robots are among the visitors, and line 8,899 has a quote that is never
    closed.

    References
    ----------
    Elastic, github.com/elastic/examples, commit 6d86454, Apache-2.0. The licence lies beside the file.

    Examples
    --------
    >>> import gzip
    >>> with gzip.open(access_log(), "rt", encoding="utf-8", errors="replace") as lines:
    ...     print(next(lines)[:52])
    83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /
    """
    return _FOLDER / "apache_access.log.gz"


def shop() -> Path:
    """Give the path of a synthetic log of an online shop, CSV packed with gzip.

    Returns
    -------
    Path
        31,106 events of 600 users in 3,605 sessions, 2024-01-04 to 2024-06-29. Columns: `user_id`,
        `session_id`, `event`, `timestamp` (whole seconds, no zone), `platform`, `acquisition_channel`,
        `user_cohort`, `user_lifecycle`.

    Notes
    -----
    325 rows share user and second with another row: the order of the rows decides between them (D1.3).

    References
    ----------
    retentioneering 5, github.com/retentioneering/retentioneering-tools, Apache-2.0. Licence and notice lie
    beside the file.

    Examples
    --------
    >>> import polars as pl
    >>> pl.read_csv(shop()).shape
    (31106, 8)
    """
    return _FOLDER / "shop.csv.gz"
