"""`up`: a gateway and several nodes on this host, kept running."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import attrs
import click
import trio
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wsmesh import logs
from wsmesh.cli.allocator import with_c_allocator
from wsmesh.cli.choices import Choices, with_choices
from wsmesh.config import dev
from wsmesh.config.loading import Loaded
from wsmesh.supervisor import running
from wsmesh.supervisor.supervisor import Supervisor

_PIPED = 120
"""Columns of the table where the output is no terminal."""


@click.command(epilog="""\b
Examples:
  python -m wsmesh up --dev                       one node for each core, to try things out
  python -m wsmesh up --nodes 3 --config wsmesh.toml
  python -m wsmesh up --nodes 3 --no-gateway      nodes on ports 8000, 8001 and 8002

\b
Processes that end are started again, those that hang are killed first.
SIGTERM, SIGINT: stop accepting, drain all nodes, exit 0; a second time: at once.
SIGHUP: all processes read the configuration again.
SIGUSR2: restart the nodes, one after the other.
If the supervisor is killed the kernel kills all of them; clients come back to
whoever listens then. Status 1, or 2 when the configuration is to blame, with
the reason, when the cluster cannot be kept.
""")
@click.option(
    "--nodes", type=click.IntRange(1, 1024), metavar="N",
    help="Node processes, instead of one for each core or supervisor.nodes.",
)
@click.option(
    "--gateway/--no-gateway", default=None,
    help="With one address for all nodes, or with a port for each.",
)
@click.option(
    "--cpu-affinity", is_flag=True, default=None, help="Bind each node to a core of its own."
)
@with_choices
def up(
    choices: Choices, nodes: int | None, gateway: bool | None, cpu_affinity: bool | None
) -> None:
    """Run a gateway and several nodes on this host, and keep them running."""
    loaded = choices.load()
    chosen: dict[str, Any] = {"nodes": nodes, "gateway": gateway, "cpu_affinity": cpu_affinity}
    rules = attrs.evolve(
        loaded.config.supervisor,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    said = _say(loaded)

    orders = running.Orders(
        config=loaded.config, rules=rules, common=_common(choices), public=_public(choices),
        environment=with_c_allocator(os.environ) or dict(os.environ),
        already_said=frozenset(line.encode() for line in said),
    )
    section = attrs.evolve(loaded.config.log, format=running.form_of(loaded.config.log))
    with logs.open_logs(section) as sink:
        trio.run(partial(running.run, orders, sink.put, started=_show))


def _say(loaded: Loaded) -> list[str]:
    """Say what each of the processes would say again; return the lines."""
    said = dev.WARNING.splitlines() if loaded.config.node.dev else []
    said += [f"wsmesh: note: {advice}" for advice in loaded.advice]
    for line in said:
        click.echo(line, err=True)
    return said


def _common(choices: Choices) -> tuple[str, ...]:
    config = () if choices.config is None else ("--config", str(choices.config))
    return (*config, *(("--dev",) if choices.dev else ()))


def _public(choices: Choices) -> tuple[str, ...]:
    host = () if choices.host is None else ("--host", choices.host)
    return (*host, *(() if choices.port is None else ("--port", str(choices.port))))


def _show(supervisor: Supervisor, addresses: tuple[str, ...]) -> None:
    """Print where the cluster is, and its processes."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("process")
    table.add_column("pid", justify="right")
    table.add_column("listens on")
    if supervisor.gateway is not None:
        table.add_row("gateway", str(supervisor.gateway.pid), escape(", ".join(addresses)))
    for node in supervisor.nodes:
        own = node.report.listeners if node.report is not None else ()
        table.add_row(escape(node.role.name), str(node.pid), escape(", ".join(own)))
    Console(width=None if sys.stdout.isatty() else _PIPED).print(table)
    sys.stdout.flush()
    for address in addresses:
        click.echo(f"wsmesh: listening on {address}", err=True)
