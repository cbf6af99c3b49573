"""Stages of a journey: models, rules, presets, TOML. DEFINITIONS D6.

`StageModel` holds `Stage` values in order; a stage takes events by `Rule` values, made by `event`, `glob`,
`regex` and `where`. The presets (`five_stage`, `aida`, ...) give the stages of the field's models. Models are
imported when one is asked for.
"""

from typing import TYPE_CHECKING

from journeykit.support.lazily import attributes

if TYPE_CHECKING:
    from journeykit.stages.conditions import Condition
    from journeykit.stages.matching import OrderedLog, StageAssignment
    from journeykit.stages.model import StageModel
    from journeykit.stages.presets import (
        aarrr,
        aida,
        five_a,
        five_stage,
        four_stage,
        mckinsey_loop,
        purchase_decision,
        race,
        seven_stage,
    )
    from journeykit.stages.rules import Rule, RuleLike, Stage, event, glob, regex, where

_HOMES = {
    "Condition": "conditions",
    "OrderedLog": "matching",
    "StageAssignment": "matching",
    **dict.fromkeys(("Rule", "RuleLike", "Stage", "event", "glob", "regex", "where"), "rules"),
    "StageModel": "model",
    **dict.fromkeys(
        (
            "aarrr",
            "aida",
            "five_a",
            "five_stage",
            "four_stage",
            "mckinsey_loop",
            "purchase_decision",
            "race",
            "seven_stage",
        ),
        "presets",
    ),
}

__all__ = [
    "Condition",
    "OrderedLog",
    "Rule",
    "RuleLike",
    "Stage",
    "StageAssignment",
    "StageModel",
    "aarrr",
    "aida",
    "event",
    "five_a",
    "five_stage",
    "four_stage",
    "glob",
    "mckinsey_loop",
    "purchase_decision",
    "race",
    "regex",
    "seven_stage",
    "where",
]

__getattr__, __dir__ = attributes(__name__, _HOMES)
