"""The client's address behind proxies, and its key (reliability table row 22)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.errors import ConfigError
from wsmesh.security.addresses import TrustedProxies, client_address, is_local, network_of

TRUSTED = TrustedProxies(["10.0.0.0/8", "192.0.2.7", "2001:db8:ff::/48"])


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),
        ("10.0.0.1", ["198.51.100.66, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.66, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.66", "203.0.113.9", "10.0.0.2,192.0.2.7"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9:5123"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:DB8::0:1]:5123"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ff::5", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:fe::5", ["203.0.113.9"], "2001:db8:fe::5"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:port"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::1"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::1]x"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.09"], "10.0.0.1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_walk_goes_right_to_left_through_trusted_hops(peer, headers, client):
    assert client_address(peer, headers, TRUSTED) == client


def test_nobody_is_trusted_by_default():
    nobody = TrustedProxies([])
    assert not nobody
    assert client_address("127.0.0.1", ["203.0.113.9"], nobody) == "127.0.0.1"
    assert client_address("", ["203.0.113.9"], nobody) == ""


def test_peers_on_unix_sockets_can_be_trusted():
    trusted = TrustedProxies(["unix"])
    assert trusted
    assert client_address("", ["203.0.113.9"], trusted) == "203.0.113.9"
    assert client_address("127.0.0.1", ["203.0.113.9"], trusted) == "127.0.0.1"


def test_every_wrong_network_is_named():
    with pytest.raises(ConfigError) as caught:
        TrustedProxies(["10.0.0.1/8", "proxy.local", "10.0.0.0/8", "::/129"])
    assert len(caught.value.faults) == 3


@given(st.lists(st.text("0123456789abcdef.:,[] x%", max_size=40), max_size=3))
def test_what_a_client_writes_never_changes_its_address(written):
    """The proxy appends the true address; whatever stands before it does not count."""
    assert client_address("10.0.0.1", [*written, "203.0.113.9"], TRUSTED) == "203.0.113.9"
    joined = ",".join([*written, "203.0.113.9"])
    assert client_address("10.0.0.1", [joined], TRUSTED) == "203.0.113.9"


@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_header_gives_some_address(headers):
    assert client_address("10.0.0.1", headers, TRUSTED)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("odd:text", "odd:text"),
    ],
)
def test_the_key_is_what_one_customer_has(address, key):
    assert network_of(address) == key


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_these_are_local(address):
    assert is_local(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "128.0.0.1", "::2", "0.0.0.0", "localhost", "127.1"]
)
def test_these_are_not_local(address):
    assert not is_local(address)
