"""The first numbers of a log. D2.5."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from tests.oracle.numbers import SECOND, Rows, mean, rate, seconds
from tests.oracle.ordering import order
from tests.oracle.sessions import sessions


def overview(rows: Rows, **options: Any) -> dict[str, Any]:
    """Counts, means and the bounce rate. Passive events are no part of a session's length. D2.5.

    Choice: users and events are all of the log, events outside any session included.
    """
    passive = options.get("passive", ())
    per_user = order(rows)
    cut = {user: sessions(own, **options) for user, own in per_user.items()}
    lengths = [active(session, passive) for own in cut.values() for session in own.sessions]
    return {
        "users": len(per_user),
        "sessions": len(lengths),
        "events": len(rows),
        "events_outside": sum(len(own.outside) for own in cut.values()),
        "sessions_per_user": rate(len(lengths), len(per_user)),
        "duration_mean": mean([seconds(own[-1]["time"] - own[0]["time"]) for own in lengths]),
        "events_per_session": rate(sum(len(own) for own in lengths), len(lengths)),
        "bounce_rate": rate(sum(len(own) == 1 for own in lengths), len(lengths)),
        "single_event_users": sum(len(own) == 1 for own in per_user.values()),
        "splits": dict(Counter(cause for own in cut.values() for cause in own.causes)),
    }


def active(session: Rows, passive: Collection[str]) -> Rows:
    """Rows of a session that are not passive. D2.2, D2.5."""
    return [row for row in session if row["event"] not in passive]


def engaged_rate(
    found: Sequence[Rows], views: Collection[str] = (), keys: Collection[str] = ()
) -> float | None:
    """Longer than 10 s, or two views, or a key event. D2.5."""
    engaged = 0
    for session in found:
        names = [row["event"] for row in session]
        long = session[-1]["time"] - session[0]["time"] > 10 * SECOND
        engaged += long or sum(name in views for name in names) >= 2 or any(name in keys for name in names)
    return rate(engaged, len(found))


def return_gaps(found: Sequence[Rows], until: int) -> list[tuple[float, bool]]:
    """Seconds to one user's next session and whether it came; the last is censored at the end. D2.5."""
    gaps = [(seconds(b[0]["time"] - a[-1]["time"]), True) for a, b in itertools.pairwise(found)]
    return gaps + [(seconds(until - session[-1]["time"]), False) for session in found[-1:]]
