"""`gateway`: one address for all nodes."""

from __future__ import annotations

from functools import partial

import click

from wsmesh.cli.allocator import restart_with_c_allocator
from wsmesh.cli.choices import Choices, with_choices


@click.command(epilog="""\b
Examples:
  python -m wsmesh gateway --config wsmesh.toml
  WSMESH_GATEWAY_CONTROL_DIR=/run/wsmesh python -m wsmesh gateway --port 8000
  WSMESH_GATEWAY_NODES='["10.0.0.1:8000", "10.0.0.2:8000"]' python -m wsmesh gateway

\b
Nodes of this host are found by their control sockets ([node] control): they get
the client's socket itself. Those of [redis] and of [gateway] nodes elsewhere get
its bytes relayed. [balancer] and [affinity] say who gets whom.
SIGTERM, SIGINT: stop accepting, wait for relayed connections, exit 0.
SIGHUP: read the configuration again; a new strategy places whoever comes next.
""")
@with_choices
def gateway(choices: Choices) -> None:
    """Run a gateway: one address that places clients on nodes."""
    loaded = choices.load()
    restart_with_c_allocator()
    for advice in loaded.advice:
        click.echo(f"wsmesh: note: {advice}", err=True)

    # As late as for a node, and for the same reason.
    import trio

    from wsmesh import logs
    from wsmesh.gateway import gateway as gateways

    with logs.open_logs(loaded.config.log):
        trio.run(
            partial(
                gateways.run, loaded.config, read=lambda: choices.load().config,
                started=lambda opened: _welcome(opened.addresses),
            )
        )


def _welcome(addresses: tuple[str, ...]) -> None:
    for address in addresses:
        click.echo(f"wsmesh: gateway on {address}", err=True)
