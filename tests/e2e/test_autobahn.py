"""The cases of the Autobahn suite, against the node's pump, connections and frames."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conformance import PASSED, UNIMPLEMENTED, outcomes, summary

LARGE = ("1[23].*.[89]", "1[23].*.1[0-8]")
"""A thousand compressed messages each, large ones or in fragments: minutes of processor time."""

# They offer nothing but a server window of 2**9 bytes. The node compresses once for all clients,
# with a larger window, so it declines the offer as RFC 7692 section 7.1.2.1 wants.
SMALL_WINDOW = ("13.3.", "13.5.")


@pytest.mark.parametrize(
    ("selection", "cases"),
    [
        pytest.param([word for each in LARGE for word in ("--exclude", each)], 385, id="others"),
        pytest.param(
            [word for each in LARGE for word in ("--include", each)], 132, id="large",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_no_case_fails_and_all_run(
    selection: list[str], cases: int, record_property: Callable[[str, str], None]
) -> None:
    found = outcomes(*selection)
    record_property("Autobahn", summary(found))
    failed = {
        case: outcome
        for case, outcome in found.items()
        if outcome not in PASSED
        and not (outcome == UNIMPLEMENTED and case.startswith(SMALL_WINDOW))
    }

    assert failed == {}
    assert len(found) == cases
