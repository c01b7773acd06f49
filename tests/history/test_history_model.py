"""Every history of a cluster that keeps its promises is valid."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.history import events as ev
from tests.history.check import check_events
from tests.history.model import RULES, play

small = st.integers(0, 15)
steps = st.lists(st.tuples(st.integers(0, len(RULES) - 1), small, small), max_size=120)


@given(steps=steps)
def test_a_history_of_a_cluster_that_keeps_its_promises_is_valid(steps):
    verdict = check_events(play(steps))

    assert verdict.outcome == "valid", verdict


@given(steps=steps)
def test_what_is_reported_lost_was_never_delivered(steps):
    logs = play(steps)
    heard = {
        event.mid for log in logs.values() for event in log if isinstance(event, ev.Deliver)
    }

    assert not heard & {message.mid for message in check_events(logs).lost}


def test_the_model_exercises_everything_that_may_happen():
    rng = random.Random(3)

    verdict = check_events(play(
        (rng.randrange(len(RULES)), rng.randrange(16), rng.randrange(16)) for _ in range(1000)
    ))

    assert verdict.outcome == "valid", verdict
    assert [f"S{n}" for n in range(1, 7) if not verdict.sometimes[f"S{n}"]] == []
    assert [f"I{n}" for n in range(1, 15) if not verdict.looked_at[f"I{n}"]] == []
