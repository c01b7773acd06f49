"""What a client can be told: deadlines, sizes, and how it identifies itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio
from attrs import field, frozen
from attrs.validators import ge, gt
from msgspec import UNSET, Raw, UnsetType

from wsmesh.client.backoff import Backoff, Uniform
from wsmesh.client.events import ClientEvent
from wsmesh.client.placement import Placement

#: Opens the byte stream (TLS included) that leads to a `ws:` or `wss:` URL; raises `OSError`.
Dial = Callable[[str], Awaitable[trio.abc.Stream]]


@frozen(kw_only=True)
class Deadlines:
    """All waits of a client, in seconds.

    :param connect: from opening the socket to the reply to `connect`, one attempt.
    :param request: until a request is answered, the wait for a connection included.
    :param ping: how late the server's ping may be before the connection counts as broken.
    :param write: until the kernel has taken a frame.
    :param token: until a token callback has returned.
    :param close: for saying goodbye.
    """

    connect: float = field(default=5.0, validator=gt(0))
    request: float = field(default=5.0, validator=gt(0))
    ping: float = field(default=10.0, validator=ge(0))
    write: float = field(default=5.0, validator=gt(0))
    token: float = field(default=10.0, validator=gt(0))
    close: float = field(default=1.0, validator=ge(0))


@frozen(kw_only=True)
class Options:
    """How one client behaves; built by `wsmesh.client.open_client`."""

    get_token: Callable[[], Awaitable[str]] | None
    data: Raw | UnsetType = UNSET
    name: str
    version: str
    headers: Mapping[str, str]
    backoff: Backoff
    deadlines: Deadlines
    buffer: int = field(validator=ge(1))
    max_message_size: int = field(validator=ge(1))
    resume: bool = True
    uniform: Uniform
    dial: Dial
    placement: Placement | None = None
    observe: Callable[[ClientEvent], None]
