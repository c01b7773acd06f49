"""Takes the events of a run into columns.

The events of one process come in their order, the processes one after the other, in any order.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from tests.history import events as ev
from tests.history.columns import Channel, Client, Connection, Process, Segment
from tests.history.events import Event
from tests.history.numbers import Numbers


class BadLog(Exception):
    """The log is not one: what it says cannot have been written by a recorder."""


@define(eq=False)
class History:
    """A run.

    :param words: epochs and durabilities, as their numbers in the columns.
    """

    numbers: Numbers = field(factory=Numbers)
    processes: dict[str, Process] = field(factory=dict)
    channels: dict[str, Channel] = field(factory=dict)
    clients: dict[str, Client] = field(factory=dict)
    faults: list[ev.Nemesis] = field(factory=list)
    counters: list[ev.Counters] = field(factory=list)
    fenced: list[ev.Fenced] = field(factory=list)
    moves: list[ev.Move] = field(factory=list)
    duplicates: list[ev.WireDup] = field(factory=list)
    delivered: int = 0
    words: list[str] = field(factory=list)
    _word_numbers: dict[str, int] = field(factory=dict)
    _segments: dict[tuple[str, str, int], Segment] = field(factory=dict)
    _latest: dict[tuple[str, str], Segment] = field(factory=dict)
    _publishers: dict[str, str] = field(factory=dict)
    _windows: list[tuple[ev.Nemesis, ev.Nemesis | None]] | None = None
    _process: Process = field(init=False)
    _take: dict[type, Callable[..., None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._take = {
            ev.Deliver: self._deliver, ev.PubInvoke: self._invoke, ev.PubOk: self._ack,
            ev.PubFail: lambda e: self._channel(e.ch).failed.add(self.numbers.number(e.mid)),
            ev.PubInfo: lambda e: self._channel(e.ch).unknown.add(self.numbers.number(e.mid)),
            ev.Sub: self._sub, ev.EndSeg: self._end_seg,
            ev.Conn: lambda e: self._client(e.cid).conns.append(Connection(e)),
            ev.Close: lambda e: self._client(e.cid).closes.append(e),
            ev.WireDup: self.duplicates.append, ev.Nemesis: self.faults.append,
            ev.Final: lambda e: self._channel(e.ch).finals.append(e),
            ev.Stored: self._stored,
            ev.Move: self.moves.append, ev.Fenced: self.fenced.append,
            ev.Counters: self.counters.append,
            ev.Allow: lambda e: self._channel(e.ch).allowed.append(e),
            ev.Revoke: lambda e: self._channel(e.ch).allowed.append(e),
            ev.End: self._end,
        }

    def begin(self, process: str) -> None:
        """Take the events of this process from now on."""
        self._process = self.processes.setdefault(process, Process(process))

    def add(self, event: Event) -> None:
        """Take the next event of the process.

        :raises BadLog: it cannot follow what came before.
        """
        if event.t < self._process.last:
            raise BadLog(f"{self._process.name}: time goes back at {ev.line_of(event)}")
        self._process.last = event.t
        self._take[type(event)](event)

    def word(self, text: str) -> int:
        """Return the number of an epoch or a durability."""
        number = self._word_numbers.get(text)
        if number is None:
            number = self._word_numbers[text] = len(self.words)
            self.words.append(text)
        return number

    def fault_windows(self) -> list[tuple[ev.Nemesis, ev.Nemesis | None]]:
        """Return each fault's start with its heal, None: it never healed; in order of start."""
        if self._windows is None:
            self._windows = self._pair_faults()
        return self._windows

    def _pair_faults(self) -> list[tuple[ev.Nemesis, ev.Nemesis | None]]:
        windows: list[tuple[ev.Nemesis, ev.Nemesis | None]] = []
        open_faults: dict[tuple[str, str], list[int]] = {}
        for event in sorted(self.faults, key=lambda event: event.t):
            starts = open_faults.setdefault((event.fault, event.target), [])
            if event.op == "start":
                starts.append(len(windows))
                windows.append((event, None))
            elif starts:
                index = starts.pop(0)
                windows[index] = (windows[index][0], event)
            else:
                raise BadLog(f"healed, but never started: {ev.line_of(event)}")
        return windows

    def process_of(self, event: Event) -> str:
        """Return the name of the log that an event of a client or a publisher stands in."""
        if (mid := getattr(event, "mid", None)) is not None and not hasattr(event, "cid"):
            return self._publishers.get(mid.rpartition("-")[0], "")
        client = self.clients.get(getattr(event, "cid", ""))
        return "" if client is None else client.process

    def _channel(self, name: str) -> Channel:
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name)
        return channel

    def _client(self, cid: str) -> Client:
        client = self.clients.get(cid)
        if client is None:
            client = self.clients[cid] = Client(cid, self._process.name)
        elif client.process != self._process.name:
            raise BadLog(f"client {cid} stands in {client.process} and in {self._process.name}")
        return client

    def _invoke(self, event: ev.PubInvoke) -> None:
        channel = self._channel(event.ch)
        number = self.numbers.number(event.mid)
        self._publishers.setdefault(self.numbers.publisher(number), self._process.name)
        channel.invoked.append(number)
        channel.invoked_at.append(event.t)
        channel.invoked_crc.append(event.crc)
        if event.key:
            channel.keys[number] = event.key

    def _ack(self, event: ev.PubOk) -> None:
        channel = self._channel(event.ch)
        channel.acked.append(self.numbers.number(event.mid))
        channel.acked_at.append(event.t)
        channel.acked_offset.append(event.offset)
        channel.acked_epoch.append(self.word(event.epoch))
        channel.acked_durability.append(self.word(event.durability))

    def _stored(self, event: ev.Stored) -> None:
        self._channel(event.ch).stored[self.numbers.number(event.mid)] = event

    def _segment(self, cid: str, ch: str, seg: int) -> Segment:
        segment = self._segments.get((cid, ch, seg))
        if segment is None:
            segment = self._segments[cid, ch, seg] = Segment(self._client(cid), ch, seg)
            self._channel(ch).segments.append(segment)
        return segment

    def _sub(self, event: ev.Sub) -> None:
        segment = self._segment(event.cid, event.ch, event.seg)
        if segment.sub is not None:
            raise BadLog(f"two subscriptions share a seg: {ev.line_of(event)}")
        segment.sub = event
        before = self._latest.get((event.cid, event.ch))
        if before is not None and before.end is not None:
            segment.asked_after = before.end.t
        self._latest[event.cid, event.ch] = segment

    def _end_seg(self, event: ev.EndSeg) -> None:
        self._segment(event.cid, event.ch, event.seg).end = event

    def _deliver(self, event: ev.Deliver) -> None:
        self.delivered += 1
        segment = self._segments.get((event.cid, event.ch, event.seg))
        if segment is None:
            segment = self._segment(event.cid, event.ch, event.seg)
        if event.epoch != segment.epoch:
            segment.strays.append(event)
            return
        segment.offsets.append(event.offset)
        segment.mids.append(self.numbers.number(event.mid))
        segment.times.append(event.t)
        segment.crcs.append(event.crc)
        conns = segment.client.conns
        if conns:
            conn = segment.client.connection(event.node) if event.node else conns[-1]
            if conn is not None:
                conn.last = event
                if conn.first is None:
                    conn.first = event

    def _end(self, event: ev.End) -> None:
        self._process.is_complete = True
