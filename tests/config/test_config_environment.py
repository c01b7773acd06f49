"""`WSMESH_*` variables: every option has one, and its text is read by the option's kind."""

from __future__ import annotations

import pytest

from wsmesh.config import environment
from wsmesh.config.options import options_of
from wsmesh.config.sections import Config, Listener


def test_every_option_has_a_variable_of_its_own():
    names = environment.variables()

    assert len(names) == len(list(options_of(Config))) > 100
    assert names["WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY"].path == (
        "client", "token", "hmac_secret_key",
    )
    assert "WSMESH_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE" in names


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("WSMESH_NODE_MAX_CONNECTIONS", "80", "node.max_connections", 80),
        ("WSMESH_NODE_NAME", "80", "node.name", "80"),
        ("WSMESH_NODE_DEV", "TRUE", "node.dev", True),
        ("WSMESH_HEALTH_ENABLED", "0", "health.enabled", False),
        ("WSMESH_HEALTH_ENABLED", "off", "health.enabled", False),
        ("WSMESH_LIMITS_MESSAGE_RATE", "1.5", "limits.message_rate", 1.5),
        ("WSMESH_CLIENT_PING_INTERVAL", "1m30s", "client.ping_interval", 90.0),
        ("WSMESH_CLIENT_PING_INTERVAL", "90", "client.ping_interval", 90.0),
        ("WSMESH_CLIENT_PONG_TIMEOUT", ".5", "client.pong_timeout", 0.5),
        ("WSMESH_LIMITS_MESSAGE_SIZE", "1MiB", "limits.message_size", 2**20),
        ("WSMESH_LIMITS_MESSAGE_SIZE", "512", "limits.message_size", 512),
        ("WSMESH_CLIENT_ALLOWED_ORIGINS", '["*"]', "client.allowed_origins", ("*",)),
    ],
)
def test_a_variable_is_read_by_the_kind_of_its_option(load_text, name, text, path, value):
    loaded = load_text("", {name: text})

    found = loaded.config
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)
    assert loaded.origins[path] == name


def test_arrays_of_tables_are_json(load_text):
    loaded = load_text("", {"WSMESH_LISTENERS": '[{"address": "[::1]:1", "backlog": 5}]'})

    assert loaded.config.listeners == (Listener(address="[::1]:1", backlog=5),)
    assert loaded.origins["listeners[0].address"] == "WSMESH_LISTENERS"
    assert loaded.origins["listeners[0].tls"] == "default"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("WSMESH_NODE_MAX_CONNECTIONS", "many", 'expected an integer, found "many"'),
        ("WSMESH_NODE_MAX_CONNECTIONS", "1_0", 'expected an integer, found "1_0"'),
        ("WSMESH_NODE_MAX_CONNECTIONS", "", 'expected an integer, found ""'),
        ("WSMESH_NODE_MAX_CONNECTIONS", "0",
         "node.max_connections: expected at least 1, found 0"),
        ("WSMESH_NODE_DEV", "2", 'expected true or false, found "2"'),
        ("WSMESH_LIMITS_MESSAGE_RATE", "1_0", 'expected a number, found "1_0"'),
        ("WSMESH_LIMITS_MESSAGE_RATE", "nan", 'expected a number, found "nan"'),
        ("WSMESH_LISTENERS", "{}", "expected an array written as JSON, found a table"),
        ("WSMESH_LISTENERS", '[{"adress": ""}]',
         "listeners[0].adress: unknown option, did you mean address?"),
        ("WSMESH_LISTENERS", '[{"address": "x"}]',
         'listeners[0].address: expected HOST:PORT such as "127.0.0.1:8000", "[::1]:8000" or '
         '"unix:/path/to.sock", found "x"'),
        ("WSMESH_CLIENT_PING_INTERVL", "5s",
         "unknown option, did you mean WSMESH_CLIENT_PING_INTERVAL?"),
        ("WSMESH_PORT", "9000", "unknown option, did you mean --port or WSMESH_LISTENERS?"),
        ("WSMESH_ZZZ", "", "unknown option"),
        ("WSMESH_NODE_NAME", "\udcff", "node.name: expected UTF-8 text, found other bytes"),
        ("WSMESH_HTTP_API_KEY", "\udcff", "http_api.key: expected UTF-8 text, found other bytes"),
    ],
)
def test_a_fault_names_the_variable(faults_of, name, text, told):
    assert faults_of("", {name: text}) == [f"{name}: {told}"]


def test_broken_json_says_where(faults_of):
    (told,) = faults_of("", {"WSMESH_CLIENT_ALLOWED_ORIGINS": "*"})

    assert told.startswith("WSMESH_CLIENT_ALLOWED_ORIGINS: expected an array written as JSON: ")


def test_variables_that_kubernetes_makes_for_a_service_are_ignored(load_text):
    loaded = load_text("", {
        "WSMESH_SERVICE_HOST": "10.0.0.1",
        "WSMESH_SERVICE_PORT": "8000",
        "WSMESH_SERVICE_PORT_HTTP": "8000",
        "WSMESH_PORT": "tcp://10.0.0.1:8000",
        "WSMESH_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "WSMESH_PORT_8000_TCP_ADDR": "10.0.0.1",
        "WSMESH_HEADLESS_SERVICE_HOST": "10.0.0.2",
    })

    assert loaded.config == Config()


def test_variables_of_others_are_not_looked_at(load_text):
    assert load_text("", {"HOME": "/", "XWSMESH_NODE_DEV": "5"}).config == Config()
