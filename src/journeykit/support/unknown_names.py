"""What to do about names that the log does not have: refuse them, warn, or count them as never seen. D0.9."""

from __future__ import annotations

import warnings
from typing import Literal, TypeAlias, get_args

from journeykit.errors import JourneykitWarning, ParameterError, UnknownNameError

Missing: TypeAlias = Literal["raise", "ignore", "warn"]
MISSING: tuple[Missing, ...] = get_args(Missing)


def check_missing(missing: object) -> None:
    """Refuse a choice that does not exist.

    Raises
    ------
    ParameterError
        If it is none of `MISSING`.
    """
    if missing not in MISSING:
        raise ParameterError.choice("missing", missing, MISSING)


def refuse_unknown(error: UnknownNameError, missing: str, *, stacklevel: int = 3) -> None:
    """Raise the error, make a warning of it, or do nothing.

    Parameters
    ----------
    error : UnknownNameError
        What there is to say of the names.
    missing : {"raise", "ignore", "warn"}
        What to do.
    stacklevel : int
        Whom the warning points at, counted from here.

    Raises
    ------
    UnknownNameError
        With ``"raise"``.

    Warns
    -----
    JourneykitWarning
        With ``"warn"``, of the same text.
    """
    if missing == "raise":
        raise error
    if missing == "warn":
        warnings.warn(str(error), JourneykitWarning, stacklevel=stacklevel)
