"""`[balancer]`: options go to the strategy, tables to the modifiers, faults to who made them."""

from __future__ import annotations

import random
from functools import partial

import attrs
import pytest

from balancers.hashing import mixed
from balancers.modifiers import MODIFIERS, SlowStartSpec, ZoneSpec
from balancers.ring_hash import RingHashSpec
from balancers.sticky import StickySpec
from tests.balancers.fleets import fleet
from wsmesh.config.balancing import BalancerSection, modifiers_of, sticky_of
from wsmesh.config.reference import reference
from wsmesh.config.sections import Config
from wsmesh.config.strategies import built, installed
from wsmesh.errors import ConfigError
from wsmesh.gateway.balancing import balancer_of

PLACED = """
[balancer]
strategy = "bounded_load"
[balancer.options]
base = "ring_hash"
balance_factor = 1.5
[balancer.options.base_options]
vnodes = 7
[balancer.sticky]
enabled = true
ttl = "90s"
[balancer.slow_start]
window = "1m"
[balancer.panic]
enabled = false
"""


def test_a_file_says_strategy_options_modifiers_and_memory(load_text):
    section = load_text(PLACED).config.balancer
    spec, faults = built("bounded_load", installed().balancers["bounded_load"], section.options,
                         "balancer.options")

    assert faults == ()
    assert (spec.base, spec.balance_factor, spec.base_options) == (
        "ring_hash", 1.5, {"vnodes": 7}
    )
    assert sticky_of(section) == StickySpec(ttl=90.0)
    kinds = {type(each): each for each in modifiers_of(section, "")}
    assert set(kinds) == {MODIFIERS[name] for name in ("health", "outlier_ejection", "slow_start")}
    assert kinds[SlowStartSpec] == SlowStartSpec(window=60.0)


def test_by_default_modifiers_are_those_that_ask_for_nothing():
    section = BalancerSection()

    assert modifiers_of(section, "here") == tuple(
        MODIFIERS[name]() for name in MODIFIERS if name != "zone"
    )
    assert sticky_of(section) is None


def test_the_zone_is_the_gateways_own_unless_another_is_named(load_text):
    text = "balancer.zone.enabled = true\ncluster.zone = 'north'\n"
    section = load_text(text).config.balancer

    assert ZoneSpec(zone="north") in modifiers_of(section, "north")
    named = load_text(text + "balancer.zone.zone = 'south'").config.balancer
    assert ZoneSpec(zone="south") in modifiers_of(named, "north")


def test_every_modifier_has_its_table_with_every_option(load_text):
    for name, spec in MODIFIERS.items():
        section = getattr(BalancerSection(), name)
        for field in attrs.fields(spec):
            assert getattr(section, field.name) == field.default
            assert field.metadata["help"].split(". ")[0].split()[0] in reference()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("balancer.health.min_scor = 0.5",
         "balancer.health.min_scor: unknown option, did you mean min_score?"),
        ("balancer.health.min_score = 2.0",
         "balancer.health.min_score: expected a number from 0 to 1, found 2.0"),
        ("balancer.slow_start.window = 'long'",
         'balancer.slow_start.window: expected a duration such as "5s", "250ms" or "1m30s", or a '
         'number of seconds, found "long"'),
        ("balancer.options = 5", "balancer.options: expected a table of options, found 5"),
        ("balancer.options.vnodes = 3", "balancer.options.vnodes: unknown option (p2c has none)"),
        ("balancer = { strategy = 'ring_hash', options.vnode = 3 }",
         "balancer.options.vnode: unknown option, did you mean vnodes?"),
        ("balancer = { strategy = 'ring_hash', options.vnodes = 0 }",
         "balancer.options.vnodes: expected a number from 1 to 10000, found 0"),
        ("balancer = { strategy = 'ring_hash', options.vnodes = 'two' }",
         'balancer.options.vnodes: expected an integer, found "two"'),
        ("balancer = { strategy = 'bounded_load', options.base_options = { vnodes = 3 } }",
         "balancer.options.base_options.vnodes: rendezvous has no such option; it has hash_seed"),
        ("failover = { strategy = 'spread', options.herd_factor = 0.5 }",
         "failover.options.herd_factor: expected a number from 1 to 1000, found 0.5"),
        ("balancer.zone.enabled = true",
         "balancer.zone.zone: expected the name of a zone, because cluster.zone is empty"),
        ("affinity.keys = ['ip', 'colour:red']",
         'affinity.keys[1]: expected "ip", "header:NAME", "cookie:NAME", "query:NAME" or '
         '"claim:NAME", found "colour:red"'),
        ("affinity = { cookie_same_site = 'none', cookie_secure = 'never' }",
         'affinity.cookie_secure: expected "auto" or "always" with cookie_same_site = "none": '
         "browsers refuse it else"),
        ("affinity.cookie = 'a;b'",
         'affinity.cookie: expected letters, digits, -, _ and ., found "a;b"'),
        ("affinity.keys = ['claim:sub']\nclient.token.issuer = 'x'\n"
         "client.token.jwks_public_endpoint = 'https://keys.example/'",
         "affinity.keys[0]: expected affinity.verify_token = false, because the gateway does not "
         "fetch the keys of client.token.jwks_public_endpoint"),
    ],
)
def test_what_is_wrong_is_said_like_anything_else(faults_of, text, fault):
    assert [each.removeprefix("FILE: ") for each in faults_of(text)] == [fault]


def test_a_fault_inside_a_table_of_options_names_its_file(faults_of):
    text = "balancer = { strategy = 'ring_hash', options.vnodes = 0 }"
    assert faults_of(text)[0].startswith("FILE: balancer.options.vnodes: ")


def test_a_variable_carries_options_as_json(load_text):
    said = {
        "WSMESH_BALANCER_STRATEGY": "ring_hash",
        "WSMESH_BALANCER_OPTIONS": '{"vnodes": 3}',
        "WSMESH_BALANCER_STICKY_TTL": "5m",
    }
    loaded = load_text("", environ=said)

    assert loaded.config.balancer.options == {"vnodes": 3}
    assert loaded.config.balancer.sticky.ttl == 300.0
    assert loaded.origins["balancer.options"] == "WSMESH_BALANCER_OPTIONS"


def test_a_variable_that_is_no_table_is_refused(faults_of):
    (fault,) = faults_of("", environ={"WSMESH_BALANCER_OPTIONS": "[3]"})

    assert fault == (
        "WSMESH_BALANCER_OPTIONS: expected a table written as JSON, found an array"
    )


@attrs.frozen(kw_only=True)
class Moody:
    """Options of somebody else's strategy."""

    pause: float = attrs.field(default=1.0, metadata={"help": "Seconds.", "unit": "s"})
    pair: tuple[int, int] = (1, 2)

    def __attrs_post_init__(self) -> None:
        if self.pause > 9:
            raise ValueError("too long")


def test_options_of_somebody_elses_strategy_are_read_too():
    read = partial(built, "moody", lambda: Moody, path="balancer.options")

    assert read({"pause": "250ms"}) == (Moody(pause=0.25), ())
    assert read({"pause": "1m"})[1][0].text == "too long"
    assert read({"pair": (3, 4)})[0].pair == (3, 4)


def test_a_strategy_that_cannot_be_imported_is_a_fault():
    def broken():
        raise ImportError("no module named gone")

    _, (fault,) = built("gone", broken, {}, "balancer.options")
    assert fault.text == "strategy gone cannot be loaded: no module named gone"


def test_the_gateways_balancer_is_what_the_section_says():
    options = {"vnodes": 5, "hash_seed": "x"}
    config = Config(balancer=BalancerSection(strategy="ring_hash", options=options))
    balancer = balancer_of(config, random.Random(1), lambda: 0.0)
    plain = RingHashSpec(**options).build(random.Random(1), lambda: 0.0)
    view = fleet(0, 0, 0)

    for number in range(50):
        assert balancer.pick(mixed(2, number), view) is plain.pick(mixed(2, number), view)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (BalancerSection(strategy="ringhash"), "did you mean ring_hash?"),
        (BalancerSection(strategy="maglev", options={"table_size": 4}), "table_size"),
    ],
)
def test_a_balancer_that_cannot_be_is_refused(section, says):
    with pytest.raises(ConfigError, match=says):
        balancer_of(Config(balancer=section), random.Random(1), lambda: 0.0)
