"""The report: what was measured, as one HTML file to be read, kept and sent. DEFINITIONS D16.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from html import escape
from inspect import signature
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from journeykit.cells import Segment, one_segment
from journeykit.charts.text import count
from journeykit.engines import Engine, OnDisk, Spark
from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.events.events import Events
from journeykit.growing import Store
from journeykit.journey_map.journey_map import JourneyMap
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import MatchLike
from journeykit.plans import JourneysPlan
from journeykit.privacy.suppression import DEFAULT_K, check_k, check_users
from journeykit.protocol import Context
from journeykit.reports.map_table import MapTable
from journeykit.reports.measuring import Findings, Question, measured
from journeykit.reports.notes import MapNotes
from journeykit.reports.origins import Origin, origin_of
from journeykit.reports.page import page
from journeykit.reports.recipes import recipe_of
from journeykit.reports.sections import Sections
from journeykit.reports.tables import Tables
from journeykit.reports.template import ReportTemplate
from journeykit.reports.wording import Wording, wording
from journeykit.support.durations import Duration
from journeykit.support.files import replacing

FRAME_HEIGHT = 720
HTML = ".html"
KEYWORDS = (
    "title",
    "start",
    "horizon",
    "by",
    "personas",
    "notes",
    "template",
    "labels",
    "suppress",
    "log",
    "recipe",
)


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A report, made by ``report``.

    Attributes
    ----------
    html : str
        The whole page: no script, nothing to load, from this computer or any other.
    title : str
        Its heading.
    context : Context
        Of how much data it is.
    unknown_stages : tuple of str
        Stages that have notes and are not in the map. Their words are shown below it.
    """

    html: str
    title: str
    context: Context
    unknown_stages: tuple[str, ...] = ()

    def write(self, path: str | Path) -> Path:
        """Write the page to a file, whole or not at all.

        Parameters
        ----------
        path : str or pathlib.Path
            Ends in ``.html``. For a PDF, print the page in a browser.

        Returns
        -------
        pathlib.Path
            The same path.

        Raises
        ------
        ParameterError
            If the ending is another one.
        """
        file = Path(path)
        if file.suffix != HTML:
            raise ParameterError(
                f"a report is written as '.html', not {file.suffix!r}. Print the page in a browser for a PDF."
            )
        with replacing(file) as temporary:
            temporary.write_text(self.html, "utf-8", newline="\n")
        return file

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {len(self.html) / 1e6:.1f} MB); write it with .write('journey.html')"

    def _repr_html_(self) -> str:
        """Show the page in a frame of a notebook that can run nothing."""
        return (
            f'<iframe sandbox srcdoc="{escape(self.html)}" title="{escape(self.title)}" '
            f'style="width: 100%; height: {FRAME_HEIGHT}px; border: 1px solid #999"></iframe>'
        )


def report(
    journeys: Journeys | Store | JourneysPlan,
    goal: MatchLike,
    *,
    title: str | None = None,
    start: MatchLike | None = None,
    horizon: Duration | None = None,
    by: str | Segment | None = None,
    personas: int = 3,
    notes: MapNotes | Mapping[str, Any] | str | Path | None = None,
    template: ReportTemplate | None = None,
    labels: str | Mapping[str, str] = "en",
    suppress: int = DEFAULT_K,
    log: Events | None = None,
    recipe: str | None = None,
    engine: Engine | None = None,
    **on_map: Any,
) -> Report:
    """Measure journeys and write down what there is to see: summary, journey map, charts, how it was made.

    Parameters
    ----------
    journeys : Journeys, Store or JourneysPlan
        With stages for the map and the stages; without, the rest. A store counts what changed since it was last asked.
        A plan is run in memory, or, with an engine that works in shards, there.
    goal : str, sequence of str, polars expression, Pattern or Match
        What a success is.
    title : str, optional
        The heading.
    start : str, sequence of str, polars expression, Pattern or Match, optional
        From where giving up is counted, such as ``"add_to_cart"``. Without it and without `horizon`, it is not.
    horizon : str or timedelta, optional
        The silence after which a user has given up; without it sessions are asked.
    by : str or Segment, optional
        A kept property whose segments are compared; the segment's name is its heading.
    personas : int
        How many groups of users are described, among 1,000 users at most; 0 for none. A plan that is measured in
        shards keeps no user's journeys: the report says why it has no groups then.
    notes : MapNotes, mapping, or path of a TOML file, optional
        Goals, notes, ideas and owners of the stages.
    template : ReportTemplate, optional
        Sections, colours and brand.
    labels : {"en", "zh"} or mapping of str to str
        The language. What a mapping leaves out stays English, and so do rare notes of answers.
    suppress : int
        Numbers about fewer users are withheld, and those that would give them away (D16.1); 0 withholds nothing.
    log : Events, optional
        What the journeys were made of, for the section on the quality of the data.
    recipe : str, optional
        How the report was made, such as a command line, in place of the code that the report writes itself.
    engine : Engine, optional
        Where to measure; all cores in memory by default. A store has its own way.
    **on_map : object
        What else the journey map is asked, by the parameters of `JourneyMap`: ``ratings`` for the emotion, ``channel``
        and ``offline``, ``friction``, ``value``, ``top``, ``min_n``, and ``quotes``, which are off by default, as
        people write who they are. ``missing`` holds for the whole report: what to do about a goal or start that the
        log does not have (D0.9).

    Returns
    -------
    Report
        With ``html`` and ``write``.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take, the log has fewer users than `suppress`, or a store is given an
        engine.
    UnknownNameError
        If the log has no such goal or start.
    UnknownPropertyError
        If `by` or `channel` was not kept.
    NotesError
        If the notes cannot be used.

    Notes
    -----
    Everything is checked before anything is measured. The same journeys give the same page, byte for byte: there is no
    date of making in it. Costs what its statistics cost, a handful of passes over the events; a plan that is measured
    in shards is run two times, with `by` three times.

    Examples
    --------
    >>> import journeykit as jk
    >>> shop = jk.datasets.simulate_shop(300, rng=1)
    >>> events = jk.read_events(shop.events, user="user", time="time", event="event", keep=["device"])
    >>> journeys = events.sessionize("30m").assign_stages(jk.stages.five_stage(**shop.stages), missing="ignore")
    >>> made = jk.report(journeys, "purchase", by="device", personas=0)
    >>> made.title, "<script" in made.html
    ('Customer journey: purchase', False)
    """
    k, say, words = check_k(suppress), wording(labels), _notes(notes)
    look = template or ReportTemplate()
    _check(title, look, personas)
    origin = origin_of(journeys, engine)
    compared = None if by is None else one_segment(by, "report")
    _check_origin(origin, k, compared)
    named, sharded = _named(goal), engine if isinstance(engine, OnDisk | Spark) else None
    options = _said({
        "goal": goal, "start": start, "horizon": horizon, "by": by, "title": title, "personas": personas,
        "template": template, "labels": labels, "suppress": suppress, "engine": sharded, **on_map,
    })  # fmt: skip
    groups = personas if "personas" in look.sections else 0
    on_stages = _map_question(goal, horizon, on_map)
    question = Question(
        goal, start, horizon, compared, groups, None if origin.model is None else on_stages, on_stages.missing
    )
    findings = measured(origin, question)
    context = findings.overview.context
    check_users(context.n_users, k)
    tables = Tables(findings, k, say)
    made = None if findings.map is None else MapTable(findings.map, words, k, say)
    how = recipe_of(origin, options, words, recipe, with_log=log is not None)
    quality = None if log is None or "quality" not in look.sections else log.quality
    sections = Sections(tables, made, words, how, named, quality).make(look.sections)
    heading = say("title", goal=named) if title is None else title
    html = page(heading, _facts(findings, k, say), sections, made, look, say)
    return Report(html, heading, context, words.unknown(context.stages))


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not as they are by default."""
    defaults = {name: each.default for name, each in signature(report).parameters.items()}
    return {
        name: each
        for name, each in options.items()
        if each is not None and not (isinstance(each, str | int) and each == defaults.get(name))
    }


def _map_question(goal: MatchLike, horizon: Duration | None, on_map: Mapping[str, Any]) -> JourneyMap:
    """Return the question for the journey map."""
    known = [each.name for each in fields(JourneyMap) if each.name not in ("goal", "horizon")]
    for name in on_map:
        if name not in known:
            raise ParameterError.unknown("report", name, [*KEYWORDS, *known])
    return JourneyMap(goal, horizon=horizon, **on_map)


def _check(title: str | None, template: ReportTemplate, personas: int) -> None:
    if not isinstance(template, ReportTemplate):
        raise ParameterError(f"template must be a ReportTemplate, not {template!r}.")
    if title is not None and not isinstance(title, str):
        raise ParameterError(f"title must be a text, not {title!r}.")
    if isinstance(personas, bool) or not isinstance(personas, int) or personas < 0:
        raise ParameterError(f"personas must be a number of groups, or 0 for none, not {personas!r}.")


def _check_origin(origin: Origin, k: int, by: Segment | None) -> None:
    """Refuse what is known before anything is measured."""
    if by is not None and origin.kept is not None and by.property not in origin.kept:
        raise UnknownPropertyError(by.property, origin.kept)
    if origin.users is not None:
        check_users(origin.users, k)


def _notes(given: Any) -> MapNotes:
    if given is None:
        return MapNotes()
    if isinstance(given, MapNotes):
        return given
    return MapNotes(given) if isinstance(given, Mapping) else MapNotes.load(given)


def _named(goal: MatchLike) -> str:
    """Say a goal in words."""
    if isinstance(goal, str):
        return goal
    if isinstance(goal, Sequence) and all(isinstance(each, str) for each in goal):
        return ", ".join(goal)
    return str(goal)


def _facts(findings: Findings, k: int, say: Wording) -> list[str]:
    """Return the line below the title."""
    context = findings.overview.context
    first, last = (
        datetime.fromtimestamp(each / 1e6, UTC).astimezone(ZoneInfo(context.tz)).date().isoformat()
        for each in (context.observed_from, context.observed_until)
    )
    facts = [
        say("fact_span", first=first, last=last, tz=context.tz),
        say(
            "fact_size",
            users=count(context.n_users),
            sessions=count(context.n_sessions),
            events=count(context.n_events),
        ),
    ]
    return [*facts, say("fact_withheld", k=count(k))] if k else facts
