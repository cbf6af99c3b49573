"""The field's stage models: their stages in order; the rules are yours. DEFINITIONS D6.6."""

from __future__ import annotations

import re
from collections.abc import Iterable

from journeykit.errors import StageModelError, suggestion
from journeykit.stages.model import StageModel
from journeykit.stages.rules import RuleLike, Stage

LOYALTY = "loyalty"


def five_stage(**rules: RuleLike) -> StageModel:
    """Make the model awareness, consideration, purchase, usage, loyalty.

    Parameters
    ----------
    **rules : Rule, str, sequence of these, polars expression
        The rules of each stage by its name, spaces and hyphens written as ``_``. A stage left out keeps its
        place in the order and takes no event. Loyalty has priority 1: a second purchase can be loyalty.

    Raises
    ------
    StageModelError
        If a stage is not in the model, or a rule cannot be; every problem is listed.

    Examples
    --------
    >>> from journeykit.stages import event
    >>> five_stage(awareness=["home", "search"], purchase="purchase", loyalty=event("purchase", nth=2))
    StageModel of 5 stages
      1 awareness      event('home', 'search')
      2 consideration  (no rules)
      3 purchase       event('purchase')
      4 usage          (no rules)
      5 loyalty        event('purchase', nth=2)  priority 1
    """
    return _preset("five_stage", ("awareness", "consideration", "purchase", "usage", LOYALTY), rules)


def four_stage(**rules: RuleLike) -> StageModel:
    """Make the model awareness, consideration, decision, loyalty; rules as in `five_stage`."""
    return _preset("four_stage", ("awareness", "consideration", "decision", LOYALTY), rules)


def seven_stage(**rules: RuleLike) -> StageModel:
    """Make the model from need awareness to loyalty in seven stages; rules as in `five_stage`.

    The stages: need awareness, option analysis, product introduction, transaction, use, after-sales service,
    loyalty.
    """
    stages = (
        "need awareness",
        "option analysis",
        "product introduction",
        "transaction",
        "use",
        "after-sales service",
        LOYALTY,
    )
    return _preset("seven_stage", stages, rules)


def aida(**rules: RuleLike) -> StageModel:
    """Make the model attention, interest, desire, action (Lewis 1898); rules as in `five_stage`."""
    return _preset("aida", ("attention", "interest", "desire", "action"), rules)


def purchase_decision(**rules: RuleLike) -> StageModel:
    """Make the purchase decision process of Engel, Kollat & Blackwell (1968); rules as in `five_stage`.

    The stages: need recognition, information search, evaluation, purchase, post-purchase.
    """
    stages = ("need recognition", "information search", "evaluation", "purchase", "post-purchase")
    return _preset("purchase_decision", stages, rules)


def aarrr(**rules: RuleLike) -> StageModel:
    """Make the model acquisition, activation, retention, referral, revenue (McClure 2007).

    Rules as in `five_stage`. The order is a convention and not a path: skips and regressions are expected.
    """
    return _preset("aarrr", ("acquisition", "activation", "retention", "referral", "revenue"), rules)


def race(**rules: RuleLike) -> StageModel:
    """Make the model reach, act, convert, engage (Chaffey); rules as in `five_stage`."""
    return _preset("race", ("reach", "act", "convert", "engage"), rules)


def five_a(**rules: RuleLike) -> StageModel:
    """Make the model aware, appeal, ask, act, advocate (Kotler et al. 2017); rules as in `five_stage`."""
    return _preset("five_a", ("aware", "appeal", "ask", "act", "advocate"), rules)


def mckinsey_loop(**rules: RuleLike) -> StageModel:
    """Make the loyalty loop consider, evaluate, buy, enjoy, advocate, bond (Court et al. 2009).

    The move from bond back to buy counts as a loop and not as a regress; rules as in `five_stage`.
    """
    stages = ("consider", "evaluate", "buy", "enjoy", "advocate", "bond")
    return _preset("mckinsey_loop", stages, rules, loops=[("bond", "buy")])


def _preset(
    preset: str, names: tuple[str, ...], rules: dict[str, RuleLike], loops: Iterable[tuple[str, str]] = ()
) -> StageModel:
    keywords = {re.sub(r"\W", "_", name): name for name in names}
    problems = [
        f"{preset} has no stage {key!r}. {suggestion(key, keywords)}" for key in rules if key not in keywords
    ]
    stages = []
    for keyword, name in keywords.items():
        try:
            stages.append(Stage(name, rules.get(keyword, ()), priority=int(name == LOYALTY)))
        except StageModelError as error:
            problems += error.problems
    if problems:
        raise StageModelError(problems)
    return StageModel(stages, loops=loops)
