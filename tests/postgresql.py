"""A server of PostgreSQL for the tests: made in a temporary folder, reached by password, gone in the end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "owner", "p@ss/w:rd#1"
PLACES = "/usr/lib/postgresql/*/bin"


def programs() -> Path | None:
    """The folder of the server's programs; None where it is not installed."""
    found = sorted(Path("/").glob(f"{PLACES[1:]}/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server; give its address without user and password, such as ``127.0.0.1:5433``."""
    _run(folder, "initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=password", "-N")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    _run(folder, "pg_ctl", "-D", "data", "-o", options, "-l", "log", "-w", "start")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        _run(folder, "pg_ctl", "-D", "data", "-m", "immediate", "stop")


@contextmanager
def server_folder() -> Iterator[Path]:
    """Give a folder that belongs to whom the server runs as: it refuses to run as root."""
    with tempfile.TemporaryDirectory(prefix="jk-pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if owner := _owner():
            for each in (folder, folder / "password"):
                shutil.chown(each, owner)
        yield folder


def _owner() -> str | None:
    if os.geteuid():
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(folder: Path, program: str, *arguments: str) -> None:
    found = programs()
    assert found is not None
    subprocess.run(
        [found / program, *arguments], cwd=folder, user=_owner(), check=True, stdout=subprocess.DEVNULL
    )
