"""Calling a node's server API from a command: each failure is one line that says what to do."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import click
import msgspec
from attrs import field, frozen

_LONGEST_ANSWER = 16 * 1024 * 1024


@frozen
class ServerAPI:
    """A node's server API.

    :param base: `http://host:port/api`.
    :param timeout: seconds one call may take.
    """

    base: str
    key: str = field(repr=False)
    timeout: float

    def call(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a call.

        :raises click.ClickException: with the reason why there is none.
        """
        url = f"{self.base}/{method}"
        status, content = _post(url, msgspec.json.encode(request), self.key, self.timeout)
        if status in (401, 403):
            raise click.ClickException(
                f"{url} wants another API key: give --api-key, or http_api.key in the "
                "configuration"
            )
        try:
            reply = msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            reply = {}
        # In transport error mode the error is the whole answer, and the status says that it is.
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
