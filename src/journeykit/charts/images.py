"""Images of charts: a browser without a window draws them; kaleido where there is none."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import plotly

from journeykit.errors import BrowserError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
"""Programs to look for: names on the PATH, then where they are installed without being on it."""

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=20000",
)
LONGEST = 120
"""Seconds that a browser may take."""

PAGE = """<!doctype html><html><head><meta charset="utf-8"><style>
@page {{ size: {width}px {height}px; margin: 0 }} body {{ margin: 0 }}
</style><script src="{plotly}"></script></head><body><div id="chart"></div><script>
const figure = {figure}, size = {{width: {width}, height: {height}}};
Plotly.newPlot("chart", figure.data, {{...figure.layout, ...size}}, {{staticPlot: true, typesetMath: false}})
  .then(drawn => {then});
</script></body></html>"""
IMAGE = (
    "Plotly.toImage(drawn, {{...size, format: '{format}', scale: {scale}}})"
    ".then(url => {{ document.body.textContent = url; }})"
)
URL = re.compile(r"data:image/(?:png|svg\+xml)(;base64)?,([^<]*)")

Drawer = Callable[[Any, str, "Size"], bytes]


@dataclass(frozen=True)
class Size:
    """How large an image is: in CSS pixels, and how many pixels of a PNG each of them has."""

    width: int
    height: int
    scale: float


def find_browser() -> str | None:
    """Return the program of a Chromium or Chrome, None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def drawer(path: Path, browser: str | Path | None) -> Drawer:
    """Return what draws images here.

    Raises
    ------
    BrowserError
        If the browser does not exist; if none is named, and there is neither one nor kaleido.
    """
    program = find_browser() if browser is None else shutil.which(str(browser))
    if program is not None:
        return lambda chart, format_, size: by_browser(program, chart, format_, size)
    if browser is not None:
        raise BrowserError.unknown(str(browser))
    if find_spec("kaleido") is not None:
        return by_kaleido
    raise BrowserError.missing(str(path))


def by_kaleido(chart: Any, format_: str, size: Size) -> bytes:
    """Draw an image with kaleido."""
    image = chart.to_image(format=format_, width=size.width, height=size.height, scale=size.scale)
    return bytes(image)


def by_browser(program: str, chart: Any, format_: str, size: Size) -> bytes:
    """Draw an image with a browser.

    Raises
    ------
    BrowserError
        If the browser fails, or takes longer than two minutes.
    """
    with tempfile.TemporaryDirectory(prefix="journeykit-", ignore_cleanup_errors=True) as folder:
        page, printed = Path(folder, "chart.html"), Path(folder, "chart.pdf")
        page.write_text(_page(chart, format_, size), encoding="utf-8")
        wanted = (
            ["--no-pdf-header-footer", f"--print-to-pdf={printed}"] if format_ == "pdf" else ["--dump-dom"]
        )
        shown = _run(program, [*wanted, page.as_uri()], folder)
        found = _image_in(shown.stdout)
        if printed.is_file():
            found = printed.read_bytes()
        if not found:
            raise BrowserError.failed(program, shown.stderr)
        return found


def _page(chart: Any, format_: str, size: Size) -> str:
    """Write the page that draws the chart; but for a PDF it then holds the address of the image alone."""
    then = (
        "0"
        if format_ == "pdf"
        else IMAGE.format(format=format_, scale=size.scale if format_ == "png" else 1.0)
    )
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    figure = chart.to_json().replace("<", "\\u003c")
    return PAGE.format(width=size.width, height=size.height, plotly=script.as_uri(), figure=figure, then=then)


def _run(program: str, arguments: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    unboxed = ["--no-sandbox"] if root else []  # Chromium has no sandbox for root.
    command = [program, *FLAGS, *unboxed, f"--user-data-dir={folder}/profile", *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=LONGEST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserError.failed(program, str(error)) from error


def _image_in(page: str) -> bytes:
    found = URL.search(page)
    if found is None:
        return b""
    coded = unescape(found[2])
    return base64.b64decode(coded) if found[1] else unquote_to_bytes(coded)
