"""Orders: what one node asks of another arrives whole, and what is no order is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from wsmesh.security.claims import Override
from wsmesh.session import orders
from wsmesh.store.interface import Position

EVERY = (
    orders.SubscribeClients(
        "u", "c", "x", "s", Raw(b'{"a":1}'), Raw(b"[1]"), Position("e", 3), 5.5,
        Override(presence=True),
    ),
    orders.SubscribeClients("u", "c"),
    orders.UnsubscribeClients("u", "c", "x", "s"),
    orders.DisconnectClients("u", whitelist=("a", "b"), code=4000, reason="why"),
    orders.RefreshClients("u", expired=True),
    orders.RefreshClients("u", expire_at=7.0, info=Raw(b"{}")),
    orders.RevokeUser("u", 1.0, 2.0),
    orders.RevokeToken("j", 2.0, "i"),
    orders.FenceSession("s", 4),
    orders.CountChannels("a*"),
    orders.DescribeNode(),
    orders.ListConnections("u"),
)


@pytest.mark.parametrize("order", EVERY, ids=lambda each: type(each).__name__)
def test_an_order_arrives_as_it_was_given(order: orders.AnyOrder) -> None:
    assert orders.decode_order(orders.encode_order(order)) == order


def test_fields_of_a_later_release_are_ignored_and_its_orders_refused() -> None:
    later = b'{"order":"unsubscribe","user":"u","channel":"c","gently":true}'
    assert orders.decode_order(later) == orders.UnsubscribeClients("u", "c")
    with pytest.raises(orders.UnknownOrder):
        orders.decode_order(b'{"order":"promote"}')


@given(st.binary(max_size=200))
def test_any_bytes_are_an_order_or_refused(text: bytes) -> None:
    try:
        orders.decode_order(text)
    except orders.UnknownOrder:
        return
