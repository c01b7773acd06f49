"""Who watches whom: everybody is watched by enough others, also beside the dead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsmesh.cluster.ring import MONITORS, following, in_turn, watched

IDS = st.sets(st.text("abcdef0123456789", min_size=1, max_size=6), min_size=2, max_size=20)


@given(IDS)
def test_every_node_has_its_monitors_or_all_others(ids):
    for node in ids:
        monitors = [other for other in ids if node in watched(ids, other, ())]
        assert len(monitors) == min(MONITORS, len(ids) - 1)
        assert node not in monitors


@given(ids=IDS, data=st.data())
def test_every_node_is_watched_by_living_ones_whoever_are_dead_and_suspected(ids, data):
    dead = data.draw(st.sets(st.sampled_from(sorted(ids)), max_size=len(ids) - 2))
    living = ids - dead
    for node in ids:
        monitors = [other for other in living - {node} if node in watched(ids, other, dead)]
        assert len(monitors) >= min(MONITORS, len(living - {node}))


def test_nodes_follow_in_the_order_of_their_ids_beginning_after_oneself():
    assert list(following(["d", "a", "c", "b"], "b")) == ["c", "d", "a"]
    assert list(following(["d", "a", "c"], "b")) == ["c", "d", "a"]
    assert list(following([], "b")) == []


@given(ids=IDS, count=st.integers(0, 5))
def test_turns_are_fair_and_never_ask_one_twice(ids, count):
    asked = [in_turn(ids, number, count) for number in range(len(ids))]
    assert all(len(set(each)) == len(each) == min(count, len(ids)) for each in asked)
    for node in ids:
        assert sum(node in each for each in asked) == min(count, len(ids))


def test_nobody_to_ask_is_nobody_asked():
    assert in_turn([], 7, 2) == []
