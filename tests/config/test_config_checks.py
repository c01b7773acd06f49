"""Checks across options: each contradiction is told at the option to change, and no other is."""

from __future__ import annotations

import attrs
import pytest

from tests.config.known import STRATEGIES
from wsmesh.config.checks import advise, check
from wsmesh.config.sections import Config, NodeSection
from wsmesh.config.strategies import installed
from wsmesh.config.values import Seconds
from wsmesh.errors import ConfigError
from wsmesh.security.origins import OriginPolicy

CONTRADICTIONS = [
    ("node.node_timeout = '5s'", "node.node_timeout",
     "expected more than node.heartbeat_interval, at best three times 5s, found 5s"),
    ("scaling.scale_down_threshold = 0.8", "scaling.scale_down_threshold",
     "expected less than scaling.scale_up_threshold, 0.8, found 0.8"),
    ("scaling.min_nodes = 11", "scaling.min_nodes",
     "expected at most scaling.max_nodes, 10, found 11"),
    ("client.pong_timeout = '25s'", "client.pong_timeout",
     "expected less than client.ping_interval, 25s, found 25s"),
    ("client.presence_ttl = '27s'", "client.presence_ttl",
     "expected more than client.presence_update_interval, 27s, found 27s"),
    ("limits.http_header_line = '17KiB'", "limits.http_header_line",
     "expected at most limits.http_head_size, 16KiB, found 17KiB"),
    ("limits.send_queue_total = '512KiB'", "limits.send_queue_total",
     "expected at least limits.send_queue_bytes, 1MiB, found 512KiB"),
    ("listeners = []", "listeners", "expected at least one listener, found none"),
    ("listeners = [{}, {}]", "listeners[1].address",
     "expected an address of its own, found that of listeners[0]: 127.0.0.1:8000"),
    ("http_api.insecure = true", "http_api.insecure",
     "expected false outside dev mode, found true"),
    ("proxy.trusted_proxies = ['10.0.0.1/8']", "proxy.trusted_proxies[0]",
     'expected a network such as "10.0.0.0/8" or "::1/128", found "10.0.0.1/8", did you mean '
     "10.0.0.0/8?"),
    ("proxy.trusted_proxies = ['::1', 'lb.example']", "proxy.trusted_proxies[1]",
     'expected a network such as "10.0.0.0/8" or "::1/128", found "lb.example"'),
    ("balancer.strategy = 'p2cc'", "balancer.strategy",
     'expected one of bounded_load, p2c, ring_hash, round_robin, found "p2cc", did you mean p2c?'),
    ("failover.strategy = 'none'", "failover.strategy",
     'expected one of redispatch, spread, found "none"'),
    ("app.module = 'service'", "app.module", 'expected "package.module:app", found "service"'),
    ("channel.namespaces = [{name = 'a'}, {name = 'a'}]", "channel.namespaces[1].name",
     'expected a name of its own, found that of channel.namespaces[0]: "a"'),
    ("channel.namespaces = [{name = 'a:b'}]", "channel.namespaces[0].name",
     "expected a name of letters, digits, '-', '_' and '.', found \"a:b\""),
    ("channel.without_namespace.history_size = 1", "channel.without_namespace.history_ttl",
     "expected a duration above 0, because channel.without_namespace.history_size is set, "
     "found 0s"),
    ("channel.without_namespace.history_ttl = 1", "channel.without_namespace.history_size",
     "expected at least 1, because channel.without_namespace.history_ttl is set, found 0"),
    ("channel.without_namespace.force_recovery = true", "channel.without_namespace.force_recovery",
     "expected history_size and history_ttl beside it, found no history"),
    ("channel.namespaces = [{name = 'a', allow_positioning = true}]",
     "channel.namespaces[0].allow_positioning",
     "expected history_size and history_ttl beside it, found no history"),
    ("channel.without_namespace = {history_size = 1, history_ttl = 1, force_recovery = true, "
     "slow_consumer = 'keep_latest'}", "channel.without_namespace.slow_consumer",
     'expected "disconnect", because force_recovery is true and dropped publications would be '
     'gaps, found "keep_latest"'),
    ("channel.without_namespace.channel_regex = '('", "channel.without_namespace.channel_regex",
     'expected a regular expression, found "(": missing ), unterminated subpattern at position 0'),
    ("channel.private_prefix = ''", "channel.private_prefix",
     'expected punctuation that no namespace\'s name contains, found ""'),
    ("channel.user_separator = '#'", "channel.user_separator",
     'expected another mark than channel.user_boundary, found "#"'),
    ("client.subscribe_to_user_personal_channel.personal_channel_namespace = 'me'",
     "client.subscribe_to_user_personal_channel.personal_channel_namespace",
     'expected the name of a namespace, found "me"'),
    ("listeners = [{tls = true}]\ntls.key = '/dev/null'", "tls.certificate",
     "expected a PEM file, because listeners[0].tls is true, found none"),
]


@pytest.mark.parametrize(("text", "path", "told"), CONTRADICTIONS)
def test_a_contradiction_is_told_once_at_the_option_to_change(faults_of, text, path, told):
    (fault,) = faults_of(text)

    assert fault.removeprefix("FILE: ") == f"{path}: {told}"


@pytest.mark.parametrize(
    "text",
    [
        "node.node_timeout = '5001ms'",
        "scaling.scale_down_threshold = 0.79",
        "scaling = {min_nodes = 10, max_nodes = 10}",
        "client.pong_timeout = '24999ms'",
        "client = {ping_interval = 0, pong_timeout = '1h'}",
        "client.pong_timeout = 0",
        "limits.http_header_line = '16KiB'",
        "listeners = [{address = '127.0.0.1:0'}, {address = '127.0.0.1:0'}]",
        "listeners = [{}, {address = '[::1]:8000'}]",
        "proxy.trusted_proxies = ['10.0.0.0/8', '::1/128', '192.0.2.1']",
        "app.module = 'my.service:hooks.app'",
        "channel.without_namespace = {history_size = 1, history_ttl = 1, force_recovery = true}",
        "channel.without_namespace.slow_consumer = 'drop_oldest'",
        "channel.without_namespace.channel_regex = '^[a-z]+$'",
        "tls.certificate = '/nowhere'",
    ],
)
def test_what_holds_together_is_taken(load_text, text):
    assert load_text(text).config


def test_many_contradictions_are_told_together(faults_of):
    texts = [text for text, _, _ in CONTRADICTIONS if "." in text.partition(" ")[0]]
    chosen = [t for t in texts if t.startswith(("node", "scaling", "client.p", "balancer", "app"))]

    assert len(faults_of("\n".join(chosen))) == len(chosen) == 7


@pytest.mark.parametrize(
    "text",
    ["*", "null", "https://a.example", "HTTPS://A.example:8443", "http://localhost",
     "https://*.example.com", "http://[::1]:3000", "chrome-extension://abc", "capacitor://localhost",
     "https://a.example/", "a.example", "https://", "https://a example", "https://*", "*.a.example",
     "https://a.*.example", "https://a.example:port", "https://a.example:*", "https://é.example",
     "https://-a.example", "", "https://user@a.example", "https://a.example\n"],
)
def test_origins_are_judged_as_the_node_will_judge_them(text):
    config = attrs.evolve(
        Config(), client=attrs.evolve(Config().client, allowed_origins=(text,))
    )
    try:
        OriginPolicy([text])
        usable = True
    except ConfigError:
        usable = False

    assert [fault.path for fault in check(config, STRATEGIES)] == (
        [] if usable else ["client.allowed_origins[0]"]
    )


def test_a_short_lease_is_advised_against():
    def node(timeout: float) -> Config:
        return Config(node=NodeSection(node_timeout=Seconds(timeout)))

    assert advise(node(10.0)) == []
    (advice,) = advise(node(9.0))
    assert advice.startswith("node.node_timeout: 9s is less than twice")


def test_the_default_strategies_are_installed():
    names = installed()

    assert Config().balancer.strategy in names.balancers
    assert Config().failover.strategy in names.failovers
