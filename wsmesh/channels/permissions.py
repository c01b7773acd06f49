"""What a client may do in a channel, and how its subscription works. Pure.

The order of the decisions is that of Centrifugo's "Channel permission model". Every `may_*` returns
None, or the error to answer the command with.
"""

from __future__ import annotations

from attrs import frozen

from wsmesh.channels.namespaces import ChannelKind
from wsmesh.errors import ReplyError
from wsmesh.protocol import codes
from wsmesh.protocol.messages import SubscribeRequest
from wsmesh.security.claims import NO_OVERRIDE, Override, SubscriptionClaims


@frozen(slots=True, kw_only=True)
class Mode:
    """How a subscription works.

    :param positioned: the client is told its position, and losses are noticed.
    :param recoverable: missed publications are brought on request; implies `positioned`.
    :param cache: recovery brings the latest publication alone.
    :param presence: the client is listed in the channel's presence.
    :param emits_join_leave: others are told that the client joins and leaves.
    :param receives_join_leave: the client is told that others do.
    """

    positioned: bool
    recoverable: bool
    cache: bool
    presence: bool
    emits_join_leave: bool
    receives_join_leave: bool


def may_subscribe(
    kind: ChannelKind,
    user: str,
    client: str,
    claims: SubscriptionClaims | None,
    *,
    hook_granted: bool | None = None,
) -> ReplyError | None:
    """Decide on a subscription that the client asked for.

    :param user: "" is the anonymous user.
    :param claims: of the subscription token, already verified; None: the client has none. With a
        token nothing else counts: it must be for this channel, user and client.
    :param hook_granted: what the subscribe hook said; None: there is none. It is not heard for
        private and user-limited channels.
    """
    if claims is not None:
        fits = (
            claims.channel == kind.channel
            and claims.user == user
            and claims.client in ("", client)
        )
        return None if fits else codes.permission_denied()
    if kind.is_private:
        return codes.permission_denied()
    options = kind.options
    if kind.users is not None:
        allowed = user in kind.users
    elif hook_granted is not None:
        allowed = hook_granted
    else:
        allowed = options.allow_subscribe_for_client and (
            user != "" or options.allow_subscribe_for_anonymous
        )
    return None if allowed else codes.permission_denied()


def may_publish(
    kind: ChannelKind, user: str, is_subscribed: bool, *, hook_granted: bool | None = None
) -> ReplyError | None:
    """Decide on a publication.

    :param is_subscribed: the connection is subscribed to the channel.
    :param hook_granted: what the publish hook said, which then decides alone; None: there is none.
    """
    if hook_granted is not None:
        return None if hook_granted else codes.permission_denied()
    options = kind.options
    # Spelled out: it is asked with every publication.
    opened = options.allow_publish_for_client or (
        is_subscribed and options.allow_publish_for_subscriber
    )
    allowed = opened and (user != "" or options.allow_publish_for_anonymous)
    return None if allowed else codes.permission_denied()


def may_read_history(kind: ChannelKind, user: str, is_subscribed: bool) -> ReplyError | None:
    """Decide on reading the stream; 108 when the channel keeps none, whoever asks."""
    if not kind.retention.keeps_history:
        return codes.not_available()
    options = kind.options
    return _decide(
        user,
        is_subscribed,
        for_client=options.allow_history_for_client,
        for_subscriber=options.allow_history_for_subscriber,
        for_anonymous=options.allow_history_for_anonymous,
    )


def may_read_presence(kind: ChannelKind, user: str, is_subscribed: bool) -> ReplyError | None:
    """Decide on presence and its statistics; 108 when the channel keeps none, whoever asks."""
    if not kind.options.presence:
        return codes.not_available()
    return may_watch(kind, user, is_subscribed)


def may_watch(kind: ChannelKind, user: str, is_subscribed: bool) -> ReplyError | None:
    """Decide on learning who comes and goes; like presence, which the channel need not keep."""
    options = kind.options
    return _decide(
        user,
        is_subscribed,
        for_client=options.allow_presence_for_client,
        for_subscriber=options.allow_presence_for_subscriber,
        for_anonymous=options.allow_presence_for_anonymous,
    )


def wants_recovery(
    kind: ChannelKind,
    request: SubscribeRequest,
    override: Override = NO_OVERRIDE,
    *,
    may_read_history: bool,
) -> bool:
    """Whether missed publications can be recovered: forced, or asked for and allowed."""
    options = kind.options
    forced = _chosen(override.force_recovery, options.force_recovery)
    asked = request.recoverable and (options.allow_recovery or may_read_history)
    return kind.retention.keeps_history and (forced or asked)


def wants_positioning(
    kind: ChannelKind,
    request: SubscribeRequest,
    override: Override = NO_OVERRIDE,
    *,
    may_read_history: bool,
) -> bool:
    """Whether the position is checked: forced, or asked for and allowed, or needed to recover."""
    options = kind.options
    forced = _chosen(override.force_positioning, options.force_positioning)
    asked = request.positioned and (options.allow_positioning or may_read_history)
    return kind.retention.keeps_history and (
        forced
        or asked
        or wants_recovery(kind, request, override, may_read_history=may_read_history)
    )


def wants_join_leave(
    kind: ChannelKind,
    request: SubscribeRequest,
    override: Override = NO_OVERRIDE,
    *,
    may_watch: bool,
) -> bool:
    """Whether the client is told of joins and leaves: forced, or asked for and allowed."""
    options = kind.options
    forced = _chosen(override.force_push_join_leave, options.force_push_join_leave)
    emitted = _chosen(override.join_leave, options.join_leave)
    return forced or (request.join_leave and emitted and may_watch)


def mode_of(
    kind: ChannelKind,
    request: SubscribeRequest,
    override: Override,
    *,
    may_read_history: bool,
    may_watch: bool = False,
) -> Mode:
    """Return how a subscription works that was granted.

    :param override: what the token says instead of the namespace's options.
    :param may_read_history: the client may, as a subscriber; then it may also ask for positioning
        and recovery.
    :param may_watch: the client may, as a subscriber; then it may also ask for joins and leaves.
    """
    options = kind.options
    recoverable = wants_recovery(kind, request, override, may_read_history=may_read_history)
    return Mode(
        positioned=wants_positioning(kind, request, override, may_read_history=may_read_history),
        recoverable=recoverable,
        cache=recoverable and options.force_recovery_mode == "cache",
        presence=_chosen(override.presence, options.presence),
        emits_join_leave=_chosen(override.join_leave, options.join_leave),
        receives_join_leave=wants_join_leave(kind, request, override, may_watch=may_watch),
    )


def _decide(
    user: str,
    is_subscribed: bool,
    *,
    for_client: bool,
    for_subscriber: bool,
    for_anonymous: bool,
) -> ReplyError | None:
    opened = for_client or (for_subscriber and is_subscribed)
    return None if opened and (user != "" or for_anonymous) else codes.permission_denied()


def _chosen(override: bool | None, option: bool) -> bool:
    return option if override is None else override
