"""Options of channels: the default namespace and the named ones (Centrifugo's names)."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.values import Seconds, at_least, one_of, option


@frozen(kw_only=True)
class ChannelOptions:
    """What holds for every channel of a namespace."""

    presence: bool = option(False, "Keep a list of who is subscribed.")
    join_leave: bool = option(False, "Emit an event when a client subscribes or leaves.")
    force_push_join_leave: bool = option(
        False, "Send join and leave events to every subscriber, asked for or not."
    )
    history_size: int = option(
        0, "Publications kept per channel; 0 keeps none.", validator=at_least(0)
    )
    history_ttl: Seconds = option(
        Seconds(0), "How long a stream is kept after its last publication.", validator=at_least(0)
    )
    history_meta_ttl: Seconds = option(
        Seconds(0),
        "How long epoch and offset outlive the publications; 0 takes channel.history_meta_ttl.",
        validator=at_least(0),
    )
    durability: str = option(
        "memory",
        'What a publish waits for, with history and Redis: "memory" the master has it, '
        '"replicated" redis.min_replicas replicas have it too, "fsync" the master\'s disk has it. '
        "What cannot be had within redis.durability_timeout is stored all the same; the reply of "
        "the HTTP API says what was achieved.",
        validator=one_of("memory", "replicated", "fsync"),
    )
    force_positioning: bool = option(
        False, "Check every subscriber's position, so that a loss is noticed."
    )
    allow_positioning: bool = option(False, "Let clients ask for positioning.")
    force_recovery: bool = option(False, "Recover missed publications for every subscriber.")
    allow_recovery: bool = option(False, "Let clients ask for recovery.")
    force_recovery_mode: str = option(
        "stream",
        'What recovery brings: "stream" all missed publications, "cache" only the latest.',
        validator=one_of("stream", "cache"),
    )
    allow_subscribe_for_client: bool = option(False, "Any user may subscribe.")
    allow_subscribe_for_anonymous: bool = option(
        False, "Clients without a user may subscribe too (with allow_subscribe_for_client)."
    )
    allow_publish_for_client: bool = option(False, "Any user may publish.")
    allow_publish_for_subscriber: bool = option(False, "Subscribers may publish.")
    allow_publish_for_anonymous: bool = option(
        False, "Clients without a user may publish too (with one of the two above)."
    )
    allow_history_for_client: bool = option(False, "Any user may read history.")
    allow_history_for_subscriber: bool = option(False, "Subscribers may read history.")
    allow_history_for_anonymous: bool = option(
        False, "Clients without a user may read history too (with one of the two above)."
    )
    allow_presence_for_client: bool = option(False, "Any user may read presence.")
    allow_presence_for_subscriber: bool = option(False, "Subscribers may read presence.")
    allow_presence_for_anonymous: bool = option(
        False, "Clients without a user may read presence too (with one of the two above)."
    )
    allow_user_limited_channels: bool = option(
        False, "Honour user-limited channels such as dialog#alice,bob."
    )
    channel_regex: str = option(
        "", "What the name after the namespace must match (Python re, searched); empty: anything."
    )
    publication_data_format: str = option(
        "",
        'Validation of published data: "" valid JSON, "json_object" a JSON object.',
        validator=one_of("", "json", "json_object"),
    )
    slow_consumer: str = option(
        "disconnect",
        "When a client does not keep up: disconnect it (3008, it recovers), or for channels "
        'without recovery drop its queued publications of this channel: "drop_oldest", '
        '"keep_latest".',
        validator=one_of("disconnect", "drop_oldest", "keep_latest"),
    )


@frozen(kw_only=True)
class Namespace(ChannelOptions):
    """A named set of channel options; its channels are called `name:rest`."""

    name: str = option("", "What stands before the boundary in a channel's name.")


@frozen(kw_only=True)
class ChannelSection:
    """`[channel]`: names of channels and their namespaces."""

    max_length: int = option(
        255, "Longest channel name in characters.", validator=at_least(1),
        reloadable=True,
    )
    namespace_boundary: str = option(":", "Separates the namespace from the rest.")
    private_prefix: str = option("$", "Channels that begin so need a subscription token.")
    user_boundary: str = option("#", "Separates the users of a user-limited channel.")
    user_separator: str = option(",", "Stands between those users.")
    history_meta_ttl: Seconds = option(
        Seconds(2_592_000.0),
        "How long epoch and offset of a stream are kept (30 days).",
        validator=at_least(1), reloadable=True,
    )
    without_namespace: ChannelOptions = option(
        ChannelOptions, "Options of channels without a namespace.", reloadable=True
    )
    namespaces: tuple[Namespace, ...] = option((), "Named namespaces.", reloadable=True)
