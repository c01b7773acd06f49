"""Operations on their way: to the master of their slot, and again where it sends them.

What is sent again was not executed, and comes before later operations of its lane: these are held
back until everything in front of them on the old link has been answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import cast

import trio
from attrs import define, field
from redis.exceptions import AskError, MovedError

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.link import Link
from wsmesh.store.redis.pipeline import Lane, Operation, discard
from wsmesh.store.redis.replies import Fate, fate_of, target_of
from wsmesh.store.redis.topology import Topology
from wsmesh.store.redis.totals import Totals

TRIES = 9
"""How often one operation is sent before it fails; each try but the first two waits longer."""

PAUSE = 0.01
"""Seconds before the third try; doubled with each further one, up to `LONGEST_PAUSE`."""

LONGEST_PAUSE = 0.2


@define
class Detour:
    """A lane whose operations cannot go straight to their master now."""

    returned: list[Operation] = field(factory=list)
    held: list[Operation] = field(factory=list)
    pause: float = 0.0


class Router:
    """Sends operations; implements `wsmesh.store.redis.master.Patron` without `spawn`.

    :param most_held: operations that one detour holds back at most.
    :param spawn: runs a task for as long as the client runs.
    """

    topology: Topology

    def __init__(
        self, most_held: int, spawn: Callable[[Callable[[], Awaitable[object]]], None]
    ) -> None:
        self._most_held = most_held
        self.spawn = spawn
        self._detours: dict[Lane, Detour] = {}
        self.totals = Totals()

    def submit(self, operation: Operation, lane: Lane) -> None:
        """Send an operation, behind those of its lane."""
        operation.lane = lane
        if self._detours and lane in self._detours:
            held = self._detours[lane].held
            if len(held) < self._most_held:
                held.append(operation)
            else:
                _settle(operation, StoreUnavailable("too much waits for a redirection"))
        else:
            self._send(operation, lane)

    def _send(self, operation: Operation, lane: Lane) -> None:
        slot, role = lane
        if operation.target is not None:
            operation.is_asking = True
            link = self.topology.at(operation.target).link(role)
            operation.target = None
        else:
            master = self.topology.master_of(slot)
            if master is None:
                self.topology.look_again()
                _settle(operation, StoreUnavailable(f"no master is known for slot {slot}"))
                return
            link = master.links.get(role) or master.link(role)
        link.submit(operation)

    def refused(self, link: Link, operation: Operation, error: Exception) -> None:
        """See `Patron`: decide by the error."""
        match fate_of(error):
            case Fate.DELIVER:
                _settle(operation, error)
                return
            case Fate.UNAVAILABLE:
                _settle(operation, unavailable(error))
                return
            case Fate.UNCOVERED:
                self.topology.look_again()
                _settle(operation, unavailable(error))
                return
            case Fate.DEMOTED:
                link.leave(str(error))
                self.topology.look_again()
                _settle(operation, unavailable(error))
                return
            case Fate.LOAD_SCRIPT:
                link.forget_script(operation)
            case Fate.MOVED:
                moved = cast(MovedError, error)
                self.totals.redirections += 1
                self.topology.moved(moved.slot_id, target_of(moved, link.upkeep.address))
            case Fate.ASK:
                self.totals.redirections += 1
                operation.target = target_of(cast(AskError, error), link.upkeep.address)
            case Fate.TRY_AGAIN:
                # Keys are being moved one by one; asking again at once is of no use.
                operation.tries = max(operation.tries, 1)
        self._send_again(link, operation, error)

    def troubled(self) -> None:
        """See `Patron`: the deployment may have changed."""
        self.topology.look_again()

    def leaving(self, links: Iterable[Link], slots: Callable[[int], bool]) -> None:
        """See `Patron`."""
        for link in links:
            for lane in link.lanes():
                if slots(lane[0]) and lane not in self._detours:
                    self._open_detour(link, lane)

    def close(self) -> None:
        """Fail what is held back."""
        detours, self._detours = self._detours, {}
        for detour in detours.values():
            for operation in (*detour.returned, *detour.held):
                _settle(operation, StoreUnavailable("the link was closed"))

    def _send_again(self, link: Link, operation: Operation, error: Exception) -> None:
        lane = operation.lane
        operation.tries += 1
        if lane is None or operation.tries >= TRIES:
            _settle(operation, unavailable(error))
            return
        detour = self._detours.get(lane) or self._open_detour(link, lane)
        detour.returned.append(operation)
        if operation.tries > 1:
            pause = min(LONGEST_PAUSE, PAUSE * 2.0 ** (operation.tries - 2))
            detour.pause = max(detour.pause, pause)

    def _open_detour(self, link: Link, lane: Lane) -> Detour:
        detour = self._detours[lane] = Detour()
        link.after_these(lambda _: self._answered(lane))
        return detour

    def _answered(self, lane: Lane) -> None:
        """Nothing of the lane is under way any more."""
        # Not at once: the operation that began the detour may not have joined it yet.
        self.spawn(partial(self._close_detour, lane))

    async def _close_detour(self, lane: Lane) -> None:
        detour = self._detours.get(lane)
        if detour is None:
            return
        await trio.sleep(detour.pause)
        self._detours.pop(lane, None)
        now = trio.current_time()
        for operation in (*detour.returned, *detour.held):
            if operation.deadline <= now:
                _settle(operation, StoreUnavailable("redirected for too long"))
            elif operation.settle is not discard:
                self._send(operation, lane)


def unavailable(error: Exception) -> StoreUnavailable:
    """Return the temporary failure that an error reply stands for."""
    failure = StoreUnavailable(str(error))
    failure.__cause__ = error
    return failure


def _settle(operation: Operation, outcome: object) -> None:
    settle, operation.settle = operation.settle, discard
    settle(outcome)


