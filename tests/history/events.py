"""The log of a run: one event a line, JSON, one file for each process.

A line is an object with `e` (the kind), `t` (CLOCK_MONOTONIC, nanoseconds) and the fields below; a
field that has its default may be left out. `t` does not decrease within a file. The last line of
a file is `{"e":"end","t":...}`; a file without it was torn, and its process counts as killed. Any
program may write such files (in Node: `process.hrtime.bigint()` is the same clock).

Words used throughout:

* `mid`: a message, `<publisher>-<counter>`; the counter grows with each message of the publisher.
* `cid`: a client, that is one application's view of the channels, across its reconnections. A
  client that goes back to an older position on purpose takes a new `cid`. One file per client.
* `seg`: the number of a granted subscription, counted by the client for each channel.
* `crc`: CRC-32 of the UTF-8 bytes of `body`; the payload is `{"mid": "...", "body": "..."}`.
* `offset` 0 and `epoch` "": the channel has no history, or the position is not known.
"""

from __future__ import annotations

import msgspec


class PubInvoke(msgspec.Struct, tag_field="e", tag="pub_invoke", omit_defaults=True, gc=False):
    """A publisher is about to publish; once for each `mid`, whatever the number of attempts."""

    mid: str
    ch: str
    crc: int
    key: str = ""
    t: int = 0


class PubOk(msgspec.Struct, tag_field="e", tag="pub_ok", omit_defaults=True, gc=False):
    """It was acknowledged. `durability`: what was achieved, memory, replicated or fsync."""

    mid: str
    ch: str
    epoch: str = ""
    offset: int = 0
    durability: str = "memory"
    t: int = 0


class PubFail(msgspec.Struct, tag_field="e", tag="pub_fail", omit_defaults=True, gc=False):
    """It was definitely not applied, in no attempt."""

    mid: str
    ch: str
    t: int = 0


class PubInfo(msgspec.Struct, tag_field="e", tag="pub_info", omit_defaults=True, gc=False):
    """An attempt ended without a word; it may have been applied, or may yet be. A `pub_ok` of a
    later attempt may follow."""

    mid: str
    ch: str
    t: int = 0


class Sub(msgspec.Struct, tag_field="e", tag="sub", omit_defaults=True, gc=False):
    """A subscription was granted.

    `offset`: the stream's top in the reply. `since`, `since_epoch`: what the client asked to
    continue from; needed only where no earlier segment says it. `first`: the first retained offset,
    when the server told it.
    """

    cid: str
    ch: str
    seg: int
    epoch: str = ""
    offset: int = 0
    was_recovering: bool = False
    recovered: bool = False
    reason: str = ""
    since: int = -1
    since_epoch: str = ""
    first: int = -1
    t: int = 0


class Deliver(msgspec.Struct, tag_field="e", tag="deliver", omit_defaults=True, gc=False):
    """The application got a message. `node`: who delivered, when a client has two connections."""

    cid: str
    ch: str
    mid: str
    crc: int
    seg: int
    epoch: str = ""
    offset: int = 0
    node: str = ""
    t: int = 0


class EndSeg(msgspec.Struct, tag_field="e", tag="end_seg", omit_defaults=True, gc=False):
    """A subscription is over. `why`: lost (the client comes back), unsubscribed (by the server, for
    good), closed (by the client). What had been received before may be delivered after it."""

    cid: str
    ch: str
    seg: int
    why: str
    t: int = 0


class Conn(msgspec.Struct, tag_field="e", tag="conn", omit_defaults=True, gc=False):
    """A client is connected: to a node, as an owner generation of a session."""

    cid: str
    node: str
    session: str = ""
    gen: int = 0
    t: int = 0


class Close(msgspec.Struct, tag_field="e", tag="close", omit_defaults=True, gc=False):
    """A client's connection is over, as the client saw it. Code 0: closed by the client."""

    cid: str
    code: int
    reason: str = ""
    t: int = 0


class WireDup(msgspec.Struct, tag_field="e", tag="wire_dup", omit_defaults=True, gc=False):
    """A publication came once more and was kept from the application."""

    cid: str
    ch: str
    offset: int
    t: int = 0


class Nemesis(msgspec.Struct, tag_field="e", tag="nemesis", omit_defaults=True, gc=False):
    """A fault starts or heals. `outage`: nobody can be served meanwhile; `silent`: the clients of
    `target` (a node) get no sign of it and must find out by themselves."""

    op: str
    fault: str
    target: str = ""
    outage: bool = False
    silent: bool = False
    t: int = 0


class Final(msgspec.Struct, tag_field="e", tag="final", omit_defaults=True, gc=False):
    """All faults are healed, all is quiet: the stream ends here."""

    ch: str
    epoch: str
    top: int
    t: int = 0


class Stored(msgspec.Struct, tag_field="e", tag="stored", omit_defaults=True, gc=False):
    """A read of the channel's history showed this message at this place: the store kept it, also
    if nobody got it. Write them with the `final` of a channel."""

    ch: str
    epoch: str
    offset: int
    mid: str
    t: int = 0


class Move(msgspec.Struct, tag_field="e", tag="move", omit_defaults=True, gc=False):
    """A client was told to go to a node."""

    cid: str
    target: str
    t: int = 0


class Fenced(msgspec.Struct, tag_field="e", tag="fenced", omit_defaults=True, gc=False):
    """A node found that a later generation of a session has another owner."""

    session: str
    node: str
    gen: int = 0
    t: int = 0


class Allow(msgspec.Struct, tag_field="e", tag="allow", omit_defaults=True, gc=False):
    """A client may hear a channel from now on."""

    cid: str
    ch: str
    t: int = 0


class Revoke(msgspec.Struct, tag_field="e", tag="revoke", omit_defaults=True, gc=False):
    """A client may not hear a channel any more. `never`: it never could, so no grace is due."""

    cid: str
    ch: str
    never: bool = False
    t: int = 0


class Counters(msgspec.Struct, tag_field="e", tag="counters", omit_defaults=True, gc=False):
    """What a node counted in its whole life; written only if every node of the run can be asked.

    `delivered`: publications sent to clients, -1: not known. `closes`: disconnect code -> count.
    """

    node: str
    delivered: int = -1
    closes: dict[str, int] = {}
    t: int = 0


class End(msgspec.Struct, tag_field="e", tag="end", omit_defaults=True, gc=False):
    """The process wrote everything it saw."""

    t: int = 0


Event = (
    PubInvoke | PubOk | PubFail | PubInfo | Sub | Deliver | EndSeg | Conn | Close | WireDup
    | Nemesis | Final | Stored | Move | Fenced | Allow | Revoke | Counters | End
)

encoder = msgspec.json.Encoder()
decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def line_of(event: Event) -> str:
    """Return the event as it stands in a log."""
    return encoder.encode(event).decode()
