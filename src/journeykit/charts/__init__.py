"""Charts: a figure per answer, in one theme, saved as a page or an image. The only home of plotly.

``registry`` says which function draws which answer; ``theme``, ``text``, ``canvas``, ``parts`` and ``series`` are
tools; each of the others draws one family of figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeykit.support.lazily import attributes

if TYPE_CHECKING:
    from journeykit.charts.canvas import Canvas, Panel
    from journeykit.charts.chart import Chart
    from journeykit.charts.registry import drawing
    from journeykit.charts.theme import DARK, LIGHT, Theme

_HOMES = {
    "Chart": "chart",
    "Canvas": "canvas",
    "Panel": "canvas",
    "DARK": "theme",
    "LIGHT": "theme",
    "Theme": "theme",
    "drawing": "registry",
}

__all__ = ["DARK", "LIGHT", "Canvas", "Chart", "Panel", "Theme", "drawing"]

__getattr__, __dir__ = attributes(__name__, _HOMES)
