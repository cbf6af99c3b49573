"""Codes of one dictionary replaced by those of another."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def mark_codes(codes, present):
    """Mark the codes that occur."""
    for code in codes:
        present[code] = True


@kernel
def recode(codes, table, recoded):
    """Replace every code by what the table has at its place."""
    for i in range(codes.size):
        recoded[i] = table[codes[i]]
