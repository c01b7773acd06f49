"""What the client raises: each class asks for a different reaction.

::

    WsmeshError
    |-- ClientError
    |   |-- Disconnected      the server (or a token callback) ended the client for good
    |   |-- NotConnected      no connection within the deadline; trying goes on
    |   |-- RequestTimeout    sent, but not answered within the deadline
    |   |-- OutcomeUnknown    sent, but the connection was lost before the answer
    |   |-- MoveFailed        the new connection did not come up; the old one stays
    |   `-- Unauthorized      raised *by* token callbacks: do not ask again
    `-- ReplyError            the server answered with an error (`wsmesh.errors`)
"""

from __future__ import annotations

from wsmesh.errors import WsmeshError


class ClientError(WsmeshError):
    """Everything the client raises on its own account."""


class Disconnected(ClientError):
    """The client is over: coming back would not help.

    :param code: a disconnect code of the server (3500-3999, 4500-4999), a WebSocket close code
        (1002, 1003, 1007, 1008, 1009), an error code of the connect reply (100-1999), or one of
        `wsmesh.client.advice` (below 100).
    :param reason: the server's text.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"disconnected for good: {self.reason} (code {self.code})"


class NotConnected(ClientError):
    """The deadline passed without a connection; `reason` says what the last attempt met."""

    def __init__(self, within: float, reason: str) -> None:
        super().__init__(within, reason)
        self.reason = reason

    def __str__(self) -> str:
        within, reason = self.args
        return f"no connection within {within:g} s: {reason or 'still trying'}"


class RequestTimeout(ClientError):
    """The server did not answer in time; it may have carried the request out all the same."""


class OutcomeUnknown(ClientError):
    """The connection was lost before the answer came; the request may have been carried out."""


class MoveFailed(ClientError):
    """The new connection did not come up; the client stays where it was."""


class Unauthorized(ClientError):
    """Raise this in a token callback when the user may not connect or subscribe any more."""
