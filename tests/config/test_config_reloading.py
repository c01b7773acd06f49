"""What a running node takes over from a new configuration, and what waits for a restart."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.known import STRATEGIES
from wsmesh.config.channels import Namespace
from wsmesh.config.options import Option, dotted, options_of, value_at
from wsmesh.config.reloading import plan_reload
from wsmesh.config.sections import Config, Listener
from wsmesh.config.values import ByteSize, Seconds, Secret
from wsmesh.errors import ConfigError

OPTIONS = {dotted(option.path): option for option in options_of(Config)}

OTHER: dict[str, Any] = {
    "client.allowed_origins": ("https://a.example",),
    "client.token.hmac_secret_key": Secret("x" * 32),
    "client.channel_limit": 5,
    "client.ping_interval": Seconds(30.0),
    "client.presence_ttl": Seconds(90.0),
    "limits.message_rate": 5.0,
    "limits.http_body_size": ByteSize(100),
    "http_api.key": Secret("k" * 32),
    "http_api.error_mode": "transport",
    "channel.namespaces": (Namespace(name="chat"),),
    "channel.without_namespace.join_leave": True,
    "channel.private_prefix": "%",
    "proxy.trusted_proxies": ("10.0.0.0/8",),
    "node.max_connections": 5,
    "node.shutdown_timeout": Seconds(1.0),
    "listeners": (Listener(address="127.0.0.1:9"),),
    "log.level": "debug",
    "log.file": "node.log",
    "compression.enabled": True,
    "tls.reload_interval": Seconds(1.0),
}


def changed(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return `config` with another value at `path`."""
    name, *rest = path
    if rest:
        value = changed(getattr(config, name), tuple(rest), value)
    return attrs.evolve(config, **{name: value})


def with_values(**values: Any) -> Config:
    config = Config()
    for path, value in values.items():
        config = changed(config, OPTIONS[path].path, value)
    return config


@given(st.sets(st.sampled_from(sorted(OTHER))))
def test_each_change_is_applied_or_waits_for_a_restart(paths: set[str]) -> None:
    wanted = with_values(**{path: OTHER[path] for path in paths})

    plan = plan_reload(Config(), wanted, STRATEGIES)

    assert set(plan.applied) | set(plan.postponed) == paths
    assert not set(plan.applied) & set(plan.postponed)
    for path, option in OPTIONS.items():
        source = wanted if option.is_reloadable else Config()
        assert value_at(plan.config, option.path) == value_at(source, option.path), path
    again = plan_reload(plan.config, wanted, STRATEGIES)
    assert (again.applied, set(again.postponed)) == ((), set(plan.postponed))


def test_what_operators_rotate_needs_no_restart() -> None:
    assert all(
        OPTIONS[path].is_reloadable
        for path in (
            "log.level", "http_api.key", "client.allowed_origins", "client.token.hmac_secret_key",
            "client.token.jwks_public_endpoint", "client.subscription_token.rsa_public_key",
            "limits.accept_rate", "limits.send_queue_bytes", "channel.namespaces",
            "channel.without_namespace.presence", "proxy.trusted_proxies",
        )
    )


@pytest.mark.parametrize(
    "path",
    [
        # What clients were told when they connected, or what a channel's name means.
        "client.ping_interval", "client.pong_timeout", "channel.namespace_boundary",
        "channel.private_prefix", "channel.user_boundary", "channel.user_separator",
        # What would open doors, or is bound to sockets.
        "node.dev", "http_api.insecure", "listeners", "node.max_connections",
    ],
)
def test_what_live_clients_rest_on_needs_a_restart(path: str) -> None:
    assert not OPTIONS[path].is_reloadable


@pytest.mark.parametrize("running", [True, False])
def test_dev_mode_neither_begins_nor_ends_in_a_running_node(running: bool) -> None:
    one, other = with_values(**{"node.dev": running}), with_values(**{"node.dev": not running})
    with pytest.raises(ConfigError, match=r"node\.dev: cannot change"):
        plan_reload(one, other, STRATEGIES)


def test_a_change_must_fit_what_stays() -> None:
    running = with_values(**{"channel.private_prefix": "%"})
    namespaces = (Namespace(name="%chat"),)
    wanted = with_values(**{"channel.namespaces": namespaces})

    with pytest.raises(ConfigError, match="needs a restart"):
        plan_reload(running, wanted, STRATEGIES)


def test_a_section_makes_everything_in_it_reloadable() -> None:
    def below(section: str) -> list[Option]:
        return [option for path, option in OPTIONS.items() if path.startswith(f"{section}.")]

    for section in ("limits", "client.token", "channel.without_namespace", "endpoints"):
        assert below(section)
        assert all(option.is_reloadable for option in below(section))
