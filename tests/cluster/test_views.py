"""Views: the dead stay dead, the higher incarnation and the later report win, in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from balancers.interface import Member
from wsmesh.cluster.nodes import Identity, NodeRecord, NodeState
from wsmesh.cluster.view import MOST_BURIED, Listed, Listing, View

GRACE = 15.0


def record(node: str = "a", incarnation: int = 1, **fields: object) -> NodeRecord:
    return NodeRecord(node=node, incarnation=incarnation, **{"state": "alive", **fields})


def listing(*records: NodeRecord, dead: tuple[Identity, ...] = (), version: int = 1) -> Listing:
    nodes = tuple(Listed(record=each, lease=10.0) for each in records)
    return Listing(version=version, nodes=nodes, dead=dead)


def view_of(*records: NodeRecord) -> View:
    return View().merged(listing(*records), 0.0, GRACE)


IDENTITIES = st.builds(Identity, st.sampled_from("abc"), st.integers(1, 3))
RECORDS = st.builds(
    record, st.sampled_from("abc"), st.integers(1, 3), report=st.integers(0, 5),
    connections=st.integers(0, 9), state=st.sampled_from(["joining", "alive", "draining", "odd"]),
)
LISTINGS = st.builds(
    lambda records, dead: listing(*records, dead=tuple(dead)),
    st.lists(RECORDS, max_size=4), st.lists(IDENTITIES, max_size=2),
)
STEPS = st.one_of(
    LISTINGS.map(lambda each: lambda view, now: view.merged(each, now, GRACE)),
    IDENTITIES.map(lambda who: lambda view, now: view.burying(who)),
    IDENTITIES.map(lambda who: lambda view, now: view.suspecting(who)),
    IDENTITIES.map(lambda who: lambda view, now: view.clearing(who)),
    st.tuples(IDENTITIES, st.integers(0, 9)).map(
        lambda given: lambda view, now: view.reported(
            given[0], report=given[1], connections=1, load=0.1, health=0.5, state="alive"
        )
    ),
)


@given(st.lists(st.tuples(STEPS, st.integers(0, 10)), max_size=20))
def test_whatever_comes_the_dead_stay_dead_and_versions_grow_with_every_change(steps):
    view, now = View(), 0.0
    dead: set[Identity] = set()
    for step, wait in steps:
        now += wait
        after = step(view, now)
        assert (after is view) or after.version > view.version
        assert all(after.is_dead(who) for who in dead)
        for node, seen in after.members.items():
            assert node == seen.record.node
            assert not after.is_dead(seen.record.identity)
            before = view.members.get(node)
            if before is not None:
                assert seen.record.incarnation >= before.record.incarnation
                if seen.record.incarnation == before.record.incarnation:
                    assert seen.record.report >= before.record.report
        dead |= {Identity(node, incarnation) for node, incarnation in after.buried.items()}
        view = after


@given(st.permutations([record("a", 1), record("a", 3), record("a", 2), record("b", 1)]))
def test_the_higher_incarnation_wins_in_whatever_order_they_are_listed(records):
    view = view_of(*records)
    assert {str(seen.record.identity) for seen in view.members.values()} == {"a/3", "b/1"}
    assert view.is_dead(Identity("a", 1))
    assert not view.is_dead(Identity("a", 3))
    assert set(view.disowned(listing(*records))) == {Identity("a", 1), Identity("a", 2)}


def test_the_same_listing_again_changes_nothing_at_the_same_moment():
    view = view_of(record())
    assert view.merged(listing(record()), 0.0, GRACE) is view


def test_who_is_listed_as_dead_goes_and_does_not_come_back_but_as_another():
    dead = Identity("a", 2)
    view = view_of(record("a", 2)).merged(listing(dead=(dead,)), 1.0, GRACE)
    assert view.members == {}
    again = listing(record("a", 2))
    assert view.merged(again, 2.0, GRACE).members == {}
    assert view.disowned(again) == (dead,)
    assert view.merged(listing(record("a", 3)), 2.0, GRACE).seen(Identity("a", 3)) is not None


def test_a_member_that_a_registry_without_memory_does_not_list_has_time_to_be_listed_again():
    view = view_of(record("a"), record("b"))
    later = view.merged(listing(record("b")), 5.0, GRACE)
    assert set(later.members) == {"a", "b"}
    assert set(later.merged(listing(record("b")), 19.9, GRACE).members) == {"a", "b"}
    back = later.merged(listing(record("a"), record("b")), 10.0, GRACE)
    assert set(back.merged(listing(record("b")), 20.0, GRACE).members) == {"a", "b"}
    gone = later.merged(listing(record("b")), 20.0, GRACE)
    assert set(gone.members) == {"b"}
    assert not gone.is_dead(Identity("a", 1)), "it has left, which is no verdict"
    assert set(gone.merged(listing(record("a")), 21.0, GRACE).members) == {"a", "b"}


def test_an_older_report_in_a_listing_does_not_undo_a_newer_one_but_renews_the_lease():
    who = Identity("a", 1)
    view = view_of(record(report=3, connections=5))
    view = view.reported(who, report=4, connections=9, load=0.9, health=0.5, state="draining")
    view = view.merged(listing(record(report=3, connections=5)), 7.0, GRACE)
    seen = view.members["a"]
    assert (seen.record.connections, seen.record.report, seen.lease_ends) == (9, 4, 17.0)
    assert seen.state is NodeState.DRAINING


def test_reports_of_strangers_older_incarnations_and_older_reports_change_nothing():
    view = view_of(record(incarnation=2, report=3))
    for who, report in ((Identity("z", 1), 9), (Identity("a", 1), 9), (Identity("a", 2), 3)):
        figures = {"connections": 1, "load": 0.0, "health": 1.0, "state": "alive"}
        assert view.reported(who, report=report, **figures) is view


def test_suspicion_stays_with_the_incarnation_through_listings_and_reports():
    who = Identity("a", 1)
    view = view_of(record()).suspecting(who)
    assert view.suspecting(who) is view
    view = view.merged(listing(record(report=1)), 1.0, GRACE)
    assert view.members["a"].state is NodeState.SUSPECT
    assert view.clearing(who).members["a"].state is NodeState.ALIVE
    assert view.suspecting(Identity("a", 2)) is view
    assert view.merged(listing(record(incarnation=2)), 2.0, GRACE).members["a"].is_suspect is False


def test_what_is_remembered_of_the_dead_is_bounded_and_the_latest_are_kept():
    view = View()
    for number in range(MOST_BURIED + 10):
        view = view.burying(Identity(f"n{number}", 1))
    assert len(view.buried) == MOST_BURIED
    assert view.is_dead(Identity(f"n{MOST_BURIED + 9}", 1))


def test_balancers_get_the_last_reports_and_place_on_the_alive_only():
    view = view_of(
        record("a", 4, listeners=("10.0.0.1:80", "10.0.0.1:81"), weight=2.0, capacity=50,
               connections=7, report=3, zone="z", health=0.5),
        record("b", state="draining"), record("c"), record("d", state="joining"),
        record("e", state="leaving"), record("f", state="unheard of"),
    ).suspecting(Identity("c", 1))
    placed = view.for_balancers()
    assert placed.version == view.version
    assert placed.by_id["a/4"] == Member(
        id="a/4", address="10.0.0.1:80", weight=2.0, capacity=50, connections=7, report=3,
        is_accepting=True, zone="z", score=0.5,
    )
    assert [member.id for member in placed.members if member.is_accepting] == ["a/4"]
