"""Slow, obvious twins of the core, row by row, written from DEFINITIONS.md alone.

A log is a list of rows, dicts with ``user``, ``time`` (int microseconds), ``event`` and, where the
question needs them, ``order``, ``session`` and properties. Nothing here imports the package, so that a
wrong idea in the core cannot hide in both places. Null is None. Durations that go in are int
microseconds, those that come out float seconds. Where the definitions leave a choice open, the docstring
says "Choice" and what was taken.
"""

from tests.oracle.abandonment import (
    Unit,
    abandonment,
    classic_abandonment,
    flags,
    horizon_sensitivity,
    status,
    time_and_outcome,
    unconverted_by,
    where_abandoned,
)
from tests.oracle.conversion import absorption, chain_counts, conversion, conversion_per_visit, cut_at_goal
from tests.oracle.following import Following, closed, eventually_follows, sequential_patterns
from tests.oracle.funnel_breakdown import breakdown
from tests.oracle.funnel_correlation import Correlate, benjamini_hochberg, correlates
from tests.oracle.funnel_numbers import (
    Period,
    frequency,
    histogram,
    matured,
    span_times,
    times_of_runs,
    total_times,
    trend,
)
from tests.oracle.funnel_numbers import steps as funnel_steps
from tests.oracle.funnel_numbers import times as funnel_times
from tests.oracle.funnel_rules import Exclusion, Question, Rules, Step
from tests.oracle.funnel_units import funnel_units
from tests.oracle.funnels import chain, funnel
from tests.oracle.intervals import Interval, group, jackknife, wilson
from tests.oracle.numbers import percentile, rate
from tests.oracle.ordering import order, quality
from tests.oracle.overview import engaged_rate, overview, return_gaps
from tests.oracle.paths import (
    END,
    OTHER,
    START,
    Item,
    Path,
    anchor,
    clean,
    collapse,
    column_paths,
    session_paths,
    user_paths,
)
from tests.oracle.retention import (
    Cell,
    RetentionQuestion,
    calendar,
    day_start,
    floor_day,
    retention,
    retention_table,
)
from tests.oracle.sessions import Sessions, column_sessions, sessions
from tests.oracle.shapes import shape
from tests.oracle.stages import (
    Rule,
    Stage,
    Staged,
    StagedUnit,
    Visit,
    assign,
    moves,
    stage_hazards,
    stage_numbers,
    visits,
)
from tests.oracle.steps import FlowEdge, cut_edges, flow, step_matrix
from tests.oracle.survival import aalen_johansen, converted_by, kaplan_meier, median_survival
from tests.oracle.transitions import Edge, Node, edges, nodes, transition_counts
from tests.oracle.whole_paths import Ngram, PathRow, ngrams, top_paths
from tests.oracle.window_funnel import window_funnel

__all__ = [
    "END",
    "OTHER",
    "START",
    "Cell",
    "Correlate",
    "Edge",
    "Exclusion",
    "FlowEdge",
    "Following",
    "Interval",
    "Item",
    "Ngram",
    "Node",
    "Path",
    "PathRow",
    "Period",
    "Question",
    "RetentionQuestion",
    "Rule",
    "Rules",
    "Sessions",
    "Stage",
    "Staged",
    "StagedUnit",
    "Step",
    "Unit",
    "Visit",
    "aalen_johansen",
    "abandonment",
    "absorption",
    "anchor",
    "assign",
    "benjamini_hochberg",
    "breakdown",
    "calendar",
    "chain",
    "chain_counts",
    "classic_abandonment",
    "clean",
    "closed",
    "collapse",
    "column_paths",
    "column_sessions",
    "conversion",
    "conversion_per_visit",
    "converted_by",
    "correlates",
    "cut_at_goal",
    "cut_edges",
    "day_start",
    "edges",
    "engaged_rate",
    "eventually_follows",
    "flags",
    "floor_day",
    "flow",
    "frequency",
    "funnel",
    "funnel_steps",
    "funnel_times",
    "funnel_units",
    "group",
    "histogram",
    "horizon_sensitivity",
    "jackknife",
    "kaplan_meier",
    "matured",
    "median_survival",
    "moves",
    "ngrams",
    "nodes",
    "order",
    "overview",
    "percentile",
    "quality",
    "rate",
    "retention",
    "retention_table",
    "return_gaps",
    "sequential_patterns",
    "session_paths",
    "sessions",
    "shape",
    "span_times",
    "stage_hazards",
    "stage_numbers",
    "status",
    "step_matrix",
    "time_and_outcome",
    "times_of_runs",
    "top_paths",
    "total_times",
    "transition_counts",
    "trend",
    "unconverted_by",
    "user_paths",
    "visits",
    "where_abandoned",
    "wilson",
    "window_funnel",
]
