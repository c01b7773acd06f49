"""Checks across options: channels and their namespaces."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

from wsmesh.config.channels import ChannelOptions, ChannelSection
from wsmesh.config.faults import Fault, did_you_mean
from wsmesh.config.sections import Config
from wsmesh.config.values import quoted

_NAMESPACE = re.compile(r"[-a-zA-Z0-9_.]+")
_MARKS = ("namespace_boundary", "private_prefix", "user_boundary", "user_separator")
_NEEDS_HISTORY = ("force_recovery", "allow_recovery", "force_positioning", "allow_positioning")


def channel_faults(config: Config) -> Iterator[Fault]:
    """Yield what is wrong with the naming of channels and with each set of options."""
    channel = config.channel
    yield from _mark_faults(channel)
    yield from _name_faults(channel)
    yield from _option_faults("channel.without_namespace", channel.without_namespace)
    for position, namespace in enumerate(channel.namespaces):
        yield from _option_faults(f"channel.namespaces[{position}]", namespace)
    yield from _personal_channel_faults(config)
    yield from _durability_faults(config)


def _durability_faults(config: Config) -> Iterator[Fault]:
    channel = config.channel
    places: list[tuple[str, ChannelOptions]] = [
        ("channel.without_namespace", channel.without_namespace)
    ]
    places += [(f"channel.namespaces[{at}]", each) for at, each in enumerate(channel.namespaces)]
    for path, options in places:
        if options.durability == "memory":
            continue
        found = quoted(options.durability)
        if not config.redis.url:
            yield Fault(
                f"{path}.durability", f'expected "memory" without redis.url, found {found}',
                ("redis.url",),
            )
        elif not (options.history_size and options.history_ttl):
            yield Fault(
                f"{path}.durability",
                f'expected "memory" without history_size and history_ttl, found {found}',
                (f"{path}.history_size",),
            )


def _mark_faults(channel: ChannelSection) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name in _MARKS:
        mark = getattr(channel, name)
        if not mark or re.search(r"[-a-zA-Z0-9_.\s]", mark):
            yield Fault(f"channel.{name}",
                        "expected punctuation that no namespace's name contains, "
                        f"found {quoted(mark)}")
        elif mark in seen:
            yield Fault(f"channel.{name}",
                        f"expected another mark than channel.{seen[mark]}, found {quoted(mark)}",
                        (f"channel.{seen[mark]}",))
        seen.setdefault(mark, name)


def _name_faults(channel: ChannelSection) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for position, namespace in enumerate(channel.namespaces):
        path = f"channel.namespaces[{position}].name"
        if not _NAMESPACE.fullmatch(namespace.name):
            yield Fault(path, "expected a name of letters, digits, '-', '_' and '.', "
                              f"found {quoted(namespace.name)}")
        elif namespace.name in seen:
            first = f"channel.namespaces[{seen[namespace.name]}]"
            yield Fault(path, f"expected a name of its own, found that of {first}: "
                              f"{quoted(namespace.name)}", (f"{first}.name",))
        seen.setdefault(namespace.name, position)


def _option_faults(at: str, options: ChannelOptions) -> Iterator[Fault]:
    size, ttl = f"{at}.history_size", f"{at}.history_ttl"
    keeps_history = options.history_size > 0 and options.history_ttl > 0
    if options.history_size > 0 and not options.history_ttl:
        yield Fault(ttl, f"expected a duration above 0, because {size} is set, found 0s", (size,))
    if options.history_ttl > 0 and not options.history_size:
        yield Fault(size, f"expected at least 1, because {ttl} is set, found 0", (ttl,))
    for name in _NEEDS_HISTORY:
        if getattr(options, name) and not keeps_history:
            yield Fault(f"{at}.{name}", "expected history_size and history_ttl beside it, "
                                        "found no history", (size, ttl))
        if getattr(options, name) and options.slow_consumer != "disconnect":
            yield Fault(f"{at}.slow_consumer",
                        f'expected "disconnect", because {name} is true and dropped publications '
                        f"would be gaps, found {quoted(options.slow_consumer)}", (f"{at}.{name}",))
    yield from _regex_faults(at, options)


def _regex_faults(at: str, options: ChannelOptions) -> Iterator[Fault]:
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(options.channel_regex)
    except (re.error, RecursionError, OverflowError) as exc:
        yield Fault(f"{at}.channel_regex",
                    f"expected a regular expression, found {quoted(options.channel_regex)}: {exc}")


def _personal_channel_faults(config: Config) -> Iterator[Fault]:
    wanted = config.client.subscribe_to_user_personal_channel.personal_channel_namespace
    known = [namespace.name for namespace in config.channel.namespaces]
    if wanted and wanted not in known:
        yield Fault(
            "client.subscribe_to_user_personal_channel.personal_channel_namespace",
            f"expected the name of a namespace, found {quoted(wanted)}"
            f"{did_you_mean(wanted, known)}",
            ("channel.namespaces",),
        )
