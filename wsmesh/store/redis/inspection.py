"""What a node looks at before it trusts a Redis: its release, and whether it throws keys away."""

from __future__ import annotations

import structlog
from redis.exceptions import ResponseError

from wsmesh.errors import ConfigError
from wsmesh.store.redis.client import Redis

OLDEST = (7, 0)
"""Sharded pub/sub and everything the scripts use is there from here on."""

log = structlog.get_logger("wsmesh.redis")


async def inspect(redis: Redis) -> None:
    """Look at one server; say in the log what an operator should change.

    :raises ConfigError: Redis is too old, or its user may not read what streams depend on.
    :raises StoreUnavailable: it does not answer.
    """
    try:
        facts = _facts(await redis.execute("INFO", "everything", idempotent=True))
    except ResponseError as error:
        raise ConfigError(
            "configuration",
            [
                "redis.username: may not call INFO, which tells whether a fail-over lost the end "
                f"of a stream: allow it with +info ({error})"
            ],
        ) from error
    version = facts.get("valkey_version") or facts.get("redis_version", "")
    release = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if release and release < OLDEST:
        raise ConfigError(
            "configuration",
            [f"redis.url: expected Redis {OLDEST[0]}.{OLDEST[1]} or later, found {version}"],
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        log.warning(
            "redis.evicts", maxmemory_policy=policy,
            advice="streams, sessions and presence may vanish when memory is short: "
            "set maxmemory-policy noeviction",
        )


def _facts(text: bytes | str) -> dict[str, str]:
    lines = (text.decode(errors="replace") if isinstance(text, bytes) else text).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
