"""How `cluster` commands reach the cluster: a node's server API, or the store itself."""

from __future__ import annotations

from collections.abc import Callable

import click
import msgspec

from wsmesh.cli.kinds import DURATION, SECRET
from wsmesh.cli.reaching import base_url
from wsmesh.cli.server_api import ServerAPI
from wsmesh.config.sections import Config
from wsmesh.session.orders import NodeInfo

URL = click.option(
    "--url", metavar="URL",
    help="A node to ask, http://HOST:PORT; otherwise the store of the configuration, or without "
    "one its first listener.",
)
KEY = click.option(
    "--api-key", type=SECRET, metavar="KEY",
    help="The key itself, env:NAME or file:PATH; otherwise http_api.key of the configuration.",
)
TIMEOUT = click.option(
    "--timeout", type=DURATION, default="5s", show_default=True, metavar="DURATION",
    help="How long an answer may take.",
)


def node_reader(
    config: Config, url: str | None, api_key: str | None, timeout: float
) -> Callable[[], list[NodeInfo]]:
    """Return what reads the nodes: of the store, where the configuration names one and no URL is.

    What it returns raises click.ClickException when it cannot.
    """
    if url is None and config.redis.url:
        from wsmesh.cli.cluster_store import read_nodes  # trio and redis, only when they are used

        return lambda: read_nodes(config, timeout)
    api = api_of(config, url, api_key, timeout)
    return lambda: msgspec.convert(api.call("info", {})["nodes"], list[NodeInfo])


def api_of(config: Config, url: str | None, api_key: str | None, timeout: float) -> ServerAPI:
    """Return the server API of the node with this URL, or of any that is alive.

    :raises click.ClickException: there is none.
    """
    if url is None and config.redis.url:
        from wsmesh.cli.cluster_store import a_listener

        url = a_listener(config, timeout)
    base = (url or base_url(config, "http")).rstrip("/")
    key = config.http_api.key.value if api_key is None else api_key
    return ServerAPI(base if base.endswith("/api") else f"{base}/api", key, timeout)
