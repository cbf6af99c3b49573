"""Shares written in percent."""

from __future__ import annotations


def percent(share: float) -> str:
    """Write a share in percent, to a tenth.

    Examples
    --------
    >>> percent(0.4567), percent(1)
    ('45.7 %', '100.0 %')
    """
    return f"{share:.1%}".replace("%", " %")
