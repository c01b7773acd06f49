"""Running commands in this process."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from wsmesh.cli.main import cli


@pytest.fixture
def invoke(tmp_path, monkeypatch) -> Callable[..., Result]:
    """Run the command line; the environment has no `WSMESH_*` but the given ones."""
    for name in [name for name in os.environ if name.startswith("WSMESH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, stdin: str | None = None, **environ: str) -> Result:
        return CliRunner().invoke(
            cli, words, input=stdin, env=environ, prog_name="python -m wsmesh",
            catch_exceptions=False,
        )

    return run
