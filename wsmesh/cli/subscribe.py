"""`subscribe`: a terminal client that prints what is published in a channel."""

from __future__ import annotations

from functools import partial

import click

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.kinds import JSON_TEXT, SECRET
from wsmesh.cli.reaching import base_url


@click.command(epilog="""\b
Examples:
  python -m wsmesh subscribe news
  python -m wsmesh subscribe news --count 1 | jq .
  python -m wsmesh subscribe news --token file:alice.jwt --url wss://ws.example.com
  python -m wsmesh subscribe '$private' --subscription-token env:TOKEN

\b
Publications go to standard output, one JSON document a line; what becomes of
the connection goes to standard error. After a lost connection it continues
where it was, or says that publications may be missing. Ctrl-C ends it.
""")
@click.argument("channel")
@click.option(
    "--url", metavar="URL",
    help="The node, ws:// or wss://; otherwise the configuration's first listener.",
)
@click.option(
    "--token", type=SECRET, default="", metavar="TOKEN",
    help="The connection token itself, env:NAME or file:PATH.",
)
@click.option(
    "--subscription-token", type=SECRET, default="", metavar="TOKEN",
    help="A token for this channel, where it needs one.",
)
@click.option("--data", type=JSON_TEXT, metavar="JSON", help="What to send with connect.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N publications.")
@click.option("--offsets", is_flag=True, help="Begin each line with the offset and a tab.")
@with_choices
def subscribe(
    choices: Choices, channel: str, url: str | None, token: str, subscription_token: str,
    data: bytes | None, count: int | None, offsets: bool,
) -> None:
    """Subscribe to CHANNEL and print its publications until Ctrl-C."""
    target = endpoint(url or base_url(choices.load().config, "ws"))

    # Only now: trio and the client take 300 ms to import.
    import trio

    from wsmesh.cli.following import follow

    trio.run(partial(
        follow, target, channel, token=token, subscription_token=subscription_token, data=data,
        count=count, offsets=offsets,
    ))


def endpoint(url: str) -> str:
    """Return a node's URL with the path of its WebSocket endpoint, unless it has a path."""
    scheme, separator, rest = url.partition("://")
    if separator != "://" or scheme not in ("ws", "wss"):
        raise click.BadParameter(f"expected ws:// or wss://, found {url!r}", param_hint="--url")
    host, _, path = rest.partition("/")
    return url if path else f"{scheme}://{host}/connection/websocket"
