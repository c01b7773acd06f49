"""Carries out what the failure detector decides: probes on mesh links, accusations in the registry.

One watcher is one life, that is one incarnation, of its node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set

import structlog
import trio
from attrs import define, field

from wsmesh.cluster import actions
from wsmesh.cluster.detector import Detector
from wsmesh.cluster.mesh.doorstep import Failure
from wsmesh.cluster.mesh.link import Link
from wsmesh.cluster.mesh.mesh import Mesh
from wsmesh.cluster.mesh.messages import (
    Accused,
    Ack,
    Message,
    Probe,
    ProbeRequest,
    ProbeResult,
)
from wsmesh.cluster.nodes import Identity
from wsmesh.cluster.registry import NodeRegistry, Verdict
from wsmesh.cluster.terms import Terms
from wsmesh.cluster.view import View
from wsmesh.errors import StoreUnavailable

log = structlog.get_logger("wsmesh.cluster")


@define(eq=False, kw_only=True)
class Watcher:
    """Watches the other nodes for one life of this one.

    :param mesh: returns the mesh of this life.
    :param suspected: told of a node that does not answer; it may come back.
    :param cleared: told that it did.
    :param buried: told of a node that the registry declared dead.
    :param outdated: told that the registry knows more than the view.
    :ivar unwell: 0, or how little this node may trust what it sees (to 8).
    """

    own: Identity
    terms: Terms
    registry: NodeRegistry
    mesh: Callable[[], Mesh]
    suspected: Callable[[Identity], None]
    cleared: Callable[[Identity], None]
    buried: Callable[[Identity], None]
    outdated: Callable[[], None]
    unwell: int = field(default=0, init=False)
    _detector: Detector = field(init=False)
    _members: Set[str] = field(factory=frozenset, init=False)
    _look_again: trio.Event = field(factory=trio.Event, init=False)
    _tasks: trio.Nursery | None = field(default=None, init=False)
    _accusing: set[Identity] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._detector = Detector(self.own, self.terms.timing)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Probe and judge until cancelled."""
        async with trio.open_nursery() as nursery:
            self._tasks = nursery
            try:
                task_status.started()
                while True:
                    self._look_again = trio.Event()
                    with trio.move_on_at(self._detector.due):
                        await self._look_again.wait()
                    self._act(self._detector.tick(trio.current_time()))
            finally:
                # Links that end after this one must not have it accuse anybody.
                self._tasks = None

    # -- what happens ---------------------------------------------------------------------------

    def update(self, view: View) -> None:
        """There is a new view."""
        self._members = view.members.keys()
        self._act(self._detector.update(trio.current_time(), view))

    def store(self, *, is_up: bool) -> None:
        """The registry answered, or did not."""
        self._act(self._detector.store(trio.current_time(), is_up=is_up))

    def peers_answering(self) -> int:
        """Return how many nodes answered lately."""
        return len(self._detector.answering(trio.current_time()))

    def linked(self, peer: Identity) -> None:
        """A link to a node was opened."""
        self._act(self._detector.linked(trio.current_time(), peer))

    def met(self, peer: Identity) -> None:
        """A node opened a link to this one; of a new one that is the first sign."""
        if peer.node not in self._members:
            self.outdated()

    def unlinked(self, node: str, failure: Failure) -> None:
        """A node has no link, and why."""
        now = trio.current_time()
        if failure is Failure.REFUSED:
            self._act(self._detector.refused(now, node))
        else:
            self._act(self._detector.unlinked(now, node))

    def disowned(self, who: Identity) -> None:
        """The registry lists an incarnation that a later one of its node has replaced."""
        self._accuse(who, is_refused=True)

    def lagged(self, lag: float) -> None:
        """The event loop was this many seconds late."""
        self._act(self._detector.lagged(trio.current_time(), lag))

    def hear(self, link: Link, message: Message) -> None:
        """Take a message about probes; others are ignored."""
        now, peer = trio.current_time(), link.peer
        match message:
            case Probe(number):
                link.send(Ack(number))
            case Ack(number):
                self._act(self._detector.acked(now, peer, number))
            case ProbeRequest(number, target):
                self._act(self._detector.asked(now, peer.node, number, target))
            case ProbeResult(number, _, reached):
                self._act(self._detector.reported(now, peer.node, number, reached))
            case Accused(node):
                self._act(self._detector.accused(now, node))
            case _:
                pass

    # -- what goes out --------------------------------------------------------------------------

    def _act(self, wanted: list[actions.Action]) -> None:
        mesh = self.mesh()
        for action in wanted:
            match action:
                case actions.SendProbe(target, number):
                    if not mesh.send(target.node, Probe(number)):
                        self._act(self._detector.failed(trio.current_time(), number))
                case actions.AskProbe(intermediary, target, number):
                    mesh.send(intermediary, ProbeRequest(number, target.node))
                case actions.SendReport(asker, number, node, reached):
                    mesh.send(asker, ProbeResult(number, node, reached))
                case actions.Accuse():
                    self._accuse(action.target, action.is_refused)
                case actions.Withdraw(target):
                    self._start(self._absolve, target)
                case actions.Suspect(target):
                    self.suspected(target)
                case actions.Clear(target):
                    self.cleared(target)
                case actions.SelfHealth(score):
                    self.unwell = score
        self._look_again.set()

    def _accuse(self, target: Identity, is_refused: bool) -> None:
        mesh = self.mesh()
        for node in mesh.peers:
            mesh.send(node, Accused(target.node))
        if target not in self._accusing:
            self._accusing.add(target)
            self._start(self._bring_accusation, target, is_refused)

    async def _bring_accusation(self, target: Identity, is_refused: bool) -> None:
        try:
            verdict = await self.registry.accuse(
                target, self.own, needed=self.terms.accusers,
                window=self.terms.timing.window, refused=is_refused,
                alone=len(self._members) <= 2,
            )
        except StoreUnavailable as error:
            log.warning("cluster.not_accused", node=str(target), error=str(error))
            return
        finally:
            self._accusing.discard(target)
        if verdict is Verdict.DEAD:
            self.buried(target)
        elif verdict is Verdict.VOID:
            self.outdated()

    async def _absolve(self, target: Identity) -> None:
        try:
            await self.registry.absolve(target, self.own)
        except StoreUnavailable as error:
            log.warning("cluster.not_absolved", node=str(target), error=str(error))

    def _start(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(function, *args)
