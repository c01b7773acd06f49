"""The sections of `wsmesh.toml` as frozen values; these classes generate the reference file.

A section holds facts, never sockets or loggers, and is handed on whole (`Limits`, not `Config`)
to the part of the node that it concerns.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from wsmesh.config.affinity import AffinitySection
from wsmesh.config.balancing import BalancerSection
from wsmesh.config.channels import ChannelSection
from wsmesh.config.client import (
    ClientSection,
    PersonalChannelSection,
    SubscriptionTokenSection,
    TokenSection,
)
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.gateway import GatewaySection
from wsmesh.config.limits import BatchSection, CompressionSection, LimitsSection, ProxySection
from wsmesh.config.rebalance import RebalanceSection
from wsmesh.config.redis import RedisSection
from wsmesh.config.scaling import ScalingSection
from wsmesh.config.supervisor import SupervisorSection
from wsmesh.config.values import (
    NodeURL,
    Seconds,
    Secret,
    Table,
    at_least,
    one_of,
    option,
)

__all__ = [
    "AppSection",
    "BalancerSection",
    "BatchSection",
    "ChannelSection",
    "ClientSection",
    "ClusterSection",
    "CompressionSection",
    "Config",
    "EndpointsSection",
    "FailoverSection",
    "GatewaySection",
    "HTTPAPISection",
    "HealthSection",
    "LimitsSection",
    "Listener",
    "LogSection",
    "NodeSection",
    "PersonalChannelSection",
    "PrometheusSection",
    "ProxySection",
    "RedisSection",
    "ScalingSection",
    "SubscriptionTokenSection",
    "SupervisorSection",
    "TLSSection",
    "TokenSection",
]


@frozen(kw_only=True)
class NodeSection:
    """`[node]`: this process and its place in the cluster."""

    name: str = option("", "Name shown to operators; empty: host name and process id.")
    release: str = option(
        "", "Name of the release this node is of, for `cluster weigh` and `promote`; empty: the "
        "version of wsmesh."
    )
    url: str = option(
        "", "ws://HOST:PORT under which clients reach this very node, told to those that another "
        "node sends here; empty: they come through the gateway, which knows by their ticket.",
        validator=NodeURL(),
    )
    max_connections: int = option(
        10_000, "Clients this node accepts; further ones get 503.", validator=at_least(1)
    )
    heartbeat_interval: Seconds = option(
        Seconds(5.0), "How often the node renews its lease.", validator=at_least(0.1)
    )
    node_timeout: Seconds = option(
        Seconds(15.0), "Lease lifetime: a silent node is given up.", validator=at_least(0.3)
    )
    shutdown_timeout: Seconds = option(
        Seconds(30.0), "Longest graceful stop after SIGTERM.", validator=at_least(0),
        reloadable=True,
    )
    control: str = option(
        "",
        "Path of a Unix socket on which the node reports how it is and takes clients that a "
        "gateway on this host hands over; empty: none. Whoever may open it may do so.",
    )
    dev: bool = option(
        False,
        "Development mode (--dev): anonymous clients, every channel with history, presence and "
        "recovery, HTTP API without key. Loopback addresses only.",
    )


@frozen(kw_only=True)
class Listener:
    """`[[listeners]]`: one address to accept connections on."""

    address: str = option(
        "127.0.0.1:8000", 'HOST:PORT, "[::1]:8000" for IPv6, or "unix:/path/to.sock".'
    )
    tls: bool = option(False, "Speak TLS here, with the certificate of [tls].")
    proxy_protocol: str = option(
        "off",
        'PROXY protocol v1/v2 before the first byte: "off" or "required"; never guessed.',
        validator=one_of("off", "required"),
    )
    reuse_port: bool = option(False, "Set SO_REUSEPORT, so that several processes may listen.")
    backlog: int = option(4096, "Connections the kernel queues for us.", validator=at_least(1))


@frozen(kw_only=True)
class TLSSection:
    """`[tls]`: certificate for listeners with `tls = true`; read again when it changes."""

    certificate: str = option("", "PEM file with the certificate chain.")
    key: str = option("", "PEM file with the private key.")
    minimum_version: str = option("1.2", "Oldest version spoken.", validator=one_of("1.2", "1.3"))
    reload_interval: Seconds = option(
        Seconds(10.0), "How often the files are checked for changes.", validator=at_least(0.05)
    )


@frozen(kw_only=True)
class FailoverSection:
    """`[failover]`: where clients of a lost node go."""

    strategy: str = option("redispatch", "Name of a strategy (entry points wsmesh.failover).")
    options: Table = option(Table({}), "Options of that strategy, each in docs/failover.md.")
    leave_rate: float = option(
        1000.0, "Clients per second that a node which drains sends away; more where "
        "node.shutdown_timeout would be over before.", validator=at_least(1.0), reloadable=True,
    )
    accept_rate: float = option(
        500.0, "Clients per second that are sent to one node.", validator=at_least(1.0),
        reloadable=True,
    )


@frozen(kw_only=True)
class HTTPAPISection:
    """`[http_api]`: Centrifugo's server API on /api."""

    enabled: bool = option(True, "Serve /api.", reloadable=True)
    key: Secret = option(
        Secret(), "What X-API-Key must hold; without a key the API answers 401.", reloadable=True
    )
    insecure: bool = option(False, "Ask for no key. Only with dev mode.")
    error_mode: str = option(
        "default",
        'How a call tells its error: "default" with 200 and an error object, "transport" with the '
        "HTTP status that fits; the header X-Centrifugo-Error-Mode asks for it once.",
        validator=one_of("default", "transport"), reloadable=True,
    )


@frozen(kw_only=True)
class HealthSection:
    """`[health]`: /health/live, /health/ready and /health/accepting."""

    enabled: bool = option(True, "Serve the health endpoints.")


@frozen(kw_only=True)
class AgentCheckSection:
    """`[agent_check]`: how the node is, for HAProxy."""

    address: str = option(
        "", "HOST:PORT where HAProxy's agent-check is answered: weight by health, drain, maint, "
        "maxconn. Empty: nowhere. Anybody who can connect is answered.",
    )


@frozen(kw_only=True)
class PrometheusSection:
    """`[prometheus]`: /metrics."""

    enabled: bool = option(True, "Serve /metrics.")
    public: bool = option(
        False, "Serve it to any address; otherwise only to loopback and trusted proxies' hosts."
    )


@frozen(kw_only=True)
class EndpointsSection:
    """`[endpoints]`: WebSocket endpoints besides /connection/websocket."""

    uni_websocket: bool = option(False, "Serve /connection/uni_websocket.")
    raw_websocket: bool = option(False, "Serve /connection/raw?channel=NAME.")


@frozen(kw_only=True)
class AppSection:
    """`[app]`: application hooks in Python."""

    module: str = option("", 'Where the App object is: "package.module:app".')
    timeout: Seconds = option(
        Seconds(5.0), "How long a hook may take; then its command fails.", validator=at_least(0.01)
    )


@frozen(kw_only=True)
class LogSection:
    """`[log]`: structured logs."""

    level: str = option(
        "info", "Least severe line written.",
        validator=one_of("debug", "info", "warning", "error"), reloadable=True,
    )
    format: str = option(
        "auto", 'Form of a line: "json", "console", or "auto" (console on a terminal).',
        validator=one_of("auto", "json", "console"),
    )
    file: str = option("", "File to append to; empty: standard error.")
    sentry_dsn: Secret = option(
        Secret(), "Where lines of level error are sent, too: a DSN of Sentry; needs "
        "wsmesh[sentry]. Only the event, the exception and the node go there.",
    )
    sentry_environment: str = option("", "What Sentry shows as environment.")
    queue_lines: int = option(
        10_000, "Lines that may wait for a slow sink; further ones are dropped and counted.",
        validator=at_least(1),
    )


@frozen(kw_only=True)
class Config:
    """Everything a node can be told."""

    node: NodeSection = option(NodeSection, "This process.")
    listeners: tuple[Listener, ...] = option((Listener(),), "Addresses to accept on.")
    tls: TLSSection = option(TLSSection, "Certificate.")
    proxy: ProxySection = option(ProxySection, "Load balancers in front.", reloadable=True)
    client: ClientSection = option(ClientSection, "Clients.")
    channel: ChannelSection = option(ChannelSection, "Channels.")
    limits: LimitsSection = option(LimitsSection, "Bounds.", reloadable=True)
    batch: BatchSection = option(BatchSection, "Batching.")
    compression: CompressionSection = option(CompressionSection, "Compression.")
    balancer: BalancerSection = option(BalancerSection, "Placement.", reloadable=True)
    affinity: AffinitySection = option(AffinitySection, "Keys of clients.", reloadable=True)
    failover: FailoverSection = option(FailoverSection, "Failover.")
    gateway: GatewaySection = option(GatewaySection, "One address for all nodes.")
    supervisor: SupervisorSection = option(SupervisorSection, "Processes of this host.")
    rebalance: Any = option(
        RebalanceSection, "Evening out.", kind=RebalanceSection, reloadable=True
    )
    scaling: ScalingSection = option(ScalingSection, "Scaling.")
    redis: RedisSection = option(RedisSection, "The store of a cluster.")
    cluster: ClusterSection = option(ClusterSection, "Links between nodes.")
    http_api: HTTPAPISection = option(HTTPAPISection, "Server API.")
    health: HealthSection = option(HealthSection, "Health checks.", reloadable=True)
    agent_check: AgentCheckSection = option(AgentCheckSection, "For HAProxy.")
    prometheus: PrometheusSection = option(PrometheusSection, "Metrics.", reloadable=True)
    endpoints: EndpointsSection = option(EndpointsSection, "Further endpoints.", reloadable=True)
    app: AppSection = option(AppSection, "Application hooks.")
    log: LogSection = option(LogSection, "Logs.")
