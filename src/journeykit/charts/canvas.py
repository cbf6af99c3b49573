"""What every chart is drawn on: title, subtitle, room for both, and panels below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from journeykit.charts.chart import Chart
from journeykit.charts.text import SUBTITLE, TITLE, escaped, lines, paragraph
from journeykit.charts.theme import Theme

LINE, TITLE_LINE = 17, 22
"""Heights of lines of the subtitle and of the title, in pixels."""
BOTTOM, GAP, LEGEND = 56, 74, 30
LEGEND_WIDTH = 520
"""What a legend has in a chart of 600 pixels."""
Trace = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """One of the drawings on a canvas.

    Attributes
    ----------
    traces : sequence of mapping
        As plotly takes them, without axes.
    height : int
        Of its drawing, in pixels.
    title : str
        Plain text above it; empty for none.
    xaxis, yaxis : mapping
        What is special of its axes.
    annotations : sequence of mapping
        In the coordinates of its axes, unless they say otherwise.
    domain : bool
        Whether its traces have a domain and no axes, as sankeys.
    """

    traces: Sequence[Trace]
    height: int = 360
    title: str = ""
    xaxis: Mapping[str, Any] = field(default_factory=dict)
    yaxis: Mapping[str, Any] = field(default_factory=dict)
    annotations: Sequence[Mapping[str, Any]] = ()
    domain: bool = False


@dataclass(frozen=True)
class Canvas:
    """What a drawing function draws on.

    Attributes
    ----------
    theme : Theme
        Its colours.
    """

    theme: Theme

    def chart(
        self,
        title: str,
        notes: Sequence[str],
        panels: Sequence[Panel],
        *,
        legend: bool = False,
        key: Mapping[str, str] | None = None,
        bottom: int = BOTTOM,
        gap: int = GAP,
        **layout: Any,
    ) -> Chart:
        """Put panels below each other under a title.

        Parameters
        ----------
        title : str
            What is shown, in plain text.
        notes : sequence of str
            Sentences of the subtitle: of whom, the denominator, what is left out. Plain text; empty ones are left out.
        panels : sequence of Panel
            At least one.
        legend : bool
            Whether there is a legend, under the subtitle.
        key : mapping of str to str, optional
            What colours mean, by their names, where there can be no legend.
        bottom : int
            Room under the last panel, in pixels.
        gap : int
            Room between panels, in pixels: for the axis of the upper one.
        **layout
            More of plotly's layout.

        Returns
        -------
        Chart
            As wide as its place, as high as it needs.
        """
        names = (
            {each["name"] for panel in panels for each in panel.traces if each.get("name")} if legend else ()
        )
        top = self._top(title, notes, list(names))
        above = [0 if i == 0 and not panel.title else 26 for i, panel in enumerate(panels)]
        inner = sum(panel.height for panel in panels) + sum(above) + gap * (len(panels) - 1)
        traces: list[dict[str, Any]] = []
        own: dict[str, Any] = {"annotations": []}
        if key:
            own["annotations"].append(_key(key))
        used = 0
        for i, panel in enumerate(panels):
            used += above[i]
            domain = (1 - (used + panel.height) / inner, 1 - used / inner)
            if panel.title:
                own["annotations"].append(self._heading(panel.title, domain[1]))
            self._place(panel, i, domain, traces, own)
            used += panel.height + gap
        return Chart(
            data=traces,
            layout={
                "template": self.theme.template,
                "title": self._title(title, notes),
                "height": inner + top + bottom,
                "margin": {"l": 16, "r": 24, "t": top, "b": bottom},
                "showlegend": legend,
                **own,
                **layout,
            },
        )

    def _top(self, title: str, notes: Sequence[str], names: Sequence[str]) -> int:
        """Return how much room the title, the subtitle and the legend need."""
        subtitle = lines(" ".join(filter(None, notes)), SUBTITLE)
        rows = -(-sum(8 * len(name) + 52 for name in names) // LEGEND_WIDTH)
        return 34 + TITLE_LINE * len(lines(title, TITLE)) + LINE * len(subtitle) + LEGEND * rows

    def _title(self, title: str, notes: Sequence[str]) -> dict[str, Any]:
        return {
            "text": "<br>".join(escaped(line) for line in lines(title, TITLE)),
            "subtitle": {"text": paragraph(notes, SUBTITLE)},
            "pad": {"l": 16, "t": 14 + TITLE_LINE * (len(lines(title, TITLE)) - 1)},
        }

    def _heading(self, title: str, at: float) -> dict[str, Any]:
        return {
            "text": f"<b>{escaped(title)}</b>", "x": 0, "y": at, "xref": "paper", "yref": "paper", "xanchor": "left",
            "yanchor": "bottom", "showarrow": False, "yshift": 6, "font": {"color": self.theme.ink},
        }  # fmt: skip

    def _place(
        self,
        panel: Panel,
        number: int,
        domain: tuple[float, float],
        traces: list[dict[str, Any]],
        layout: dict[str, Any],
    ) -> None:
        """Give a panel its axes or its domain."""
        if panel.domain:
            traces += [{**trace, "domain": {"x": [0, 1], "y": list(domain)}} for trace in panel.traces]
            return
        end = "" if number == 0 else str(number + 1)
        traces += [{**trace, "xaxis": f"x{end}", "yaxis": f"y{end}"} for trace in panel.traces]
        layout[f"xaxis{end}"] = {"anchor": f"y{end}", **panel.xaxis}
        layout[f"yaxis{end}"] = {"anchor": f"x{end}", "domain": list(domain), **panel.yaxis}
        layout["annotations"] += [
            {"xref": f"x{end}", "yref": f"y{end}", "showarrow": False, **each} for each in panel.annotations
        ]

    def empty(self, title: str, notes: Sequence[str], why: str = "There is nothing to draw.") -> Chart:
        """Return a chart that says why nothing is shown."""
        font = {"color": self.theme.muted}
        at = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "xanchor": "center"}
        nothing = {**at, "text": escaped(why), "font": font}
        hidden = {"visible": False}
        panel = Panel([], 120, xaxis=hidden, yaxis=hidden, annotations=[nothing])
        return self.chart(title, notes, [panel])


def _key(colours: Mapping[str, str]) -> dict[str, Any]:
    """Say under the drawing what colours mean."""
    marks = (
        f'<span style="color:{colour}">&#9632;</span> {escaped(name)}' for name, colour in colours.items()
    )
    return {
        "text": "   ".join(marks), "x": 0, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "left",
        "yanchor": "top", "yshift": -14, "showarrow": False,
    }  # fmt: skip
