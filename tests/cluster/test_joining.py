"""What `[cluster]` says becomes a socket, terms and TLS between nodes; or one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.cluster.test_membership import CLUSTER, NODE, member, until
from tests.servers.certificates import make_authority
from tests.servers.standalone import RedisServer
from wsmesh.cluster.joining import agree_on_terms, open_mesh_socket
from wsmesh.cluster.verdicts import StoreLoss
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.values import Secret
from wsmesh.errors import ConfigError


def secured(directory: Path, *, foreign: bool = False) -> ClusterSection:
    """Return a section whose certificate the cluster's authority signed, or another one."""
    (directory / "ours").mkdir(exist_ok=True)
    (directory / "theirs").mkdir(exist_ok=True)
    ours = make_authority(directory / "ours")
    signer = make_authority(directory / "theirs") if foreign else ours
    return evolve(
        CLUSTER, tls_ca=str(ours.ca), tls_certificate=str(signer.server.certificate),
        tls_key=str(signer.server.key),
    )


async def test_nodes_with_certificates_of_one_authority_link_over_tls(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    section = secured(tmp_path)
    async with member(redis_server, "a", section) as a, member(redis_server, "b", section) as b:
        await until(lambda: a.membership.mesh.peers == ("b",) and b.membership.mesh.peers == ("a",))


async def test_plain_nodes_and_foreign_certificates_get_no_link(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    section, foreign = secured(tmp_path), secured(tmp_path, foreign=True)
    async with (
        member(redis_server, "a", section) as a,
        member(redis_server, "b") as plain,
        member(redis_server, "c", foreign) as other,
    ):
        await until(lambda: len(a.states) == len(plain.states) == len(other.states) == 3)
        await trio.sleep(0.5)
        for each in (a, plain, other):
            assert each.membership.mesh.peers == ()


async def test_terms_are_what_the_configuration_says() -> None:
    section = evolve(CLUSTER, secret=Secret("s" * 32), on_store_loss="keep_serving", accusers=3)
    terms = await agree_on_terms(NODE, section, registry=None)  # type: ignore[arg-type]
    assert terms.secret == b"s" * 32
    assert terms.on_store_loss is StoreLoss.KEEP_SERVING
    assert (terms.beat, terms.lease, terms.accusers) == (0.5, 1.5, 3)
    assert (terms.timing.interval, terms.timing.lease) == (0.2, 1.5)
    assert terms.server_tls is terms.client_tls is None


def test_the_address_told_to_others_is_the_advertised_one_with_the_port_that_was_chosen() -> None:
    sock, address = open_mesh_socket(ClusterSection(advertise="10.1.2.3"))
    with sock:
        assert address == f"10.1.2.3:{sock.getsockname()[1]}"
        taken = ClusterSection(address=f"127.0.0.1:{sock.getsockname()[1]}")
        with pytest.raises(ConfigError, match=r"cluster\.address: cannot listen on 127"):
            open_mesh_socket(taken)


async def test_tls_files_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    section = evolve(CLUSTER, secret=Secret("s"), tls_certificate=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"cluster\.tls_certificate"):
        await agree_on_terms(NODE, section, registry=None)  # type: ignore[arg-type]
