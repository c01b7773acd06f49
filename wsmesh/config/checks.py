"""Checks across options: what no single option can know. All of them are run, always."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from balancers import KEYED
from wsmesh.config.affinity import affinity_faults
from wsmesh.config.channel_checks import channel_faults
from wsmesh.config.cluster_checks import cluster_faults
from wsmesh.config.faults import Fault, did_you_mean
from wsmesh.config.key_checks import token_faults
from wsmesh.config.listener_checks import (
    api_faults,
    listener_faults,
    origin_faults,
    proxy_faults,
    tls_faults,
)
from wsmesh.config.rebalance import rebalance_faults
from wsmesh.config.redis_checks import redis_faults
from wsmesh.config.scaling import scaling_faults
from wsmesh.config.sections import Config
from wsmesh.config.strategies import Load, Strategies, built
from wsmesh.config.units import format_duration, format_size
from wsmesh.config.values import Table, quoted

_HOOK = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def check(config: Config, strategies: Strategies) -> list[Fault]:
    """Return everything that is wrong with options that are each right by themselves.

    :param strategies: the names that may be chosen.
    """
    return [
        *listener_faults(config),
        *tls_faults(config),
        *proxy_faults(config),
        *origin_faults(config),
        *api_faults(config),
        *token_faults(config),
        *channel_faults(config),
        *redis_faults(config),
        *cluster_faults(config.cluster),
        *_lease_faults(config),
        *_client_faults(config),
        *_limit_faults(config),
        *scaling_faults(config.scaling),
        *rebalance_faults(config.rebalance, config.balancer),
        *_strategy_faults(config, strategies),
        *affinity_faults(config.affinity, bool(config.client.token.jwks_public_endpoint)),
        *_app_faults(config),
    ]


def advise(config: Config) -> list[str]:
    """Return what works but should be looked at, one line each."""
    node, advice = config.node, []
    if node.node_timeout < 2 * node.heartbeat_interval:
        advice.append(
            f"node.node_timeout: {format_duration(node.node_timeout)} is less than twice "
            "node.heartbeat_interval, so one lost heartbeat ends the lease"
        )
    if not config.client.ping_interval:
        advice.append("client.ping_interval: 0s leaves connections open whose client is gone")
    balancer, affinity = config.balancer, config.affinity
    is_known = affinity.cookie or affinity.header
    if is_known and balancer.strategy not in KEYED and not balancer.sticky.enabled:
        advice.append(
            f"affinity: clients that are known again go anywhere with {balancer.strategy}: choose "
            "rendezvous or another strategy for keys, or set balancer.sticky.enabled"
        )
    return advice


def _lease_faults(config: Config) -> Iterator[Fault]:
    node = config.node
    if node.node_timeout <= node.heartbeat_interval:
        yield Fault(
            "node.node_timeout",
            "expected more than node.heartbeat_interval, at best three times "
            f"{format_duration(node.heartbeat_interval)}, found "
            f"{format_duration(node.node_timeout)}",
            ("node.heartbeat_interval",),
        )


def _client_faults(config: Config) -> Iterator[Fault]:
    client = config.client
    if client.ping_interval and client.pong_timeout >= client.ping_interval:
        yield Fault(
            "client.pong_timeout",
            f"expected less than client.ping_interval, {format_duration(client.ping_interval)}, "
            f"found {format_duration(client.pong_timeout)}",
            ("client.ping_interval",),
        )
    if client.presence_ttl <= client.presence_update_interval:
        yield Fault(
            "client.presence_ttl",
            "expected more than client.presence_update_interval, "
            f"{format_duration(client.presence_update_interval)}, "
            f"found {format_duration(client.presence_ttl)}",
            ("client.presence_update_interval",),
        )


def _limit_faults(config: Config) -> Iterator[Fault]:
    limits = config.limits
    for name in ("http_header_line", "http_path_length"):
        if getattr(limits, name) > limits.http_head_size:
            yield Fault(
                f"limits.{name}",
                f"expected at most limits.http_head_size, {format_size(limits.http_head_size)}, "
                f"found {format_size(getattr(limits, name))}",
                ("limits.http_head_size",),
            )
    if limits.send_queue_total < limits.send_queue_bytes:
        yield Fault(
            "limits.send_queue_total",
            f"expected at least limits.send_queue_bytes, {format_size(limits.send_queue_bytes)}, "
            f"found {format_size(limits.send_queue_total)}",
            ("limits.send_queue_bytes",),
        )


def _strategy_faults(config: Config, strategies: Strategies) -> Iterator[Fault]:
    balancer = config.balancer
    chosen: tuple[tuple[str, str, Table, Mapping[str, Load]], ...] = (
        ("balancer", balancer.strategy, balancer.options, strategies.balancers),
        ("failover", config.failover.strategy, config.failover.options, strategies.failovers),
    )
    if balancer.zone.enabled and not (balancer.zone.zone or config.cluster.zone):
        yield Fault(
            "balancer.zone.zone", "expected the name of a zone, because cluster.zone is empty",
            ("cluster.zone", "balancer.zone.enabled"),
        )
    for section, name, options, known in chosen:
        if name in known:
            yield from built(name, known[name], options, f"{section}.options")[1]
        else:
            yield Fault(
                f"{section}.strategy",
                f"expected one of {', '.join(sorted(known)) or 'none, nothing is installed'}, "
                f"found {quoted(name)}{did_you_mean(name, known)}",
            )


def _app_faults(config: Config) -> Iterator[Fault]:
    module = config.app.module
    if module and not _HOOK.fullmatch(module):
        yield Fault("app.module", f'expected "package.module:app", found {quoted(module)}')
