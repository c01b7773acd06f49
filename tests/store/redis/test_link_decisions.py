"""The pure parts around the pipeline: error replies, the breaker, waits, slots, scripts."""

from __future__ import annotations

import random

import pytest
import redis
import redis.commands
import redis.connection
import redis.crc
import redis.exceptions
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.redis_url import Address
from wsmesh.store.redis.backoff import Backoff
from wsmesh.store.redis.breaker import Breaker
from wsmesh.store.redis.replies import Fate, error_of, fate_of, target_of
from wsmesh.store.redis.scripts import load_script
from wsmesh.store.redis.slots import SLOTS, parse_slots

ASKED = Address("10.0.0.9", 7000)


def test_the_public_names_of_the_redis_package_that_we_rely_on_exist():
    assert redis.connection.parse_url("redis://u:p@h:1/3") | {
        "username": "u", "password": "p", "host": "h", "port": 1, "db": 3,
    } == redis.connection.parse_url("redis://u:p@h:1/3")
    assert redis.crc.key_slot(b"wsmesh:{7}:stream:x") == redis.crc.key_slot(b"7")
    assert redis.exceptions.MovedError("3 10.0.0.1:7001").slot_id == 3
    for name in (
        "AskError", "AuthenticationError", "BusyLoadingError", "ClusterCrossSlotError",
        "ClusterDownError", "ExecAbortError", "MasterDownError", "NoPermissionError",
        "NoScriptError", "OutOfMemoryError", "ReadOnlyError", "ResponseError", "TryAgainError",
    ):
        assert issubclass(getattr(redis.exceptions, name), redis.exceptions.RedisError)
    assert "INFO" in redis.Redis(protocol=3).response_callbacks


@pytest.mark.parametrize(
    ("text", "kind", "shown", "fate"),
    [
        ("ERR unknown command", "ResponseError", "unknown command", Fate.DELIVER),
        ("WRONGTYPE no", "ResponseError", "WRONGTYPE no", Fate.DELIVER),
        ("NOPERM no", "NoPermissionError", "NOPERM no", Fate.DELIVER),
        ("CROSSSLOT no", "ClusterCrossSlotError", "CROSSSLOT no", Fate.DELIVER),
        ("MINE custom", "ResponseError", "MINE custom", Fate.DELIVER),
        ("LOADING wait", "BusyLoadingError", "LOADING wait", Fate.UNAVAILABLE),
        ("OOM full", "OutOfMemoryError", "OOM full", Fate.UNAVAILABLE),
        ("NOREPLICAS no", "ResponseError", "NOREPLICAS no", Fate.UNAVAILABLE),
        ("MISCONF disk", "ResponseError", "MISCONF disk", Fate.UNAVAILABLE),
        ("BUSY script", "ResponseError", "BUSY script", Fate.UNAVAILABLE),
        ("NOAUTH no", "AuthenticationError", "NOAUTH no", Fate.UNAVAILABLE),
        ("READONLY no", "ReadOnlyError", "READONLY no", Fate.DEMOTED),
        ("MASTERDOWN no", "MasterDownError", "MASTERDOWN no", Fate.DEMOTED),
        ("CLUSTERDOWN no", "ClusterDownError", "CLUSTERDOWN no", Fate.UNCOVERED),
        ("TRYAGAIN no", "TryAgainError", "TRYAGAIN no", Fate.TRY_AGAIN),
        ("NOSCRIPT no", "NoScriptError", "NOSCRIPT no", Fate.LOAD_SCRIPT),
        ("MOVED 3 h:1", "MovedError", "3 h:1", Fate.MOVED),
        ("ASK 3 h:1", "AskError", "3 h:1", Fate.ASK),
        ("MOVED nonsense", "ResponseError", "MOVED nonsense", Fate.DELIVER),
    ],
)
def test_an_error_reply_has_the_class_of_the_redis_package_and_a_fate(text, kind, shown, fate):
    error = error_of(text)

    assert type(error) is getattr(redis.exceptions, kind)
    assert str(error) == shown
    assert fate_of(error) is fate


def test_a_redirection_without_a_host_leads_to_the_host_that_gave_it():
    assert target_of(error_of("MOVED 3 :7001"), ASKED) == Address("10.0.0.9", 7001)
    assert target_of(error_of("ASK 3 ::1:7001"), ASKED) == Address("::1", 7001)


def test_the_breaker_opens_at_the_threshold_within_the_window_and_not_before():
    breaker = Breaker()
    assert [breaker.miss(1, now=float(second)) for second in range(5)] == [False] * 4 + [True]
    assert breaker.is_open
    assert not breaker.miss(1, now=5.0)


def test_misses_that_are_older_than_the_window_do_not_count():
    breaker = Breaker()
    for second in (0.0, 1.0, 2.0, 3.0, 10.0):
        assert not breaker.miss(1, now=second)
    assert breaker.miss(1, now=10.5)


def test_many_misses_of_one_moment_open_it():
    assert Breaker().miss(1000, now=0.0)


def test_a_closed_breaker_begins_to_count_again():
    breaker = Breaker()
    breaker.miss(5, now=0.0)
    breaker.close()

    assert not breaker.is_open
    assert not breaker.miss(4, now=0.1)
    assert breaker.miss(1, now=0.2)


@given(st.integers())
def test_waits_grow_to_the_ceiling_and_begin_small_again(seed):
    backoff = Backoff(random.Random(seed))
    bounds = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert all(0 <= backoff.next() <= bound for bound in bounds)
    for _ in range(2000):
        assert backoff.next() <= 1.0
    backoff.reset()
    assert backoff.next() <= 0.05


def node(host: bytes | None, port: int) -> list[object]:
    return [host, port, b"id", []]


def test_the_slot_map_says_who_serves_each_slot():
    found = parse_slots(
        [
            [0, 99, node(b"a", 1), node(b"b", 2)],
            [100, 100, node(None, 3), node(b"?", 4)],
            [101, 200, node(b"?", 9)],
        ],
        ASKED,
    )

    assert len(found.owners) == SLOTS
    assert found.owners[:100] == (Address("a", 1),) * 100
    assert found.owners[100] == Address("10.0.0.9", 3)
    assert set(found.owners[101:]) == {None}
    assert found.masters == {Address("a", 1), Address("10.0.0.9", 3)}
    assert found.replicas == {Address("b", 2)}
    assert not found.is_complete
    assert parse_slots([[0, SLOTS - 1, node(b"a", 1)]], ASKED).is_complete


@pytest.mark.parametrize("reply", [None, 7, [1], [[0]], [[0, 1, []]], [[0, b"x", node(b"a", 1)]]])
def test_what_is_no_slot_map_is_refused(reply):
    with pytest.raises(ValueError, match="CLUSTER SLOTS"):
        parse_slots(reply, ASKED)


def test_a_script_has_the_digest_that_redis_gives_it(redis_server):
    script = load_script("session_close")

    assert redis_server.admin.script_load(script.source) == script.sha
    assert script.source not in repr(script)


def test_a_script_may_be_in_another_package():
    script = load_script("wsmesh.cluster", "node_leave")
    assert script.name == "node_leave"


def test_a_script_that_does_not_exist_is_an_error():
    with pytest.raises(FileNotFoundError):
        load_script("no_such_script")
