"""A client's commands are executed in order, also behind publications that the store still has."""

from __future__ import annotations

import trio

from tests.doubles.link import FakeNode, configured
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.values import Seconds
from wsmesh.errors import StoreUnavailable
from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import PublishOptions, Settle
from wsmesh.store.memory import MemoryStore

OPEN = ChannelOptions(
    history_size=10, history_ttl=Seconds(60), allow_publish_for_client=True,
    allow_publish_for_anonymous=True, allow_history_for_client=True,
    allow_history_for_anonymous=True,
)  # fmt: skip


class SlowStore(MemoryStore):
    """Publishes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[str, Publication, PublishOptions, Settle]] = []

    def publish_nowait(
        self, channel: str, publication: Publication, options: PublishOptions, settle: Settle
    ) -> None:
        self.waiting.append((channel, publication, options, settle))

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            super().publish_nowait(*each)

    def fail(self) -> None:
        waiting, self.waiting = self.waiting, []
        for *_, settle in waiting:
            settle(StoreUnavailable("away"))


def node() -> tuple[FakeNode, SlowStore]:
    found = FakeNode(
        configured(
            client={"allow_anonymous_connect_without_token": True},
            channel={"without_namespace": OPEN},
        )
    )
    found.services.store = store = SlowStore()
    return found, store


async def test_publications_follow_each_other_without_waiting_and_a_read_waits_for_them(
    nursery: trio.Nursery,
) -> None:
    found, store = node()
    link = await found.connected()
    link.say({"id": 11, "publish": {"channel": "c", "data": 1}})
    link.say({"id": 12, "publish": {"channel": "c", "data": 2}})
    assert len(store.waiting) == 2
    link.say({"id": 13, "history": {"channel": "c", "limit": -1}})
    link.say({"id": 14, "publish": {"channel": "c", "data": 3}})
    nursery.start_soon(link.work)
    await trio.testing.wait_all_tasks_blocked()
    assert len(store.waiting) == 2
    store.go_on()
    await trio.testing.wait_all_tasks_blocked()
    store.go_on()
    answers = [each["id"] for each in link.sent if each.get("id", 0) > 10]
    assert answers == [11, 12, 13, 14]
    (history,) = [each["history"] for each in link.sent if "history" in each]
    assert [each["data"] for each in history["publications"]] == [1, 2]


async def test_a_refused_publication_lets_later_commands_go_on(nursery: trio.Nursery) -> None:
    found, store = node()
    link = await found.connected()
    link.say({"id": 11, "publish": {"channel": "c", "data": 1}})
    link.say({"id": 12, "ping": {}})
    nursery.start_soon(link.work)
    await trio.testing.wait_all_tasks_blocked()
    store.fail()
    await trio.testing.wait_all_tasks_blocked()
    first, second = [each for each in link.sent if each.get("id", 0) > 10]
    assert first["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    assert second == {"id": 12, "ping": {}}


async def test_a_client_that_leaves_meanwhile_is_answered_nothing() -> None:
    found, store = node()
    link = await found.connected()
    link.say({"id": 11, "publish": {"channel": "c", "data": 1}})
    await link.leave()
    store.go_on()
    assert [each for each in link.sent if each.get("id") == 11] == []
    assert link.session.unsettled == 0
