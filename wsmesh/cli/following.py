"""Follows one channel and prints what comes; the waiting half of `subscribe`."""

from __future__ import annotations

from contextlib import aclosing

import click
import msgspec

from wsmesh.client import (
    Connected,
    Connecting,
    Publication,
    Subscribed,
    Subscription,
    Unsubscribed,
    open_client,
)
from wsmesh.client.events import ClientEvent, SubscriptionEvent
from wsmesh.errors import ReplyError


async def follow(
    url: str, channel: str, *, token: str, subscription_token: str, data: bytes | None,
    count: int | None, offsets: bool,
) -> None:
    """Print the channel's publications; returns after `count` of them, None: never.

    :raises click.ClickException: the server refused the subscription or ended it.
    :raises WsmeshError: there is no connection, or the server does not want this client.
    """
    sent_with_connect = msgspec.UNSET if data is None else msgspec.Raw(data)
    try:
        async with (
            open_client(url, token=token, data=sent_with_connect, observe=_tell) as client,
            client.subscribe(channel, recover=True, token=subscription_token) as subscription,
        ):
            await _print_publications(subscription, count, offsets=offsets)
    except ReplyError as refused:
        raise click.ClickException(
            f"the node refused {channel!r}: {refused.message} (error {refused.code})"
        ) from None


async def _print_publications(
    subscription: Subscription, count: int | None, *, offsets: bool
) -> None:
    left = count
    async with aclosing(subscription.events()) as events:
        async for event in events:
            if isinstance(event, Publication):
                click.echo(line_of(event, offsets=offsets))
                if left is not None:
                    left -= 1
                    if left == 0:
                        return
            else:
                _tell_of(event)
    if subscription.ended is not None:
        ended = subscription.ended
        raise click.ClickException(f"unsubscribed: {ended.reason} (code {ended.code})")


def line_of(publication: Publication, *, offsets: bool) -> str:
    """Return a publication as one line: its JSON without line breaks, its offset before it."""
    text = msgspec.json.format(publication.raw, indent=-1).decode("utf-8", "replace")
    return f"{publication.offset}\t{text}" if offsets else text


def _tell(event: ClientEvent) -> None:
    match event:
        case Connected(client=client, url=url):
            click.echo(f"# connected to {url} as {client}", err=True)
        case Connecting(code=code, reason=reason, delay=delay):
            click.echo(f"# no connection: {reason} ({code}); next try in {delay:.1f}s", err=True)


def _tell_of(event: SubscriptionEvent) -> None:
    match event:
        case Subscribed() if event.is_gap:
            click.echo("# subscribed again; publications may be missing here", err=True)
        case Subscribed(channel=channel):
            again = "" if event.is_first else " again, nothing was missed"
            click.echo(f"# subscribed to {channel}{again}", err=True)
        case Unsubscribed(code=code, reason=reason):
            click.echo(f"# unsubscribed: {reason} ({code})", err=True)
