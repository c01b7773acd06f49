"""Routing: what the servers send elsewhere is executed once, and before what came later."""

from __future__ import annotations

from collections import deque
from typing import Any

import trio
import trio.testing
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.redis_url import Address
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.pipeline import Operation, Role, discard
from wsmesh.store.redis.replies import error_of
from wsmesh.store.redis.routing import TRIES, Router

LANE = (5, Role.PUBLISH)


@define(eq=False)
class Node:
    """A server with one link that answers when it is told to, and executes what it owns."""

    number: int
    world: World
    queue: deque[Any] = field(factory=deque)
    executed: list[Any] = field(factory=list)
    links: dict[Role, Any] = field(factory=dict)

    @property
    def upkeep(self) -> Node:
        return self

    @property
    def address(self) -> Address:
        return Address("node", self.number)

    def link(self, role: Role) -> Node:
        return self.links.setdefault(role, self)

    def submit(self, operation: Operation) -> None:
        self.queue.append(operation)

    def after_these(self, settle: Any) -> None:
        self.queue.append(settle)

    def lanes(self) -> set[Any]:
        return {each.lane for each in self.waiting}

    @property
    def waiting(self) -> list[Operation]:
        return [each for each in self.queue if isinstance(each, Operation)]

    def forget_script(self, operation: Operation) -> None:
        """Every script is known here."""

    def answer(self, error: str = "") -> None:
        """Answer the first in the queue: by `error`, else by what the cluster knows."""
        if not self.queue:
            return
        first = self.queue.popleft()
        if not isinstance(first, Operation):
            first(b"PONG")
            return
        owner = self.world.owner
        if not error and owner is not self and not first.is_asking:
            error = f"MOVED 5 node:{owner.number}"
        first.is_asking = False
        if error:
            self.world.router.refused(self, first, error_of(error))
        else:
            self.executed.append(first.packed)
            self.world.log.append(first.packed)
            settle, first.settle = first.settle, discard
            settle(b"OK")


class World:
    """Two nodes, a slot that one of them owns, and a router that may be wrong about it."""

    def __init__(self, nursery: trio.Nursery, most_held: int = 1000) -> None:
        self.nodes = [Node(0, self), Node(1, self)]
        self.owner = self.known = self.nodes[0]
        self.router = Router(most_held, nursery.start_soon)
        self.router.topology = self
        self.looked = 0
        self.log: list[bytes] = []
        self.outcomes: dict[int, Any] = {}

    def slot_of(self, key: bytes | None) -> int:
        return 5

    def master_of(self, slot: int) -> Any:
        return self.known

    def at(self, address: Address) -> Any:
        return self.nodes[address.port]

    def moved(self, slot: int, address: Address) -> None:
        new = self.nodes[address.port]
        if self.known is not new:
            self.router.leaving([self.known], slot.__eq__)
            self.known = new

    def look_again(self) -> None:
        self.looked += 1

    def call(self, number: int) -> Operation:
        operation = Operation(
            b"%d" % number, lambda outcome: self.outcomes.__setitem__(number, outcome),
            trio.current_time() + 1000.0,
        )
        self.router.submit(operation, LANE)
        return operation

    async def settle_all(self) -> None:
        for _ in range(10_000):
            for node in self.nodes:
                while node.queue:
                    node.answer()
            await trio.sleep(0.3)
            if not any(node.queue for node in self.nodes):
                return
        raise AssertionError("it never ends")


STEPS = st.lists(
    st.sampled_from(["call", "answer 0", "answer 1", "move", "learn", "tryagain", "turn"]),
    max_size=60,
)


@given(STEPS)
def test_calls_are_executed_once_and_in_order_whatever_moves_meanwhile(steps):
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            world = World(nursery)
            calls = 0
            for step in steps:
                match step:
                    case "call":
                        world.call(calls)
                        calls += 1
                    case "move":
                        # Not back while calls are on their way from its last move.
                        if len(world.owner.waiting) == calls - len(world.outcomes):
                            world.owner = world.nodes[1 - world.owner.number]
                    case "learn":
                        world.moved(5, world.owner.address)
                    case "tryagain":
                        world.nodes[0].answer("TRYAGAIN later")
                        # Nothing overtakes: the rest of the lane is refused likewise.
                        while world.nodes[0].queue:
                            refused = isinstance(world.nodes[0].queue[0], Operation)
                            world.nodes[0].answer("TRYAGAIN later" if refused else "")
                    case "turn":
                        await trio.sleep(0.3)
                    case "answer 0" | "answer 1":
                        world.nodes[int(step[-1])].answer()
            await world.settle_all()
            failed = [n for n, outcome in world.outcomes.items() if outcome != b"OK"]
            assert sorted(world.outcomes) == [*range(calls)]
            assert all(isinstance(world.outcomes[n], StoreUnavailable) for n in failed)
            done = [int(packed) for packed in world.log]
            assert done == sorted(set(range(calls)) - set(failed))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_asking_goes_to_the_named_node_once(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        operation = world.call(0)
        world.nodes[0].answer("ASK 5 node:1")
        world.nodes[0].answer()
        await trio.sleep(0.1)
        assert [*world.nodes[1].queue] == [operation]
        assert operation.is_asking
        world.nodes[1].answer()

        assert world.outcomes == {0: b"OK"}
        assert world.master_of(5) is world.nodes[0]


async def test_what_is_sent_around_in_circles_fails_in_the_end(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.call(0)
        for turn in range(TRIES):
            assert world.outcomes == {}
            node = next(node for node in world.nodes if node.queue)
            node.answer(f"MOVED 5 node:{1 - node.number}")
            node.answer()
            await trio.sleep(1.0)

        assert not world.outcomes[0].is_unknown
        assert world.router.totals.redirections == TRIES


async def test_what_is_held_back_is_bounded(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery, most_held=2)
        world.call(0)
        world.nodes[0].answer("MOVED 5 node:1")
        world.owner = world.nodes[1]
        for number in (1, 2, 3):
            world.call(number)
        assert isinstance(world.outcomes[3], StoreUnavailable)
        await world.settle_all()

        assert world.log == [b"0", b"1", b"2"]


async def test_a_redirection_that_outlasts_the_deadline_fails(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.call(0).deadline = trio.current_time() + 0.5
        world.nodes[0].answer("MOVED 5 node:1")
        await trio.sleep(1.0)
        world.nodes[0].answer()
        await trio.sleep(1.0)

        assert "redirected for too long" in str(world.outcomes[0])


async def test_the_end_fails_what_is_held_back(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.call(0)
        world.nodes[0].answer("TRYAGAIN later")
        world.call(1)
        world.router.close()
        await world.settle_all()

        assert [type(world.outcomes[n]) for n in (0, 1)] == [StoreUnavailable] * 2
        assert world.log == []


async def test_without_a_master_the_topology_is_asked_to_look_again(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.known = None
        world.call(0)

        assert "slot 5" in str(world.outcomes[0])
        assert world.looked == 1


async def test_a_cluster_that_does_not_serve_the_slot_is_looked_at_again(autojump_clock):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.call(0)
        world.nodes[0].answer("CLUSTERDOWN Hash slot not served")

        assert not world.outcomes[0].is_unknown
        assert world.looked == 1
