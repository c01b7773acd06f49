"""Whatever a file or the environment says: a configuration or ConfigError, nothing else."""

from __future__ import annotations

import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.known import STRATEGIES
from wsmesh.config import environment
from wsmesh.config.checks import check
from wsmesh.config.faults import Fault
from wsmesh.config.options import element_of, fields_of, is_section, type_of
from wsmesh.config.sections import Config
from wsmesh.config.showing import listing, table
from wsmesh.config.structure import structure

scalars = st.one_of(
    st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=8),
    st.sampled_from(["5s", "64KiB", "env:NOPE", "file:/nope", "file:\0", "127.0.0.1:0", "[a",
                     "https://a", "unix:", "http://[", "p2c", "-----BEGIN PUBLIC KEY-----"]),
    st.dates(), st.times(), st.just(datetime.datetime(2026, 1, 1)), st.none(),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=8,
)


def trees(section: type) -> st.SearchStrategy:
    """Tables that mostly have the options of `section`, with any values."""
    options = {}
    for attribute in fields_of(section):
        kind = type_of(attribute)
        element = element_of(kind)
        if is_section(kind):
            options[attribute.name] = st.deferred(lambda t=kind: trees(t)) | anything
        elif is_section(element):
            options[attribute.name] = st.lists(trees(element), max_size=3) | anything
        else:
            options[attribute.name] = anything
    return st.fixed_dictionaries({}, optional=options | {"unheard_of": anything})


def refuse(text: str) -> str:
    if text.startswith(("env:", "file:")):
        raise ValueError("expected a value, found none")
    return text


@settings(deadline=None, max_examples=150)
@given(trees(Config))
def test_any_tree_gives_a_configuration_and_its_faults(tree):
    config, wrong = structure(tree, Config, refuse)
    faults = [*wrong, *check(config, STRATEGIES)]

    assert isinstance(config, Config)
    assert all(isinstance(fault, Fault) and "\n" not in fault.text for fault in faults)
    assert table(config, {})
    assert listing(config, {})


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(environment.variables())), st.text() | scalars.map(str))
def test_any_text_of_a_variable_gives_a_value_or_one_line(name, text):
    option = environment.variables()[name]

    settings_read = environment.read({name: text})

    assert (option.path in settings_read.values) != bool(settings_read.faults)
    assert all("\n" not in fault for fault in settings_read.faults)
