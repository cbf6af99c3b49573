"""Entries and rows of a part of a log, put apart by bucket of users."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.memory import copy_words, pack, unpack, words_of
from journeykit.kernels.ordering.user_ids import HASH, IDENTITY

GROUP_BITS = np.uint64(6)
ENTRIES, ROWS, WORDS = 0, 1, 2


@kernel
def bucket_entries(entries, sizes, hashes, per_group, text, buckets, counts):
    """Note the bucket of every entry of a piece; count by bucket its entries, their rows, the words of their texts.

    The bucket is by the jackknife group of the user, then by more of the stable hash. D12.1.
    """
    in_group = (np.uint64(1) << GROUP_BITS) - np.uint64(1)
    for i in range(hashes.size):
        bucket = (hashes[i] & in_group) * per_group + (hashes[i] >> GROUP_BITS) % per_group
        buckets[i] = bucket
        counts[bucket, ENTRIES] += 1
        counts[bucket, ROWS] += sizes[i]
        if text:
            counts[bucket, WORDS] += words_of(unpack(entries[i, IDENTITY])[1])


@kernel
def cut_entries(
    entries, sizes, buckets, first, places, text, numbers, out_entries, out_sizes, texts, address
):
    """Write the entries of a piece and their texts to their buckets; note the number of each entry there.

    The entries of a bucket begin at `first`; `places` says where its next entry and its next text go. `address` is
    where `texts` lies, to which the entries point afterwards.
    """
    for i in range(buckets.size):
        bucket, identity = buckets[i], entries[i, IDENTITY]
        place, at = places[bucket, ENTRIES], places[bucket, WORDS]
        places[bucket, ENTRIES] = place + 1
        numbers[i] = place - first[bucket]
        out_sizes[place] = sizes[i]
        out_entries[place, HASH] = entries[i, HASH]
        if text:
            length = unpack(identity)[1]
            copy_words(identity, texts, at)
            identity = pack(address + 8 * at, length)
            places[bucket, WORDS] = at + words_of(length)
        out_entries[place, IDENTITY] = identity


@kernel
def cut_rows(owners, buckets, numbers, times, codes, first, places, out_owners, out_times, out_codes, order):
    """Write the rows of a piece, which begins at row `first` of the part, to their buckets.

    `buckets` and `numbers` tell of every entry of the piece its bucket and its number there, `places` where the next
    row of every bucket goes; `order` notes which row of the part that is, unless it is empty.
    """
    noted = order.size > 0
    for i in range(owners.size):
        entry = owners[i]
        bucket = buckets[entry]
        place = places[bucket, ROWS]
        places[bucket, ROWS] = place + 1
        out_owners[place] = numbers[entry]
        out_times[place] = times[i]
        out_codes[place] = codes[i]
        if noted:
            order[place] = first + i
