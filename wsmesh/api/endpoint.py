"""HTTP on the clients' listener: server API, health checks, metrics, and a page that says so."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs

import msgspec

from wsmesh.api.methods import METHODS, call
from wsmesh.api.operations import Operations
from wsmesh.api.requests import decode
from wsmesh.api.response import Response, json_response, text_response
from wsmesh.config.sections import Config
from wsmesh.errors import ReplyError
from wsmesh.metrics import Metrics
from wsmesh.security.addresses import TrustedProxies, is_local
from wsmesh.wire.http import Request

STATUS_OF = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}
"""HTTP status of an error code in transport error mode (Centrifugo's table)."""

WELCOME = """\
wsmesh is running.

  /connection/websocket   clients (any Centrifugo SDK)
  /api/METHOD             server API, POST with X-API-Key
  /health/live            is the process alive?
  /health/ready           should it get new clients?
  /metrics                Prometheus
"""


class _Called(msgspec.Struct):
    """The old form of a request: POST /api with the method in the body."""

    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")


class HTTPEndpoint:
    """Answers HTTP requests.

    :param readiness: returns why the node should get no new clients, empty when it should.
    """

    def __init__(
        self,
        config: Config,
        operations: Operations,
        metrics: Metrics,
        readiness: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        self._config = config
        self._operations = operations
        self._metrics = metrics
        self._readiness = readiness
        self._proxies = TrustedProxies(config.proxy.trusted_proxies)

    async def respond(self, request: Request, peer: str) -> Response:
        """Answer a request.

        :param peer: the client's address, empty on a Unix socket.
        """
        path = request.path
        if self._config.http_api.enabled and (path == "/api" or path.startswith("/api/")):
            return await self._api(request, path[len("/api/") :])
        if request.method not in ("GET", "HEAD"):
            return _problem(405, "method not allowed", ("Allow", "GET, HEAD"))
        answer = await self._page(request, path, peer)
        return Response(answer.status, answer.headers, b"") if request.method == "HEAD" else answer

    async def _page(self, request: Request, path: str, peer: str) -> Response:
        if self._config.health.enabled and path in ("/health", "/health/live", "/health/ready"):
            return await self._health(path)
        if self._config.prometheus.enabled and path == "/metrics":
            if not (self._config.prometheus.public or is_local(peer) or peer in self._proxies):
                return _problem(403, "metrics are not public; see prometheus.public")
            body, content_type = self._metrics.exposition(request.header("accept") or "")
            return Response(200, (("Content-Type", content_type),), body)
        if path == "/":
            return text_response(200, WELCOME)
        return _problem(404, "not found")

    async def _health(self, path: str) -> Response:
        if path == "/health/live":
            return json_response(200, {"status": "live"})
        reasons = list(await self._readiness())
        if reasons:
            return json_response(503, {"status": "not ready", "reasons": reasons})
        return json_response(200, {"status": "ready"})

    async def _api(self, request: Request, method: str) -> Response:
        if request.method != "POST":
            return _problem(405, "method not allowed", ("Allow", "POST"))
        if not self._may_call(request):
            return _problem(401, "unauthorized")
        body = request.body
        if not method:
            try:
                called: _Called = decode(body, _Called)
            except ReplyError as error:
                return json_response(200, {"error": {"code": 107, "message": error.message}})
            method, body = called.method, bytes(called.params)
        elif method not in METHODS and method != "batch":
            return _problem(404, "not found")
        content, failure = await call(self._operations, method, body)
        if failure is not None and request.header("x-centrifugo-error-mode") == "transport":
            fault = {"code": failure.code, "message": failure.message}
            return json_response(STATUS_OF.get(failure.code, 500), fault)
        return json_response(200, content)

    def _may_call(self, request: Request) -> bool:
        section = self._config.http_api
        if section.insecure:
            return True
        if not section.key:
            return False
        shown = request.header("x-api-key")
        if shown is None:
            authorization = request.header("authorization") or ""
            kind, _, shown = authorization.partition(" ")
            if kind.lower() != "apikey":
                shown = "".join(parse_qs(request.query).get("api_key", [])[:1])
        return hmac.compare_digest(shown.strip().encode(), section.key.value.encode())


def _problem(status: int, message: str, *headers: tuple[str, str]) -> Response:
    return json_response(status, {"error": {"code": status, "message": message}}, *headers)
