"""Which web pages may connect: the Origin header against a list (RFC 6454, RFC 6455 10.2).

Browsers send Origin and scripts cannot change it, so this protects users of browsers from other
people's pages. Nothing is compared as a prefix, suffix or pattern of the raw text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from wsmesh.errors import ConfigError

_LABELS = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
_AUTHORITY = rf"(?P<host>{_LABELS}|\[[0-9a-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?"
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:{_AUTHORITY})?")
_HOST = re.compile(_AUTHORITY)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN_CHARACTERS = 512


@frozen(slots=True)
class Origin:
    """Scheme, host and port, in lower case, the scheme's port filled in (0: it has none)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Read a serialized origin, or None: nothing may follow the port, not even a slash."""
        if len(text) > _ORIGIN_CHARACTERS or not text.isascii():
            return None
        match = _ORIGIN.fullmatch(text.lower())
        if match is None:
            return None
        scheme, host, port = match["scheme"], match["host"] or "", match["port"]
        if not host and scheme in _DEFAULT_PORTS:
            return None
        return cls(scheme, host, int(port) if port else _DEFAULT_PORTS.get(scheme, 0))


class OriginPolicy:
    """Decide on the Origin of a request.

    :param allowed: origins such as `https://app.example.com`; `https://*.example.com` for the
        names below it, at any depth, but not itself; "null"; or "*" for every origin. Empty: only
        pages of the host that the request was made to.
    :raises ConfigError: naming every entry that is none of these.
    """

    def __init__(self, allowed: Sequence[str], *, path: str = "client.allowed_origins") -> None:
        self._same_host = not allowed
        self._any = "*" in allowed
        self._null = "null" in allowed
        self._exact: set[Origin] = set()
        self._below: set[Origin] = set()
        faults = []
        for text in allowed:
            if text in ("*", "null"):
                continue
            scheme, separator, rest = text.partition("://*.")
            origin = Origin.parse(f"{scheme}://{rest}" if separator else text)
            if origin is None or (separator and not origin.host):
                faults.append(
                    f'{path}: expected an origin such as https://app.example.com, found "{text}"'
                )
                continue
            (self._below if separator else self._exact).add(origin)
        if faults:
            raise ConfigError("configuration", faults)

    def allows(self, origin: str | None, host: str | None, secure: bool) -> bool:
        """Whether a request may connect.

        :param origin: its Origin header; None is allowed, as only browsers send one and no
            cookie ever authenticates here.
        :param host: its Host header.
        :param secure: whether it came over TLS. If not, a page may still be https: TLS may have
            ended at a load balancer.
        """
        if origin is None or self._any:
            return True
        if origin == "null":
            return self._null
        page = Origin.parse(origin)
        if page is None:
            return False
        if self._same_host:
            return _is_same_host(page, host, secure)
        return page in self._exact or self._is_below(page)

    def _is_below(self, page: Origin) -> bool:
        if not self._below:
            return False
        labels = page.host.split(".")
        return any(
            Origin(page.scheme, ".".join(labels[first:]), page.port) in self._below
            for first in range(1, len(labels))
        )


def _is_same_host(page: Origin, host: str | None, secure: bool) -> bool:
    if page.scheme not in _DEFAULT_PORTS or (secure and page.scheme != "https"):
        return False
    match = _HOST.fullmatch((host or "").lower())
    if match is None:
        return False
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[page.scheme]
    return (match["host"], port) == (page.host, page.port)
