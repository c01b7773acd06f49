"""Publishers that note what became of each message: over HTTP with retries, or as a client."""

from __future__ import annotations

import random
import zlib
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Any

import httpx2
import trio
from attrs import define, field, frozen

from tests.history import events as ev
from tests.history.recorder import Recorder
from wsmesh.client import Client, Disconnected, NotConnected, OutcomeUnknown, RequestTimeout
from wsmesh.errors import ReplyError

#: A pause between attempts, seconds.
_PAUSE = 0.05


@frozen
class Accepted:
    """The server has it; `epoch` is "" when the answer does not tell the position."""

    epoch: str = ""
    offset: int = 0
    durability: str = "memory"


class Refused(Exception):
    """The server will not have it, now or later."""


class Unsent(Exception):
    """It never reached a server."""


class Unknown(Exception):
    """It may have been applied. `may_repeat`: another attempt would not apply it twice."""

    def __init__(self, why: str, *, may_repeat: bool) -> None:
        super().__init__(why)
        self.may_repeat = may_repeat


#: Makes one attempt: (channel, payload, key); raises one of the three above.
Attempt = Callable[[str, dict[str, str], str], Awaitable[Accepted]]


@define(eq=False, kw_only=True)
class Publisher:
    """Publishes to its channels in turn, one message after the other.

    :param rate: messages a second; one that is late delays the next, there are no bursts.
    :param give_up_after: seconds after which a message that nobody acknowledged is left unknown.
    """

    name: str
    channels: Sequence[str]
    recorder: Recorder
    attempt: Attempt
    has_keys: bool
    rate: float
    body_bytes: int = 64
    give_up_after: float = 20.0
    count: int = 0
    acknowledged: int = 0
    _rng: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = random.Random(self.name)

    async def run(self, stop: trio.Event) -> None:
        """Publish until told to stop; the message on its way is brought to its end."""
        due = trio.current_time()
        for channel in cycle(self.channels):
            if stop.is_set():
                return
            await self.publish(channel)
            due = max(due + 1 / self.rate, trio.current_time())
            with trio.move_on_at(due):
                await stop.wait()

    async def publish(self, channel: str) -> None:
        """Publish one message, and note how it went."""
        self.count += 1
        mid = f"{self.name}-{self.count}"
        body = self._rng.randbytes(self.body_bytes // 2).hex()
        key = mid if self.has_keys else ""
        self.recorder.note(ev.PubInvoke(
            mid=mid, ch=channel, crc=zlib.crc32(body.encode()), key=key
        ))
        is_unknown = False
        until = trio.current_time() + self.give_up_after
        while trio.current_time() < until:
            try:
                accepted = await self.attempt(channel, {"mid": mid, "body": body}, key)
            except Unsent:
                pass
            except Unknown as fault:
                is_unknown = True
                self.recorder.note(ev.PubInfo(mid=mid, ch=channel))
                if not fault.may_repeat:
                    return
            except Refused:
                break
            else:
                self.acknowledged += 1
                self.recorder.note(ev.PubOk(
                    mid=mid, ch=channel, epoch=accepted.epoch, offset=accepted.offset,
                    durability=accepted.durability,
                ))
                return
            await trio.sleep(_PAUSE)
        if not is_unknown:
            self.recorder.note(ev.PubFail(mid=mid, ch=channel))


@define(eq=False)
class ServerApi:
    """The HTTP API of some nodes; a node that does not answer makes the next one's turn.

    :param urls: `http://host:port` of each.
    """

    http: httpx2.AsyncClient
    urls: Sequence[str]
    key: str
    turn: int = 0

    async def publish(self, channel: str, payload: dict[str, str], key: str) -> Accepted:
        """Make an attempt to publish with an idempotency key."""
        result = await self.call(
            "publish", {"channel": channel, "data": payload, "idempotency_key": key}
        )
        return Accepted(
            epoch=str(result.get("epoch", "")), offset=int(result.get("offset", 0)),
            durability=str(result.get("durability", "memory")),
        )

    async def history(
        self, channel: str, limit: int = -1
    ) -> tuple[str, int, list[tuple[int, object]]]:
        """Return epoch, top, and (offset, payload) of what the channel retains, -1: of all."""
        result = await self.call("history", {"channel": channel, "limit": limit})
        kept = [(each["offset"], each["data"]) for each in result.get("publications", ())]
        return result.get("epoch", ""), result.get("offset", 0), kept

    async def call(self, method: str, body: dict[str, object]) -> Any:
        """Call a method of the API once."""
        url = f"{self.urls[self.turn % len(self.urls)]}/api/{method}"
        try:
            answer = await self.http.post(url, json=body, headers={"X-API-Key": self.key})
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as fault:
            self.turn += 1
            raise Unsent(str(fault)) from fault
        except httpx2.TransportError as fault:
            self.turn += 1
            raise Unknown(repr(fault), may_repeat=True) from fault
        return self._result(answer)

    def _result(self, answer: httpx2.Response) -> Any:
        if answer.status_code == 401:
            raise AssertionError("the API key of the load is not the nodes'")
        if answer.status_code >= 500:
            self.turn += 1
            raise Unknown(f"status {answer.status_code}", may_repeat=True)
        reply = answer.json()
        if (error := reply.get("error")) is None:
            return reply.get("result", {})
        if error["code"] == 100 or error.get("temporary"):
            self.turn += 1
            raise Unknown(error["message"], may_repeat=True)
        raise Refused(error["message"])


@define(eq=False)
class ProtocolPublisher:
    """Publishes over a client's connection: no key, no position in the answer."""

    client: Client

    async def publish(self, channel: str, payload: dict[str, str], key: str) -> Accepted:
        """Make the only attempt."""
        try:
            await self.client.publish(channel, payload)
        except NotConnected as fault:
            raise Unsent(str(fault)) from fault
        except (OutcomeUnknown, RequestTimeout, Disconnected) as fault:
            raise Unknown(str(fault), may_repeat=False) from fault
        except ReplyError as fault:
            if fault.code == 100 or fault.temporary:
                raise Unknown(str(fault), may_repeat=False) from fault
            raise Refused(str(fault)) from fault
        return Accepted()
