"""A connection without a socket: keeps what a session sends, runs its jobs when asked to."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from attrs import evolve

from wsmesh.app import App
from wsmesh.channels.fanout import Fanout
from wsmesh.channels.hub import Hub
from wsmesh.channels.namespaces import Namespaces
from wsmesh.config.sections import Config
from wsmesh.errors import Disconnect
from wsmesh.metrics import Metrics
from wsmesh.protocol.codec import Form
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.revocation import Revocations
from wsmesh.session.allowances import Allowances
from wsmesh.session.carrying_out import LocalClients
from wsmesh.session.commands import receive, receive_connect
from wsmesh.session.headcount import Headcount
from wsmesh.session.hooks import Hooks
from wsmesh.session.housekeeping import resume_after_gap
from wsmesh.session.interest import Interest
from wsmesh.session.operations import ServerOperations
from wsmesh.session.orders import NodeInfo
from wsmesh.session.peers import Alone, Peers
from wsmesh.session.registry import Registry
from wsmesh.session.services import Services
from wsmesh.session.session import Job, Session
from wsmesh.session.tenure import Tenures
from wsmesh.store.memory import MemoryStore
from wsmesh.store.memory_sessions import MemorySessions
from wsmesh.store.sessions import SessionStore
from wsmesh.store.users import UserStore
from wsmesh.timers import Timers

START = 1_800_000_000.0
"""Unix time at which the tests' wall clock starts."""


class FakeNode:
    """The parts of a node behind its sockets, on virtual time."""

    def __init__(
        self, config: Config, app: App | None = None, *, name: str = "here",
        sessions: SessionStore | None = None, peers: Peers | None = None,
        users: UserStore | None = None,
    ) -> None:
        clock = trio.current_time
        began = clock()
        self.metrics = Metrics(version="test")
        self.fanout = Fanout(now=clock, finished=lambda receivers, seconds: None)
        self.registry: Registry[Session] = Registry()
        self.hub = Hub(self.fanout, config.compression)
        self.store = MemoryStore(clock, random.Random(1))
        self.store.listen(
            self.hub.deliver, self.hub.presence_event,
            lambda channel: resume_after_gap(self.hub, channel),
        )
        self.fenced: list[tuple[str, str, int]] = []
        self.sessions = MemorySessions(clock) if sessions is None else sessions
        self.tenures = Tenures(
            self.sessions, lambda: f"{name}/1", config.client.session_ttl,
            lambda *who: self.fenced.append(who),
        )
        self.spawned: list[Callable[[], Awaitable[None]]] = []
        self.allowances = Allowances(users, lambda: 1, clock, self.spawned.append)
        self.allowances.configure(
            config.limits.user_message_rate, config.limits.user_message_burst
        )
        self.services = Services(
            client=config.client,
            limits=config.limits,
            namespaces=Namespaces(config.channel),
            hub=self.hub,
            store=self.store,
            interest=Interest(self.store, self.hub.__contains__, self.hub.take_vacated),
            authenticator=Authenticator(config.client),
            revocations=Revocations(),
            tenures=self.tenures,
            peers=Alone() if peers is None else peers,
            headcount=Headcount(users, lambda: f"{name}/1", (peers or Alone()).is_gone),
            allowances=self.allowances,
            users=users,
            hooks=Hooks(app or App(), config.app.timeout, self.metrics),
            timers=Timers(clock),
            metrics=self.metrics,
            node_id="node-1",
            return_window=lambda: self.return_window,
            now=clock,
            wall=lambda: START + clock() - began,
            rng=random.Random(2),
        )
        self.return_window = 0.0
        self.drains: list[str] = []
        self.moves: list[float] = []
        self.clients = LocalClients(
            self.services, self.registry,
            lambda: NodeInfo(uid=name, name=name, num_clients=len(self.registry)),
            lambda: self.drains.append(name), self.moves.append,
        )
        self.operations = ServerOperations(self.services, self.clients)

    def client(self, form: Form = Form.BIDIRECTIONAL) -> FakeLink:
        """Return a new connection."""
        return FakeLink(self, form)

    async def connected(self, **connect: Any) -> FakeLink:
        """Return a connection whose connect command was answered."""
        link = self.client()
        reply = await link.ask(connect=connect)
        assert "connect" in reply, reply
        return link


class FakeLink:
    """One client's connection, as its session sees it."""

    def __init__(self, node: FakeNode, form: Form) -> None:
        self.node = node
        self.dialect = 2 * form
        self.out: bytes | list[bytes] | None = None
        self.backlog = None
        self.address = "192.0.2.1"
        self.headers = (("user-agent", "test"),)
        self.closed: tuple[int, str] | None = None
        self.sent: list[dict[str, Any]] = []
        self._jobs: deque[Job] = deque()
        self.waiting = 0
        self._number = 0
        self._form = form
        self.session = Session(node.services, node.registry, self, form)

    def send_text(self, payload: bytes, *, secret: bool = False) -> None:
        self.collect()
        self.sent.append(json.loads(payload))

    def end(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.collect()
            self.closed = (code, reason)
            self.farewells = self.session.close()

    def authenticated(self) -> None:
        """Nothing counts connections here."""

    def enqueue(self, job: Job) -> None:
        self._jobs.append(job)
        self.waiting += 1

    def collect(self) -> None:
        """Take the frames of fan-outs, in their order among what was sent otherwise."""
        while self.node.fanout.step():
            pass
        out, self.out = self.out, None
        for frame in out if isinstance(out, list) else [out] if out else []:
            start = 2 if frame[1] < 126 else 4
            self.sent.append(json.loads(frame[start:]))

    async def work(self) -> None:
        """Run what waits."""
        while self._jobs:
            await self._jobs[0]()
            self._jobs.popleft()
            self.waiting -= 1
        self.collect()

    def say(self, *messages: dict[str, Any]) -> None:
        """Send one frame with these messages."""
        payload = b"\n".join(json.dumps(each).encode() for each in messages)
        understand = receive if self._form is Form.BIDIRECTIONAL else receive_connect
        try:
            understand(self.session, payload)
        except Disconnect as why:
            self.session.end(why)

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return its reply, or how the connection ended."""
        self._number += 1
        number = self._number
        self.say({"id": number, **command})
        await self.work()
        for message in self.sent:
            if message.get("id") == number:
                return message
        return {"closed": self.closed}

    async def leave(self) -> None:
        """The client is gone."""
        for channel, subscription in self.session.close():
            await self.session.farewell(channel, subscription)

    def pushes(self, kind: str = "pub") -> list[dict[str, Any]]:
        """Return the pushes of a kind, in order of arrival."""
        self.collect()
        found = [each.get("push", each) for each in self.sent]
        return [each for each in found if kind in each]

    def data(self, channel: str) -> list[Any]:
        """Return the data of a channel's publications, in order of arrival."""
        return [each["pub"]["data"] for each in self.pushes() if each["channel"] == channel]


def configured(**sections: Any) -> Config:
    """Return a configuration with these sections changed: `client={"channel_limit": 1}`."""
    config = Config()
    changed = {name: evolve(getattr(config, name), **facts) for name, facts in sections.items()}
    return evolve(config, **changed)
