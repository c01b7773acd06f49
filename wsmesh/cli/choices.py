"""Options that every command takes, before or after its name, and the configuration they give."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from wsmesh.config.loading import Loaded, load


@attrs.frozen(kw_only=True)
class Choices:
    """What the command line says about the configuration; None is unset."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    dev: bool | None = None

    def over(self, earlier: Choices) -> Choices:
        """Return these choices, with those made before the command's name where they are unset."""
        return Choices(**{
            name: value if value is not None else getattr(earlier, name)
            for name, value in attrs.asdict(self, recurse=False).items()
        })

    def load(self) -> Loaded:
        """Load the configuration they ask for; raises ConfigError."""
        overrides = {"host": self.host, "port": self.port, "dev": self.dev}
        return load(self.config, os.environ, overrides)


_OPTIONS = (
    click.option(
        "--config", "-c", type=click.Path(path_type=Path), metavar="FILE",
        help="The TOML file; otherwise the one that WSMESH_CONFIG names, or none.",
    ),
    click.option(
        "--host", metavar="HOST",
        help="The listener's address, instead of 127.0.0.1 or the file's.",
    ),
    click.option(
        "--port", type=click.IntRange(0, 65_535), metavar="PORT",
        help="The listener's port, instead of 8000 or the file's; 0: any free one.",
    ),
    click.option(
        "--dev", is_flag=True, default=None,
        help="Let everybody do everything, on loopback addresses only.",
    ),
)


def with_choices(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options above as one argument `choices`; the innermost decorator."""

    @click.pass_context
    def command(
        context: click.Context, /, config: Path | None, host: str | None, port: int | None,
        dev: bool | None, **others: Any,
    ) -> Any:
        own = Choices(config=config, host=host, port=port, dev=dev or None)
        earlier = context.obj if isinstance(context.obj, Choices) else Choices()
        return function(choices=own.over(earlier), **others)

    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    decorated: Callable[..., Any] = command
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
