"""Defaults, file, variables, command line: who wins, and that each value's origin is known."""

from __future__ import annotations

import pytest

from tests.config.known import STRATEGIES
from wsmesh.config.loading import load
from wsmesh.config.sections import Config
from wsmesh.errors import ConfigError


def test_nothing_said_is_the_default():
    loaded = load(None, {}, {}, strategies=STRATEGIES)

    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.path is None
    assert loaded.advice == ()


def test_a_variable_beats_the_file_and_the_file_beats_the_default(load_text, file):
    loaded = load_text(
        'node.max_connections = 5\nnode.name = "a"', {"WSMESH_NODE_MAX_CONNECTIONS": "6"}
    )

    assert loaded.config.node.max_connections == 6
    assert loaded.config.node.name == "a"
    assert loaded.origins["node.max_connections"] == "WSMESH_NODE_MAX_CONNECTIONS"
    assert loaded.origins["node.name"] == str(file)
    assert loaded.origins["node.node_timeout"] == "default"


def test_a_variable_replaces_a_fault_of_the_file(load_text):
    loaded = load_text('node.max_connections = "x"', {"WSMESH_NODE_MAX_CONNECTIONS": "6"})

    assert loaded.config.node.max_connections == 6


def test_a_variable_does_not_hide_that_its_table_is_none(faults_of):
    told = faults_of("client = 5", {"WSMESH_CLIENT_TOKEN_ISSUER": "me"})

    assert told == ["FILE: client: expected a table, found an integer"]


def test_host_and_port_beat_everything(load_text):
    loaded = load_text("", {"WSMESH_LISTENERS": '[{"address": "[::1]:1", "backlog": 7}]'}, port=9)

    assert loaded.config.listeners[0].address == "[::1]:9"
    assert loaded.config.listeners[0].backlog == 7
    assert loaded.origins["listeners[0].address"] == "--port"
    assert loaded.origins["listeners[0].backlog"] == "WSMESH_LISTENERS"


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.0.0.1", "10.0.0.1:8000"), ("::1", "[::1]:8000"), ("[::1]", "[::1]:8000"),
     ("localhost", "localhost:8000")],
)
def test_a_host_alone_keeps_the_port(load_text, host, address):
    loaded = load_text("", host=host)

    assert loaded.config.listeners[0].address == address
    assert loaded.origins["listeners[0].address"] == "--host"


@pytest.mark.parametrize(
    ("text", "overrides", "told"),
    [
        ("listeners = []", {"port": 1}, "--port: expected one listener to change, found 0"),
        ("listeners = [{}, {address = '[::1]:8000'}]", {"host": "::1", "port": 1},
         "--host --port: expected one listener to change, found 2"),
        ("listeners = [{address = 'unix:/a'}]", {"port": 1},
         "--port: expected a TCP listener to change, found unix:/a"),
        ("", {"host": "a b"},
         '--host: expected HOST:PORT such as "127.0.0.1:8000", "[::1]:8000" or '
         '"unix:/path/to.sock", found "a b:8000"'),
    ],
)
def test_host_and_port_that_fit_no_listener_are_refused(faults_of, text, overrides, told):
    assert told in faults_of(text, **overrides)


def test_the_file_may_be_named_by_a_variable(file):
    file.write_text('node.name = "b"')

    loaded = load(None, {"WSMESH_CONFIG": str(file)}, {}, strategies=STRATEGIES)

    assert loaded.config.node.name == "b"
    assert loaded.path == file


def test_a_named_file_beats_the_variable(file, tmp_path):
    file.write_text('node.name = "b"')

    loaded = load(file, {"WSMESH_CONFIG": str(tmp_path / "nope")}, {}, strategies=STRATEGIES)

    assert loaded.path == file


def test_a_file_that_cannot_be_read_is_told_beside_the_other_faults(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nope", {"WSMESH_NODE_DEV": "5"}, {}, strategies=STRATEGIES)

    assert caught.value.faults == (
        f"{tmp_path / 'nope'}: cannot be read: No such file or directory",
        'WSMESH_NODE_DEV: expected true or false, found "5"',
    )
