"""What `--dev` changes: everybody may do everything, on this machine only."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import attrs

from wsmesh.config.channels import ChannelOptions
from wsmesh.config.sections import Config
from wsmesh.config.values import Seconds

HISTORY_SIZE = 100
HISTORY_TTL = Seconds(300.0)

WARNING = """\
************************************************************************
  DEVELOPMENT MODE: everybody who reaches this node may do everything.
  Anonymous clients, from pages of any origin, may read and publish in
  every channel; the HTTP API asks for no key. Loopback addresses only.
  Leave out --dev (node.dev) for anything that others can reach.
************************************************************************"""


def apply(config: Config, *, keep: Set[str] = frozenset()) -> Config:
    """Return `config` as dev mode wants it, without touching what the operator set.

    Whether its listeners are all on loopback is for `checks.check` to refuse.

    :param keep: dotted paths of the options that the operator set.
    """
    channel = config.channel
    return attrs.evolve(
        config,
        node=attrs.evolve(config.node, dev=True),
        client=_chosen(config.client, "client", keep, {
            "allow_anonymous_connect_without_token": True,
            "allowed_origins": ("*",),
        }),
        channel=attrs.evolve(
            channel,
            without_namespace=_open(channel.without_namespace, "channel.without_namespace", keep),
            namespaces=tuple(
                _open(namespace, f"channel.namespaces[{position}]", keep)
                for position, namespace in enumerate(channel.namespaces)
            ),
        ),
        http_api=_chosen(config.http_api, "http_api", keep, {"insecure": True}),
        endpoints=_chosen(config.endpoints, "endpoints", keep, {
            "uni_websocket": True, "raw_websocket": True,
        }),
    )


def _open(options: Any, at: str, keep: Set[str]) -> Any:
    """Return channel options with everything allowed and kept, as far as they go together."""
    wanted: dict[str, Any] = {"presence": True, "join_leave": True}
    drops = options.slow_consumer != "disconnect"
    if not keep & {f"{at}.history_size", f"{at}.history_ttl"}:
        wanted |= {"history_size": HISTORY_SIZE, "history_ttl": HISTORY_TTL}
        keeps_history = True
    else:
        keeps_history = options.history_size > 0 and options.history_ttl > 0
    positions = {"allow_recovery", "allow_positioning"}
    wanted |= {
        attribute.name: True
        for attribute in attrs.fields(ChannelOptions)
        if attribute.name.startswith("allow_") and attribute.name not in positions
    }
    if keeps_history and not drops:
        wanted |= {"force_recovery": True} | dict.fromkeys(sorted(positions), True)
    return _chosen(options, at, keep, wanted)


def _chosen(section: Any, at: str, keep: Set[str], wanted: dict[str, Any]) -> Any:
    return attrs.evolve(
        section,
        **{name: value for name, value in wanted.items() if f"{at}.{name}" not in keep},
    )
