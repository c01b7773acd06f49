"""The Redis store keeps the contract of stores, with several nodes on one Redis or one Cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
import trio
from hypothesis import given, settings

from tests.contracts.store import StoreContract
from tests.contracts.store_cluster import Cluster
from tests.contracts.store_model import Step, follow, scripts
from tests.servers.cluster import RedisCluster
from tests.servers.standalone import RedisServer, running_redis
from tests.store.redis.store_nodes import running_nodes, section_of


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


class TestRedisStore(StoreContract):
    @pytest.fixture
    async def cluster(self, server: RedisServer) -> AsyncGenerator[Cluster]:
        async with running_nodes(section_of(server.url), 3, [server.admin]) as cluster:
            yield cluster


@pytest.mark.slow
class TestRedisStoreInCluster(StoreContract):
    @pytest.fixture
    async def cluster(self, redis_cluster: RedisCluster) -> AsyncGenerator[Cluster]:
        admins = [server.admin for server in redis_cluster.masters]
        async with running_nodes(section_of(redis_cluster.url), 3, admins) as cluster:
            yield cluster


@settings(deadline=None, max_examples=60)
@given(script=scripts)
def test_it_does_what_a_plain_list_would_do(server: RedisServer, script: list[Step]) -> None:
    async def run() -> None:
        async with running_nodes(section_of(server.url), 1, [server.admin]) as cluster:
            await follow(cluster, script)

    trio.run(run)
