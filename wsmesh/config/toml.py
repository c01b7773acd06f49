"""Reading a TOML file; what cannot be read is told in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_LARGEST = 4 * 1024 * 1024


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of the file at `path`; raises ValueError with the reason it cannot."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror or exc}") from None
    if len(content) > _LARGEST:
        raise ValueError("expected at most 4MiB, found more")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ValueError(f"expected UTF-8 text, found other bytes at {exc.start}") from None
    except RecursionError:
        raise ValueError("expected TOML, found arrays or tables nested too deep") from None
    except ValueError as exc:
        raise ValueError(f"expected TOML: {exc}") from None
