"""What is rendered is accepted by the programs it is for, whatever the configuration says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from balancers import KEYED, STRATEGIES
from tests.servers.balancers import haproxy_program, nginx_command
from tests.servers.certificates import make_authority
from wsmesh.config.addresses import TCPAddress
from wsmesh.config.balancing import BalancerSection, StickySection
from wsmesh.config.sections import AgentCheckSection, Config, Listener
from wsmesh.rendering.envoy import envoy
from wsmesh.rendering.haproxy import haproxy
from wsmesh.rendering.nginx import nginx
from wsmesh.rendering.upstream import Upstream

LISTEN = TCPAddress("127.0.0.1", 8080)
UPSTREAMS = [
    Upstream("node-1", TCPAddress("127.0.0.1", 8001)),
    Upstream("node-2", TCPAddress("::1", 8002), 0.5),
    Upstream("node-3", TCPAddress("127.0.0.1", 8003), 2.0),
]
AFFINITIES: dict[str, dict[str, Any]] = {
    "ip": {},
    "several": {"keys": ("claim:sub", "header:x-room", "cookie:room", "query:room", "ip")},
    "cookie": {"keys": (), "cookie": "where", "cookie_secure": "always"},
    "claim": {"keys": ("claim:sub",)},
    "hyphens": {"keys": ("query:my-room", "cookie:my.room", "query:x"), "cookie": "ws-node"},
}
every_strategy = pytest.mark.parametrize("strategy", sorted(STRATEGIES))
every_affinity = pytest.mark.parametrize("affinity", AFFINITIES)


def configured(strategy: str, affinity: str = "ip", **sections: Any) -> Config:
    config = Config()
    options = sections.pop("options", {})
    balancer = BalancerSection(strategy=strategy, options=options, **sections.pop("balancer", {}))
    return evolve(
        config, balancer=balancer, affinity=evolve(config.affinity, **AFFINITIES[affinity]),
        **sections,
    )


def checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "warning" not in (done.stderr + done.stdout).lower()


@every_strategy
@every_affinity
def test_haproxy_takes_it(tmp_path: Path, strategy: str, affinity: str) -> None:
    file = tmp_path / "haproxy.cfg"
    for sticky in (False, True):
        config = configured(
            strategy, affinity, balancer={"sticky": StickySection(enabled=sticky)},
            agent_check=AgentCheckSection(address="0.0.0.0:8404"),
        )
        file.write_text(haproxy(config, UPSTREAMS, LISTEN).text)
        checked([haproxy_program(), "-c", "-f", str(file)])


@every_strategy
@every_affinity
def test_nginx_takes_it(tmp_path: Path, strategy: str, affinity: str) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text(nginx(configured(strategy, affinity), UPSTREAMS, LISTEN).text)
    checked([*nginx_command(tmp_path, file), "-t"])


@pytest.mark.parametrize(
    "sections",
    [
        {"listeners": (Listener(proxy_protocol="required"),)},
        {"listeners": (Listener(tls=True),)},
    ],
)
def test_what_nodes_expect_is_sent(tmp_path: Path, sections: Mapping[str, Any]) -> None:
    config = configured("p2c", **sections)
    for name, rendered in (("haproxy", haproxy), ("nginx", nginx)):
        made = rendered(config, UPSTREAMS, LISTEN)
        file = tmp_path / name
        file.write_text(made.text)
        command = (
            [haproxy_program(), "-c", "-f", str(file)] if name == "haproxy"
            else [*nginx_command(tmp_path, file), "-t"]
        )
        checked(command)
    text = haproxy(config, UPSTREAMS, LISTEN).text
    is_tls = config.listeners[0].tls
    assert ("ssl verify none" in text) is is_tls
    assert ("send-proxy-v2" in text) is not is_tls
    assert (f"proxy_pass http{'s' if is_tls else ''}://" in nginx(config, UPSTREAMS, LISTEN).text)


def test_tls_ends_at_the_balancer_when_there_is_a_certificate(tmp_path: Path) -> None:
    pair = make_authority(tmp_path).server
    certificate, key = pair.certificate, pair.key
    config = Config()
    config = evolve(config, tls=evolve(config.tls, certificate=str(certificate), key=str(key)))
    both = tmp_path / "both.pem"
    both.write_text(certificate.read_text() + key.read_text())
    (tmp_path / "nginx").write_text(nginx(config, UPSTREAMS, LISTEN).text)
    checked([*nginx_command(tmp_path, tmp_path / "nginx"), "-t"])
    for_haproxy = evolve(config, tls=evolve(config.tls, certificate=str(both)))
    (tmp_path / "haproxy").write_text(haproxy(for_haproxy, UPSTREAMS, LISTEN).text)
    checked([haproxy_program(), "-c", "-f", str(tmp_path / "haproxy")])
    made = json.loads(envoy(config, UPSTREAMS, LISTEN).text)
    (chain,) = made["static_resources"]["listeners"][0]["filter_chains"]
    context = chain["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["tls_certificates"][0]["private_key"]["filename"] == str(key)


# Field names of Envoy's API v3, by the message that has them; there is no Debian package to ask.
BOOTSTRAP: dict[str, Any] = {
    "static_resources": {
        "listeners": [{
            "name": str,
            "address": {"socket_address": {"address": str, "port_value": int}},
            "filter_chains": [{"filters": [{"name": str, "typed_config": {
                "@type": str, "stat_prefix": str, "use_remote_address": bool,
                "upgrade_configs": [{"upgrade_type": str}],
                "request_headers_timeout": str, "stream_idle_timeout": str,
                "route_config": {"name": str, "virtual_hosts": [{
                    "name": str, "domains": [str], "routes": [{
                        "match": {"prefix": str},
                        "route": {
                            "cluster": str, "timeout": str,
                            "retry_policy": {
                                "retry_on": str, "retriable_status_codes": [int],
                                "num_retries": int, "host_selection_retry_max_attempts": str,
                                "retry_host_predicate": [
                                    {"name": str, "typed_config": {"@type": str}}
                                ],
                            },
                            "hash_policy": [{
                                "terminal": bool,
                                "header": {"header_name": str},
                                "cookie": {"name": str, "ttl": str, "path": str},
                                "query_parameter": {"name": str},
                                "connection_properties": {"source_ip": bool},
                            }],
                        },
                    }],
                }]},
                "http_filters": [{"name": str, "typed_config": {"@type": str}}],
            }}]}],
        }],
        "clusters": [{
            "name": str, "type": str, "connect_timeout": str, "lb_policy": str,
            "common_lb_config": {
                "healthy_panic_threshold": {"value": float},
                "consistent_hashing_lb_config": {"hash_balance_factor": int},
            },
            "circuit_breakers": {"thresholds": [{
                "max_connections": int, "max_pending_requests": int, "max_requests": int,
            }]},
            "health_checks": [{
                "timeout": str, "interval": str, "unhealthy_threshold": int,
                "healthy_threshold": int, "http_health_check": {"path": str},
                "tcp_health_check": {},
            }],
            "outlier_detection": {
                "consecutive_5xx": int, "base_ejection_time": str, "max_ejection_time": str,
                "max_ejection_percent": int,
            },
            "load_assignment": {"cluster_name": str, "endpoints": [{"lb_endpoints": [{
                "endpoint": {"address": {"socket_address": {"address": str, "port_value": int}}},
                "load_balancing_weight": int,
            }]}]},
            "least_request_lb_config": {"slow_start_config": {"slow_start_window": str}},
            "round_robin_lb_config": {"slow_start_config": {"slow_start_window": str}},
        }],
    }
}


def conforms(made: Any, to: Any, path: str = "") -> None:
    if isinstance(to, dict):
        assert isinstance(made, dict), path
        for name, value in made.items():
            assert name in to, f"{path}.{name}"
            conforms(value, to[name], f"{path}.{name}")
    elif isinstance(to, list):
        assert isinstance(made, list), path
        for each in made:
            conforms(each, to[0], f"{path}[]")
    else:
        assert isinstance(made, to), path


@every_strategy
@every_affinity
def test_envoy_knows_every_field(strategy: str, affinity: str) -> None:
    made = json.loads(envoy(configured(strategy, affinity), UPSTREAMS, LISTEN).text)
    conforms(made, BOOTSTRAP)
    (cluster,) = made["static_resources"]["clusters"]
    assert cluster["lb_policy"] in {
        "LEAST_REQUEST", "RANDOM", "ROUND_ROBIN", "RING_HASH", "MAGLEV"
    }
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [each["load_balancing_weight"] for each in endpoints] == [50, 25, 100]


@every_strategy
@pytest.mark.parametrize("render", [haproxy, nginx, envoy])
def test_what_is_lost_is_said(render: Any, strategy: str) -> None:
    made = render(configured(strategy, "several"), UPSTREAMS, LISTEN)
    said = " ".join(made.lost)
    assert "every byte" in said
    if strategy in KEYED:
        assert "keys belong to other nodes" in said
        assert "claim:sub" in said
    if render is not envoy:  # JSON has no comments
        assert all(each in made.text for each in made.lost)


def test_the_bound_of_loads_is_kept() -> None:
    config = configured("bounded_load", options={"balance_factor": 1.5})
    assert "hash-balance-factor 150" in haproxy(config, UPSTREAMS, LISTEN).text
    assert '"hash_balance_factor": 150' in envoy(config, UPSTREAMS, LISTEN).text


def test_where_nodes_have_no_health_pages_none_is_asked_for(tmp_path: Path) -> None:
    config = evolve(Config(), health=evolve(Config().health, enabled=False))
    for render in (haproxy, nginx, envoy):
        made = render(config, UPSTREAMS, LISTEN)
        assert "/health/" not in made.text
        assert any("[health] enabled" in each for each in made.lost)
    conforms(json.loads(envoy(config, UPSTREAMS, LISTEN).text), BOOTSTRAP)
    (tmp_path / "haproxy.cfg").write_text(haproxy(config, UPSTREAMS, LISTEN).text)
    checked([haproxy_program(), "-c", "-f", str(tmp_path / "haproxy.cfg")])
