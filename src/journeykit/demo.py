"""The main job on two logs: a real one of a web server, and a simulated shop whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from journeykit import stages
from journeykit.datasets import ShopTruth, access_log, simulate_shop
from journeykit.engines import Engine
from journeykit.events.events import Events
from journeykit.events.reading import read_events
from journeykit.journeys.journeys import Journeys
from journeykit.protocol import Statistic
from journeykit.reports.report import Report, report
from journeykit.stages import Stage, StageModel
from journeykit.statistics.base import Answer
from journeykit.statistics.outcomes.abandonment import Abandonment
from journeykit.statistics.outcomes.conversion import Conversion
from journeykit.statistics.overview.overview import Overview
from journeykit.statistics.paths.top_paths import TopPaths
from journeykit.statistics.stage_flow.stage_flow import StageFlow
from journeykit.statistics.transitions.transitions import Transitions

ANSWERED = (200, 206, 304)
ASSETS = r"(?i)\.(?:css|js|png|jpe?g|gif|ico|svg|ttf|woff|swf|xsl)$"
RARE = 10
DOWNLOAD, PROJECTS = "files", "projects"
CART, PURCHASE = "add_to_cart", "purchase"
START = "<START>"
AREAS = StageModel([
    Stage("read", ["home", "blog", "articles", "feed", "about", "misc", "resume.xml", "(other)"]),
    Stage("look", [PROJECTS, "presentations", "images", "kibana", "scripts"]),
    Stage("download", DOWNLOAD),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """One log of the demo with its answers.

    Attributes
    ----------
    name, title : str
        For files and for people.
    remarks : tuple of str
        What was done to the log before it was measured, and what was not.
    journeys : Journeys
        What was measured.
    answers : dict of str to Answer
        By the name of the statistic.
    told : mapping of str to object
        What the report is asked.
    truth : polars.DataFrame
        The planted numbers beside the measured ones; empty where there are none.
    """

    name: str
    title: str
    remarks: tuple[str, ...]
    journeys: Journeys
    answers: dict[str, Answer]
    told: Mapping[str, Any] = field(default_factory=dict)
    truth: pl.DataFrame = field(default_factory=pl.DataFrame)

    def report(self) -> Report:
        """Make the report of the log, with the journey map."""
        return report(self.journeys, **self.told)


QUESTIONS_ASKED = 14
"""How many statistics both parts measure together, for a progress bar."""


def parts(n_users: int, engine: Engine | None = None) -> Iterator[Part]:
    """Measure one log after the other.

    Parameters
    ----------
    n_users : int
        Users of the simulated shop.
    engine : Engine, optional
        Where to measure.

    Yields
    ------
    Part
        The access log, then the shop.
    """
    yield web_server(engine)
    yield shop(n_users, engine)


def page_views() -> tuple[Events, tuple[str, ...]]:
    """Read the access log that ships with the package as views of areas of the site.

    Returns
    -------
    tuple of Events and remarks
        An event is the first folder of the path; what was left out is said in the remarks.

    Examples
    --------
    >>> page_views()[0].frame["event"].cast(pl.String).unique().sort().to_list()[:3]
    ['(other)', 'about', 'articles']
    """
    requests = read_events(access_log(), event="path", keep=["status"], on_invalid="drop").frame
    path = pl.col("event").cast(pl.String).str.split("?").list
    page, query = path.first(), path.get(1, null_on_oob=True).fill_null("")
    kept = requests.filter(
        pl.col("status").is_in(ANSWERED), ~page.str.contains(ASSETS), page != "/robots.txt"
    )
    area = page.str.extract(r"^/([^/]*)")
    views = kept.select(
        "user", "time",
        area=pl.when(query.str.contains("flav=")).then(pl.lit("feed"))
        .when(area == "").then(pl.lit("home")).otherwise(area),
    )  # fmt: skip
    frequent = pl.len().over("area") >= RARE
    views = views.with_columns(pl.when(frequent).then("area").otherwise(pl.lit("(other)")).alias("area"))
    statuses = ", ".join(map(str, ANSWERED))
    remarks = (
        (
            f"Of {requests.height:,} readable requests {views.height:,} are page views: answered (status {statuses}), "
            f"and neither an asset (style, script, picture, font) nor robots.txt."
        ),
        (
            f"An event is the first folder of the path; a news feed is 'feed', '/' is 'home', folders with fewer "
            f"than {RARE} views are '(other)'. A user is an address."
        ),
        "Robots are not removed: feed readers and crawlers are among the users.",
    )
    return read_events(views, user="user", time="time", event="area"), remarks


def web_server(engine: Engine | None = None) -> Part:
    """Measure the access log: who gets to a download."""
    events, remarks = page_views()
    journeys = events.sessionize("30m").assign_stages(AREAS)
    answers = _measured(journeys, {
        "overview": Overview(goal=DOWNLOAD),
        "transitions": Transitions(),
        "top_paths": TopPaths(10, goal=DOWNLOAD),
        "conversion": Conversion(DOWNLOAD),
        "abandonment": Abandonment(DOWNLOAD, PROJECTS, unit="session"),
    }, engine)  # fmt: skip
    title = "A real web server: semicomplete.com, May 2015 (Elastic examples, Apache-2.0)"
    told = {"goal": DOWNLOAD, "start": PROJECTS, "title": title, "log": events}
    return Part("access_log", title, remarks, journeys, answers, told)


def shop(n_users: int, engine: Engine | None = None) -> Part:
    """Measure a simulated shop, and hold the answers against what was planted."""
    simulated = simulate_shop(n_users, rng=1)
    model = stages.five_stage(**simulated.stages)
    events = read_events(simulated.events, user="user", time="time", event="event", keep=["device"])
    # A small shop need not show every event of its plan.
    journeys = events.sessionize("30m").assign_stages(model, missing="ignore")
    abandonment = Abandonment(PURCHASE, CART, unit="session", missing="ignore")
    conversion = Conversion(PURCHASE, missing="ignore")
    answers = _measured(journeys, {
        "overview": Overview(PURCHASE, missing="ignore"),
        "transitions": Transitions(),
        "stage_transitions": Transitions(of="stage"),
        "top_paths": TopPaths(10, goal=PURCHASE, missing="ignore"),
        "conversion": conversion,
        "abandonment": abandonment,
        "stage_flow": StageFlow(),
    }, engine)  # fmt: skip
    by_device = _measured(
        journeys,
        {"conversion_by_device": conversion, "abandonment_by_device": abandonment},
        engine,
        by="device",
    )
    answers |= by_device
    remarks = (
        f"{n_users:,} users, planted with known probabilities (rng=1); mobile is planted to convert less.",
    )
    title = "A simulated shop, whose truth is known"
    told = {"goal": PURCHASE, "start": CART, "by": "device", "title": title, "log": events}
    return Part("shop", title, remarks, journeys, answers, told, truth_table(answers, simulated.truth))


def truth_table(answers: Mapping[str, Answer], truth: ShopTruth) -> pl.DataFrame:
    """Put the planted numbers beside the measured ones.

    Parameters
    ----------
    answers : mapping of str to Answer
        Those of `shop`.
    truth : ShopTruth
        What was planted.

    Returns
    -------
    polars.DataFrame
        ``number`` (its name), ``planted``, ``measured``, its interval ``low`` and ``high``, and ``inside``: whether
        the interval holds what was planted. Null where nothing was measured.
    """
    edges = answers["stage_transitions"].frame.select(
        "source", "target", measured="probability", low="low", high="high"
    )
    planted = truth.stage_transitions.rename({"probability": "planted"})
    # A move that nobody made out of a stage that somebody was in has probability 0, without an interval.
    seen = pl.when(pl.col("source").is_in(edges["source"].unique().to_list())).then(0.0)
    moves = planted.join(edges, on=["source", "target"], how="left", maintain_order="left").select(
        pl.format("P({} -> {})", "source", "target").alias("number"),
        "planted",
        pl.coalesce("measured", seen).alias("measured"),
        "low",
        "high",
    )
    inside = pl.col("planted").is_between("low", "high").alias("inside")
    return pl.concat([_rates(answers, truth), moves]).with_columns(inside)


def _rates(answers: Mapping[str, Answer], truth: ShopTruth) -> pl.DataFrame:
    """Return the rates of conversion and of abandoned carts, of all and by device."""
    bounds = "abandonment_rate_low", "abandonment_rate_high"
    tables = {
        "conversion rate": ("conversion", ("conversion_rate", "low", "high")),
        "cart abandonment rate": ("abandonment", ("abandonment_rate", *bounds)),
    }
    planted = {
        "conversion rate": {"": truth.conversion_rate, **truth.conversion_rate_by_device},
        "cart abandonment rate": {"": truth.cart_abandonment_rate, **truth.cart_abandonment_rate_by_device},
    }
    rows = []
    for number, (name, columns) in tables.items():
        for device, value in planted[number].items():
            frame = answers[f"{name}_by_device" if device else name].frame
            if "state" in frame.columns:
                frame = frame.filter(pl.col("state") == START)
            if device:
                frame = frame.filter(pl.col("device") == device)
            measured = frame.select(columns).row(0) if frame.height else (None,) * 3
            rows.append((f"{number}, {device}" if device else number, value, *measured))
    schema = dict.fromkeys(("planted", "measured", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema={"number": pl.String, **schema}, orient="row")


def _measured(
    journeys: Journeys,
    asked: Mapping[str, Statistic[Journeys, Answer]],
    engine: Engine | None,
    by: str | None = None,
) -> dict[str, Answer]:
    return dict(zip(asked, journeys.measure(*asked.values(), by=by, engine=engine), strict=True))
