"""Opens a client: its connection task lives exactly as long as the context."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from ssl import SSLContext

import trio
from msgspec import UNSET

from wsmesh.client import advice
from wsmesh.client.advice import Ending
from wsmesh.client.backoff import Backoff, Uniform
from wsmesh.client.buffer import Buffer
from wsmesh.client.client import Client
from wsmesh.client.codec import to_raw
from wsmesh.client.core import Core
from wsmesh.client.dial import dial_with
from wsmesh.client.errors import Disconnected
from wsmesh.client.events import ClientEvent
from wsmesh.client.inbox import Messages, ServerPublications
from wsmesh.client.options import Deadlines, Dial, Options
from wsmesh.client.placement import LARGEST, Placement
from wsmesh.client.supervise import keep_connected
from wsmesh.client.urls import split
from wsmesh.fetching import Fetcher


def _ignore(event: ClientEvent) -> None:
    """Observe nothing."""


@asynccontextmanager
async def open_client(
    url: str,
    *,
    token: str = "",
    get_token: Callable[[], Awaitable[str]] | None = None,
    data: object = UNSET,
    name: str = "wsmesh",
    version: str = "",
    headers: Mapping[str, str] | None = None,
    backoff: Backoff | None = None,
    deadlines: Deadlines | None = None,
    buffer: int = 1000,
    max_message_size: int = 8 * 1024 * 1024,
    resume: bool = True,
    placement_key: str | None = None,
    tls: SSLContext | None = None,
    observe: Callable[[ClientEvent], None] = _ignore,
    uniform: Uniform | None = None,
    dial: Dial | None = None,
) -> AsyncGenerator[Client]:
    """Keep a client connected for the length of the context.

    The context is entered at once; requests and subscriptions wait for the connection. A lost
    connection comes back by itself. When the server says that coming back would not help, all that
    waits on the client raises `Disconnected`, the body is cancelled, and the context raises it too.

    :param url: `ws://host[:port]/connection/websocket`, or `wss:`.
    :param token: connection token; `get_token` fetches one when it is missing or expired, and
        raises `Unauthorized` when the user may not connect any more.
    :param data: sent with every `connect`, anything with a JSON form.
    :param headers: HTTP headers of the upgrade request.
    :param buffer: publications held for each reader that is busy.
    :param max_message_size: bytes in one frame; more ends the client with 1009.
    :param resume: continue the session after a lost connection: every subscription and what it
        missed come back with the reply to `connect`, in one round trip. Without it, or when the
        server does not know the session any more, each is subscribed again.
    :param placement_key: `url` is a gateway's, which is asked (GET /placement) on which node this
        key belongs; the client connects there itself, to the next in order when that fails, and
        to the gateway when none is left. Nodes must be reachable from the client.
    :param observe: told, synchronously, how the connection fares.
    :param uniform: the jitter's source, e.g. `random.Random(7).uniform`.
    :param dial: opens the byte stream, for tests and proxies.
    :raises Disconnected: the server does not want this client back.
    :raises ValueError: the URL is not a WebSocket URL.
    """
    split(url)
    options = Options(
        get_token=get_token,
        data=to_raw(data),
        name=name,
        version=version,
        headers=headers or {},
        backoff=backoff or Backoff(),
        deadlines=deadlines or Deadlines(),
        buffer=buffer,
        max_message_size=max_message_size,
        resume=resume,
        uniform=uniform or random.Random().uniform,
        dial=dial or dial_with(tls),
        placement=None if placement_key is None else Placement(
            url, placement_key, Fetcher(largest=LARGEST, tls=tls)
        ),
        observe=observe,
    )
    core = Core(
        options=options,
        url=url,
        token=token,
        server_events=Buffer(newest=buffer),
        messages=Buffer(newest=buffer),
    )
    client = Client(core, ServerPublications(core.server_events), Messages(core.messages))
    with _one_fault():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_run, core)
            try:
                yield client
                await _say_goodbye(core)
            finally:
                core.finish(Ending(advice.CLOSED_BY_USER, "the client was closed"))
            nursery.cancel_scope.cancel()


async def _run(core: Core) -> None:
    ending = await keep_connected(core)
    if not core.is_closing:
        core.finish(ending)
        raise Disconnected(ending.code, ending.reason)


async def _say_goodbye(core: Core) -> None:
    core.is_closing = True
    if (link := core.link) is not None:
        link.farewell.set()
        await link.ended.wait()


@contextmanager
def _one_fault() -> Generator[None]:
    """Raise the body's fault as it is, where the nursery would wrap it.

    The connection task raises nothing but `Disconnected`, and then the body may have met it too.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        faults = group.exceptions
        if len(faults) == 1:
            raise faults[0] from faults[0].__cause__
        if all(isinstance(fault, Disconnected) for fault in faults):
            raise faults[-1] from faults[-1].__cause__
        raise
