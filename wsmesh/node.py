"""The composition root: what a node is made of, opened in order of dependency."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import structlog
import trio

import wsmesh
from wsmesh import logs
from wsmesh.api.agent_check import AgentCheck
from wsmesh.api.endpoint import HTTPEndpoint
from wsmesh.channels.fanout import Fanout
from wsmesh.channels.hub import Hub
from wsmesh.channels.namespaces import Namespaces
from wsmesh.clustering import LEAVE_WITHIN, Joined, prepare_membership
from wsmesh.config.sections import Config, Listener
from wsmesh.ingress import reloading
from wsmesh.ingress.control import ControlSocket, open_control
from wsmesh.ingress.descriptors import room_for_clients
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.intake import Intake
from wsmesh.ingress.listener import Door, name_of, open_socket
from wsmesh.ingress.pump import Pump
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.tls import Certificate
from wsmesh.memory import give_back_after_departures
from wsmesh.metrics import Metrics
from wsmesh.moving import Moves
from wsmesh.observing import observe_cluster
from wsmesh.protocol import codes
from wsmesh.rebalancing import Rebalancing
from wsmesh.runtime import gc_pauses, tune_gc, watch_loop_lag
from wsmesh.security.addresses import TrustedProxies
from wsmesh.security.admission import Admission
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.origins import OriginPolicy
from wsmesh.security.revocation import Revocations
from wsmesh.serving import Node
from wsmesh.session.aging import send_away_the_old
from wsmesh.session.allowances import Allowances
from wsmesh.session.carrying_out import LocalClients
from wsmesh.session.headcount import Headcount
from wsmesh.session.hooks import Hooks
from wsmesh.session.housekeeping import renew_presence, resume_after_gap
from wsmesh.session.interest import Interest
from wsmesh.session.loading import load_app
from wsmesh.session.mesh_peers import MeshPeers
from wsmesh.session.operations import ServerOperations
from wsmesh.session.orders import FenceSession
from wsmesh.session.peers import Alone
from wsmesh.session.registry import Registry
from wsmesh.session.revoking import follow_revocations
from wsmesh.session.sending_away import keep_window_told
from wsmesh.session.services import Services
from wsmesh.session.session import Session
from wsmesh.session.tenure import Tenures
from wsmesh.store.opening import open_storage
from wsmesh.timers import Timers
from wsmesh.wire.deflate import Deflater

log = structlog.get_logger("wsmesh.node")


@asynccontextmanager
async def open_node(config: Config) -> AsyncGenerator[Node]:
    """Open a node: everything it owns runs until the block is left, then its clients are cut.

    :raises ConfigError: something the configuration names cannot be used.
    """
    clock, rng = trio.current_time, random.Random()
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
    async with AsyncExitStack() as stack:
        joined: Joined | None = None

        def owner() -> str:
            return f"{node_id}/1" if joined is None else str(joined.membership.identity)

        storage = await stack.enter_async_context(
            open_storage(config.redis, name=name, owner=owner, rng=rng)
        )
        sockets = []
        for listener in config.listeners:
            sock = open_socket(listener)
            stack.callback(sock.close)
            sockets.append((sock, listener))
        asked: socket.socket | None = None
        if config.agent_check.address:
            asked = open_socket(Listener(address=config.agent_check.address))
            stack.callback(asked.close)
        if storage.redis is not None:
            joined = await prepare_membership(
                config, storage, node_id=node_id, name=name,
                listeners=[name_of(sock) for sock, _ in sockets], node=lambda: node,
                answer=lambda order: clients.answer(order), rng=rng,
            )
        registry: Registry[Session] = Registry()
        hub = Hub(fanout, config.compression)
        storage.store.listen(
            hub.deliver, hub.presence_event, lambda channel: resume_after_gap(hub, channel)
        )
        peers = Alone() if joined is None else MeshPeers(joined.membership)
        tenures = Tenures(
            storage.sessions, owner, config.client.session_ttl,
            lambda who, session, epoch: peers.tell(who, FenceSession(session, epoch)),
        )
        allowances = Allowances(
            storage.users, lambda: len(peers.known()) + 1, clock,
            lambda job: nursery.start_soon(job),
        )
        allowances.configure(config.limits.user_message_rate, config.limits.user_message_burst)
        services = Services(
            client=config.client,
            limits=config.limits,
            namespaces=Namespaces(config.channel),
            hub=hub,
            store=storage.store,
            interest=Interest(storage.store, hub.__contains__, hub.take_vacated),
            authenticator=Authenticator(config.client),
            revocations=Revocations(),
            tenures=tenures,
            peers=peers,
            headcount=Headcount(storage.users, owner, peers.is_gone),
            allowances=allowances,
            users=storage.users,
            hooks=Hooks(app, config.app.timeout, metrics),
            timers=timers,
            metrics=metrics,
            node_id=node_id,
            return_window=lambda: moves.window(),
            now=clock,
            wall=time.time,
            rng=rng,
        )
        clients = LocalClients(
            services, registry, lambda: node.describe(), lambda: node.drain_asked.set(),
            lambda within: nursery.start_soon(
                moves.send_all, codes.FORCE_RECONNECT, within, "move"
            ),
        )
        operations = ServerOperations(services, clients)
        moves = Moves(
            config=lambda: node.config, registry=registry, metrics=metrics,
            membership=None if joined is None else joined.membership,
        )
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
        endpoint = HTTPEndpoint(
            config, operations, metrics, lambda: node.readiness(), lambda: node.refusing()
        )
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
        nursery = await stack.enter_async_context(trio.open_nursery())
        connections = await stack.enter_async_context(trio.open_nursery())
        intake = Intake(reception, connections.start_soon, room)
        node = Node(
            config=config, name=name, started_at=clock(), operations=operations,
            metrics=metrics, registry=registry, reception=reception,
            store=storage.store, certificate=certificate, intake=intake,
            membership=None if joined is None else joined.membership,
            lag=lambda: metrics.last_loop_lag, moves=moves,
        )
        metrics.observe(node.statistics)
        if joined is not None:
            observe_cluster(metrics, storage, joined, tenures)
        nursery.start_soon(pump.run)
        if config.batch.delay:
            nursery.start_soon(pump.run_batches)
        nursery.start_soon(timers.run)
        nursery.start_soon(services.interest.run)
        nursery.start_soon(renew_presence, services, registry)
        nursery.start_soon(watch_loop_lag, metrics, node.lagged)
        nursery.start_soon(storage.run)
        nursery.start_soon(tenures.run)
        nursery.start_soon(services.headcount.run)
        nursery.start_soon(keep_window_told, services, registry)
        nursery.start_soon(
            send_away_the_old, services, registry, lambda: node.config.failover.leave_rate
        )
        if storage.users is not None:
            nursery.start_soon(follow_revocations, storage.users, clients)
        nursery.start_soon(
            give_back_after_departures, lambda: doorway.connections, node.give_memory_back
        )
        if certificate is not None:
            nursery.start_soon(certificate.watch)
        if joined is not None:
            await nursery.start(joined.run)
            rebalancing = Rebalancing(
                config=lambda: node.config, moves=moves, membership=joined.membership
            )
            nursery.start_soon(rebalancing.run)
        for sock, listener in sockets:
            node._doors.append(
                Door(sock, listener, intake, certificate if listener.tls else None)
            )
        if config.node.control:
            control = ControlSocket(
                open_control(config.node.control, "node.control"), node.report, node
            )
            node._control = control
            nursery.start_soon(control.run)
        if asked is not None:
            nursery.start_soon(AgentCheck(asked, node.condition).run)
        tune_gc()
        log.info("node.started", name=name, addresses=node.addresses)
        try:
            yield node
        finally:
            for door in node._doors:
                door.close()
            if joined is not None:
                with trio.move_on_after(LEAVE_WITHIN, shield=True):
                    await joined.leave()
            connections.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
