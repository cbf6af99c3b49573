"""Which sections a report has, in which colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from journeykit.errors import ParameterError, suggestion

SECTIONS = (
    "summary", "map", "pain", "stages", "flow", "time", "segments", "paths", "personas", "quality", "definitions",
    "recipe",
)  # fmt: skip
"""All sections in their order."""
LIGHT_PAPER, DARK_PAPER = "#ffffff", "#14171c"
LEAST_CONTRAST = 4.5
"""Of text and paper, by the Web Content Accessibility Guidelines 2.1, level AA."""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ReportTemplate:
    """What a report looks like.

    Parameters
    ----------
    sections : sequence of str
        Of ``summary``, ``map``, ``pain``, ``stages``, ``flow``, ``time``, ``segments``, ``paths``, ``personas``,
        ``quality``, ``definitions``, ``recipe``; shown in the order given. What was not measured is left out.
    colour, dark_colour : str
        The brand's colour on white and on nearly black, as ``#rrggbb``.
    brand : str
        A name above the title.

    Raises
    ------
    ParameterError
        If a section does not exist or comes twice, or a colour is none or is too pale to be read (contrast below 4.5).

    Examples
    --------
    >>> ReportTemplate(sections=["summary", "map"], brand="Acme").sections
    ('summary', 'map')
    """

    sections: Sequence[str] = SECTIONS
    colour: str = "#0b5c9e"
    dark_colour: str = "#79bbff"
    brand: str = ""

    def __post_init__(self) -> None:
        given = (self.sections,) if isinstance(self.sections, str) else tuple(self.sections)
        for name in given:
            if name not in SECTIONS:
                raise ParameterError(f"there is no section {name!r}. {suggestion(str(name), SECTIONS)}")
        if len(set(given)) < len(given) or not given:
            raise ParameterError(f"sections must name at least one section, each once, not {given!r}.")
        object.__setattr__(self, "sections", given)
        _check_colour("colour", self.colour, LIGHT_PAPER)
        _check_colour("dark_colour", self.dark_colour, DARK_PAPER)
        if not isinstance(self.brand, str):
            raise ParameterError(f"brand must be a text, not {self.brand!r}.")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21, by the Web Content Accessibility Guidelines 2.1.

    Examples
    --------
    >>> contrast("#000000", "#ffffff")
    21.0
    """
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _check_colour(name: str, colour: object, paper: str) -> None:
    if not isinstance(colour, str) or not _HEX.fullmatch(colour):
        raise ParameterError(f"{name} must be a colour such as '#0b5c9e', not {colour!r}.")
    found = contrast(colour, paper)
    if found < LEAST_CONTRAST:
        raise ParameterError(
            f"{name} {colour!r} cannot be read on {paper!r}: its contrast is {found:.1f}, and {LEAST_CONTRAST} is the "
            f"least for text. Take a {'darker' if paper == LIGHT_PAPER else 'lighter'} one."
        )
