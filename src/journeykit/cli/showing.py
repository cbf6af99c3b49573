"""What ``report``, ``map`` and ``compare`` do."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from shlex import join
from typing import Any

import polars as pl
import typer

from journeykit.cli.job import described, ordered, planned, questions, segments, session_rule, summary
from journeykit.cli.options import (
    ENGINES,
    Asking,
    Comparing,
    Cutting,
    Mapping,
    Reading,
    Running,
    Telling,
    Writing,
    listed,
)
from journeykit.cli.output import all_or_nothing, check_format, explained, frames_of, write_frames
from journeykit.cli.progress import Reporting, Steps
from journeykit.cli.stored import refuse_idle, rule_of, stages_of, store_of
from journeykit.cli.tables import Page
from journeykit.comparisons.compare import compare as compared
from journeykit.errors import MissingFileError, ParameterError
from journeykit.growing import Store
from journeykit.journey_map.journey_map import JourneyMap
from journeykit.journeys.journeys import Journeys
from journeykit.plans import JourneysPlan
from journeykit.privacy.suppression import check_k
from journeykit.reports.notes import edited
from journeykit.reports.report import report as reported
from journeykit.reports.wording import LANGUAGES, wording
from journeykit.sessions import SessionRule
from journeykit.sources import open_source
from journeykit.stages import StageModel
from journeykit.statistics.emotion.ratings import Ratings
from journeykit.statistics.friction.friction import Friction
from journeykit.support.durations import CALENDAR


def report(reading: Reading, telling: Telling, running: Running, out: Path, *, quiet: bool) -> None:
    """Read, measure, write the page, say where it is."""
    store = store_of(reading)
    if store is not None:
        refuse_idle(reading, telling, running)
    if running.engine not in ENGINES:
        raise ParameterError.choice("--engine", running.engine, ENGINES)
    goal, rule = _goal(telling), session_rule(reading, telling) if store is None else rule_of(store)
    if out.suffix != ".html":
        raise typer.BadParameter(f"a report is written as '.html', not {out.suffix!r}.", param_hint="--out")
    labels = _labels(telling.labels)
    by = segments(telling)
    if len(by) > 1:
        raise typer.BadParameter("a report compares the segments of one column.", param_hint="--by")
    model, on_map = _model(telling), _on_map(telling)
    stages = stages_of(store) if store is not None else () if model is None else model.names
    notes = None if telling.edit is None else edited(telling.edit, stages)
    with Steps(4, quiet=quiet) as steps:
        of: Store | JourneysPlan | Journeys
        events, engine = None, None
        if store is not None:
            of = store
        elif running.engine == "out-of-core":
            of, engine = planned(reading, telling, running, rule, model, steps, _kept(telling))
        else:
            events, of = ordered(reading, telling, rule, model, steps, _kept(telling))
        steps.begin("measuring")
        made = reported(
            of, goal, title=telling.title, start=tuple(telling.start or ()) or None, horizon=telling.horizon,
            by=by[0] if by else None, personas=telling.personas, notes=notes, labels=labels,
            suppress=telling.suppress, log=events, recipe=join(["journeykit", *sys.argv[1:]]), engine=engine, **on_map,
        )  # fmt: skip
        steps.begin("writing")
        with explained(out):
            made.write(out)
    if not quiet:
        page = Page()
        page.say(described(made.context, rule))
        for stage in made.unknown_stages:
            page.say(
                f"The notes speak of a stage that the map does not have: {stage!r}. They are kept, and shown below it."
            )
        page.say(f"the report is in {out}")


def journey_map(reading: Reading, mapping: Mapping, out: Path, *, quiet: bool) -> None:
    """Read, measure, write the table of the map."""
    store, goal = store_of(reading), _goal(mapping)
    rule = _rule(store, reading, mapping)
    if store is None and mapping.stages is None:
        raise typer.BadParameter(
            "a map has stages as its columns: name a stage model, a TOML file.", param_hint="--stages"
        )
    if store is not None and not stages_of(store):
        raise typer.BadParameter(
            "a map has stages as its columns, and the journeys of this store have none.", param_hint="LOG"
        )
    check_k(mapping.suppress)
    model, question = _model(mapping), JourneyMap(goal, **_on_map(mapping))
    with Steps(4, quiet=quiet) as steps:
        of = store if store is not None else ordered(reading, mapping, rule, model, steps, _kept(mapping))[1]
        steps.begin("measuring")
        made = of.measure(question)
        steps.begin("writing")
        with explained(out):
            made.write(out, suppress=mapping.suppress)
    if not quiet:
        page = Page()
        page.say(described(made.context, rule))
        page.say(f"the map is in {out}")


def compare(reading: Reading, comparing: Comparing, writing: Writing, *, quiet: bool) -> None:
    """Read, compare, write and print."""
    endings, store = check_format(writing.table_format), store_of(reading)
    rule = _rule(store, reading, comparing)
    by = segments(comparing)
    if (len(by) == 1) == (comparing.every is not None):
        raise typer.BadParameter(
            "name one column whose values are compared, or --every for periods.", param_hint="--by"
        )
    if comparing.every is not None and comparing.every not in CALENDAR:
        raise ParameterError.choice("--every", comparing.every, CALENDAR)
    model, sides = (
        _model(comparing),
        {name: each for name in "ab" if (each := getattr(comparing, name)) is not None},
    )
    staged = model is not None if store is None else bool(stages_of(store))
    asked = questions(_asking(comparing), staged=staged)
    with Steps(4, quiet=quiet) as steps, all_or_nothing(writing.out) as folder:
        journeys = ordered(reading, comparing, rule, model, steps)[1] if store is None else store.journeys()
        if by:
            sides = {name: _value(journeys.property(by[0].property), each) for name, each in sides.items()}
        steps.begin("comparing")
        found = compared(
            journeys, asked[comparing.statistic], by=by[0] if by else None, every=comparing.every,
            pairs=comparing.pairs, engine=Reporting(steps), **sides,
        )  # fmt: skip
        steps.begin("writing")
        written = write_frames(frames_of({"comparison": found}), folder, endings)
    if not quiet:
        page = Page()
        page.say(described(journeys, rule))
        page.answer("comparison", found)
        page.notes({"comparison": found})
        page.say(summary(writing.out, {path.name for path in written}))


def _rule(store: Store | None, reading: Reading, cutting: Cutting) -> SessionRule:
    """Return how sessions are cut; with a store, options that it has answered already are refused."""
    if store is None:
        return session_rule(reading, cutting)
    refuse_idle(reading, cutting, Running())
    return rule_of(store)


def _value(values: pl.Series, text: str) -> Any:
    """Return the value that is written so, such as a number; the text itself if there is none."""
    return next((each for each in values.drop_nulls().unique().to_list() if str(each) == text), text)


def _asking(comparing: Comparing) -> Asking:
    """Return the options of ``measure`` that ask for the one statistic."""
    shared = {
        name: getattr(comparing, name)
        for name in ("session", "stages", "goal", "start", "horizon", "missing")
    }
    return Asking(**shared, statistics=[comparing.statistic], top=comparing.top)


def _goal(cutting: Cutting) -> tuple[str, ...]:
    if not cutting.goal:
        raise typer.BadParameter("name the event that is a success.", param_hint="--goal")
    return tuple(cutting.goal)


def _model(cutting: Cutting) -> StageModel | None:
    return None if cutting.stages is None else StageModel.load(cutting.stages)


def _kept(mapping: Mapping) -> list[str]:
    return [] if mapping.channel is None else [mapping.channel]


def _on_map(mapping: Mapping) -> dict[str, Any]:
    """Return the parameters of the journey map that were asked for."""
    if mapping.offline and mapping.channel is None:
        raise typer.BadParameter("needs --channel.", param_hint="--offline")
    asked: dict[str, Any] = {"channel": mapping.channel, "offline": listed(mapping.offline) or None}
    asked["friction"] = Friction(listed(mapping.trouble)) if mapping.trouble else None
    asked["ratings"] = None if mapping.ratings is None else _ratings(mapping.ratings, mapping.rating_kind)
    asked |= {"quotes": mapping.quotes or None, "top": mapping.touchpoints, "missing": mapping.missing}
    return {name: each for name, each in asked.items() if each is not None}


def _ratings(path: Path, kind: str) -> Ratings:
    """Read a table of ratings; touchpoint and comment are taken if they are there."""
    columns = open_source(str(path)).collect_schema()
    further: Any = {name: name for name in ("touchpoint", "comment") if name in columns}
    return Ratings(kind, str(path), **further)  # type: ignore[arg-type]


def _names(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir()]


def _labels(given: str) -> Any:
    """Return a language, or the texts of a file."""
    if given in LANGUAGES or not given.endswith(".toml"):
        wording(given)
        return given
    file = Path(given)
    if not file.is_file():
        raise MissingFileError.path(given, str(file.parent), _names(file) if file.parent.is_dir() else None)
    try:
        texts = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"--labels {given!r} cannot be read as TOML: {error}") from error
    wording(texts)
    return texts
