"""The state of the link at one moment, for metrics."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve, frozen

from wsmesh.store.redis.master import Master
from wsmesh.store.redis.subscriber import Subscriber
from wsmesh.store.redis.totals import Totals
from wsmesh.store.redis.upkeep import State


@frozen(kw_only=True)
class RedisStatistics:
    """Gauges of the connections to the masters known now, and counters of all there ever were.

    :ivar connected: links that are up; pub/sub connections are not counted.
    :ivar links: links there are.
    :ivar breakers_open: masters whose circuit breaker is open.
    :ivar in_flight: operations queued or unanswered.
    :ivar channels: shard channels held.
    :ivar missing: those of them that are not heard now.
    :ivar is_whole: there are none of these.
    """

    masters: int
    connected: int
    links: int
    breakers_open: int
    in_flight: int
    channels: int
    missing: int
    is_whole: bool
    totals: Totals


def statistics_of(
    masters: Collection[Master], subscriber: Subscriber, totals: Totals
) -> RedisStatistics:
    """Return the sums over all links."""
    links = [link for master in masters for link in master.links.values()]
    return RedisStatistics(
        masters=len(masters),
        connected=sum(link.upkeep.state is State.UP for link in links),
        links=len(links),
        breakers_open=sum(master.breaker.is_open for master in masters),
        in_flight=sum(link.in_flight for link in links),
        channels=len(subscriber.held),
        missing=subscriber.missing,
        is_whole=subscriber.is_whole,
        totals=evolve(totals),
    )
