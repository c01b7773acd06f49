"""What a client is placed by, and how the gateway knows that it comes back."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.sections import Config
from wsmesh.protocol.resume import RESUMING
from wsmesh.wire.request import Request


@frozen
class Claim:
    """What a request says about where its client belongs.

    :ivar key: what it is placed by, None: by nothing.
    :ivar is_returning: it was here before.
    :ivar headers: fields for the answer to its upgrade.
    """

    key: bytes | None
    is_returning: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class Affinity:
    """Reads keys out of requests, as `[affinity]` says."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def claim(
        self, request: Request | None, address: str, now: float, *, is_secure: bool
    ) -> Claim:
        """Return the claim of a request, or of a connection nobody has read from.

        :param address: the client's.
        :param now: Unix time.
        :param is_secure: the client speaks TLS.
        """
        is_returning = request is not None and request.header(RESUMING) is not None
        return Claim(address.encode() or None, is_returning)
