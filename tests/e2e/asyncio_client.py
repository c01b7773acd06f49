"""The official Python SDK (asyncio) in a process of its own; prints what it saw as JSON.

It connects through a hop that this script cuts once, and comes back.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    ConnectedContext,
    ConnectingContext,
    PublicationContext,
    SubscribedContext,
    SubscriptionEventHandler,
)

from tests.e2e.hop import open_hop

MISSED = 30
WITHIN = 15.0


class Connection(ClientEventHandler):
    def __init__(self) -> None:
        self.connected: asyncio.Queue[ConnectedContext] = asyncio.Queue()
        self.lost: asyncio.Queue[ConnectingContext] = asyncio.Queue()

    async def on_connected(self, ctx: ConnectedContext) -> None:
        self.connected.put_nowait(ctx)

    async def on_connecting(self, ctx: ConnectingContext) -> None:
        if ctx.code:
            self.lost.put_nowait(ctx)


class Channel(SubscriptionEventHandler):
    def __init__(self) -> None:
        self.subscribed: asyncio.Queue[SubscribedContext] = asyncio.Queue()
        self.publications: asyncio.Queue[PublicationContext] = asyncio.Queue()

    async def on_subscribed(self, ctx: SubscribedContext) -> None:
        self.subscribed.put_nowait(ctx)

    async def on_publication(self, ctx: PublicationContext) -> None:
        self.publications.put_nowait(ctx)


async def conversation(node: dict[str, Any], url: str, cut: Any, mend: Any) -> dict[str, Any]:
    asked = 0
    renewed = asyncio.Event()

    async def get_token() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            renewed.set()
        return node["tokens"].pop(0)

    connection, channel = Connection(), Channel()
    client = Client(url, events=connection, get_token=get_token)
    other = Client(node["url"], token=node["token"])
    await client.connect()
    await other.connect()
    subscription = client.new_subscription("asyncio", events=channel, recoverable=True)
    await subscription.subscribe()
    await subscription.ready()
    await channel.subscribed.get()
    first = await connection.connected.get()
    await subscription.publish({"n": 0})
    cut()
    lost = await connection.lost.get()
    for n in range(1, MISSED + 1):
        await other.publish("asyncio", {"n": n})
    mend()
    back = await channel.subscribed.get()
    await other.publish("asyncio", {"n": MISSED + 1})
    seen = [await channel.publications.get() for _ in range(MISSED + 2)]
    history = await subscription.history(limit=5, reverse=True)
    presence = await subscription.presence()
    try:
        await client.rpc("nobody answers this", {})
        refusal: Any = "no error"
    except CentrifugeError as error:
        refusal = getattr(error, "code", repr(error))
    await renewed.wait()
    stats = await subscription.presence_stats()
    await client.disconnect()
    await other.disconnect()
    return {
        "numbers": [each.pub.data["n"] for each in seen],
        "offsets": [each.pub.offset for each in seen],
        "lost": lost.code,
        "was_recovering": back.was_recovering,
        "recovered": back.recovered,
        "newest": [each.offset for each in history.publications],
        "users": [info.user for info in presence.clients.values()],
        "stats": [stats.num_clients, stats.num_users],
        "refusal": refusal,
        "first": first.client,
    }


async def main(node: dict[str, Any]) -> dict[str, Any]:
    with open_hop(node["url"]) as hop:
        async with asyncio.timeout(WITHIN):
            return await conversation(node, hop.url, hop.cut, hop.mend)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
