"""Linked ids: their components, with or without rules that keep some apart; ids looked up. DEFINITIONS D1.8."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.memory import comes_before, same_text

NOBODY = -1
HASH, IDENTITY = 0, 1


@kernel
def root_of(parents, node):
    """Return the smallest node of a component, and shorten the way to it."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@kernel
def join(ones, others, parents):
    """Join the components of linked nodes; afterwards `parents` holds the smallest node of each one's component."""
    for i in range(ones.size):
        one, other = root_of(parents, ones[i]), root_of(parents, others[i])
        if one < other:
            parents[other] = one
        elif other < one:
            parents[one] = other
    for node in range(parents.size):
        parents[node] = root_of(parents, node)


@kernel
def agree(names, one, other):
    """Tell whether two components name no two different ids of one strong kind."""
    for kind in range(names.shape[1]):
        mine, theirs = names[one, kind], names[other, kind]
        if mine >= 0 and theirs >= 0 and mine != theirs:
            return False
    return True


@kernel
def join_apart(ones, others, most, names, sizes, parents):
    """Join as `join` does, link after link, but not where two strong ids or too many ids would come together.

    `names` holds the id of every strong kind that a component has, or `NOBODY`; `sizes` its number of ids. A size
    of at most `most`, or any if it is 0.
    """
    for i in range(ones.size):
        one, other = root_of(parents, ones[i]), root_of(parents, others[i])
        if one == other or not agree(names, one, other):
            continue
        if most > 0 and sizes[one] + sizes[other] > most:
            continue
        first, second = min(one, other), max(one, other)
        parents[second] = first
        sizes[first] += sizes[second]
        for kind in range(names.shape[1]):
            if names[first, kind] == NOBODY:
                names[first, kind] = names[second, kind]
    for node in range(parents.size):
        parents[node] = root_of(parents, node)


@kernel
def name_by_first(candidates, roots, identities, names):
    """Name every component by that of its candidates whose text comes first; `names` holds `NOBODY` at first."""
    for i in range(candidates.size):
        one = candidates[i]
        root = roots[one]
        if names[root] == NOBODY or comes_before(identities[one], identities[names[root]]):
            names[root] = one


@kernel
def note_joining(ones, others, times, parents, following, holds, since):
    """Note since when every node is joined with the chosen one of its component; links come in the order of time.

    `following` closes the members of a component to a ring, each alone at first; `holds` says which roots hold a chosen
    node. A node that is never joined with one keeps what `since` says.
    """
    for i in range(ones.size):
        one, other = root_of(parents, ones[i]), root_of(parents, others[i])
        if one == other:
            continue
        if holds[one] != holds[other]:
            late = other if holds[one] else one
            node = late
            while True:
                since[node] = times[i]
                node = following[node]
                if node == late:
                    break
        following[one], following[other] = following[other], following[one]
        first, second = min(one, other), max(one, other)
        parents[second] = first
        holds[first] = holds[one] or holds[other]


@kernel
def fill_table(hashes, table):
    """Give every id a place in a table of open addresses, whose size is a power of two."""
    mask = table.size - 1
    table[:] = NOBODY
    for i in range(hashes.size):
        slot = np.int64(hashes[i]) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = i


@kernel
def look_up(identities, hashes, known, known_hashes, table, found):
    """Find texts among known ones by their hash, and by comparing them: their numbers, or `NOBODY`."""
    mask = table.size - 1
    for i in range(identities.size):
        slot = np.int64(hashes[i]) & mask
        found[i] = NOBODY
        while table[slot] >= 0:
            number = table[slot]
            if known_hashes[number] == hashes[i] and same_text(known[number], identities[i]):
                found[i] = number
                break
            slot = (slot + 1) & mask


@kernel
def slices_at(numbers, times, offsets, starts, found):
    """Find the last slice of every numbered thing that starts at or before a time, or `NOBODY` without a number.

    The slices of a thing are in the order of their starts; its first one starts before all times.
    """
    for i in range(numbers.size):
        number = numbers[i]
        found[i] = NOBODY
        if number == NOBODY:
            continue
        low, high = offsets[number], offsets[number + 1] - 1
        while low < high:
            middle = (low + high + 1) // 2
            if starts[middle] <= times[i]:
                low = middle
            else:
                high = middle - 1
        found[i] = low
