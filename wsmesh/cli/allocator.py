"""Choosing the C library's allocator, which can give memory back (docs/decisions/memory.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def with_c_allocator(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment to start this program again with, None when nothing would change."""
    if "PYTHONMALLOC" in environ or not sys.platform.startswith("linux"):
        return None
    return {**environ, "PYTHONMALLOC": "malloc"}


def restart_with_c_allocator() -> None:
    """Replace the process by itself with the C library's allocator, unless it already has it.

    To be called before anything is imported that takes time.
    """
    environ = with_c_allocator(os.environ)
    if environ is not None:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
