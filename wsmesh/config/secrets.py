"""Reading what `env:NAME` and `file:PATH` name, so that secrets need not stand in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LARGEST = 64 * 1024


def resolve(text: str, environ: Mapping[str, str]) -> str:
    """Return the value that `text` names, or `text` itself when it has neither prefix.

    Paths are relative to the working directory; one trailing newline is not part of the value.
    Raises ValueError, which names the variable or file but never shows what it holds.
    """
    if text.startswith("env:"):
        return _from_environment(text[4:], environ)
    if text.startswith("file:"):
        return _from_file(text[5:])
    return text


def referred_variable(text: object) -> str:
    """Return the environment variable that a raw value refers to, or nothing."""
    return text[4:] if isinstance(text, str) and text.startswith("env:") else ""


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        state = "is empty" if name in environ else "is not set"
        raise ValueError(f"expected a value in the environment variable {name!r}, which {state}")
    return environ[name]


def _from_file(name: str) -> str:
    try:
        path = Path(name)
        if path.exists() and not path.is_file():
            raise ValueError(f"expected a regular file at {name!r}, found something else")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as exc:
        raise ValueError(f"cannot read {name!r}: {exc.strerror or exc}") from None
    if len(content) > _LARGEST:
        raise ValueError(f"expected at most 64KiB in {name!r}, found more")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"expected UTF-8 text in {name!r}, found other bytes") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"expected a value in {name!r}, which is empty")
    return text
