"""What all tests share: the logs of ``../shared`` and how much hypothesis tries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED = Path(os.environ.get("JOURNEYKIT_SHARED", Path(__file__).parents[2] / "shared"))

# No deadline: the first example of a test pays for the compilation of its kernels.
settings.register_profile(
    "quick", deadline=None, max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=2_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with logs and published numbers; the test is skipped where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the logs of {SHARED}; set JOURNEYKIT_SHARED to where they are")
    return SHARED


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    """Its ``data``: one folder per log."""
    return shared / "data"


@pytest.fixture(scope="session")
def conformance(shared: Path) -> Path:
    """Its ``conformance``: what publications and other tools say about these logs."""
    return shared / "conformance"
