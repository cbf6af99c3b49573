"""How well a chain fits paths: against the sum written out, and at its edges."""

from __future__ import annotations

import itertools
import math
import random

import pytest

import journeykit as jk
from journeykit.errors import UnknownNameError
from journeykit.models.chains.hypotheses import goodness_of_fit


@pytest.mark.parametrize("seed", range(5))
def test_the_sum_written_out(seed):
    draw = random.Random(seed)
    paths = [draw.choices(("a", "b", "<c>"), k=draw.randint(0, 12)) for _ in range(6)]
    chain = jk.MarkovChain.fit([*paths, ["a", "b", "a", "<c>", "b", "<c>", "a"]])
    triples = [tuple(path[i : i + 3]) for path in paths for i in range(len(path) - 2)]
    p = {(s, t): x for s, t, x in chain.edges().select("source", "target", "probability").iter_rows()}
    wanted = 0.0
    for a, b, c in itertools.product(("a", "b", "<c>"), repeat=3):
        expected = sum(one[:2] == (a, b) for one in triples) * p.get((b, c), 0.0)
        wanted += (triples.count((a, b, c)) - expected) ** 2 / expected if expected else 0.0
    found = goodness_of_fit(paths, chain)
    assert found.statistic == pytest.approx(wanted, rel=1e-9)
    degrees = len({*triples}) - len({t[:2] for t in triples}) + len({t[1] for t in triples}) - 1
    assert found.degrees_of_freedom == degrees


def test_a_move_that_the_chain_takes_for_impossible():
    chain = jk.MarkovChain.fit([["a", "b", "a", "b"]])
    assert goodness_of_fit([["a", "b", "a"]], chain)[:2] == (0.0, 0)
    found = goodness_of_fit([["a", "b", "b", "a", "b"]], chain)
    assert found.statistic == math.inf
    assert found.p_value == 0.0


def test_nothing_to_test():
    chain = jk.MarkovChain.fit([["a", "b"]])
    assert goodness_of_fit([], chain) == (0.0, 0, 1.0)
    assert goodness_of_fit([["a", "b"]], chain) == (0.0, 0, 1.0)


def test_a_state_that_the_chain_does_not_have():
    with pytest.raises(UnknownNameError) as error:
        goodness_of_fit([["a", "x"]], jk.MarkovChain.fit([["a", "b"]]))
    assert str(error.value) == "no state 'x' in this log. Available: 'a', 'b'."
