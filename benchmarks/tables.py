"""Markdown tables, and one line that says where and when they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table; None is an empty cell."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def figures(value: float | None, digits: int = 3) -> str | None:
    """Write a number with so many significant digits."""
    if value is None:
        return None
    if value == 0:
        return "0"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    text = f"{value:,.{max(0, digits - whole)}f}"
    return text if abs(value) >= 1 else f"{value:.{digits}g}"


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def machine() -> str:
    """Say which machine this is, what it runs, and how busy it was a minute ago."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {_version(name)}" for name in ("polars", "numpy", "numba", "pyarrow"))
    return (
        f"{now():%Y-%m-%d %H:%M} UTC; {len(os.sched_getaffinity(0))} cores {model}, "
        f"{memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}; "
        f"Python {platform.python_version()}, {packages}; load average {os.getloadavg()[0]:.1f}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
