"""Logs for tests: hypothesis strategies shaped like real logs, small logs worked out by hand, rows to polars.

A log is a list of rows as in `tests.oracle`, in input order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import polars as pl
from hypothesis import strategies as st

Row: TypeAlias = dict[str, Any]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TIMEOUT = 30 * MINUTE

PLAIN_NAMES = ("view", "search", "cart", "purchase", "help", "signup")
HOSTILE_NAMES = (
    "",
    " ",
    "<script>alert(1)</script>",
    "say \"yes\" & 'no'",
    "two\nlines",
    "tab\tand\\n",
    "🛒",
    "👩\u200d💻 développé",
    "שלום",
    "\u202egnihcaer",
    "é",
    "e\u0301",
    "a > b",
    "{{ event }}",
    "'; DROP TABLE events; --",
    "null",
    "View",
    "*",
    "nul\x00byte",
)
STRING_USERS = ("u1", "u10", "u2", "", "é", "<b>Ann</b>", "two\nlines", "007", "7", "🙂")
INTEGER_USERS = (1, 2, 10, 0, -5, 42, 2**62, -(2**63))

# Two days before the clocks change in Berlin, the turn of a year, the last second of a week, before 1970.
BASES = (
    1_711_670_400 * SECOND,
    1_704_067_199 * SECOND + 999_999,
    1_704_671_999 * SECOND,
    -10 * DAY,
    0,
)
GAPS = (
    0,
    0,
    1,
    SECOND,
    10 * SECOND,
    5 * MINUTE,
    TIMEOUT - 1,
    TIMEOUT,
    TIMEOUT + 1,
    3 * HOUR,
    DAY,
    7 * DAY,
    31 * DAY,
)


def event_names(max_names: int = 6) -> st.SearchStrategy[list[str]]:
    """Return a small vocabulary, plain and hostile names together, so that events come back."""
    return st.lists(st.sampled_from(PLAIN_NAMES + HOSTILE_NAMES), min_size=1, max_size=max_names, unique=True)


def user_ids(max_users: int = 5) -> st.SearchStrategy[list[Any]]:
    """Return distinct ids, all strings or all integers."""
    return st.one_of(
        st.lists(st.sampled_from(STRING_USERS), min_size=1, max_size=max_users, unique=True),
        st.lists(st.sampled_from(INTEGER_USERS), min_size=1, max_size=max_users, unique=True),
    )


@st.composite
def logs(
    draw: st.DrawFn,
    min_events: int = 0,
    max_events: int = 40,
    max_users: int = 5,
    names: Sequence[str] | None = None,
    with_order: bool = False,
    with_session: bool = False,
    with_properties: bool = False,
    time_ordered: bool = False,
) -> list[Row]:
    """Draw a log: the first user has half of the events, others often one; ties, repeats, exact timeouts.

    Unless `time_ordered`, the input rows come in any order; rows of one user and time are ordered by
    their place.
    """
    users = draw(user_ids(max_users))
    vocabulary = list(names) if names is not None else draw(event_names())
    heavy = [0] * len(users) + list(range(len(users)))
    column: dict[str, st.SearchStrategy[Any]] = {
        "user": st.sampled_from(heavy),
        "gap": st.sampled_from(GAPS),
        "event": st.sampled_from(vocabulary),
    }
    if with_order:
        column["order"] = st.sampled_from((None, 0, 1, 1, 2, -3))
    if with_session:
        column["session"] = st.sampled_from((None, "s1", "s1", "s2", "s2", ""))
    if with_properties:
        column |= {
            "device": st.sampled_from((None, "mobile", "desktop", "<i>")),
            "value": st.sampled_from((None, 0.0, 12.5, -3.0)),
            "campaign": st.sampled_from((None, None, "spring", "fall")),
        }
    # Lists alone are mostly short; a drawn length makes half of the logs long enough for several sessions.
    length = draw(st.integers(min_events, max(min_events, max_events // 2)))
    drawn = draw(st.lists(st.fixed_dictionaries(column), min_size=length, max_size=max_events))
    clock = dict.fromkeys(range(len(users)), draw(st.sampled_from(BASES)))
    rows = []
    for one in drawn:
        clock[one["user"]] += one.pop("gap")
        rows.append({**one, "user": users[one["user"]], "time": clock[one["user"]]})
    return sorted(rows, key=lambda row: row["time"]) if time_ordered else draw(shuffled(rows))


def shuffled(rows: list[Row]) -> st.SearchStrategy[list[Row]]:
    """Return the rows as they are, by time, by user, backwards, or in any order."""
    by_time = sorted(rows, key=lambda row: row["time"])
    by_user = sorted(rows, key=lambda row: (str(row["user"]), row["time"]))
    return st.one_of(st.sampled_from((rows, by_time, by_user, rows[::-1])), st.permutations(rows))


TYPES: dict[str, pl.DataType] = {
    "time": pl.Datetime("us", "UTC"),
    "event": pl.String(),
    "order": pl.Int64(),
    "device": pl.String(),
    "value": pl.Float64(),
    "campaign": pl.String(),
}


def frame(rows: Sequence[Row], columns: Sequence[str] = (), user: pl.DataType | None = None) -> pl.DataFrame:
    """Return rows as polars: user, time, event, the other columns of the rows, then the `columns` asked for.

    Ids are Int64 if the first one is an integer, else String; `user` overrides it, as for an empty log.
    """
    extra = dict.fromkeys(key for row in rows for key in row if key not in ("user", "time", "event"))
    names = ["user", "time", "event", *(extra | dict.fromkeys(columns))]
    schema = {name: TYPES.get(name, own_type(rows, name)) for name in names} | (
        {"user": user} if user else {}
    )
    data = {name: [row.get(name) for row in rows] for name in names if name != "time"}
    times = pl.Series("time", [row["time"] for row in rows], dtype=pl.Int64)
    own = pl.DataFrame(
        {"time": times.cast(schema["time"]), **{n: pl.Series(n, v, dtype=schema[n]) for n, v in data.items()}}
    )
    return own.select(names)


def own_type(rows: Sequence[Row], name: str) -> pl.DataType:
    """Int64, Float64 or String by the first value that is not null."""
    value = next((row[name] for row in rows if row.get(name) is not None), None)
    for kind, dtype in ((bool, pl.Boolean()), (int, pl.Int64()), (float, pl.Float64())):
        if isinstance(value, kind):
            return dtype
    return pl.String()


def log(text: str) -> list[Row]:
    """Rows of a text like ``"ann 0 view; ann 5 cart"``: user, minutes since 2024-01-01 (a Monday), event."""
    monday = 1_704_067_200 * SECOND
    rows = []
    for line in text.replace("\n", ";").split(";"):
        if line.strip():
            user, minutes, event = line.split()
            rows.append({"user": user, "time": monday + round(float(minutes) * MINUTE), "event": event})
    return rows


# Three users, four sessions at 30 minutes, T = minute 200.
#   ann  session 1: view 0, view 2, cart 5, purchase 35 (the gap of exactly 30 minutes does not cut)
#        session 2: view 66 (31 minutes after purchase)
#   bob  session 1: search 10, view 10 (a tie), cart 14
#   cid  session 1: view 200 (one event)
# Transitions in sessions:
#   START>view 3, START>search 1; view>view 1, view>cart 2, cart>purchase 1, search>view 1;
#   purchase>END 1, view>END 2, cart>END 1. Events 9, paths 4, transitions 9 + 4 = 13.
#   Leaving view: 1 + 2 + 2 = 5, so p(cart given view) = 2/5 and the exit rate of view is 2/5.
#   Times view>cart: ann 5 - 2 = 3 min, bob 14 - 10 = 4 min: mean and median 210 s.
# Transitions of users: as above, with purchase>view 1 in place of purchase>END and one START>view: 12 in all.
SMALL_SHOP = log(
    """
    ann 0 view
    bob 10 search
    bob 10 view
    ann 2 view
    ann 5 cart
    cid 200 view
    bob 14 cart
    ann 35 purchase
    ann 66 view
    """
)

# Six users for a goal `purchase` after `cart`, T = minute 1000, horizon 100 minutes.
#   a  cart 0, purchase 50                       converted after 50 min
#   b  cart 0, view 10                           abandoned: silent since 10; gave up at 110
#   c  cart 0, view 150, purchase 160            converted, resumed (silent for 150); first gave up at 100
#   d  cart 950                                  open (50 minutes of silence)
#   e  purchase 5, cart 880, view 900            abandoned: silence of exactly the horizon, T - 900 = 100;
#                                                its purchase was earlier; gave up at 1000, 120 after r
#   f  view 1000                                 never had a cart
# reached 5, converted 2, abandoned 2, open 1, resumed 1; abandonment rate 2/4; conversion share 2/5.
# Horizon 25: d was silent for 50, so abandoned 3, open 0: rate 3/5. Horizon 50: d exactly 50, the same.
# Horizon 200: e is open (100 < 200): abandoned 1 (b), rate 1/3. Horizon 400: the same.
# Last events of the abandoned: view, view. Reached with view at or after the cart: b, c, e: rate 2/3.
ABANDONED_CARTS = log(
    """
    a 0 cart; a 50 purchase
    b 0 cart; b 10 view
    c 0 cart; c 150 view; c 160 purchase
    d 950 cart
    e 5 purchase; e 880 cart; e 900 view
    f 1000 view
    """
)

# One user on the stages 1 awareness (ad), 2 consideration (view), 3 purchase (buy), 4 loyalty (second buy).
#   minute  event  matched current furthest
#   0       ping   -       -       -
#   1       view   2       2       2          late entry
#   3       ping   -       2       2
#   4       ad     1       1       2          regress
#   10      buy    3       3       3          skip over 2
#   20      view   2       2       3          regress, re-entry
#   26      buy    4       4       4          skip over 3
#   60      ping   -       4       4          a new session (34 minutes)
# Dwell: 2: 3 and 6 min; 1: 6; 3: 10; 4: open since 26.
STAGE_WALK = log("z 0 ping; z 1 view; z 3 ping; z 4 ad; z 10 buy; z 20 view; z 26 buy; z 60 ping")

# Weeks of 2024-01-01 and after; minutes 10080 = one week. T = minute 21000, inside the third week.
#   p: weeks 0, 1, 2     q: weeks 0, 2     r: week 1 only
# Cohort week 0: 2 users, then 1, then 2 (not complete). Cohort week 1: 1 user, then 0 (not complete).
THREE_WEEKS = log("p 0 view; q 5 view; p 10080 view; r 20159 view; p 20160 view; q 21000 view")

# A funnel a > b > c in 10 minutes (inclusive) where the first start is not the best one.
#   u: a 0, a 5, b 9, c 15: from 0 only b is in time; from 5 c is just in time: level 3, positions 1, 2, 3.
#   v: b 0, a 0 (tie, b before a), c 3: by input order level 1; with ties="any" a then b then c: level 3.
#   w: c 0, a 1, b 12: b is one minute late: level 1.
RESTARTED_FUNNEL = log("u 0 a; u 5 a; u 9 b; u 15 c; v 0 b; v 0 a; v 3 c; w 0 c; w 1 a; w 12 b")

EMPTY: list[Row] = []
