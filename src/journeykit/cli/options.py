"""The options of the commands, in groups that commands share. Named like the parameters of the library."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from journeykit.cli.guard import guarded
from journeykit.support.durations import CALENDAR
from journeykit.support.unknown_names import MISSING as MISSING_NAMES

ENGINES = ("in-memory", "out-of-core")
STATISTICS = ("overview", "transitions", "top_paths", "conversion", "abandonment", "stage_flow")
PRESETS = (
    "ga4", "mixpanel", "adobe", "matomo", "snowplow", "posthog", "posthog_2021", "amplitude_web",
    "amplitude_mobile",
)  # fmt: skip
FAILING = (
    "gap", "volume", "new_event", "vanished_event", "duplicate", "duplicate_id", "clock_skew", "clock_broken", "bot",
    "test_user", "unexpected_event", "expected_volume", "null_share", "missing_column",
)  # fmt: skip
"""`journeykit.events.checks.RULES`: help answers before these are imported."""
RATING_KINDS = ("nps", "csat", "ces", "stars", "sentiment")
LOG, CHECK, TIME, RULE, ASK, SEEN, RUN, OUT = (
    "The log",
    "The check",
    "Times and broken rows",
    "Sessions and stages",
    "The questions",
    "What is shown",
    "The work",
    "The answers",
)


def option(
    help_: str, panel: str, *names: str, choices: tuple[str, ...] = (), least: int | None = None
) -> Any:
    """Describe an option; `choices` are for completion, the library checks the value."""
    complete = (
        (lambda incomplete: [each for each in choices if each.startswith(incomplete)]) if choices else None
    )
    return typer.Option(*names, help=help_, rich_help_panel=panel, autocompletion=complete, min=least)


def place(text: str) -> Path:
    """Take the name of a file or folder; an empty one would mean the folder one is in."""
    if not text:
        raise typer.BadParameter("it is empty. Name a file or a folder; '.' is the folder you are in.")
    return Path(text)


def path_option(help_: str, panel: str, *names: str) -> Any:
    """Describe an option that names a file or a folder."""
    return typer.Option(*names, help=help_, rich_help_panel=panel, parser=place, metavar="PATH")


@dataclass(frozen=True)
class Reading:
    """How the log is read."""

    log: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or quoted patterns of Parquet, CSV, TSV, NDJSON (also .gz) or web server access logs.",
            metavar="LOG",
            show_default=False,
        ),
    ]
    user: Annotated[str | None, option("Column that says who. Access logs: the address.", LOG, "--user")] = (
        None
    )
    time: Annotated[str | None, option("Column that says when.", LOG, "--time")] = None
    event: Annotated[
        str | None, option("Column that says what. Access logs: method and path.", LOG, "--event")
    ] = None
    session_column: Annotated[
        str | None,
        option(
            "Column with the log's own sessions; they are then taken, unless --session says otherwise.", LOG
        ),
    ] = None
    order: Annotated[str | None, option("Column that orders events of one user at one time.", LOG)] = None
    value: Annotated[str | None, option("Column with a number, such as revenue.", LOG)] = None
    keep: Annotated[
        list[str] | None,
        option("Columns to keep as properties: a,b or several times. Those of --by are kept anyway.", LOG),
    ] = None
    format: Annotated[
        str | None,
        option(
            "Format of files whose names do not tell it.",
            LOG,
            choices=("parquet", "csv", "ndjson", "access_log"),
        ),
    ] = None
    tz: Annotated[
        str | None, option("Time zone of times without one, and of days and weeks; UTC by default.", TIME)
    ] = None
    unit: Annotated[
        str | None,
        option(
            "Unit of times that are numbers: s, ms, us or ns. Never guessed.",
            TIME,
            choices=("s", "ms", "us", "ns"),
        ),
    ] = None
    time_format: Annotated[
        str | None,
        option("How times are written that are texts, such as '%d.%m.%Y %H:%M'; detected otherwise.", TIME),
    ] = None
    on_invalid: Annotated[
        str,
        option(
            "Rows without a user, time or event: raise an error, or drop them.",
            TIME,
            choices=("raise", "drop"),
        ),
    ] = "raise"
    duplicates: Annotated[
        str, option("Rows that equal an earlier one: keep or drop.", TIME, choices=("keep", "drop"))
    ] = "keep"


@dataclass(frozen=True)
class Checking:
    """What counts as odd, and what is done about it."""

    expect: Annotated[
        Path | None, path_option("Expectations of the log, a TOML file.", CHECK, "--expect")
    ] = None
    learn: Annotated[
        Path | None, path_option("Write what this log has as expectations, and leave.", CHECK, "--learn")
    ] = None
    fail_on: Annotated[
        list[str] | None,
        option(
            "Rules whose findings make the exit code 3: any (the default), none, or a,b or several times of "
            + ", ".join(FAILING)
            + ".",
            CHECK,
            choices=("any", "none", *FAILING),
        ),
    ] = None
    findings: Annotated[
        Path | None, path_option("Write the findings to this file: .csv, .parquet, .ndjson or .xlsx.", CHECK)
    ] = None
    chart: Annotated[
        Path | None, path_option("Draw the findings into this file: .html, .png, .svg or .pdf.", CHECK)
    ] = None


@dataclass(frozen=True)
class Storing:
    """Where the journeys are."""

    store: Annotated[
        Path,
        typer.Argument(
            help="The folder that Journeys.write made.",
            metavar="STORE",
            show_default=False,
            parser=place,
        ),
    ]


@dataclass(frozen=True)
class Cutting:
    """How the log is cut, and what is a success: what every command that measures asks."""

    session: Annotated[
        str | None,
        option(
            "Longest silence inside a session, such as 30m (the default); or 'column', 'none', or the rule of a tool: "
            + ", ".join(PRESETS)
            + ". Matomo's cut between campaigns needs --keep campaign.",
            RULE,
            choices=("30m", "column", "none", *PRESETS),
        ),
    ] = None
    stages: Annotated[Path | None, path_option("Stage model, a TOML file.", RULE)] = None
    goal: Annotated[
        list[str] | None,
        option("Event that is a success, for conversion and abandonment; several times: any of them.", ASK),
    ] = None
    start: Annotated[
        list[str] | None, option("Event from which abandonment counts; without it, the first one.", ASK)
    ] = None
    horizon: Annotated[
        str | None,
        option(
            "Ask conversion and abandonment of users, not of sessions: silent for so long, such as 7d, they are gone.",
            ASK,
        ),
    ] = None
    by: Annotated[
        list[str] | None,
        option(
            "Answer per value of these columns: a,b or several times; column=name gives another name to a column "
            "that answers have themselves.",
            ASK,
        ),
    ] = None
    missing: Annotated[
        str,
        option(
            "Names of events that the log does not have: raise an error, ignore them, or warn.",
            ASK,
            choices=MISSING_NAMES,
        ),
    ] = "raise"


@dataclass(frozen=True)
class Asking(Cutting):
    """What is asked of the log."""

    statistics: Annotated[
        list[str] | None,
        option(
            "What to measure: a,b or several times, of "
            + ", ".join(STATISTICS)
            + "; all that apply by default.",
            ASK,
            choices=STATISTICS,
        ),
    ] = None
    top: Annotated[int, option("How many paths.", ASK, least=1)] = 20
    every: Annotated[
        str | None,
        option("Answer per calendar period: 1h, 1d, 1w, 1w-sunday, 1mo, 1q or 1y.", ASK, choices=CALENDAR),
    ] = None


@dataclass(frozen=True)
class Mapping(Cutting):
    """What the journey map shows."""

    channel: Annotated[str | None, option("Column with the channel of an event.", SEEN)] = None
    offline: Annotated[
        list[str] | None, option("Channels that are not online: a,b or several times.", SEEN)
    ] = None
    ratings: Annotated[
        Path | None,
        path_option(
            "A table of ratings, with the columns user, time and value; perhaps touchpoint and comment.", SEEN
        ),
    ] = None
    rating_kind: Annotated[
        str, option("What the ratings are: " + ", ".join(RATING_KINDS) + ".", SEEN, choices=RATING_KINDS)
    ] = "csat"
    trouble: Annotated[
        list[str] | None,
        option(
            "Events that are trouble, such as error,help: their friction is weighed in pain points.", SEEN
        ),
    ] = None
    quotes: Annotated[
        int, option("Comments per touchpoint; people write who they are in them.", SEEN, least=0)
    ] = 0
    touchpoints: Annotated[int, option("How many touchpoints per stage.", SEEN, least=1)] = 5
    suppress: Annotated[
        int, option("Withhold numbers about fewer users than this; 0 withholds nothing.", SEEN, least=0)
    ] = 5


@dataclass(frozen=True)
class Telling(Mapping):
    """What the report says and how."""

    title: Annotated[str | None, option("The heading.", SEEN)] = None
    labels: Annotated[
        str, option("The language: en or zh, or a TOML file of texts.", SEEN, choices=("en", "zh"))
    ] = "en"
    edit: Annotated[
        Path | None,
        path_option(
            "A TOML file with the goals, notes, ideas and owners of the stages; made if it is not there, else kept.",
            SEEN,
        ),
    ] = None
    personas: Annotated[int, option("How many groups of users to describe; 0 for none.", SEEN, least=0)] = 3


@dataclass(frozen=True)
class Comparing(Cutting):
    """What is compared."""

    statistic: Annotated[
        str, option("What to compare: " + ", ".join(STATISTICS) + ".", ASK, choices=STATISTICS)
    ] = "conversion"
    every: Annotated[
        str | None,
        option(
            "In place of --by: every calendar period against the one before: 1h, 1d, 1w, 1w-sunday, 1mo, 1q or 1y.",
            ASK,
            choices=CALENDAR,
        ),
    ] = None
    a: Annotated[str | None, option("The segment, or a day in the period, that is compared.", ASK, "--a")] = (
        None
    )
    b: Annotated[
        str | None, option("What it is compared with; without it the rest, or the period before.", ASK, "--b")
    ] = None
    pairs: Annotated[
        bool, option("Every pair of segments, instead of each against the rest.", ASK, "--pairs")
    ] = False
    top: Annotated[int, option("How many paths, for top_paths.", ASK, least=1)] = 20


@dataclass(frozen=True)
class Filing:
    """Where the one file goes that a command makes."""

    out: Annotated[Path, path_option("The file to write; its ending says what it is.", OUT, "--out")]


@dataclass(frozen=True)
class Running:
    """Where the work is done."""

    engine: Annotated[
        str,
        option("in-memory, or out-of-core for logs that are larger than memory.", RUN, choices=ENGINES),
    ] = "in-memory"
    memory: Annotated[str, option("About how much memory out-of-core may use.", RUN)] = "4GB"
    directory: Annotated[
        Path | None,
        path_option("Folder for the temporary files of out-of-core; the system's by default.", RUN),
    ] = None


@dataclass(frozen=True)
class Writing:
    """Where the answers go."""

    out: Annotated[Path, path_option("Folder for the tables, made if need be.", OUT, "--out")]
    table_format: Annotated[
        str, option("Files to write: parquet, csv or both.", OUT, choices=("parquet", "csv", "both"))
    ] = "both"


@dataclass(frozen=True)
class Speaking:
    """What is said on the way."""

    quiet: Annotated[bool, option("Print nothing but warnings and errors.", OUT, "--quiet")] = False
    debug: Annotated[bool, option("Show where in the code an error came from.", OUT, "--debug")] = False


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a function of option groups into one of options, as typer wants it, guarded against errors.

    Parameters
    ----------
    function : callable
        Its parameters are annotated with the groups above; one of them is `Speaking`.

    Returns
    -------
    callable
        Takes the fields of all groups by keyword.
    """
    groups = {name: kind for name, kind in get_type_hints(function).items() if name != "return"}
    parameters = [each for kind in groups.values() for each in _parameters(kind)]

    def run(**options: Any) -> None:
        with guarded(debug=options["debug"]):
            function(**{
                name: kind(**{each.name: options[each.name] for each in fields(kind)})
                for name, kind in groups.items()
            })  # fmt: skip

    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def listed(given: list[str] | None) -> tuple[str, ...]:
    """Split what was given as a,b or several times.

    Examples
    --------
    >>> listed(["a, b", "c"])
    ('a', 'b', 'c')
    """
    parts = (part.strip() for each in given or () for part in each.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _parameters(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name],
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
        )
        for each in fields(kind)
    ]  # fmt: skip
