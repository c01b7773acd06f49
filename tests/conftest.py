"""What all tests share: hypothesis profiles, and marks that follow from a test's directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.servers.fixtures",)

pytest.register_assert_rewrite("tests.contracts")

MARKED = ("e2e", "system")

# Few examples each time, others every time: `make test` has minutes. `make test-all` has hours.
settings.register_profile("dev", deadline=None, max_examples=40)
settings.register_profile(
    "ci", deadline=None, max_examples=40, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.register_profile("nightly", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        directory = item.path.relative_to(here).parts[0]
        if directory in MARKED:
            item.add_marker(directory)
