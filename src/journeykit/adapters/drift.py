"""What changed from file to file of an export: columns that come later, types that turn into others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from journeykit.adapters.sampling import NESTED

Looked = tuple[Sequence[str], Mapping[str, str]]
"""Some files, and of what kind the places are that they have."""


def notes(looked: Sequence[Looked]) -> list[str]:
    """Say which of the places in use differ between files, one sentence for each.

    Parameters
    ----------
    looked : sequence of (files, kinds)
        The files looked at, those of equal columns together.

    Examples
    --------
    >>> notes([(["a.csv"], {"id": "Int64"}), (["b.csv"], {"id": "String"}), (["c.csv"], {})])
    ["'id' is missing in 'c.csv', 1 of 3 files looked at", "'id' is Int64 in 'a.csv' and String in 'b.csv'"]
    """
    places = dict.fromkeys(place for _, kinds in looked for place in kinds)
    return [note for place in places for note in _of_place(place, looked)]


def _of_place(place: str, looked: Sequence[Looked]) -> Iterator[str]:
    missing = [name for names, kinds in looked if place not in kinds for name in names]
    if missing:
        of = sum(len(names) for names, _ in looked)
        yield f"{place!r} is missing in {missing[0]!r}, {len(missing):,} of {of:,} files looked at"
    first: dict[str, str] = {}
    for names, kinds in looked:
        first.setdefault(kinds.get(place, "Null"), names[0])
    first.pop("Null", None)
    if len(first) > 1 and NESTED not in first:
        yield f"{place!r} is " + " and ".join(f"{kind} in {name!r}" for kind, name in first.items())
