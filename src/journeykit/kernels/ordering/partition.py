"""Rows of a part of a log, put apart by bucket of users."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def cut_rows(owners, buckets, numbers, times, codes, first, places, out_owners, out_times, out_codes, order):
    """Write the rows of a piece, which begins at row `first` of the part, to their buckets.

    `buckets` and `numbers` tell of every entry of the piece its bucket and its number there, `places` where the next
    row of every bucket goes; `order` notes which row of the part that is.
    """
    for i in range(owners.size):
        entry = owners[i]
        bucket = buckets[entry]
        place = places[bucket]
        places[bucket] = place + 1
        out_owners[place] = numbers[entry]
        out_times[place] = times[i]
        out_codes[place] = codes[i]
        order[place] = first + i
