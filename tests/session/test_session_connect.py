"""Connecting: tokens, expiry, refresh, limits, server-side and personal channels."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.doubles.link import START, FakeLink, FakeNode, configured
from wsmesh.config.channels import ChannelOptions, Namespace
from wsmesh.config.sections import ClientSection, Config, PersonalChannelSection, TokenSection
from wsmesh.config.values import Seconds, Secret
from wsmesh.protocol import codes
from wsmesh.protocol.codec import Form

SECRET = "a secret of at least thirty-two bytes"


def token(user: str = "alice", **claims: Any) -> str:
    return jwt.encode({"sub": user, **claims}, SECRET, algorithm="HS256")


def config(**client: Any) -> Config:
    options = ChannelOptions(
        presence=True, join_leave=True, history_size=10, history_ttl=Seconds(60),
        allow_subscribe_for_client=True, allow_presence_for_client=True,
        allow_publish_for_client=True, allow_history_for_client=True,
        allow_user_limited_channels=True,
    )  # fmt: skip
    section = ClientSection(token=TokenSection(hmac_secret_key=Secret(SECRET)), **client)
    base = configured(channel={"without_namespace": options,
                               "namespaces": (Namespace(name="closed"),)})
    return evolve(base, client=section)


async def running(node: FakeNode, nursery: trio.Nursery) -> None:
    """Let the node's timers run."""
    nursery.start_soon(node.services.timers.run)


async def test_a_token_names_the_user_and_an_expired_one_asks_for_another() -> None:
    node = FakeNode(config())
    link = await node.connected(token=token(info={"name": "Alice"}))
    assert link.session.user == "alice"
    assert node.registry.count("alice") == 1
    expired = await node.client().ask(connect={"token": token(exp=int(START) - 100)})
    assert expired["error"]["code"] == 109
    for bad in (token()[:-3], "x.y.z", jwt.encode({"sub": "a"}, "o" * 40, algorithm="HS256")):
        refused = await node.client().ask(connect={"token": bad})
        assert refused["closed"] == (3500, "invalid token")
    assert (await node.client().ask(connect={}))["closed"] == (3501, "bad request")


async def test_a_connection_expires_unless_it_is_refreshed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    node = FakeNode(config(expired_close_delay=Seconds(5), ping_interval=Seconds(0)))
    await running(node, nursery)
    lapsing, renewed = node.client(), node.client()
    for link in (lapsing, renewed):
        reply = await link.ask(connect={"token": token(exp=int(START) + 60)})
        assert reply["connect"]["expires"] is True
        assert reply["connect"]["ttl"] == 60
    await trio.sleep(50)
    reply = await renewed.ask(refresh={"token": token(exp=int(START) + 600)})
    assert reply["refresh"]["ttl"] == 550
    await trio.sleep(16)
    assert lapsing.closed == (3005, "connection expired")
    assert renewed.closed is None
    other = await renewed.ask(refresh={"token": token("bob", exp=int(START) + 600)})
    assert other["closed"] == (3500, "invalid token")


async def test_a_client_that_does_not_answer_pings_is_dropped(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    node = FakeNode(config(ping_interval=Seconds(10), pong_timeout=Seconds(3)))
    await running(node, nursery)
    silent, lively = [await node.connected(token=token()) for _ in range(2)]

    async def answer(link: FakeLink) -> None:
        while True:
            await trio.sleep(1)
            link.say({})

    nursery.start_soon(answer, lively)
    await trio.sleep(60)
    assert silent.closed == (3012, "no pong")
    assert lively.closed is None
    assert 4 <= lively.sent.count({}) <= 7


async def test_channels_of_the_token_are_subscribed_and_recovered() -> None:
    node = FakeNode(config())
    claims = {"channels": ["news"], "subs": {"own": {
        "data": {"welcome": 1}, "info": {"role": "x"},
        "override": {"force_recovery": {"value": True}},
    }}}  # fmt: skip
    first = node.client()
    reply = await first.ask(connect={"token": token(**claims)})
    subs = reply["connect"]["subs"]
    assert set(subs) == {"news", "own"}
    assert subs["own"]["data"] == {"welcome": 1}
    assert subs["own"]["recoverable"] is True
    writer = await node.connected(token=token("bob"))
    await writer.ask(publish={"channel": "own", "data": 1})
    await first.leave()
    await writer.ask(publish={"channel": "own", "data": 2})
    known = {"own": {"recover": True, "epoch": subs["own"]["epoch"], "offset": 1}}
    back = node.client()
    reply = await back.ask(connect={"token": token(**claims), "subs": known})
    recovered = reply["connect"]["subs"]["own"]
    assert recovered["recovered"] is True
    assert [each["data"] for each in recovered["publications"]] == [2]
    again = await back.ask(subscribe={"channel": "own"})
    assert again["error"]["code"] == 105


async def test_a_personal_channel_can_keep_one_connection_per_user() -> None:
    personal = PersonalChannelSection(enabled=True, single_connection=True)
    node = FakeNode(config(subscribe_to_user_personal_channel=personal))
    first, second = node.client(), node.client()
    reply = await first.ask(connect={"token": token()})
    assert list(reply["connect"]["subs"]) == ["#alice"]
    await second.ask(connect={"token": token()})
    assert first.closed == (3504, "connection limit")
    assert second.closed is None


async def test_limits_of_users_and_channels_hold() -> None:
    node = FakeNode(config(user_connection_limit=2, channel_limit=1))
    for _ in range(2):
        await node.connected(token=token())
    assert (await node.client().ask(connect={"token": token()}))["closed"][0] == 3504
    other = await node.connected(token=token("bob"))
    assert "subscribe" in await other.ask(subscribe={"channel": "a"})
    assert (await other.ask(subscribe={"channel": "b"}))["error"]["code"] == 106


async def test_subscription_tokens_open_private_channels_to_their_user_only() -> None:
    node = FakeNode(config())
    link = await node.connected(token=token())

    async def ask(**claims: Any) -> Any:
        fitting = {"channel": "$private"} | claims
        request = {"channel": "$private", "token": token(fitting.pop("sub", "alice"), **fitting)}
        return await link.ask(subscribe=request)

    assert (await link.ask(subscribe={"channel": "$private"}))["error"]["code"] == 103
    assert (await ask(channel="$other"))["error"]["code"] == 103
    assert (await ask(sub="bob"))["error"]["code"] == 103
    assert (await ask(exp=int(START) - 100))["error"]["code"] == 109
    granted = await ask(exp=int(START) + 60, info={"seat": 1})
    assert granted["subscribe"] == {"expires": True, "ttl": 60}
    presence = await link.ask(presence={"channel": "$private"})
    (info,) = presence["presence"]["presence"].values()
    assert info["chan_info"] == {"seat": 1}
    renewed = token(channel="$private", exp=int(START) + 120)
    reply = await link.ask(sub_refresh={"channel": "$private", "token": renewed})
    assert reply["sub_refresh"] == {"expires": True, "ttl": 120}


async def test_a_subscription_that_expires_is_ended(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    node = FakeNode(config(ping_interval=Seconds(0), expired_close_delay=Seconds(5)))
    await running(node, nursery)
    link = await node.connected(token=token())
    request = {"channel": "c", "token": token(channel="c", exp=int(START) + 10)}
    assert "subscribe" in await link.ask(subscribe=request)
    await trio.sleep(20)
    (push,) = link.pushes("unsubscribe")
    assert push["unsubscribe"] == {"code": 2501, "reason": "subscription expired"}


async def test_joins_leaves_and_presence_follow_the_clients() -> None:
    node = FakeNode(config())
    watcher = await node.connected(token=token("watcher"))
    await watcher.ask(subscribe={"channel": "c", "join_leave": True})
    alice = await node.connected(token=token(info={"name": "Alice"}))
    await alice.ask(subscribe={"channel": "c"})
    stats = await watcher.ask(presence_stats={"channel": "c"})
    assert stats["presence_stats"] == {"num_clients": 2, "num_users": 2}
    await alice.ask(unsubscribe={"channel": "c"})
    joins, leaves = watcher.pushes("join"), watcher.pushes("leave")
    assert [each["join"]["info"]["user"] for each in joins] == ["watcher", "alice"]
    assert joins[1]["join"]["info"]["conn_info"] == {"name": "Alice"}
    assert [each["leave"]["info"]["user"] for each in leaves] == ["alice"]
    stats = await watcher.ask(presence_stats={"channel": "c"})
    assert stats["presence_stats"]["num_clients"] == 1


@pytest.mark.parametrize(("channel", "code"), [("nowhere:x", 102), ("closed:x", 103),
                                               ("dialog#bob,carol", 103), ("a*b", 107)])
async def test_channels_that_may_not_be_had_are_refused(channel: str, code: int) -> None:
    node = FakeNode(config())
    link = await node.connected(token=token())
    assert (await link.ask(subscribe={"channel": channel}))["error"]["code"] == code
    assert len(node.hub) == 0
    assert "subscribe" in await link.ask(subscribe={"channel": "dialog#alice,bob"})


async def test_revoking_a_user_ends_its_connections_and_refuses_its_tokens() -> None:
    node = FakeNode(config())
    old = token(iat=int(START) - 10)
    link = await node.connected(token=old)
    await node.operations.revoke("alice", until=START + 3600)
    assert link.closed == (3500, "invalid token")
    assert (await node.client().ask(connect={"token": old}))["closed"][0] == 3500
    assert "connect" in await node.client().ask(connect={"token": token(iat=int(START) + 10)})
    by_id = await node.connected(token=token("bob", jti="t1"))
    await node.operations.revoke_token("t1", until=START + 3600)
    assert by_id.closed == (3500, "invalid token")


async def test_backends_subscribe_unsubscribe_disconnect_and_refresh_users() -> None:
    node = FakeNode(config())
    link = await node.connected(token=token())
    await node.operations.subscribe("alice", "pushed", data=b'{"why":1}')
    await link.work()
    (push,) = link.pushes("subscribe")
    assert push["subscribe"]["data"] == {"why": 1}
    await node.operations.publish("pushed", b"[1,\n 2]")
    assert link.data("pushed") == [[1, 2]]
    await node.operations.unsubscribe("alice", "pushed")
    await link.work()
    (push,) = link.pushes("unsubscribe")
    assert push["unsubscribe"]["code"] == 2000
    await node.operations.refresh("alice", expire_at=START + 100)
    (push,) = link.pushes("refresh")
    assert push["refresh"] == {"expires": True, "ttl": 100}
    await node.operations.disconnect("alice", whitelist=[link.session.client])
    assert link.closed is None
    await node.operations.disconnect("alice", code=4321, reason="bye")
    assert link.closed == (4321, "bye")


async def test_a_unidirectional_client_gets_pushes_alone() -> None:
    node = FakeNode(config())
    link = node.client(Form.UNIDIRECTIONAL)
    link.say({"token": token(), "subs": {"c": {}, "closed:x": {}}})
    await link.work()
    (connected,) = link.pushes("connect")
    assert list(connected["connect"]["subs"]) == ["c"]
    await node.operations.publish("c", b"5")
    assert link.data("c") == [5]
    link.session.end(codes.SHUTDOWN)
    (goodbye,) = link.pushes("disconnect")
    assert goodbye["disconnect"] == {"code": 3001, "reason": "shutdown", "reconnect": True}


async def test_commands_keep_their_order_behind_one_that_waits() -> None:
    node = FakeNode(config())
    link = await node.connected(token=token())
    link.say(
        {"id": 10, "subscribe": {"channel": "c"}},
        {"id": 11, "publish": {"channel": "c", "data": 1}},
        {"id": 12, "history": {"channel": "c", "limit": 5}},
        {"id": 13, "unsubscribe": {"channel": "c"}},
        {"id": 14, "ping": {}},
    )
    await link.work()
    assert [each["id"] for each in link.sent if each.get("id", 0) >= 10] == [10, 11, 12, 13, 14]
    assert link.data("c") == [1]


async def test_more_waiting_commands_than_allowed_disconnect() -> None:
    node = FakeNode(config(command_queue_limit=3))
    link = await node.connected(token=token())
    link.say(*({"id": 10 + n, "subscribe": {"channel": f"c{n}"}} for n in range(5)))
    assert link.closed == (3013, "too many requests")
