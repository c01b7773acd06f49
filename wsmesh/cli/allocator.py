"""Choosing the C library's allocator, which can give memory back (docs/decisions/memory.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

PASSING = frozenset(
    ("config", "token", "publish", "subscribe", "cluster", "render", "demo", "up", "-h", "--help",
     "--version")
)
"""Commands that are soon over, or leave the serving to other processes; and options."""


def with_c_allocator(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment to start this program again with, None when nothing would change."""
    if "PYTHONMALLOC" in environ or not sys.platform.startswith("linux"):
        return None
    return {**environ, "PYTHONMALLOC": "malloc"}


def stays(words: Sequence[str]) -> bool:
    """Return whether a command line is that of a process that serves, as far as one can see.

    :param words: without the program's name.
    """
    return not PASSING.intersection(words)


def restart_with_c_allocator() -> None:
    """Replace the process by itself with the C library's allocator, unless it already has it.

    To be called before anything is imported that takes time.
    """
    environ = with_c_allocator(os.environ)
    if environ is not None:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
