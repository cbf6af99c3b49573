"""Which calendar periods each user is active in, by cohort. DEFINITIONS D9."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def retained(user_paths, starts, ends, times, periods, triangle):
    """Count users by (period of the first event, periods later), each once per period.

    `periods` are the ascending starts of the periods; all times are at or after the first of them.
    """
    for path in range(user_paths[0], user_paths[-1]):
        cohort, last, period = -1, -1, 0
        for i in range(starts[path], ends[path]):
            while period + 1 < periods.size and times[i] >= periods[period + 1]:
                period += 1
            if cohort < 0:
                cohort = period
            if period != last:
                triangle[cohort, period - cohort] += 1
                last = period
