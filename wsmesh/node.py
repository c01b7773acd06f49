"""The composition root: what a node is made of, opened in order of dependency."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import structlog
import trio
from attrs import define, field

import wsmesh
from wsmesh import logs
from wsmesh.api.endpoint import HTTPEndpoint
from wsmesh.channels.fanout import Fanout
from wsmesh.channels.hub import Hub
from wsmesh.channels.namespaces import Namespaces
from wsmesh.config.sections import Config
from wsmesh.errors import StoreUnavailable
from wsmesh.ingress import reloading
from wsmesh.ingress.connection import Connection
from wsmesh.ingress.descriptors import room_for_clients
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.listener import Door, open_socket
from wsmesh.ingress.pump import Pump
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.tls import Certificate
from wsmesh.memory import give_back, give_back_after_departures
from wsmesh.metrics import Metrics, NodeStatistics
from wsmesh.runtime import gc_pauses, tune_gc, watch_loop_lag
from wsmesh.security.addresses import TrustedProxies
from wsmesh.security.admission import Admission
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.origins import OriginPolicy
from wsmesh.security.revocation import Revocations
from wsmesh.session.carrying_out import LocalClients
from wsmesh.session.hooks import Hooks
from wsmesh.session.housekeeping import renew_presence, resume_after_gap
from wsmesh.session.interest import Interest
from wsmesh.session.loading import load_app
from wsmesh.session.operations import ServerOperations
from wsmesh.session.orders import NodeInfo
from wsmesh.session.peers import Alone
from wsmesh.session.registry import Registry
from wsmesh.session.services import Services
from wsmesh.session.session import Session
from wsmesh.session.tenure import Tenures
from wsmesh.store.memory import MemoryStore
from wsmesh.store.memory_sessions import MemorySessions
from wsmesh.timers import Timers
from wsmesh.wire.deflate import Deflater

DRAIN_BATCH = 256
"""Clients told to reconnect between two checkpoints when the node stops."""

log = structlog.get_logger("wsmesh.node")


@define(eq=False, kw_only=True)
class Node:
    """A running node.

    :ivar addresses: where it listens, as `[[listeners]] address` writes it.
    """

    config: Config
    name: str
    started_at: float
    operations: ServerOperations
    metrics: Metrics
    _registry: Registry[Session]
    _reception: Reception
    _store: MemoryStore
    _certificate: Certificate | None
    _doors: list[Door] = field(factory=list)
    _lag: Callable[[], float]

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
        return tuple(reasons)

    def describe(self) -> NodeInfo:
        """Return what operators see of the node."""
        services = self._reception.services
        return NodeInfo(
            uid=services.node_id,
            name=self.name,
            version=wsmesh.__version__,
            num_clients=len(self._registry),
            num_users=self._registry.users,
            num_subs=services.hub.subscriptions,
            num_channels=len(services.hub),
            uptime=int(services.now() - self.started_at),
            state="alive" if self._reception.is_open else "draining",
            capacity=self.config.node.max_connections,
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
        """Stop accepting, tell every client to come back elsewhere, wait until they are gone.

        :param within: seconds; what is still open then is closed by leaving `open_node`.
        """
        self._reception.is_open = False
        for door in self._doors:
            door.close()
        log.info("node.draining", clients=len(self._registry))
        with trio.move_on_after(within):
            for number, source in enumerate(self._reception.doorway.pump.sources()):
                if isinstance(source, Connection):
                    source.shut_down()
                if number % DRAIN_BATCH == DRAIN_BATCH - 1:
                    await trio.lowlevel.checkpoint()
            while self._reception.doorway.connections:
                await self._reception.doorway.wait_departure()


@asynccontextmanager
async def open_node(config: Config) -> AsyncGenerator[Node]:
    """Open a node: everything it owns runs until the block is left, then its clients are cut.

    :raises ConfigError: something the configuration names cannot be used.
    """
    clock = trio.current_time
    node_id = str(uuid4())
    name = config.node.name or f"{socket.gethostname()}_{os.getpid()}"
    metrics = Metrics(version=wsmesh.__version__)
    metrics.log_lines_dropped = logs.dropped_lines
    app = load_app(config.app)
    room = room_for_clients(config)
    certificate = Certificate(config.tls) if any(each.tls for each in config.listeners) else None
    timers = Timers(clock, metrics.timer_failed)
    fanout = Fanout(
        now=clock,
        finished=metrics.fanned_out,
        batch_limit=config.batch.max_messages if config.batch.delay else 0,
        batch_bytes=config.batch.max_bytes,
    )
    registry: Registry[Session] = Registry()
    hub = Hub(fanout, config.compression, lambda channel: resume_after_gap(registry, channel))
    store = MemoryStore()
    sessions = MemorySessions()
    tenures = Tenures(
        sessions, lambda: f"{node_id}/1", config.client.session_ttl, lambda owner, name, epoch: None
    )
    store.listen(hub.deliver, hub.presence_event)
    services = Services(
        client=config.client,
        limits=config.limits,
        namespaces=Namespaces(config.channel),
        hub=hub,
        store=store,
        interest=Interest(store, hub.__contains__),
        authenticator=Authenticator(config.client),
        revocations=Revocations(),
        tenures=tenures,
        peers=Alone(),
        hooks=Hooks(app, config.app.timeout, metrics),
        timers=timers,
        metrics=metrics,
        node_id=node_id,
        now=clock,
        wall=time.time,
        rng=random.Random(),
    )
    clients = LocalClients(services, registry, lambda: node.describe())
    operations = ServerOperations(services, clients)
    async with AsyncExitStack() as stack:
        pump = Pump(fanout, config.batch.delay, metrics.count_sent)
        stack.callback(pump.close)
        stack.enter_context(gc_pauses(metrics))
        doorway = Doorway(
            pump=pump,
            fanout=fanout,
            timers=timers,
            metrics=metrics,
            limits=config.limits,
            compression=config.compression,
            deflater=Deflater(config.compression.level),
            admission=Admission(config.limits, min(config.node.max_connections, room)),
        )
        endpoint = HTTPEndpoint(config, operations, metrics, lambda: node.readiness())
        reception = Reception(
            config=config,
            doorway=doorway,
            services=services,
            registry=registry,
            origins=OriginPolicy(config.client.allowed_origins),
            proxies=TrustedProxies(config.proxy.trusted_proxies),
            site=endpoint,
            rates=reloading.rates_of(config.limits),
        )
        node = Node(
            config=config, name=name, started_at=clock(), operations=operations,
            metrics=metrics, registry=registry, reception=reception, store=store,
            certificate=certificate,
            lag=lambda: metrics.last_loop_lag,
        )
        metrics.observe_node(node.statistics)
        sockets = []
        for listener in config.listeners:
            sock = open_socket(listener)
            stack.callback(sock.close)
            sockets.append((sock, listener))
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(pump.run)
        if config.batch.delay:
            nursery.start_soon(pump.run_batches)
        nursery.start_soon(timers.run)
        nursery.start_soon(services.interest.run)
        nursery.start_soon(renew_presence, services, registry)
        nursery.start_soon(watch_loop_lag, metrics)
        nursery.start_soon(store.run)
        nursery.start_soon(sessions.run)
        nursery.start_soon(tenures.run)
        nursery.start_soon(
            give_back_after_departures, lambda: doorway.connections, node.give_memory_back
        )
        if certificate is not None:
            nursery.start_soon(certificate.watch)
        connections = await stack.enter_async_context(trio.open_nursery())
        for sock, listener in sockets:
            node._doors.append(
                Door(
                    sock, listener, reception, certificate if listener.tls else None,
                    connections.start_soon, room,
                )
            )
        tune_gc()
        log.info("node.started", name=name, addresses=node.addresses)
        try:
            yield node
        finally:
            for door in node._doors:
                door.close()
            connections.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
