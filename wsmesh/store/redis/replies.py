"""RESP3: packing commands, reading replies; what an error reply means for its operation.

Pure. The classes of errors are those of the `redis` package, so that callers need no others.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, cast

import hiredis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ExecAbortError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from wsmesh.config.redis_url import Address

NOTHING: Final = object()
"""What a reader returns when it needs more bytes; RESP3 uses None and False as values."""

Argument = bytes | str | int
"""What a command may consist of."""

pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)
"""Return a command as RESP."""

_CLASSES: dict[str, type[Exception]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "CROSSSLOT": ClusterCrossSlotError,
    "EXECABORT": ExecAbortError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "TRYAGAIN": TryAgainError,
    "WRONGPASS": AuthenticationError,
}
_PARSED = {"ASK", "MOVED"}
"""Their classes take the text behind the code, and split it."""


class Fate(Enum):
    """What becomes of an operation that was answered with an error."""

    DELIVER = auto()
    """The caller gets the error: it asked for something wrong."""
    UNAVAILABLE = auto()
    """Not executed, for a reason that passes."""
    DEMOTED = auto()
    """Not executed: the server is no master any more."""
    UNCOVERED = auto()
    """Not executed: the cluster does not serve the slot now."""
    MOVED = auto()
    ASK = auto()
    TRY_AGAIN = auto()
    LOAD_SCRIPT = auto()


_FATES: dict[str, Fate] = {
    "ASK": Fate.ASK,
    "BUSY": Fate.UNAVAILABLE,
    "CLUSTERDOWN": Fate.UNCOVERED,
    "LOADING": Fate.UNAVAILABLE,
    "MASTERDOWN": Fate.DEMOTED,
    "MISCONF": Fate.UNAVAILABLE,
    "MOVED": Fate.MOVED,
    "NOAUTH": Fate.UNAVAILABLE,
    "NOREPLICAS": Fate.UNAVAILABLE,
    "NOSCRIPT": Fate.LOAD_SCRIPT,
    "OOM": Fate.UNAVAILABLE,
    "READONLY": Fate.DEMOTED,
    "TRYAGAIN": Fate.TRY_AGAIN,
}


def open_reader() -> hiredis.Reader:
    """Return a RESP3 parser whose error replies are exceptions of the `redis` package."""
    return hiredis.Reader(replyError=error_of, notEnoughData=NOTHING)


def error_of(text: str) -> Exception:
    """Return the exception of an error reply; its `code` is the first word, e.g. `WRONGTYPE`."""
    code, _, rest = text.partition(" ")
    kind = _CLASSES.get(code, ResponseError)
    error: Any
    try:
        error = kind(rest if code in _PARSED else text.removeprefix("ERR "))
    except (ValueError, IndexError):
        error, code = ResponseError(text), ""
    error.code = code
    return error  # type: ignore[no-any-return]  # attribute set above


def fate_of(error: Exception) -> Fate:
    """Say what becomes of the operation that got this error reply."""
    return _FATES.get(getattr(error, "code", ""), Fate.DELIVER)


def target_of(error: AskError, asked: Address) -> Address:
    """Return the address that MOVED or ASK names; an empty host means the one that was asked."""
    return Address(error.host or asked.host, error.port)
