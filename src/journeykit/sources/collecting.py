"""Running a polars plan, and keeping the engines' errors from the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from journeykit.errors import EngineError, JourneykitError


@contextmanager
def engine_errors(step: str) -> Iterator[None]:
    """Chain whatever polars, DuckDB or Arrow raise inside under an EngineError that names the step.

    Parameters
    ----------
    step : str
        What was being done, as the start of a sentence: ``"reading the log"``.

    Raises
    ------
    EngineError
        For any error but journeykit's own, missing memory and missing packages.

    Examples
    --------
    >>> with engine_errors("reading the log"):
    ...     raise pl.exceptions.ComputeError("no such thing")
    Traceback (most recent call last):
    journeykit.errors.EngineError: reading the log failed: no such thing.
    """
    try:
        yield
    except (JourneykitError, MemoryError, ImportError):
        raise
    # Every engine has its own hierarchy of errors; that of Rust stands beside Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise EngineError(step, error) from error


def collect(plan: pl.LazyFrame, step: str) -> pl.DataFrame:
    """Run a plan; an engine's error is chained under ours with the step's name.

    Parameters
    ----------
    plan : polars.LazyFrame
        What to run.
    step : str
        What it does, for the message.

    Returns
    -------
    polars.DataFrame
        Its rows, in the order of the source.

    Raises
    ------
    EngineError
        If the engine fails.
    """
    with engine_errors(step):
        return plan.collect()
