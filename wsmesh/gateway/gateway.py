"""The gateway's composition root: what it is made of, and what signals do to it."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import trio
from attrs import define, evolve, field

import wsmesh
from wsmesh import logs
from wsmesh.config.sections import Config, Listener
from wsmesh.errors import ConfigError
from wsmesh.gateway.affinity import Affinity
from wsmesh.gateway.balancing import balancer_of, seed_of
from wsmesh.gateway.desk import Arriving, Desk
from wsmesh.gateway.discovery import read_registry
from wsmesh.gateway.express import Express
from wsmesh.gateway.fleet import Fleet
from wsmesh.gateway.links import Links
from wsmesh.gateway.metrics import GatewayMetrics, GatewayStatistics
from wsmesh.gateway.placing import Placing
from wsmesh.gateway.relay import Relay
from wsmesh.gateway.site import GatewaySite
from wsmesh.gateway.turnstile import Turnstile
from wsmesh.ingress.control import ControlSocket, open_control
from wsmesh.ingress.listener import name_of, open_socket
from wsmesh.ingress.tls import Certificate
from wsmesh.protocol.control import Report
from wsmesh.security.addresses import TrustedProxies

ACCEPTS = 64
"""Clients accepted before others get their turn."""

PAUSE = 0.1
"""Seconds without accepting after the system refused one (no descriptors, no memory)."""

FIRST_NODE_WITHIN = 1.0
"""Seconds that a gateway which starts waits for a node before it accepts and refuses clients."""

log = structlog.get_logger("wsmesh.gateway")


@define(eq=False, kw_only=True)
class Gateway:
    """A running gateway.

    :ivar addresses: where it listens, as `[[listeners]] address` writes it.
    """

    config: Config
    desk: Desk
    addresses: tuple[str, ...]
    _doors: trio.CancelScope
    _emptied: trio.Event
    _certificate: Certificate | None
    _rng: random.Random
    _affinity_secret: bytes = field(repr=False)
    _is_open: bool = True
    _incarnation: int = field(factory=lambda: time.time_ns() // 1_000_000)

    def closed(self) -> str:
        """Return why no clients are taken; empty when they are."""
        if not self._is_open:
            return "stopping"
        return "" if self.statistics().accepting else "no node takes clients"

    def statistics(self) -> GatewayStatistics:
        """Return the gauges as they are now."""
        desk = self.desk
        members = desk.placing.fleet.view(desk.clock()).members
        return GatewayStatistics(
            arriving=desk.arriving, queued=desk.turnstile.waiting, relayed=len(desk.relay),
            relayed_bytes=desk.relay.bytes, members=len(members),
            accepting=sum(member.is_eligible for member in members),
        )

    def report(self, number: int) -> Report:
        """Return how the gateway is, for its supervisor."""
        return Report(
            node="gateway", incarnation=self._incarnation, name="gateway", pid=os.getpid(),
            state="alive" if self._is_open else "draining", is_ready=not self.closed(),
            report=number, connections=len(self.desk.relay) + self.desk.arriving,
            capacity=self.config.gateway.max_waiting, listeners=self.addresses,
        )

    async def reload(self, read: Callable[[], Config]) -> None:
        """Take over what can change of the configuration (SIGHUP); connections stay.

        One that has faults is logged, each of them, and nothing changes.
        """
        logs.reopen()
        if self._certificate is not None:
            self._certificate.reload()
        try:
            wanted = await trio.to_thread.run_sync(read, abandon_on_cancel=True)
            # What runs keeps its sockets: they need a restart.
            config = evolve(wanted, listeners=self.config.listeners)
            balancer = balancer_of(config, self._rng, self.desk.clock)
            affinity = Affinity(config, self._affinity_secret)
            proxies = TrustedProxies(config.proxy.trusted_proxies)
        except ConfigError as error:
            log.error(
                "config.refused",
                **{f"fault_{number:02}": text for number, text in enumerate(error.faults, 1)},
            )
            return
        desk = self.desk
        if config.balancer != self.config.balancer:
            desk.placing.balancer = balancer
        desk.placing.seed = seed_of(config)
        desk.affinity, desk.proxies, desk.config = affinity, proxies, config
        desk.site.reconfigure(config)
        self.config = config
        log.info("config.reloaded", strategy=config.balancer.strategy)

    async def drain(self, within: float) -> None:
        """Stop accepting, and wait until relayed connections have ended.

        :param within: seconds; what is still open then is closed by leaving `open_gateway`.
        """
        self._is_open = False
        self._doors.cancel()
        log.info("gateway.draining", relayed=len(self.desk.relay))
        with trio.move_on_after(within):
            await self._emptied.wait()


@asynccontextmanager
async def open_gateway(config: Config) -> AsyncGenerator[Gateway]:
    """Open a gateway: it accepts clients until the block is left.

    :raises ConfigError: something the configuration names cannot be used.
    """
    rng, section = random.Random(), config.gateway
    clock = trio.current_time
    # Without a cluster's, keys that were given are forgotten when the gateway ends.
    secret = seed_of(config) or os.urandom(32)
    certificate = Certificate(config.tls) if any(each.tls for each in config.listeners) else None
    by_hand = [each for each in section.nodes if not each.startswith("unix:")]
    fleet = Fleet(by_hand, suspect_for=section.suspect_for)
    metrics = GatewayMetrics(wsmesh.__version__, lambda: gateway.statistics())
    placing = Placing(
        fleet, balancer_of(config, rng, clock), rng, clock, metrics.failed.add, seed_of(config)
    )
    by_socket = tuple(each[5:] for each in section.nodes if each.startswith("unix:"))
    links = Links(fleet, section.handover_timeout, by_socket, section.control_dir)
    desk = Desk(
        config=config, placing=placing, links=links,
        relay=Relay(section.relay_idle_timeout, section.relay_buffer),
        affinity=Affinity(config, secret), proxies=TrustedProxies(config.proxy.trusted_proxies),
        turnstile=Turnstile(section.at_once, section.max_waiting),
        site=GatewaySite(
            config, metrics, lambda key: placing.ranked(placing.hashed(key)),
            lambda: gateway.closed(),
        ),
        metrics=metrics, secret=config.cluster.secret.value.encode(), clock=clock,
    )
    express = Express(desk)
    async with AsyncExitStack() as stack:
        sockets = []
        for listener, sock in _listening(config):
            stack.callback(sock.close)
            sockets.append((sock, listener))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        doors, emptied = trio.CancelScope(), trio.Event()
        gateway = Gateway(
            config=config, desk=desk, addresses=tuple(name_of(sock) for sock, _ in sockets),
            doors=doors, emptied=emptied, certificate=certificate, rng=rng,
            affinity_secret=secret,
        )
        nursery.start_soon(desk.relay.run)
        noticed = trio.Event()
        fleet.noticed = noticed.set
        nursery.start_soon(links.run)
        if certificate is not None:
            nursery.start_soon(certificate.watch)
        if config.redis.url:
            nursery.start_soon(read_registry, config, desk, rng)
        if section.control:
            control = ControlSocket(
                open_control(section.control, "gateway.control"), gateway.report
            )
            nursery.start_soon(control.run)
        if gateway.closed():
            # Those who wait in the backlog need not be refused.
            with trio.move_on_after(FIRST_NODE_WITHIN):
                await noticed.wait()
        nursery.start_soon(_accept_all, doors, emptied, express, sockets, certificate)
        log.info("gateway.started", addresses=gateway.addresses)
        yield gateway


def _listening(config: Config) -> list[tuple[Listener, socket.socket]]:
    fds = config.gateway.fds
    if fds and len(fds) != len(config.listeners):
        raise ConfigError(
            "gateway.fds",
            [f"gateway.fds: expected {len(config.listeners)}, one for each of [[listeners]]"],
        )
    if not fds:
        return [(listener, open_socket(listener)) for listener in config.listeners]
    sockets = [socket.socket(fileno=fd) for fd in fds]
    for sock in sockets:
        sock.setblocking(False)
    return list(zip(config.listeners, sockets, strict=True))


async def _accept_all(
    doors: trio.CancelScope, emptied: trio.Event, express: Express,
    sockets: list[tuple[socket.socket, Listener]], certificate: Certificate | None,
) -> None:
    try:
        async with trio.open_nursery() as arrivals:
            express.spawn = arrivals.start_soon
            with doors:
                async with trio.open_nursery() as accepting:
                    for sock, listener in sockets:
                        own = certificate if listener.tls else None
                        accepting.start_soon(_accept, express, sock, listener, own)
            for sock, _ in sockets:
                sock.close()
            await express.wait_settled()
    finally:
        express.spawn = None
    emptied.set()


async def _accept(
    express: Express, door: socket.socket, listener: Listener, certificate: Certificate | None
) -> None:
    is_tcp = door.family != socket.AF_UNIX
    while True:
        await trio.lowlevel.wait_readable(door)
        for _ in range(ACCEPTS):
            try:
                sock, name = door.accept()
            except BlockingIOError:
                break
            except OSError as error:
                log.error("accept.refused", error=error.strerror)
                await trio.sleep(PAUSE)
                break
            sock.setblocking(False)
            if is_tcp:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            express.take(Arriving(sock, name[0] if is_tcp else "", listener, certificate))


async def run(
    config: Config, *, read: Callable[[], Config], started: Callable[[Gateway], None]
) -> None:
    """Run a gateway until SIGTERM or SIGINT, then drain it; a second signal ends it at once.

    SIGHUP reads configuration and certificates again.

    :param read: gives the configuration as it is now, in a thread.
    :param started: called once the gateway accepts connections.
    :raises ConfigError: something the configuration names cannot be used.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with open_gateway(config) as gateway, trio.open_nursery() as nursery:
            started(gateway)
            is_stopping = False
            async for number in signals:
                if number == signal.SIGHUP:
                    nursery.start_soon(gateway.reload, read)
                elif is_stopping:
                    break
                else:
                    is_stopping = True
                    nursery.start_soon(_drain, gateway, nursery.cancel_scope.cancel)
            nursery.cancel_scope.cancel()
    log.info("gateway.stopped")


async def _drain(gateway: Gateway, done: Callable[[], None]) -> None:
    await gateway.drain(gateway.config.node.shutdown_timeout)
    done()
