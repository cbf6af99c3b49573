"""A few broken exports for every reader; ``python -m tests.fuzz_exports`` reads thousands."""

from __future__ import annotations

import pytest

from tests.fuzz_exports import fuzz, seeds


@pytest.mark.property
@pytest.mark.parametrize("name", sorted(seeds()))
def test_only_our_errors_come_out(name):
    results, _ = fuzz(name, 30, seed=1)
    assert results.total() == 30
    assert len(results) > 1
