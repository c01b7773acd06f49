"""What a node does for its sessions from time to time."""

from __future__ import annotations

import structlog
import trio

from wsmesh.channels.hub import Hub
from wsmesh.errors import StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.session.registry import Registry
from wsmesh.session.services import Services
from wsmesh.session.session import Session

SLICE = 100
"""Sessions looked at before others get their turn."""

log = structlog.get_logger("wsmesh.housekeeping")


async def renew_presence(services: Services, registry: Registry[Session]) -> None:
    """Renew the presence of live clients, until cancelled."""
    client = services.client
    while True:
        await trio.sleep(client.presence_update_interval)
        for number, session in enumerate(registry):
            if number % SLICE == 0:
                await trio.lowlevel.checkpoint()
            for channel, subscription in tuple(session.subscriptions.items()):
                if not (subscription.is_live and subscription.has_presence):
                    continue
                try:
                    await services.store.add_presence(
                        channel, session.client, subscription.info, client.presence_ttl
                    )
                except StoreUnavailable as error:
                    log.warning("presence.not_renewed", error=str(error))
                    break
                if session.is_over:
                    await services.store.remove_presence(channel, session.client)


def resume_after_gap(hub: Hub, channel: str) -> None:
    """Publications of a channel were missed: whoever must not miss any subscribes again."""
    hub.break_joining(channel)
    for session in hub.owners(channel):
        if not isinstance(session, Session):
            continue
        subscription = session.subscriptions[channel]
        if not subscription.is_positioned:
            continue
        if subscription.is_server_side:
            session.end(codes.INSUFFICIENT_STATE)
        else:
            session.unsubscribe(channel, *codes.UNSUBSCRIBED_INSUFFICIENT_STATE)
