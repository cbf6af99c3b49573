"""What a chain is made of: from paths, counts, probabilities or answers to numbered moves. DEFINITIONS D10.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import MissingColumnError, ParameterError, UndefinedError, UnknownNameError, listed
from journeykit.mathematics.intervals import GROUPS
from journeykit.models.chains.fitted import Fit
from journeykit.models.chains.path_counts import RENAME, context_moves, listed_paths
from journeykit.protocol import GROUP
from journeykit.statistics.transitions.graph import TransitionGraph

START, CONVERT, ABANDON, END = "<START>", "<CONVERT>", "<ABANDON>", "<END>"
ROUNDING = 1e-9
LARGEST_SMOOTHED = 2_000
Goals = str | Sequence[str] | Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Parts:
    """The parts of a `MarkovChain`, under the names of its attributes."""

    states: tuple[str, ...]
    ends: tuple[str, ...]
    goals: tuple[str, ...]
    start: str | None
    fitted: Fit


def named_goals(goal: Goals) -> dict[str, tuple[str, ...]]:
    """Return the ends that goals stand for, with the states of each.

    Parameters
    ----------
    goal : str, sequence of str or mapping of str to these
        Without names, all of them are ``<CONVERT>``.

    Raises
    ------
    ParameterError
        If there is none, one is not a text, or a state is in two of them.
    """
    by_name = goal if isinstance(goal, Mapping) else {CONVERT: goal}
    named: dict[str, tuple[str, ...]] = {}
    for name, given in by_name.items():
        states = (given,) if isinstance(given, str) else given
        if not isinstance(states, Sequence) or not states or not all(isinstance(one, str) for one in states):
            raise ParameterError(f"goal cannot be {given!r}. Give a name or a list of names.")
        named[name] = tuple(dict.fromkeys(states))
    if not named:
        raise ParameterError("goal is empty. Give a name, a list of names, or several by name.")
    every = [state for states in named.values() for state in states]
    if len(set(every)) < len(every):
        twice = next(state for state in every if every.count(state) > 1)
        raise ParameterError(f"{twice!r} is in two goals. Give each state to one of them.")
    return named


def numbered(
    moves: pl.DataFrame,
    ends: Sequence[str],
    goals: Sequence[str],
    start: str | None,
    *,
    states: Sequence[str] | None = None,
    users: Mapping[str, int] | None = None,
    groups: int = 0,
    level: float = 0.95,
    smoothing: float = 0.0,
) -> Parts:
    """Number the states of named moves, which are sorted unless they are given.

    Parameters
    ----------
    moves : polars.DataFrame
        ``group``, ``source``, ``target``, ``end`` (whether the target is one), ``count``.
    """
    if states is None:
        seen = pl.concat([moves["source"], moves.filter(~pl.col("end"))["target"]]).unique()
        states = sorted(seen.to_list(), key=lambda name: (name != start, name))
    if smoothing:
        moves = _with_possible(moves, states, ends, start)
    places = {name: i for i, name in enumerate(states)}
    final = {name: len(states) + i for i, name in enumerate(ends)}
    clash = sorted(set(places) & set(final))
    if clash:
        raise ParameterError(f"{listed(clash)} is a state and an end. Give the goal another name.")
    source = [places[name] for name in moves["source"]]
    target = [
        (final if end else places)[name] for name, end in zip(moves["target"], moves["end"], strict=True)
    ]
    known = users or {}
    fitted = Fit(
        np.array(source, np.int64), np.array(target, np.int64), moves[GROUP].to_numpy().astype(np.int64),
        moves["count"].to_numpy().astype(np.float64), len(states), len(ends), groups,
        np.array([known.get(name, 0) for name in states], np.float64), level, smoothing,
    )  # fmt: skip
    return Parts(tuple(states), tuple(ends), tuple(goals), start, fitted)


def _with_possible(
    moves: pl.DataFrame, states: Sequence[str], ends: Sequence[str], start: str | None
) -> pl.DataFrame:
    """Add every possible move without a count: into START there is none, and a path is never empty. D10.1."""
    if len(states) > LARGEST_SMOOTHED:
        raise ParameterError(
            f"smoothing makes every pair of states an edge, and {len(states):,} states have too many: it takes at most "
            f"{LARGEST_SMOOTHED:,}. Leave smoothing out."
        )
    inner = [pair for pair in product(states, states) if pair[1] != start]
    outer = [(a, b) for a, b in product(states, ends) if not (a == start and b == ABANDON)]
    pairs = {
        GROUP: [0] * (len(inner) + len(outer)),
        "source": [pair[0] for pair in inner + outer],
        "target": [pair[1] for pair in inner + outer],
        "end": [False] * len(inner) + [True] * len(outer),
        "count": [0.0] * (len(inner) + len(outer)),
    }
    columns = [GROUP, "source", "target", "end", "count"]
    return pl.concat([moves.select(columns), pl.DataFrame(pairs).select(columns)], how="vertical_relaxed")


def fitted_parts(
    data: Any,
    goal: Goals | None,
    counts: Sequence[float] | None,
    order: int,
    collapse: bool,
    smoothing: float,
    level: float,
) -> Parts:
    """Fit a chain to paths or to an answer."""
    if not isinstance(order, int) or order < 1:
        raise ParameterError(f"order must be a whole number from 1 on, not {order!r}.")
    check_smoothing(smoothing, order)
    if isinstance(data, TransitionGraph):
        return _of_graph(data, goal, smoothing)
    if hasattr(data, "model") and hasattr(data, "states"):
        model = data.model()
        return Parts(model.states, model.ends, model.goals, model.start, model.fitted)
    named = None if goal is None else named_goals(goal)
    ends = None if named is None else {state: end for end, own in named.items() for state in own}
    paths = listed_paths(data, counts)
    moves = context_moves(paths, order, ends, None if named is None else ABANDON, collapse=collapse)
    groups = (paths[GROUP] % GROUPS).n_unique()
    moves = _tuples_named(moves, order)
    if named is None:
        return numbered(moves, (), (), None, groups=groups, level=level, smoothing=smoothing)
    met = set(moves.filter("end")["target"])
    _refuse_unreached(named, met, pl.concat([moves["source"], moves["target"]]).unique().to_list())
    all_ends = [*named, ABANDON]
    return numbered(moves, all_ends, list(named), START, groups=groups, level=level, smoothing=smoothing)


def _refuse_unreached(named: Mapping[str, Sequence[str]], met: set[str], states: Sequence[str]) -> None:
    if not met & set(named):
        unknown = [state for own in named.values() for state in own]
        raise UnknownNameError("state", unknown, sorted(set(states) - {START, ABANDON}), advice="")


def _tuples_named(moves: pl.DataFrame, order: int) -> pl.DataFrame:
    """Name the states of order k; the target of a move is the tuple that it leads to. D4.3."""
    sources = [f"source_{i}" for i in range(1, order + 1)]
    source = pl.concat_str(sources, separator=" > ", ignore_nulls=True)
    nothing = pl.all_horizontal(pl.col(sources).is_null())
    onward = pl.concat_str([*sources[1:], "target"], separator=" > ", ignore_nulls=True)
    named = moves.select(
        GROUP,
        *sources,
        pl.when(nothing).then(pl.lit(START)).otherwise(source).alias("source"),
        pl.when("end").then("target").otherwise(onward).alias("target"),
        "end",
        "count",
    )
    tuples = named.select("source", *sources).unique()
    twice = tuples.filter(tuples["source"].is_duplicated())["source"].sort()
    if len(twice):
        raise ParameterError(
            f"order={order} cannot tell {len(twice):,} states apart, such as {twice[0]!r}: names in them hold "
            f"' > '. Rename these events, or pass order=1."
        )
    return named.drop(sources)


def _of_graph(graph: TransitionGraph, goal: Goals | None, smoothing: float) -> Parts:
    """Take the moves of an answer; what comes after a goal is left out, though paths go on there."""
    if graph.context.labels.width:
        raise ParameterError(
            f"a chain takes one segment, and this answer has {graph.context.labels.height}. "
            f"Filter the journeys first, or measure without by= and every=."
        )
    edges = graph.edges.select(
        pl.col(GROUP), "source", "target", (pl.col("target") == END).alias("end"), count="transitions"
    )
    groups = edges[GROUP].n_unique()
    users = dict(graph.states.select("state", "users").iter_rows()) | {START: graph.context.n_users}
    level = graph.context.level
    if goal is None:
        return numbered(edges, [END], [], START, groups=groups, users=users, level=level, smoothing=smoothing)
    named = named_goals(goal)
    ends = {state: end for end, own in named.items() for state in own} | {END: ABANDON}
    known = set(edges["target"].unique()) - {END}
    unknown = [state for own in named.values() for state in own if state not in known]
    if unknown:
        raise UnknownNameError("state", unknown, sorted(known), advice="")
    edges = edges.filter(~pl.col("source").is_in(list(ends))).with_columns(
        pl.col("target").is_in(list(ends)).alias("end"), pl.col("target").replace(ends)
    )
    return numbered(
        edges, [*named, ABANDON], list(named), START, groups=groups, users=users, level=level,
        smoothing=smoothing,
    )  # fmt: skip


def counted_parts(
    counts: pl.DataFrame | npt.ArrayLike,
    states: Sequence[str] | None,
    absorbing: Sequence[str],
    start: str | None,
    goals: Sequence[str] | None,
    smoothing: float,
    level: float,
) -> Parts:
    """Take counted moves, as a table of edges or as a square array."""
    check_smoothing(smoothing, 1)
    moves = _edge_table(counts) if isinstance(counts, pl.DataFrame) else _square(counts, states)
    names = list(states) if states is not None else sorted({*moves["source"], *moves["target"]})
    foreign = sorted({*moves["source"], *moves["target"]} - {*names})
    if foreign:
        raise UnknownNameError("state", foreign, names, advice="")
    loops = moves.filter(pl.col("count") > 0).group_by("source").agg(pl.col("target").unique())
    alone = {source for source, targets in loops.iter_rows() if targets == [source]}
    asked = {"absorbing": absorbing, "goals": goals or (), "start": () if start is None else (start,)}
    for given in asked.values():
        unknown = [name for name in given if name not in names]
        if unknown:
            raise UnknownNameError("state", unknown, names, advice="")
    ends = [name for name in names if name in {*alone, *absorbing}]
    inner = [name for name in names if name not in ends]
    moves = moves.filter(~pl.col("source").is_in(ends)).with_columns(end=pl.col("target").is_in(ends))
    left = set(moves.filter(pl.col("count") > 0)["source"])
    stuck = [name for name in inner if name not in left] if not smoothing else []
    if stuck:
        raise UndefinedError(
            f"nothing was seen to leave {listed(stuck)}. Name what walks end in with absorbing=, or leave it out."
        )
    if goals is not None and set(goals) - set(ends):
        raise ParameterError(
            f"goals must be absorbing states, and {sorted(set(goals) - set(ends))[0]!r} is not."
        )
    wanted = ends if goals is None else list(goals)
    groups = moves[GROUP].n_unique()
    return numbered(moves, ends, wanted, start, states=inner, groups=groups, level=level, smoothing=smoothing)


def _edge_table(counts: pl.DataFrame) -> pl.DataFrame:
    for column in ("source", "target", "count"):
        if column not in counts.columns:
            raise MissingColumnError(column, column, counts.columns, RENAME)
    group = pl.col(GROUP) if GROUP in counts.columns else pl.lit(0, pl.UInt8).alias(GROUP)
    moves = counts.select(group, "source", "target", pl.col("count").cast(pl.Float64))
    _refuse_counts(moves["count"].to_numpy())
    wrong = moves[GROUP].filter(~moves[GROUP].is_between(0, GROUPS - 1))
    if len(wrong):
        raise ParameterError(f"group must be from 0 to {GROUPS - 1}; {wrong[0]} is not.")
    return moves


def _square(counts: npt.ArrayLike, states: Sequence[str] | None) -> pl.DataFrame:
    table = np.asarray(counts, np.float64)
    if states is None:
        raise ParameterError("states= is needed with an array: the names of its rows and columns.")
    if len(set(states)) < len(states) or not all(isinstance(name, str) for name in states):
        raise ParameterError(f"states must be different texts, not {list(states)!r}.")
    if table.shape != (len(states), len(states)):
        raise ParameterError(f"there are {len(states):,} states, and the array has the shape {table.shape}.")
    _refuse_counts(table)
    source, target = np.nonzero(table)
    names = pl.Series(list(states), dtype=pl.String)
    return pl.DataFrame(
        {
            GROUP: np.zeros(source.size, np.uint8),
            "source": names.gather(source),
            "target": names.gather(target),
            "count": table[source, target],
        }
    )


def _refuse_counts(counts: npt.NDArray[np.float64]) -> None:
    wrong = counts[~(np.isfinite(counts) & (counts >= 0))]
    if wrong.size:
        raise ParameterError(f"counts must be finite and not negative; {wrong[0]:g} is not.")


def matrix_parts(
    matrix: npt.ArrayLike, states: Sequence[str], start: str | None, goals: Sequence[str] | None
) -> Parts:
    """Take known probabilities."""
    table = np.asarray(matrix, np.float64)
    wrong = table[~((table >= 0) & (table <= 1))]
    if wrong.size:
        raise ParameterError(f"probabilities must be from 0 to 1; {wrong[0]:g} is not.")
    if table.ndim == 2 and table.shape[0] == len(states):
        sums = table.sum(axis=1)
        for name, total in zip(states, sums, strict=True):
            if abs(total - 1) > ROUNDING:
                raise ParameterError(f"the probabilities out of {name!r} sum to {total:g}, not to 1.")
    return counted_parts(table, states, (), start, goals, 0.0, 0.95)


def check_smoothing(smoothing: float, order: int) -> None:
    """Refuse what cannot be added to counts."""
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise ParameterError(f"smoothing must be finite and not negative, not {smoothing!r}.")
    if smoothing and order > 1:
        raise ParameterError(
            f"smoothing is for order 1, not {order}: of longer states most moves never happen. Leave it out."
        )


def refuse_endless(fitted: Fit, states: Sequence[str]) -> None:
    """Refuse a chain in which a walk need not end, naming the states that it does not leave. D10.2."""
    endless = ~fitted.chain.ending
    if fitted.absent is not None:
        endless &= ~fitted.absent
    if endless.any():
        stuck = [states[i] for i in np.flatnonzero(endless).tolist()]
        raise UndefinedError(
            f"a walk in {listed(stuck)} never ends: no path leads from there to an end. Count open paths as ended "
            f'(open_paths="end"), name an absorbing state, or leave these states out.'
        )
