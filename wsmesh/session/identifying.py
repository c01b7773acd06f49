"""Who a client is, by its token and the connect hook."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from wsmesh.app import ConnectGrant
from wsmesh.errors import TokenError, TokenExpired
from wsmesh.protocol import codes
from wsmesh.security.claims import SubscribeOptions
from wsmesh.security.jwks import KeyNotHeld, KeysUnavailable
from wsmesh.session.publishing import checked_json
from wsmesh.session.session import Session


@frozen(kw_only=True)
class Identity:
    """Who a client is, by its token and the connect hook.

    :param expire_at: Unix time, 0 never.
    :param channels: server-side subscriptions.
    """

    user: str = ""
    info: bytes | None = None
    meta: bytes | None = None
    data: bytes | None = None
    expire_at: float = 0.0
    channels: Mapping[str, SubscribeOptions] = {}
    token_id: tuple[str, str] = ("", "")
    issued_at: float | None = None


def identify(session: Session, token: str) -> Identity | None:
    """Return who the token says the client is; None when nothing tells.

    :raises KeyNotHeld: the key of the token has to be fetched first.
    :raises ReplyError: 109, the token has expired.
    :raises Disconnect: 3500, the token is not valid.
    """
    services = session.services
    if not token:
        anonymous = services.client.allow_anonymous_connect_without_token
        return Identity() if anonymous else None
    now = services.wall()
    try:
        claims = services.authenticator.connection(token, now)
    except KeyNotHeld:
        raise
    except TokenExpired as error:
        raise codes.token_expired() from error
    except TokenError as error:
        raise codes.INVALID_TOKEN from error
    except KeysUnavailable as error:
        raise codes.internal() from error
    if services.revocations.is_revoked(claims.user, claims.jti, claims.iss, claims.issued_at, now):
        raise codes.INVALID_TOKEN
    return Identity(
        user=claims.user,
        info=claims.info,
        meta=claims.meta,
        expire_at=claims.expire_at or 0.0,
        channels={name: SubscribeOptions() for name in claims.channels} | dict(claims.subs),
        token_id=(claims.iss, claims.jti),
        issued_at=claims.issued_at,
    )


def with_grant(identity: Identity, grant: ConnectGrant) -> Identity:
    """Return who the client is after the connect hook has spoken.

    :raises ReplyError: the hook gave something that is not JSON.
    """
    named = {name: SubscribeOptions() for name in grant.channels}
    return evolve(
        identity,
        user=identity.user if grant.user is None else grant.user,
        info=identity.info if grant.info is None else checked_json(grant.info),
        meta=identity.meta if grant.meta is None else grant.meta,
        data=None if grant.data is None else checked_json(grant.data),
        expire_at=identity.expire_at if grant.expire_at is None else grant.expire_at,
        channels=dict(identity.channels) | named,
    )
