"""The one look of all charts, light and dark. It imports no plotly, so that a report may take its colours from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from journeykit.errors import ParameterError

FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Roboto, Helvetica, Arial, sans-serif"
SIZE = 13

Scale = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Theme:
    """Colours of charts.

    Attributes
    ----------
    name : str
        What it is called.
    paper, ink, muted, grid : str
        The background, the text, text and lines of less weight, and the lines of the grid.
    rest : str
        What is not looked at: others, the end of a path.
    colours : tuple of str
        Of things beside each other, told apart by people who see few colours. After Okabe and Ito.
    sequential, diverging : tuple of (float, str)
        From little to much, and from less over equal to more: the first and the last are told apart by everybody.

    Notes
    -----
    Texts have a contrast of at least 4.5 to the background, marks of at least 3 (WCAG 2.2, AA).
    """

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    rest: str
    colours: tuple[str, ...]
    sequential: Scale
    diverging: Scale

    def colour(self, place: int) -> str:
        """Return the colour of the thing at a place; they repeat."""
        return self.colours[place % len(self.colours)]

    def faint(self, colour: str, opacity: float = 0.22) -> str:
        """Return a colour that lets what is behind it through."""
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"

    def between(self, share: float, scale: Scale | None = None) -> str:
        """Return the colour at a share of a scale, from 0 to 1."""
        scale = scale or self.sequential
        share = min(1.0, max(0.0, share))
        low, high = next((a, b) for a, b in pairwise(scale) if share <= b[0] or b is scale[-1])
        part = (share - low[0]) / (high[0] - low[0])
        mixed = (
            round(int(low[1][i : i + 2], 16) * (1 - part) + int(high[1][i : i + 2], 16) * part)
            for i in (1, 3, 5)
        )
        return "#" + "".join(f"{each:02x}" for each in mixed)

    @property
    def template(self) -> dict[str, Any]:
        """The layout that every chart starts from, as plotly takes it."""
        axis = {
            "gridcolor": self.grid, "linecolor": self.muted, "zerolinecolor": self.grid, "ticks": "outside",
            "tickcolor": self.grid, "automargin": True, "title": {"standoff": 12, "font": {"size": SIZE}},
            "tickfont": {"size": SIZE - 1},
        }  # fmt: skip
        layout = {
            "paper_bgcolor": self.paper, "plot_bgcolor": self.paper, "colorway": list(self.colours),
            "font": {"family": FONT, "size": SIZE, "color": self.ink}, "xaxis": axis, "yaxis": axis,
            "title": {
                "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 16, "t": 14}, "y": 1,
                "yref": "container", "yanchor": "top", "font": {"size": SIZE + 4},
                "subtitle": {"font": {"size": SIZE - 1, "color": self.muted}},
            },
            "hoverlabel": {
                "bgcolor": self.paper, "bordercolor": self.muted, "align": "left",
                "font": {"color": self.ink, "size": SIZE}, "namelength": -1,
            },
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
            "hovermode": "closest", "colorscale": {
                "sequential": [list(each) for each in self.sequential],
                "diverging": [list(each) for each in self.diverging],
            },
        }  # fmt: skip
        return {"layout": layout}


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1b1f24",
    muted="#57606a",
    grid="#e4e8ec",
    rest="#a3abb4",
    colours=("#0072b2", "#d55e00", "#00805c", "#a8568a", "#9a6f00", "#2b8cbe", "#5b4a9e", "#4d5560"),
    sequential=((0.0, "#eef4fa"), (0.25, "#b5d3e8"), (0.5, "#6aa9d0"), (0.75, "#2476ae"), (1.0, "#08376b")),
    diverging=((0.0, "#b34b00"), (0.25, "#eda45f"), (0.5, "#f1f1f1"), (0.75, "#6aa9d0"), (1.0, "#08519c")),
)
DARK = Theme(
    name="dark",
    paper="#14181d",
    ink="#e8ecf0",
    muted="#a7b0ba",
    grid="#2d343c",
    rest="#69737e",
    colours=("#56b4e9", "#e98b3a", "#2fc69a", "#d48fbe", "#e3c13f", "#8fb8ff", "#b39ddb", "#b6bfc9"),
    sequential=((0.0, "#1c2731"), (0.25, "#1f4a6b"), (0.5, "#2b7cb3"), (0.75, "#65b5e6"), (1.0, "#d3ecfb")),
    diverging=((0.0, "#ff9a4d"), (0.25, "#a85a1f"), (0.5, "#2b3138"), (0.75, "#2b7cb3"), (1.0, "#8fd0fa")),
)
THEMES: Mapping[str, Theme] = {"light": LIGHT, "dark": DARK}


def theme_of(theme: str | Theme) -> Theme:
    """Return a theme by its name.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise ParameterError.choice("theme", theme, THEMES)
    return THEMES[theme]
