"""HAProxy and nginx, real ones, for tests; `make test` installs them."""

from __future__ import annotations

import csv
import shutil
import socket
from pathlib import Path

SBIN = "/usr/sbin"


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=SBIN)
    assert found is not None, f"{name} is needed: tests/prerequisites.sh installs it"
    return found


def haproxy_program() -> str:
    """Return where HAProxy is."""
    return _program("haproxy")


def nginx_command(directory: Path, file: Path) -> list[str]:
    """Return the command that runs nginx with a configuration, its files in `directory`."""
    return [
        _program("nginx"), "-p", str(directory), "-c", str(file), "-e", str(directory / "log"),
        "-g", f"pid {directory}/nginx.pid; daemon off;",
    ]


def statistics(path: Path) -> dict[str, dict[str, str]]:
    """Return what a HAProxy says of each server of its back end.

    :param path: its statistics socket.
    """
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(5)
        asking.connect(str(path))
        asking.sendall(b"show stat\n")
        answer = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
    rows = csv.DictReader(answer.removeprefix("# ").splitlines())
    return {row["svname"]: row for row in rows if row["pxname"] == "nodes"}
