"""Paths of a unit and the sequence that cleans them. D3."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tests.oracle.numbers import Row, Rows
from tests.oracle.ordering import order
from tests.oracle.sessions import MINUTE, column_sessions, sessions

START, END, OTHER = "<START>", "<END>", "<OTHER>"


class Item(NamedTuple):
    """One event of a path; session is (user, number) or None; run is the length of a collapsed run."""

    name: str
    time: int | None
    session: tuple[Any, int] | None
    row: Row | None = None
    run: int = 1


Wanted = str | Callable[[Item], bool] | None


class Path(NamedTuple):
    """The events of one unit in order. D3.1."""

    user: Any
    items: tuple[Item, ...]
    open: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names without START and END."""
        return tuple(item.name for item in self.items)


def session_paths(rows: Rows, until: int | None = None, **options: Any) -> list[Path]:
    """One path per session cut by D2.1; open by D2.5."""
    timeout = options.get("timeout", 30 * MINUTE)
    inclusive = options.get("timeout_inclusive", False)
    passive = options.get("passive", ())
    last = end_of(rows, until)
    found = []
    for user, own in order(rows).items():
        for number, session in enumerate(sessions(own, **options).sessions, 1):
            quiet = last - [row for row in session if row["event"] not in passive][-1]["time"]
            is_open = timeout is None or (quiet < timeout if inclusive else quiet <= timeout)
            found.append(path(user, session, [(user, number)] * len(session), is_open))
    return found


def column_paths(rows: Rows, null_session: str = "raise", **options: Any) -> list[Path]:
    """One path per session of the log's own column, all closed. D2.3."""
    found = []
    for user, own in order(rows).items():
        for number, session in enumerate(column_sessions(own, null_session, **options).sessions, 1):
            found.append(path(user, session, [(user, number)] * len(session), False))
    return found


def user_paths(
    rows: Rows, until: int | None = None, horizon: int | None = None, **options: Any
) -> list[Path]:
    """One path per user; open while the last event is younger than the horizon. D3.5."""
    last = end_of(rows, until)
    found = []
    for user, own in order(rows).items():
        number_of = {
            id(row): (user, number)
            for number, session in enumerate(sessions(own, **options).sessions, 1)
            for row in session
        }
        is_open = horizon is not None and last - own[-1]["time"] < horizon
        found.append(path(user, own, [number_of.get(id(row)) for row in own], is_open))
    return found


def end_of(rows: Rows, until: int | None) -> int:
    """T of D1.6."""
    return until if until is not None else max((row["time"] for row in rows), default=0)


def path(user: Any, rows: Rows, numbers: Sequence[tuple[Any, int] | None], is_open: bool) -> Path:
    """Make a path of rows and their session numbers."""
    items = (Item(row["event"], row["time"], number, row) for row, number in zip(rows, numbers, strict=True))
    return Path(user, tuple(items), is_open)


def clean(
    paths: Sequence[Path],
    keep_row: Callable[[Row], bool | None] | None = None,
    rename: Sequence[tuple[str, str]] = (),
    wildcards: Sequence[str] = (),
    exclude: Collection[str] = (),
    collapse_repeats: str | None = None,
    start: str | None = None,
    end: str | None = None,
    occurrence: str | int = "first",
    limit: int | None = None,
) -> tuple[list[Path], int]:
    """Apply the sequence of D3.3; return the paths that are left and how many disappeared."""
    kept = []
    for one in paths:
        items = [item for item in one.items if keep_row is None or (item.row and keep_row(item.row) is True)]
        items = [item._replace(name=renamed(item.name, rename, wildcards)) for item in items]
        items = [item for item in items if item.name not in exclude]
        if collapse_repeats:
            items = collapse(items, collapse_repeats)
        items = anchor(items, start, end, occurrence, limit)
        if items:
            kept.append(one._replace(items=tuple(items)))
    return kept, len(paths) - len(kept)


def renamed(name: str, rename: Sequence[tuple[str, str]], wildcards: Sequence[str]) -> str:
    """Regex rules one after another, then the first wildcard group found anywhere in the name. D3.3."""
    for pattern, replacement in rename:
        name = re.sub(pattern, replacement, name)
    for wildcard in wildcards:
        if re.search(".*".join(re.escape(part) for part in wildcard.split("*")), name, re.DOTALL):
            return wildcard
    return name


def collapse(items: Sequence[Item], keep: str = "first") -> list[Item]:
    """A run of equal names becomes its first or last event; the length of the run is kept. D3.3."""
    runs: list[Item] = []
    for item in items:
        if runs and runs[-1].name == item.name:
            kept = runs[-1] if keep == "first" else item
            runs[-1] = kept._replace(run=runs[-1].run + item.run)
        else:
            runs.append(item)
    return runs


def anchor(
    items: Sequence[Item],
    start: Wanted,
    end: Wanted,
    occurrence: str | int = "first",
    limit: int | None = None,
) -> list[Item]:
    """Cut to the anchors (a name, or what says of an item whether it is one) and the limit; empty without. D3.4.

    Choices: the end is searched strictly after the start event; the occurrence is that of the start.
    """
    kept = list(items)
    if start is not None:
        at = [position for position, item in enumerate(kept) if meant(item, start)]
        wanted = {"first": 0, "last": len(at) - 1}.get(str(occurrence), occurrence)
        number = wanted if isinstance(occurrence, str) else int(occurrence) - 1
        if not at or not 0 <= int(number) < len(at):
            return []
        kept = kept[at[int(number)] :]
    if end is not None:
        after = [i for i, item in enumerate(kept) if meant(item, end) and (start is None or i > 0)]
        if not after:
            return []
        kept = kept[: after[0] + 1]
    return limited(kept, start is not None, end is not None, limit)


def meant(item: Item, wanted: Wanted) -> bool:
    """Tell whether an item is what is wanted."""
    return wanted(item) if callable(wanted) else item.name == wanted


def limited(items: list[Item], has_start: bool, has_end: bool, limit: int | None) -> list[Item]:
    """First items, or last ones before an end, or both halves around <OTHER>. D3.4.

    Choice: <OTHER> has the time of the first event it stands for (as PostHog has).
    """
    if limit is None or len(items) <= limit:
        return items
    if has_start and has_end:
        half = limit // 2
        hidden = items[half : len(items) - half]
        return [*items[:half], Item(OTHER, hidden[0].time, None), *items[len(items) - half :]]
    return items[len(items) - limit :] if has_end else items[:limit]
