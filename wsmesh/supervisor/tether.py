"""Starts a program that the kernel kills when the supervisor dies. A script, run with `-I -S`.

`tether.py SUPERVISOR CORE PROGRAM WORD ...`. The kernel sends SIGKILL when the parent is gone
(PR_SET_PDEATHSIG, prctl(2)), whatever became of it and even if this program hangs, and exec keeps
that. By "parent" the kernel means the thread that forked: the supervisor forks in its main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""

LOST = 1
"""The status when there is nobody to be tethered to."""


def main(words: list[str]) -> None:
    """Become the program.

    :raises OSError: it cannot be started.
    """
    supervisor, core, *program = words
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(supervisor):
        sys.exit(LOST)  # it died before the tether held
    if core:
        # Here, before there are threads, so that all of them inherit it.
        os.sched_setaffinity(0, {int(core)})
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
