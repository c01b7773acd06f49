"""What the gateway answers itself: is it alive, is anybody there, metrics, and who would be picked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from balancers import Member
from wsmesh.config.sections import Config
from wsmesh.gateway.metrics import GatewayMetrics
from wsmesh.security.addresses import TrustedProxies, is_local
from wsmesh.wire.http import Request, response
from wsmesh.wire.refusal import error_body

FORWARDING = frozenset(("forwarded", "via", "x-forwarded-for", "x-real-ip"))

Answer = tuple[int, Any]


class GatewaySite:
    """Answers some paths; all others go to nodes.

    :param ranked: returns the members a key would be placed on, in order.
    :param state: returns why no clients are taken, empty when they are.
    """

    def __init__(
        self, config: Config, metrics: GatewayMetrics,
        ranked: Callable[[bytes | None], list[Member]], state: Callable[[], str],
    ) -> None:
        self._metrics = metrics
        self._ranked = ranked
        self._state = state
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Answer as another configuration says, from now on."""
        self._config = config
        self._proxies = TrustedProxies(config.proxy.trusted_proxies)
        self._pages: dict[str, Callable[[Request], Answer]] = {"/placement": self._placement}
        if config.health.enabled:
            self._pages["/health/live"] = lambda _: (200, {"status": "live"})
            for path in ("/health", "/health/ready", "/health/accepting"):
                self._pages[path] = self._ready

    def is_own(self, request: Request) -> bool:
        """Whether `answer` answers it."""
        path = request.path
        return path in self._pages or (path == "/metrics" and self._config.prometheus.enabled)

    def answer(self, request: Request, peer: str) -> bytes | None:
        """Return the whole answer to a request, None: it is for a node.

        :param peer: address of whoever connected.
        """
        is_head = request.method == "HEAD"
        if request.path == "/metrics" and self._config.prometheus.enabled:
            return self._show_metrics(request, peer, is_head=is_head)
        page = self._pages.get(request.path)
        if page is None:
            return None
        if request.method not in ("GET", "HEAD"):
            return _json(405, _problem(405, "expected GET or HEAD"), is_head=is_head)
        return _json(*page(request), is_head=is_head)

    def _show_metrics(self, request: Request, peer: str, *, is_head: bool) -> bytes:
        if not (self._config.prometheus.public or self._is_near(request, peer)):
            body = _problem(403, "metrics are not public; see prometheus.public")
            return _json(403, body, is_head=is_head)
        text, kind = self._metrics.exposition(request.header("accept") or "")
        return response(
            200, (("Content-Type", kind),), text, keep_alive=False, is_head=is_head
        )

    def _is_near(self, request: Request, peer: str) -> bool:
        if peer in self._proxies:
            return True
        return is_local(peer) and not any(name in FORWARDING for name, _ in request.headers)

    def _ready(self, _: Request) -> Answer:
        reason = self._state()
        if reason:
            return 503, {"status": "not ready", "reasons": [reason]}
        return 200, {"status": "ready"}

    def _placement(self, request: Request) -> Answer:
        asked = parse_qs(request.query).get("key", [])
        members = self._ranked(asked[0].encode() if asked else None)
        if not members:
            return 503, _problem(503, "no node takes clients")
        strategy = self._config.balancer.strategy
        return 200, {"strategy": strategy, "nodes": [_told(member) for member in members]}


def _told(member: Member) -> Mapping[str, Any]:
    return {"id": member.id, "address": member.address, "zone": member.zone}


def _problem(status: int, text: str) -> Any:
    return msgspec.json.decode(error_body(status, text))


def _json(status: int, content: Any, *, is_head: bool) -> bytes:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    body = msgspec.json.encode(content)
    return response(status, headers, body, keep_alive=False, is_head=is_head)
