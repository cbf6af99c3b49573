"""Touches before conversions: which they are, what credit each gets, how one leads to the next. DEFINITIONS D11."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

UNIQUE, EXPOSURE, FIRST_ONLY = range(3)
FIRST, LAST, LAST_NON, LINEAR, DISTINCT, POSITION, DECAY, PARTICIPATION = range(8)


@kernel
def keep_first_touches(starts, ends, codes, masks, channels, kept):
    """Mark the first touch (bit 1 of a mask, with a channel) of every path in `kept`."""
    for path in range(starts.size):
        for i in range(starts[path], ends[path]):
            if masks[codes[i]] & 2 and channels[i] >= 0:
                kept[i] = 1
                break


@kernel
def list_touch_paths(starts, ends, times, codes, masks, channels, kept, rule, touches, spans):
    """List the touches of every path and the spans of them that lead to a goal, or to none; return how many spans.

    Bit 0 of a mask is a goal, bit 1 a touch; `kept` marks the touches that count, or is empty. `rule` = (longest
    time to the goal, touches start anew after a goal). `touches` = (channels, times); `spans` = (first touch, the one
    after the last, path, position of the goal or -1). D11.1.
    """
    lookback, reset = rule
    touch_codes, touch_times = touches
    firsts, lasts, owners, goals = spans
    n, t = 0, 0
    for path in range(starts.size):
        floor = tail = t
        for i in range(starts[path], ends[path]):
            fits = masks[codes[i]]
            if fits & 1:
                firsts[n] = floor + np.searchsorted(touch_times[floor:t], times[i] - lookback)
                lasts[n], owners[n], goals[n] = t, path, i
                n += 1
            if fits & 2 and channels[i] >= 0 and (kept.size == 0 or kept[i]):
                touch_codes[t], touch_times[t] = channels[i], times[i]
                t += 1
            if fits & 1:
                tail = t
                floor = t if reset else floor
        if t > tail:
            firsts[n] = tail + np.searchsorted(touch_times[tail:t], touch_times[t - 1] - lookback)
            lasts[n], owners[n], goals[n] = t, path, -1
            n += 1
    return n


@kernel
def count_outcomes(firsts, lasts, owners, cells, conversions, nulls, values, table, seen):
    """Count per cell: conversions, paths without, conversions without touches, values of both, users, who converted.

    `seen` remembers the user met last in each cell, and the one that converted.
    """
    for span in range(firsts.size):
        cell = cells[span]
        value = values[span] if values.size > 0 else 0.0
        table[cell, 0] += conversions[span]
        table[cell, 1] += nulls[span]
        table[cell, 2] += value
        if firsts[span] == lasts[span]:
            table[cell, 3] += conversions[span]
            table[cell, 4] += value
        if owners.size > 0:
            user = owners[span] + 1
            table[cell, 5] += seen[cell, 0] != user
            seen[cell, 0] = user
            if conversions[span] > 0:
                table[cell, 6] += seen[cell, 1] != user
                seen[cell, 1] = user


@kernel
def copy_touches(codes, times, first, last, transform, stamp, seen, room):
    """Copy the touches of a span as its transform wants them; return how many there are. D8.12.

    `seen` holds the stamp of the last span that had a channel. `room` = (codes, times, first of its channel).
    """
    copied, copied_times, is_first = room
    m = 0
    for i in range(first, last):
        fresh = seen[codes[i]] != stamp
        if transform == FIRST_ONLY and not fresh:
            continue
        if transform == EXPOSURE and m > 0 and copied[m - 1] == codes[i]:
            continue
        seen[codes[i]] = stamp
        copied[m], is_first[m] = codes[i], fresh
        if times.size > 0:
            copied_times[m] = times[i]
        m += 1
    return m


@kernel
def position_weight(i, m, outer):
    """Return the weight of position i of m, given those of the first, the middle and the last. D11.2."""
    first, middle, last = outer
    if m == 1:
        return 1.0
    if m == 2:
        return (first if i == 0 else last) / (first + last)
    return first if i == 0 else last if i == m - 1 else middle / (m - 2)


@kernel
def of_all_touches(kind, numbers, copied, times, m):
    """Return what the weights of a model need to know of all m touches together; 0 if nothing. D11.2.

    The last touch of another channel than numbers[0], the last one if there is none; or the sum of decayed weights.
    These are taken from the last touch on, so that they are not all 0.
    """
    if kind == LAST_NON:
        for i in range(m - 1, -1, -1):
            if copied[i] != numbers[0]:
                return np.float64(i)
        return np.float64(m - 1)
    total = 0.0
    if kind == DECAY:
        for i in range(m):
            total += 2.0 ** ((times[i] - times[m - 1]) / numbers[0])
    return total


@kernel
def touch_weight(kind, numbers, i, m, age, distinct, is_first, of_all):
    """Return the weight of touch i of m, so many microseconds older than the last one. D11.2."""
    if kind == FIRST:
        return 1.0 if i == 0 else 0.0
    if kind == LAST:
        return 1.0 if i == m - 1 else 0.0
    if kind == LAST_NON:
        return 1.0 if i == of_all else 0.0
    if kind == LINEAR:
        return 1.0 / m
    if kind == DISTINCT:
        return 1.0 / distinct if is_first else 0.0
    if kind == POSITION:
        return position_weight(i, m, (numbers[0], numbers[1], numbers[2]))
    if kind == DECAY:
        return 2.0 ** (-age / numbers[0]) / of_all
    return 1.0 if is_first else 0.0


@kernel
def credit_touches(spans, cells, amounts, touches, models, rule, seen, room, keys, rows, table):
    """Add every touch, and its credit by every model, to the row of its cell and channel.

    `spans` = (firsts, lasts); `amounts` = (conversions, values or none). `models` = (kinds, three numbers each, room
    for one more); `rule` = (channels, transform). A row: touches, then conversions and value of every model. D11.2.
    """
    firsts, lasts = spans
    conversions, values = amounts
    kinds, numbers, of_all = models
    size, transform = rule
    copied, times, is_first = room
    for span in range(firsts.size):
        m = copy_touches(touches[0], touches[1], firsts[span], lasts[span], transform, span + 1, seen, room)
        amount = np.float64(conversions[span])
        value = values[span] if values.size > 0 else 0.0
        distinct = 0
        for i in range(m):
            distinct += is_first[i]
        for model in range(kinds.size):
            of_all[model] = of_all_touches(kinds[model], numbers[model], copied, times, m)
        for i in range(m):
            row = slot_of(keys, rows, cells[span] * size + copied[i])
            table[row, 0] += 1
            if amount == 0 and value == 0:
                continue
            age = np.float64(times[m - 1] - times[i]) if touches[1].size > 0 else 0.0
            for model in range(kinds.size):
                weight = touch_weight(
                    kinds[model], numbers[model], i, m, age, distinct, is_first[i], of_all[model]
                )
                table[row, 1 + 2 * model] += weight * amount
                table[row, 2 + 2 * model] += weight * value


@kernel
def credit_places(spans, cells, amounts, touches, rule, seen, room, keys, rows, table):
    """Share every conversion among its distinct channels, by the place at which each came first. Ordered Shapley."""
    firsts, lasts = spans
    conversions, values = amounts
    size, transform = rule
    copied, is_first = room[0], room[2]
    for span in range(firsts.size):
        if conversions[span] == 0:
            continue
        m = copy_touches(touches[0], touches[1], firsts[span], lasts[span], transform, span + 1, seen, room)
        distinct, place = 0, 0
        for i in range(m):
            distinct += is_first[i]
        for i in range(m):
            if is_first[i]:
                row = slot_of(keys, rows, (cells[span] * size + copied[i]) * size + place)
                table[row, 0] += conversions[span] / distinct
                table[row, 1] += values[span] / distinct if values.size > 0 else 0.0
                place += 1


@kernel
def count_touch_moves(spans, cells, amounts, touches, rule, seen, room, keys, rows, table):
    """Count how the last touches lead to the next one, to a conversion, or to none. D4.3, D10.1, D11.3.

    `amounts` = (conversions, nulls); `rule` = (channels, transform, states). A state has the digits of its last
    touches in base channels + 1, 0 for none; the targets after the channels are conversion and abandonment.
    """
    firsts, lasts = spans
    conversions, nulls = amounts
    size, transform, states = rule
    copied = room[0]
    for span in range(firsts.size):
        m = copy_touches(touches[0], touches[1], firsts[span], lasts[span], transform, span + 1, seen, room)
        if m == 0:
            continue
        weight = np.float64(conversions[span]) + np.float64(nulls[span])
        state = np.int64(0)
        for i in range(m):
            code = np.int64(copied[i])
            row = slot_of(keys, rows, (cells[span] * states + state) * (size + 2) + code)
            table[row, 0] += weight
            state = (state * (size + 1) + code + 1) % states
        base = (cells[span] * states + state) * (size + 2) + size
        if conversions[span] > 0:
            table[slot_of(keys, rows, base), 0] += conversions[span]
        if nulls[span] > 0:
            table[slot_of(keys, rows, base + 1), 0] += nulls[span]


@kernel
def solve_removals(offsets, targets, shares, won, keep, rule, found):
    """Find P(convert) from every state in several chains at once; return the sweeps it took, -1 if it did not settle.

    The moves out of state s are ``offsets[s]`` to ``offsets[s + 1]``: their `targets` (-1: the path ends), `shares` of
    the moves of s, and whether they are `won`. ``keep[s, c]`` is 0 where paths of chain c end at state s, else 1.
    `rule` = (most sweeps, what error is left). Gauss and Seidel: each sweep uses what it has found itself.
    """
    most, tolerance = rule
    columns = keep.shape[1]
    row = np.zeros(columns)
    before, slower = np.inf, 1.0
    for sweep in range(most):
        change = 0.0
        for s in range(keep.shape[0] - 1, -1, -1):
            ended = 0.0
            row[:] = 0.0
            for edge in range(offsets[s], offsets[s + 1]):
                share, target = shares[edge], targets[edge]
                if target >= 0:
                    for c in range(columns):
                        row[c] += share * found[target, c]
                elif won[edge]:
                    ended += share
            for c in range(columns):
                new = (row[c] + ended) * keep[s, c]
                change = max(change, abs(new - found[s, c]))
                found[s, c] = new
        rate = change / before if sweep > 0 else 1.0
        slowest = max(rate, slower)
        if change == 0.0 or (slowest < 1.0 and change * slowest / (1.0 - slowest) < tolerance):
            return sweep + 1
        before, slower = change, rate
    return -1
