"""Recovery: exactly what was missed, in order, or an honest no; also while messages pour in."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.doubles.link import FakeNode, configured
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.sections import Config
from wsmesh.config.values import Seconds
from wsmesh.session.housekeeping import resume_after_gap

SIZE = 10


def config() -> Config:
    options = ChannelOptions(
        history_size=SIZE,
        history_ttl=Seconds(60),
        force_recovery=True,
        allow_subscribe_for_client=True,
        allow_subscribe_for_anonymous=True,
        allow_publish_for_client=True,
        allow_publish_for_anonymous=True,
    )
    return configured(
        client={"allow_anonymous_connect_without_token": True},
        channel={"without_namespace": options},
    )


async def test_a_returning_client_gets_what_it_missed() -> None:
    node = FakeNode(config())
    reader, writer = await node.connected(), await node.connected()
    first = await reader.ask(subscribe={"channel": "c"})
    assert first["subscribe"]["recoverable"]
    await writer.ask(publish={"channel": "c", "data": 1})
    await reader.leave()
    for number in (2, 3):
        await writer.ask(publish={"channel": "c", "data": number})
    back = await node.connected()
    epoch = first["subscribe"]["epoch"]
    reply = await back.ask(
        subscribe={"channel": "c", "recover": True, "epoch": epoch, "offset": 1}
    )
    result = reply["subscribe"]
    assert result["recovered"] and result["was_recovering"]
    assert [each["data"] for each in result["publications"]] == [2, 3]
    assert [each["offset"] for each in result["publications"]] == [2, 3]


async def test_recovery_past_the_retained_publications_is_refused_whole() -> None:
    node = FakeNode(config())
    writer = await node.connected()
    first = await writer.ask(subscribe={"channel": "c"})
    epoch = first["subscribe"]["epoch"]
    for number in range(SIZE + 2):
        await writer.ask(publish={"channel": "c", "data": number})
    for offset, recovered in ((1, False), (2, True)):
        back = await node.connected()
        reply = await back.ask(
            subscribe={"channel": "c", "recover": True, "epoch": epoch, "offset": offset}
        )
        result = reply["subscribe"]
        assert result.get("recovered", False) is recovered
        assert len(result.get("publications", [])) == (SIZE if recovered else 0)
        assert result["offset"] == SIZE + 2


async def test_another_epoch_is_never_recovered() -> None:
    node = FakeNode(config())
    client = await node.connected()
    await client.ask(publish={"channel": "c", "data": 1})
    reply = await client.ask(
        subscribe={"channel": "c", "recover": True, "epoch": "other", "offset": 1}
    )
    result = reply["subscribe"]
    assert result["was_recovering"] and not result.get("recovered", False)
    assert "publications" not in result


@settings(deadline=None, max_examples=60)
@given(
    before=st.integers(0, 8),
    seen=st.integers(0, 8),
    during=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    after=st.integers(0, 3),
)
def test_nothing_is_lost_or_doubled_when_publishing_races_with_subscribing(
    before: int, seen: int, during: list[int], after: int
) -> None:
    async def play() -> None:
        node = FakeNode(config())
        writer = await node.connected()
        start = await writer.ask(subscribe={"channel": "c"})
        epoch = start["subscribe"]["epoch"]
        number = 0

        async def publish(count: int) -> None:
            nonlocal number
            for _ in range(count):
                number += 1
                await writer.ask(publish={"channel": "c", "data": number})

        await publish(before)
        offset = min(seen, before)
        reader = await node.connected()

        async def race() -> None:
            for count in during:
                await publish(count)
                await trio.lowlevel.checkpoint()

        reply: dict[str, Any] = {}

        async def subscribe() -> None:
            request = {"channel": "c", "recover": True, "epoch": epoch, "offset": offset}
            reply.update(await reader.ask(subscribe=request))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(race)
            nursery.start_soon(subscribe)
        await publish(after)
        result = reply["subscribe"]
        recovered = [each["offset"] for each in result.get("publications", [])]
        live = [each["pub"]["offset"] for each in reader.pushes()]
        if result.get("recovered", False):
            assert recovered + live == list(range(offset + 1, number + 1))
        else:
            assert live == list(range(result["offset"] + 1, number + 1))

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def test_a_gap_makes_those_start_over_who_must_not_miss_anything() -> None:
    node = FakeNode(config())
    client, bystander, assigned = [await node.connected() for _ in range(3)]
    for link in (client, bystander):
        await link.ask(subscribe={"channel": "c"})
    await bystander.ask(subscribe={"channel": "d"})
    await bystander.ask(unsubscribe={"channel": "c"})
    await node.operations.subscribe("", "c", client=assigned.session.client)
    await assigned.work()
    resume_after_gap(node.hub, "c")
    (told,) = client.pushes("unsubscribe")
    assert told["unsubscribe"]["code"] == 2500
    assert assigned.closed == (3010, "insufficient state")
    assert bystander.closed is None
    assert [each for each in bystander.sent if "push" in each] == []
    assert set(bystander.session.subscriptions) == {"d"}
    assert node.hub.count("c") == 0
