"""A plotly figure that knows how to be saved and how to be shown in a notebook."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from journeykit.charts import images
from journeykit.errors import ParameterError
from journeykit.support.files import replacing

ENDINGS = (".html", ".pdf", ".png", ".svg")
MIMETYPE = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 560
CONFIG = {"displaylogo": False, "responsive": True, "typesetMath": False}


def plotly_script() -> str:
    """Return plotly.js, to be put into a page with charts once."""
    return str(get_plotlyjs())


class Chart(go.Figure):  # type: ignore[misc, unused-ignore]
    """A plotly figure of an answer, to restyle, show and save.

    Made by ``Answer.chart``. All that plotly can do with a figure it can do with this one: ``update_layout``,
    ``add_hline``, ``show``.

    Examples
    --------
    >>> import journeykit as jk, polars as pl
    >>> log = pl.DataFrame({"user": [1, 1, 2], "time": [0, 5, 9], "event": ["see", "buy", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> chart = journeys.measure(jk.Funnel(["see", "buy"], within="1h")).chart()
    >>> chart.layout.title.text
    'Funnel from see to buy within 1h'
    >>> chart
    Chart('Funnel from see to buy within 1h', 4 traces)
    """

    def save(
        self,
        path: str | Path,
        *,
        width: int = 1000,
        height: int | None = None,
        scale: float = 2.0,
        browser: str | Path | None = None,
    ) -> Path:
        """Write the chart as a page or an image, by the ending of the name.

        Parameters
        ----------
        path : str or pathlib.Path
            Ends in ``.html``, ``.png``, ``.svg`` or ``.pdf``. The file appears whole or not at all.
        width : int, default 1000
            Of an image, in CSS pixels. A page fills its window.
        height : int, optional
            Of an image, in CSS pixels; as high as the chart is by default.
        scale : float, default 2.0
            Pixels of a PNG per CSS pixel.
        browser : str or pathlib.Path, optional
            The program that draws images; a Chromium or Chrome that is found by default.

        Returns
        -------
        pathlib.Path
            Where it was written.

        Raises
        ------
        ParameterError
            If the ending is another one, or a size is not positive.
        BrowserError
            If an image is asked for, and neither a browser nor kaleido is found, or the browser fails.

        Notes
        -----
        A page holds plotly.js (5 MB) and asks no host for anything. Images are drawn by a browser that is started
        without a window and without a network, in 1 to 3 s.
        """
        path = Path(path)
        if path.suffix not in ENDINGS:
            raise ParameterError.choice("the ending of the file name", path.suffix, ENDINGS)
        height = height or self.layout.height or DEFAULT_HEIGHT
        if min(width, height, scale) <= 0:
            raise ParameterError(f"width, height and scale must be positive, not {(width, height, scale)!r}.")
        size = images.Size(int(width), int(height), float(scale))
        draw = None if path.suffix == ".html" else images.drawer(path, browser)
        with replacing(path) as temporary:
            if draw is None:
                temporary.write_text(self.page(), encoding="utf-8")
            else:
                temporary.write_bytes(draw(self, path.suffix[1:], size))
        return path

    @property
    def description(self) -> str:
        """The title and the subtitle in plain text, for those who do not see the picture."""
        title = self.layout.title
        said = (re.sub(r"<[^>]*>", " ", text or "") for text in (title.text, title.subtitle.text))
        return ". ".join(filter(None, (unescape(text) for text in said)))

    def page(self) -> str:
        """Return the chart as a whole page of HTML, plotly.js included."""
        title = re.sub(r"<[^>]*>", " ", self.layout.title.text or "Chart")
        page = self.to_html(include_plotlyjs=True, full_html=True, config=CONFIG)
        return str(page.replace("<head>", f"<head><title>{title}</title>", 1))

    def fragment(self) -> str:
        """Return the chart as a piece of a page that holds `plotly_script` once, before the first chart."""
        return str(self.to_html(include_plotlyjs=False, full_html=False, config=CONFIG))

    def __repr__(self) -> str:
        traces = len(self.data)
        return f"Chart({self.layout.title.text!r}, {traces} trace{'' if traces == 1 else 's'})"

    _ipython_display_ = None

    def _repr_html_(self) -> None:
        """Leave notebooks without a page: they draw the figure themselves, and stay small."""

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, Any]:
        figure = self.to_dict()
        return {MIMETYPE: {**figure, "config": CONFIG}, "text/plain": repr(self)}
