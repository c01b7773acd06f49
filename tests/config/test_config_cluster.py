"""`[cluster]`: what is refused although each option is right, and where others reach a node."""

from __future__ import annotations

from typing import Any

import pytest

from wsmesh.cluster.verdicts import StoreLoss
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.cluster_checks import advertised, cluster_faults
from wsmesh.config.values import Secret

TLS = {"tls_certificate": "c.pem", "tls_key": "k.pem", "tls_ca": "ca.pem"}


def paths(**options: Any) -> list[str]:
    return [fault.path for fault in cluster_faults(ClusterSection(**options))]


def test_the_defaults_are_right():
    assert paths() == []


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"address": "7400"}, "cluster.address"),
        ({"address": "unix:/run/mesh.sock"}, "cluster.address"),
        ({"address": "0.0.0.0:7400"}, "cluster.advertise"),
        ({"address": "[::]:7400"}, "cluster.advertise"),
        ({"advertise": "0.0.0.0"}, "cluster.advertise"),
        ({"advertise": "not a host"}, "cluster.advertise"),
        ({"advertise": "unix:/run/mesh.sock"}, "cluster.advertise"),
        ({"probe_interval": 0.4}, "cluster.probe_timeout"),
        ({**TLS, "tls_key": ""}, "cluster.tls_key"),
        ({**TLS, "tls_certificate": ""}, "cluster.tls_certificate"),
        ({**TLS, "tls_ca": ""}, "cluster.tls_ca"),
        ({"tls_ca": "ca.pem"}, "cluster.tls_ca"),
    ],
)
def test_a_contradiction_is_told_at_the_option_to_change(options, path):
    assert paths(**options) == [path]


@pytest.mark.parametrize(
    "options",
    [
        TLS,
        {"address": "0.0.0.0:7400", "advertise": "10.0.0.5"},
        {"address": "[::]:7400", "advertise": "node-1.internal:7400"},
        {"probe_interval": 0.5},
    ],
)
def test_what_fits_together_is_let_through(options):
    assert paths(**options) == []


@pytest.mark.parametrize(
    ("options", "reached"),
    [
        ({}, "127.0.0.1:4711"),
        ({"advertise": "10.0.0.5"}, "10.0.0.5:4711"),
        ({"advertise": "10.0.0.5:80"}, "10.0.0.5:80"),
        ({"advertise": "[::1]"}, "[::1]:4711"),
        ({"address": "[::1]:7400"}, "[::1]:4711"),
    ],
)
def test_others_reach_a_node_where_it_listens_unless_it_says_otherwise(options, reached):
    assert str(advertised(ClusterSection(**options), 4711)) == reached


@pytest.mark.parametrize(
    "options",
    [
        {"weight": 0.0},
        {"probe_misses": 0},
        {"accusers": 0},
        {"accusers": 4},
        {"on_store_loss": "hope"},
    ],
)
def test_values_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        ClusterSection(**options)


def test_every_policy_of_the_option_is_one_that_the_node_knows():
    for policy in StoreLoss:
        assert ClusterSection(on_store_loss=policy.value).on_store_loss == policy.value


def test_the_secret_is_not_shown():
    assert "hush" not in repr(ClusterSection(secret=Secret("hush")))
