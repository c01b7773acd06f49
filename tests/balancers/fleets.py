"""Members, views and keys for the tests of balancers and failover."""

from __future__ import annotations

from hypothesis import strategies as st

from balancers import Member, View

keys = st.integers(0, 2**64 - 1)
seeds = st.integers(0, 2**32)


@st.composite
def members(draw: st.DrawFn, number: int) -> Member:
    """Draw a member; capacities are small, so that some are full."""
    capacity = draw(st.integers(0, 6))
    return Member(
        id=f"n{number}",
        weight=draw(st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0, 7.0])),
        capacity=capacity,
        connections=draw(st.integers(0, capacity + 1)),
        report=draw(st.integers(0, 3)),
        is_accepting=draw(st.sampled_from([True, True, True, False])),
        score=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )


@st.composite
def views(draw: st.DrawFn) -> View:
    """Draw a view of up to 8 members, in any order."""
    numbers = draw(st.permutations(range(draw(st.integers(0, 8)))))
    return View(draw(st.integers(0, 9)), tuple(draw(members(number)) for number in numbers))


def fleet(*loads: int, capacity: int = 1_000, weight: float = 1.0) -> View:
    """Return a view of like members with these loads, named n0, n1, ..."""
    return View(
        1,
        tuple(
            Member(id=f"n{number}", connections=load, capacity=capacity, weight=weight)
            for number, load in enumerate(loads)
        ),
    )
