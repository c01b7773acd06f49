"""The size of the cluster: `[scaling]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import attrs
from attrs import frozen

from wsmesh.config.faults import Fault
from wsmesh.config.values import Seconds, Secret, at_least, one_of, option, quoted, within

POLICIES = ("threshold_step", "target_tracking", "buffer")
PROVIDERS = ("", "local", "kubernetes", "webhook", "command", "dry_run")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ENTRY = re.compile(
    rf"({'|'.join(DAYS)})(?:-({'|'.join(DAYS)}))? ([01]\d|2[0-3]):([0-5]\d) (\d+)(?:-(\d+))?"
)
"""An entry of `schedule`: days, time, least nodes, most nodes."""


@attrs.frozen
class _Schedule:
    """Validator: entries such as "mon-fri 08:00 5-20"."""

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
        for entry in value:
            found = ENTRY.fullmatch(entry)
            if found is None or int(found[5]) < 1 or int(found[6] or found[5]) < int(found[5]):
                raise ValueError(f"expected {self.rule(None)}, found {quoted(entry)}")

    def rule(self, _: object) -> str:
        """Return what is allowed."""
        return 'entries such as "mon-fri 08:00 5-20": days, time (UTC), least and most nodes'


@frozen(kw_only=True)
class KubernetesSection:
    """`[scaling.kubernetes]`: a Deployment or StatefulSet whose replicas are set."""

    name: str = option("", "Name of the Deployment or StatefulSet whose pods the nodes are.")
    kind: str = option(
        "deployment", "What it is. Of a stateful set Kubernetes itself chooses who goes.",
        validator=one_of("deployment", "statefulset"),
    )
    namespace: str = option("", "Its namespace; empty: that of this pod's service account.")
    api: str = option("", "URL of the API server; empty: that of the cluster this pod runs in.")
    account: str = option(
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "Directory with the files token, ca.crt and namespace of a service account.",
    )


@frozen(kw_only=True)
class WebhookSection:
    """`[scaling.webhook]`: somebody is told over HTTP, as Agones tells (FleetAutoscaleReview)."""

    url: str = option("", "Where each wish is sent (POST, JSON).")
    token: Secret = option(Secret(), "Sent as Authorization: Bearer.")


@frozen(kw_only=True)
class ScalingSection:
    """`[scaling]`: the size of the cluster."""

    provider: str = option(
        "", 'Who adds and removes nodes: "local" (the supervisor of `up`), "kubernetes", '
        '"webhook", "command", "dry_run" (logs only); empty: nobody decides.',
        validator=one_of(*PROVIDERS),
    )
    policy: str = option(
        "threshold_step", 'How the size follows the load: "threshold_step", "target_tracking", '
        '"buffer".', validator=one_of(*POLICIES), reloadable=True,
    )
    scale_up_threshold: float = option(
        0.8, "Cluster load above which a node is added.", validator=within(0.01, 1.0),
        reloadable=True,
    )
    scale_down_threshold: float = option(
        0.3, "Cluster load below which a node is removed.", validator=within(0.0, 0.99),
        reloadable=True,
    )
    step: int = option(1, "Nodes added or removed at a time.", validator=at_least(1),
                       reloadable=True)
    target: float = option(
        0.6, "Load that target_tracking aims at.", validator=within(0.01, 1.0), reloadable=True
    )
    tolerance: float = option(
        0.1, "Share of the target by which the load may differ from it.",
        validator=within(0.0, 1.0), reloadable=True,
    )
    buffer: float = option(
        0.2, "What the policy buffer keeps free: connections, or below 1 a share of all.",
        validator=at_least(0.0), reloadable=True,
    )
    min_nodes: int = option(1, "Never fewer nodes.", validator=at_least(1), reloadable=True)
    max_nodes: int = option(10, "Never more nodes.", validator=at_least(1), reloadable=True)
    schedule: tuple[str, ...] = option(
        (), 'Other bounds from a time on, until the next entry: "mon-fri 08:00 5-20" (UTC).',
        validator=_Schedule(), reloadable=True,
    )
    headroom_nodes: int = option(
        0, "Nodes that may be lost at once without the others getting above limit.",
        validator=at_least(0), reloadable=True,
    )
    limit: float = option(
        1.0, "Load that is allowed after such a loss.", validator=within(0.1, 1.0),
        reloadable=True,
    )
    margin: float = option(
        0.1, "How far below scale_up_threshold the load must stay after a node was removed.",
        validator=within(0.0, 1.0), reloadable=True,
    )
    interval: Seconds = option(
        Seconds(5.0), "Time from one decision to the next.", validator=at_least(0.1),
        reloadable=True,
    )
    up_window: Seconds = option(
        Seconds(0.0), "So long must all decisions want more nodes before one is added.",
        validator=at_least(0.0), reloadable=True,
    )
    down_window: Seconds = option(
        Seconds(300.0), "So long must all decisions want fewer nodes before one is removed.",
        validator=at_least(0.0), reloadable=True,
    )
    boot_timeout: Seconds = option(
        Seconds(120.0), "How long a node that was asked for counts as one that comes.",
        validator=at_least(1.0), reloadable=True,
    )
    max_draining: int = option(
        1, "Nodes that drain at the same time, at most.", validator=at_least(1), reloadable=True
    )
    timeout: Seconds = option(
        Seconds(30.0), "How long a provider may take.", validator=at_least(0.1), reloadable=True
    )
    socket: str = option("", "Unix socket of the supervisor; `up` sets it for its nodes.")
    command: tuple[str, ...] = option(
        (), "Program and arguments of the provider command; it gets JSON on standard input."
    )
    kubernetes: KubernetesSection = option(KubernetesSection, "A scaled workload.")
    webhook: WebhookSection = option(WebhookSection, "Somebody else.")


def scaling_faults(scaling: ScalingSection) -> Iterator[Fault]:
    """Yield what is wrong with options that are each right by themselves."""
    if scaling.scale_down_threshold >= scaling.scale_up_threshold:
        yield Fault(
            "scaling.scale_down_threshold",
            f"expected less than scaling.scale_up_threshold, {scaling.scale_up_threshold:g}, "
            f"found {scaling.scale_down_threshold:g}",
            ("scaling.scale_up_threshold",),
        )
    if scaling.min_nodes > scaling.max_nodes:
        yield Fault(
            "scaling.min_nodes",
            f"expected at most scaling.max_nodes, {scaling.max_nodes}, found {scaling.min_nodes}",
            ("scaling.max_nodes",),
        )
    needed = {
        "kubernetes": ("kubernetes.name", scaling.kubernetes.name, "the name of the Deployment"),
        "webhook": ("webhook.url", scaling.webhook.url, "an http:// or https:// URL"),
        "command": ("command", scaling.command, "a program and its arguments"),
    }
    if scaling.provider in needed:
        name, value, what = needed[scaling.provider]
        if not value:
            yield Fault(
                f"scaling.{name}",
                f"expected {what}, because scaling.provider is {quoted(scaling.provider)}",
                ("scaling.provider",),
            )
