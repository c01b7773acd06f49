"""An HTTP request as a value, and the refusal of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from wsmesh.errors import WsmeshError

Fields = Sequence[tuple[str, str]]
"""Header fields in order."""


class BadRequest(WsmeshError):
    """The request is refused: answer it and close the connection.

    :param status: HTTP status code to answer with.
    :param reason: one of a fixed set of texts, so that it may be a metric's label.
    :param limit: the name of the limit that was hit, for ``wsmesh_limit_hits_total``.
    :param headers: fields that belong into the answer, such as ``Allow``.
    :param field: name of the header field that is at fault, when it is one of the client's own.
    """

    def __init__(
        self, status: int, reason: str, limit: str = "", headers: Fields = (), field: str = ""
    ) -> None:
        super().__init__(status, reason, limit)
        self.status = status
        self.reason = reason
        self.limit = limit
        self.headers = tuple(headers)
        self.field = field


def tokens(values: Iterable[str]) -> list[str]:
    """Return the elements of the values of a comma-separated field, in lower case."""
    listed = ",".join(values).lower()
    return [token for part in listed.split(",") if (token := part.strip(" \t"))]


@frozen(kw_only=True)
class Request:
    """A complete, valid request.

    :ivar target: as sent.
    :ivar path: the target's path, percent-encoding untouched.
    :ivar query: what follows the first ``?``, undecoded.
    :ivar http_version: ``"1.0"`` or ``"1.1"``.
    :ivar headers: names in lower case, values without surrounding whitespace, in order.
    :ivar keep_alive: another request may follow on the connection.
    :ivar is_upgrade: asks for a WebSocket, by HTTP/1.1 and without a body; what follows the head
        can only be frames.
    :ivar rest: bytes after the head of an upgrade; empty for other requests.
    """

    method: str
    target: str
    path: str
    query: str
    http_version: str
    headers: tuple[tuple[str, str], ...]
    keep_alive: bool
    is_upgrade: bool = False
    body: bytes = b""
    rest: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first value of a field, None if it is absent; `name` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def header_values(self, name: str) -> list[str]:
        """Return every value of a field in order; `name` in lower case."""
        return [value for key, value in self.headers if key == name]

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a comma-separated field in lower case; `name` in lower case."""
        return tokens(self.header_values(name))
