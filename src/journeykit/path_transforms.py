"""Transforms of one path of channels, as attribution models want it: oldest name first. DEFINITIONS D8.12.

Each takes a sequence of names and returns a new list; an empty path stays empty.

References
----------
The path transforms of Snowplow's fractribution package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from journeykit.errors import ParameterError

Names = Sequence[str]


def unique_path(path: Names) -> list[str]:
    """Return the path as it is, every touch counted.

    Examples
    --------
    >>> unique_path(["ad", "ad", "mail"])
    ['ad', 'ad', 'mail']
    """
    return list(path)


def exposure_path(path: Names) -> list[str]:
    """Make one of every run of a name.

    Examples
    --------
    >>> exposure_path(["ad", "ad", "mail", "ad"])
    ['ad', 'mail', 'ad']
    """
    return [name for name, _ in groupby(path)]


def first_path(path: Names) -> list[str]:
    """Keep the first occurrence of every name.

    Examples
    --------
    >>> first_path(["ad", "mail", "ad", "site"])
    ['ad', 'mail', 'site']
    """
    return list(dict.fromkeys(path))


def frequency_path(path: Names) -> list[tuple[str, int]]:
    """Keep the first occurrence of every name, with how often it occurs.

    Examples
    --------
    >>> frequency_path(["ad", "mail", "ad"])
    [('ad', 2), ('mail', 1)]
    """
    return list(Counter(path).items())


def remove_if_not_all(path: Names, channel: str) -> list[str]:
    """Leave out every occurrence of a channel, unless the path holds nothing else.

    Examples
    --------
    >>> remove_if_not_all(["direct", "ad", "direct"], "direct"), remove_if_not_all(["direct"] * 2, "direct")
    (['ad'], ['direct', 'direct'])
    """
    return [name for name in path if name != channel] or list(path)


def remove_if_last_and_not_all(path: Names, channel: str) -> list[str]:
    """Leave out the run of a channel that the path ends in, unless the path holds nothing else.

    Examples
    --------
    >>> remove_if_last_and_not_all(["direct", "ad", "direct", "direct"], "direct")
    ['direct', 'ad']
    """
    last = len(path)
    while last and path[last - 1] == channel:
        last -= 1
    return list(path[:last]) or list(path)


def trim_long_path(path: Names, n: int) -> list[str]:
    """Keep the last n names.

    Raises
    ------
    ParameterError
        If `n` is no whole number from 1 on.

    Examples
    --------
    >>> trim_long_path(["ad", "mail", "site"], 2)
    ['mail', 'site']
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ParameterError(f"n must be a whole number from 1 on, not {n!r}.")
    return list(path[-n:])
