"""The PROXY header, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): who really connected."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address

from attrs import frozen

from wsmesh.errors import WsmeshError

V1_BYTES = 107
"""The longest header of version 1, its CRLF included."""

V2_BYTES = 536
"""The longest header of version 2 that is taken: 16 bytes, 216 for Unix addresses, and TLVs."""

_V1 = b"PROXY "
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = 16
_ADDRESS_BYTES = {0x0: 0, 0x1: 12, 0x2: 36, 0x3: 216}
"""By address family: none, IPv4, IPv6, Unix."""

_TLV_CRC32C = 0x03

Endpoint = tuple[str, int]
"""IP address in its canonical spelling, and port."""


class ProxyHeaderError(WsmeshError):
    """The bytes are no PROXY header that can be taken; close the connection without an answer."""


@frozen
class ProxyHeader:
    """A complete header.

    :ivar source: the client; None: nobody (LOCAL, UNKNOWN) or without an IP address (Unix), so
        that the socket's own peer counts.
    :ivar destination: where the client connected to, None likewise.
    :ivar length: bytes of the header; the connection's own start there.
    """

    source: Endpoint | None
    destination: Endpoint | None
    length: int


def parse(data: bytes) -> ProxyHeader | None:
    """Return the header that `data` starts with, None: more input is wanted.

    :raises ProxyHeaderError: there is none, as soon as the first byte tells so, or it is malformed,
        too long, or its checksum is wrong.
    """
    if data.startswith(_V2):
        return _parse_v2(data)
    if data.startswith(_V1):
        return _parse_v1(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    raise ProxyHeaderError("expected a PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES:
            raise ProxyHeaderError(f"expected at most {V1_BYTES} bytes")
        return None
    parts = data[:end].split(b" ")
    length = end + 2
    if parts[1] == b"UNKNOWN":
        return ProxyHeader(None, None, length)
    if len(parts) != 6 or parts[1] not in (b"TCP4", b"TCP6"):
        raise ProxyHeaderError("malformed addresses")
    is_v4 = parts[1] == b"TCP4"
    source = _address_v1(parts[2], is_v4=is_v4), _port_v1(parts[4])
    return ProxyHeader(source, (_address_v1(parts[3], is_v4=is_v4), _port_v1(parts[5])), length)


def _address_v1(text: bytes, *, is_v4: bool) -> str:
    try:
        # A scope id has no place here, and would let one host have any number of addresses.
        if b"%" in text:
            raise AddressValueError("scope id")
        spelling = text.decode("ascii")
        return str(IPv4Address(spelling) if is_v4 else IPv6Address(spelling))
    except (AddressValueError, UnicodeDecodeError):
        raise ProxyHeaderError("malformed address") from None


def _port_v1(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 0xFFFF or text != b"%d" % int(text):
        raise ProxyHeaderError("malformed port")
    return int(text)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_HEAD:
        return None
    version, command = divmod(data[12], 16)
    family, transport = divmod(data[13], 16)
    size = int.from_bytes(data[14:16], "big")
    length = _V2_HEAD + size
    if version != 2 or command > 1 or family not in _ADDRESS_BYTES or transport > 2:
        raise ProxyHeaderError("malformed header")
    if length > V2_BYTES:
        raise ProxyHeaderError(f"expected at most {V2_BYTES} bytes, found {length}")
    if len(data) < length:
        return None
    addresses = _ADDRESS_BYTES[family]
    if command == 0 or family == 0:
        return ProxyHeader(None, None, length)
    if size < addresses:
        raise ProxyHeaderError("malformed addresses")
    _check_tlvs(data[:length], _V2_HEAD + addresses)
    if family == 0x3 or transport != 1:
        return ProxyHeader(None, None, length)
    return ProxyHeader(*_endpoints_v2(data[_V2_HEAD : _V2_HEAD + addresses]), length)


def _endpoints_v2(block: bytes) -> tuple[Endpoint, Endpoint]:
    width = (len(block) - 4) // 2
    kind = IPv4Address if width == 4 else IPv6Address
    source, destination = block[:width], block[width : 2 * width]
    ports = block[2 * width :]
    return (
        (str(kind(source)), int.from_bytes(ports[:2], "big")),
        (str(kind(destination)), int.from_bytes(ports[2:], "big")),
    )


def _check_tlvs(header: bytes, at: int) -> None:
    while at < len(header):
        start = at + 3
        at = start + int.from_bytes(header[at + 1 : start], "big")
        if start > len(header) or at > len(header):
            raise ProxyHeaderError("malformed TLV")
        if header[start - 3] == _TLV_CRC32C:
            blanked = header[:start] + bytes(at - start) + header[at:]
            if at - start != 4 or crc32c(blanked) != int.from_bytes(header[start:at], "big"):
                raise ProxyHeaderError("wrong checksum")


def _crc32c_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC32C = tuple(map(_crc32c_of, range(256)))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of `data` (RFC 3720 appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
