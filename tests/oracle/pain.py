"""The pain of touchpoints with exact fractions, from the definition. D15.6."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.oracle.chains import ABANDON, ExactChain, chain_moves, walk
from tests.oracle.paths import START, Path

CONVERT = "<CONVERT>"


class Pain(NamedTuple):
    """What one touchpoint loses; None where nothing can be told."""

    stage: Any
    visits: int
    exits: int
    exit_rate: Fraction | None
    level: Fraction | None
    staying: Fraction | None
    lost: Fraction | None
    base: Fraction | None
    parts: dict[str, Fraction]
    regained: Fraction | None


def ratio(part: Fraction | int, whole: Fraction | int) -> Fraction | None:
    return Fraction(part) / whole if whole else None


class Counts(NamedTuple):
    """Visits whose next step is known, and those that gave up, by name and class; visits by name and stage."""

    visits: Counter[tuple[str, str]]
    exits: Counter[tuple[str, str]]
    places: Counter[tuple[str, int]]

    def total(self, of: Counter[tuple[str, str]], name: str) -> int:
        return sum(count for (each, _), count in of.items() if each == name)

    def stage(self, name: str) -> int:
        """Where most visits are, the earlier stage of two; 0 is none."""
        own = {stage: count for (each, stage), count in self.places.items() if each == name and stage}
        return min(own, key=lambda stage: (-own[stage], stage), default=0)


def counts(
    walks: Sequence[tuple[Path, list[str]]], stages: Mapping[int, int], classes: Mapping[int, str]
) -> Counts:
    """Count along the walks; `stages` and `classes` are by the identity of the row."""
    found = Counts(Counter(), Counter(), Counter())
    for path, walked in walks:
        for i, name in enumerate(walked[1:]):
            if name in (CONVERT, ABANDON) or i + 2 >= len(walked):
                continue
            row = id(path.items[i].row)
            found.visits[name, classes[row]] += 1
            found.exits[name, classes[row]] += walked[i + 2] == ABANDON
            found.places[name, stages.get(row, 0)] += 1
    return found


def pains(
    paths: Sequence[Path],
    goals: Collection[str],
    stages: Mapping[int, int],
    classes: Mapping[int, str],
    censor: bool,
    targets: Mapping[str, Fraction | None],
) -> tuple[dict[str, Pain], Fraction | None]:
    """Pain by touchpoint, and what is regained if all that lose were at their level together."""
    ends = {CONVERT: set(goals)}
    chain = ExactChain(chain_moves(paths, ends, censor=censor), [CONVERT, ABANDON])
    walks = [(path, walked) for path in paths if (walked := walk(path, ends, censor=censor))]
    counted, chance, n = counts(walks, stages, classes), chain.absorbed(CONVERT), len(walks)
    names = [name for name in chain.states if name != START]
    stage = {name: counted.stage(name) for name in names}
    total = {name: counted.total(counted.visits, name) for name in names}
    lost = {name: counted.total(counted.exits, name) for name in names}
    found: dict[str, Pain] = {}
    for name in names:
        peers = [each for each in names if stage[each] == stage[name] and each != name]
        everybody = sum(total[each] for each in peers)
        level = targets.get(name, ratio(sum(lost[each] for each in peers), everybody))
        rate = Fraction(lost[name], total[name])
        staying = ratio(chance[name], 1 - rate) or ratio(
            sum(total[each] * chance[each] for each in peers), everybody
        )
        pain = Pain(stage[name], total[name], lost[name], rate, level, staying, None, None, {}, None)
        if level is not None and staying is not None:
            pain = divided(pain, name, counted, n * chain.visits(START, name) * staying)
        if level is not None and rate < 1:
            pain = pain._replace(regained=gained(chain, chain.changed(name, ABANDON, level), n))
        found[name] = pain
    together = chain
    for name, pain in found.items():
        assert pain.exit_rate is not None
        if pain.lost is not None and pain.lost > 0 and pain.level is not None and pain.exit_rate < 1:
            together = together.changed(name, ABANDON, pain.level)
    return found, gained(chain, together, n)


def gained(before: ExactChain, after: ExactChain, n: int) -> Fraction | None:
    """How many conversions more; None if paths would go on forever."""
    reached = set(after.ends)
    for _ in after.states:
        reached |= {a for (a, b), p in after.p.items() if p > 0 and b in reached}
    if not set(after.states) <= reached:
        return None
    return n * (after.absorbed(CONVERT)[START] - before.absorbed(CONVERT)[START])


def divided(pain: Pain, name: str, counted: Counts, scale: Fraction) -> Pain:
    """Divide a pain into its base and a part for every class of friction."""
    assert pain.exit_rate is not None
    assert pain.level is not None
    own = {
        kind: (count, counted.exits[name, kind])
        for (each, kind), count in counted.visits.items()
        if each == name
    }
    clean = Fraction(own["clean"][1], own["clean"][0]) if "clean" in own else pain.exit_rate
    parts = {
        kind: scale * Fraction(count, pain.visits) * (Fraction(out, count) - clean)
        for kind, (count, out) in own.items()
        if kind != "clean"
    }
    return pain._replace(
        lost=scale * (pain.exit_rate - pain.level), base=scale * (clean - pain.level), parts=parts
    )
