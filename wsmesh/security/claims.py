"""What tokens say, once their signature holds: claims of connections and of subscriptions.

Claims are Centrifugo's (docs: authentication, channel_token_auth). Types are strict: "5" is no
time and 42 no user. JSON inside claims is checked, because it is embedded in frames for others.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from attrs import field, frozen
from msgspec import UNSET, Raw, UnsetType

from wsmesh.errors import TokenError
from wsmesh.security.payload import check_payload, compact

EMBEDDED_DEPTH = 32
EMBEDDED_KEYS = 4096


@frozen(slots=True, kw_only=True)
class Override:
    """Channel options that a token sets for one subscription; None leaves the namespace's."""

    presence: bool | None = None
    join_leave: bool | None = None
    force_recovery: bool | None = None
    force_positioning: bool | None = None
    force_push_join_leave: bool | None = None


NO_OVERRIDE = Override()


@frozen(slots=True, kw_only=True)
class SubscribeOptions:
    """How a connection token subscribes its client to one channel."""

    info: bytes | None = None
    data: bytes | None = None
    override: Override = NO_OVERRIDE


@frozen(slots=True, kw_only=True)
class ConnectionClaims:
    """Who connects, and until when.

    :param user: "" is the anonymous user.
    :param expire_at: Unix time at which the connection must be refreshed, None: never.
    :param info: JSON shown to others in presence, joins and publications.
    :param meta: JSON that only the server sees.
    :param channels: server-side subscriptions without options.
    :param subs: server-side subscriptions with options.
    """

    user: str
    expire_at: float | None = None
    info: bytes | None = None
    meta: bytes | None = None
    channels: tuple[str, ...] = ()
    subs: Mapping[str, SubscribeOptions] = field(factory=dict)
    jti: str = ""
    iss: str = ""
    issued_at: float | None = None


@frozen(slots=True, kw_only=True)
class SubscriptionClaims:
    """Who may subscribe to which channel, and until when.

    :param client: the only client id that may use the token; "": any of the user's.
    :param expire_at: Unix time at which the subscription must be refreshed, None: never.
    """

    user: str
    channel: str
    client: str = ""
    info: bytes | None = None
    expire_at: float | None = None
    override: Override = NO_OVERRIDE
    jti: str = ""
    iss: str = ""
    issued_at: float | None = None


class _Bool(msgspec.Struct, gc=False):
    value: bool


class _Override(msgspec.Struct, gc=False):
    presence: _Bool | None = None
    join_leave: _Bool | None = None
    force_recovery: _Bool | None = None
    force_positioning: _Bool | None = None
    force_push_join_leave: _Bool | None = None


class _Sub(msgspec.Struct):
    info: Raw | UnsetType = UNSET
    b64info: str = ""
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    override: _Override | None = None


class RegisteredClaims(msgspec.Struct):
    """Claims that both kinds of tokens have, as they were signed."""

    sub: Any = UNSET
    exp: float | UnsetType = UNSET
    nbf: float | UnsetType = UNSET
    iat: float | UnsetType = UNSET
    aud: str | list[str] | UnsetType = UNSET
    iss: str = ""
    jti: str = ""
    expire_at: float | None = None
    info: Raw | UnsetType = UNSET
    b64info: str = ""


class ConnectionToken(RegisteredClaims):
    """Claims of a connection token, as they were signed."""

    meta: Raw | UnsetType = UNSET
    channels: list[str] | None = None
    subs: dict[str, _Sub] | None = None
    channel: Any = UNSET


class SubscriptionToken(RegisteredClaims):
    """Claims of a subscription token, as they were signed."""

    channel: str = ""
    client: str = ""
    override: _Override | None = None


_Token = TypeVar("_Token", ConnectionToken, SubscriptionToken)

_connection_decoder = msgspec.json.Decoder(ConnectionToken)
_subscription_decoder = msgspec.json.Decoder(SubscriptionToken)
_members_decoder = msgspec.json.Decoder(dict[str, Raw])
_text_decoder = msgspec.json.Decoder(str)


def _read(decode: Callable[[bytes], _Token], payload: bytes) -> _Token:
    try:
        return decode(payload)
    except msgspec.ValidationError as exc:
        raise TokenError(f"token claims: {exc}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenError("token claims are not JSON") from None


def read_connection(payload: bytes) -> ConnectionToken:
    """Parse the verified payload of a connection token.

    :raises TokenError: not a JSON object, or a claim of the wrong type.
    """
    return _read(_connection_decoder.decode, payload)


def read_subscription(payload: bytes) -> SubscriptionToken:
    """Parse the verified payload of a subscription token; raises like `read_connection`."""
    return _read(_subscription_decoder.decode, payload)


def user_of(claims: RegisteredClaims, payload: bytes, user_claim: str) -> str:
    """Give the user that a token names by the claim `user_claim`; absent: "", anonymous.

    :raises TokenError: the claim is not a string.
    """
    user = claims.sub
    if user_claim != "sub":
        try:
            raw = _members_decoder.decode(payload).get(user_claim)
            user = UNSET if raw is None else _text_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            user = None
    if user is UNSET:
        return ""
    if not isinstance(user, str):
        raise TokenError(f"token claims: {user_claim} must be a string")
    return user


def connection_claims(claims: ConnectionToken, user: str) -> ConnectionClaims:
    """Give the claims of a connection token.

    :raises TokenError: embedded JSON or base64 is broken, or it names a channel as only
        subscription tokens do.
    """
    if isinstance(claims.channel, str) and claims.channel:
        raise TokenError("token is a subscription token")
    subs = {
        channel: SubscribeOptions(
            info=_embedded("info", sub.info, sub.b64info),
            data=_embedded("data", sub.data, sub.b64data),
            override=_override(sub.override),
        )
        for channel, sub in (claims.subs or {}).items()
    }
    return ConnectionClaims(
        user=user,
        expire_at=_expire_at(claims),
        info=_embedded("info", claims.info, claims.b64info),
        meta=_embedded("meta", claims.meta, ""),
        channels=tuple(claims.channels or ()),
        subs=subs,
        jti=claims.jti,
        iss=claims.iss,
        issued_at=None if claims.iat is UNSET else claims.iat,
    )


def subscription_claims(claims: SubscriptionToken, user: str) -> SubscriptionClaims:
    """Give the claims of a subscription token.

    :raises TokenError: no channel is named, or embedded JSON or base64 is broken.
    """
    if not claims.channel:
        raise TokenError("token claims: a subscription token must name its channel")
    return SubscriptionClaims(
        user=user,
        channel=claims.channel,
        client=claims.client,
        info=_embedded("info", claims.info, claims.b64info),
        expire_at=_expire_at(claims),
        override=_override(claims.override),
        jti=claims.jti,
        iss=claims.iss,
        issued_at=None if claims.iat is UNSET else claims.iat,
    )


def _expire_at(claims: RegisteredClaims) -> float | None:
    """`expire_at` stands in for `exp`; 0 means never (Centrifugo: authentication, expire_at)."""
    if claims.expire_at is not None:
        return claims.expire_at or None
    return None if claims.exp is UNSET else claims.exp


def _embedded(claim: str, raw: Raw | UnsetType, encoded: str) -> bytes | None:
    if encoded:
        try:
            text = b64decode(encoded, validate=True)
        except ValueError:
            raise TokenError(f"token claims: b64{claim} is not base64") from None
    elif raw is UNSET:
        return None
    else:
        text = bytes(raw)
    if text == b"null":
        return None
    fault = check_payload(text, EMBEDDED_DEPTH, EMBEDDED_KEYS)
    if fault is not None:
        raise TokenError(f"token claims: {claim}: {fault}")
    return compact(text) if b"\n" in text or b"\r" in text else text


def _override(raw: _Override | None) -> Override:
    if raw is None:
        return NO_OVERRIDE
    return Override(
        presence=_flag(raw.presence),
        join_leave=_flag(raw.join_leave),
        force_recovery=_flag(raw.force_recovery),
        force_positioning=_flag(raw.force_positioning),
        force_push_join_leave=_flag(raw.force_push_join_leave),
    )


def _flag(raw: _Bool | None) -> bool | None:
    return None if raw is None else raw.value
