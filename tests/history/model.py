"""A small cluster that keeps every promise, to make logs of: channels with epochs, publishers,
clients that drop and recover, failovers that lose a tail and say so.

`play` turns any list of steps into a history that must be judged valid.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable

from attrs import define, field

from tests.history import events as ev
from tests.history.events import Event

STEP_NS = 1_000_000
CHANNELS = ("a", "b")
WITHOUT_HISTORY = "live"
PUBLISHERS = 2
CLIENTS = 3

#: A failover loses only what was acknowledged this shortly before, nanoseconds.
LAG_NS = 4_000_000_000

Step = tuple[int, int, int]


@define(eq=False)
class Pending:
    """A message on its way."""

    mid: str
    ch: str
    key: str
    epoch: str = ""
    offset: int = 0


@define(eq=False)
class Log:
    """A channel: offset 1 is `messages[0]`, all up to `floor` are trimmed."""

    name: str
    generation: int = 1
    messages: list[str] = field(factory=list)
    floor: int = 0

    @property
    def epoch(self) -> str:
        return f"{self.name}{self.generation}"

    @property
    def top(self) -> int:
        return len(self.messages)


@define(eq=False)
class View:
    """A client's place in a channel."""

    seg: int = 0
    epoch: str = ""
    position: int = 0
    is_on: bool = False
    is_allowed: bool = True


@define(eq=False)
class Reader:
    cid: str
    process: str
    views: dict[str, View]
    gen: int = 0
    is_away: bool = True


@define(eq=False)
class Cluster:
    """State of the model; each rule appends to `logs`, process -> events."""

    logs: dict[str, list[Event]] = field(factory=dict)
    now: int = 1_000_000_000
    channels: dict[str, Log] = field(factory=lambda: {name: Log(name) for name in CHANNELS})
    readers: list[Reader] = field(factory=list)
    counters: list[int] = field(factory=lambda: [0] * PUBLISHERS)
    pending: list[list[Pending]] = field(factory=lambda: [[] for _ in range(PUBLISHERS)])
    zombies: list[Pending] = field(factory=list)
    acked: dict[str, ev.PubOk] = field(factory=dict)
    keyed: list[Pending] = field(factory=list)
    delivered: int = 0
    evicted: int = 0

    def say(self, process: str, event: Event) -> None:
        self.now += STEP_NS
        event.t = self.now
        self.logs.setdefault(process, []).append(event)

    # -- publishers ---------------------------------------------------------------------------

    def invoke(self, who: int, where: int, key: str = "") -> Pending:
        publisher = who % PUBLISHERS
        name = (*CHANNELS, *CHANNELS, WITHOUT_HISTORY)[where % (2 * len(CHANNELS) + 1)]
        self.counters[publisher] += 1
        mid = f"p{publisher}-{self.counters[publisher]}"
        message = Pending(mid, name, key or (f"k{mid}" if where % 3 else ""))
        self.say("publishers", ev.PubInvoke(
            mid=mid, ch=name, crc=zlib.crc32(mid.encode()), key=message.key
        ))
        self.pending[publisher].append(message)
        return message

    def settle(self, who: int, how: int) -> None:
        queue = self.pending[who % PUBLISHERS]
        if not queue:
            return
        message = queue.pop(0)
        match how % 8:
            case 0:
                self.say("publishers", ev.PubFail(mid=message.mid, ch=message.ch))
            case 1:
                self.say("publishers", ev.PubInfo(mid=message.mid, ch=message.ch))
                self.zombies.append(message)
            case _:
                self.apply(message)
                self.acknowledge(message, how)

    def publish(self, who: int, where: int) -> None:
        self.invoke(who, where)
        while self.pending[who % PUBLISHERS]:
            self.settle(who, where | 2)

    def apply(self, message: Pending) -> None:
        if message.ch == WITHOUT_HISTORY:
            for reader in self.readers:
                if reader.views[message.ch].is_on:
                    self.deliver(reader, message.ch, message.mid, 0)
            return
        log = self.channels[message.ch]
        log.messages.append(message.mid)
        message.epoch, message.offset = log.epoch, log.top

    def acknowledge(self, message: Pending, how: int) -> None:
        ok = ev.PubOk(
            mid=message.mid, ch=message.ch, epoch=message.epoch, offset=message.offset,
            durability="replicated" if how % 8 == 7 else "memory",
        )
        if how % 8 == 6:  # a client of the protocol is not told the position
            ok.epoch, ok.offset = "", 0
        elif message.key and message.offset:
            self.keyed.append(message)
        self.say("publishers", ok)
        self.acked[message.mid] = ok

    def act_late(self, how: int) -> None:
        """What nobody got an answer about is applied, or was never; a retry learns the place."""
        if not self.zombies:
            return
        message = self.zombies.pop(0)
        if how % 3:
            self.apply(message)
            if message.key and how % 3 == 2:
                self.acknowledge(message, 2)

    def repeat_key(self, who: int, which: int) -> None:
        """The same publication under another mid: it is suppressed, and gets the same position."""
        kept = [
            message for message in self.keyed
            if message.epoch == self.channels[message.ch].epoch
            and message.offset <= self.channels[message.ch].top
        ]
        publisher = who % PUBLISHERS
        if not kept or self.pending[publisher]:
            return
        first = kept[which % len(kept)]
        again = self.invoke(who, CHANNELS.index(first.ch), first.key)
        self.pending[publisher].remove(again)
        original = self.acked[first.mid]
        self.say("publishers", ev.PubOk(
            mid=again.mid, ch=first.ch, epoch=original.epoch, offset=original.offset,
            durability=original.durability,
        ))

    # -- clients ------------------------------------------------------------------------------

    def deliver(self, reader: Reader, name: str, mid: str, offset: int) -> None:
        view = reader.views[name]
        self.delivered += 1
        self.say(reader.process, ev.Deliver(
            cid=reader.cid, ch=name, mid=mid, crc=zlib.crc32(mid.encode()), seg=view.seg,
            epoch=view.epoch, offset=offset,
        ))

    def pump(self, who: int, count: int) -> None:
        reader = self.readers[who % CLIENTS]
        for name, log in self.channels.items():
            view = reader.views[name]
            for _ in range(count % 8):
                if view.is_on and view.position < log.top:
                    view.position += 1
                    self.deliver(reader, name, log.messages[view.position - 1], view.position)

    def leave(self, reader: Reader, code: int, why: str = "lost") -> None:
        self.say(reader.process, ev.Close(cid=reader.cid, code=code))
        reader.is_away = True
        for name, view in reader.views.items():
            if view.is_on:
                view.is_on = False
                self.say(reader.process, ev.EndSeg(
                    cid=reader.cid, ch=name, seg=view.seg, why=why
                ))

    def cut(self, who: int, how: int) -> None:
        reader = self.readers[who % CLIENTS]
        if reader.is_away:
            return
        is_slow = how % 4 == 0
        self.evicted += is_slow
        self.leave(reader, 3008 if is_slow else 1006)

    def come(self, reader: Reader) -> None:
        self.connect(reader)
        for name, view in reader.views.items():
            if view.is_allowed:
                self.subscribe(reader, name)

    def come_back(self, who: int, _: int) -> None:
        reader = self.readers[who % CLIENTS]
        if reader.is_away:
            self.come(reader)

    def connect(self, reader: Reader) -> None:
        reader.is_away = False
        reader.gen += 1
        self.say(reader.process, ev.Conn(
            cid=reader.cid, node=f"n{reader.gen % 3}", session=f"s-{reader.cid}", gen=reader.gen,
        ))

    def subscribe(
        self, reader: Reader, name: str, *, is_fresh: bool = False, answered_at: int | None = None,
    ) -> None:
        view = reader.views[name]
        view.seg += 1
        view.is_on = True
        sub = ev.Sub(cid=reader.cid, ch=name, seg=view.seg)
        if name in self.channels:
            log = self.channels[name]
            sub.epoch, sub.offset = log.epoch, log.top
            sub.was_recovering = view.epoch != "" and not is_fresh
            sub.recovered = sub.was_recovering and (
                view.epoch == log.epoch and log.floor <= view.position
            )
            if sub.was_recovering and not sub.recovered:
                sub.reason = "history_expired" if view.epoch == log.epoch else "store_failover"
                sub.first = log.floor + 1
            if sub.recovered and answered_at is not None:
                sub.offset = answered_at
            if not sub.recovered:
                view.epoch, view.position = log.epoch, log.top
        self.say(reader.process, sub)

    def move(self, who: int, how: int) -> None:
        """The new connection serves before the old one is closed: no segment ends.

        The old one goes on delivering while the new one is answered.
        """
        reader = self.readers[who % CLIENTS]
        if reader.is_away:
            return
        self.say("control", ev.Move(cid=reader.cid, target=f"n{(reader.gen + 1) % 3}"))
        self.say("control", ev.Fenced(session=f"s-{reader.cid}", node=f"n{reader.gen % 3}"))
        asked = {name: log.top for name, log in self.channels.items()}
        self.publish(how, CHANNELS.index("a"))
        self.pump(who, how)
        self.connect(reader)
        for name, view in reader.views.items():
            if view.is_on:
                self.subscribe(reader, name, answered_at=asked.get(name))
                self.say(reader.process, ev.WireDup(cid=reader.cid, ch=name, offset=1))

    def revoke(self, who: int, where: int) -> None:
        reader = self.readers[who % CLIENTS]
        name = CHANNELS[where % len(CHANNELS)]
        view = reader.views[name]
        if not view.is_on:
            return
        view.is_allowed = view.is_on = False
        self.say("control", ev.Revoke(cid=reader.cid, ch=name))
        self.say(reader.process, ev.EndSeg(
            cid=reader.cid, ch=name, seg=view.seg, why="unsubscribed"
        ))

    def allow(self, who: int, _: int) -> None:
        reader = self.readers[who % CLIENTS]
        for name, view in reader.views.items():
            if not view.is_allowed and not reader.is_away:
                self.say("control", ev.Allow(cid=reader.cid, ch=name))
                view.is_allowed = True
                self.subscribe(reader, name, is_fresh=True)

    # -- the store ----------------------------------------------------------------------------

    def fail_over(self, where: int, tail: int) -> None:
        log = self.channels[CHANNELS[where % len(CHANNELS)]]
        self.publish(0, CHANNELS.index(log.name))
        self.say("control", ev.Nemesis(op="start", fault="promotion", target=log.name))
        for _ in range(tail % 5):
            ok = self.acked.get(log.messages[-1]) if log.top > log.floor else None
            if ok is None or ok.durability != "memory" or ok.t < self.now - LAG_NS:
                break
            log.messages.pop()
        log.generation += 1
        self.keyed = [message for message in self.keyed if message.ch != log.name]
        for reader in self.readers:
            view = reader.views[log.name]
            if view.is_on:
                self.say(reader.process, ev.EndSeg(
                    cid=reader.cid, ch=log.name, seg=view.seg, why="lost"
                ))
                self.subscribe(reader, log.name)
        self.say("control", ev.Nemesis(op="heal", fault="promotion", target=log.name))

    def trim(self, where: int, keep: int) -> None:
        log = self.channels[CHANNELS[where % len(CHANNELS)]]
        floor = max(log.floor, log.top - keep % 4)
        self.read_history(log, floor)
        log.floor = floor

    def read_history(self, log: Log, end: int) -> None:
        """Put on record what is kept, up to an offset."""
        for offset in range(log.floor + 1, end + 1):
            self.say("control", ev.Stored(
                ch=log.name, epoch=log.epoch, offset=offset, mid=log.messages[offset - 1]
            ))

    def wait(self, *_: int) -> None:
        if not any(reader.is_away for reader in self.readers):
            self.now += 400_000_000

    # -- the whole ----------------------------------------------------------------------------

    def open(self) -> None:
        names = (*CHANNELS, WITHOUT_HISTORY)
        self.readers = [
            Reader(f"c{n}", f"clients-{n % 2}", {name: View() for name in names})
            for n in range(CLIENTS)
        ]
        for reader in self.readers:
            self.come(reader)
        self.publish(0, 0)

    def finish(self) -> dict[str, list[Event]]:
        for where, name in enumerate(CHANNELS):
            self.publish(where, where)
        for who, reader in enumerate(self.readers):
            self.come_back(who, 0)
            while any(
                reader.views[name].is_on and reader.views[name].position < log.top
                for name, log in self.channels.items()
            ):
                self.pump(who, 7)
        for name, log in self.channels.items():
            self.say("control", ev.Final(ch=name, epoch=log.epoch, top=log.top))
            self.read_history(log, log.top)
        for reader in self.readers:
            self.leave(reader, 0, "closed")
        self.say("control", ev.Counters(
            node="all", delivered=self.delivered, closes={"3008": self.evicted}
        ))
        for process in self.logs:
            self.say(process, ev.End())
        return self.logs


RULES: tuple[Callable[[Cluster, int, int], object], ...] = (
    Cluster.publish, Cluster.publish, Cluster.publish, Cluster.publish,
    Cluster.invoke, Cluster.invoke, Cluster.settle, Cluster.settle, Cluster.settle,
    lambda cluster, how, _: cluster.act_late(how),
    Cluster.repeat_key,
    Cluster.pump, Cluster.pump, Cluster.pump, Cluster.pump,
    Cluster.cut, Cluster.come_back, Cluster.come_back, Cluster.move,
    Cluster.revoke, Cluster.allow, Cluster.fail_over, Cluster.trim, Cluster.wait,
)


def play(steps: Iterable[Step]) -> dict[str, list[Event]]:
    """Return a valid history, process -> events: each step is a rule and its two choices."""
    cluster = Cluster()
    cluster.open()
    for rule, one, other in steps:
        RULES[rule % len(RULES)](cluster, one, other)
    return cluster.finish()
