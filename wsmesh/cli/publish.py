"""`publish`: one publication through the HTTP API."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.kinds import DURATION, JSON_TEXT, SECRET
from wsmesh.cli.reaching import base_url
from wsmesh.cli.server_api import ServerAPI


@click.command(epilog="""\b
Examples:
  python -m wsmesh publish news '{"text": "hello"}'
  python -m wsmesh publish news --text hello
  date | python -m wsmesh publish news --text -
  python -m wsmesh publish news 1 --url https://ws.example.com/api --api-key file:api.key
""")
@click.argument("channel")
@click.argument("data")
@click.option("--text", is_flag=True, help="DATA is any text, published as a JSON string.")
@click.option(
    "--url", metavar="URL", help="The API; otherwise /api of the configuration's first listener.",
)
@click.option(
    "--api-key", type=SECRET, metavar="KEY",
    help="The key itself, env:NAME or file:PATH; otherwise http_api.key of the configuration.",
)
@click.option("--idempotency-key", metavar="KEY", help="Repeating it publishes nothing new.")
@click.option(
    "--timeout", type=DURATION, default="5s", show_default=True, metavar="DURATION",
    help="How long the node may take.",
)
@with_choices
def publish(
    choices: Choices, channel: str, data: str, text: bool, url: str | None, api_key: str | None,
    idempotency_key: str | None, timeout: float,
) -> None:
    """Publish DATA, a JSON document, in CHANNEL.

    DATA "-" is read from standard input. Prints the publication's offset and epoch.
    """
    payload = _payload(data, is_text=text)
    config = choices.load().config
    request: dict[str, Any] = {"channel": channel, "data": msgspec.Raw(payload)}
    if idempotency_key:
        request["idempotency_key"] = idempotency_key
    api = ServerAPI(
        (url or base_url(config, "http") + "/api").rstrip("/"),
        config.http_api.key.value if api_key is None else api_key,
        timeout,
    )
    result = api.call("publish", request)
    if result.get("epoch"):
        click.echo(f"published: offset {result.get('offset', 0)}, epoch {result['epoch']}")
    else:
        click.echo("published: the channel keeps no history, so there is no offset")


def _payload(data: str, *, is_text: bool) -> bytes:
    if data == "-":
        data = sys.stdin.read()
    if is_text:
        return msgspec.json.encode(data.removesuffix("\n"))
    try:
        return JSON_TEXT.convert(data, None, None)
    except click.BadParameter as exc:
        raise click.BadParameter(
            f"{exc.message} (--text publishes any text)", param_hint="DATA"
        ) from None
