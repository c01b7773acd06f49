"""What every new connection meets: who may come in, and what answers HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import define

from wsmesh.config.sections import Config
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.websocket_phase import Rates
from wsmesh.security.addresses import TrustedProxies
from wsmesh.security.origins import OriginPolicy
from wsmesh.session.registry import Registry
from wsmesh.session.services import Services
from wsmesh.session.session import Session
from wsmesh.wire.http import Request


class Answer(Protocol):
    """An HTTP answer."""

    @property
    def status(self) -> int:
        """Status code."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Header fields, without those of the message framing."""

    @property
    def body(self) -> bytes:
        """Content."""


class Site(Protocol):
    """What answers HTTP besides WebSockets (`wsmesh.api.endpoint`)."""

    def screen(self, request: Request) -> Answer | None:
        """Refuse a request whose head is enough to know that, before its body is there."""

    async def respond(self, request: Request, peer: str, /) -> Answer:
        """Answer a complete request of the client with this address."""

    def reconfigure(self, config: Config) -> None:
        """Serve as another configuration says, from now on."""


@define(eq=False, kw_only=True)
class Reception:
    """Shared by all connections in their HTTP phase.

    :ivar is_open: new WebSocket connections are taken; false while the node drains.
    """

    config: Config
    doorway: Doorway
    services: Services
    registry: Registry[Session]
    origins: OriginPolicy
    proxies: TrustedProxies
    site: Site
    rates: Rates
    is_open: bool = True
