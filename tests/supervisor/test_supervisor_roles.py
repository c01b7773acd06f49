"""What processes are started with."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from tests.supervisor.pretend_machine import a_cast
from wsmesh.config import environment
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.gateway import GatewaySection
from wsmesh.config.loading import load
from wsmesh.config.redis import RedisSection
from wsmesh.config.sections import Config, Listener, NodeSection
from wsmesh.errors import ConfigError
from wsmesh.supervisor.roles import Cast, Role


def config(**sections: object) -> Config:
    return evolve(Config(listeners=(Listener(address="127.0.0.1:8000"),)), **sections)


def addresses(role: Role) -> list[str]:
    return [each["address"] for each in json.loads(role.environment["WSMESH_LISTENERS"])]


def test_a_node_behind_a_gateway_listens_where_there_is_room_and_keeps_its_name():
    cast = a_cast(common=("--dev",), public=("--port", "1"), environment={"PATH": "/bin"})

    role = cast.node(2)

    assert role.words == ("wsmesh", "--dev")
    assert role.control == "/run/x/nodes/node-2.sock"
    assert addresses(role) == ["127.0.0.1:0"]
    assert role.environment["PATH"] == "/bin"
    assert role.environment["WSMESH_NODE_NAME"] == role.name == "node-2"
    assert not role.is_gateway
    assert role.core is None


def test_the_gateway_has_the_public_addresses_and_finds_the_nodes():
    role = a_cast(common=("--dev",), public=("--port", "1")).gateway((5, 6))

    assert role.words == ("wsmesh", "gateway", "--dev", "--port", "1")
    assert role.fds == (5, 6)
    assert json.loads(role.environment["WSMESH_GATEWAY_FDS"]) == [5, 6]
    assert role.environment["WSMESH_GATEWAY_CONTROL_DIR"] == "/run/x/nodes"
    assert not role.control.startswith("/run/x/nodes"), "it would take itself for a node"
    assert role.is_gateway


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_process_can_load_what_it_is_told(number):
    cast = a_cast(config=config(cluster=ClusterSection(address="127.0.0.1:7400")))
    role = cast.node(number) if number else cast.gateway((3,))

    loaded = load(None, role.environment, {}).config

    assert (loaded.node.control or loaded.gateway.control) == role.control
    assert loaded.redis.url == "embedded"
    assert loaded.log.format == "json"


def test_nodes_that_stand_alone_or_have_a_redis_get_no_other_one():
    assert "WSMESH_REDIS_URL" not in a_cast(shares_store=False).node(1).environment
    given = a_cast(config=config(redis=RedisSection(url="redis://localhost")))
    assert "WSMESH_REDIS_URL" not in given.node(1).environment


def test_names_and_fixed_ports_of_a_host_stay_apart():
    cast = a_cast(config=config(
        node=NodeSection(name="web"),
        cluster=ClusterSection(address="0.0.0.0:7400", advertise="10.0.0.5:7400"),
    ))

    assert [cast.node(n).name for n in (1, 2)] == ["web-1", "web-2"]
    told = cast.node(3).environment
    assert told["WSMESH_CLUSTER_ADDRESS"] == "0.0.0.0:7402"
    assert told["WSMESH_CLUSTER_ADVERTISE"] == "10.0.0.5:7402"
    kept = a_cast(config=config(cluster=ClusterSection(advertise="[::1]"))).node(3).environment
    assert kept["WSMESH_CLUSTER_ADDRESS"] == "127.0.0.1:0"
    assert "WSMESH_CLUSTER_ADVERTISE" not in kept


def test_a_node_has_a_certificate_when_tls_is_passed_to_it():
    listeners = (Listener(address="127.0.0.1:8443", tls=True),)
    passing = config(listeners=listeners, gateway=GatewaySection(tls="pass"))

    assert [each["tls"] for each in json.loads(
        a_cast(config=passing).node(1).environment["WSMESH_LISTENERS"]
    )] == [False, True]
    assert addresses(a_cast(config=config(listeners=listeners)).node(1)) == ["127.0.0.1:0"]


def without_gateway(*listeners: Listener) -> Cast:
    return a_cast(config=config(listeners=listeners), has_gateway=False)


def test_without_a_gateway_each_node_has_a_port_of_its_own():
    first, second = Listener(address="127.0.0.1:8000", backlog=7), Listener(address="[::1]:0")
    cast = without_gateway(first, second)

    assert addresses(cast.node(1)) == ["127.0.0.1:8000", "[::1]:0"]
    assert addresses(cast.node(3)) == ["127.0.0.1:8002", "[::1]:0"]
    assert json.loads(cast.node(3).environment["WSMESH_LISTENERS"])[0]["backlog"] == 7


def test_a_port_that_may_be_shared_is_shared():
    cast = without_gateway(Listener(address="127.0.0.1:8000", reuse_port=True))

    assert addresses(cast.node(3)) == ["127.0.0.1:8000"]


def test_what_cannot_be_split_is_a_fault():
    alone = without_gateway(Listener(address="unix:/run/a.sock"))
    assert addresses(alone.node(1)) == ["unix:/run/a.sock"]
    with pytest.raises(ConfigError, match="without a gateway"):
        alone.node(2)
    with pytest.raises(ConfigError, match="node 3 has no port"):
        without_gateway(Listener(address="127.0.0.1:65534")).node(3)


def test_nodes_take_turns_on_the_cores():
    cast = a_cast(cores=(4, 6))

    assert [cast.node(n).core for n in (1, 2, 3)] == [4, 6, 4]
    assert cast.gateway(()).core is None


def test_the_variables_exist():
    told = {**a_cast().node(1).environment, **a_cast().gateway((3,)).environment}

    assert {name for name in told if name.startswith("WSMESH_")} <= set(environment.variables())
