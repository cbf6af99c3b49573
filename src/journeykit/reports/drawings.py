"""Small drawings in SVG, in the colours of the page: bars, intervals, curves. They stretch, so words stay outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from journeykit.support.escaping import markup

WIDTH = 100.0
Point = tuple[float, float | None, float | None, float | None]
"""Of a curve: place from 0 to 1, value, low, high; null where nothing is known."""


def bar(value: float | None, low: float | None = None, high: float | None = None, top: float = 1.0) -> Markup:
    """Draw a share as a bar, with its interval as a line.

    Parameters
    ----------
    value : float, optional
        From 0 to `top`; nothing is drawn without one.
    low, high : float, optional
        Its interval.
    top : float
        What fills the whole width.

    Returns
    -------
    Markup
        Hidden from readers of the screen, who have the number beside it.
    """
    if value is None or top <= 0:
        return Markup()
    parts = [f'<rect class="b" width="{_place(value, top)}" height="10"/>']
    if low is not None and high is not None:
        parts.append(f'<path class="i" d="M{_place(low, top)} 5H{_place(high, top)}"/>')
    return _svg("bar", f"0 0 {WIDTH:g} 10", parts)


def dot(estimate: Sequence[float | None], bottom: float = 0.0, top: float = 1.0) -> Markup:
    """Draw a number as a point on a line from `bottom` to `top`, with its interval: value, low and high."""
    value, low, high = estimate
    if value is None or top <= bottom:
        return Markup()
    size = top - bottom
    parts = ['<path class="g" d="M0 5H100"/>']
    if low is not None and high is not None:
        parts.append(f'<path class="i" d="M{_place(low - bottom, size)} 5H{_place(high - bottom, size)}"/>')
    parts.append(f'<path class="d" d="M{_place(value - bottom, size)} 5h0"/>')
    return _svg("bar", f"0 0 {WIDTH:g} 10", parts)


def curve(
    points: Sequence[Point],
    bottom: float,
    top: float,
    label: str,
    zero: float | None = None,
    kind: str = "curve",
) -> Markup:
    """Draw values in a row as a line with points, and their intervals as a band.

    Parameters
    ----------
    points : sequence of (place, value, low, high)
        From left to right. The line is broken where a value is null, the band where an interval is.
    bottom, top : float
        The ends of the vertical axis.
    label : str
        What the drawing shows, in words.
    zero : float, optional
        Where a level line is drawn.
    kind : str
        The class of the drawing.

    Returns
    -------
    Markup
        A drawing of 100 by 100 that stretches to its place.
    """

    def at(place: float, value: float) -> str:
        return f"{_place(place, 1)},{WIDTH - float(_place(value - bottom, top - bottom)):.2f}"

    parts = [] if zero is None else [f'<polyline class="g" points="{at(0, zero)} {at(1, zero)}"/>']
    for band in _runs([(place, low, high) for place, _, low, high in points]):
        ends = [at(place, high) for place, _, high in band] + [
            at(place, low) for place, low, _ in reversed(band)
        ]
        parts.append(f'<polygon class="{"a" if len(band) > 1 else "i"}" points="{" ".join(ends)}"/>')
    for line in _runs([(place, value) for place, value, _, _ in points]):
        places = [at(place, value) for place, value in line]
        parts.append(f'<polyline class="l" points="{" ".join(places)}"/>')
        parts += [f'<path class="d" d="M{each}h0"/>' for each in places]
    title = f"<title>{markup(label)}</title>"
    return _svg(kind, "0 0 100 100", [title, *parts], label=label)


def _runs(rows: Sequence[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Cut a row of values where one is null."""
    runs: list[list[tuple[Any, ...]]] = [[]]
    for row in rows:
        if None not in row:
            runs[-1].append(row)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _place(value: float, top: float) -> str:
    return f"{WIDTH * min(1.0, max(0.0, value / top)):.2f}"


def _svg(kind: str, box: str, parts: Sequence[str], label: str | None = None) -> Markup:
    said = 'aria-hidden="true"' if label is None else f'role="img" aria-label="{markup(label)}"'
    return Markup(
        f'<svg class="{kind}" viewBox="{box}" preserveAspectRatio="none" focusable="false" {said}>'
        f"{''.join(parts)}</svg>"
    )  # every text in it went through markup()
