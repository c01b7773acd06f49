"""Reference: `trio-websocket`, a minimal handler, no compression."""

from __future__ import annotations

import click
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from bench.servers.minimal import answer


async def handle(request: WebSocketRequest) -> None:
    """Answer each message as it comes."""
    connection = await request.accept()
    try:
        while True:
            for reply in answer(await connection.get_message()):
                await connection.send_message(reply)
    except ConnectionClosed:
        return


@click.command()
@click.option("--port", type=int, required=True)
def main(port: int) -> None:
    """Serve on 127.0.0.1:PORT."""
    trio.run(serve_websocket, handle, "127.0.0.1", port, None)


if __name__ == "__main__":
    main()
