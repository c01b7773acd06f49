"""The benchmark's end of a load process: give an order, get the answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from attrs import frozen

from bench.lab.process import cpu_seconds, running


@frozen
class Measured:
    """What one order brought and what it cost.

    :param result: what the load process counted.
    :param seconds: how long it took.
    :param server_cpu: CPU seconds of the server over the order.
    :param load_share: share of its core that the load process used.
    """

    result: object
    seconds: float
    server_cpu: float
    load_share: float

    @property
    def count(self) -> int:
        """The result of an order that counts."""
        assert isinstance(self.result, int)
        return self.result

    @property
    def micros_each(self) -> float:
        """Server CPU per counted thing, in microseconds."""
        return self.server_cpu / self.count * 1e6

    @property
    def server_share(self) -> float:
        """Share of its core that the server used."""
        return self.server_cpu / self.seconds


@frozen
class Load:
    """A load process and the server that it talks to."""

    name: str
    child: subprocess.Popen[bytes]
    server_pid: int

    def order(self, action: str, **details: object) -> Measured:
        """Have it done; server CPU is read before the order and after its answer.

        :raises click.ClickException: if the load process fails or reports a fault.
        """
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        before = cpu_seconds(self.server_pid)
        self.child.stdin.write(json.dumps({"do": action, **details}).encode() + b"\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        after = cpu_seconds(self.server_pid)
        if not line:
            raise click.ClickException(f"{self.name}: the load process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise click.ClickException(f"{self.name}: {action}: {answer['error']}")
        seconds = answer["seconds"]
        share = answer["load_cpu"] / seconds if seconds else 0.0
        return Measured(answer["result"], seconds, after - before, share)


@contextmanager
def open_load(
    name: str, *, port: int, server_pid: int, dialect: str, core: int, secret: str = "",
    path: str = "",
) -> Iterator[Load]:
    """A load process on `core` for the server at `port`.

    :param path: where clients of the node connect, with `{user}` for each one's name.
    """
    command = [sys.executable, "-m", "bench.load", "--port", str(port), "--dialect", dialect]
    if secret:
        command += ["--secret", secret]
    if path:
        command += ["--path", path]
    with running(command, core=core, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield Load(name, child, server_pid)
