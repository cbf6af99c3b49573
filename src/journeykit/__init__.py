"""journeykit turns raw event logs into customer journeys.

The way of the data::

    read_events -> Events -> sessionize -> Journeys -> assign_stages -> Journeys -> measure -> Answer

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeykit.support.lazily import attributes

if TYPE_CHECKING:
    from journeykit import (
        channels,
        datasets,
        errors,
        identity,
        path_transforms,
        rules,
        sessions,
        stages,
        touchpoint_sources,
    )
    from journeykit.adapters.access_log import read_access_log, scan_access_log
    from journeykit.adapters.adobe import read_adobe, scan_adobe
    from journeykit.adapters.amplitude import read_amplitude, scan_amplitude
    from journeykit.adapters.ga4 import read_ga4, scan_ga4
    from journeykit.adapters.hotjar import read_hotjar, scan_hotjar
    from journeykit.adapters.matomo import read_matomo, scan_matomo
    from journeykit.adapters.mixpanel import read_mixpanel, scan_mixpanel
    from journeykit.adapters.posthog import read_posthog, scan_posthog
    from journeykit.adapters.rudderstack import read_rudderstack, scan_rudderstack
    from journeykit.adapters.segment import read_segment, scan_segment
    from journeykit.adapters.snowplow import read_snowplow, scan_snowplow
    from journeykit.adapters.xes import read_xes, scan_xes
    from journeykit.cells import Segment
    from journeykit.channels import ChannelRule, ChannelRules
    from journeykit.charts.chart import Chart
    from journeykit.combining import Source, combine, scan_combined
    from journeykit.comparisons.changes import decompose_change
    from journeykit.comparisons.compare import compare
    from journeykit.engines import InMemory, OutOfCore, Pool, Progress, Spark
    from journeykit.errors import JourneykitError, JourneykitWarning
    from journeykit.events.checks import QualityRules
    from journeykit.events.events import Events
    from journeykit.events.expectations import Expectations
    from journeykit.events.reading import read_events
    from journeykit.growing import Store, open_store
    from journeykit.identity import Identity, IdentityRules
    from journeykit.journey_map.journey_map import JourneyMap
    from journeykit.journeys.cleaning import PathCleaning
    from journeykit.journeys.journeys import Journeys, open_journeys
    from journeykit.models.chains.chain import Chain
    from journeykit.models.chains.markov import MarkovChain
    from journeykit.models.chains.orders import OrderSelection
    from journeykit.models.changes.changes import Change
    from journeykit.models.changes.opportunities import Opportunities
    from journeykit.models.changes.what_if import WhatIf
    from journeykit.models.pains.pain_points import PainPoints
    from journeykit.models.people.clusters import Clusters
    from journeykit.models.people.personas import Personas
    from journeykit.models.people.propensity import Propensity
    from journeykit.patterns import Matches, Pattern
    from journeykit.patterns.matchers import Match
    from journeykit.plans import scan_events
    from journeykit.privacy.pseudonyms import pseudonyms
    from journeykit.privacy.rules import PrivacyRules
    from journeykit.queries import read_sql, scan_sql
    from journeykit.reports.notes import MapNotes
    from journeykit.reports.report import Report, report
    from journeykit.reports.template import ReportTemplate
    from journeykit.sessions import SessionRule
    from journeykit.stages import Stage, StageModel
    from journeykit.statistics.attribution.attribution import Attribution
    from journeykit.statistics.base import Answer, Statistic
    from journeykit.statistics.differential.differential_paths import DifferentialPaths
    from journeykit.statistics.emotion.emotion import Emotion
    from journeykit.statistics.emotion.ratings import Ratings
    from journeykit.statistics.experiments.experiment import Experiment
    from journeykit.statistics.experiments.metric import Metric
    from journeykit.statistics.features import Features
    from journeykit.statistics.friction.before_abandonment import FrictionBeforeAbandonment
    from journeykit.statistics.friction.friction import Friction
    from journeykit.statistics.friction.rage import RageRule
    from journeykit.statistics.funnels.correlation import FunnelCorrelation
    from journeykit.statistics.funnels.difference import explain_difference
    from journeykit.statistics.funnels.frequency import FunnelFrequency
    from journeykit.statistics.funnels.funnel import Funnel
    from journeykit.statistics.funnels.rules import FunnelRules
    from journeykit.statistics.funnels.steps import Exclusion, Step
    from journeykit.statistics.funnels.window_funnel import WindowFunnel
    from journeykit.statistics.matching.conditions_met import ConditionsMet
    from journeykit.statistics.matching.next_event import NextEvent
    from journeykit.statistics.matching.pattern_count import PatternCount
    from journeykit.statistics.outcomes.abandonment import Abandonment
    from journeykit.statistics.outcomes.conversion import Conversion
    from journeykit.statistics.outcomes.time_between import TimeBetween
    from journeykit.statistics.outcomes.time_to_convert import TimeToConvert
    from journeykit.statistics.overview.overview import Overview
    from journeykit.statistics.overview.session_lengths import SessionLengths
    from journeykit.statistics.paths.eventually_follows import EventuallyFollows
    from journeykit.statistics.paths.flow import Flow
    from journeykit.statistics.paths.ngrams import NGrams
    from journeykit.statistics.paths.sequential_patterns import SequentialPatterns
    from journeykit.statistics.paths.shape import PathShape
    from journeykit.statistics.paths.step_matrix import StepMatrix
    from journeykit.statistics.paths.top_paths import TopPaths
    from journeykit.statistics.paths.variants import Variants
    from journeykit.statistics.retention.active_users import ActiveUsers
    from journeykit.statistics.retention.lifecycle import Lifecycle
    from journeykit.statistics.retention.retention import Retention
    from journeykit.statistics.retention.stickiness import Stickiness
    from journeykit.statistics.stage_flow.stage_flow import StageFlow
    from journeykit.statistics.stage_flow.stage_hazard import StageHazard
    from journeykit.statistics.touchpoints.touchpoints import Touchpoints
    from journeykit.statistics.transitions.transitions import Transitions

__version__ = "0.1.0"

_HOMES = {
    "read_events": "events.reading",
    "scan_events": "plans",
    "read_ga4": "adapters.ga4",
    "scan_ga4": "adapters.ga4",
    "read_segment": "adapters.segment",
    "scan_segment": "adapters.segment",
    "read_rudderstack": "adapters.rudderstack",
    "scan_rudderstack": "adapters.rudderstack",
    "read_snowplow": "adapters.snowplow",
    "scan_snowplow": "adapters.snowplow",
    "read_posthog": "adapters.posthog",
    "scan_posthog": "adapters.posthog",
    "read_amplitude": "adapters.amplitude",
    "scan_amplitude": "adapters.amplitude",
    "read_mixpanel": "adapters.mixpanel",
    "scan_mixpanel": "adapters.mixpanel",
    "read_adobe": "adapters.adobe",
    "scan_adobe": "adapters.adobe",
    "read_hotjar": "adapters.hotjar",
    "scan_hotjar": "adapters.hotjar",
    "read_matomo": "adapters.matomo",
    "scan_matomo": "adapters.matomo",
    "read_access_log": "adapters.access_log",
    "scan_access_log": "adapters.access_log",
    "read_xes": "adapters.xes",
    "scan_xes": "adapters.xes",
    "read_sql": "queries",
    "scan_sql": "queries",
    "Events": "events.events",
    "Expectations": "events.expectations",
    "QualityRules": "events.checks",
    "PrivacyRules": "privacy.rules",
    "pseudonyms": "privacy.pseudonyms",
    "Source": "combining",
    "combine": "combining",
    "scan_combined": "combining",
    "touchpoint_sources": "",
    "sessions": "",
    "SessionRule": "sessions",
    "stages": "",
    "Stage": "stages",
    "StageModel": "stages",
    "identity": "",
    "Identity": "identity",
    "IdentityRules": "identity",
    "Journeys": "journeys.journeys",
    "open_journeys": "journeys.journeys",
    "Store": "growing",
    "open_store": "growing",
    "channels": "",
    "ChannelRule": "channels",
    "ChannelRules": "channels",
    "PathCleaning": "journeys.cleaning",
    "path_transforms": "",
    "Segment": "cells",
    "Match": "patterns.matchers",
    "Pattern": "patterns",
    "Matches": "patterns",
    "Statistic": "statistics.base",
    "Answer": "statistics.base",
    "Transitions": "statistics.transitions.transitions",
    "Chain": "models.chains.chain",
    "Change": "models.changes.changes",
    "WhatIf": "models.changes.what_if",
    "Opportunities": "models.changes.opportunities",
    "MarkovChain": "models.chains.markov",
    "OrderSelection": "models.chains.orders",
    "Clusters": "models.people.clusters",
    "Personas": "models.people.personas",
    "Propensity": "models.people.propensity",
    "Features": "statistics.features",
    "TopPaths": "statistics.paths.top_paths",
    "Variants": "statistics.paths.variants",
    "NGrams": "statistics.paths.ngrams",
    "EventuallyFollows": "statistics.paths.eventually_follows",
    "PathShape": "statistics.paths.shape",
    "SequentialPatterns": "statistics.paths.sequential_patterns",
    "StepMatrix": "statistics.paths.step_matrix",
    "Flow": "statistics.paths.flow",
    "Conversion": "statistics.outcomes.conversion",
    "Abandonment": "statistics.outcomes.abandonment",
    "Attribution": "statistics.attribution.attribution",
    "StageFlow": "statistics.stage_flow.stage_flow",
    "StageHazard": "statistics.stage_flow.stage_hazard",
    "Friction": "statistics.friction.friction",
    "FrictionBeforeAbandonment": "statistics.friction.before_abandonment",
    "RageRule": "statistics.friction.rage",
    "Ratings": "statistics.emotion.ratings",
    "Emotion": "statistics.emotion.emotion",
    "Touchpoints": "statistics.touchpoints.touchpoints",
    "PainPoints": "models.pains.pain_points",
    "JourneyMap": "journey_map.journey_map",
    "Funnel": "statistics.funnels.funnel",
    "Step": "statistics.funnels.steps",
    "Exclusion": "statistics.funnels.steps",
    "FunnelRules": "statistics.funnels.rules",
    "rules": "",
    "Overview": "statistics.overview.overview",
    "WindowFunnel": "statistics.funnels.window_funnel",
    "FunnelCorrelation": "statistics.funnels.correlation",
    "FunnelFrequency": "statistics.funnels.frequency",
    "explain_difference": "statistics.funnels.difference",
    "Retention": "statistics.retention.retention",
    "SessionLengths": "statistics.overview.session_lengths",
    "TimeToConvert": "statistics.outcomes.time_to_convert",
    "TimeBetween": "statistics.outcomes.time_between",
    "Stickiness": "statistics.retention.stickiness",
    "Lifecycle": "statistics.retention.lifecycle",
    "ActiveUsers": "statistics.retention.active_users",
    "PatternCount": "statistics.matching.pattern_count",
    "NextEvent": "statistics.matching.next_event",
    "ConditionsMet": "statistics.matching.conditions_met",
    "compare": "comparisons.compare",
    "decompose_change": "comparisons.changes",
    "DifferentialPaths": "statistics.differential.differential_paths",
    "Experiment": "statistics.experiments.experiment",
    "Metric": "statistics.experiments.metric",
    "report": "reports.report",
    "Report": "reports.report",
    "ReportTemplate": "reports.template",
    "MapNotes": "reports.notes",
    "InMemory": "engines",
    "OutOfCore": "engines",
    "Pool": "engines",
    "Progress": "engines",
    "Spark": "engines",
    "Chart": "charts.chart",
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
    "Attribution",
    "Chain",
    "Change",
    "ChannelRule",
    "ChannelRules",
    "Chart",
    "Clusters",
    "ConditionsMet",
    "Conversion",
    "DifferentialPaths",
    "Emotion",
    "Events",
    "EventuallyFollows",
    "Exclusion",
    "Expectations",
    "Experiment",
    "Features",
    "Flow",
    "Friction",
    "FrictionBeforeAbandonment",
    "Funnel",
    "FunnelCorrelation",
    "FunnelFrequency",
    "FunnelRules",
    "Identity",
    "IdentityRules",
    "InMemory",
    "JourneyMap",
    "JourneykitError",
    "JourneykitWarning",
    "Journeys",
    "Lifecycle",
    "MapNotes",
    "MarkovChain",
    "Match",
    "Matches",
    "Metric",
    "NGrams",
    "NextEvent",
    "Opportunities",
    "OrderSelection",
    "OutOfCore",
    "Overview",
    "PainPoints",
    "PathCleaning",
    "PathShape",
    "Pattern",
    "PatternCount",
    "Personas",
    "Pool",
    "PrivacyRules",
    "Progress",
    "Propensity",
    "QualityRules",
    "RageRule",
    "Ratings",
    "Report",
    "ReportTemplate",
    "Retention",
    "Segment",
    "SequentialPatterns",
    "SessionLengths",
    "SessionRule",
    "Source",
    "Spark",
    "Stage",
    "StageFlow",
    "StageHazard",
    "StageModel",
    "Statistic",
    "Step",
    "StepMatrix",
    "Stickiness",
    "Store",
    "TimeBetween",
    "TimeToConvert",
    "TopPaths",
    "Touchpoints",
    "Transitions",
    "Variants",
    "WhatIf",
    "WindowFunnel",
    "__version__",
    "channels",
    "combine",
    "compare",
    "datasets",
    "decompose_change",
    "errors",
    "explain_difference",
    "identity",
    "open_journeys",
    "open_store",
    "path_transforms",
    "pseudonyms",
    "read_access_log",
    "read_adobe",
    "read_amplitude",
    "read_events",
    "read_ga4",
    "read_hotjar",
    "read_matomo",
    "read_mixpanel",
    "read_posthog",
    "read_rudderstack",
    "read_segment",
    "read_snowplow",
    "read_sql",
    "read_xes",
    "report",
    "rules",
    "scan_access_log",
    "scan_adobe",
    "scan_amplitude",
    "scan_combined",
    "scan_events",
    "scan_ga4",
    "scan_hotjar",
    "scan_matomo",
    "scan_mixpanel",
    "scan_posthog",
    "scan_rudderstack",
    "scan_segment",
    "scan_snowplow",
    "scan_sql",
    "scan_xes",
    "sessions",
    "stages",
    "touchpoint_sources",
]

__getattr__, __dir__ = attributes(__name__, _HOMES)
