"""`cluster`: the nodes, a user's connections wherever they are, draining a node."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import click
from attrs import asdict

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.cluster_access import KEY, TIMEOUT, URL, api_of, node_reader
from wsmesh.cli.cluster_tables import connections_table, nodes_table
from wsmesh.cli.kinds import DURATION
from wsmesh.cli.rollout import promote, releases, restart, rollback, wait_gone, weigh
from wsmesh.cluster.srv import zone_lines
from wsmesh.session.orders import NodeInfo

_PIPED = 200
"""Columns where the output is no terminal: nothing is to be cut off there."""


@click.group(invoke_without_command=True, epilog="""\b
Examples:
  python -m wsmesh cluster --config wsmesh.toml
  python -m wsmesh cluster --watch --url http://127.0.0.1:8000
  python -m wsmesh cluster --json | jq '.[] | select(.state != "alive")'
  python -m wsmesh cluster sessions alice --config wsmesh.toml
  python -m wsmesh cluster drain node-3 --config wsmesh.toml
  python -m wsmesh cluster srv _wsmesh._tcp.chat.example --config wsmesh.toml
  python -m wsmesh cluster restart --config wsmesh.toml
  python -m wsmesh cluster promote green --config wsmesh.toml
""")
@URL
@KEY
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@with_choices
def cluster(
    choices: Choices, url: str | None, api_key: str | None, timeout: float, as_json: bool,
    watch: bool,
) -> None:
    """Show the nodes: state, clients, load, release.

    Without --url the nodes are read from the [redis] of the configuration, which also works when
    no node answers.
    """
    context = click.get_current_context()
    context.obj = choices
    if context.invoked_subcommand is not None:
        return
    config = choices.load().config
    read = node_reader(config, url, api_key, timeout)
    if as_json:
        click.echo(json.dumps([asdict(node) for node in read()], indent=2))
    elif watch:
        _watch(read)
    else:
        _show(read())


for command in (restart, releases, weigh, promote, rollback):
    cluster.add_command(command)


@cluster.command(epilog="""\b
Examples:
  python -m wsmesh cluster sessions alice --config wsmesh.toml
  python -m wsmesh cluster sessions alice --json --url http://127.0.0.1:8000
""")
@click.argument("user")
@URL
@KEY
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@with_choices
def sessions(
    choices: Choices, user: str, url: str | None, api_key: str | None, timeout: float,
    as_json: bool,
) -> None:
    """Show the connections of USER on all nodes."""
    found = api_of(choices.load().config, url, api_key, timeout).call("connections", {"user": user})
    if as_json:
        click.echo(json.dumps(found["connections"], indent=2))
    elif found["connections"]:
        _print(connections_table(user, found["connections"]))
    else:
        click.echo(f"{user} has no connection")


@cluster.command(epilog="""\b
Examples:
  python -m wsmesh cluster drain node-3 --config wsmesh.toml
  python -m wsmesh cluster drain node-3 --wait --config wsmesh.toml
  python -m wsmesh cluster drain 0d3c5f1e-8a43-4a0f-a2f0-3d5a9f5a7b11 --url http://127.0.0.1:8000
""")
@click.argument("node")
@click.option("--wait", is_flag=True, help="Return when it is gone; also for a preStop hook.")
@URL
@KEY
@TIMEOUT
@with_choices
def drain(
    choices: Choices, node: str, wait: bool, url: str | None, api_key: str | None, timeout: float
) -> None:
    """Have NODE (its name or id) stop as on SIGTERM: its clients are sent elsewhere."""
    config = choices.load().config
    read = node_reader(config, url, api_key, timeout)
    found = [each for each in read() if node in (each.uid, each.name)] if wait else []
    api_of(config, url, api_key, timeout).call("drain", {"node": node})
    click.echo(f"{node} drains")
    for each in found:
        took = wait_gone(each, read, config.node.shutdown_timeout)
        click.echo(f"{node} is gone after {took:.1f} s")


@cluster.command(epilog="""\b
Examples:
  python -m wsmesh cluster srv _wsmesh._tcp.chat.example --config wsmesh.toml > chat.zone
""")
@click.argument("name")
@click.option(
    "--ttl", type=DURATION, default="5s", show_default=True, metavar="DURATION",
    help="How long resolvers keep the records; as long a node that is gone is still tried.",
)
@TIMEOUT
@with_choices
def srv(choices: Choices, name: str, ttl: float, timeout: float) -> None:
    """Print the nodes that take clients as DNS records under NAME, such as _wsmesh._tcp.DOMAIN.

    Lines of a zone file: SRV with the nodes' weights, and the addresses of nodes without a name.
    For clients that choose by themselves; draining nodes are left out.
    """
    config = choices.load().config
    if not config.redis.url:
        raise click.UsageError("the nodes of a cluster are read from [redis] url, which is empty")
    from wsmesh.cli.cluster_store import read_members  # trio and redis, only when they are used

    try:
        lines = zone_lines(read_members(config, timeout), name, round(ttl))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    for line in lines:
        click.echo(line)


def _show(nodes: list[NodeInfo]) -> None:
    if nodes:
        _print(nodes_table(nodes))
    else:
        click.echo("no node is there")


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _PIPED
    console.print(table)


def _watch(read: Callable[[], list[NodeInfo]]) -> None:
    from rich.live import Live

    with Live(nodes_table(read()), auto_refresh=False) as screen:
        try:
            while True:
                time.sleep(1)  # a command's own process, which has nothing else to do
                screen.update(nodes_table(read()), refresh=True)
        except KeyboardInterrupt:
            return
