"""Tables of nodes and connections, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from wsmesh.config.units import format_duration
from wsmesh.session.orders import NodeInfo

_COLOURS = {"alive": "green", "joining": "cyan", "draining": "yellow", "suspect": "red"}
_BAR = 12


def nodes_table(nodes: Iterable[NodeInfo]) -> Table:
    """Return the nodes with their load, and a line for all of them."""
    nodes = list(nodes)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    clients = sum(node.num_clients for node in nodes)
    capacity = sum(node.capacity for node in nodes)
    share = f"{clients / capacity:.0%}" if capacity else ""
    table.add_column("node", footer=f"{len(nodes)} nodes")
    table.add_column("state")
    table.add_column("clients", justify="right", footer=str(clients))
    table.add_column("capacity", justify="right", footer=str(capacity))
    table.add_column("load", footer=share)
    table.add_column("weight", justify="right")
    table.add_column("zone")
    table.add_column("release")
    table.add_column("up", justify="right")
    table.add_column("id")
    for node in nodes:
        table.add_row(
            escape(node.name), Text(node.state, style=_COLOURS.get(node.state, "red")),
            str(node.num_clients), str(node.capacity), _load(node), f"{node.weight:g}",
            escape(node.zone), escape(node.release or node.version),
            format_duration(float(node.uptime)), f"{escape(node.uid)}/{node.incarnation}",
        )
    return table


def connections_table(user: str, connections: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a user's connections."""
    table = Table(box=box.SIMPLE_HEAD, title=f"connections of {escape(user)}")
    for column in ("client", "node", "address", "application", "channels"):
        table.add_column(column)
    for client, each in connections.items():
        application = f"{each.get('app_name', '')} {each.get('app_version', '')}".strip()
        table.add_row(
            escape(client), escape(str(each.get("node", ""))), escape(str(each.get("address", ""))),
            escape(application), escape(", ".join(each.get("channels", ()))),
        )
    return table


def _load(node: NodeInfo) -> Text:
    if not node.capacity:
        return Text("")
    load = node.num_clients / node.capacity
    filled = min(_BAR, round(load * _BAR))
    colour = "red" if load > 0.8 else "green"
    return Text.assemble(("█" * filled, colour), ("░" * (_BAR - filled), "dim"), f" {load:.0%}")
