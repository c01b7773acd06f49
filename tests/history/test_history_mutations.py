"""A valid history that was spoilt is always caught, by the invariant that should catch it."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.history import events as ev
from tests.history import tampering_clients, tampering_streams
from tests.history.check import check_events
from tests.history.events import line_of
from tests.history.model import RULES, play
from tests.history.tampering import Mutation, spoilt

MUTATIONS = [*tampering_streams.MUTATIONS, *tampering_clients.MUTATIONS]
HISTORIES = 60

every_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def histories():
    rng = random.Random(20)
    return [
        play(
            (rng.randrange(len(RULES)), rng.randrange(16), rng.randrange(16))
            for _ in range(rng.randrange(20, 150))
        )
        for _ in range(HISTORIES)
    ]


@pytest.fixture(scope="module")
def toll(request):
    """Count what was caught of what was spoilt, and say so at the end."""
    counts = {"spoilt": 0, "caught": 0}
    yield counts
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nhistory checker: {counts['caught']} of {counts['spoilt']} spoilt histories "
              f"caught by the named invariant ({len(MUTATIONS)} kinds)")


@every_mutation
def test_it_is_always_caught(mutation: Mutation, histories, toll):
    rng = random.Random(mutation.name)
    logs = [spoilt(history, mutation, rng) for history in histories]
    verdicts = [check_events(log) for log in logs if log is not None]
    caught = [verdict for verdict in verdicts if mutation.caught_by & verdict.counts.keys()]
    toll["spoilt"] += len(verdicts)
    toll["caught"] += len(caught)

    assert len(verdicts) >= 5, "too few histories have anything to spoil in this way"
    assert len(caught) == len(verdicts)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, len(RULES) - 1), st.integers(0, 15), st.integers(0, 15)),
        max_size=60,
    ),
    mutation=st.sampled_from(MUTATIONS),
    rng=st.randoms(use_true_random=False),
)
def test_it_is_caught_in_any_history(steps, mutation, rng):
    logs = spoilt(play(steps), mutation, rng)
    if logs is None:
        return
    verdict = check_events(logs)

    assert mutation.caught_by & verdict.counts.keys()
    assert verdict.outcome == "invalid"


@every_mutation
def test_the_events_that_are_shown_show_it(mutation: Mutation, histories):
    """Every violation has the few events that make it one; none is invented."""
    rng = random.Random(7)
    logs = next(log for each in histories if (log := spoilt(each, mutation, rng)) is not None)
    there = {told(event) for log in logs.values() for event in log}

    for violation in check_events(logs).violations:
        assert 1 <= len(violation.events) <= 4
        for event in violation.events:
            assert told(event) in there


def told(event) -> str:
    """What is kept of an event: of a delivery, all but the node."""
    return line_of(structs.replace(event, node="") if isinstance(event, ev.Deliver) else event)
