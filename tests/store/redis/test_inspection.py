"""What a node says of the Redis that it was given."""

from __future__ import annotations

import random
from typing import Any

import pytest
from structlog.testing import capture_logs

from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Secret
from wsmesh.errors import ConfigError
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.inspection import inspect


class OldRedis:
    """Answers INFO as a release that is too old does."""

    async def execute(self, *command: Any, **options: Any) -> bytes:
        return b"# Server\r\nredis_version:6.2.14\r\nos:Linux\r\n"


async def test_a_redis_that_throws_keys_away_is_warned_of(redis_server: Any) -> None:
    section = RedisSection(url=redis_server.url)
    async with open_redis(section, rng=random.Random(1)) as redis:
        with capture_logs() as quiet:
            await inspect(redis)
        assert "redis.evicts" not in [each["event"] for each in quiet]
        redis_server.admin.config_set("maxmemory-policy", "allkeys-lru")
        with capture_logs() as said:
            await inspect(redis)
    (warning,) = [each for each in said if each["event"] == "redis.evicts"]
    assert warning["maxmemory_policy"] == "allkeys-lru"
    assert "noeviction" in warning["advice"]


async def test_a_redis_that_is_too_old_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"redis\.url: expected Redis 7\.0 or later, found 6\.2"):
        await inspect(OldRedis())  # type: ignore[arg-type]  # there is no such server here


async def test_a_user_that_may_not_call_info_is_told_so(redis_server: Any) -> None:
    redis_server.admin.acl_setuser(
        "limited", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"],
        commands=["+@all", "-info"],
    )
    section = RedisSection(url=redis_server.url, username="limited", password=Secret("pw"))
    async with open_redis(section, rng=random.Random(1)) as redis:
        with pytest.raises(ConfigError, match=r"redis\.username: may not call INFO.*\+info"):
            await inspect(redis)
