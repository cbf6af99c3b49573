"""The pain of every touchpoint of one segment, by its chain and its visits of each class. DEFINITIONS D15.6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import FEWEST_GROUPS, GROUPS
from journeykit.models.chains.fitted import Floats
from journeykit.models.chains.making import ABANDON, START
from journeykit.models.chains.markov import MarkovChain
from journeykit.models.changes.worth import Worth
from journeykit.protocol import GROUP
from journeykit.statistics.friction.flags import CLASSES

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
CLEAN_CLASS = len(CLASSES) - 1
WHAT_IFS = 100
ENDLESS = 1e-12
"""Closer to 1 than this, paths would come back forever."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The visits of every state by class, and those after which the path gave up, by jackknife group.

    Attributes
    ----------
    state, kind, group : numpy.ndarray of int64
        One entry per state, class and group.
    visits, exits : numpy.ndarray of float64
        Of each.
    states : int
        How many states there are.
    """

    state: Int64s
    kind: Int64s
    group: Int64s
    visits: Floats
    exits: Floats
    states: int

    @classmethod
    def of(cls, table: pl.DataFrame, model: MarkovChain) -> Classes:
        """Take the rows of one segment: ``event`` (its name), ``class``, ``group``, ``visits``, ``exits``."""
        place = {name: i for i, name in enumerate(model.states)}
        state = np.array([place[name] for name in table["event"]], np.int64)
        kind, group = (table[name].to_numpy().astype(np.int64) for name in ("class", GROUP))
        visits, exits = (table[name].to_numpy().astype(np.float64) for name in ("visits", "exits"))
        return cls(state, kind, group, visits, exits, len(model.states))

    def counts(self, group: int | None = None) -> tuple[Floats, Floats]:
        """Return visits and exits, states x classes, without a group."""
        kept = self.group != group if group is not None else np.ones(self.group.size, np.bool_)
        key, size = self.state * len(CLASSES) + self.kind, self.states * len(CLASSES)
        visits, exits = (np.bincount(key, values * kept, size) for values in (self.visits, self.exits))
        shape = (self.states, len(CLASSES))
        return visits.astype(np.float64).reshape(shape), exits.astype(np.float64).reshape(shape)


@dataclass(frozen=True, eq=False)
class Pains:
    """One segment: its chain, the peers of every state, and the level that their exits are held against.

    Attributes
    ----------
    model : MarkovChain
        The chain.
    worth : Worth
        Its paths.
    classes : Classes
        Its visits.
    peers : numpy.ndarray of int64, states
        The stage of every state; of a path's start -1.
    reference : MarkovChain or None
        Whose exit rates are the level; without it, that of the peers.
    targets : mapping of str to float
        The levels that are given, by state.
    """

    model: MarkovChain
    worth: Worth
    classes: Classes
    peers: Int64s
    reference: MarkovChain | None
    targets: Mapping[str, float]

    @cached_property
    def touchpoints(self) -> Bools:
        """Which states are touchpoints: all but where paths start."""
        return np.array([name != START for name in self.model.states], np.bool_)

    @cached_property
    def _abandon(self) -> int:
        return len(self.model.states) + self.model.ends.index(ABANDON)

    def _exit_rates(self, chain: AbsorbingChain, abandon: int) -> Floats:
        """Return the share of visits after which paths gave up; NaN where nothing was seen to leave."""
        known = np.bincount(chain.source, chain.probability, chain.states) > 0
        gone = chain.target == abandon
        rates = np.bincount(chain.source[gone], chain.probability[gone], chain.states)
        return np.where(known, rates, np.nan)

    def _levels(self, group: int | None, visits: Floats, exits: Floats) -> Floats:
        """Return the exit rate that each state is held against; NaN where there is none."""
        if self.reference is None:
            levels = _without_self(exits, visits, self.peers)
        else:
            model = self.reference
            chain = model.fitted.chain if group is None else model.fitted.without(group)
            abandon = len(model.states) + model.ends.index(ABANDON)
            rates = dict(zip(model.states, self._exit_rates(chain, abandon).tolist(), strict=True))
            levels = np.array([rates.get(name, np.nan) for name in self.model.states])
        given = [self.targets.get(name) for name in self.model.states]
        return np.array([level if own is None else own for level, own in zip(levels, given, strict=True)])

    def numbers(self, group: int | None = None) -> dict[str, Floats]:
        """Compute every number of D15.6 per state, without a jackknife group.

        Returns
        -------
        dict of str to numpy.ndarray of float64
            Of one row per state; ``part`` of states x classes, flattened, the last of which is the base; ``conversion``
            of one.
        """
        chain = self._chain(group)
        by_class, exits_by_class = self.classes.counts(group)
        visits, exits = by_class.sum(axis=1), exits_by_class.sum(axis=1)
        exit_rate, level = self._exit_rates(chain, self._abandon), self._levels(group, visits, exits)
        start = (~self.touchpoints).astype(np.float64)
        expected, chance = chain.visits_from(start), self.model.converting(chain)
        staying, from_peers = self._staying(chance, exit_rate, visits)
        paths, each = self.worth.paths_without(group), self.worth.each_without(group)
        scale = paths * expected * staying
        part = scale[:, None] * _parts(by_class, exits_by_class, exit_rate, level)
        with np.errstate(divide="ignore", invalid="ignore"):
            more = (exit_rate - level) / (1 - exit_rate)
        regained = paths * self._regained(chain, expected, chance, more)
        found = {
            "exit_rate": exit_rate,
            "reference_exit_rate": level,
            "conversion_if_staying": staying,
            "from_peers": from_peers.astype(np.float64),
            "lost_conversions": scale * (exit_rate - level),
            "base": part[:, CLEAN_CLASS],
            "friction": part[:, :CLEAN_CLASS].sum(axis=1),
            "regained_conversions": regained,
            "part": part.ravel(),
            "conversion": np.array([chance[~self.touchpoints].sum()]),
        }
        worth = {
            "lost_conversions": "lost_value",
            "regained_conversions": "regained_value",
            "part": "part_value",
        }
        return found | {value: each * found[name] for name, value in worth.items()}

    def _chain(self, group: int | None) -> AbsorbingChain:
        fitted = self.model.fitted
        return fitted.chain if group is None else fitted.without(group)

    def _staying(self, chance: Floats, exit_rate: Floats, visits: Floats) -> tuple[Floats, Bools]:
        """Return P(a goal | one does not give up here), that of the peers where it cannot be told; and where so."""
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(exit_rate < 1, chance / (1 - exit_rate), np.nan)
        unknown = self.touchpoints & ((chance == 0) | (exit_rate == 1))
        known = ~np.isnan(chance)
        peers = _without_self(np.where(known, visits * chance, 0.0), np.where(known, visits, 0.0), self.peers)
        return np.where(unknown, peers, np.minimum(own, 1.0)), unknown

    @cached_property
    def _asked(self) -> Int64s:
        """The states whose what-if is computed: those of the largest pains."""
        by_class, exits = self.classes.counts()
        visits = by_class.sum(axis=1)
        rate = self._exit_rates(self._chain(None), self._abandon)
        excess = visits * np.abs(rate - self._levels(None, visits, exits.sum(axis=1)))
        order = np.argsort(-np.nan_to_num(excess, nan=-1.0), kind="stable")
        return np.sort(order[self.touchpoints[order]][:WHAT_IFS])

    @property
    def cut(self) -> int:
        """For how many touchpoints the what-if was left out."""
        return int(self.touchpoints.sum()) - self._asked.size

    def _regained(self, chain: AbsorbingChain, expected: Floats, chance: Floats, more: Floats) -> Floats:
        """Return the change of P(a goal) if a state's exits were at their level and its other moves scaled up."""
        asked, right = self._asked, np.zeros((chain.states, self._asked.size))
        right[asked, np.arange(asked.size)] = 1.0
        again = np.full(chain.states, np.nan)
        again[asked] = chain.solve(right)[asked, np.arange(asked.size)]
        with np.errstate(divide="ignore", invalid="ignore"):
            back = more * (again - 1)
            return np.where(back < 1 - ENDLESS, expected * more * chance / (1 - back), np.nan)

    @cached_property
    def of_all(self) -> dict[str, Floats]:
        """The numbers of all users."""
        return self.numbers()

    @cached_property
    def painful(self) -> Bools:
        """Which touchpoints lose conversions, and can be brought to their level."""
        losing = np.nan_to_num(self.of_all["lost_conversions"]) > 0
        return np.asarray(self.touchpoints & losing & (self.of_all["exit_rate"] < 1))

    def together(self, group: int | None, numbers: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return what is regained if all painful touchpoints were at their level, by solving the new chain."""
        chain, exit_rate, level = self._chain(group), numbers["exit_rate"], numbers["reference_exit_rate"]
        source = chain.source
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = (1 - level) / (1 - exit_rate)
        moved = self.painful & np.isfinite(rest)
        gone = chain.target == self._abandon
        changed = np.where(gone, level[source], chain.probability * np.where(moved, rest, 1.0)[source])
        probability = np.where(moved[source], changed, chain.probability)
        new = AbsorbingChain(source, chain.target, probability, chain.states, chain.ends)
        gained = self.model.converting(new)[~self.touchpoints].sum() - numbers["conversion"]
        found = self.worth.paths_without(group) * gained
        return {"together": found, "together_value": self.worth.each_without(group) * found}

    def replicates(self) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Return the numbers of all, and again without each jackknife group: rows x 64."""
        values = self.of_all | self.together(None, self.of_all)
        replicates = {name: np.tile(value[:, None], (1, GROUPS)) for name, value in values.items()}
        if len(self.groups) >= FEWEST_GROUPS:
            for group in self.groups:
                numbers = self.numbers(group)
                for name, each in (numbers | self.together(group, numbers)).items():
                    replicates[name][:, group] = each
        return values, replicates

    @cached_property
    def groups(self) -> list[int]:
        """The jackknife groups that have paths, here or in the reference."""
        chains = [self.model] + ([] if self.reference is None else [self.reference])
        own = np.flatnonzero(self.worth.paths)
        every = np.concatenate([own, *(each.fitted.group % GROUPS for each in chains)])
        return [int(group) for group in np.unique(every)]


def _parts(visits: Floats, exits: Floats, exit_rate: Floats, level: Floats) -> Floats:
    """Return w_f (a_f - a_clean) per state and class, and a_clean - a_ref in the place of the clean class."""
    total = visits.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        clean = np.where(
            visits[:, CLEAN_CLASS] > 0, exits[:, CLEAN_CLASS] / visits[:, CLEAN_CLASS], exit_rate
        )
        parts: Floats = (exits - visits * clean[:, None]) / total[:, None]
    parts[:, CLEAN_CLASS] = clean - level
    return parts


def _without_self(part: Floats, whole: Floats, peers: Int64s) -> Floats:
    """Return sum(part) / sum(whole) over the other states of the same stage; NaN without any."""
    known = peers >= 0
    stage = np.where(known, peers, 0)
    tops, bottoms = (np.bincount(stage, np.where(known, each, 0.0))[stage] - each for each in (part, whole))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known & (bottoms > 0), tops / bottoms, np.nan)
