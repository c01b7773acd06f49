"""Nodes as DNS records: names, weights, and addresses where there is no name."""

from __future__ import annotations

import pytest

from balancers import Member
from wsmesh.cluster.srv import zone_lines


def member(name: str, address: str, weight: float = 1.0, *, accepts: bool = True) -> Member:
    return Member(id=name, address=address, weight=weight, capacity=9, is_accepting=accepts)


def test_nodes_that_take_clients_are_listed_by_weight() -> None:
    lines = zone_lines(
        [
            member("b/3", "node-b.example:8000", 0.5),
            member("a/1", "node-a.example:8001"),
            member("c/1", "node-c.example:8000", accepts=False),
            member("d/1", "node-d.example:8000", 0.001),
            member("e/1", ""),
        ],
        "_wsmesh._tcp.chat.example.", 5,
    )
    assert lines == [
        "_wsmesh._tcp.chat.example. 5 IN SRV 0 100 8001 node-a.example.",
        "_wsmesh._tcp.chat.example. 5 IN SRV 0 50 8000 node-b.example.",
        "_wsmesh._tcp.chat.example. 5 IN SRV 0 1 8000 node-d.example.",
    ]


def test_an_address_gets_a_name() -> None:
    lines = zone_lines(
        [member("A_1/7", "10.0.0.5:8000"), member("b2/1", "[2001:db8::1]:8000")],
        "_wsmesh._tcp.chat.example", 30,
    )
    assert lines == [
        "_wsmesh._tcp.chat.example. 30 IN SRV 0 100 8000 a-1.chat.example.",
        "_wsmesh._tcp.chat.example. 30 IN SRV 0 100 8000 b2.chat.example.",
        "a-1.chat.example. 30 IN A 10.0.0.5",
        "b2.chat.example. 30 IN AAAA 2001:db8::1",
    ]


@pytest.mark.parametrize("name", ["chat.example", "_wsmesh._tcp", "_wsmesh._udp.a", "_a b._tcp.c"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name such as"):
        zone_lines([], name, 5)
