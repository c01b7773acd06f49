"""Loading configurations from text, with known strategies and no environment but the given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.config.known import STRATEGIES
from wsmesh.config.loading import Loaded, load
from wsmesh.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where `load_text` puts the file."""
    return tmp_path / "wsmesh.toml"


@pytest.fixture
def load_text(file: Path) -> Callable[..., Loaded]:
    """Load a TOML text; `environ` and command-line options as keywords."""

    def load_it(
        text: str = "", environ: Mapping[str, str] | None = None, **overrides: Any
    ) -> Loaded:
        file.write_text(text, encoding="utf-8")
        return load(file, environ or {}, overrides, strategies=STRATEGIES)

    return load_it


@pytest.fixture
def faults_of(load_text: Callable[..., Loaded], file: Path) -> Callable[..., list[str]]:
    """Return the faults of a text, which must have some; the file is called FILE in them."""

    def refuse(*args: Any, **overrides: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(*args, **overrides)
        return [fault.replace(str(file), "FILE") for fault in caught.value.faults]

    return refuse
