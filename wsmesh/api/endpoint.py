"""HTTP on the clients' listener: server API, health checks, metrics, and a page that says so."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs

from wsmesh.api.dispatch import call, call_named
from wsmesh.api.methods import METHODS, described
from wsmesh.api.operations import Operations
from wsmesh.api.response import Response, json_response, text_response
from wsmesh.config.sections import Config
from wsmesh.metrics import Metrics
from wsmesh.security.addresses import TrustedProxies, is_local
from wsmesh.wire.http import Request
from wsmesh.wire.refusal import error_body

STATUS_OF = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}
"""HTTP status of an error code in transport error mode (Centrifugo's table)."""

FORWARDING = frozenset(("forwarded", "via", "x-forwarded-for", "x-real-ip"))
"""Header fields by which a proxy shows that it asks for somebody else."""

WELCOME = """\
wsmesh is running.

  /connection/websocket   clients (any Centrifugo SDK)
  /api/METHOD             server API, POST with X-API-Key
  /health/live            is the process alive?
  /health/ready           is it in order, and has room?
  /health/accepting       would it take a client now?
  /metrics                Prometheus
"""

OPTIONAL = {
    "/api": "http_api.enabled",
    "/health": "health.enabled",
    "/health/live": "health.enabled",
    "/health/ready": "health.enabled",
    "/health/accepting": "health.enabled",
    "/metrics": "prometheus.enabled",
    "/connection/uni_websocket": "endpoints.uni_websocket",
    "/connection/raw": "endpoints.raw_websocket",
}
"""Paths that are served when an option says so."""

Page = Callable[[Request, str], Awaitable[Response]]
"""Answers GET requests of one path, given the client's address."""


class HTTPEndpoint:
    """Answers HTTP requests.

    :param readiness: returns why the node should get no new clients, empty when it should.
    :param refusing: returns why it would refuse one now, empty when it would not.
    """

    def __init__(
        self,
        config: Config,
        operations: Operations,
        metrics: Metrics,
        readiness: Callable[[], Awaitable[Sequence[str]]],
        refusing: Callable[[], str],
    ) -> None:
        self._operations = operations
        self._metrics = metrics
        self._readiness = readiness
        self._refusing = refusing
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Serve as another configuration says, from now on."""
        self._config = config
        self._proxies = TrustedProxies(config.proxy.trusted_proxies)
        self._pages: dict[str, Page] = {"/": self._welcome}
        if config.health.enabled:
            self._pages["/health/live"] = self._live
            self._pages["/health/ready"] = self._pages["/health"] = self._ready
            self._pages["/health/accepting"] = self._accepting
        if config.prometheus.enabled:
            self._pages["/metrics"] = self._show_metrics

    def screen(self, request: Request) -> Response | None:
        """Refuse a request whose head is enough to know that: 401, 404, 405; None: it may go on."""
        path = request.path
        if self._is_api(path):
            return self._screen_call(request, path[len("/api/") :])
        if path not in self._pages:
            switch = OPTIONAL.get("/api" if path.startswith("/api/") else path)
            return _problem(404, f"not served; see {switch}" if switch else "nothing is here")
        if request.method not in ("GET", "HEAD"):
            return _problem(405, "expected GET or HEAD", ("Allow", "GET, HEAD"))
        return None

    async def respond(self, request: Request, peer: str) -> Response:
        """Answer a request; also to HEAD with the content that GET gets, which is not to be sent.

        :param peer: the client's address, empty on a Unix socket.
        """
        refusal = self.screen(request)
        if refusal is not None:
            return refusal
        path = request.path
        if self._is_api(path):
            return await self._call(request, path[len("/api/") :])
        return await self._pages[path](request, peer)

    def _is_api(self, path: str) -> bool:
        return self._config.http_api.enabled and (path == "/api" or path.startswith("/api/"))

    async def _welcome(self, request: Request, peer: str) -> Response:
        return text_response(200, WELCOME)

    async def _show_metrics(self, request: Request, peer: str) -> Response:
        if not (self._config.prometheus.public or self._is_near(request, peer)):
            return _problem(403, "metrics are not public; see prometheus.public")
        body, content_type = self._metrics.exposition(request.header("accept") or "")
        return Response(200, (("Content-Type", content_type),), body)

    def _is_near(self, request: Request, peer: str) -> bool:
        """Whether a trusted proxy or somebody on this host asks, and not for somebody else."""
        if peer in self._proxies:
            return True
        # A proxy on this host that is not trusted makes strangers look local.
        return is_local(peer) and not any(name in FORWARDING for name, _ in request.headers)

    async def _live(self, request: Request, peer: str) -> Response:
        return json_response(200, {"status": "live"})

    async def _ready(self, request: Request, peer: str) -> Response:
        reasons = list(await self._readiness())
        if reasons:
            return json_response(503, {"status": "not ready", "reasons": reasons})
        return json_response(200, {"status": "ready"})

    async def _accepting(self, request: Request, peer: str) -> Response:
        reason = self._refusing()
        if reason:
            return json_response(503, {"status": "not accepting", "reasons": [reason]})
        return json_response(200, {"status": "accepting"})

    def _screen_call(self, request: Request, method: str) -> Response | None:
        if request.method != "POST":
            return _problem(405, "expected POST", ("Allow", "POST"))
        if not self._may_call(request):
            wanted = "expected the key of http_api.key in X-API-Key"
            if not self._config.http_api.key:
                wanted = "no key may call: http_api.key is not set"
            return _problem(401, wanted, ("WWW-Authenticate", "apikey"))
        if method and method not in METHODS and method != "batch":
            return _problem(404, "the server API has no such method")
        return None

    async def _call(self, request: Request, method: str) -> Response:
        if method:
            content, failure = await call(self._operations, method, request.body)
        else:
            content, failure = await call_named(self._operations, request.body)
        if failure is not None and self._tells_by_status(request):
            return json_response(STATUS_OF.get(failure.code, 500), described(failure))
        return json_response(200, content)

    def _tells_by_status(self, request: Request) -> bool:
        asked = request.header("x-centrifugo-error-mode")
        return "transport" in (asked, self._config.http_api.error_mode)

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
    return json_response(status, error_body(status, message), *headers)
