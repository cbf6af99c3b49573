"""The transition graph of a report in SVG: states from START to END, moves as arrows as wide as they are frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from journeykit.charts.layered import layered
from journeykit.charts.text import percent
from journeykit.statistics.transitions.graph import END, START
from journeykit.support.escaping import markup, visible

STATES, EDGES = 11, 32
BOX_WIDTH, BOX_HEIGHT, MARGIN = 116.0, 30.0, 22.0
WIDTH, HEIGHT = 1080.0, 520.0
ABOVE, BELOW = 38.0, 46.0
"""Room for moves of a state to itself, and for moves back."""
LONGEST = 15
LABEL_WIDTH, LABEL_HEIGHT = 19.0, 7.0
"""Half the room of a number beside an arrow."""
ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="11" markerHeight="11" '
    'markerUnits="userSpaceOnUse" orient="auto"><path class="h" d="M0 0L8 4L0 8z"/></marker></defs>'
)
Place = tuple[float, float]


def graph_edges(edges: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    """Choose what is drawn: the most frequent moves between the most visited states.

    Parameters
    ----------
    edges : polars.DataFrame
        ``source``, ``target``, ``transitions``, ``probability``; null where withheld.
    states : polars.DataFrame
        ``state``, ``visits``, the most visited first.

    Returns
    -------
    polars.DataFrame
        At most 32 of the edges, the most frequent first.
    """
    kept = [START, *states["state"].head(STATES).to_list(), END]
    between = edges.filter(
        pl.col("source").is_in(kept), pl.col("target").is_in(kept), pl.col("transitions") > 0,
        pl.col("probability").is_not_null(),
    )  # fmt: skip
    return between.sort("transitions", "source", "target", descending=[True, False, False]).head(EDGES)


def network(edges: pl.DataFrame, label: str) -> Markup:
    """Draw a graph.

    Parameters
    ----------
    edges : polars.DataFrame
        As `graph_edges` chooses them.
    label : str
        What the drawing shows, in words.

    Returns
    -------
    Markup
        Of fixed proportions; nothing without edges.
    """
    if edges.is_empty():
        return Markup()
    names = list(dict.fromkeys([START, *edges["source"], *edges["target"], END]))
    names = [name for name in names if name in {*edges["source"], *edges["target"]}]
    number = {name: i for i, name in enumerate(names)}
    xs, ys = layered(
        len(names), [number[each] for each in edges["source"]], [number[each] for each in edges["target"]],
        edges["transitions"].to_list(), number.get(START), number.get(END),
    )  # fmt: skip
    places = {
        name: (
            MARGIN + BOX_WIDTH / 2 + x * (WIDTH - 2 * MARGIN - BOX_WIDTH),
            2 * MARGIN + BOX_HEIGHT / 2 + y * (HEIGHT - 3 * MARGIN - BOX_HEIGHT),
        )
        for name, x, y in zip(names, xs.tolist(), ys.tolist(), strict=True)
    }
    most = max(edges["transitions"].to_list())
    rows = list(edges.select("source", "target", "transitions", "probability").iter_rows())
    arrows = [_arrow(places, row, most) for row in reversed(rows)]
    boxes = [_box(name, places[name]) for name in names]
    heights = [y for _, y in places.values()]
    top, low = min(heights) - BOX_HEIGHT / 2 - ABOVE, max(heights) + BOX_HEIGHT / 2 + BELOW
    said = markup(label)
    drawn = "".join([*arrows, *boxes, *_labels(places, rows)])
    box = f"0 {top:.0f} {WIDTH:g} {low - top:.0f}"
    return Markup(
        f'<svg class="network" viewBox="{box}" role="img" aria-label="{said}" focusable="false">'
        f"<title>{said}</title>{ARROW}{drawn}</svg>"
    )  # every text in it went through markup()


def shortened(text: str, longest: int = LONGEST) -> str:
    """Leave out the middle of a long name.

    Examples
    --------
    >>> shortened("a_very_long_name_of_an_event")
    'a_very_l…_event'
    """
    shown = visible(text)
    return shown if len(shown) <= longest else f"{shown[: longest - 7]}\u2026{shown[-6:]}"


def _arrow(places: dict[str, Place], row: Sequence[Any], most: int) -> str:
    source, target, transitions, probability = row
    width = 1 + 7 * (transitions / most) ** 0.5
    told = f"{source} \u2192 {target}: {transitions:,}, {percent(probability)}"
    return (
        f'<path class="e" d="{_curve(_controls(places[source], places[target]))}" stroke-width="{width:.1f}" '
        f'marker-end="url(#arrow)"><title>{markup(told)}</title></path>'
    )


def _controls(one: Place, other: Place) -> tuple[Place, Place, Place, Place]:
    """Return the ends and the control points of a curve: forward moves bend little, backward ones run below.

    A move of a state to itself is led over its box.
    """
    (x1, y1), (x2, y2) = one, other
    half, tall = BOX_WIDTH / 2, BOX_HEIGHT / 2
    if one == other:
        return (
            (x1 - 18, y1 - tall),
            (x1 - 28, y1 - tall - 34),
            (x1 + 28, y1 - tall - 34),
            (x1 + 18, y1 - tall),
        )
    if x2 > x1 + 1:
        reach = (x2 - x1 - BOX_WIDTH) / 2
        return (x1 + half, y1), (x1 + half + reach, y1), (x2 - half - reach, y2), (x2 - half, y2)
    if abs(x2 - x1) <= 1:
        side = 1 if y2 > y1 else -1
        x, bend = x1 + 30 * side, x1 + 48 * side
        return (
            (x, y1 + tall * side),
            (bend, (2 * y1 + y2) / 3),
            (bend, (y1 + 2 * y2) / 3),
            (x, y2 - tall * side),
        )
    low = max(y1, y2) + 54
    return (x1, y1 + tall), (x1, low), (x2, low), (x2, y2 + tall)


def _curve(controls: tuple[Place, Place, Place, Place]) -> str:
    start, *rest = (f"{x:.0f} {y:.0f}" for x, y in controls)
    return f"M{start}C{' '.join(rest)}"


def _point(controls: tuple[Place, Place, Place, Place], along: float) -> Place:
    """Return a point of a Bezier curve."""
    weights = [(1 - along) ** 3, 3 * along * (1 - along) ** 2, 3 * along**2 * (1 - along), along**3]
    x, y = (sum(w * point[axis] for w, point in zip(weights, controls, strict=True)) for axis in (0, 1))
    return x, y


def _labels(places: dict[str, Place], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Write probabilities beside their arrows where there is room, those of the most frequent moves first."""
    taken = [(x, y, BOX_WIDTH / 2, BOX_HEIGHT / 2) for x, y in places.values()]
    written = []
    for source, target, _, probability in rows:
        controls = _controls(places[source], places[target])
        for along in (0.35, 0.5, 0.22, 0.65):
            x, y = _point(controls, along)
            free = all(
                abs(x - other_x) > width + LABEL_WIDTH or abs(y - other_y) > height + LABEL_HEIGHT
                for other_x, other_y, width, height in taken
            )
            if free:
                taken.append((x, y, LABEL_WIDTH, LABEL_HEIGHT))
                written.append(
                    f'<text class="p" x="{x:.0f}" y="{y + 4:.0f}">{markup(percent(probability))}</text>'
                )
                break
    return written


def _box(name: str, place: Place) -> str:
    x, y = place
    kind = "n v" if name in (START, END) else "n"
    shown = {START: "START", END: "END"}.get(name, shortened(name))
    return (
        f'<g class="{kind}"><rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH:g}" '
        f'height="{BOX_HEIGHT:g}" rx="6"/><text x="{x:.0f}" y="{y + 4:.0f}">{markup(shown)}</text>'
        f"<title>{markup(name)}</title></g>"
    )
