"""What a channel's name says: its namespace, options, retention, and who may subscribe. Pure.

Names, Centrifugo's (its "Channels and namespaces" document), with the default marks:

* `rest` has the options of `[channel.without_namespace]`, `ns:rest` those of the namespace `ns`;
* `$ns:rest` is private, and still belongs to `ns`;
* `ns:rest#alice,bob` is limited to these users, where the namespace honours that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec
from attrs import frozen

from wsmesh.config.channels import ChannelOptions, ChannelSection
from wsmesh.protocol import codes
from wsmesh.store.interface import PublishOptions, Retention

RESERVED = re.compile(r"[*&]")
"""Characters that no channel may have, kept for later use."""

CACHED = 1024
"""Channels whose resolution is remembered, the latest used. Subscriptions keep theirs themselves;
a large cache would pin the pages of clients that have left (docs/decisions/memory.md)."""


class ChannelKind(msgspec.Struct, frozen=True, gc=False):
    """What holds for one channel; nodes hold one for each subscription, so it is small.

    :param namespace: "" without one.
    :param is_private: only a subscription token opens it.
    :param users: the only users that may subscribe without a token; None: it is not user-limited.
    :param stored: how a plain publication of the channel is stored.
    """

    channel: str
    options: ChannelOptions
    namespace: str
    is_private: bool
    users: tuple[str, ...] | None
    retention: Retention
    stored: PublishOptions


@frozen(slots=True)
class _Rules:
    options: ChannelOptions
    retention: Retention
    stored: PublishOptions
    rest: re.Pattern[str] | None


class Namespaces:
    """Resolves channels by `[channel]`.

    :ivar resolve: channel -> `ChannelKind`; one look-up in a bounded cache for a channel that was
        seen lately. Raises `ReplyError` 102 for a namespace that is not configured, 107 for a name
        that breaks the rules: printable ASCII, `max_length`, `RESERVED`, `channel_regex`.
    :ivar forget: empties that cache.
    """

    def __init__(self, section: ChannelSection) -> None:
        self._section = section
        self._without = _rules(section, section.without_namespace)
        self._named = {space.name: _rules(section, space) for space in section.namespaces}
        # An instance attribute and not a method, so that a hit costs no Python call.
        remembered = lru_cache(CACHED)(self._resolve)
        self.resolve: Callable[[str], ChannelKind] = remembered
        self.forget: Callable[[], None] = remembered.cache_clear

    def personal_channel(self, user: str, namespace: str = "") -> str:
        """Return the name of a user's own channel, in a namespace or none (`personal_channel`)."""
        section = self._section
        return personal_channel(
            user,
            namespace,
            namespace_boundary=section.namespace_boundary,
            user_boundary=section.user_boundary,
            user_separator=section.user_separator,
        )

    def _resolve(self, channel: str) -> ChannelKind:
        section = self._section
        self._check(channel)
        is_private = channel.startswith(section.private_prefix)
        named = channel[len(section.private_prefix) :] if is_private else channel
        namespace, boundary, rest = named.partition(section.namespace_boundary)
        if boundary:
            rules = self._named.get(namespace)
            if rules is None:
                raise codes.unknown_channel()
        else:
            namespace, rest, rules = "", channel, self._without
        if rules.rest is not None and rules.rest.search(rest) is None:
            raise codes.bad_request("channel name not allowed in its namespace")
        users = self._users(channel) if rules.options.allow_user_limited_channels else None
        return ChannelKind(
            channel, rules.options, namespace, is_private, users, rules.retention, rules.stored
        )

    def _check(self, channel: str) -> None:
        longest = self._section.max_length
        if not 1 <= len(channel) <= longest:
            raise codes.bad_request(f"channel name must have 1 to {longest} characters")
        if not (channel.isascii() and channel.isprintable()):
            raise codes.bad_request("channel name must be printable ASCII")
        if RESERVED.search(channel):
            raise codes.bad_request("channel name must not contain * or &")

    def _users(self, channel: str) -> tuple[str, ...] | None:
        _, boundary, users = channel.rpartition(self._section.user_boundary)
        if not boundary:
            return None
        # The anonymous user is "", and no name of a channel may mean it.
        return tuple(user for user in users.split(self._section.user_separator) if user)


def personal_channel(
    user: str,
    namespace: str = "",
    *,
    namespace_boundary: str = ":",
    user_boundary: str = "#",
    user_separator: str = ",",
) -> str:
    """Return the name of a user's own channel: `#user`, or `namespace:#user`.

    :raises ReplyError: 107, the user's id contains a mark, so that the channel would be open to
        other users too.
    """
    if not user or user_boundary in user or user_separator in user:
        raise codes.bad_request("user id cannot name a personal channel")
    prefix = namespace + namespace_boundary if namespace else ""
    return prefix + user_boundary + user


def _rules(section: ChannelSection, options: ChannelOptions) -> _Rules:
    retention = Retention(
        size=options.history_size,
        ttl=options.history_ttl,
        meta_ttl=options.history_meta_ttl or section.history_meta_ttl,
    )
    pattern = re.compile(options.channel_regex) if options.channel_regex else None
    stored = PublishOptions(retention=retention, durability=options.durability)
    return _Rules(options, retention, stored, pattern)
