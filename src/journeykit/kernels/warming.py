"""Making the kernels ready before they are needed."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def nothing(number):
    """Return a number as it is."""
    return number


def warm_up() -> None:
    """Import the kernels that every log needs, and what loads their machine code."""
    from journeykit.kernels.ordering import event_names, recoding, user_ids
    from journeykit.kernels.ordering import order as ordering
    from journeykit.kernels.paths import sessions

    nothing(
        len(
            (event_names.__name__, ordering.__name__, recoding.__name__, sessions.__name__, user_ids.__name__)
        )
    )
