"""A small model of a cluster: nodes, a store that sessions are claimed in, clients, and a log.

Nothing here decides where sessions go; it carries out what strategies plan, and records what
happened, so that tests can say what must never happen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from math import inf

from attrs import Factory, define, frozen

from balancers import Member, View
from failover import Move, Orphan


@define
class Node:
    """A process: what it believes to own, and in which state it is."""

    id: str
    capacity: int
    held: dict[str, int] = Factory(dict)
    is_alive: bool = True
    is_cut: bool = False
    is_draining: bool = False
    deadline: float = inf
    since: float = 0.0

    @property
    def serves(self) -> bool:
        return self.is_alive and not self.is_cut and not self.is_draining


@define
class Client:
    """A client: where its connection is, its token's epoch, and the offsets it has seen."""

    session: str
    key: int
    since: float
    at: str | None = None
    epoch: int = 0
    seen: list[int] = Factory(list)
    lost: float = 0.0
    retry_at: float = -inf
    moved: float = -inf
    former: str = ""


@frozen
class Advice:
    """A move on its way to its client, with the epoch that it was planned for."""

    move: Move
    epoch: int
    is_planned: bool
    """Nobody had to move; a rebalancing or a failback."""


@define
class Cluster:
    """The cluster.

    :ivar owners: the store: session -> owner and epoch.
    :ivar claims: session -> owners in the order of their epochs.
    :ivar chosen: session -> when it was moved without need.
    """

    now: float = 0.0
    nodes: dict[str, Node] = Factory(dict)
    clients: dict[str, Client] = Factory(dict)
    owners: dict[str, tuple[str, int]] = Factory(dict)
    logs: Counter[str] = Factory(Counter)
    advice: list[Advice] = Factory(list)
    claims: defaultdict[str, list[tuple[int, str]]] = Factory(lambda: defaultdict(list))
    chosen: defaultdict[str, list[float]] = Factory(lambda: defaultdict(list))
    incarnations: Counter[str] = Factory(Counter)

    def start(self, name: str, capacity: int) -> str:
        """Start a node in a new incarnation."""
        self.incarnations[name] += 1
        node = Node(f"{name}/{self.incarnations[name]}", capacity, since=self.now)
        self.nodes[node.id] = node
        return node.id

    def view(self) -> View:
        """Return the members that live; those without the store are suspects."""
        return View(0, tuple(
            Member(
                id=node.id, capacity=node.capacity, connections=len(node.held),
                is_accepting=node.serves,
            )
            for node in self.nodes.values() if node.is_alive
        ))

    def orphan(self, client: Client) -> Orphan:
        home = self.owners.get(client.session, ("", 0))[0]
        # Somebody who lost its connection may come back to where it was.
        gone = home if client.at else (home if home not in self.nodes else "")
        return Orphan(
            client.session, client.key, gone, client.since, client.since,
            None if client.at else client.lost, client.moved, client.former,
        )

    def orphans(self) -> list[Orphan]:
        """Return the sessions without connection that may come back now and were not told where."""
        told = {each.move.session for each in self.advice}
        return [
            self.orphan(client) for client in self.clients.values()
            if client.at is None and client.retry_at <= self.now and client.session not in told
        ]

    def residents(self) -> list[Orphan]:
        """Return the sessions that are connected, and were not told to go."""
        told = {each.move.session for each in self.advice}
        return [
            self.orphan(client) for client in self.clients.values()
            if client.at is not None and client.session not in told
            and self.nodes[client.at].serves
        ]

    def accept(self, moves: tuple[Move, ...], *, is_planned: bool = False) -> None:
        """Send the moves to their clients."""
        for move in moves:
            client = self.clients[move.session]
            self.advice.append(Advice(move, client.epoch, is_planned))
            if is_planned:
                client.moved = move.at
                self.chosen[move.session].append(move.at)

    def pass_time(self, seconds: float) -> None:
        """Carry out what is due, then end drains whose time is over."""
        end = self.now + seconds
        due = sorted((each for each in self.advice if each.move.at <= end), key=_when)
        self.advice = [each for each in self.advice if each.move.at > end]
        for each in due:
            self.now = each.move.at
            self.claim(each.move.session, each.move.to, each.epoch, each.is_planned)
        self.now = end
        for node in [*self.nodes.values()]:
            if node.deadline <= end:
                self.stop(node.id)

    def claim(self, session: str, to: str, epoch: int, is_planned: bool = False) -> bool:
        """Connect a client: compare and set its owner; the old one is told where it can be."""
        node, client = self.nodes.get(to), self.clients[session]
        owner, current = self.owners.get(session, ("", 0))
        if node is None or not node.serves or len(node.held) >= node.capacity or current != epoch:
            return False
        if owner in self.nodes and not self.nodes[owner].is_cut:
            self.nodes[owner].held.pop(session, None)
        self.owners[session] = to, epoch + 1
        self.claims[session].append((epoch + 1, to))
        node.held[session] = epoch + 1
        # After a move that nobody needed, it is at home where it is.
        client.former = "" if is_planned or not owner else client.former or owner
        client.at, client.epoch = to, epoch + 1
        client.seen += range(len(client.seen), self.logs[session])
        return True

    def publish(self, session: str, through: Node) -> bool:
        """Write to the log through a node; the store takes it from the owner alone."""
        if through.is_cut or self.owners.get(session) != (through.id, through.held.get(session)):
            return False
        client = self.clients[session]
        self.logs[session] += 1
        if client.at == through.id:
            client.seen.append(self.logs[session] - 1)
        return True

    def stop(self, name: str) -> None:
        """End a node, as it dies, is fenced or has drained: its sockets close."""
        node = self.nodes.pop(name)
        node.is_alive = False
        for client in self.clients.values():
            if client.at == name:
                self.disconnect(client)

    def disconnect(self, client: Client) -> None:
        """Cut a client's connection; who holds its session may not notice."""
        client.at, client.lost = None, self.now


def _when(advice: Advice) -> float:
    return advice.move.at
