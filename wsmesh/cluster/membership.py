"""This node as a member of the cluster: it beats, watches others, and follows the view.

The shell around `wsmesh.cluster.detector`: what the detector decides is carried out here. One life
is one incarnation; a node that finds itself condemned ends its clients' connections and begins the
next one.
"""

from __future__ import annotations

import math
import random
import socket
from collections.abc import Awaitable, Callable, Mapping

import structlog
import trio
from attrs import define, field
from msgspec.structs import replace

from wsmesh.cluster.changes import Change, changes, node_of
from wsmesh.cluster.cleaning import Cleaning
from wsmesh.cluster.health import Vitals, health_of, load_of
from wsmesh.cluster.joining import listener_of, peers_of
from wsmesh.cluster.mesh.link import Link
from wsmesh.cluster.mesh.mesh import Handler, Mesh
from wsmesh.cluster.mesh.messages import Load, Message, ViewChanged
from wsmesh.cluster.nodes import Identity, NodeRecord, encode_record
from wsmesh.cluster.registry import Condemned, NodeRegistry
from wsmesh.cluster.rejoining import Rejoining
from wsmesh.cluster.terms import Terms
from wsmesh.cluster.verdicts import Duty, on_store_loss
from wsmesh.cluster.view import View
from wsmesh.cluster.watcher import Watcher
from wsmesh.errors import StoreUnavailable

REPORT_PERIOD = 1.0
"""Seconds between two reports of a node's load to its peers."""
RETRY = 0.5
"""Seconds between beats while the store is away."""

log = structlog.get_logger("wsmesh.cluster")


@define(eq=False, kw_only=True)
class Membership:
    """A member.

    :param record: what the node says of itself, all but the figures that `vitals` gives.
    :param vitals: measures the node since the last call.
    :param state: what the node says it is doing, a `NodeState` by value.
    :param changed: told what is new in the view.
    :param duty_changed: told what the node may do now.
    :param clean_up: removes what a dead node left behind; idempotent, may raise StoreUnavailable.
    :param handlers: what peers may call.
    :param weight: the node's own, of which its release may have a share.
    """

    record: NodeRecord
    terms: Terms
    registry: NodeRegistry
    vitals: Callable[[], Vitals]
    state: Callable[[], str]
    changed: Callable[[Change], None]
    duty_changed: Callable[[Duty], None]
    clean_up: Callable[[Identity], Awaitable[None]]
    handlers: Mapping[str, Handler]
    rng: random.Random
    weight: float = 1.0
    view: View = field(factory=View, init=False)
    duty: Duty = field(default=Duty.SERVE, init=False)
    mesh: Mesh = field(init=False)
    _watcher: Watcher = field(init=False)
    _renewed_at: float = field(default=-math.inf, init=False)
    _known_at_loss: int = field(default=1, init=False)
    _beat_now: trio.Event = field(factory=trio.Event, init=False)
    _tasks: trio.Nursery = field(init=False)
    _cleaning: Cleaning = field(init=False)
    _is_news: bool = field(default=True, init=False)
    _has_left: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._cleaning = Cleaning(self.registry, self.clean_up)

    @property
    def identity(self) -> Identity:
        """This node in its present incarnation."""
        return self.record.identity

    @property
    def unwell(self) -> int:
        """How little this node may trust what it sees of others: 0 to 8."""
        return self._watcher.unwell

    @property
    def lease_age(self) -> float:
        """Seconds since the renewal that last succeeded was sent; inf: none in this life."""
        return trio.current_time() - self._renewed_at

    async def run(
        self,
        sockets: list[socket.socket],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Be a member until cancelled, one incarnation after the other.

        Reports its start when the first beat was taken or could not be.

        :param sockets: the mesh's, listening; they stay open.
        """
        rejoining = Rejoining(self.rng.uniform)
        while True:
            began = trio.current_time()
            try:
                await self._live(sockets, task_status)
            except* Condemned as condemned:
                log.error("cluster.condemned", error=str(condemned.exceptions[0]))
                self._set_duty(Duty.FENCE)
                self.record = replace(self.record, incarnation=self.record.incarnation + 1)
                self.view = View()
                task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(rejoining.wait_after(trio.current_time() - began))

    async def leave(self) -> None:
        """Say goodbye to the registry; the others are told."""
        self._has_left = True
        try:
            await self.registry.leave(self.identity)
        except StoreUnavailable as error:
            log.warning("cluster.not_left", error=str(error))
        self._tell_view_changed()

    def beat_now(self) -> None:
        """Others should know at once what the node says of itself now."""
        self._beat_now.set()

    # -- one life -------------------------------------------------------------------------------

    async def _live(
        self, sockets: list[socket.socket], task_status: trio.TaskStatus[None]
    ) -> None:
        self._renewed_at, self._is_news = -math.inf, True
        self._watcher = Watcher(
            own=self.identity, terms=self.terms, registry=self.registry, mesh=lambda: self.mesh,
            suspected=lambda who: self._set_view(self.view.suspecting(who)),
            cleared=lambda who: self._set_view(self.view.clearing(who)),
            buried=self._bury, outdated=self.beat_now,
        )
        self.mesh = Mesh(
            own=self.identity, secret=self.terms.secret, hear=self._hear, rng=self.rng,
            linked=self._watcher.linked, unlinked=self._watcher.unlinked, met=self._watcher.met,
            handlers=self.handlers, server_tls=self.terms.server_tls,
            client_tls=self.terms.client_tls,
        )
        async with trio.open_nursery() as nursery:
            self._tasks = nursery
            await nursery.start(self.mesh.run, [listener_of(each) for each in sockets])
            await self._beat()
            task_status.started()
            nursery.start_soon(self._keep_beating)
            await nursery.start(self._watcher.run)
            nursery.start_soon(self._keep_reporting)

    async def _keep_beating(self) -> None:
        while not self._has_left:
            period = self.terms.beat if self._is_store_up else RETRY
            with trio.move_on_after(period * self.rng.uniform(0.9, 1.0)):
                await self._beat_now.wait()
                # Several reasons in a row are one beat.
                await trio.sleep(self.rng.uniform(0.0, 0.05))
            self._beat_now = trio.Event()
            if not self._has_left:
                await self._beat()

    async def _beat(self) -> None:
        """Renew the lease, merge what the registry says; raises Condemned: this life is over."""
        sent_at = trio.current_time()
        is_news, self._is_news = self._is_news, False
        self._measure()
        try:
            roll = await self.registry.beat(
                self.identity, encode_record(self.record), self.terms.lease, has_changed=is_news
            )
        except StoreUnavailable as error:
            self._is_news |= is_news
            self._lost_store(str(error))
            return
        self._renewed_at = sent_at
        self._watcher.store(is_up=True)
        self._set_view(self.view.merged(roll.listing, trio.current_time(), self.terms.lease))
        for who in self.view.disowned(roll.listing):
            self._watcher.disowned(who)
        self._set_duty(Duty.SERVE)
        if is_news:
            self._tell_view_changed()
        self._weigh(roll.releases)
        if roll.remains and not self._cleaning.is_under_way and self.view.is_first(
            self.identity.node
        ):
            self._cleaning.is_under_way = True
            self._tasks.start_soon(self._cleaning.run, roll.remains)

    def _weigh(self, releases: Mapping[str, float]) -> None:
        """Take the share of clients that is set for this node's release."""
        weight = self.weight * releases.get(self.record.release, 1.0)
        if weight != self.record.weight:
            log.info("cluster.weighed", weight=weight, release=self.record.release)
            self.record = replace(self.record, weight=weight, report=self.record.report + 1)
            self._is_news = True
            self.beat_now()

    @property
    def _is_store_up(self) -> bool:
        return trio.current_time() - self._renewed_at < self.terms.lease

    def _lost_store(self, why: str) -> None:
        now = trio.current_time()
        self._watcher.store(is_up=False)
        age = now - self._renewed_at
        if age < self.terms.lease:
            self._known_at_loss = max(1, len(self.view.members))
        log.warning("cluster.store_away", error=why, lease_age=round(min(age, 1e6), 1))
        if self._renewed_at == -math.inf:
            return
        self._set_duty(
            on_store_loss(
                self.terms.on_store_loss, lease=self.terms.lease, lease_age=age,
                peers=self._watcher.peers_answering(), cluster_size=self._known_at_loss,
            )
        )

    async def _keep_reporting(self) -> None:
        while True:
            await trio.sleep(REPORT_PERIOD * self.rng.uniform(0.9, 1.1))
            self._measure()
            record = self.record
            report = Load(
                record.report, record.connections, record.load, record.health, record.state
            )
            for node in self.mesh.peers:
                self.mesh.send(node, report)

    def _measure(self) -> None:
        vitals = self.vitals()
        figures = {
            "connections": vitals.connections,
            "load": load_of(vitals.connections, vitals.capacity),
            "health": health_of(vitals) / (1 + self._watcher.unwell),
            "state": self.state(),
        }
        if any(getattr(self.record, name) != value for name, value in figures.items()):
            self.record = replace(self.record, report=self.record.report + 1, **figures)

    # -- what comes in --------------------------------------------------------------------------

    def _hear(self, link: Link, message: Message) -> None:
        match message:
            case Load():
                self._set_view(
                    self.view.reported(
                        link.peer, report=message.report, connections=message.connections,
                        load=message.load, health=message.health, state=message.state,
                    )
                )
            case ViewChanged(version) if version > self.view.registry:
                self.beat_now()
            case _:
                self._watcher.hear(link, message)

    def lagged(self, lag: float) -> None:
        """The event loop was this many seconds late."""
        self._watcher.lagged(lag)

    def _bury(self, who: Identity) -> None:
        if not self.view.is_dead(who):
            self._set_view(self.view.burying(who))
            self._tell_view_changed()
            self.beat_now()

    def _tell_view_changed(self) -> None:
        for node in self.mesh.peers:
            self.mesh.send(node, ViewChanged(self.view.registry + 1))

    # -- what follows ---------------------------------------------------------------------------

    def _set_view(self, view: View) -> None:
        if view is self.view:
            return
        old, self.view = self.view, view
        self._watcher.update(view)
        for change in changes(old, view):
            log.info("cluster.changed", what=type(change).__name__.lower(), node=node_of(change))
            self.changed(change)
        self.mesh.set_peers(peers_of(view))

    def _set_duty(self, duty: Duty) -> None:
        if duty is not self.duty:
            log.warning("cluster.duty", duty=duty.value, was=self.duty.value)
            self.duty = duty
            self.duty_changed(duty)
