"""The demonstration's story: three clients, a killed connection, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import click
import trio
from attrs import define, field

from wsmesh.cli.relay import open_relay
from wsmesh.client import (
    Backoff,
    Client,
    ClientEvent,
    Connecting,
    Publication,
    Subscribed,
    Subscription,
    open_client,
)
from wsmesh.errors import WsmeshError

CHANNEL = "demo"
STEP_WITHIN = 10.0
QUICK = Backoff(minimum=0.1, maximum=0.3)
NAMES = ("anna", "boris", "chloe")


class StepFailed(WsmeshError):
    """A step of the story did not turn out as it should."""


@define(eq=False, kw_only=True)
class Listener:
    """One client of the story, and all that it hears."""

    name: str
    client: Client
    subscription: Subscription
    heard: list[Publication] = field(factory=list)
    told: int = 0
    outcomes: list[Subscribed] = field(factory=list)
    losses: list[Connecting] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    async def listen(self) -> None:
        """Note everything the subscription brings."""
        async with aclosing(self.subscription.events()) as events:
            async for event in events:
                if isinstance(event, Publication):
                    self.heard.append(event)
                elif isinstance(event, Subscribed):
                    self.outcomes.append(event)
                self.ring()

    def ring(self) -> None:
        """Wake who waits for this client."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what was heard.

        :raises StepFailed: it did not in time.
        """
        with trio.move_on_after(STEP_WITHIN):
            while not holds():
                await self._changed.wait()
        if not holds():
            raise StepFailed(f"{self.name} has waited {STEP_WITHIN:.0f} s: {what}")

    @property
    def offsets(self) -> list[int]:
        """The offsets of what was heard, in order."""
        return [publication.offset for publication in self.heard]


@asynccontextmanager
async def open_listener(name: str, url: str, losses: list[Connecting]) -> AsyncGenerator[Listener]:
    """A client that is subscribed and listens; its lost connections are noted in `losses`."""

    def observe(event: ClientEvent) -> None:
        if isinstance(event, Connecting):
            losses.append(event)
            for listener in opened:
                listener.ring()

    opened: list[Listener] = []
    async with (
        open_client(url, name=name, backoff=QUICK, observe=observe) as client,
        client.subscribe(CHANNEL, recover=True) as subscription,
        trio.open_nursery() as nursery,
    ):
        listener = Listener(name=name, client=client, subscription=subscription, losses=losses)
        opened.append(listener)
        nursery.start_soon(listener.listen)
        yield listener
        nursery.cancel_scope.cancel()


@define(eq=False)
class Teller:
    """Prints the story with the time since it began; each line says what really happened."""

    _began: float = field(factory=trio.current_time)

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        click.secho(f"\n{text}", bold=True)

    def say(self, who: str, what: str, *, colour: str = "cyan") -> None:
        """Tell one fact."""
        at = click.style(f"{trio.current_time() - self._began:7.3f} s", dim=True)
        click.echo(f"{at}  {click.style(f'{who:<7}', fg=colour)} {what}")


async def tell_story(port: int, teller: Teller) -> None:
    """Play the story against the node in dev mode at `port` of loopback.

    :raises StepFailed: something did not hold.
    """
    url = f"ws://127.0.0.1:{port}/connection/websocket"
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(open_relay(port))
        teller.heading("Three clients connect and subscribe")
        listeners = []
        for name in NAMES:
            way = url.replace(str(port), str(relay.port)) if name == NAMES[0] else url
            listener = await stack.enter_async_context(open_listener(name, way, []))
            listeners.append(listener)
            teller.say(name, f"connected as {listener.client.client_id}, subscribed to {CHANNEL!r}")
        anna, boris, chloe = listeners

        teller.heading("They talk, and a backend publishes through the HTTP API")
        await boris.client.publish(CHANNEL, {"text": "hello from boris"})
        await chloe.client.publish(CHANNEL, {"text": "hello from chloe"})
        api = f"http://127.0.0.1:{port}/api/publish"
        await trio.to_thread.run_sync(_post, api, {"text": "hello from a backend"})
        teller.say("backend", f"POST {api}", colour="yellow")
        await _all_heard(listeners, 3, teller)

        teller.heading("anna's TCP connection is killed, without a goodbye")
        before = len(anna.losses)
        relay.cut()
        await anna.wait("anna notices the loss", lambda: len(anna.losses) > before)
        loss = anna.losses[before]
        teller.say(anna.name, f"lost the connection ({loss.code}, {loss.reason})", colour="red")

        teller.heading("The others go on while she is away")
        for number in range(1, 6):
            await boris.client.publish(CHANNEL, {"text": f"missed message {number}"})
        await _all_heard([boris, chloe], 8, teller)
        if len(anna.heard) != 3:
            raise StepFailed(f"anna is away and has heard {len(anna.heard)} messages, not 3")
        refused = f"; turned away {relay.refused} time(s) meanwhile" if relay.refused else ""
        teller.say(anna.name, f"is still away{refused}", colour="red")

        teller.heading("Her network is back")
        mended = trio.current_time()
        relay.mend()
        await anna.wait("anna subscribes again", lambda: len(anna.outcomes) > 1)
        outcome = anna.outcomes[-1]
        if not (outcome.was_recovering and outcome.recovered):
            raise StepFailed(f"anna came back, and the node could not recover: {outcome}")
        await anna.wait("anna recovers what she missed", lambda: len(anna.heard) >= 8)
        took = trio.current_time() - mended
        anna.told = 8
        for publication in anna.heard[3:]:
            teller.say(anna.name, f"recovered #{publication.offset} {publication.data['text']!r}")
        teller.say(anna.name, f"has all she missed, {took * 1000:.0f} ms after it came back")

        await chloe.client.publish(CHANNEL, {"text": "welcome back"})
        await _all_heard(listeners, 9, teller)
        teller.heading("What everybody heard")
        for listener in listeners:
            if listener.offsets != list(range(1, 10)):
                raise StepFailed(f"{listener.name} has heard the offsets {listener.offsets}")
            teller.say(listener.name, "messages 1 to 9: none lost, none twice, all in order")


def _post(url: str, data: object) -> None:
    body = json.dumps({"channel": CHANNEL, "data": data}).encode()
    direct = build_opener(ProxyHandler({}))
    try:
        with direct.open(Request(url, body), timeout=STEP_WITHIN) as answer:
            text = answer.read().decode()
    except HTTPError as refused:
        with refused:
            raise StepFailed(f"the HTTP API answered {refused.code}") from None
    except OSError as error:
        raise StepFailed(f"the HTTP API did not answer: {error}") from error
    if "result" not in json.loads(text):
        raise StepFailed(f"the HTTP API answered {text[:200]}")


async def _all_heard(listeners: Sequence[Listener], count: int, teller: Teller) -> None:
    for listener in listeners:
        await listener.wait(
            f"{listener.name} hears message {count}",
            lambda listener=listener: len(listener.heard) >= count,  # type: ignore[misc]
        )
        told = listener.told
        listener.told = count
        for publication in listener.heard[told:count]:
            teller.say(listener.name, f"heard #{publication.offset} {publication.data['text']!r}")
