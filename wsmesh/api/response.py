"""An HTTP answer."""

from __future__ import annotations

from typing import Any

import msgspec
from attrs import frozen


@frozen
class Response:
    """Status, header fields (without those of the message framing) and content."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def json_response(status: int, content: Any, *headers: tuple[str, str]) -> Response:
    """Return an answer with JSON content; bytes are JSON already."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(status, (("Content-Type", "application/json"), *headers), body)


def text_response(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """Return an answer with plain text."""
    plain = ("Content-Type", "text/plain; charset=utf-8")
    return Response(status, (plain, *headers), text.encode())
