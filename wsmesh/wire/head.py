"""The head of an HTTP/1.1 request: where it ends, within limits, and what it says (RFC 9112).

llhttp (through httptools) decides whether a head is well formed, and is stricter than the RFC asks:
bare LF, folded lines and repeated Content-Length are errors. What it lets pass and we do not, and
the limits that it does not have, are here.
"""

from __future__ import annotations

import re

from attrs import frozen
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.request import BadRequest, Request, tokens

AROUND_TARGET = 32
"""Bytes of a request line besides its target; the longest method llhttp knows leaves half of it."""

_REQUEST_LINE = re.compile(rb"(?:\r\n)*([A-Z-]+) ([!-~]+) HTTP/(\d\.\d)\r\n")
_FIELD_NAME = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}):")
_ABSOLUTE = re.compile(r"https?://([^/?#@]+)(.*)", re.IGNORECASE)


class HeadScanner:
    """Finds the end of a head in bytes that arrive in any pieces, in linear time."""

    __slots__ = ("_fields", "_limits", "_line", "_seen")

    def __init__(self, limits: LimitsSection) -> None:
        self._limits = limits
        self._seen = 0
        self._line = 0
        self._fields = -1
        """Complete header lines; -1 before the request line."""

    def end(self, buffer: bytearray) -> int:
        """Return the size of the head at the start of `buffer`, 0 while it is incomplete.

        :raises BadRequest: a limit is exceeded, also by what is still incomplete, or a line ends
            in a bare LF.
        """
        while (newline := buffer.find(b"\n", self._seen)) >= 0:
            size = newline - 1 - self._line
            if size < 0 or buffer[newline - 1] != 0x0D:
                raise BadRequest(400, "line ends in a bare LF")
            self._check(buffer, size, newline + 1)
            self._line = self._seen = newline + 1
            if size:
                self._fields += 1
                if self._fields > self._limits.http_header_count:
                    raise BadRequest(431, "too many header fields", "http_header_count")
            elif self._fields >= 0:
                return newline + 1
        self._seen = len(buffer)
        # A CR that may turn out to be half of the line's end is no part of its length.
        self._check(buffer, self._seen - self._line - buffer.endswith(b"\r"), self._seen)
        return 0

    def _check(self, buffer: bytearray, size: int, total: int) -> None:
        limits = self._limits
        if self._fields < 0:
            if size > limits.http_path_length + AROUND_TARGET:
                raise BadRequest(414, "request target too long", "http_path_length")
        elif size > limits.http_header_line:
            name = _FIELD_NAME.match(buffer, self._line)
            field = name[1].decode("ascii") if name else ""
            raise BadRequest(431, "header line too long", "http_header_line", field=field)
        if total > limits.http_head_size:
            raise BadRequest(431, "request head too large", "http_head_size")


@frozen
class Framing:
    """How the body is delimited.

    :ivar size: its length; 0 if there is none or it is chunked.
    :ivar is_awaited: the client sends it after `100 Continue` (RFC 9110 section 10.1.1).
    """

    size: int = 0
    is_chunked: bool = False
    is_awaited: bool = False


_NO_BODY = Framing()


class _Fields:
    """What httptools calls back with the header fields."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))


def parse_head(head: bytes, limits: LimitsSection) -> tuple[Request, Framing]:
    """Return the request of a whole head, without its body, and how that is delimited.

    :raises BadRequest: the head is malformed or ambiguous, or asks for what is not supported.
    """
    method, target, version = _request_line(head, limits)
    fields = _Fields()
    try:
        HttpRequestParser(fields).feed_data(head)
    except HttpParserUpgrade:
        pass  # only says that other bytes follow
    except HttpParserError:
        raise BadRequest(400, "malformed request head") from None
    named: dict[str, list[str]] = {}
    for name, value in fields.found:
        named.setdefault(name, []).append(value)
    hosts = named.get("host", [])
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise BadRequest(400, "expected one Host header")
    path, _, query = _origin_form(target, method, hosts).partition("?")
    framing = _framing(named, version, limits)
    connection = tokens(named.get("connection", ()))
    is_upgrade = "upgrade" in connection and "websocket" in tokens(named.get("upgrade", ()))
    if is_upgrade and version != "1.1":
        raise BadRequest(400, "an upgrade needs HTTP/1.1")
    keeps = version == "1.1" or "keep-alive" in connection
    request = Request(
        method=method,
        target=target,
        path=path,
        query=query,
        http_version=version,
        headers=tuple(fields.found),
        keep_alive=keeps and not is_upgrade and "close" not in connection,
        is_upgrade=is_upgrade,
    )
    return request, framing


def _request_line(head: bytes, limits: LimitsSection) -> tuple[str, str, str]:
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise BadRequest(400, "malformed request line")
    method, target, version = (part.decode("ascii") for part in line.groups())
    if len(target) > limits.http_path_length:
        raise BadRequest(414, "request target too long", "http_path_length")
    if version not in ("1.0", "1.1"):
        raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1 are spoken")
    if method == "CONNECT":
        raise BadRequest(501, "method is not supported")
    return method, target, version


def _origin_form(target: str, method: str, hosts: list[str]) -> str:
    """Return the path and query of the target (RFC 9112 section 3.2)."""
    if "#" in target:
        raise BadRequest(400, "request target has a fragment")
    if target[0] == "/" or (target == "*" and method == "OPTIONS"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    # Who looks at Host later must not be told something else than the target says.
    if absolute is None or [absolute[1].lower()] != [host.lower() for host in hosts]:
        raise BadRequest(400, "malformed request target")
    rest = absolute[2]
    return rest if rest.startswith("/") else f"/{rest}"


def _framing(named: dict[str, list[str]], version: str, limits: LimitsSection) -> Framing:
    codings = named.get("transfer-encoding")
    lengths = named.get("content-length")
    is_awaited = _expects_continue(named, version)
    if codings:
        if lengths or version != "1.1" or [coding.lower() for coding in codings] != ["chunked"]:
            raise BadRequest(400, "ambiguous or unsupported Transfer-Encoding")
        return Framing(is_chunked=True, is_awaited=is_awaited)
    if not lengths:
        return _NO_BODY
    size = int(lengths[0])  # one, of at most 20 digits: llhttp saw to that
    if size > limits.http_body_size:
        raise BadRequest(413, "request body too large", "http_body_size")
    return Framing(size=size, is_awaited=is_awaited)


def _expects_continue(named: dict[str, list[str]], version: str) -> bool:
    fields = named.get("expect")
    if not fields or version == "1.0":  # a proxy of that age passes on what it does not understand
        return False
    expected = tokens(fields)
    if any(expectation != "100-continue" for expectation in expected):
        raise BadRequest(417, "only Expect: 100-continue can be met", field="Expect")
    return bool(expected)
