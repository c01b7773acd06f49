"""Fixtures for every test: real servers, fresh or lent; tests/conftest.py makes them known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from attrs import define, field

from tests.servers.cluster import RedisCluster, running_cluster
from tests.servers.sentinel import RedisSentinel, running_sentinel
from tests.servers.standalone import RedisServer, running_redis, valkey_binary


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A fresh Redis without persistence."""
    with running_redis() as server:
        yield server


@pytest.fixture
def valkey_server() -> Iterator[RedisServer]:
    """A fresh Valkey without persistence; newer than Debian's Redis (WAITAOF, HEXPIRE)."""
    with running_redis(binary=valkey_binary()) as server:
        yield server


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start servers with the arguments of `running_redis`; they end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(running_redis(*args, **options))


@pytest.fixture
def redis_sentinel() -> Iterator[RedisSentinel]:
    """A fresh master with a replica and three sentinels."""
    with running_sentinel() as system:
        yield system


@define
class _Library:
    """Lends one cluster to test after test, and buys a new one when it comes back damaged."""

    held: ExitStack = field(factory=ExitStack)
    cluster: RedisCluster | None = None

    def lend(self) -> RedisCluster:
        if self.cluster is None:
            self.cluster = self.held.enter_context(running_cluster())
        return self.cluster

    def take_back(self, cluster: RedisCluster) -> None:
        if cluster.is_touched or len(cluster.alive) < len(cluster.servers):
            self.cluster = None
            self.held.close()
        else:
            cluster.flush()


@pytest.fixture(scope="session")
def _clusters() -> Iterator[_Library]:
    library = _Library()
    with library.held:
        yield library


@pytest.fixture
def redis_cluster(_clusters: _Library) -> Iterator[RedisCluster]:
    """Three masters with a replica each, empty and whole; shared until a test damages it.

    Its own methods tell it about faults; a test that changes the servers' configuration or faults
    them itself calls `touch`.
    """
    cluster = _clusters.lend()
    yield cluster
    _clusters.take_back(cluster)
