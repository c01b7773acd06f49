"""HTTP/1.1 as a server speaks it, sans-I/O: bytes in, requests out; an answer as bytes.

`python -m bench http_parsers` measures the parser underneath; docs/decisions/http-parser.md says
why it is this one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from attrs import evolve

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.chunked import ChunkedBody
from wsmesh.wire.head import Framing, HeadScanner, parse_head
from wsmesh.wire.request import BadRequest, Request

__all__ = ["BadRequest", "Request", "RequestParser", "CONTINUE", "response"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What a client waits for that announced a body with ``Expect: 100-continue``."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_HEAD = re.compile(rb"(?:\r\n)*HEAD ")


class RequestParser:
    """The requests of one connection.

    Holds at most a head and a body within `limits`, and what was fed beyond them.
    """

    __slots__ = (
        "_buffer", "_chunked", "_framing", "_is_awaited", "_is_head", "_limits", "_refusal",
        "_request", "_scanner",
    )  # fmt: skip

    def __init__(self, limits: LimitsSection) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanner = HeadScanner(limits)
        self._request: Request | None = None
        """Its head is here, its body is not."""
        self._framing = Framing()
        self._chunked: ChunkedBody | None = None
        self._refusal: BadRequest | None = None
        self._is_awaited = False
        self._is_head = False

    @property
    def has_begun(self) -> bool:
        """Whether a part of a request is here; empty lines before one are none."""
        return self._request is not None or bool(self._buffer.lstrip(b"\r\n"))

    @property
    def is_head(self) -> bool:
        """Whether the request that is incomplete, or was refused, gets an answer without content
        (RFC 9110 section 9.3.2).
        """
        if self._request is not None:
            return self._request.method == "HEAD"
        return self._is_head or _HEAD.match(self._buffer) is not None

    def take_awaited(self) -> Request | None:
        """Return the head of a request whose client waits for `CONTINUE` or a refusal.

        Once for each such request, and not when a part of the body is here already: then the
        client does not wait (RFC 9110 section 10.1.1).
        """
        if not self._is_awaited:
            return None
        self._is_awaited = False
        return self._request

    def feed(self, data: bytes) -> Request | None:
        """Return the next request once it is complete with its body, None: more input is wanted.

        Bytes of a request that follows stay here; ``feed(b"")`` looks at them. After a WebSocket
        upgrade they are the request's `rest` instead.

        :raises BadRequest: the request cannot be served; so does every later call.
        """
        if self._refusal is not None:
            raise self._refusal
        self._buffer += data
        try:
            return self._next()
        except BadRequest as refusal:
            self._refusal = refusal
            self._is_head = self.is_head
            self._buffer.clear()
            raise

    def _next(self) -> Request | None:
        request = self._request
        if request is None:
            end = self._scanner.end(self._buffer)
            if not end:
                return None
            request, framing = parse_head(bytes(self._buffer[:end]), self._limits)
            del self._buffer[:end]
            self._scanner = HeadScanner(self._limits)
            if request.is_upgrade:
                return self._with_rest(request, framing)
            if not framing.size and not framing.is_chunked:
                return request
            self._request, self._framing = request, framing
            self._chunked = ChunkedBody(self._limits) if framing.is_chunked else None
            self._is_awaited = framing.is_awaited and not self._buffer
        body = self._body()
        if body is None:
            return None
        self._request = None
        return evolve(request, body=body)

    def _with_rest(self, request: Request, framing: Framing) -> Request:
        if framing.is_chunked or request.header("content-length") is not None:
            raise BadRequest(400, "an upgrade has no body")
        if not self._buffer:
            return request
        rest = bytes(self._buffer)
        self._buffer.clear()
        return evolve(request, rest=rest)

    def _body(self) -> bytes | None:
        if self._chunked is not None:
            return self._chunked.take(self._buffer)
        size = self._framing.size
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body


def response(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, keep_alive: bool,
    is_head: bool = False,
) -> bytes:
    """Return a whole HTTP/1.1 answer; Content-Length and Connection are added.

    :param is_head: answers a HEAD request: `body` is only measured, not sent.
    :raises ValueError: a header would break out of its line.
    """
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}"]
    for name, value in headers:
        if not _is_line(name) or not _is_line(value) or ":" in name:
            raise ValueError(f"expected a header of one line, found {name!r}: {value!r}")
        lines.append(f"{name}: {value}")
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
    head = "\r\n".join(lines).encode("latin-1", "replace")
    return head + b"\r\n\r\n" + (b"" if is_head else body)


def _is_line(text: str) -> bool:
    return "\r" not in text and "\n" not in text and "\0" not in text
