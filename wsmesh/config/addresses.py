"""Addresses to listen on, parsed: `127.0.0.1:8000`, `[::1]:8000`, `unix:/run/wsmesh.sock`."""

from __future__ import annotations

import ipaddress
import re

import attrs

from wsmesh.config.values import quoted

_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*)(?:\.[A-Za-z0-9_-]+)*\.?")
_PORT = re.compile(r"[0-9]{1,5}")

# sun_path of sockaddr_un holds 108 bytes on Linux and 104 on macOS, with the final NUL.
_LONGEST_UNIX_PATH = 103


@attrs.frozen
class TCPAddress:
    """A host and a port; port 0 lets the kernel choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: 127.0.0.0/8, ::1 or localhost."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class UnixAddress:
    """The path of a Unix socket, which only this machine can reach."""

    path: str

    @property
    def is_loopback(self) -> bool:
        """Always true."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TCPAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Return what `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH` says; names are not resolved.

    Raises ValueError, whose text says what was expected.
    """
    if text.startswith("unix:"):
        return UnixAddress(_unix_path(text[5:]))
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port):
        raise _unfit(text)
    if int(port) > 65_535:
        raise ValueError(f"expected a port of 0 to 65535, found {port}")
    return TCPAddress(_host(host, text), int(port))


def _host(host: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise _unfit(text) from None
    if not _NAME.fullmatch(host):
        raise _unfit(text)
    # 10.0.0.256 would pass for a name, and fail only when it is resolved.
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise _unfit(text) from None
    return host


def _unix_path(path: str) -> str:
    if not path or "\0" in path or len(path.encode("utf-8", "replace")) > _LONGEST_UNIX_PATH:
        raise ValueError(
            f'expected "unix:" and a path of 1 to {_LONGEST_UNIX_PATH} bytes, found {quoted(path)}'
        )
    return path


def _unfit(text: str) -> ValueError:
    return ValueError(
        f'expected HOST:PORT such as "127.0.0.1:8000", "[::1]:8000" or "unix:/path/to.sock", '
        f"found {quoted(text)}"
    )
