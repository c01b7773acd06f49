"""TLS over non-blocking sockets, shaped like a non-blocking socket, so that the pump needs no
second code path; and the certificate, read again when it changes.
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress

import structlog
import trio

from wsmesh.config.sections import TLSSection
from wsmesh.errors import ConfigError

RECORD = 65536

log = structlog.get_logger("wsmesh.tls")


class TLSSocket:
    """A server-side TLS connection over a non-blocking socket.

    `recv` and `send` behave like those of a non-blocking plain socket: they raise
    `BlockingIOError` when nothing can be done, and `OSError` when the connection is broken.
    The handshake happens inside `recv`.
    """

    __slots__ = ("_incoming", "_is_ready", "_outgoing", "_socket", "_tls", "_unsent")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""
        self._is_ready = False

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def recv(self, size: int) -> bytes:
        """Return decrypted bytes, empty at the end of the connection.

        :raises BlockingIOError: no whole record has arrived yet.
        """
        data = self._socket.recv(size)
        if not data:
            return b""
        self._incoming.write(data)
        try:
            if not self._is_ready:
                self._tls.do_handshake()
                self._is_ready = True
            return self._decrypted()
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return b""
        finally:
            self._send_ciphertext()

    def _decrypted(self) -> bytes:
        parts = [self._tls.read(RECORD)]
        while True:
            try:
                part = self._tls.read(RECORD)
            except ssl.SSLWantReadError:
                return b"".join(parts)
            if not part:
                return b"".join(parts)
            parts.append(part)

    def send(self, data: bytes) -> int:
        """Encrypt and send all of `data`, or none of it while earlier ciphertext waits.

        :raises BlockingIOError: the socket has not taken the last ciphertext yet; nothing of
            `data` was taken.
        """
        if self._unsent:
            self._send_ciphertext()
            if self._unsent:
                raise BlockingIOError
        if not data:
            return 0
        self._tls.write(data)
        self._send_ciphertext()
        return len(data)

    @property
    def unsent(self) -> int:
        """Bytes of ciphertext the socket has not taken."""
        return len(self._unsent)

    def _send_ciphertext(self) -> None:
        waiting = self._unsent + self._outgoing.read()
        if not waiting:
            return
        try:
            sent = self._socket.send(waiting)
        except BlockingIOError:
            sent = 0
        self._unsent = waiting[sent:]

    def shutdown(self, how: int) -> None:
        """Say goodbye and shut the sending side."""
        # The peer's goodbye may never come; ours is on its way then.
        with suppress(ssl.SSLError, ValueError):
            self._tls.unwrap()
        self._send_ciphertext()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Certificate:
    """The server's certificate; `context` always has the newest that could be read."""

    def __init__(self, section: TLSSection) -> None:
        """Read it.

        :raises ConfigError: it cannot be read or does not fit its key.
        """
        self._section = section
        self._seen = self._stamps()
        self.context = self._load()

    def reload(self) -> bool:
        """Read the files again if they changed; a bad new certificate leaves the old one in use."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        try:
            self.context = self._load()
        except ConfigError as error:
            log.error("certificate.refused", error=str(error))
            return False
        log.info("certificate.reloaded", certificate=self._section.certificate)
        return True

    async def watch(self) -> None:
        """Read the files again whenever they have changed, until cancelled."""
        while True:
            await trio.sleep(self._section.reload_interval)
            self.reload()

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        stamps = []
        for path in (self._section.certificate, self._section.key):
            try:
                facts = os.stat(path)
                stamps.append((facts.st_mtime_ns, facts.st_ino))
            except OSError:
                stamps.append((0, 0))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        newest = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
        context.minimum_version = newest[self._section.minimum_version]
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        section = self._section
        for option, path in (("certificate", section.certificate), ("key", section.key)):
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                fault = f"{option}: cannot read {path!r}: {error.strerror}"
                raise ConfigError("tls", [fault]) from error
        try:
            context.load_cert_chain(section.certificate, section.key)
        except (ssl.SSLError, OSError) as error:
            fault = f"certificate: {section.certificate!r} with key {section.key!r}: {error}"
            raise ConfigError("tls", [fault]) from error
        return context
