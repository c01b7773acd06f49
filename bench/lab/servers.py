"""Starting the node and the reference servers, each on its core and a free port."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from attrs import frozen

from bench.lab.process import REPOSITORY, free_port, running, wait_listening

SECRET = "a secret of the benchmarks, 32+ bytes long"
SOCKETIO = "socket.io@4.8.4"


@frozen
class Server:
    """A server under measurement."""

    name: str
    pid: int
    port: int
    dialect: str
    secret: str = ""


def node_config(port: int, *, history: int = 0) -> str:
    """The node's TOML: everything as by default, but limits that the load would hit are raised."""
    kept = f'history_size = {history}\nhistory_ttl = "10m"\n' if history else ""
    return f"""\
listeners = [{{ address = "127.0.0.1:{port}" }}]

[node]
max_connections = 19000

[client]
channel_limit = 20000

[client.token]
hmac_secret_key = "{SECRET}"

[channel.without_namespace]
allow_subscribe_for_client = true
allow_publish_for_client = true
{kept}
[limits]
message_rate = 1e9
message_burst = 1000000000
byte_rate = "unlimited"
accept_rate = 1e6
accept_burst = 1000000
unauthenticated_share = 1.0

[log]
level = "warning"
"""


@contextmanager
def open_node(*, core: int, history: int = 0, name: str = "node") -> Iterator[Server]:
    """A wsmesh node with the memory store."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "wsmesh.toml"
        config.write_text(node_config(port, history=history))
        command = [sys.executable, "-m", "wsmesh", "--config", str(config)]
        with running(command, core=core) as child:
            wait_listening(child, port)
            yield Server(name, child.pid, port, "centrifugo", SECRET)


@contextmanager
def open_python_peer(name: str, *, core: int, dialect: str = "centrifugo") -> Iterator[Server]:
    """One of the reference servers in `bench/servers`, by its module's name."""
    port = free_port()
    command = [sys.executable, "-m", f"bench.servers.{name}", "--port", str(port)]
    with running(command, core=core) as child:
        wait_listening(child, port)
        yield Server(name, child.pid, port, dialect)


@contextmanager
def open_socketio(*, core: int, cache: Path) -> Iterator[Server]:
    """Socket.IO's echo; installs the package into `cache` once.

    :raises click.ClickException: if Node or npm is missing or the installation fails.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise click.ClickException("node and npm are needed for Socket.IO; --skip-socketio")
    modules = cache / "node_modules"
    if not (modules / "socket.io").exists():
        cache.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), SOCKETIO]
        if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
            raise click.ClickException(f"npm could not install {SOCKETIO}; --skip-socketio")
    port = free_port()
    script = REPOSITORY / "bench" / "servers" / "socketio_echo.js"
    env = {"NODE_PATH": str(modules), "NODE_ENV": "production"}
    with running([node, str(script), str(port)], core=core, env=env) as child:
        wait_listening(child, port)
        yield Server("socket.io", child.pid, port, "socketio")


@contextmanager
def open_c_fanout(*, core: int) -> Iterator[Server]:
    """The raw loop in C, compiled for the occasion.

    :raises click.ClickException: if there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise click.ClickException("a C compiler (cc) is needed for the loop in C")
    source = REPOSITORY / "bench" / "servers" / "raw_fanout.c"
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/raw_fanout"
        subprocess.run([compiler, "-O2", "-o", program, str(source)], check=True)
        with running([program, str(port)], core=core) as child:
            wait_listening(child, port)
            yield Server("raw_fanout_c", child.pid, port, "raw")


def default_cache() -> Path:
    """Where installed peers are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "wsmesh-bench"
