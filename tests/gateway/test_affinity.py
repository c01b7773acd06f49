"""Clients that can be told apart go where they belong, through real gateways and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from tests.gateway.conftest import Client, Site, site_of
from wsmesh.config.affinity import AffinitySection
from wsmesh.config.balancing import StickySection
from wsmesh.config.sections import Config

KEYED = {"keys": ("query:room", "header:x-room")}


async def home(site: Site, client: Client) -> int:
    """Return the node that has a client, and let the client leave."""
    (number,) = [number for number, load in enumerate(site.loads()) if load]
    await client.aclose()
    while any(site.loads()):
        await site.settle(len(site.nodes))
    return number


async def homes(
    site: Site, *paths: str, headers: Sequence[tuple[bytes, bytes]] = ()
) -> list[int]:
    return [
        await home(site, await Client.connect(site.port, path=path, headers=headers))
        for path in paths
    ]


@pytest.mark.parametrize("strategy", ["rendezvous", "ring_hash", "maglev", "multi_probe",
                                      "bounded_load"])
async def test_a_key_belongs_to_one_node_wherever_it_stands(
    directory: Path, strategy: str
) -> None:
    # Whoever has just left may still count, for a quarter of a second.
    options = {"balance_factor": 100.0} if strategy == "bounded_load" else {}
    async with site_of(
        directory, 3, strategy=strategy, affinity=KEYED, balancer={"options": options}
    ) as site:
        # All on one of three nodes by chance, whose ids are random: 3 ** -11.
        rooms = [f"/connection/websocket?room={number}" for number in range(12)]
        first, second = await homes(site, *rooms), await homes(site, *rooms)
        by_header = [
            (await homes(site, "/connection/websocket", headers=[(b"X-Room", b"%d" % number)]))[0]
            for number in range(12)
        ]
    assert first == second == by_header
    assert len(set(first)) > 1


async def test_a_client_without_a_key_comes_back_with_the_one_it_was_given(
    directory: Path,
) -> None:
    affinity = {"keys": (), "cookie": "where", "header": "X-Where"}
    async with site_of(directory, 3, strategy="rendezvous", affinity=affinity) as site:
        client = await Client.connect(site.port)
        answer = {name.lower(): text for name, text in client.answer.items()}
        where = await home(site, client)
        cookie = answer["set-cookie"].partition(";")[0].encode()
        path = "/connection/websocket"
        back = [
            (await homes(site, path, headers=[(b"Cookie", cookie)]))[0],
            (await homes(site, path, headers=[(b"X-Where", answer["x-where"].encode())]))[0],
        ]
        other = await homes(site, *[path] * 20)
    assert back == [where, where]
    assert set(other) != {where}


async def test_memory_makes_any_strategy_sticky(directory: Path) -> None:
    async with site_of(directory, 3, strategy="round_robin", affinity=KEYED) as site:
        rooms = ["/connection/websocket?room=red"] * 3
        assert len(set(await homes(site, *rooms))) == 3

        def wanted() -> Config:
            config = site.gateway.config
            sticky = StickySection(enabled=True)
            return evolve(config, balancer=evolve(config.balancer, sticky=sticky))

        await site.gateway.reload(wanted)
        assert len(set(await homes(site, *rooms))) == 1


async def test_a_reload_changes_what_the_key_is(directory: Path) -> None:
    async with site_of(directory, 3, strategy="rendezvous") as site:
        rooms = [f"/connection/websocket?room={number}" for number in range(12)]
        assert len(set(await homes(site, *rooms))) == 1  # all from one address

        wanted = evolve(site.gateway.config, affinity=AffinitySection(**KEYED))
        await site.gateway.reload(lambda: wanted)
        assert len(set(await homes(site, *rooms))) > 1
