"""`run`: one node in this process, until it is told to stop."""

from __future__ import annotations

from functools import partial

import click

from wsmesh.cli.allocator import restart_with_c_allocator
from wsmesh.cli.choices import Choices, with_choices
from wsmesh.config import dev


@click.command(epilog="""\b
Examples:
  python -m wsmesh run --dev --port 8001
  python -m wsmesh run --config wsmesh.toml
  WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY=file:/run/secrets/jwt python -m wsmesh run

\b
SIGTERM, SIGINT: stop accepting, tell clients to reconnect, flush, exit 0.
SIGHUP: read configuration and certificate again, reopen the log file. What a
change needs (SIGHUP or a restart) is said by "config default".
""")
@with_choices
def run(choices: Choices) -> None:
    """Run a node (the same as no command)."""
    run_node(choices)


def run_node(choices: Choices) -> None:
    """Run a node as the choices say; returns after a graceful stop, raises ConfigError."""
    loaded = choices.load()
    restart_with_c_allocator()
    if loaded.config.node.dev:
        click.echo(dev.WARNING, err=True)
    for advice in loaded.advice:
        click.echo(f"wsmesh: note: {advice}", err=True)

    # Only now, when the configuration holds: trio, the protocol and the logs take a while.
    import trio

    from wsmesh import logs, running

    with logs.open_logs(loaded.config.log):
        trio.run(
            partial(
                running.run, loaded.config, started=lambda opened: _welcome(opened.addresses),
                read=lambda: choices.load().config,
            )
        )


def _welcome(addresses: tuple[str, ...]) -> None:
    """Say where the node can be reached now."""
    for address in addresses:
        click.echo(f"wsmesh: listening on {address}", err=True)
