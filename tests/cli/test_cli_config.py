"""`config check`, `config print`, `config default` as an operator uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsmesh.config.loading import load
from wsmesh.config.sections import Config

SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"


def test_check_says_that_a_file_is_good(invoke):
    Path("wsmesh.toml").write_text("node.max_connections = 5")

    result = invoke("config", "check", "--config", "wsmesh.toml")

    assert result.exit_code == 0
    assert result.stdout.startswith("wsmesh.toml: ok, 1 of ")
    assert result.stderr == ""


def test_check_tells_every_fault_in_a_line_and_ends_with_2(invoke):
    Path("wsmesh.toml").write_text(
        "client.ping_intervl = 5\n[node]\nmax_connections = '80'\nnode_timeout = '1s'\n"
    )

    result = invoke("config", "check", "-c", "wsmesh.toml", WSMESH_LOG_LEVEL="loud")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "wsmesh: wsmesh.toml: client.ping_intervl: unknown option, did you mean ping_interval?",
        'wsmesh: wsmesh.toml: node.max_connections: expected an integer, found "80"',
        'wsmesh: WSMESH_LOG_LEVEL: log.level: expected one of "debug", "info", "warning", '
        '"error", found "loud"',
        "wsmesh: wsmesh.toml: node.node_timeout: expected more than node.heartbeat_interval, at "
        "best three times 5s, found 1s",
    ]


@pytest.mark.parametrize("command", [["config", "print"], ["run"], [], ["token"], ["publish", "a",
                                                                                "1"]])
def test_every_command_refuses_a_faulty_configuration_alike(invoke, command):
    Path("wsmesh.toml").write_text("clinet = 5")

    result = invoke("--config", "wsmesh.toml", *command)

    assert result.exit_code == 2
    assert result.stderr == (
        "wsmesh: wsmesh.toml: clinet: unknown option, did you mean client?\n"
    )


def test_check_notes_what_should_be_looked_at(invoke):
    result = invoke("config", "check", WSMESH_NODE_NODE_TIMEOUT="6s")

    assert result.exit_code == 0
    assert "note: node.node_timeout: 6s is less than twice" in result.stderr


@pytest.mark.parametrize("place", ["before", "after", "variable"])
def test_the_file_is_named_before_or_after_the_command_or_by_a_variable(invoke, place):
    Path("a.toml").write_text("node.name = 'found'")
    result = {
        "before": lambda: invoke("--config", "a.toml", "config", "print"),
        "after": lambda: invoke("config", "print", "--config", "a.toml"),
        "variable": lambda: invoke("config", "print", WSMESH_CONFIG="a.toml"),
    }[place]()

    assert '= "found"' in result.stdout


def test_print_shows_values_with_their_origins_and_no_secrets(invoke):
    Path("a.toml").write_text(f"http_api.key = '{SECRET}'\nclient.ping_interval = 90")

    result = invoke(
        "config", "print", "-c", "a.toml", "--dev", "--port", "9",
        WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY="env:JWT", JWT=SECRET,
    )
    lines = {line.split()[0]: " ".join(line.split()[2:]) for line in result.stdout.splitlines()}

    assert SECRET not in result.output
    assert lines["http_api.key"] == '"********" # a.toml'
    assert lines["client.token.hmac_secret_key"] == (
        '"********" # WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY'
    )
    assert lines["client.ping_interval"] == '"90s" # a.toml'
    assert lines["listeners[0].address"] == '"127.0.0.1:9" # --port'
    assert lines["http_api.insecure"] == "true # --dev"
    assert lines["node.node_timeout"] == '"15s" # default'


def test_print_as_json_has_the_same_facts(invoke):
    result = invoke("config", "print", "--json", WSMESH_LIMITS_MESSAGE_SIZE="128KiB")
    facts = json.loads(result.stdout)

    assert facts["limits.message_size"] == {
        "value": "128KiB", "origin": "WSMESH_LIMITS_MESSAGE_SIZE",
    }
    assert facts["client.allowed_origins"] == {"value": [], "origin": "default"}
    assert facts["node.dev"] == {"value": False, "origin": "default"}


def test_default_is_a_file_that_loads_as_the_defaults(invoke):
    Path("new.toml").write_text(invoke("config", "default").stdout)

    assert load(Path("new.toml"), {}, {}).config == Config()
    assert invoke("config", "check", "-c", "new.toml").exit_code == 0
