"""Application hooks: they decide, they rewrite, and their faults stay with their client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from tests.doubles.link import FakeNode, configured
from wsmesh.app import (
    App,
    ConnectContext,
    ConnectGrant,
    MessageContext,
    PublishContext,
    RPCContext,
    SubscribeContext,
    SubscribeGrant,
)
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.values import Seconds
from wsmesh.errors import Disconnect, ReplyError

FAULTS = [
    ValueError("x"), RecursionError("x"), MemoryError("x"), KeyError("x"), AssertionError("x"),
    ExceptionGroup("x", [ValueError("y")]), UnicodeError("x"), OSError("x"), StopAsyncIteration(),
]  # fmt: skip


def node(app: App) -> FakeNode:
    options = ChannelOptions(allow_publish_for_client=True, allow_publish_for_anonymous=True)
    return FakeNode(
        configured(
            client={"allow_anonymous_connect_without_token": True},
            channel={"without_namespace": options},
            app={"timeout": Seconds(2)},
        ),
        app,
    )


async def test_the_connect_hook_says_who_a_client_is() -> None:
    app = App()
    seen: list[ConnectContext] = []

    @app.on_connect
    async def connect(context: ConnectContext) -> ConnectGrant:
        seen.append(context)
        if context.data == b'"stranger"':
            raise Disconnect(4501, "go away")
        return ConnectGrant(user="u1", info=b'{"n":1}', data=b'{"hi":1}', channels=("mine",))

    here = node(app)
    link = here.client()
    reply = await link.ask(connect={"data": {"x": 1}, "name": "app"})
    assert reply["connect"]["data"] == {"hi": 1}
    assert list(reply["connect"]["subs"]) == ["mine"]
    assert link.session.user == "u1"
    assert (seen[0].data, seen[0].name) == (b'{"x": 1}', "app")
    assert seen[0].headers["user-agent"] == "test"
    assert (await here.client().ask(connect={"data": "stranger"}))["closed"] == (4501, "go away")


async def test_the_subscribe_and_publish_hooks_decide_and_rewrite() -> None:
    app = App()

    @app.on_subscribe
    async def subscribe(context: SubscribeContext) -> SubscribeGrant:
        if context.channel != "open":
            raise ReplyError(103, "permission denied")
        return SubscribeGrant(data=b'"welcome"', info=b"7")

    @app.on_publish
    async def publish(context: PublishContext) -> bytes | None:
        if context.data == b'"spam"':
            raise ReplyError(444, "no spam")
        return None if context.data == b'"keep"' else b'{\n"by": "hook"}'

    link = await node(app).connected()
    assert (await link.ask(subscribe={"channel": "shut"}))["error"]["code"] == 103
    assert (await link.ask(subscribe={"channel": "open"}))["subscribe"]["data"] == "welcome"
    assert (await link.ask(publish={"channel": "open", "data": "spam"}))["error"]["code"] == 444
    for data in ("keep", "change"):
        assert "publish" in await link.ask(publish={"channel": "open", "data": data})
    assert link.data("open") == ["keep", {"by": "hook"}]


async def test_rpc_and_messages_reach_the_application() -> None:
    app = App()
    heard: list[bytes] = []

    @app.on_rpc("sum")
    async def add(context: RPCContext) -> bytes:
        return json.dumps(sum(json.loads(context.data or b"[]"))).encode()

    @app.on_message
    async def message(context: MessageContext) -> None:
        heard.append(context.data)

    link = await node(app).connected()
    assert (await link.ask(rpc={"method": "sum", "data": [1, 2]}))["rpc"]["data"] == 3
    assert (await link.ask(rpc={"method": "other"}))["error"]["code"] == 104
    link.say({"send": {"data": {"a": 1}}})
    await link.work()
    assert heard == [b'{"a": 1}']


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_a_hook_that_raises_costs_one_reply_and_nothing_else(fault: Exception) -> None:
    app = App()

    @app.on_rpc()
    async def fail(context: RPCContext) -> bytes:
        raise fault

    here = node(app)
    link, bystander = await here.connected(), await here.connected()
    reply = await link.ask(rpc={"method": "x"})
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    for each in (link, bystander):
        assert "publish" in await each.ask(publish={"channel": "c", "data": 1})


async def test_a_hook_that_hangs_is_given_up_after_its_time(autojump_clock: MockClock) -> None:
    app = App()

    @app.on_rpc()
    async def hang(context: RPCContext) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    link = await node(app).connected()
    began = trio.current_time()
    assert (await link.ask(rpc={"method": "x"}))["error"]["code"] == 100
    assert trio.current_time() - began == pytest.approx(2)


async def test_a_hook_that_answers_no_json_is_a_fault_of_the_server() -> None:
    app = App()

    @app.on_rpc()
    async def nonsense(context: RPCContext) -> bytes:
        return b'{"half":'

    assert (await (await node(app).connected()).ask(rpc={}))["error"]["code"] == 100


class Move(msgspec.Struct, forbid_unknown_fields=True):
    x: int
    y: int


SCHEMA: dict[str, Any] = {
    "type": "object", "required": ["text"], "properties": {"text": {"type": "string"}},
}  # fmt: skip


async def test_publications_are_checked_against_types_and_schemas() -> None:
    app = App()
    app.validate("game*", Move)
    app.validate("chat*", SCHEMA)
    link = await node(app).connected()
    for channel, data, fine in (
        ("game1", {"x": 1, "y": 2}, True), ("game1", {"x": 1}, False), ("game1", "no", False),
        ("chat1", {"text": "hi"}, True), ("chat1", {"text": 5}, False), ("other", 5, True),
    ):
        reply = await link.ask(publish={"channel": channel, "data": data})
        assert ("publish" in reply) is fine, (channel, data)
        if not fine:
            assert reply["error"]["code"] == 107
