"""Options take values of their own kind and no other, and every fault is told at once."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('node.max_connections = "80"', 'node.max_connections: expected an integer, found "80"'),
        ("node.max_connections = 80.0", "node.max_connections: expected an integer, found 80.0"),
        ("node.max_connections = true", "node.max_connections: expected an integer, found true"),
        (f"node.max_connections = {10**19}",
         "node.max_connections: expected an integer of at most 64 bits, found a longer one"),
        ("node.name = 5", "node.name: expected a string, found 5"),
        ("node.name = 2026-01-01", "node.name: expected a string, found a date"),
        ('node.dev = "true"', 'node.dev: expected true or false, found "true"'),
        ("node.dev = 1", "node.dev: expected true or false, found 1"),
        ("limits.message_rate = true", "limits.message_rate: expected a number, found true"),
        ("limits.message_rate = nan", "limits.message_rate: expected a finite number, found nan"),
        ("limits.message_rate = inf", "limits.message_rate: expected a finite number, found inf"),
        ('limits.message_size = "64kib"',
         'limits.message_size: expected a size such as "64KiB" or "10MB", or a number of bytes, '
         'found "64kib"'),
        ("limits.message_size = 1.5",
         'limits.message_size: expected a size such as "64KiB" or "10MB", or a number of bytes, '
         "found 1.5"),
        ('client.ping_interval = "5"',
         'client.ping_interval: expected a duration such as "5s", "250ms" or "1m30s", or a number '
         'of seconds, found "5"'),
        ("client.ping_interval = nan",
         'client.ping_interval: expected a duration such as "5s", "250ms" or "1m30s", or a number '
         "of seconds, found nan"),
        ("client.ping_interval = -1",
         'client.ping_interval: expected a duration such as "5s", "250ms" or "1m30s", or a number '
         "of seconds, found -1"),
        ("client.allowed_origins = '*'",
         'client.allowed_origins: expected an array of strings, found "*"'),
        ("client.allowed_origins = ['*', 5]",
         "client.allowed_origins[1]: expected a string, found 5"),
        ("listeners = {}", "listeners: expected an array of tables, found a table"),
        ("listeners = [5]", "listeners[0]: expected a table, found an integer"),
        ("client = 5", "client: expected a table, found an integer"),
        ("node.max_connections = 0", "node.max_connections: expected at least 1, found 0"),
        ("batch.delay = 2", "batch.delay: expected 0s to 1s, found 2s"),
        ("limits.message_size = 127", "limits.message_size: expected at least 128B, found 127B"),
        ('log.level = "loud"',
         'log.level: expected one of "debug", "info", "warning", "error", found "loud"'),
    ],
)
def test_a_value_of_another_kind_is_told_with_what_was_expected_and_found(faults_of, text, told):
    assert faults_of(text) == [f"FILE: {told}"]


def test_numbers_are_seconds_and_bytes_and_integers_are_numbers(load_text):
    config = load_text(
        "client.ping_interval = 30\nclient.pong_timeout = 0.5\n"
        "limits.message_size = 128\nlimits.message_rate = 7"
    ).config

    assert config.client.ping_interval == 30.0
    assert config.client.pong_timeout == 0.5
    assert config.limits.message_size == 128
    assert config.limits.message_rate == 7.0
    assert isinstance(config.limits.message_rate, float)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("client.ping_intervl = 5", "client.ping_intervl: unknown option, did you mean "
                                    "ping_interval?"),
        ("ping_interval = 5", "ping_interval: unknown option, did you mean client.ping_interval?"),
        ("clent.x = 5", "clent: unknown option, did you mean client?"),
        ("zzz = 5", "zzz: unknown option"),
        ("[[listeners]]\nadress = 'x'", "listeners[0].adress: unknown option, did you mean "
                                        "address?"),
    ],
)
def test_an_unknown_option_comes_with_the_nearest_known_name(faults_of, text, hint):
    assert faults_of(text) == [f"FILE: {hint}"]


def test_every_fault_is_told_at_once_even_within_one_table(faults_of):
    told = faults_of("""
        [client]
        ping_intervl = "5s"
        ping_interval = true
        pong_timeout = "abc"
        channel_limit = 0
        allowed_origins = [5, "https://a.example/path"]
        [client.token]
        leeway = "1h"
        jwks_cache_ttl = 0
        [[channel.namespaces]]
        name = "a b"
        presence = 1
        slow_consumer = "drop"
        [[channel.namespaces]]
        history_size = -1
        [balancer]
        strategy = "rnig"
        """, {"WSMESH_NODE_DEV": "perhaps", "WSMESH_NODE_DEVV": "1"})

    assert sorted(line.split(": ")[1] for line in told if line.startswith("FILE")) == [
        "balancer.strategy",
        "channel.namespaces[0].name",
        "channel.namespaces[0].presence",
        "channel.namespaces[0].slow_consumer",
        "channel.namespaces[1].history_size",
        "client.allowed_origins[0]",
        "client.allowed_origins[1]",
        "client.channel_limit",
        "client.ping_interval",
        "client.ping_intervl",
        "client.pong_timeout",
        "client.token.jwks_cache_ttl",
        "client.token.leeway",
    ]
    assert any(line.startswith("channel.namespaces[1].name: ") for line in told)
    assert [line.split(":")[0] for line in told if line.startswith("WSMESH_")] == [
        "WSMESH_NODE_DEV", "WSMESH_NODE_DEVV",
    ]
    assert len(told) == len(set(told))


def test_an_option_with_a_fault_is_not_blamed_again_by_checks_that_rest_on_it(faults_of):
    told = faults_of("[node]\nheartbeat_interval = 'often'\nnode_timeout = '1s'\n")

    assert len(told) == 1
    assert told[0].startswith("FILE: node.heartbeat_interval: ")


def test_faults_do_not_show_what_may_be_a_secret(faults_of):
    told = "\n".join(faults_of("""
        http_api.key = ["hunter2-hunter2"]
        http_api.kye = "hunter2-hunter2"
        client.token = "hunter2-hunter2"
        client.subscription_token.hmac_secret_key = "hunter2"
        """))

    assert told.count("\n") == 3
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"client = [", "expected TOML: "),
        (b"a = 1\na = 2", "expected TOML: Cannot overwrite a value"),
        (b"\xff", "expected UTF-8 text, found other bytes at 0"),
        (b"a = " + b"[" * 20_000, "expected TOML, found arrays or tables nested too deep"),
        (b"a = " + b"1" * 5000, "expected TOML: "),
        (b"#" * (4 * 1024 * 1024 + 1), "expected at most 4MiB, found more"),
    ],
)
def test_a_file_that_is_not_toml_is_one_line(tmp_path, content, told):
    from wsmesh.config.toml import read_toml

    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^expected") as caught:
        read_toml(path)

    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)
