"""`python -m wsmesh`: the root command, which runs a node, and its subcommands."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from wsmesh import __version__
from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.failing import failures_told

# Imported when used: a node does not need the terminal client, nor `token` the node.
_COMMANDS = {
    "run": "wsmesh.cli.node:run",
    "up": "wsmesh.cli.up:up",
    "gateway": "wsmesh.cli.gateway:gateway",
    "config": "wsmesh.cli.config:config",
    "token": "wsmesh.cli.token:token",
    "publish": "wsmesh.cli.publish:publish",
    "subscribe": "wsmesh.cli.subscribe:subscribe",
    "cluster": "wsmesh.cli.cluster:cluster",
    "render": "wsmesh.cli.render:render",
    "demo": "wsmesh.cli.demo:demo",
}

_EPILOG = """\b
Examples:
  python -m wsmesh --dev                      a node to try things out with
  python -m wsmesh --config wsmesh.toml       a node as the file says
  python -m wsmesh up --nodes 3 --dev         one address, a gateway and three nodes
  python -m wsmesh config default > wsmesh.toml
  python -m wsmesh config check --config wsmesh.toml
  python -m wsmesh token --config wsmesh.toml --user alice
  python -m wsmesh subscribe news             print what is published in "news"
  python -m wsmesh publish news '{"text": "hello"}'
  python -m wsmesh cluster --watch            the nodes and their load
  python -m wsmesh render haproxy --nodes 10.0.0.1:8000,10.0.0.2:8000

\b
Every option of the file is also a variable: [client] ping_interval is
WSMESH_CLIENT_PING_INTERVAL. Status: 0 success, 1 failure, 2 wrong
configuration or command line.
"""


class Commands(click.Group):
    """A group that imports its commands when they are used, and tells failures in lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands whose modules are there, in the order above."""
        return [name for name, place in _COMMANDS.items() if find_spec(place.partition(":")[0])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now, or None when there is none of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        with failures_told():
            return super().invoke(ctx)


@click.group(
    cls=Commands, invoke_without_command=True, epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="wsmesh")
@with_choices
def cli(choices: Choices) -> None:
    """Run a WebSocket node that Centrifugo's client SDKs connect to.

    Without a command the node listens on 127.0.0.1:8000, until Ctrl-C or SIGTERM.
    """
    context = click.get_current_context()
    context.obj = choices
    if context.invoked_subcommand is None:
        from wsmesh.cli.node import run_node  # as late as any other command

        run_node(choices)


def main() -> None:
    """Run the command line of this process and exit with its status."""
    cli(prog_name="python -m wsmesh")
