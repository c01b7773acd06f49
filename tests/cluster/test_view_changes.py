"""What happened between two views, told once and in an order that makes sense."""

from __future__ import annotations

from tests.cluster.test_views import GRACE, listing, record, view_of
from wsmesh.cluster.changes import Cleared, Died, Draining, Joined, Left, Suspected, changes
from wsmesh.cluster.nodes import Identity
from wsmesh.cluster.view import View

A1, A2 = Identity("a", 1), Identity("a", 2)


def test_nothing_happened_between_a_view_and_itself_or_one_with_other_figures():
    view = view_of(record(), record("b"))
    assert changes(view, view) == ()
    reported = view.reported(A1, report=1, connections=5, load=0.1, health=1.0, state="alive")
    assert changes(view, reported) == ()


def test_who_was_not_there_has_joined_in_the_order_of_ids():
    view = view_of(record("b"), record("a"))
    assert changes(View(), view) == (Joined(record("a")), Joined(record("b")))


def test_suspicion_comes_and_goes():
    view = view_of(record())
    suspected = view.suspecting(A1)
    assert changes(view, suspected) == (Suspected(A1),)
    assert changes(suspected, suspected.clearing(A1)) == (Cleared(A1),)
    assert changes(View(), suspected) == (Joined(record()), Suspected(A1))


def test_a_verdict_is_a_death_and_no_longer_being_listed_is_none():
    view = view_of(record(), record("b"))
    assert changes(view, view.burying(A1)) == (Died(A1),)
    missing = view.merged(listing(record("b")), 0.0, GRACE)
    assert changes(view, missing) == ()
    assert changes(missing, missing.merged(listing(record("b")), GRACE, GRACE)) == (Left(A1),)


def test_who_said_goodbye_has_left_although_the_registry_keeps_it_with_the_dead():
    view = view_of(record(state="leaving"))
    assert changes(view, view.burying(A1)) == (Left(A1),)


def test_the_next_incarnation_comes_after_the_end_of_the_last():
    view = view_of(record(state="draining"))
    after = view.merged(listing(record(incarnation=2)), 1.0, GRACE)
    assert changes(view, after) == (Died(A1), Joined(record(incarnation=2)))


def test_draining_is_told_once():
    view = view_of(record())
    draining = view.reported(A1, report=1, connections=0, load=0, health=1, state="draining")
    assert changes(view, draining) == (Draining(A1),)
    leaving = draining.reported(A1, report=2, connections=0, load=0, health=1, state="leaving")
    assert changes(draining, leaving) == ()
    joined = record(incarnation=2, state="draining")
    assert changes(View(), view_of(joined)) == (Joined(joined), Draining(A2))
