"""A TCP hop in front of a node, in threads, whose connections can be cut without a close frame."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from attrs import define, field


@define(eq=False, kw_only=True)
class Hop:
    """Forwards bytes to a node until told to cut.

    :ivar url: the node's URL, through this hop.
    """

    url: str
    _cut: threading.Event = field(factory=threading.Event)
    _sockets: list[socket.socket] = field(factory=list)

    def cut(self) -> None:
        """Drop every connection and let nobody in."""
        self._cut.set()
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let clients in again."""
        self._cut.clear()

    def serve(self, near: socket.socket, node: tuple[str, int]) -> None:
        """Forward one connection until an end closes it; used by the listening thread."""
        if self._cut.is_set():
            return
        with socket.create_connection(node) as far:
            self._sockets += [near, far]
            back = threading.Thread(target=_copy, args=(far, near))
            back.start()
            _copy(near, far)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def open_hop(url: str) -> Iterator[Hop]:
    """A hop to the node at `url`, on a free port of loopback."""
    parts = urlsplit(url)
    node = (parts.hostname or "127.0.0.1", parts.port or 80)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            hop.serve(self.request, node)

    with _Server(("127.0.0.1", 0), Handler) as server:
        hop = Hop(url=f"ws://127.0.0.1:{server.server_address[1]}{parts.path}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hop
        finally:
            hop.cut()
            server.shutdown()
            thread.join()
