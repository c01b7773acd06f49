"""`python -m tests.history DIR...` prints the verdict on a run; status 1 when it is invalid."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.history.check import check
from tests.history.intake import BadLog
from tests.history.limits import Limits

STATUS = {"valid": 0, "invalid": 1, "vacuous": 3, "unknown": 4}
"""Exit status for each verdict; 2 is for logs that cannot be read."""


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    parser.add_argument("logs", nargs="+", type=Path, metavar="DIR", help="directories or files")
    parser.add_argument("--demand", default="", metavar="S1,S2", help="what must have happened")
    parser.add_argument("--killed", default="", metavar="NAME,NAME", help="logs that may be torn")
    parser.add_argument("--return-within", type=float, default=5.0, metavar="SECONDS")
    options = parser.parse_args(words)
    limits = Limits(
        demand=filter(None, options.demand.split(",")),
        killed=filter(None, options.killed.split(",")),
        return_within=options.return_within,
    )
    try:
        verdict = check(options.logs, limits)
    except (BadLog, OSError) as fault:
        print(fault, file=sys.stderr)
        return 2
    print(verdict)
    return STATUS[verdict.outcome]


if __name__ == "__main__":
    sys.exit(main())
