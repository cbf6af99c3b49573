"""Small cells: nothing withheld follows from what is shown by one subtraction or division."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeykit.privacy.suppression import Sensitive, protect, suppress
from tests.oracle import suppression as oracle

pytestmark = pytest.mark.property

COUNTS = st.one_of(st.integers(0, 8), st.integers(0, 200))


@st.composite
def tables(draw):
    """Return a table of counts whose last row and column are its totals."""
    columns = draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(COUNTS, min_size=columns, max_size=columns), min_size=1, max_size=5))
    wide = [[*row, sum(row)] for row in rows]
    return [*wide, [sum(column) for column in zip(*wide, strict=True)]]


def protected(table, k):
    cells = {(str(j), i): value for i, row in enumerate(table) for j, value in enumerate(row)}
    lines = [[(str(j), i) for j in range(len(table[0]))] for i in range(len(table))]
    lines += [[(str(j), i) for i in range(len(table))] for j in range(len(table[0]))]
    found = protect(cells, [cell for cell, value in cells.items() if 1 <= value < k], lines)
    return {(i, int(j)) for j, i in found}


@given(tables(), st.integers(2, 10))
def test_no_withheld_cell_follows_from_one_line(table, k):
    hidden = protected(table, k)
    assert oracle.computable(table, hidden) == set()
    for i, row in enumerate(table):
        for j, value in enumerate(row):
            assert (i, j) in hidden or not 1 <= value < k
            assert (i, j) not in hidden or value > 0


@given(tables(), st.integers(2, 10))
def test_about_as_much_is_withheld_as_by_the_slow_twin(table, k):
    """Which line is mended first may change which cells are withheld, not that there are any."""
    assert bool(protected(table, k)) == bool(oracle.withheld(table, k))


@st.composite
def funnels(draw):
    """Return a frame of outcomes per segment, as answers have them."""
    parts = draw(st.lists(st.tuples(COUNTS, COUNTS, COUNTS), min_size=1, max_size=6))
    rows = [(sum(each), *each, each[0] / sum(each) if sum(each) else None) for each in parts]
    schema = dict.fromkeys(("reached", "converted", "abandoned", "open"), pl.Int64) | {"rate": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@given(funnels(), st.integers(2, 10))
def test_nothing_withheld_can_be_computed_from_its_row_or_column(frame, k):
    names = ("reached", "converted", "abandoned", "open")
    sensitive = Sensitive(
        {name: name for name in names},
        rates={"rate": ("converted", "reached")},
        sums=[("reached", names[1:])],
        down=("reached",),
    )
    found = suppress(frame, sensitive, k)
    hidden = found.withheld
    for row in range(frame.height):
        values, masks = frame.row(row, named=True), hidden.row(row, named=True)
        assert sum(masks[name] for name in names) != 1
        for name in names:
            assert masks[name] or not 1 <= values[name] < k
            assert not masks[name] or values[name] > 0
        if not masks["rate"] and values["rate"] is not None:
            rest = values["reached"] - values["converted"]
            assert not any((masks["converted"], masks["reached"], 0 < rest < k, 0 < values["converted"] < k))
            assert values["reached"] >= k
        # Two shown of numerator, denominator and what is left give the third.
        if 0 < values["reached"] - values["converted"] < k:
            assert masks["reached"] or (masks["converted"] and values["converted"])
    lonely = hidden["reached"].sum() == 1
    assert not lonely or frame["reached"].filter(~hidden["reached"]).sum() == 0
    for name in frame.columns:
        shown = found.frame[name]
        assert shown.is_null().to_list() == (hidden[name] | frame[name].is_null()).to_list()


@given(funnels(), st.integers(2, 10))
def test_zero_withholds_nothing(frame, k):
    found = suppress(frame, Sensitive({"reached": "reached"}), 0)
    assert found.frame.drop("suppressed").equals(frame)
    assert (found.cells, found.frame["suppressed"].any()) == (0, False)
