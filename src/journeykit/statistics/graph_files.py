"""Graphs written for other tools: GraphML, DOT, Mermaid, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeykit.statistics.base import Answer
from journeykit.support.escaping import dot, mermaid, visible
from journeykit.support.files import replacing

if TYPE_CHECKING:
    import networkx as nx


class GraphAnswer(Answer):
    """An answer that is a graph: its edges are the frame, and it can be written as one."""

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return a directed graph with what is known of states and edges as attributes."""
        raise NotImplementedError

    def write(self, target: Any, **options: Any) -> Path | None:
        """Write the graph, or its edges as a table.

        Parameters
        ----------
        target : str, path or connection
            Ends in ``.graphml``, ``.dot``, ``.mmd`` (Mermaid) or ``.json`` (nodes and edges) for the graph. Anything
            else is as of ``Answer.write``, and holds one row per edge.
        **options
            As of ``Answer.write``.

        Returns
        -------
        pathlib.Path or None
            The file; None for a table of a database.

        Raises
        ------
        ParameterError
            If the graph has segments or periods, or the target is none of these.

        Notes
        -----
        Names are data in all of them, whatever they hold. GraphML cannot hold every character: control characters are
        shown by their escapes there, and in the labels of DOT and Mermaid. What is unknown is left out; JSON has null
        for it and for what is infinite.
        """
        suffix = Path(target).suffix if isinstance(target, str | Path) and "://" not in str(target) else ""
        if suffix not in WRITTEN or options:
            return super().write(target, **options)
        text = WRITTEN[suffix](self.to_networkx())
        with replacing(Path(target)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(target)


def graphml(graph: nx.DiGraph[str]) -> str:
    """Write a graph as GraphML; a state's id is its name."""
    import networkx as nx

    names = _ids(graph)
    made: nx.DiGraph[str] = nx.DiGraph()
    for node, attributes in graph.nodes(data=True):
        made.add_node(names[node], **_known(attributes))
    for source, target, attributes in graph.edges(data=True):
        made.add_edge(names[source], names[target], **_known(attributes))
    return "\n".join(nx.generate_graphml(made))


def _ids(graph: nx.DiGraph[str]) -> dict[str, str]:
    """Give every state the name that XML can hold; of two that would be alike, the second has a number."""
    found: dict[str, str] = {}
    for node in graph:
        name = shown = visible(node)
        number = 1
        while shown in found.values():
            number += 1
            shown = f"{name} ({number})"
        found[node] = shown
    return found


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: visible(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


def dot_text(graph: nx.DiGraph[str]) -> str:
    """Write a graph in the language of Graphviz; edges say how often they are taken, and how likely."""
    lines = ["digraph journeys {", "  rankdir=LR;"]
    numbers = {node: f"n{i}" for i, node in enumerate(graph)}
    lines += [f"  {number} [label={dot(node)}];" for node, number in numbers.items()]
    for source, target, attributes in graph.edges(data=True):
        lines.append(f"  {numbers[source]} -> {numbers[target]} [label={dot(_said(attributes))}];")
    return "\n".join([*lines, "}", ""])


def mermaid_text(graph: nx.DiGraph[str]) -> str:
    """Write a graph as a flowchart of Mermaid; edges say how often they are taken, and how likely."""
    numbers = {node: f"n{i}" for i, node in enumerate(graph)}
    lines = ["flowchart LR", *(f"  {number}[{mermaid(node)}]" for node, number in numbers.items())]
    for source, target, attributes in graph.edges(data=True):
        lines.append(f"  {numbers[source]} -->|{mermaid(_said(attributes))}| {numbers[target]}")
    return "\n".join([*lines, ""])


def _said(attributes: Mapping[str, Any]) -> str:
    """Write the number of an edge, and its probability."""
    number = attributes.get("transitions", attributes.get("count", 0))
    probability = attributes.get("probability")
    return f"{number:,.0f}" if probability is None else f"{number:,.0f} ({100 * probability:.1f} %)"


def json_text(graph: nx.DiGraph[str]) -> str:
    """Write a graph as ``{"nodes": [{"id", ...}], "edges": [{"source", "target", ...}]}``."""
    nodes = [{"id": node, **_finite(attributes)} for node, attributes in graph.nodes(data=True)]
    edges = [
        {"source": source, "target": target, **_finite(attributes)}
        for source, target, attributes in graph.edges(data=True)
    ]
    text = json.dumps({"directed": True, "nodes": nodes, "edges": edges}, allow_nan=False, indent=1)
    return text.replace("<", "\\u003c") + "\n"


def _finite(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in attributes.items()
    }


WRITTEN: Mapping[str, Callable[[Any], str]] = {
    ".graphml": graphml,
    ".dot": dot_text,
    ".mmd": mermaid_text,
    ".json": json_text,
}
"""Endings of files, and what writes them."""
