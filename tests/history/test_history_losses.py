"""What must be delivered, and by when: I5, I9, I10."""

from __future__ import annotations

import pytest

from tests.history import events as ev
from tests.history.story import at, delivered, ended, fault, final, published, subscribed, told


def kinds(verdict):
    return set(verdict.counts)


def test_a_client_left_in_an_old_epoch_is_found():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1), final(9, 1, epoch="f"),
    )

    assert kinds(verdict) == {"I5"}


def test_a_client_that_got_more_than_the_stream_has_is_found():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), published("p-2", 0, 3),
        delivered(4, "p-1", 1), delivered(4, "p-2", 2), final(9, 1),
    )

    assert "I5" in kinds(verdict)


def test_a_client_that_left_need_not_have_everything():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1), ended(4, why="closed"),
        published("p-2", 2, 5), subscribed(1, cid="d"), delivered(6, "p-1", 1, cid="d"),
        delivered(7, "p-2", 2, cid="d"), final(9, 2),
    )

    assert verdict.is_valid, verdict


def failover(*, acked: float, durability: str = "memory", stored: bool = False):
    """Offset 2 is acknowledged, nobody got it, and the epoch changes at 20."""
    return [
        subscribed(1), *published("p-1", 1, 2), delivered(3, "p-1", 1),
        *published("p-2", 2, acked, durability=durability),
        *fault(20, 21), ended(20.1),
        subscribed(20.5, 1, seg=2, epoch="f", recovered=False, reason="store_failover"),
        *published("p-3", 2, 25, epoch="f"), delivered(26, "p-3", 2, seg=2, epoch="f"),
        final(30, 2, epoch="f"),
        *([at(30, ev.Stored(ch="a", epoch="f", offset=2, mid="p-3"))]),
        *([at(30, ev.Stored(ch="a", epoch="f", offset=9, mid="p-2"))] if stored else []),
    ]


def test_a_loss_during_a_fault_that_everybody_was_told_of_is_excused():
    verdict = told(failover(acked=19))

    assert verdict.is_valid, verdict
    assert [(lost.mid, lost.place, lost.is_excused) for lost in verdict.lost] == [
        ("p-2", "postfix", True)
    ]


@pytest.mark.parametrize(("acked", "is_excused"), [(14.8, False), (14.9, True)])
def test_a_loss_is_excused_from_the_margin_before_the_fault_on(acked, is_excused):
    # Acknowledged 0.1 s later; the margin reaches from 15 s.
    verdict = told(failover(acked=acked), loss_margin=5.0)

    assert [lost.is_excused for lost in verdict.lost] == [is_excused]
    assert kinds(verdict) == (set() if is_excused else {"I9"})


def test_what_the_store_kept_is_excused_at_any_time_and_durability():
    verdict = told(failover(acked=10, durability="replicated", stored=True))

    assert verdict.is_valid, verdict
    assert [lost.is_excused for lost in verdict.lost] == [True]


def test_what_was_replicated_is_lost_only_when_several_faults_come_together():
    assert kinds(told(failover(acked=19, durability="replicated"))) == {"I9"}
    assert told(failover(acked=19, durability="fsync"), is_single_fault=False).is_valid


def test_a_lost_message_is_placed_among_those_of_its_publisher():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), published("p-2", 2, 3),
        ended(3.5), subscribed(4, 2, seg=2, recovered=False, reason="history_expired"),
        published("p-3", 3, 5), delivered(6, "p-3", 3, seg=2),
        ended(7), published("p-4", 4, 7.5),
        subscribed(8, 4, seg=3, recovered=False), published("q-1", 5, 9),
        delivered(10, "q-1", 5, seg=3), final(11, 5),
    )

    assert verdict.is_valid, verdict
    assert {lost.mid: lost.place for lost in verdict.lost} == {
        "p-1": "prefix", "p-2": "prefix", "p-4": "postfix"
    }


def test_a_loss_in_the_middle_is_named():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(2.5, "p-1", 1), ended(2.6),
        published("p-2", 2, 3), subscribed(4, 2, seg=2, recovered=False),
        published("p-3", 3, 5), delivered(6, "p-3", 3, seg=2), final(9, 3),
    )

    assert [(lost.mid, lost.place) for lost in verdict.lost] == [("p-2", "middle")]


def test_an_acknowledgement_without_a_position_counts_for_who_was_there_all_along():
    lost = [subscribed(1), *published("p-1", 1, 2), delivered(3, "p-1", 1),
            *published("p-2", 0, 4), final(9, 1)]

    assert kinds(told(lost)) == {"I9"}
    assert told(lost, [ended(2.5), subscribed(6, 1, seg=2, recovered=False)]).counts["I9"] == 0


def cut_off(*more, **of_limits):
    return told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1), ended(10), *more,
        published("p-2", 2, 50), final(60, 2), **of_limits,
    )


@pytest.mark.parametrize(("back", "is_late"), [(15.0, False), (15.01, True)])
def test_a_client_is_back_within_the_limit(back, is_late):
    verdict = cut_off(
        subscribed(back, 1, seg=2, recovered=True), delivered(51, "p-2", 2, seg=2)
    )

    assert kinds(verdict) == ({"I10"} if is_late else set())


def test_a_client_that_never_came_back_is_found():
    assert kinds(cut_off()) == {"I10"}


def test_a_client_that_gave_up_in_time_need_not_come_back():
    assert kinds(cut_off(at(12, ev.Close(cid="c", code=0)))) == set()


def test_an_outage_stops_the_clock():
    back = [subscribed(33, 1, seg=2, recovered=True), delivered(51, "p-2", 2, seg=2)]

    assert kinds(cut_off(back, fault(12, 29, outage=True))) == set()
    assert kinds(cut_off(back, fault(12, 27, outage=True))) == {"I10"}
    assert kinds(cut_off(back, fault(12, 29))) == {"I10"}


def silent(*more):
    return told(
        at(1, ev.Conn(cid="c", node="n1")), subscribed(1), published("p-1", 1, 2),
        delivered(3, "p-1", 1), fault(10, 80, target="n1", silent=True), *more,
        published("p-2", 2, 90), final(100, 2), silent_within=40.0,
    )


def test_a_client_leaves_a_node_that_went_silent():
    back = [subscribed(45, 1, seg=2, recovered=True), delivered(91, "p-2", 2, seg=2)]
    late = [subscribed(55, 1, seg=2, recovered=True), delivered(91, "p-2", 2, seg=2)]

    assert kinds(silent(back)) == set()
    assert kinds(silent(late)) == {"I10"}


def test_a_client_elsewhere_or_gone_need_not_notice():
    stays = delivered(91, "p-2", 2)
    elsewhere = at(5, ev.Conn(cid="c", node="n2"))
    gone = [at(5, ev.Close(cid="c", code=0)), ended(5, why="closed")]

    assert kinds(silent(elsewhere, stays)) == set()
    assert kinds(silent(gone)) == set()
