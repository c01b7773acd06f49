"""Dev mode: everything is open, on loopback only, and what the operator set stays."""

from __future__ import annotations

import attrs
import pytest

from tests.config.known import STRATEGIES
from wsmesh.config import dev
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.checks import check
from wsmesh.config.sections import Config


def test_dev_mode_opens_everything_and_holds_together():
    config = dev.apply(Config())
    options = config.channel.without_namespace

    assert config.node.dev
    assert config.client.allow_anonymous_connect_without_token
    assert config.client.allowed_origins == ("*",)
    assert config.http_api.insecure
    assert config.endpoints.uni_websocket
    assert config.endpoints.raw_websocket
    assert (options.history_size, options.history_ttl) == (100, 300.0)
    assert options.presence
    assert options.join_leave
    assert options.force_recovery
    allowed = [a.name for a in attrs.fields(ChannelOptions) if a.name.startswith("allow_")]
    assert [name for name in allowed if not getattr(options, name)] == []
    assert check(config, STRATEGIES) == []


def test_nothing_is_open_without_dev_mode():
    config = Config()

    assert not config.client.allow_anonymous_connect_without_token
    assert not config.http_api.insecure
    assert not config.channel.without_namespace.allow_subscribe_for_client


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ({"dev": True}, "--dev"),
        ({"environ": {"WSMESH_NODE_DEV": "1"}}, "node.dev"),
        ({"text": "node.dev = true"}, "node.dev"),
    ],
)
def test_dev_mode_is_the_origin_of_what_it_changes(load_text, said, origin):
    loaded = load_text(**said)

    assert loaded.config.http_api.insecure
    assert loaded.origins["http_api.insecure"] == origin
    assert loaded.origins["channel.without_namespace.history_size"] == origin
    assert loaded.origins["client.ping_interval"] == "default"


def test_dev_mode_leaves_what_the_operator_set_and_says_so(load_text):
    loaded = load_text("""
        http_api.insecure = false
        [channel.without_namespace]
        allow_publish_for_client = false
        history_size = 7
        history_ttl = "1s"
        """, dev=True)
    options = loaded.config.channel.without_namespace

    assert not loaded.config.http_api.insecure
    assert not options.allow_publish_for_client
    assert (options.history_size, options.history_ttl) == (7, 1.0)
    assert options.force_recovery
    assert options.allow_publish_for_subscriber
    (advice,) = loaded.advice
    assert advice.startswith("dev mode leaves as you set it: ")
    assert "channel.without_namespace.allow_publish_for_client" in advice


def test_dev_mode_opens_namespaces_too(load_text):
    loaded = load_text("[[channel.namespaces]]\nname = 'chat'\npresence = false", dev=True)
    (chat,) = loaded.config.channel.namespaces

    assert chat.name == "chat"
    assert chat.force_recovery
    assert chat.history_size == 100
    assert not chat.presence
    assert loaded.origins["channel.namespaces[0].history_size"] == "--dev"


@pytest.mark.parametrize(
    "text",
    ["history_size = 0", "history_ttl = 0", "slow_consumer = 'drop_oldest'"],
)
def test_dev_mode_forces_no_recovery_where_the_operator_rules_it_out(load_text, text):
    options = load_text(f"channel.without_namespace.{text}", dev=True).config.channel

    assert not options.without_namespace.force_recovery
    assert options.without_namespace.allow_subscribe_for_client


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com"])
def test_dev_mode_refuses_addresses_that_others_can_reach(faults_of, host):
    (told,) = faults_of("", dev=True, host=host)

    assert told.startswith("--host: listeners[0].address: expected a loopback address")
    assert host in told


@pytest.mark.parametrize("address", ["127.0.0.2:1", "[::1]:1", "localhost:1", "unix:/tmp/a"])
def test_dev_mode_takes_addresses_of_this_machine(load_text, address):
    assert load_text(f"listeners = [{{address = '{address}'}}]", dev=True).config.node.dev
