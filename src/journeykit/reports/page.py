"""From sections to one page of HTML without scripts or anything to load. Here jinja2 is at home."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from journeykit.reports.blocks import Section
from journeykit.reports.map_table import MapTable
from journeykit.reports.template import ReportTemplate
from journeykit.reports.wording import Wording
from journeykit.support.escaping import markup, visible


def page(
    title: str,
    facts: Sequence[str],
    sections: Sequence[Section],
    table: MapTable | None,
    template: ReportTemplate,
    say: Wording,
) -> str:
    """Write the page.

    Parameters
    ----------
    title : str
        The heading.
    facts : sequence of str
        The line below it.
    sections : sequence of Section
        In their order.
    table : MapTable, optional
        The journey map.
    template : ReportTemplate
        Colours and brand.
    say : Wording
        The language.

    Returns
    -------
    str
        A whole document in HTML 5.
    """
    rows = [] if table is None else table.rows()
    stages = () if table is None else table.stages
    return _environment().get_template("report.html").render(
        title=title, facts=facts, sections=sections, rows=rows, stages=stages, template=template, say=say
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("journeykit.reports", "pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters["lines"] = _lines
    environment.filters["listing"] = _listing
    return environment


def _shown(value: Any) -> Any:
    """Show what nobody sees by its escapes, before jinja escapes what a browser would obey."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """Write a text of several lines."""
    return Markup("<br>").join(Markup(markup(line)) for line in text.splitlines())  # escaped by markup()


def _listing(text: str) -> Markup:
    """Write code, its line breaks and tabs kept."""
    return Markup("\n").join(
        Markup(markup(line.expandtabs(4))) for line in text.split("\n")
    )  # escaped by markup()
