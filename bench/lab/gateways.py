"""Starting what stands in front of nodes: the gateway, and HAProxy beside it."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from bench.lab.process import free_port, running, wait_listening
from bench.lab.servers import SECRET, Server, node_config

READY_WITHIN = 20.0

_HAPROXY = """\
global
    maxconn 9000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
frontend clients
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    balance leastconn
{servers}
"""


@contextmanager
def open_nodes(count: int, directory: Path, *, core: int) -> Iterator[list[Server]]:
    """Nodes with control sockets in `directory`, without a store that they share."""
    with ExitStack() as stack:
        nodes = []
        for number in range(1, count + 1):
            port = free_port()
            config = directory / f"node-{number}.toml"
            config.write_text(node_config(port))
            environment = {
                "WSMESH_NODE_CONTROL": str(directory / f"node-{number}.sock"),
                "WSMESH_NODE_NAME": f"node-{number}",
            }
            command = [sys.executable, "-m", "wsmesh", "--config", str(config)]
            child = stack.enter_context(running(command, core=core, env=environment))
            wait_listening(child, port)
            nodes.append(Server(f"node-{number}", child.pid, port, "centrifugo", SECRET))
        yield nodes


@contextmanager
def open_gateway(
    directory: Path, *, core: int, strategy: str = "p2c", relay_to: Sequence[Server] = (),
    keys: Sequence[str] = ("ip",),
) -> Iterator[Server]:
    """A gateway in front of the control sockets in `directory`, or relaying to some nodes."""
    port = free_port()
    config = directory / "gateway.toml"
    where = ", ".join(f'"127.0.0.1:{node.port}"' for node in relay_to)
    own = f"nodes = [{where}]" if relay_to else f'control_dir = "{directory}"'
    config.write_text(
        f"{node_config(port)}\n[gateway]\n{own}\n\n[balancer]\nstrategy = \"{strategy}\"\n"
        f"\n[affinity]\nkeys = {json.dumps([*keys])}\n"
    )
    command = [sys.executable, "-m", "wsmesh", "gateway", "--config", str(config)]
    with running(command, core=core) as child:
        wait_listening(child, port)
        _wait_ready(port)
        yield Server("gateway", child.pid, port, "centrifugo", SECRET)


def _wait_ready(port: int) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        try:
            with direct.open(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except urllib.error.HTTPError as refused:
            refused.close()
        time.sleep(0.05)
    raise click.ClickException("the gateway found no node")


@contextmanager
def open_haproxy(directory: Path, nodes: Sequence[Server], *, core: int) -> Iterator[Server]:
    """HAProxy with one thread in front of some nodes.

    :raises click.ClickException: it is not installed.
    """
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        raise click.ClickException("haproxy is needed for the comparison: apt-get install haproxy")
    port = free_port()
    config = directory / "haproxy.cfg"
    servers = "\n".join(
        f"    server {node.name} 127.0.0.1:{node.port} maxconn 9000" for node in nodes
    )
    config.write_text(_HAPROXY.format(port=port, servers=servers))
    with running([program, "-db", "-q", "-f", str(config)], core=core) as child:
        wait_listening(child, port)
        yield Server("haproxy", child.pid, port, "centrifugo", SECRET)
