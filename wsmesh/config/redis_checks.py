"""What is wrong with `[redis]` although each option is right by itself."""

from __future__ import annotations

from collections.abc import Iterator

from wsmesh.config.faults import Fault
from wsmesh.config.redis_url import EMBEDDED, Deployment, RedisURL, parse_redis_url
from wsmesh.config.sections import Config
from wsmesh.config.values import quoted


def redis_faults(config: Config) -> Iterator[Fault]:
    """Yield the faults of `[redis]`; without a url nothing else there matters."""
    redis = config.redis
    if not redis.prefix or set(redis.prefix) & set("{}") or not redis.prefix.isprintable():
        yield Fault(
            "redis.prefix",
            f"expected printable characters without braces, found {quoted(redis.prefix)}",
        )
    if redis.url in ("", EMBEDDED):
        return
    try:
        target = parse_redis_url(redis.url)
    except ValueError as exc:
        yield Fault("redis.url", str(exc))
        return
    yield from _tls_faults(config, target)
    if target.deployment is not Deployment.SENTINEL and (
        redis.sentinel_username or redis.sentinel_password
    ):
        yield Fault(
            "redis.sentinel_password", "expected nothing: redis.url names no sentinels",
            ("redis.url", "redis.sentinel_username"),
        )


def _tls_faults(config: Config, target: RedisURL) -> Iterator[Fault]:
    redis = config.redis
    given = [
        name for name in ("tls_ca", "tls_certificate", "tls_key", "tls_server_name")
        if getattr(redis, name)
    ]
    if given and not target.tls:
        yield Fault(
            f"redis.{given[0]}", "expected nothing: redis.url does not begin with rediss",
            ("redis.url",),
        )
    if bool(redis.tls_certificate) != bool(redis.tls_key):
        lacking = "tls_key" if redis.tls_certificate else "tls_certificate"
        yield Fault(
            f"redis.{lacking}", "expected a file: a certificate and its key go together",
            ("redis.tls_certificate", "redis.tls_key"),
        )
