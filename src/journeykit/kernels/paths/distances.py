"""How unlike two paths are. DEFINITIONS D6.7."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def edit_distances(offsets, states, row, distances):
    """Write the Levenshtein distance between every two paths, divided by the longer length; `row` has room for one.

    Path p is ``states[offsets[p]:offsets[p + 1]]``, none of them empty.
    """
    paths = offsets.size - 1
    for a in range(paths):
        distances[a, a] = 0.0
        for b in range(a):
            first, width = offsets[b], offsets[b + 1] - offsets[b]
            for j in range(width + 1):
                row[j] = j
            for i in range(offsets[a], offsets[a + 1]):
                diagonal = row[0]
                row[0] += 1
                for j in range(1, width + 1):
                    changed = diagonal + (states[i] != states[first + j - 1])
                    diagonal = row[j]
                    row[j] = min(changed, row[j] + 1, row[j - 1] + 1)
            longer = max(width, offsets[a + 1] - offsets[a])
            distances[a, b] = distances[b, a] = row[width] / longer
