"""The full text of every message that is not tested beside what raises it."""

from __future__ import annotations

import pickle

import pytest

from journeykit import errors

DURATION_ADVICE = (
    "Give a duration with its unit, such as '30m', '36h' or '7d' (us, ms, s, m, h, d, w), "
    "or a datetime.timedelta."
)
NINE = [f"name{i}" for i in range(9)]

MESSAGES = {
    "missing column": (
        errors.MissingColumnError("user", "usr", ["time", "user", "event"]),
        (
            "no column 'usr' for the role 'user'. Did you mean 'user'? Available: 'user', 'event', 'time'. "
            "Pass user=<column name> to read_events."
        ),
    ),
    "unknown property": (
        errors.UnknownPropertyError("devise", ["device"]),
        (
            "no property 'devise' in these journeys. Did you mean 'device'? Available: 'device'. "
            "Pass keep=[..., 'devise'] to read_events."
        ),
    ),
    "no property": (
        errors.UnknownPropertyError("device", []),
        "no property 'device' in these journeys. There are none. Pass keep=[..., 'device'] to read_events.",
    ),
    "missing folder": (
        errors.MissingFileError.path("a/b.csv", "a", None),
        "no file 'a/b.csv': there is no folder 'a'. Check the path.",
    ),
    "missing file": (
        errors.MissingFileError.path("a/log.csv", "a", ["logs.csv"]),
        (
            "no file 'a/log.csv'. Did you mean 'logs.csv'? Available: 'logs.csv'. "
            "Check the path, or give a pattern such as '*.parquet'."
        ),
    ),
    "empty pattern": (
        errors.MissingFileError.pattern("*.csv"),
        "no file matches '*.csv'. Check the folder and the pattern; ** crosses folders.",
    ),
    "unknown ending": (
        errors.UnknownFormatError.suffix("log.dat", ["csv", "parquet"]),
        "the name of 'log.dat' does not tell its format. Pass format= one of: 'csv', 'parquet'.",
    ),
    "mixed formats": (
        errors.UnknownFormatError.mixed(["csv", "parquet"]),
        (
            "these files have several formats: 'csv', 'parquet'. "
            "Read each format by itself, or pass format=<one of them>."
        ),
    ),
    "unsupported": (
        errors.UnsupportedSourceError("int"),
        (
            "cannot read a log from an object of type int. Give a path, a pattern or a list of paths; a polars or "
            "pandas frame; a pyarrow table, batch, reader or dataset; a DuckDB relation; or anything with "
            "__arrow_c_stream__."
        ),
    ),
    "unreadable": (
        errors.UnreadableFileError("a.parquet", "Parquet", "it is empty", "Check it."),
        "'a.parquet' cannot be read as Parquet: it is empty. Check it.",
    ),
    "broken row": (
        errors.BrokenRowError("a.csv", "CSV", 1_234, "has 3 fields", "Correct it."),
        "'a.csv' cannot be read as CSV: line 1,234 has 3 fields. Correct it.",
    ),
    "engine": (
        errors.EngineError("sorting", ValueError("no memory:\nstack")),
        "sorting failed: no memory.",
    ),
    "silent engine": (errors.EngineError("sorting", ValueError()), "sorting failed: ValueError."),
    "column type": (
        errors.ColumnTypeError("time", "at", "lists", "times", "Explode it."),
        "column 'at' for the role 'time' holds lists, not times. Explode it.",
    ),
    "unknown event": (
        errors.UnknownNameError("event", ["purchse"], ["view", "purchase"]),
        (
            "no event 'purchse' in this log. Did you mean 'purchase'? Available: 'purchase', 'view'. "
            'Pass missing="ignore" to count such names as never seen.'
        ),
    ),
    "two unknown events": (
        errors.UnknownNameError("state", ["x", "y"], []),
        (
            "no state 'x' in this log. There are none. no state 'y' in this log. There are none. "
            'Pass missing="ignore" to count such names as never seen.'
        ),
    ),
    "choice": (
        errors.ParameterError.choice("unit", "day", ("session", "user")),
        "unit cannot be 'day'. Choose one of: 'session', 'user'.",
    ),
    "duration": (errors.ParameterError.duration("timeout", 30), f"timeout cannot be 30. {DURATION_ADVICE}"),
    "not positive": (
        errors.ParameterError.not_positive("timeout", "0s"),
        "timeout must be greater than zero, not '0s'.",
    ),
    "one problem of stages": (
        errors.StageModelError(["it has no stage"]),
        "the stage model has 1 problem:\n- it has no stage",
    ),
    "problems of stages": (
        errors.StageModelError(["one", "two"], "a.toml"),
        "the stage model 'a.toml' has 2 problems:\n- one\n- two",
    ),
}
BUILTINS = {
    errors.InputError: ValueError, errors.MissingColumnError: LookupError, errors.ParameterError: ValueError,
    errors.UnknownPropertyError: LookupError, errors.MissingFileError: FileNotFoundError,
    errors.UnsupportedSourceError: TypeError, errors.ColumnTypeError: TypeError, errors.EngineError: RuntimeError,
    errors.UnknownNameError: LookupError, errors.UndefinedError: ArithmeticError, errors.StageModelError: ValueError,
    errors.StoreError: ValueError, errors.JourneykitWarning: UserWarning,
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    error, text = MESSAGES[name]
    assert str(error) == text


@pytest.mark.parametrize("kind", BUILTINS, ids=lambda kind: kind.__name__)
def test_every_error_is_a_builtin_too(kind):
    assert issubclass(kind, BUILTINS[kind])
    assert issubclass(kind, errors.JourneykitError | errors.JourneykitWarning)


def test_suggestions_are_closest_first_and_at_most_eight():
    text = errors.suggestion("name8", NINE)
    assert text == (
        "Did you mean 'name8'? Available: 'name8', 'name0', 'name1', 'name2', 'name3', 'name4', 'name5', 'name6' "
        "and 1 more."
    )
    assert errors.suggestion("zzz", ["view"]) == "Available: 'view'."


def test_problems_of_stages_travel_between_processes():
    error = MESSAGES["problems of stages"][0]
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems, again.source) == (str(error), error.problems, "a.toml")


def test_sentences_end_with_one_full_stop():
    assert [errors.sentence(text) for text in ("a", "a.", "a:", " a .. ")] == ["a.", "a.", "a.", "a ."]
