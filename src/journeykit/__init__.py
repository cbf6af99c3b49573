"""journeykit turns raw event logs into customer journeys.

The way of the data::

    read_events -> Events -> sessionize -> Journeys -> assign_stages -> Journeys -> measure -> Answer

Nothing is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from journeykit import datasets, errors, path_transforms, rules, sessions, stages
    from journeykit.cells import Segment
    from journeykit.cleaning import PathCleaning
    from journeykit.engines import InMemory
    from journeykit.errors import JourneykitError, JourneykitWarning
    from journeykit.events import Events
    from journeykit.growing import Store, open_store
    from journeykit.journeys import Journeys, open_journeys
    from journeykit.matchers import Match
    from journeykit.patterns import Matches, Pattern
    from journeykit.plans import scan_events
    from journeykit.reading import read_events
    from journeykit.sessions import SessionRule
    from journeykit.stages import Stage, StageModel
    from journeykit.statistics.abandonment import Abandonment
    from journeykit.statistics.active_users import ActiveUsers
    from journeykit.statistics.base import Answer, Statistic
    from journeykit.statistics.conditions_met import ConditionsMet
    from journeykit.statistics.conversion import Conversion
    from journeykit.statistics.eventually_follows import EventuallyFollows
    from journeykit.statistics.flow import Flow
    from journeykit.statistics.friction import Friction
    from journeykit.statistics.friction_before_abandonment import FrictionBeforeAbandonment
    from journeykit.statistics.funnel import Funnel
    from journeykit.statistics.funnel_correlation import FunnelCorrelation
    from journeykit.statistics.funnel_difference import explain_difference
    from journeykit.statistics.funnel_rules import FunnelRules
    from journeykit.statistics.funnel_steps import Exclusion, Step
    from journeykit.statistics.lifecycle import Lifecycle
    from journeykit.statistics.next_event import NextEvent
    from journeykit.statistics.ngrams import NGrams
    from journeykit.statistics.overview import Overview
    from journeykit.statistics.path_shape import PathShape
    from journeykit.statistics.pattern_count import PatternCount
    from journeykit.statistics.rage import RageRule
    from journeykit.statistics.retention import Retention
    from journeykit.statistics.sequential_patterns import SequentialPatterns
    from journeykit.statistics.session_lengths import SessionLengths
    from journeykit.statistics.stage_flow import StageFlow
    from journeykit.statistics.step_matrix import StepMatrix
    from journeykit.statistics.stickiness import Stickiness
    from journeykit.statistics.time_between import TimeBetween
    from journeykit.statistics.top_paths import TopPaths
    from journeykit.statistics.transitions import Transitions
    from journeykit.statistics.variants import Variants
    from journeykit.statistics.window_funnel import WindowFunnel

__version__ = "0.1.0"

_HOMES = {
    "read_events": "reading",
    "scan_events": "plans",
    "Events": "events",
    "sessions": "",
    "SessionRule": "sessions",
    "stages": "",
    "Stage": "stages",
    "StageModel": "stages",
    "Journeys": "journeys",
    "open_journeys": "journeys",
    "Store": "growing",
    "open_store": "growing",
    "PathCleaning": "cleaning",
    "path_transforms": "",
    "Segment": "cells",
    "Match": "matchers",
    "Pattern": "patterns",
    "Matches": "patterns",
    "Statistic": "statistics.base",
    "Answer": "statistics.base",
    "Transitions": "statistics.transitions",
    "TopPaths": "statistics.top_paths",
    "Variants": "statistics.variants",
    "NGrams": "statistics.ngrams",
    "EventuallyFollows": "statistics.eventually_follows",
    "PathShape": "statistics.path_shape",
    "SequentialPatterns": "statistics.sequential_patterns",
    "StepMatrix": "statistics.step_matrix",
    "Flow": "statistics.flow",
    "Conversion": "statistics.conversion",
    "Abandonment": "statistics.abandonment",
    "StageFlow": "statistics.stage_flow",
    "Friction": "statistics.friction",
    "FrictionBeforeAbandonment": "statistics.friction_before_abandonment",
    "RageRule": "statistics.rage",
    "Funnel": "statistics.funnel",
    "Step": "statistics.funnel_steps",
    "Exclusion": "statistics.funnel_steps",
    "FunnelRules": "statistics.funnel_rules",
    "rules": "",
    "Overview": "statistics.overview",
    "WindowFunnel": "statistics.window_funnel",
    "FunnelCorrelation": "statistics.funnel_correlation",
    "explain_difference": "statistics.funnel_difference",
    "Retention": "statistics.retention",
    "SessionLengths": "statistics.session_lengths",
    "TimeBetween": "statistics.time_between",
    "Stickiness": "statistics.stickiness",
    "Lifecycle": "statistics.lifecycle",
    "ActiveUsers": "statistics.active_users",
    "PatternCount": "statistics.pattern_count",
    "NextEvent": "statistics.next_event",
    "ConditionsMet": "statistics.conditions_met",
    "InMemory": "engines",
    "datasets": "",
    "errors": "",
    "JourneykitError": "errors",
    "JourneykitWarning": "errors",
}
"""Public names in the order of the data's way, and the module each is at home in."""

__all__ = [
    "Abandonment",
    "ActiveUsers",
    "Answer",
    "ConditionsMet",
    "Conversion",
    "Events",
    "EventuallyFollows",
    "Exclusion",
    "Flow",
    "Friction",
    "FrictionBeforeAbandonment",
    "Funnel",
    "FunnelCorrelation",
    "FunnelRules",
    "InMemory",
    "JourneykitError",
    "JourneykitWarning",
    "Journeys",
    "Lifecycle",
    "Match",
    "Matches",
    "NGrams",
    "NextEvent",
    "Overview",
    "PathCleaning",
    "PathShape",
    "Pattern",
    "PatternCount",
    "RageRule",
    "Retention",
    "Segment",
    "SequentialPatterns",
    "SessionLengths",
    "SessionRule",
    "Stage",
    "StageFlow",
    "StageModel",
    "Statistic",
    "Step",
    "StepMatrix",
    "Stickiness",
    "Store",
    "TimeBetween",
    "TopPaths",
    "Transitions",
    "Variants",
    "WindowFunnel",
    "__version__",
    "datasets",
    "errors",
    "explain_difference",
    "open_journeys",
    "open_store",
    "path_transforms",
    "read_events",
    "rules",
    "scan_events",
    "sessions",
    "stages",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'journeykit' has no attribute {name!r}")
    home = _HOMES[name]
    module = import_module(f"journeykit.{home or name}")
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
