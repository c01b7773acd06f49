"""`publish`: one publication through the HTTP API."""

from __future__ import annotations

import sys
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import click
import msgspec

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.kinds import DURATION, JSON_TEXT, SECRET
from wsmesh.cli.reaching import base_url

_LONGEST_ANSWER = 1024 * 1024


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
    result = _call(
        f"{(url or base_url(config, 'http') + '/api').rstrip('/')}/publish",
        msgspec.json.encode(request),
        config.http_api.key.value if api_key is None else api_key,
        timeout,
    )
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


def _call(url: str, body: bytes, key: str, timeout: float) -> dict[str, Any]:
    """Post to the API and return its result; raises click.ClickException with the reason."""
    status, content = _post(url, body, key, timeout)
    if status in (401, 403):
        raise click.ClickException(
            f"{url} wants another API key: give --api-key, or http_api.key in the configuration"
        )
    try:
        reply = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        reply = {}
    # In transport error mode the error is the whole answer, and the status says that it is one.
    error = reply.get("error", reply if status >= 400 and "code" in reply else None)
    if isinstance(error, dict):
        raise click.ClickException(f"error {error.get('code')}: {error.get('message')}")
    if status != 200 or not isinstance(reply.get("result"), dict):
        raise click.ClickException(f"{url} answered {status}, which is no result")
    result: dict[str, Any] = reply["result"]
    return result


def _post(url: str, body: bytes, key: str, timeout: float) -> tuple[int, bytes]:
    """Return status and body of the answer; raises click.ClickException when there is none."""
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    try:
        target = urlsplit(url)
        if target.scheme not in ("http", "https") or not target.hostname:
            raise ValueError("expected an http:// or https:// URL")
        # HTTP_PROXY of a shell is rarely meant for a node on the same machine.
        local = target.hostname in ("127.0.0.1", "::1", "localhost")
        opener = build_opener(*([ProxyHandler({})] if local else []))
        with opener.open(Request(url, body, headers), timeout=timeout) as answer:
            return answer.status, answer.read(_LONGEST_ANSWER)
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read(_LONGEST_ANSWER)
    except (OSError, HTTPException, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise click.ClickException(f"cannot reach {url}: {reason}") from None
