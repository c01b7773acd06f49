"""Channel kinds for the tests of permissions."""

from __future__ import annotations

from typing import Any

from wsmesh.channels.namespaces import ChannelKind, Namespaces
from wsmesh.config.channels import ChannelOptions, ChannelSection, Namespace
from wsmesh.config.values import Seconds

HISTORY: dict[str, Any] = {"history_size": 10, "history_ttl": Seconds(60.0)}


def kind_of(channel: str = "news", /, **options: Any) -> ChannelKind:
    """Resolve a channel where every namespace, `ns` and none, has these options."""
    section = ChannelSection(
        without_namespace=ChannelOptions(**options), namespaces=(Namespace(name="ns", **options),)
    )
    return Namespaces(section).resolve(channel)
