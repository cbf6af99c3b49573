"""The shape of paths: how varied, how repetitive. DEFINITIONS D8.13."""

from __future__ import annotations

import math

import numpy as np

from journeykit.kernels.compiling import kernel


@kernel
def subsequences(runs, last, logs):
    """Return log2 of how many distinct subsequences a list of states has, the empty one too.

    `last[state]` is where a state came last (from 1; 0 never) and is set back; `logs` has room for runs + 1.
    phi(n) = 2 phi(n - 1) - phi(last(n) - 1), in logarithms, since phi outgrows every number.
    """
    logs[0] = 0.0
    for i in range(runs.size):
        before = last[runs[i]]
        logs[i + 1] = logs[i] + 1.0
        if before > 0:
            logs[i + 1] += math.log2(1.0 - 2.0 ** (logs[before - 1] - logs[i] - 1.0))
        last[runs[i]] = i + 1
    for i in range(runs.size):
        last[runs[i]] = 0
    return logs[runs.size]


@kernel
def turbulence(log_phi, lengths):
    """Return log2(phi (s2max + 1) / (s2 + 1)), s2 the population variance of the lengths of the runs."""
    mean = lengths.mean()
    s2 = ((lengths - mean) ** 2).mean()
    s2max = (lengths.size - 1) * (1.0 - mean) ** 2
    return log_phi + math.log2((s2max + 1.0) / (s2 + 1.0))


@kernel
def entropy(runs, lengths, counts, events):
    """Return -sum p ln p over the states of a path, and how many distinct ones it has; `counts` is left at zero."""
    for i in range(runs.size):
        counts[runs[i]] += lengths[i]
    total, distinct = 0.0, 0
    for i in range(runs.size):
        if counts[runs[i]] > 0:
            p = counts[runs[i]] / events
            total -= p * math.log(p)
            distinct += 1
            counts[runs[i]] = 0
    return total, distinct


@kernel
def path_shapes(starts, ends, codes, alphabet, size, found):
    """Measure every path; `found` has a row per path: see `journeykit.statistics.paths.shape.MEASURES`."""
    longest = 0
    for path in range(starts.size):
        longest = max(longest, ends[path] - starts[path])
    runs, lengths = np.empty(longest, np.int64), np.empty(longest, np.float64)
    last, counts = np.zeros(size, np.int64), np.zeros(size, np.float64)
    logs = np.empty(longest + 1, np.float64)
    for path in range(starts.size):
        events, n, loops, back = ends[path] - starts[path], 0, 0, 0
        for i in range(starts[path], ends[path]):
            if n > 0 and runs[n - 1] == codes[i]:
                lengths[n - 1] += 1
                loops += 1
                continue
            back += i > starts[path] + 1 and codes[i - 2] == codes[i]
            runs[n], lengths[n] = codes[i], 1.0
            n += 1
        if n == 0:
            continue
        spread, distinct = entropy(runs[:n], lengths[:n], counts, events)
        h = spread / math.log(alphabet) if alphabet > 1 else np.nan
        winding = math.sqrt((n - 1) / (events - 1) * h) if events > 1 else np.nan
        whirl = turbulence(subsequences(runs[:n], last, logs), lengths[:n])
        found[path, 0], found[path, 1], found[path, 2] = events, distinct, n - 1
        found[path, 3], found[path, 4], found[path, 5] = h, winding, whirl
        found[path, 6], found[path, 7], found[path, 8] = loops, back, n - distinct
        found[path, 9] = lengths[:n].max()
