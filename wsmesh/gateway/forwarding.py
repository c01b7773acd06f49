"""A request head as a node elsewhere gets it: with the client's address, which it cannot see."""

from __future__ import annotations

from collections.abc import Sequence

_OURS = (b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"x-real-ip", b"via")


def forwarded(head: bytes, address: str, *, is_secure: bool, is_trusted: bool) -> bytes:
    """Return a request head that says for whom it is sent (as `[proxy] trusted_proxies` reads it).

    :param head: a whole head; bytes after it stay.
    :param address: of whoever connected, empty on a Unix socket.
    :param is_trusted: it is a proxy whose own words about its client stay; of others such fields
        are taken out, since anybody can write them.
    """
    end = head.index(b"\r\n\r\n") + 2
    lines = head[:end].split(b"\r\n")[:-1]
    if not is_trusted:
        lines = [line for line in lines if line.partition(b":")[0].lower() not in _OURS]
    if address:
        lines.append(b"X-Forwarded-For: " + address.encode("ascii", "replace"))
    if not is_trusted:
        lines.append(b"X-Forwarded-Proto: " + (b"https" if is_secure else b"http"))
    return b"\r\n".join((*lines, b"")) + head[end:]


def with_headers(answer: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return the beginning of an answer with further fields behind its status line.

    :param answer: at least a status line; anything else stays as it is.
    """
    line, found, rest = answer.partition(b"\r\n")
    if not found or not headers:
        return answer
    more = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
    return line + b"\r\n" + more + rest
