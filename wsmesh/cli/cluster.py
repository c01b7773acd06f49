"""`cluster`: the nodes, a user's connections wherever they are, draining a node."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import click
import msgspec
from attrs import asdict

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.cluster_tables import connections_table, nodes_table
from wsmesh.cli.kinds import DURATION, SECRET
from wsmesh.cli.reaching import base_url
from wsmesh.cli.server_api import ServerAPI
from wsmesh.cluster.srv import zone_lines
from wsmesh.config.sections import Config
from wsmesh.session.orders import NodeInfo

_URL = click.option(
    "--url", metavar="URL",
    help="A node to ask, http://HOST:PORT; otherwise the store of the configuration, or without "
    "one its first listener.",
)
_KEY = click.option(
    "--api-key", type=SECRET, metavar="KEY",
    help="The key itself, env:NAME or file:PATH; otherwise http_api.key of the configuration.",
)
_TIMEOUT = click.option(
    "--timeout", type=DURATION, default="5s", show_default=True, metavar="DURATION",
    help="How long an answer may take.",
)

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
""")
@_URL
@_KEY
@_TIMEOUT
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
    read = _reader(config, url, api_key, timeout)
    if as_json:
        click.echo(json.dumps([asdict(node) for node in read()], indent=2))
    elif watch:
        _watch(read)
    else:
        _show(read())


@cluster.command(epilog="""\b
Examples:
  python -m wsmesh cluster sessions alice --config wsmesh.toml
  python -m wsmesh cluster sessions alice --json --url http://127.0.0.1:8000
""")
@click.argument("user")
@_URL
@_KEY
@_TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@with_choices
def sessions(
    choices: Choices, user: str, url: str | None, api_key: str | None, timeout: float,
    as_json: bool,
) -> None:
    """Show the connections of USER on all nodes."""
    found = _api(choices.load().config, url, api_key, timeout).call("connections", {"user": user})
    if as_json:
        click.echo(json.dumps(found["connections"], indent=2))
    elif found["connections"]:
        _print(connections_table(user, found["connections"]))
    else:
        click.echo(f"{user} has no connection")


@cluster.command(epilog="""\b
Examples:
  python -m wsmesh cluster drain node-3 --config wsmesh.toml
  python -m wsmesh cluster drain 0d3c5f1e-8a43-4a0f-a2f0-3d5a9f5a7b11 --url http://127.0.0.1:8000
""")
@click.argument("node")
@_URL
@_KEY
@_TIMEOUT
@with_choices
def drain(
    choices: Choices, node: str, url: str | None, api_key: str | None, timeout: float
) -> None:
    """Have NODE (its name or id) stop as on SIGTERM: its clients are told to go elsewhere."""
    _api(choices.load().config, url, api_key, timeout).call("drain", {"node": node})
    click.echo(f"{node} drains")


@cluster.command(epilog="""\b
Examples:
  python -m wsmesh cluster srv _wsmesh._tcp.chat.example --config wsmesh.toml > chat.zone
""")
@click.argument("name")
@click.option(
    "--ttl", type=DURATION, default="5s", show_default=True, metavar="DURATION",
    help="How long resolvers keep the records; as long a node that is gone is still tried.",
)
@_TIMEOUT
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


def _reader(
    config: Config, url: str | None, api_key: str | None, timeout: float
) -> Callable[[], list[NodeInfo]]:
    if url is None and config.redis.url:
        from wsmesh.cli.cluster_store import read_nodes  # trio and redis, only when they are used

        return lambda: read_nodes(config, timeout)
    api = _api(config, url, api_key, timeout)
    return lambda: msgspec.convert(api.call("info", {})["nodes"], list[NodeInfo])


def _api(config: Config, url: str | None, api_key: str | None, timeout: float) -> ServerAPI:
    if url is None and config.redis.url:
        from wsmesh.cli.cluster_store import a_listener

        url = a_listener(config, timeout)
    base = (url or base_url(config, "http")).rstrip("/")
    key = config.http_api.key.value if api_key is None else api_key
    return ServerAPI(base if base.endswith("/api") else f"{base}/api", key, timeout)


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
