"""Reference: a bare loop of non-blocking `send` of the same bytes over all accepted sockets.

The first connection is the control line: `F`, four bytes of length and the frame set what is sent;
each `p` after that sends it once to every other connection. A `+` greets whoever was accepted.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import click


def passes(sends: list[Callable[[bytes], int]], frame: bytes, count: int) -> None:
    """Send the frame `count` times to everybody; the floor that the node is measured against."""
    for _ in range(count):
        for send in sends:
            send(frame)


@click.command()
@click.option("--port", type=int, required=True)
def main(port: int) -> None:
    """Serve on 127.0.0.1:PORT."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    control, _ = listener.accept()
    control.send(b"+")
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    poller.register(control, select.EPOLLIN)
    subscribers: list[socket.socket] = []
    sends: list[Callable[[bytes], int]] = []
    frame = b""
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                subscribers.append(sock)
                sock.send(b"+")
                sends.append(sock.send)
                continue
            order = control.recv(65536)
            if not order:
                return
            if order[:1] == b"F":
                size = int.from_bytes(order[1:5], "big")
                frame, order = order[5 : 5 + size], order[5 + size :]
            passes(sends, frame, len(order))


if __name__ == "__main__":
    main()
