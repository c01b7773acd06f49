"""Revocations that outlive a node, and reach one that was away: kept in the store, read again."""

from __future__ import annotations

import msgspec
import structlog
import trio

from wsmesh.errors import StoreUnavailable
from wsmesh.security.revocation import RevocationsFull
from wsmesh.session.carrying_out import LocalClients
from wsmesh.session.orders import RevokeToken, RevokeUser, UnknownOrder, decode_order
from wsmesh.store.users import UserStore

EVERY = 30.0
"""Seconds between readings; orders between nodes are faster, and may be missed."""

RETRY = 1.0

log = structlog.get_logger("wsmesh.revocations")


async def follow_revocations(store: UserStore, clients: LocalClients) -> None:
    """Apply what is revoked anywhere, also to live connections, until cancelled.

    While the store is away, what is known holds.
    """
    version, is_away = 0, False
    while True:
        try:
            found = await store.revocations(version)
        except StoreUnavailable as error:
            if not is_away:
                log.warning("revocations.store_away", error=str(error))
            is_away = True
            await trio.sleep(RETRY)
            continue
        is_away = False
        version = found.version
        for entry in found.entries:
            _apply(entry, clients)
        await trio.sleep(EVERY)


def _apply(entry: bytes, clients: LocalClients) -> None:
    try:
        order = decode_order(entry)
        if isinstance(order, (RevokeUser, RevokeToken)):
            clients.carry_out(order)
    except (UnknownOrder, msgspec.DecodeError, RevocationsFull, ValueError) as error:
        log.error("revocation.not_applied", error=str(error))
