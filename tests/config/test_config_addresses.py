"""Addresses to listen on: what is read, what is refused, and which are on loopback."""

from __future__ import annotations

import pytest

from wsmesh.config.addresses import TCPAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:8000", TCPAddress("127.0.0.1", 8000), True),
        ("127.8.9.1:0", TCPAddress("127.8.9.1", 0), True),
        ("0.0.0.0:65535", TCPAddress("0.0.0.0", 65535), False),
        ("[::1]:8000", TCPAddress("::1", 8000), True),
        ("[0:0:0:0:0:0:0:1]:8000", TCPAddress("::1", 8000), True),
        ("[::]:8000", TCPAddress("::", 8000), False),
        ("[fe80::1%eth0]:80", TCPAddress("fe80::1%eth0", 80), False),
        ("localhost:1", TCPAddress("localhost", 1), True),
        ("LOCALHOST:1", TCPAddress("LOCALHOST", 1), True),
        ("ws-1.example.com:443", TCPAddress("ws-1.example.com", 443), False),
        ("localhost.example.com:1", TCPAddress("localhost.example.com", 1), False),
        ("unix:/run/wsmesh.sock", UnixAddress("/run/wsmesh.sock"), True),
        ("unix:relative", UnixAddress("relative"), True),
        ("unix:" + "a" * 103, UnixAddress("a" * 103), True),
    ],
)
def test_an_address_is_read(text, address, loopback):
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
    assert address.is_loopback is loopback


@pytest.mark.parametrize(
    "text",
    ["", ":", "8000", ":8000", "*:8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http",
     "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:123456", "10.0.0.256:1", "10.0.0:1", "::1:8000",
     "[::1]", "[::1]8000", "[127.0.0.1]:1", "[::1", "http://a:1", "a b:1", "a/b:1", "-a:1",
     "127.0.0.1:8000\n", "127.0.0.1:٨", "unix:", "unix:a\0b", "unix:" + "a" * 104,
     "unix:" + "é" * 52],
)
def test_what_is_no_address_is_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match=r"^expected .*, found "):
        parse_address(text)
