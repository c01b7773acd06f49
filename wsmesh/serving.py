"""A node that runs: how it is, what it tells others, and how it stops."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import structlog
import trio
from attrs import define, field

import wsmesh
from wsmesh import logs
from wsmesh.api.agent_check import Condition
from wsmesh.cluster.health import Vitals, health_of, load_of
from wsmesh.cluster.membership import Membership
from wsmesh.cluster.nodes import NodeState
from wsmesh.cluster.verdicts import Duty
from wsmesh.config.sections import Config
from wsmesh.errors import StoreUnavailable
from wsmesh.ingress import reloading
from wsmesh.ingress.connection import Connection
from wsmesh.ingress.control import ControlSocket
from wsmesh.ingress.intake import Intake
from wsmesh.ingress.listener import Door
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.tls import Certificate
from wsmesh.memory import give_back
from wsmesh.metrics import Metrics, NodeStatistics
from wsmesh.moving import Moves
from wsmesh.protocol import codes
from wsmesh.protocol.control import Handover, Report
from wsmesh.session.operations import ServerOperations
from wsmesh.session.orders import NodeInfo
from wsmesh.session.registry import Registry
from wsmesh.session.sending_away import GRACE
from wsmesh.session.session import Session
from wsmesh.store.interface import Store

DRAIN_BATCH = 256
"""Clients told to reconnect between two checkpoints when the node stops."""

LATE = 0.05
"""Seconds of lag that the cluster's detector is told of."""

log = structlog.get_logger("wsmesh.node")


@define(eq=False, kw_only=True)
class Node:
    """A running node.

    :ivar drain_asked: set when somebody wants this node to stop; `wsmesh.running` does.
    :ivar addresses: where it listens, as `[[listeners]] address` writes it.
    """

    config: Config
    name: str
    started_at: float
    operations: ServerOperations
    metrics: Metrics
    _registry: Registry[Session]
    _reception: Reception
    _store: Store
    _membership: Membership | None
    _certificate: Certificate | None
    _intake: Intake
    _moves: Moves
    _doors: list[Door] = field(factory=list)
    _lag: Callable[[], float]
    _control: ControlSocket | None = None
    drain_asked: trio.Event = field(factory=trio.Event)
    _is_draining: bool = False
    _has_stopped: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the node listens."""
        return tuple(door.address for door in self._doors)

    async def readiness(self) -> tuple[str, ...]:
        """Return why the node should get no new clients; empty when it should."""
        reasons = []
        try:
            await self._store.check()
        except StoreUnavailable as error:
            reasons.append(f"store: {error}")
        if not self._reception.is_open:
            reasons.append("draining")
        if len(self._registry) >= self.config.node.max_connections:
            reasons.append("max_connections reached")
        if self._lag() > 1.0:
            reasons.append("event loop is late")
        if self._membership is not None:
            if self._membership.duty is Duty.FENCE:
                reasons.append("fenced: the cluster goes on without this node")
            if self._membership.unwell:
                reasons.append("this node was too slow to watch others")
        return tuple(reasons)

    def refusing(self) -> str:
        """Return why a new client would be refused right now; empty when it would not."""
        if not self._reception.is_open:
            return "draining" if self._is_draining else "fenced"
        if self._reception.doorway.admission.connections >= self.config.node.max_connections:
            return "full"
        return ""

    def condition(self) -> Condition:
        """Return how the node is, for HAProxy's agent-check."""
        vitals = self.vitals()
        return Condition(
            refusing=self.refusing(), health=health_of(vitals), capacity=vitals.capacity
        )

    @property
    def state(self) -> str:
        """What the node is doing, a `NodeState` by value."""
        if self._has_stopped:
            return NodeState.LEAVING.value
        return NodeState.DRAINING.value if self._is_draining else NodeState.ALIVE.value

    def vitals(self) -> Vitals:
        """Measure the node, for others to see."""
        doorway, limits = self._reception.doorway, self.config.limits
        clients = len(self._registry)
        return Vitals(
            loop_lag=self._lag(),
            queued=doorway.queued_bytes,
            queue_limit=limits.send_queue_total,
            connections=clients,
            capacity=self.config.node.max_connections,
        )

    def take_duty(self, duty: Duty) -> None:
        """Do what the cluster lets this node do: serve, or let go of its clients."""
        if duty is not Duty.FENCE:
            self._reception.is_open = not self._is_draining
            return
        self._reception.is_open = False
        log.error("node.fenced", clients=len(self._registry))
        for _ in self._shut_down_all():
            pass

    def lagged(self, lag: float) -> None:
        """The event loop was late: a node that was may not judge others."""
        if self._membership is not None and lag > LATE:
            self._membership.lagged(lag)

    def describe(self) -> NodeInfo:
        """Return what operators see of the node."""
        services = self._reception.services
        record = None if self._membership is None else self._membership.record
        return NodeInfo(
            uid=services.node_id,
            name=self.name,
            version=wsmesh.__version__,
            num_clients=len(self._registry),
            num_users=self._registry.users,
            num_subs=services.hub.subscriptions,
            num_channels=len(services.hub),
            uptime=int(services.now() - self.started_at),
            state=self.state,
            incarnation=1 if record is None else record.incarnation,
            zone=self.config.cluster.zone,
            weight=self._weight,
            capacity=self.config.node.max_connections,
            release=self.config.node.release or wsmesh.__version__,
        )

    @property
    def _weight(self) -> float:
        """What balancers are told: the configured one, or the share of it that its release has."""
        membership = self._membership
        return self.config.cluster.weight if membership is None else membership.record.weight

    def report(self, number: int) -> Report:
        """Return how the node is, for its control socket.

        :param number: grows with every report.
        """
        record = None if self._membership is None else self._membership.record
        vitals = self.vitals()
        connections = self._reception.doorway.admission.connections
        return Report(
            node=self._reception.services.node_id,
            incarnation=1 if record is None else record.incarnation,
            name=self.name, pid=os.getpid(), state=self.state, is_ready=not self.refusing(),
            report=number, connections=connections, capacity=vitals.capacity,
            weight=self._weight, zone=self.config.cluster.zone,
            load=load_of(connections, vitals.capacity), health=health_of(vitals),
            listeners=self.addresses,
        )

    def refusal(self, handover: Handover) -> str:
        """Return why a client that a gateway hands over is refused; empty when it is not."""
        if handover.tls and self._certificate is None:
            return "no certificate"
        return self.refusing() or ("" if self._intake.has_room else "descriptors")

    def adopt(self, handover: Handover, sock: socket.socket) -> None:
        """Serve a client that a gateway handed over."""
        self._intake.take(
            sock, handover.address, certificate=self._certificate if handover.tls else None,
            is_secure=handover.is_secure, begun=handover.begun, headers=handover.headers,
        )

    def statistics(self) -> NodeStatistics:
        """Return the node's gauges as they are now."""
        doorway = self._reception.doorway
        hub = self._reception.services.hub
        return NodeStatistics(
            connections=doorway.admission.connections,
            authenticated=len(self._registry),
            sockets=doorway.connections,
            users=self._registry.users,
            subscriptions=hub.subscriptions,
            channels=len(hub),
            queue_bytes=doorway.queued_bytes,
            slow_connections=len(doorway.stalled),
            pending_fanouts=doorway.fanout.pending,
            return_window_seconds=self._moves.window(),
        )

    async def reload(self, read: Callable[[], Config]) -> None:
        """Reopen the log file, read certificates again and the configuration too (SIGHUP)."""
        logs.reopen()
        if self._certificate is not None:
            self._certificate.reload()
        self.config = await reloading.reload(self._reception, self.config, read)

    def give_memory_back(self) -> None:
        """Let go of what clients that have left still occupy."""
        services = self._reception.services
        services.namespaces.forget()
        for each in (
            self._registry, services.hub, services.interest, self._reception.doorway.pump
        ):
            each.shrink()
        give_back()

    async def drain(self, within: float) -> None:
        """Stop accepting, send every client elsewhere, wait until they are gone.

        They are told one after the other, at the rates of `[failover]`; those that can move while
        their connection still works get a moment for it.

        :param within: seconds; what is still open then is closed by leaving `open_node`.
        """
        self._is_draining = True
        self._reception.is_open = False
        for door in self._doors:
            door.close()
        if self._control is not None:
            self._control.tell()
        log.info("node.draining", clients=len(self._registry))
        if self._membership is not None:
            self._membership.beat_now()
        with trio.move_on_after(within):
            await self._moves.send_all(codes.SHUTDOWN, within, "drain", must_go=True)
            with trio.move_on_after(GRACE):
                while len(self._registry):
                    await self._reception.doorway.wait_departure()
            for number in self._shut_down_all():
                if number % DRAIN_BATCH == DRAIN_BATCH - 1:
                    await trio.lowlevel.checkpoint()
            while self._reception.doorway.connections:
                await self._reception.doorway.wait_departure()

    def _shut_down_all(self) -> Iterator[int]:
        for number, source in enumerate(self._reception.doorway.pump.sources()):
            if isinstance(source, Connection):
                source.shut_down()
            yield number
