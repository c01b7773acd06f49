"""Several nodes need a store: whether there is one is known before anything starts."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest
import trio

from tests.supervisor.pretend_machine import RULES
from wsmesh.config.sections import Config, Listener, LogSection
from wsmesh.errors import ConfigError
from wsmesh.supervisor import running


def orders(**rules: object) -> running.Orders:
    config = Config(listeners=(Listener(address="127.0.0.1:0"),))
    return running.Orders(config=config, rules=running.attrs.evolve(RULES, **rules), environment={})


def test_several_nodes_without_any_store_are_refused_with_what_would_help(monkeypatch):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(running, "version", missing)

    with pytest.raises(ConfigError) as caught:
        trio.run(running.run, orders(nodes=2), pytest.fail)
    for help_ in ("redis.url", "wsmesh[embedded]", "--nodes 1"):
        assert help_ in str(caught.value)


def test_there_is_a_node_for_each_core_unless_a_number_is_given():
    assert orders(nodes=0).count == len(running.os.sched_getaffinity(0))
    assert orders(nodes=7).count == 7


@pytest.mark.parametrize(
    ("section", "form"),
    [
        (LogSection(format="console"), "console"),
        (LogSection(format="json"), "json"),
        (LogSection(format="auto", file="/tmp/x"), "json"),
    ],
)
def test_all_processes_write_the_same_form(section, form):
    assert running.form_of(section) == form
