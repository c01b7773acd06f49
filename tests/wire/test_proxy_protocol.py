"""PROXY headers of both versions: who connected, how long the header is, and what is refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.wire.proxy_protocol import ProxyHeader, ProxyHeaderError, crc32c, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes((192, 0, 2, 1, 198, 51, 100, 2)) + (56324).to_bytes(2, "big") + (443).to_bytes(2, "big")
V6 = ipaddress.IPv6Address("2001:db8::1").packed * 2 + bytes((0xDC, 0x04, 0x01, 0xBB))
UNIX = b"/run/a".ljust(108, b"\0") * 2
TCP4_HEADER = (("192.0.2.1", 56324), ("198.51.100.2", 443))


def v2(block: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(block).to_bytes(2, "big") + block


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def with_checksum(block: bytes) -> bytes:
    blank = v2(block + tlv(0x03, bytes(4)))
    return blank[:-4] + crc32c(blank).to_bytes(4, "big")


V1_TCP4 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
V1_TCP6 = b"PROXY TCP6 2001:DB8:0::1 ::1 0 65535\r\n"
LONGEST_V1 = b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n"
V6_ENDPOINT = ("2001:db8::1", 56324)
SOUND = [
    pytest.param(V1_TCP4, *TCP4_HEADER, id="v1 TCP4"),
    pytest.param(V1_TCP6, ("2001:db8::1", 0), ("::1", 65535), id="v1 TCP6"),
    pytest.param(b"PROXY UNKNOWN\r\n", None, None, id="v1 UNKNOWN"),
    pytest.param(LONGEST_V1, None, None, id="v1 of 107 bytes"),
    pytest.param(v2(V4), *TCP4_HEADER, id="v2 TCP4"),
    pytest.param(v2(V6, 0x21), V6_ENDPOINT, ("2001:db8::1", 443), id="v2 TCP6"),
    pytest.param(v2(UNIX, 0x31), None, None, id="v2 Unix"),
    pytest.param(v2(V4, 0x12), None, None, id="v2 UDP4"),
    pytest.param(v2(b"", 0x00), None, None, id="v2 UNSPEC"),
    pytest.param(v2(b"", 0x00, 0x20), None, None, id="v2 LOCAL"),
    pytest.param(v2(V4 + tlv(4, b"x"), 0x11, 0x20), None, None, id="v2 LOCAL with addresses"),
    pytest.param(v2(V4 + tlv(1, b"h2") + tlv(4, b"")), *TCP4_HEADER, id="v2 TLVs"),
    pytest.param(v2(V4 + tlv(4, bytes(505))), *TCP4_HEADER, id="v2 of 536 bytes"),
    pytest.param(with_checksum(V4), *TCP4_HEADER, id="v2 checksum"),
    pytest.param(with_checksum(V4 + tlv(1, b"h2")), *TCP4_HEADER, id="v2 TLV and checksum"),
]


@pytest.mark.parametrize(("data", "source", "destination"), SOUND)
def test_a_header_says_who_connected_and_where_the_rest_begins(
    data: bytes, source: object, destination: object
) -> None:
    header = parse(data + b"GET / HTTP/1.1\r\n")

    assert header == ProxyHeader(source, destination, len(data))  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "source", "destination"), SOUND)
def test_an_incomplete_header_wants_more(data: bytes, source: object, destination: object) -> None:
    assert [parse(data[:size]) for size in range(len(data))] == [None] * len(data)


REFUSED = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "first byte": b"X",
    "lower case": b"proxy TCP4",
    "half a signature": b"\r\n\r\n\0\r\nQUIX",
    "v1 of 108 bytes": LONGEST_V1[:-2] + b"f\r\n",
    "v1 without end": b"PROXY UNKNOWN " + b"f" * 93,
    "v1 protocol": V1_TCP4.replace(b"TCP4", b"UDP4"),
    "v1 no protocol": b"PROXY \r\n",
    "v1 family": V1_TCP4.replace(b"TCP4", b"TCP6"),
    "v1 two spaces": V1_TCP4.replace(b"TCP4 ", b"TCP4  "),
    "v1 missing port": V1_TCP4.replace(b" 443", b""),
    "v1 one too many": V1_TCP4.replace(b" 443", b" 443 1"),
    "v1 address": V1_TCP4.replace(b"192.0.2.1", b"192.0.2.256"),
    "v1 leading zero": V1_TCP4.replace(b"192.0.2.1", b"192.0.02.1"),
    "v1 host name": V1_TCP4.replace(b"192.0.2.1", b"localhost"),
    "v1 scope": V1_TCP6.replace(b"::1 0", b"fe80::1%eth0 0"),
    "v1 not ASCII": V1_TCP4.replace(b"192.0.2.1", b"192.0.2.\xb9"),
    "v1 port": V1_TCP4.replace(b"56324", b"65536"),
    "v1 signed port": V1_TCP4.replace(b"443", b"+43"),
    "v1 port with zeros": V1_TCP4.replace(b"443", b"0443"),
    "v2 version": v2(V4, 0x11, 0x11),
    "v2 command": v2(V4, 0x11, 0x22),
    "v2 family": v2(V4, 0x41),
    "v2 transport": v2(V4, 0x13),
    "v2 short TCP4": v2(V4[:-1]),
    "v2 short TCP6": v2(V6[:-1], 0x21),
    "v2 short Unix": v2(UNIX[:-1], 0x31),
    "v2 of 537 bytes": v2(V4 + tlv(4, bytes(506))),
    "v2 of 64 KiB": v2(bytes(65535))[:16],
    "v2 short TLV": v2(V4 + b"\x04\x00"),
    "v2 TLV too long": v2(V4 + b"\x04\x00\x02x"),
    "v2 checksum": with_checksum(V4)[:-1] + bytes((with_checksum(V4)[-1] ^ 1,)),
    "v2 checksum of 3 bytes": v2(V4 + tlv(3, bytes(3))),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse(data)


def test_the_checksum_is_crc_32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 appendix B.4


@given(
    st.one_of(
        st.binary(max_size=600),
        st.binary(max_size=120).map(lambda rest: b"PROXY " + rest),
        st.binary(max_size=120).map(lambda rest: b"PROXY TCP4 " + rest + b"\r\n"),
        st.binary(max_size=600).map(lambda rest: SIGNATURE + rest),
        st.builds(v2, st.binary(max_size=560), st.integers(0, 255), st.integers(0, 255)),
    )
)
def test_any_bytes_are_a_header_a_refusal_or_more_wanted(data: bytes) -> None:
    try:
        header = parse(data)
    except ProxyHeaderError:
        return
    if header is None:
        assert len(data) < 536
    else:
        assert header.length <= min(len(data), 536)
        assert parse(data[: header.length]) == header
        for endpoint in (header.source, header.destination):
            assert endpoint is None or str(ipaddress.ip_address(endpoint[0])) == endpoint[0]
            assert endpoint is None or 0 <= endpoint[1] <= 65535
