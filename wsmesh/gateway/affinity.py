"""What a client is placed by, and how the gateway knows that it comes back."""

from __future__ import annotations

import os

from attrs import frozen

from wsmesh.config.sections import Config
from wsmesh.gateway.keys import LONGEST, Seal, cookie, sources
from wsmesh.protocol.resume import RESUMING
from wsmesh.security.tokens import TokenVerifier
from wsmesh.wire.request import Request

_ID_BYTES = 15


@frozen
class Claim:
    """What a request says about where its client belongs.

    :ivar key: what it is placed by, None: by nothing.
    :ivar is_returning: it was here before.
    :ivar headers: fields for the answer to its upgrade.
    :ivar target: id of the member that it was sent to, empty: it was not.
    """

    key: bytes | None
    is_returning: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    target: str = ""


class Affinity:
    """Reads keys out of requests, as `[affinity]` says, and gives them to who has none.

    :param secret: what given keys are signed with, the same in all gateways of a cluster.
    :raises ConfigError: keys of tokens cannot be used.
    """

    def __init__(self, config: Config, secret: bytes) -> None:
        self._section = config.affinity
        self._sources = sources(config.affinity, TokenVerifier(config.client.token))
        self._seal = Seal(secret)
        self._header = config.affinity.header.lower()

    def claim(
        self, request: Request | None, address: str, now: float, *, is_secure: bool
    ) -> Claim:
        """Return the claim of a request, or of a connection nobody has read from.

        :param address: the client's.
        :param now: Unix time.
        :param is_secure: the client speaks TLS.
        """
        is_returning = request is not None and request.header(RESUMING) is not None
        for source in self._sources:
            found = source(request, address, now)
            if found and len(key := found.encode(errors="replace")) <= LONGEST:
                return Claim(key, is_returning)
        if request is None or not (self._section.cookie or self._header):
            return Claim(None, is_returning)
        return self._given(request, is_returning, is_secure)

    def _given(self, request: Request, is_returning: bool, is_secure: bool) -> Claim:
        """Return the claim of a client that has no key but the one it was given, or gets now."""
        section, seal = self._section, self._seal
        known = seal.opened(request.header(self._header)) if self._header else None
        if known is None and section.cookie:
            known = seal.opened(cookie(request, section.cookie))
        if known is not None:
            return Claim(known.encode(), is_returning=True)
        sealed = seal.sealed(os.urandom(_ID_BYTES))
        headers = [(section.header, sealed)] if section.header else []
        if section.cookie:
            headers.append(("Set-Cookie", self._cookie(sealed, is_secure)))
        return Claim(sealed.partition(".")[0].encode(), is_returning, tuple(headers))

    def _cookie(self, value: str, is_secure: bool) -> str:
        section = self._section
        text = f"{section.cookie}={value}; Path=/; HttpOnly; SameSite="
        text += section.cookie_same_site.capitalize()
        if section.cookie_max_age:
            text += f"; Max-Age={section.cookie_max_age:.0f}"
        if section.cookie_secure == "always" or (section.cookie_secure == "auto" and is_secure):
            text += "; Secure"
        return text
