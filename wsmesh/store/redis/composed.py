"""The store's scripts, put together from what they share; and what their refusals mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.scripts import Script, load_script


def _compose(shared: str, name: str) -> Script:
    return Script(name, load_script(shared).source + "\n" + load_script(name).source)


PUBLISH = _compose("stream_meta", "publish")
READ = _compose("stream_meta", "read")
TOPS = _compose("stream_meta", "tops")
PUBLISH_ONCE = load_script("publish_once")
QUARANTINE = load_script("quarantine")
ADD_PRESENCE = _compose("presence_clock", "presence_add")
REMOVE_PRESENCE = _compose("presence_clock", "presence_remove")
READ_PRESENCE = _compose("presence_clock", "presence_read")
EVICT_PRESENCE = _compose("presence_clock", "presence_evict")
ANNOUNCE = load_script("announce")


def milliseconds(seconds: float) -> int:
    """Return seconds in Redis's unit, at least 1: 0 would delete what it is the lifetime of."""
    return max(1, round(seconds * 1000))


def refusal(error: Exception) -> StoreUnavailable:
    """Return the failure that whoever asked the store gets for an error of the link."""
    if isinstance(error, StoreUnavailable):
        return error
    return StoreUnavailable(f"Redis refused: {error}")


@contextmanager
def refusals() -> Iterator[None]:
    """Raise `StoreUnavailable` for whatever Redis refuses within the block."""
    try:
        yield
    except RedisError as error:
        raise refusal(error) from error
