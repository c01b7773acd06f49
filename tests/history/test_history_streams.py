"""What messages, positions, owners and metrics say: I1 to I14 where no mutation reaches."""

from __future__ import annotations

import pytest

from tests.history import events as ev
from tests.history.found import KEPT
from tests.history.story import at, delivered, ended, final, published, subscribed, told


def kinds(verdict):
    return set(verdict.counts)


def test_a_publisher_keeps_its_order_also_when_it_does_not_wait():
    story = [subscribed(1), *published("p-1", 2, 2, lasts=1.0), *published("p-2", 1, 2.1, lasts=1),
             delivered(4, "p-2", 1), delivered(4, "p-1", 2), final(9, 2)]

    assert kinds(told(story)) == {"I6"}
    assert told(story, at(2.5, ev.PubInfo(mid="p-1", ch="a"))).is_valid, "it tried again"


def test_messages_on_their_way_together_may_stand_in_any_order():
    verdict = told(
        subscribed(1), published("p-1", 2, 2, lasts=1.0), published("q-1", 1, 2.1, lasts=1.0),
        delivered(4, "q-1", 1), delivered(4, "p-1", 2), final(9, 2),
    )

    assert verdict.is_valid, verdict


def test_a_channel_without_history_keeps_each_publishers_order():
    story = [
        subscribed(1, epoch=""), *published("p-1", 0, 2), *published("q-1", 0, 2),
        *published("p-2", 0, 3), delivered(4, "p-2", 0, epoch=""), delivered(4, "q-1", 0, epoch=""),
        delivered(5, "p-1", 0, epoch=""),
    ]

    assert kinds(told(story)) == {"I6"}
    assert told(story, at(3.5, ev.PubInfo(mid="p-1", ch="a"))).is_valid


def test_a_message_stands_at_one_place():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1), delivered(4, "p-1", 2),
        final(9, 2),
    )

    assert kinds(verdict) == {"I3"}


def test_a_message_with_a_key_stands_at_one_place():
    verdict = told(
        subscribed(1), published("p-1", 1, 2, key="k"), delivered(3, "p-1", 1),
        delivered(4, "p-1", 2), final(9, 2),
    )

    assert kinds(verdict) == {"I11"}


def test_of_one_key_one_message_is_delivered():
    verdict = told(
        subscribed(1), published("p-1", 1, 2, key="k"), published("p-2", 1, 3, key="k"),
        delivered(4, "p-1", 1), subscribed(1, cid="d"), delivered(4, "p-2", 1, cid="d"),
        final(9, 1),
    )

    assert kinds(verdict) == {"I11"}


@pytest.mark.parametrize(("again", "is_same"), [(302.0, True), (302.1, False)])
def test_a_key_is_forgotten_after_its_window(again, is_same):
    verdict = told(
        subscribed(1), published("p-1", 1, 2, key="k"), published("p-2", 2, again, key="k"),
        delivered(3, "p-1", 1), delivered(again + 1, "p-2", 2), final(999, 2),
    )

    assert kinds(verdict) == ({"I11"} if is_same else set())


def test_a_message_of_a_former_epoch_may_be_stored_again():
    """A failover lost it, with its key, and the publisher had got no answer."""
    verdict = told(
        subscribed(1), published("p-1", 2, 2, key="k", epoch="f", lasts=5.0),
        at(2.5, ev.PubInfo(mid="p-1", ch="a")), delivered(3, "p-1", 1), ended(4),
        subscribed(5, 1, seg=2, epoch="f", recovered=False), published("p-2", 3, 8, epoch="f"),
        delivered(8, "p-1", 2, seg=2, epoch="f"), delivered(9, "p-2", 3, seg=2, epoch="f"),
        final(9.5, 3, epoch="f"),
    )

    assert verdict.is_valid, verdict


def test_a_stream_does_not_hold_another_message_than_was_delivered():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), published("p-2", 0, 2), delivered(3, "p-1", 1),
        final(9, 1), at(9, ev.Stored(ch="a", epoch="e", offset=1, mid="p-2")),
    )

    assert "I2" in kinds(verdict)


def test_an_acknowledgement_of_what_was_not_published_is_a_phantom():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1),
        at(4, ev.PubOk(mid="x", ch="a")), final(9, 1),
    )

    assert kinds(verdict) == {"I1"}


def test_a_first_subscription_begins_at_the_top():
    early = told(
        subscribed(1), published("p-1", 1, 2), published("p-2", 2, 2.5),
        delivered(3, "p-1", 1), delivered(3, "p-2", 2),
        subscribed(4, 2, cid="d"), delivered(4, "p-2", 2, cid="d"), final(9, 2),
    )

    assert kinds(early) == {"I4"}


def test_a_position_that_the_application_brought_is_continued():
    story = [*published("p-1", 1, 1), *published("p-2", 2, 2), final(9, 2)]
    sub = ev.Sub(cid="c", ch="a", seg=1, epoch="e", offset=2, was_recovering=True, recovered=True,
                 since=1, since_epoch="e")

    assert told(story, at(3, sub), delivered(4, "p-2", 2)).is_valid
    assert kinds(told(story, at(3, sub))) == {"I5"}
    more = [*published("p-3", 3, 4), delivered(5, "p-3", 3), final(10, 3)]
    assert kinds(told(story, at(3, sub), more)) == {"I12"}
    sub.since_epoch = "d"
    assert "I7" in kinds(told(story, at(3, sub), delivered(4, "p-2", 2)))


def test_nothing_is_skipped_by_asking_for_too_much():
    seam = at(4, ev.Sub(cid="c", ch="a", seg=2, epoch="e", offset=2, was_recovering=True,
                        recovered=True, since=2))
    verdict = told(
        subscribed(1), published("p-1", 1, 2), published("p-2", 2, 2.5), delivered(3, "p-1", 1),
        ended(3.5), seam, published("p-3", 3, 5), delivered(6, "p-3", 3, seg=2), final(9, 3),
    )

    assert kinds(verdict) == {"I12"}


def test_a_client_that_moves_may_be_ahead_of_the_answer():
    """The old connection delivered 2 after the new one had asked, and before it was answered."""
    story = [
        subscribed(1), *published("p-1", 1, 2), delivered(2.5, "p-1", 1),
        *published("p-2", 2, 3), delivered(3.2, "p-2", 2),
        subscribed(3.3, 1, seg=2, recovered=True), *published("p-3", 3, 4),
        delivered(5, "p-3", 3, seg=2), final(9, 3),
    ]

    assert told(story).is_valid
    assert kinds(told(story, ended(3.25))) == {"I12"}


def test_nothing_is_recovered_that_was_not_asked_for():
    sub = at(1, ev.Sub(cid="c", ch="a", seg=1, epoch="e", recovered=True))
    verdict = told(sub, published("p-1", 1, 2), delivered(3, "p-1", 1), final(9, 1))

    assert kinds(verdict) == {"I12"}


def test_a_delivery_of_a_subscription_that_nobody_saw_begin_is_found():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1),
        delivered(3, "p-1", 0, cid="d", epoch=""), final(9, 1),
    )

    assert kinds(verdict) == {"I4"}


def test_a_lagging_replica_does_not_bring_an_epoch_back():
    """Another client, later, is sent back: each of them sees one change only."""
    verdict = told(
        subscribed(1), published("p-1", 1, 1.5), delivered(2, "p-1", 1), ended(3),
        subscribed(4, 1, seg=2, epoch="f", recovered=False),
        published("p-2", 2, 5, epoch="f"), delivered(6, "p-2", 2, seg=2, epoch="f"),
        subscribed(1, cid="d"), delivered(2, "p-1", 1, cid="d"), ended(7, cid="d"),
        subscribed(8, 1, cid="d", seg=2, recovered=True),
        final(9, 2, epoch="f"),
    )

    assert "I7" in kinds(verdict)


@pytest.mark.parametrize(("asks", "kind"), [(7, {"I8"}), (3, set())])
def test_a_session_has_one_node_at_a_time(asks, kind):
    verdict = told(
        at(1, ev.Conn(cid="c", node="n1", session="s", gen=1)), subscribed(1),
        published("p-1", 1, 2), published("p-2", 2, asks - 0.5), delivered(2.5, "p-1", 1),
        delivered(asks, "p-2", 2),
        at(4, ev.Conn(cid="d", node="n2", session="s", gen=2)), subscribed(4, 0, cid="d"),
        at(5, ev.Deliver(cid="d", ch="a", mid="p-1", crc=7, seg=1, epoch="e", offset=1, node="n2")),
        delivered(8, "p-2", 2, cid="d"), final(9, 2),
    )

    assert kinds(verdict) == kind


@pytest.mark.parametrize(("heard", "is_late"), [(6.0, False), (6.01, True), (12.0, False)])
def test_a_revocation_takes_effect_within_its_bound(heard, is_late):
    verdict = told(
        subscribed(0.5), published("p-1", 1, 0.7), at(1, ev.Revoke(cid="c", ch="a")),
        delivered(heard, "p-1", 1), at(11, ev.Allow(cid="c", ch="a")), final(20, 1),
        revocation=5.0,
    )

    assert kinds(verdict) == ({"I13"} if is_late else set())


def test_metrics_that_leave_something_out_are_found():
    story = [subscribed(1), *published("p-1", 1, 2), delivered(3, "p-1", 1), final(9, 1),
             at(9, ev.Close(cid="c", code=3005))]

    assert told(story, at(9, ev.Counters(node="n", closes={"3005": 1}))).is_valid
    assert told(story, at(9, ev.Counters(node="n", delivered=1, closes={"3005": 2}))).is_valid
    assert kinds(told(story, at(9, ev.Counters(node="n", delivered=1)))) == {"I14"}


def test_many_violations_are_counted_and_a_few_are_shown():
    verdict = told(
        subscribed(1), published("p-1", 1, 2),
        *(delivered(3, "p-1", 1) for _ in range(101)), final(9, 1),
    )

    assert verdict.counts == {"I3": 100}
    assert len(verdict.violations) == KEPT
