"""How commands fail: one clear line per fault on standard error, and a status, no traceback.

Status 2: the operator must change the configuration or the command line. Status 1: it did not
work. Anything else is a defect of wsmesh and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from wsmesh.errors import ConfigError, WsmeshError

UNUSABLE = 2
FAILED = 1
INTERRUPTED = 130
"""What shells report for a command that Ctrl-C ended."""


@contextmanager
def failures_told() -> Iterator[None]:
    """Turn expected exceptions of the body, alone or in groups, into lines and a status."""
    try:
        yield
    except (WsmeshError, KeyboardInterrupt, BaseExceptionGroup) as exc:
        causes = _causes(exc)
        if not all(isinstance(cause, (WsmeshError, KeyboardInterrupt)) for cause in causes):
            raise
        # A traceback would only repeat what the lines say.
        raise click.exceptions.Exit(_tell(causes)) from None


def lines_of(exc: BaseException) -> list[str]:
    """Return what an exception says, each line beginning with the program's name."""
    text = str(exc) or type(exc).__name__
    return [
        line if line.startswith("wsmesh: ") else f"wsmesh: {line}" for line in text.splitlines()
    ]


def _causes(exc: BaseException) -> list[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        return [cause for inner in exc.exceptions for cause in _causes(inner)]
    return [exc]


def _tell(causes: Sequence[BaseException]) -> int:
    """Print each cause once; return the status of the gravest."""
    told = [cause for cause in causes if isinstance(cause, WsmeshError)]
    if not told:
        return INTERRUPTED
    lines = [line for cause in told for line in lines_of(cause)]
    for line in dict.fromkeys(lines):
        click.echo(line, err=True)
    return UNUSABLE if any(isinstance(cause, ConfigError) for cause in told) else FAILED
