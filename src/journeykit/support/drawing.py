"""How a value asks for its chart, without knowing how charts are drawn. Decision 10."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

CHARTS = "journeykit.charts.registry"


class Drawn(Protocol):
    """A chart as those see it who cannot import charts: a plotly figure that can be saved."""

    def save(self, path: str | Path, *, width: int = 1000, height: int | None = None) -> Path:
        """Write the chart to a file."""

    def __getattr__(self, name: str) -> Any:
        """Whatever else a plotly figure has."""


def draw(thing: Any, options: Mapping[str, Any]) -> Drawn:
    """Draw an answer or journeys.

    Parameters
    ----------
    thing : object
        What is drawn.
    options : mapping
        Options of its drawing, and ``theme``.

    Returns
    -------
    Drawn
        A `journeykit.Chart`.
    """
    chart: Drawn = import_module(CHARTS).chart_of(thing, **options)
    return chart
