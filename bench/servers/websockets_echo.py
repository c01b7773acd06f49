"""Reference: `websockets` on asyncio with uvloop, a minimal handler, no compression, no pings."""

from __future__ import annotations

import asyncio

import click
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.servers.minimal import answer


async def handle(connection: ServerConnection) -> None:
    """Answer each message as it comes."""
    try:
        async for message in connection:
            for reply in answer(message):
                await connection.send(reply)
    except ConnectionClosed:
        return


async def run(port: int) -> None:
    """Serve until the process is ended."""
    async with serve(
        handle, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096
    ):
        await asyncio.get_running_loop().create_future()


@click.command()
@click.option("--port", type=int, required=True)
def main(port: int) -> None:
    """Serve on 127.0.0.1:PORT."""
    uvloop.run(run(port))


if __name__ == "__main__":
    main()
