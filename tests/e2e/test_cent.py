"""The official HTTP API client for Python (`cent`) works unchanged, in both its forms."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import cent
import jwt
import pytest
import requests
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.node_process import NodeProcess
from wsmesh.client import open_client


def api(node: NodeProcess, key: str | None = None) -> cent.Client:
    direct = requests.Session()
    direct.trust_env = False  # a proxy of the environment would be asked for 127.0.0.1, too
    return cent.Client(node.http_url + "/api", key or node.api_key, session=direct)


def test_every_method_of_a_channel_works(node: NodeProcess) -> None:
    client = api(node)
    published = client.publish(cent.PublishRequest(channel="cent", data={"n": 1}))
    assert published.offset == 1
    broadcast = client.broadcast(
        cent.BroadcastRequest(channels=["cent", "unknown:x"], data={"n": 2}, tags={"t": "v"})
    )
    assert broadcast.responses[0].result is not None
    assert broadcast.responses[0].result.offset == 2
    assert broadcast.responses[1].error is not None
    assert broadcast.responses[1].error.code == 102
    history = client.history(cent.HistoryRequest(channel="cent", limit=10))
    assert [each.data for each in history.publications] == [{"n": 1}, {"n": 2}]
    assert (history.offset, history.epoch) == (2, published.epoch)
    since = cent.StreamPosition(offset=1, epoch=published.epoch)
    after = client.history(cent.HistoryRequest(channel="cent", limit=10, since=since))
    assert [each.offset for each in after.publications] == [2]
    client.history_remove(cent.HistoryRemoveRequest(channel="cent"))
    emptied = client.history(cent.HistoryRequest(channel="cent", limit=10))
    assert (emptied.publications, emptied.offset) == ([], 2)
    same = [
        client.publish(cent.PublishRequest(channel="cent", data=3, idempotency_key="k")).offset
        for _ in range(2)
    ]
    assert same == [3, 3]


async def test_connected_users_are_seen_and_commanded(node: NodeProcess) -> None:
    async with open_client(node.url, token=jwt.encode({"sub": "cent-user"}, node.secret)) as client:
        async with client.subscribe("cent-room"):
            await client.wait_connected()

            def command() -> None:
                backend = api(node)
                room = cent.PresenceStatsRequest(channel="cent-room")
                assert backend.presence_stats(room).num_clients == 1
                present = backend.presence(cent.PresenceRequest(channel="cent-room"))
                (info,) = present.presence.values()
                assert info.user == "cent-user"
                assert "cent-room" in backend.channels(cent.ChannelsRequest()).channels
                assert backend.info(cent.InfoRequest()).nodes[0].num_clients == 1
                backend.subscribe(cent.SubscribeRequest(user="cent-user", channel="pushed"))
                backend.unsubscribe(cent.UnsubscribeRequest(user="cent-user", channel="pushed"))
                backend.refresh(cent.RefreshRequest(user="cent-user", expire_at=4_000_000_000))
                backend.disconnect(cent.DisconnectRequest(
                    user="cent-user", disconnect=cent.Disconnect(code=4000, reason="again")
                ))  # fmt: skip

            with trio.fail_after(20):
                await trio.to_thread.run_sync(command)


def test_batches_keep_their_order_and_wrong_keys_are_refused(node: NodeProcess) -> None:
    requests = [
        cent.PublishRequest(channel="cent-batch", data=number) for number in range(3)
    ]
    result = api(node).batch(cent.BatchRequest(requests=requests))
    assert [reply.offset for reply in result.replies] == [1, 2, 3]
    with pytest.raises(cent.CentUnauthorizedError):
        api(node, "wrong").info(cent.InfoRequest())
    with pytest.raises(cent.CentApiResponseError) as caught:
        api(node).publish(cent.PublishRequest(channel="unknown:x", data=1))
    assert caught.value.code == 102


def test_what_a_backend_commands_reaches_the_client(node: NodeProcess) -> None:
    backend = api(node)
    token = jwt.encode({"sub": "commanded"}, node.secret)
    with connect(node.url, proxy=None, compression=None) as client:

        def hear() -> dict[str, Any]:
            while (message := client.recv(timeout=10)) == "{}":
                client.send("{}")
            found: dict[str, Any] = json.loads(message)
            return found.get("push", found)

        client.send(json.dumps({"id": 1, "connect": {"token": token}}))
        hear()
        backend.subscribe(cent.SubscribeRequest(
            user="commanded", channel="given", data={"why": "test"},
            override=cent.ChannelOptionsOverride(join_leave=cent.BoolValue(value=False)),
        ))  # fmt: skip
        given = hear()
        assert (given["channel"], given["subscribe"]["data"]) == ("given", {"why": "test"})
        backend.publish(cent.PublishRequest(channel="given", data=None, b64data="eyJuIjoxfQ=="))
        assert hear()["pub"]["data"] == {"n": 1}
        until = int(time.time()) + 3600
        backend.refresh(cent.RefreshRequest(user="commanded", expire_at=until))
        refreshed = hear()["refresh"]
        assert refreshed["expires"]
        assert 3590 < refreshed["ttl"] <= 3600
        backend.unsubscribe(cent.UnsubscribeRequest(user="commanded", channel="given"))
        assert hear()["unsubscribe"]["code"] == 2000
        backend.disconnect(cent.DisconnectRequest(
            user="commanded", disconnect=cent.Disconnect(code=4321, reason="enough")
        ))  # fmt: skip
        with pytest.raises(ConnectionClosed) as caught:
            hear()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "enough")


def test_the_asynchronous_client_works_too(node: NodeProcess) -> None:
    room = "cent-async"

    async def play() -> list[Any]:
        client = cent.AsyncClient(node.http_url + "/api", node.api_key)
        try:
            await client.publish(cent.PublishRequest(channel=room, data=1))
            await asyncio.gather(
                *(client.publish(cent.PublishRequest(channel=room, data=n)) for n in range(20))
            )
            with pytest.raises(cent.CentApiResponseError) as caught:
                await client.history(cent.HistoryRequest(channel="unknown:x"))
            assert caught.value.code == 102
            batch = cent.BatchRequest(parallel=True, requests=[
                cent.HistoryRequest(channel=room, limit=-1), cent.InfoRequest(),
                cent.ChannelsRequest(pattern="nobody-*"),
            ])  # fmt: skip
            return list((await client.batch(batch)).replies)
        finally:
            await client._session.close()

    history, info, channels = asyncio.run(play())
    assert [each.offset for each in history.publications] == list(range(1, 22))
    assert len(info.nodes) == 1
    assert channels.channels == {}
