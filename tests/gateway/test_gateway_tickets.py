"""Who was sent to a node gets there, whatever the strategy says; nobody chooses by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.gateway.conftest import Site, site_of
from wsmesh.config.values import Secret
from wsmesh.protocol import tickets

SECRET = "what all gateways and nodes know"


def members(site: Site) -> list[str]:
    """Return the ids of the nodes, those with a lower number first."""
    return [f"{node.report(1).node}/{node.report(1).incarnation}" for node in site.nodes]


def ticket(member: str, *, secret: str = SECRET, lasts: float = 30.0) -> tuple[bytes, bytes]:
    text = tickets.issue(secret.encode(), member, time.time() + lasts)
    return b"x-wsmesh-ticket", text.encode()


async def test_a_ticket_is_honoured_against_the_strategy(directory: Path) -> None:
    async with site_of(directory, 3, strategy="first", cluster={"secret": Secret(SECRET)}) as site:
        await site.connect()
        [taken] = [number for number, load in enumerate(site.loads()) if load]
        for number, member in enumerate(members(site)):
            before = site.loads()
            await site.connect(headers=[ticket(member)])
            after = site.loads()
            assert [b - a for a, b in zip(before, after, strict=True)] == [
                int(each == number) for each in range(3)
            ], f"node {number}, where the strategy prefers {taken}"


@pytest.mark.parametrize("secret", [SECRET, ""])
async def test_a_ticket_that_is_not_ours_changes_nothing(directory: Path, secret: str) -> None:
    async with site_of(
        directory, 2, strategy="first", cluster={"secret": Secret(secret)}
    ) as site:
        await site.connect()
        loads = site.loads()
        other = members(site)[loads.index(0)]
        for header in (
            ticket(other, secret="of somebody else"), ticket(other, lasts=-60.0),
            ticket(other, secret=""), (b"x-wsmesh-ticket", b"\xff.."),
        ):
            await site.connect(headers=[header])
        assert sorted(site.loads()) == [0, 5]


async def test_a_ticket_to_a_node_that_takes_nobody_leads_to_another(directory: Path) -> None:
    async with site_of(directory, 2, strategy="first", cluster={"secret": Secret(SECRET)}) as site:
        first, _ = members(site)
        await site.nodes[0].drain(0.1)
        await site.connect(headers=[ticket(first)])
        await site.connect(headers=[ticket("nobody/1")])
        assert site.loads() == [0, 2]
