"""The HTTP endpoint: who may call, what is answered, and never an exception."""

from __future__ import annotations

import json
from typing import Any

import trio
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.operations import RecordingOperations
from wsmesh import __version__
from wsmesh.api.endpoint import HTTPEndpoint
from wsmesh.api.methods import METHODS
from wsmesh.api.response import Response
from wsmesh.config.sections import (
    Config,
    HealthSection,
    HTTPAPISection,
    PrometheusSection,
    ProxySection,
)
from wsmesh.config.values import Secret
from wsmesh.metrics import Metrics
from wsmesh.wire.http import Request

KEY = ("x-api-key", "the key")


class Site:
    """An endpoint and what is behind it."""

    def __init__(self, config: Config | None = None) -> None:
        if config is None:
            config = evolve(Config(), http_api=HTTPAPISection(key=Secret("the key")))
        self.operations = RecordingOperations()
        self.reasons: list[str] = []
        self.refusing = ""
        self.endpoint = HTTPEndpoint(
            config, self.operations, Metrics(version="1"), self._readiness, lambda: self.refusing
        )

    async def _readiness(self) -> list[str]:
        return self.reasons

    async def ask(
        self, method: str, target: str, body: bytes = b"", *headers: tuple[str, str],
        peer: str = "192.0.2.1",
    ) -> Response:
        path, _, query = target.partition("?")
        request = Request(
            method=method, target=target, path=path, query=query, http_version="1.1",
            headers=headers, keep_alive=True, body=body,
        )
        return await self.endpoint.respond(request, peer)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.ask("POST", f"/api/{method}", json.dumps(params).encode(), KEY)
        assert answer.status == 200
        found: dict[str, Any] = json.loads(answer.body)
        return found


async def test_the_key_is_taken_from_header_authorization_or_query() -> None:
    site = Site()
    for headers, query, status in (
        ((KEY,), "", 200),
        ((("authorization", "apikey the key"),), "", 200),
        ((("authorization", "ApiKey the key"),), "", 200),
        ((), "?api_key=the+key", 200),
        ((), "", 401),
        ((), "?api_key=%ff%ed%a0%80", 401),
        ((("x-api-key", "\xff\xfe"),), "", 401),
        ((("x-api-key", "the ke"),), "", 401),
        ((("x-api-key", ""),), "", 401),
        ((("authorization", "Bearer the key"),), "", 401),
    ):
        answer = await site.ask("POST", f"/api/info{query}", b"{}", *headers)
        assert answer.status == status, (headers, query)
        assert (("WWW-Authenticate", "apikey") in answer.headers) == (status == 401)
        assert (b"http_api.key in X-API-Key" in answer.body) == (status == 401)


async def test_without_a_configured_key_nobody_may_call() -> None:
    site = Site(Config())
    for key in ("", "x"):
        answer = await site.ask("POST", "/api/info", b"{}", ("x-api-key", key))
        assert answer.status == 401
        assert b"http_api.key is not set" in answer.body


async def test_publish_hands_over_every_option_and_answers_the_position() -> None:
    site = Site()
    answer = await site.call(
        "publish", channel="c", data={"a": [1]}, tags={"t": "v"}, idempotency_key="k",
        skip_history=True, version=3, version_epoch="e",
    )
    assert answer == {"result": {"offset": 7, "epoch": "epoch", "durability": "memory"}}
    name, asked = site.operations.asked[0]
    assert name == "publish"
    assert json.loads(asked.pop("data")) == {"a": [1]}
    assert asked == {
        "channel": "c", "tags": {"t": "v"}, "idempotency_key": "k", "skip_history": True,
        "version": 3, "version_epoch": "e",
    }


async def test_broadcast_answers_for_every_channel_by_itself() -> None:
    answer = await Site().call("broadcast", channels=["a", "unknown:b", "away:c"], data=1)
    responses = answer["result"]["responses"]
    assert responses[0]["result"]["offset"] == 7
    assert [each["error"]["code"] for each in responses[1:]] == [102, 100]


async def test_a_batch_keeps_the_order_of_its_commands() -> None:
    for parallel in (False, True):
        site = Site()
        commands = [
            {"publish": {"channel": "a", "data": 1}},
            {"publish": {"channel": "unknown:x", "data": 1}},
            {"presence_stats": {"channel": "a"}},
            {"nonsense": {}},
        ]
        answer = await site.call("batch", commands=commands, parallel=parallel)
        replies = answer["replies"]
        assert replies[0]["publish"]["offset"] == 7
        assert replies[1]["error"]["code"] == 102
        assert replies[2] == {"presence_stats": {"num_clients": 2, "num_users": 1}}
        assert replies[3]["error"]["code"] == 104


async def test_what_is_missing_is_named() -> None:
    site = Site()
    for method, params, name in (
        ("publish", {"data": 1}, "channel"),
        ("publish", {"channel": "c"}, "data"),
        ("publish", {"channel": 5, "data": 1}, "channel"),
        ("broadcast", {"data": 1}, "channels"),
        ("disconnect", {}, "user"),
        ("disconnect", {"user": "u", "disconnect": {"code": 17}}, "disconnect.code"),
        ("subscribe", {"user": "u"}, "channel"),
        ("history", {}, "channel"),
        ("publish", {"channel": "c", "b64data": "%%"}, "b64data"),
    ):
        answer = await site.call(method, **params)
        assert answer["error"]["code"] == 107, method
        assert name in answer["error"]["message"], answer
    assert site.operations.asked == []


async def test_revocations_reach_the_node_with_their_times() -> None:
    site = Site()
    assert await site.call("revoke_token", uid="t", expire_at=99) == {"result": {}}
    assert await site.call("invalidate_user_tokens", user="u", issued_before=5) == {"result": {}}
    assert site.operations.asked[0] == ("revoke_token", {"jti": "t", "until": 99})
    assert site.operations.asked[1][1]["issued_before"] == 5
    assert (await site.call("revoke_token"))["error"]["code"] == 107


async def test_errors_can_be_asked_for_as_http_statuses() -> None:
    site = Site()
    mode = ("x-centrifugo-error-mode", "transport")
    for body, status in (
        (b'{"channel":"unknown:c","data":1}', 404),
        (b"{}", 400),
        (b'{"channel":"away:c","data":1}', 500),
    ):
        answer = await site.ask("POST", "/api/publish", body, KEY, mode)
        assert answer.status == status
        assert "code" in json.loads(answer.body)
    assert (await site.ask("POST", "/api", b"{}", KEY, mode)).status == 400


async def test_errors_can_be_http_statuses_for_every_call_of_a_node() -> None:
    section = HTTPAPISection(key=Secret("the key"), error_mode="transport")
    site = Site(evolve(Config(), http_api=section))
    for method, body, status, code in (
        ("publish", b'{"channel":"unknown:c","data":1}', 404, 102),
        ("publish", b"{}", 400, 107),
        ("publish", b'{"channel":"away:c","data":1}', 500, 100),
        ("rpc", b'{"method":"unknown"}', 404, 104),
        ("rpc", b'{"method":"broken"}', 500, 100),
        ("revoke_token", b'{"uid":"one too many"}', 500, 106),
    ):
        answer = await site.ask("POST", f"/api/{method}", body, KEY)
        found = json.loads(answer.body)
        assert (answer.status, found["code"]) == (status, code)
        assert set(found) == {"code", "message"}
    worked = await site.ask("POST", "/api/publish", b'{"channel":"c","data":1}', KEY)
    assert (worked.status, "result" in json.loads(worked.body)) == (200, True)


async def test_calls_of_many_tell_each_error_by_itself_in_every_mode() -> None:
    section = HTTPAPISection(key=Secret("the key"), error_mode="transport")
    site = Site(evolve(Config(), http_api=section))
    for method, body in (
        ("broadcast", b'{"channels":["unknown:c"],"data":1}'),
        ("batch", b'{"commands":[{"publish":{"channel":"unknown:c","data":1}}]}'),
    ):
        answer = await site.ask("POST", f"/api/{method}", body, KEY)
        assert (answer.status, b'"code":102' in answer.body) == (200, True)


async def test_the_old_form_with_the_method_in_the_body_works() -> None:
    body = b'{"method":"publish","params":{"channel":"c","data":1}}'
    answer = await Site().ask("POST", "/api", body, KEY)
    assert json.loads(answer.body)["result"]["offset"] == 7


async def test_readiness_tells_its_reasons_and_liveness_does_not_care() -> None:
    site = Site()
    assert (await site.ask("GET", "/health/ready")).status == 200
    site.reasons.append("draining")
    answer = await site.ask("GET", "/health/ready")
    assert (answer.status, json.loads(answer.body)["reasons"]) == (503, ["draining"])
    assert (await site.ask("GET", "/health/live")).status == 200
    assert (await site.ask("HEAD", "/health/ready")).body == answer.body


async def test_metrics_are_for_this_host_unless_public() -> None:
    site = Site()
    assert (await site.ask("GET", "/metrics")).status == 403
    local = await site.ask("GET", "/metrics", peer="127.0.0.1")
    assert local.status == 200
    assert b"wsmesh_build_info" in local.body
    public = Site(evolve(Config(), prometheus=PrometheusSection(public=True)))
    assert (await public.ask("GET", "/metrics")).status == 200


async def test_a_proxy_on_this_host_does_not_make_strangers_local() -> None:
    site = Site()
    for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
        answer = await site.ask("GET", "/metrics", b"", (name, "192.0.2.1"), peer="127.0.0.1")
        assert answer.status == 403
    behind = Site(evolve(Config(), proxy=ProxySection(trusted_proxies=("127.0.0.1", "10.0.0.0/8"))))
    hop = ("x-forwarded-for", "10.1.2.3")
    assert (await behind.ask("GET", "/metrics", b"", hop, peer="10.1.2.3")).status == 200
    assert (await behind.ask("GET", "/metrics", b"", hop, peer="192.0.2.1")).status == 403


async def test_metrics_come_in_the_format_that_was_asked_for() -> None:
    accept = ("accept", "application/openmetrics-text; version=1.0.0")
    answer = await Site().ask("GET", "/metrics", b"", accept, peer="::1")
    assert dict(answer.headers)["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


async def test_unknown_paths_and_methods_are_refused_as_json() -> None:
    site = Site()
    for method, path, status, allowed in (
        ("GET", "/nothing", 404, ""), ("POST", "/health/live", 405, "GET, HEAD"),
        ("GET", "/api/publish", 405, "POST"), ("HEAD", "/api", 405, "POST"),
        ("DELETE", "/metrics", 405, "GET, HEAD"), ("POST", "/nothing", 404, ""),
        ("GET", "/apinot", 404, ""), ("POST", "/api/nothing", 404, ""),
    ):
        answer = await site.ask(method, path, b"{}", KEY)
        assert answer.status == status
        assert dict(answer.headers).get("Allow", "") == allowed
        error = json.loads(answer.body)["error"]
        assert error["code"] == status
        assert error["message"]


async def test_what_the_head_of_a_request_tells_is_refused_before_its_body() -> None:
    endpoint = Site().endpoint

    def status(method: str, path: str, *headers: tuple[str, str]) -> int:
        refusal = endpoint.screen(Request(
            method=method, target=path, path=path, query="", http_version="1.1",
            headers=headers, keep_alive=True,
        ))
        return 0 if refusal is None else refusal.status

    assert status("POST", "/api/publish", KEY) == 0
    assert status("POST", "/api", KEY) == 0
    assert status("POST", "/api/batch", KEY) == 0
    assert status("POST", "/api/publish") == 401
    assert status("POST", "/api/nothing", KEY) == 404
    assert status("POST", "/elsewhere") == 404
    assert status("POST", "/health/live") == 405
    assert status("PUT", "/api/publish", KEY) == 405


async def test_another_configuration_holds_from_the_next_request_on() -> None:
    site = Site()
    assert (await site.ask("GET", "/health/live")).status == 200
    section = HTTPAPISection(key=Secret("another"))

    site.endpoint.reconfigure(
        evolve(Config(), http_api=section, health=HealthSection(enabled=False))
    )

    assert (await site.ask("POST", "/api/info", b"{}", KEY)).status == 401
    assert (await site.ask("POST", "/api/info", b"{}", ("x-api-key", "another"))).status == 200
    assert (await site.ask("GET", "/health/live")).status == 404


async def test_what_is_switched_off_is_not_there() -> None:
    site = Site(
        evolve(
            Config(), http_api=HTTPAPISection(enabled=False, insecure=True),
            health=HealthSection(enabled=False), prometheus=PrometheusSection(enabled=False),
        )
    )
    for method, path, option in (
        ("POST", "/api/info", "http_api.enabled"), ("POST", "/api", "http_api.enabled"),
        ("GET", "/health/live", "health.enabled"), ("GET", "/health", "health.enabled"),
        ("GET", "/metrics", "prometheus.enabled"),
        ("GET", "/connection/raw", "endpoints.raw_websocket"),
    ):
        answer = await site.ask(method, path, b"{}", peer="127.0.0.1")
        assert answer.status == 404
        assert f"see {option}" in json.loads(answer.body)["error"]["message"]
    assert site.operations.asked == []


async def test_answers_say_neither_version_nor_that_other_sites_may_ask() -> None:
    site = Site()
    for method, path in (("GET", "/"), ("POST", "/api/info"), ("GET", "/health"), ("GET", "/no")):
        answer = await site.ask(method, path, b"{}", ("origin", "https://elsewhere.example"))
        names = {name.lower() for name, _ in answer.headers}
        assert not any(name == "server" or name.startswith("access-control-") for name in names)
        assert __version__.encode() not in answer.body


names = st.sampled_from([*METHODS, "batch", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
fields = st.sampled_from(
    ["channel", "channels", "user", "data", "b64data", "info", "commands", "limit", "since",
     "override", "disconnect"]
)  # fmt: skip
bodies = st.binary(max_size=60) | st.dictionaries(fields, values).map(
    lambda body: json.dumps(body).encode()
)


@settings(deadline=None)
@given(method=names, body=bodies)
def test_any_body_gets_json_and_never_an_exception(method: str, body: bytes) -> None:
    async def play() -> Response:
        return await Site().ask("POST", f"/api/{method}".rstrip("/"), body, KEY)

    answer = trio.run(play)
    assert answer.status == 200
    found = json.loads(answer.body)
    assert ("result" in found) + ("error" in found) + ("replies" in found) == 1


async def test_accepting_is_about_the_next_client_alone() -> None:
    site = Site()
    site.reasons = ["event loop is late"]
    assert (await site.ask("GET", "/health/accepting")).status == 200
    site.refusing = "draining"
    answer = await site.ask("GET", "/health/accepting")
    assert answer.status == 503
    assert json.loads(answer.body) == {"status": "not accepting", "reasons": ["draining"]}
