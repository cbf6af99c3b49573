"""Chains as graphs: every number as an attribute, and what networkx makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, UndefinedError

if TYPE_CHECKING:
    import networkx as nx

    from journeykit.models.chains.markov import MarkovChain

CENTRALITIES = ("betweenness", "closeness", "pagerank")


def graph_of(chain: MarkovChain) -> nx.DiGraph[str]:
    """Return a directed graph with what is defined of the chain as attributes."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    fitted, model = chain.fitted, chain.fitted.chain
    numbers = _node_numbers(chain)
    for i, name in enumerate(chain.names):
        own = {key: float(values[i]) for key, values in numbers.items()}
        graph.add_node(name, **{key: value for key, value in own.items() if not np.isnan(value)})
    visits = numbers.get("visits", np.full(len(chain.names), np.nan))
    chance = numbers.get("conversion", np.full(len(chain.names), np.nan))
    for source, target, count, p in zip(
        model.source.tolist(), model.target.tolist(), fitted.edge_count.tolist(), model.probability.tolist(),
        strict=True,
    ):  # fmt: skip
        if p > 0:
            own = {"flow": visits[source] * p, "leverage": visits[source] * chance[target]}
            known = {key: float(value) for key, value in own.items() if not np.isnan(value)}
            graph.add_edge(
                chain.names[source], chain.names[target], count=count, probability=p,
                cost=float(max(0.0, -np.log(p))), **known,
            )  # fmt: skip
    return graph


def _node_numbers(chain: MarkovChain) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    model, ends = chain.fitted.chain, len(chain.ends)
    numbers = {"share": chain.stationary()["share"].fill_null(np.nan).to_numpy()}
    if chain.goals:
        marks = [float(name in chain.goals) for name in chain.ends]
        numbers["conversion"] = np.append(chain.converting(model), marks)
    if chain.ends:
        numbers["steps"] = np.append(model.steps, np.zeros(ends))
    if chain.start is not None and chain.ends:
        first = np.zeros(len(chain.states))
        first[chain.states.index(chain.start)] = 1.0
        numbers["visits"] = np.append(model.visits_from(first), np.full(ends, np.nan))
    return numbers


def centrality(chain: MarkovChain, kind: str) -> pl.DataFrame:
    """Return how central each state is."""
    import networkx as nx

    if kind not in CENTRALITIES:
        raise ParameterError.choice("kind", kind, CENTRALITIES)
    graph = graph_of(chain)
    if kind == "betweenness":
        found = nx.betweenness_centrality(graph, weight="cost")
    elif kind == "closeness":
        found = nx.closeness_centrality(graph, distance="cost")
    else:
        found = nx.pagerank(graph, weight="count")
    frame = pl.DataFrame(
        {"state": list(found), "centrality": list(found.values())},
        schema={"state": pl.String, "centrality": pl.Float64},
    )
    return frame.sort("centrality", "state", descending=[True, False])


def communities(chain: MarkovChain, rng: int) -> pl.DataFrame:
    """Return groups of states with many moves among them."""
    import networkx as nx

    found = nx.community.louvain_communities(graph_of(chain), weight="count", seed=rng)
    ranked = sorted((sorted(each) for each in found), key=lambda each: (-len(each), each))
    rows = [(name, number) for number, each in enumerate(ranked) for name in each]
    return pl.DataFrame(rows, schema={"state": pl.String, "community": pl.Int64}, orient="row")


def bottleneck(chain: MarkovChain, target: str) -> pl.DataFrame:
    """Return the minimum cut between the start and a state."""
    import networkx as nx

    if chain.start is None or not chain.ends:
        raise ParameterError("a bottleneck needs a chain with a start and ends: fit it with a goal.")
    graph = graph_of(chain)
    if not nx.has_path(graph, chain.start, target):
        raise UndefinedError(f"no path leads from {chain.start!r} to {target!r}: there is nothing to cut.")
    _, (near, _) = nx.minimum_cut(graph, chain.start, target, capacity="flow")
    rows = [(a, b, data["flow"]) for a, b, data in graph.edges(data=True) if a in near and b not in near]
    frame = pl.DataFrame(
        rows, schema={"source": pl.String, "target": pl.String, "flow": pl.Float64}, orient="row"
    )
    return frame.sort("flow", "source", "target", descending=[True, False, False])
