"""The shop that is simulated: its planted chain of events, and what follows from it exactly.

A session is a Markov chain of events from START to END. The stage of the next event depends only on the
stage of the present one; which event of that stage it is may depend on the present event. So the events are a
Markov chain, and so are their stages (the chain is strongly lumpable: Kemeny & Snell 1960). The device
changes the chain of stages and nothing else: that is the planted effect of a segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownNameError

Floats: TypeAlias = npt.NDArray[np.float64]

START, END = "<START>", "<END>"
CART, PURCHASE = "add_to_cart", "purchase"

STAGES: Mapping[str, tuple[str, ...]] = {
    "awareness": ("home", "campaign_landing", "blog_article"),
    "consideration": (
        "search",
        "product_view",
        "review_read",
        "compare",
        "delivery_info",
        "returns_policy",
        "wishlist_add",
    ),
    "purchase": (CART, "cart_view", "checkout", "payment", PURCHASE),
    "usage": ("order_tracking", "account", "how_to_guide", "support_chat", "return_request"),
    "loyalty": ("rewards", "review_write", "refer_friend"),
}
EVENTS: tuple[str, ...] = tuple(event for events in STAGES.values() for event in events)

DEVICES: tuple[str, ...] = ("desktop", "mobile")
DEVICE_SHARES: tuple[float, ...] = (0.4, 0.6)

# Rows: START, then the stages in order. Columns: the stages in order, then END.
_STAGE_CHAINS: Mapping[str, Sequence[Sequence[float]]] = {
    "desktop": [
        [0.52, 0.31, 0.03, 0.09, 0.05, 0.00],
        [0.25, 0.45, 0.02, 0.02, 0.00, 0.26],
        [0.06, 0.50, 0.20, 0.03, 0.01, 0.20],
        [0.03, 0.10, 0.70, 0.06, 0.02, 0.09],
        [0.05, 0.10, 0.03, 0.48, 0.08, 0.26],
        [0.06, 0.10, 0.06, 0.12, 0.38, 0.28],
    ],
    "mobile": [
        [0.60, 0.25, 0.02, 0.09, 0.04, 0.00],
        [0.24, 0.40, 0.02, 0.02, 0.00, 0.32],
        [0.08, 0.47, 0.15, 0.03, 0.01, 0.26],
        [0.04, 0.13, 0.60, 0.04, 0.02, 0.17],
        [0.05, 0.09, 0.03, 0.46, 0.07, 0.30],
        [0.06, 0.09, 0.05, 0.11, 0.36, 0.33],
    ],
}

# Which event it is when a stage comes next, whatever was before ...
_USUAL: Mapping[str, float] = {
    "home": 0.55,
    "campaign_landing": 0.20,
    "blog_article": 0.25,
    "search": 0.25,
    "product_view": 0.40,
    "review_read": 0.10,
    "compare": 0.08,
    "delivery_info": 0.07,
    "returns_policy": 0.05,
    "wishlist_add": 0.05,
    CART: 0.85,
    "cart_view": 0.15,
    "order_tracking": 0.40,
    "account": 0.30,
    "how_to_guide": 0.12,
    "support_chat": 0.12,
    "return_request": 0.06,
    "rewards": 0.50,
    "review_write": 0.35,
    "refer_friend": 0.15,
}

# ... and after these events, as far as the stage that comes next is one of those named here.
_AFTER: Mapping[str, Mapping[str, float]] = {
    START: {"home": 0.50, "campaign_landing": 0.32, "blog_article": 0.18},
    "search": {"search": 0.20, "product_view": 0.70, "compare": 0.10},
    CART: {CART: 0.15, "cart_view": 0.55, "checkout": 0.30},
    "cart_view": {CART: 0.12, "cart_view": 0.06, "checkout": 0.72, "payment": 0.10, "delivery_info": 0.60,
                  "returns_policy": 0.25, "product_view": 0.15},
    "checkout": {"cart_view": 0.10, "checkout": 0.05, "payment": 0.85, "delivery_info": 0.65,
                 "returns_policy": 0.35},
    "payment": {"cart_view": 0.04, "payment": 0.10, PURCHASE: 0.86, "support_chat": 0.60, "account": 0.40},
    PURCHASE: {CART: 0.35, "cart_view": 0.65, "order_tracking": 0.75, "account": 0.25},
    "support_chat": {"return_request": 0.30, "support_chat": 0.25, "how_to_guide": 0.25, "account": 0.20},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ShopTruth:
    """What holds in the simulated shop, computed from its planted chain and not from events.

    Attributes
    ----------
    event_transitions, stage_transitions : polars.DataFrame
        `source`, `target`, `probability` (D4.2, incl. END) of the transitions that can happen, per session,
        all devices together: what the pooled counts of ever more users tend to.
    event_transitions_by_device, stage_transitions_by_device : polars.DataFrame
        The same with `device` in front. These are the planted chains.
    cart_abandonment_rate : float
        P(no `purchase` at a later position | the session has an `add_to_cart`), per session (D5.6).
    cart_abandonment_rate_by_device : mapping of str to float
        The same for each device.
    conversion_rate : float
        Share of the sessions with at least one `purchase`.
    conversion_rate_by_device : mapping of str to float
        The same for each device.
    device_effect : float
        Conversion rate of mobile minus that of desktop sessions: the planted effect of the segment.
    device_shares : mapping of str to float
        The share of users, and of sessions, of each device.

    Notes
    -----
    How many sessions a user has does not depend on the device, so it cancels in everything that is pooled.
    """

    event_transitions: pl.DataFrame
    stage_transitions: pl.DataFrame
    event_transitions_by_device: pl.DataFrame
    stage_transitions_by_device: pl.DataFrame
    cart_abandonment_rate: float
    cart_abandonment_rate_by_device: Mapping[str, float]
    conversion_rate: float
    conversion_rate_by_device: Mapping[str, float]
    device_effect: float
    device_shares: Mapping[str, float]


def checked_pains(pains: object) -> dict[str, float]:
    """Refuse planted pains of what is no event, or that are no probabilities."""
    if pains is None:
        return {}
    if not isinstance(pains, Mapping):
        raise ParameterError(
            f"pains cannot be {pains!r}. Give probabilities by event, such as {{'checkout': 0.3}}."
        )
    unknown = [name for name in pains if name not in EVENTS]
    if unknown:
        raise UnknownNameError("event", unknown, EVENTS)
    for name, chance in pains.items():
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
            raise ParameterError(f"pains[{name!r}] must be a probability from 0 to 1, not {chance!r}.")
    return {name: float(chance) for name, chance in pains.items()}


def shop_truth(pains: Mapping[str, float] | None = None) -> ShopTruth:
    """Solve the planted chains."""
    event_chains = [with_pains(event_chain(device), pains or {}) for device in DEVICES]
    stage_chains = [
        of_stages(chain) if pains else stage_chain(device)
        for device, chain in zip(DEVICES, event_chains, strict=True)
    ]
    converting = [reaching(chain, [PURCHASE]) for chain in event_chains]
    carting = [reaching(chain, [CART]) for chain in event_chains]
    cart = 1 + EVENTS.index(CART)
    # By the strong Markov property only the first add_to_cart matters, and nothing before it.
    abandoning = [1 - float(probability[cart]) for probability in converting]
    with_cart = np.array(DEVICE_SHARES) * [probability[0] for probability in carting]
    conversion = dict(zip(DEVICES, [float(probability[0]) for probability in converting], strict=True))
    return ShopTruth(
        event_transitions=_table(pooled(event_chains), EVENTS),
        stage_transitions=_table(pooled(stage_chains), tuple(STAGES)),
        event_transitions_by_device=_table_by_device(event_chains, EVENTS),
        stage_transitions_by_device=_table_by_device(stage_chains, tuple(STAGES)),
        cart_abandonment_rate=float(with_cart @ abandoning / with_cart.sum()),
        cart_abandonment_rate_by_device=dict(zip(DEVICES, abandoning, strict=True)),
        conversion_rate=float(np.dot(DEVICE_SHARES, list(conversion.values()))),
        conversion_rate_by_device=conversion,
        device_effect=conversion["mobile"] - conversion["desktop"],
        device_shares=dict(zip(DEVICES, DEVICE_SHARES, strict=True)),
    )


def stage_chain(device: str) -> Floats:
    """Give the chain of stages: rows START and the stages, columns the stages and END."""
    return np.array(_STAGE_CHAINS[device], dtype=np.float64)


def event_chain(device: str) -> Floats:
    """Give the chain of events: rows START and the events, columns the events and END."""
    stages = list(STAGES)
    of_stages = stage_chain(device)
    stage_row = [0, *(1 + stages.index(stage) for stage, events in STAGES.items() for _ in events)]
    chain = np.zeros((1 + len(EVENTS), len(EVENTS) + 1))
    for row, present in enumerate((START, *EVENTS)):
        moves = of_stages[stage_row[row]]
        following = np.concatenate(
            [moves[column] * _events_of(stage, present) for column, stage in enumerate(stages)]
        )
        chain[row] = np.append(following, moves[-1])
    return chain


def with_pains(chain: Floats, pains: Mapping[str, float]) -> Floats:
    """Let sessions end after some events with a probability of their own, before they go on as planned."""
    changed = chain.copy()
    for name, chance in pains.items():
        row = 1 + EVENTS.index(name)
        changed[row] *= 1 - chance
        changed[row, -1] += chance
    return changed


def of_stages(chain: Floats) -> Floats:
    """Give the chain of stages that a chain of events makes, each event by how often a session is there."""
    stages = list(STAGES)
    stage = np.array([0, *(1 + stages.index(each) for each in STAGES for _ in STAGES[each])])
    counts = visits(chain)[:, None] * chain
    summed = np.zeros((1 + len(stages), chain.shape[1]))
    np.add.at(summed, stage, counts)
    columns = np.append(stage[1:] - 1, len(stages))
    found = np.zeros((1 + len(stages), 1 + len(stages)))
    np.add.at(found.T, columns, summed.T)
    shares: Floats = found / found.sum(axis=1, keepdims=True)
    return shares


def reaching(chain: Floats, goals: Sequence[str]) -> Floats:
    """Give P(at one of `goals` now or later in the session) for START and every event.

    The chain leaves its transient states with probability 1, so the system has one solution.
    """
    is_goal = np.isin((START, *EVENTS), goals)
    moves = np.column_stack([np.zeros(len(chain)), chain[:, :-1]])
    moves[is_goal] = 0.0
    return np.linalg.solve(np.eye(len(chain)) - moves, is_goal.astype(np.float64)).astype(np.float64)


def visits(chain: Floats) -> Floats:
    """Give the expected number of visits per session to START and every state."""
    moves = np.column_stack([np.zeros(len(chain)), chain[:, :-1]])
    start = np.zeros(len(chain))
    start[0] = 1.0
    return np.linalg.solve(np.eye(len(chain)) - moves.T, start).astype(np.float64)


def pooled(chains: Sequence[Floats]) -> Floats:
    """Mix the chains of the devices, each row by how often a session of each device is there."""
    counts = np.zeros_like(chains[0])
    for share, chain in zip(DEVICE_SHARES, chains, strict=True):
        counts += share * visits(chain)[:, None] * chain
    mixed: Floats = counts / counts.sum(axis=1, keepdims=True)
    return mixed


def _events_of(stage: str, present: str) -> Floats:
    """Give the distribution over the events of `stage`, when that stage comes after the event `present`."""
    after = _AFTER.get(present, {})
    chosen = after if any(event in after for event in STAGES[stage]) else _USUAL
    weights = np.array([chosen.get(event, 0.0) for event in STAGES[stage]])
    shares: Floats = weights / weights.sum()
    return shares


def _table(chain: Floats, names: Sequence[str]) -> pl.DataFrame:
    rows, columns = np.nonzero(chain)
    return pl.DataFrame(
        {
            "source": pl.Series([START, *names], dtype=pl.String).gather(rows),
            "target": pl.Series([*names, END], dtype=pl.String).gather(columns),
            "probability": chain[rows, columns],
        }
    )


def _table_by_device(chains: Sequence[Floats], names: Sequence[str]) -> pl.DataFrame:
    return pl.concat(
        _table(chain, names).select(pl.lit(device).alias("device"), pl.all())
        for device, chain in zip(DEVICES, chains, strict=True)
    )
