"""The exception tree: each branch is a different reaction.

::

    WsmeshError
    |-- ConfigError            the operator must change something; exit status 2
    |-- ProtocolViolation      the peer broke a wire rule; close with its code
    |-- Disconnect             end this client's connection with a code
    |-- ReplyError             answer one command with an error, keep the connection
    |-- TokenError             a token was refused
    |   `-- TokenExpired       ... only because it is too old
    |-- HookFailure            application code raised or took too long
    |-- BadRequest             an HTTP request is refused (wsmesh.wire.http)
    |-- ProxyHeaderError       a PROXY header is malformed (wsmesh.wire.proxy_protocol)
    |-- MalformedRecord        the registry holds no record of a node (wsmesh.cluster.nodes)
    |-- KeysUnavailable        an issuer's keys cannot be fetched now (wsmesh.security.jwks)
    |-- RevocationsFull        no room for a revocation (wsmesh.security.revocation)
    |-- MalformedControl       a control socket says nonsense (wsmesh.protocol.control)
    |-- FetchFailed            a document cannot be had over HTTP (wsmesh.fetching)
    |-- QueueFull              too many clients wait at the gateway (wsmesh.gateway.turnstile)
    |-- ClusterLost            the supervisor gives up (wsmesh.supervisor.supervisor)
    |-- ClientError            what wsmesh.client raises (wsmesh.client.errors)
    `-- StoreUnavailable       the store cannot be reached; temporary, say so

A class exists only where some ``except`` treats it differently.
"""

from __future__ import annotations

from collections.abc import Sequence


class WsmeshError(Exception):
    """Everything wsmesh raises on purpose."""


class ConfigError(WsmeshError):
    """The configuration cannot be used; the process exits with status 2.

    :param source: where the faults are, e.g. a file name.
    :param faults: one line each: path, what was expected, what was found.
    """

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        super().__init__(source, tuple(faults))
        self.source = source
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {fault}" for fault in self.faults)


class ProtocolViolation(WsmeshError):
    """The peer broke RFC 6455, RFC 7692 or a limit; the connection ends with ``code``.

    :param code: WebSocket close code (RFC 6455 section 7.4.1).
    :param reason: at most 123 bytes of UTF-8, shown to the peer.
    :param limit: the name of the limit that was hit, for ``wsmesh_limit_hits_total``.
    """

    def __init__(self, code: int, reason: str, *, limit: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.limit = limit


class Disconnect(WsmeshError):
    """End the client's connection (Centrifugo disconnect code, 3000-4999).

    :param code: the code; 3500-3999 and 4500-4999 tell SDKs not to come back.
    :param reason: short text sent with the close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class ReplyError(WsmeshError):
    """Answer a command with an error object (Centrifugo client error codes).

    :param code: 100-399 are Centrifugo's, 400-1999 the application's.
    :param message: text for the client.
    :param temporary: whether trying again makes sense.
    """

    def __init__(self, code: int, message: str, temporary: bool = False) -> None:
        super().__init__(code, message, temporary)
        self.code = code
        self.message = message
        self.temporary = temporary


class TokenError(WsmeshError):
    """A token is malformed, wrongly signed, or lacks a required claim."""


class TokenExpired(TokenError):
    """A token is sound but too old; the client should fetch a new one."""


class HookFailure(WsmeshError):
    """Application code raised or exceeded its deadline; only its client is affected."""


class StoreUnavailable(WsmeshError):
    """The store did not take the operation; nothing was acknowledged, retry later.

    :param is_unknown: whether it was carried out is not known; else it was not.
    """

    def __init__(self, message: str, *, is_unknown: bool = False) -> None:
        super().__init__(message)
        self.is_unknown = is_unknown
