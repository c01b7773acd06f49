"""Continuing a session: all of it back in one reply, once, for its user; the old one fenced."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.doubles.link import START, FakeLink, FakeNode, configured
from wsmesh.app import App, SubscribeContext, SubscribeGrant
from wsmesh.config.channels import ChannelOptions, Namespace
from wsmesh.config.sections import ClientSection, Config, SubscriptionTokenSection, TokenSection
from wsmesh.config.values import Seconds, Secret
from wsmesh.errors import ReplyError, StoreUnavailable
from wsmesh.session.tenure import RETRY
from wsmesh.store.memory_sessions import MemorySessions
from wsmesh.store.sessions import SessionEntry

SECRET = "a secret of at least thirty-two bytes"
TTL = 30.0
ANYBODY = ChannelOptions(
    presence=True, history_size=10, history_ttl=Seconds(60), force_recovery=True,
    allow_subscribe_for_client=True, allow_publish_for_client=True,
    allow_presence_for_client=True,
)  # fmt: skip
TOKEN_ONLY = Namespace(name="closed", presence=True, allow_presence_for_client=True)


def config() -> Config:
    key = Secret(SECRET)
    base = configured(
        channel={
            "without_namespace": ANYBODY,
            "namespaces": (TOKEN_ONLY,),
        }
    )
    client = ClientSection(
        token=TokenSection(hmac_secret_key=key),
        subscription_token=SubscriptionTokenSection(hmac_secret_key=key),
        session_ttl=Seconds(TTL), ping_interval=Seconds(0),
    )  # fmt: skip
    return evolve(base, client=client)


def token(user: str = "ann", **claims: Any) -> str:
    return jwt.encode({"sub": user, **claims}, SECRET, algorithm="HS256")


class Cluster:
    """Two nodes that share their sessions."""

    def __init__(self, nursery: trio.Nursery, app: App | None = None) -> None:
        self.sessions = MemorySessions()
        self.a, self.b = (
            FakeNode(config(), app, name=name, sessions=self.sessions) for name in "ab"
        )
        for node in (self.a, self.b):
            nursery.start_soon(node.tenures.run)


async def connect(
    node: FakeNode, known: dict[str, Any] | None = None, user: str = "ann", **connect: Any
) -> tuple[FakeLink, dict[str, Any]]:
    """Connect, continuing what `known` (an earlier connect result) names."""
    resume = {} if known is None else {key: known["resume"][key] for key in ("session", "secret")}
    link = node.client()
    reply = await link.ask(connect={"token": token(user), "resume": resume, **connect})
    assert "connect" in reply, reply
    await trio.testing.wait_all_tasks_blocked()
    return link, reply["connect"]


@pytest.fixture
def cluster(nursery: trio.Nursery) -> Cluster:
    return Cluster(nursery)


async def test_who_does_not_ask_gets_no_session_to_continue(cluster: Cluster) -> None:
    reply = await cluster.a.client().ask(connect={"token": token()})
    assert "resume" not in reply["connect"]
    assert len(cluster.sessions) == 0


async def test_subscriptions_and_missed_messages_are_back_in_the_connect_reply(
    cluster: Cluster,
) -> None:
    link, known = await connect(cluster.a)
    assert "resumed" not in known["resume"]
    subscribed = (await link.ask(subscribe={"channel": "news"}))["subscribe"]
    await link.ask(subscribe={"channel": "other"})
    await trio.testing.wait_all_tasks_blocked()
    writer = await cluster.a.connected(token=token("bob"))
    for number in (1, 2):
        await writer.ask(publish={"channel": "news", "data": number})
    wanted = {"recover": True, "epoch": subscribed["epoch"], "offset": 1}
    back, result = await connect(cluster.a, known, subs={"news": wanted, "other": {}})
    assert result["resume"]["resumed"] is True
    assert result["resume"]["session"] == known["resume"]["session"]
    assert result["resume"]["secret"] != known["resume"]["secret"]
    assert [each["data"] for each in result["subs"]["news"]["publications"]] == [2]
    assert result["subs"]["news"]["recovered"] is True
    assert set(result["subs"]) == {"news", "other"}
    await writer.ask(publish={"channel": "news", "data": 3})
    assert back.data("news") == [3]
    assert link.closed == (4509, "session taken over")


async def test_another_node_continues_it_and_the_former_owner_is_told(cluster: Cluster) -> None:
    link, known = await connect(cluster.a)
    await link.ask(subscribe={"channel": "news"})
    await trio.testing.wait_all_tasks_blocked()
    _, result = await connect(cluster.b, known, subs={"news": {}})
    assert result["resume"]["resumed"] is True
    assert cluster.b.fenced == [("a/1", known["resume"]["session"], 2)]
    cluster.a.tenures.fence(known["resume"]["session"], 2)
    assert link.closed == (4509, "session taken over")


async def test_a_former_owner_that_nobody_told_learns_it_when_it_writes_or_renews(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    writes, known = await connect(cluster.a)
    renews, other = await connect(cluster.a)
    for each in (known, other):
        _, result = await connect(cluster.b, each)
        assert result["resume"]["resumed"] is True
    await writes.ask(subscribe={"channel": "news"})
    await trio.testing.wait_all_tasks_blocked()
    assert writes.closed == (4509, "session taken over")
    await trio.sleep(TTL / 3 + 1)
    assert renews.closed == (4509, "session taken over")
    assert cluster.a.registry.count("ann") == 0


async def test_a_secret_works_once_and_only_for_its_user(cluster: Cluster) -> None:
    _, known = await connect(cluster.a)
    wrong = {"resume": {"session": known["resume"]["session"], "secret": "guess"}}
    for user, tried in (("ann", wrong), ("bob", known)):
        _, result = await connect(cluster.b, tried, user)
        assert "resumed" not in result["resume"]
        assert result["resume"]["session"] != known["resume"]["session"]
    _, result = await connect(cluster.b, known)
    assert result["resume"]["resumed"] is True
    _, replayed = await connect(cluster.a, known)
    assert "resumed" not in replayed["resume"]


async def test_only_what_the_client_still_wants_comes_back(cluster: Cluster) -> None:
    link, known = await connect(cluster.a)
    for channel in ("kept", "dropped", "left"):
        await link.ask(subscribe={"channel": channel})
    await link.ask(unsubscribe={"channel": "left"})
    await trio.testing.wait_all_tasks_blocked()
    _, result = await connect(cluster.b, known, subs={"kept": {}, "left": {}, "foreign": {}})
    assert set(result["subs"]) == {"kept"}


async def test_what_a_token_granted_holds_until_the_token_ends(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    link, known = await connect(cluster.a)
    for channel, lifetime in (("closed:long", 600), ("closed:short", 20), ("closed:open", 0)):
        claims: dict[str, Any] = {"sub": "ann", "channel": channel, "info": {"role": "x"}}
        if lifetime:
            claims["exp"] = int(START) + lifetime
        granted = jwt.encode(claims, SECRET, algorithm="HS256")
        assert "subscribe" in await link.ask(subscribe={"channel": channel, "token": granted})
    await trio.sleep(25)
    wanted: dict[str, Any] = {name: {} for name in ("closed:long", "closed:short", "closed:open")}
    back, result = await connect(cluster.b, known, subs=wanted)
    assert set(result["subs"]) == {"closed:long", "closed:open"}
    assert result["subs"]["closed:long"]["ttl"] == 575
    present = await back.ask(presence={"channel": "closed:open"})
    assert [each["chan_info"] for each in present["presence"]["presence"].values()] == [
        {"role": "x"}
    ]


async def test_a_hook_is_asked_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    allowed = {"news"}
    app = App()

    @app.on_subscribe
    async def judge(context: SubscribeContext) -> SubscribeGrant:
        if context.channel not in allowed:
            raise ReplyError(403, "no more")
        return SubscribeGrant()

    cluster = Cluster(nursery, app)
    link, known = await connect(cluster.a)
    await link.ask(subscribe={"channel": "news"})
    await trio.testing.wait_all_tasks_blocked()
    _, again = await connect(cluster.b, known, subs={"news": {}})
    assert set(again["subs"]) == {"news"}
    allowed.clear()
    _, result = await connect(cluster.a, again, subs={"news": {}})
    assert result["resume"]["resumed"] is True
    assert "subs" not in result


async def test_server_side_subscriptions_of_a_backend_come_back_those_of_the_token_with_it(
    cluster: Cluster,
) -> None:
    link, known = await connect(cluster.a, token=token(channels=["given"]))
    await cluster.a.operations.subscribe("ann", "assigned")
    await link.work()
    await trio.testing.wait_all_tasks_blocked()
    _, result = await connect(cluster.b, known)
    assert set(result["subs"]) == {"assigned"}


async def test_a_store_that_is_away_delays_writing_and_loses_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    class Shaky(MemorySessions):
        is_away = True

        async def save_session(self, session: str, entry: SessionEntry, ttl: float) -> bool:
            if self.is_away:
                raise StoreUnavailable("away")
            return await super().save_session(session, entry, ttl)

    sessions = Shaky()
    node = FakeNode(config(), sessions=sessions)
    nursery.start_soon(node.tenures.run)
    link, known = await connect(node)
    await link.ask(subscribe={"channel": "news"})
    await trio.sleep(3 * RETRY)
    assert len(sessions) == 0
    sessions.is_away = False
    await trio.sleep(2 * RETRY)
    _, result = await connect(node, known, subs={"news": {}})
    assert set(result["subs"]) == {"news"}


async def test_a_session_ends_when_nobody_continues_it_in_time(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    link, known = await connect(cluster.a)
    await trio.sleep(3 * TTL)
    await link.leave()
    await trio.sleep(TTL + 1)
    _, result = await connect(cluster.b, known)
    assert "resumed" not in result["resume"]
