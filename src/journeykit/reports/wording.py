"""The words of a report in a language: those that ship, or one's own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any

from journeykit.errors import ParameterError

LANGUAGES = ("en", "zh")
NOTE = "note_"
"""What the keys of notes begin with."""


@dataclass(frozen=True)
class Wording:
    """Texts by key; some have places in braces for numbers and names.

    Attributes
    ----------
    language : str
        The tag of the language, for the page.
    texts : mapping of str to str
        Every key of the English texts.
    """

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: Any) -> str:
        """Return a text with its places filled in."""
        return self.texts[key].format_map(values) if values else self.texts[key]

    def note(self, text: str) -> str:
        """Return what an answer says of its numbers in this language; as it is where there are no words for it."""
        for key, pattern in note_patterns():
            found = pattern.fullmatch(text)
            if found is not None:
                return self(key, **found.groupdict())
        return text


def wording(labels: str | Mapping[str, str]) -> Wording:
    """Return the words that ``labels=`` asks for.

    Parameters
    ----------
    labels : {"en", "zh"} or mapping of str to str
        A language that ships, or texts by key in place of the English ones, ``language`` (a tag such as ``"de"``)
        among them. What it leaves out stays English.

    Raises
    ------
    ParameterError
        If there is no such language or key, or a text has a place that the English one has not.

    Examples
    --------
    >>> wording("zh")("summary")
    '摘要'
    >>> wording({"summary": "Kurz gesagt", "language": "de"})("summary")
    'Kurz gesagt'
    """
    if isinstance(labels, str):
        if labels not in LANGUAGES:
            raise ParameterError(
                f"labels cannot be {labels!r}. Choose one of: {', '.join(map(repr, LANGUAGES))}, or give a mapping of "
                f"texts, such as {{'summary': 'Kurz gesagt'}}."
            )
        return Wording(labels, shipped(labels))
    if not isinstance(labels, Mapping):
        raise ParameterError(f"labels must be a language or a mapping of texts, not {labels!r}.")
    english = shipped("en")
    for key, text in labels.items():
        if key not in english and key != "language":
            raise ParameterError.unknown("labels", str(key), english)
        if not isinstance(text, str):
            raise ParameterError(f"labels[{key!r}] must be a text, not {text!r}.")
        unknown = sorted(_places(key, text) - _places(key, english.get(key, "")))
        if unknown:
            known = ", ".join(f"{{{place}}}" for place in sorted(_places(key, english[key]))) or "none"
            raise ParameterError(
                f"labels[{key!r}] has no place {{{unknown[0]}}}. Places of this text: {known}."
            )
    return Wording(str(labels.get("language", "en")), {**english, **labels})


@cache
def shipped(language: str) -> Mapping[str, str]:
    """Read the texts of a language that ships with the package."""
    text = files("journeykit.reports").joinpath(f"labels/{language}.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def note_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return how each note is written in English: its key, and a pattern with a group per place."""
    english = shipped("en")
    return tuple((key, _pattern(text)) for key, text in english.items() if key.startswith(NOTE))


def _pattern(text: str) -> re.Pattern[str]:
    parts = (
        re.escape(said) + ("" if place is None else f"(?P<{place}>.+?)")
        for said, place, _, _ in Formatter().parse(text)
    )
    return re.compile("".join(parts), re.DOTALL)


def _places(key: str, text: str) -> set[str]:
    """Return the names in braces; a place has nothing but a name."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ParameterError(f"labels[{key!r}] cannot be read: {error}. Write a brace as two.") from error
    found = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    for name, spec, conversion in found:
        if not name.isidentifier() or spec or conversion:
            raise ParameterError(
                f"labels[{key!r}] cannot be read: {{{name}}} is no plain name. Write a brace as two."
            )
    return {name for name, _, _ in found}
