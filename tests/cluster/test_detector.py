"""One detector, event by event: hints, evidence, and what a node holds against itself."""

from __future__ import annotations

import math

from wsmesh.cluster.actions import (
    Accuse,
    Action,
    AskProbe,
    Clear,
    SelfHealth,
    SendProbe,
    SendReport,
    Suspect,
    Timing,
    Withdraw,
)
from wsmesh.cluster.detector import Detector
from wsmesh.cluster.nodes import Identity, NodeRecord
from wsmesh.cluster.relays import MOST_RELAYS
from wsmesh.cluster.view import Listed, Listing, View

A, B, C, D, X = (Identity(name, 1) for name in "abcdx")


def view_of(*members: Identity, lease: float = 15.0) -> View:
    records = (
        NodeRecord(node=who.node, incarnation=who.incarnation, state="alive") for who in members
    )
    nodes = tuple(Listed(record=record, lease=lease) for record in records)
    return View().merged(Listing(version=1, nodes=nodes), 0.0, 15.0)


class Watcher:
    """A detector for A, with a clock that is on time unless told otherwise."""

    def __init__(self, *others: Identity, lease: float = 15.0, **timing: float) -> None:
        self.detector = Detector(A, Timing(**timing))
        self.now = 0.0
        self.last: dict[str, int] = {}
        self.view = view_of(A, *others, lease=lease)
        self.do(self.detector.store(0.0, is_up=True))
        self.do(self.detector.update(0.0, self.view))

    def do(self, actions: list[Action]) -> list[Action]:
        for action in actions:
            if isinstance(action, SendProbe):
                self.last[action.target.node] = action.number
        return actions

    def run(self, seconds: float, *answering: Identity) -> list[Action]:
        """Let time pass; these answer each probe at once. What remains is returned."""
        found, until = [], self.now + seconds
        while self.detector.due <= until:
            self.now = max(self.now, self.detector.due)
            actions = self.do(self.detector.tick(self.now))
            found += actions
            for action in actions:
                if isinstance(action, SendProbe) and action.target in answering:
                    found += self.detector.acked(self.now, action.target, action.number)
        self.now = until
        return found


def of(actions: list[Action], *kinds: type) -> list[Action]:
    return [action for action in actions if isinstance(action, kinds)]


def test_it_probes_in_its_rhythm_whom_it_watches_and_asks_nobody_while_they_answer():
    watcher = Watcher(B, C)
    actions = watcher.run(10.0, B, C)
    assert len(of(actions, SendProbe)) == 2 * 11
    assert of(actions, AskProbe, Suspect, Accuse, SelfHealth) == []
    assert watcher.detector.watching == {B, C}
    assert watcher.detector.answering(watcher.now) == {"b", "c"}


def test_alone_it_has_nothing_to_do_and_a_dead_one_neither():
    watcher = Watcher()
    assert watcher.detector.due == math.inf
    condemned = Watcher(B)
    condemned.detector.update(0.0, condemned.view.burying(A))
    assert condemned.detector.due == math.inf


def test_silence_is_suspected_then_probed_through_others_then_accused_with_every_miss():
    watcher = Watcher(B, C, X)
    watcher.run(5.0, B, C, X)
    actions = watcher.run(1.4, B, C)
    assert of(actions, Suspect, Accuse) == []
    actions = watcher.run(0.7, B, C)
    assert of(actions, Suspect, Accuse) == [Suspect(X)]
    assert {ask.intermediary for ask in of(actions, AskProbe)} == {"b", "c"}
    actions = watcher.run(0.5, B, C)
    assert of(actions, Suspect, Accuse) == [Accuse(X)]
    assert of(watcher.run(3.0, B, C), Accuse) == [Accuse(X)] * 3


def test_an_answer_withdraws_the_accusation_and_ends_the_suspicion():
    watcher = Watcher(B, X)
    watcher.run(3.0, B)
    actions = watcher.run(1.0, B, X)
    assert of(actions, Withdraw, Clear) == [Withdraw(X), Clear(X)]


def test_an_answer_to_the_probe_before_counts_and_one_to_an_older_does_not():
    watcher = Watcher(B, X)
    watcher.run(0.0, B)
    old = watcher.last["x"]
    watcher.run(1.2, B)
    assert Clear(X) in watcher.detector.acked(watcher.now, X, old)
    watcher = Watcher(B, X)
    watcher.run(0.0, B)
    old = watcher.last["x"]
    watcher.run(2.2, B)
    assert watcher.detector.acked(watcher.now, X, old) == []


def test_answers_of_others_or_of_another_incarnation_do_not_count():
    watcher = Watcher(B, X)
    watcher.run(0.7, B)
    for peer in (B, Identity("x", 2), Identity("z", 1)):
        assert watcher.detector.acked(watcher.now, peer, watcher.last["x"]) == []


def test_whom_others_reach_is_not_accused_and_not_suspected_again():
    watcher = Watcher(B, C, X)
    for _ in range(40):
        for ask in of(watcher.run(0.25, B, C), AskProbe):
            actions = watcher.detector.reported(watcher.now, ask.intermediary, ask.number, True)
            assert of(actions, Accuse, Suspect) == []
    assert of(watcher.run(0.1, B, C), Accuse) == []
    member = watcher.detector.reported(watcher.now, "stranger", watcher.last["x"], True)
    assert member == []


def test_a_lost_link_is_a_hint_others_are_asked_at_once():
    watcher = Watcher(B, C, X)
    watcher.run(0.0, B, C)
    actions = watcher.detector.unlinked(watcher.now, "x")
    assert of(actions, Suspect, Accuse) == [Suspect(X)]
    assert len(of(actions, AskProbe)) == 2
    assert watcher.detector.unlinked(watcher.now, "x") == []
    assert watcher.detector.unlinked(watcher.now, "stranger") == []
    assert watcher.detector.unlinked(watcher.now, "a") == []
    assert Clear(X) in watcher.detector.linked(watcher.now, X)


def test_whose_link_is_lost_is_watched_wherever_it_stands_on_the_ring():
    others = [Identity(f"n{number}", 1) for number in range(8)]
    watcher = Watcher(*others)
    assert len(watcher.detector.watching) == 3
    watcher.run(0.1, *others)
    watcher.detector.unlinked(watcher.now, "n7")
    assert others[7] in watcher.detector.watching
    watcher.detector.linked(watcher.now, others[6])
    watcher.detector.linked(watcher.now, others[7])
    watcher.run(1.0, *others)
    assert len(watcher.detector.watching) == 3


def test_refused_is_accused_at_once_and_in_a_cluster_of_two_as_well():
    watcher = Watcher(X)
    watcher.run(1.0, X)
    actions = watcher.detector.refused(watcher.now, "x")
    assert of(actions, Suspect, Accuse) == [Suspect(X), Accuse(X, is_refused=True)]
    assert of(watcher.run(1.6), Accuse)[0] == Accuse(X, is_refused=True)


def test_refusals_by_whom_others_reach_are_no_evidence():
    watcher = Watcher(B, X)
    watcher.run(0.0, B)
    (ask,) = of(watcher.detector.unlinked(watcher.now, "x"), AskProbe)
    watcher.detector.reported(watcher.now, "b", ask.number, True)
    assert of(watcher.detector.refused(watcher.now, "x"), Accuse, Suspect) == []


def test_a_later_incarnation_at_the_same_address_is_the_end_of_the_one_before():
    watcher = Watcher(B, X)
    watcher.run(1.0, B, X)
    assert of(watcher.detector.linked(watcher.now, Identity("x", 2)), Accuse) == [
        Accuse(X, is_refused=True)
    ]
    later = Watcher(B, Identity("x", 3))
    assert later.detector.linked(0.0, Identity("x", 2)) == []


def test_a_probe_that_cannot_be_sent_goes_through_others_once():
    watcher = Watcher(B, C, X)
    watcher.run(0.0, B, C)
    actions = watcher.detector.failed(watcher.now, watcher.last["x"])
    assert {ask.intermediary for ask in of(actions, AskProbe)} == {"b", "c"}
    assert {ask.number for ask in of(actions, AskProbe)} == {watcher.last["x"]}
    assert watcher.detector.failed(watcher.now, watcher.last["x"]) == []


def test_it_probes_for_others_and_says_in_time_whether_it_was_answered():
    watcher = Watcher(B, C, D, X)
    watcher.run(0.0, B, C, D, X)
    (probe,) = of(watcher.detector.asked(0.0, "b", 77, "x"), SendProbe)
    assert watcher.detector.acked(0.1, C, probe.number) == []
    assert watcher.detector.acked(0.1, X, probe.number) == [SendReport("b", 77, "x", True)]
    watcher.detector.asked(0.1, "b", 78, "x")
    watcher.now = 0.1
    assert SendReport("b", 78, "x", False) in watcher.run(0.3, B, C, D, X)


def test_whom_it_found_silent_for_another_it_watches_itself_for_a_while():
    others = [Identity(f"n{number}", 1) for number in range(8)]
    watcher = Watcher(*others)
    watcher.run(0.1, *others)
    watcher.detector.asked(watcher.now, "n1", 5, "n7")
    watcher.run(0.5, *others)
    assert others[7] in watcher.detector.watching
    watcher.run(7.0, *others)
    assert others[7] not in watcher.detector.watching
    watcher.detector.accused(watcher.now, "n6")
    assert others[6] in watcher.detector.watching


def test_it_carries_out_so_many_probes_for_others_and_none_of_itself_or_of_strangers():
    watcher = Watcher(B, X)
    assert watcher.detector.asked(0.0, "b", 1, "a") == []
    assert watcher.detector.asked(0.0, "b", 1, "stranger") == []
    for number in range(MOST_RELAYS):
        assert len(watcher.detector.asked(0.0, "b", number, "x")) == 1
    assert watcher.detector.asked(0.0, "b", MOST_RELAYS, "x") == []


def test_woken_late_it_says_so_starts_over_and_takes_back_what_it_said():
    watcher = Watcher(B, X)
    watcher.run(3.0, B)
    watcher.now += 2.0
    actions = watcher.detector.tick(watcher.now)
    assert of(actions, SelfHealth, Withdraw) == [SelfHealth(1), Withdraw(X)]
    assert {probe.target for probe in of(actions, SendProbe)} == {B, X}
    assert not watcher.detector.is_well
    actions = watcher.run(1.2, B)
    assert SelfHealth(0) in actions
    assert watcher.detector.is_well


def test_woken_late_it_waits_longer_and_needs_all_the_misses_anew():
    watcher = Watcher(B, C, X)
    watcher.run(3.0, B, C)
    watcher.now += 2.0
    watcher.do(watcher.detector.tick(watcher.now))
    assert of(watcher.run(0.9), Suspect, Accuse) == []
    for who in (B, C):
        watcher.detector.acked(watcher.now, who, watcher.last[who.node])
    assert of(watcher.run(0.5, B, C), Accuse) == []
    assert of(watcher.run(0.2, B, C), Accuse) == [Accuse(X)]


def test_every_stall_adds_patience_up_to_a_bound():
    watcher = Watcher(B, X)
    for _ in range(12):
        watcher.now += 2.0
        watcher.detector.tick(watcher.now)
    assert watcher.detector.tick(watcher.now + 2.0)[0] == SelfHealth(8)


def test_a_lag_that_a_ticker_finds_counts_once_and_a_small_one_not_at_all():
    watcher = Watcher(B, X)
    assert watcher.detector.lagged(0.1, 0.2) == []
    assert watcher.detector.lagged(0.2, 0.9) == [SelfHealth(1)]
    assert watcher.detector.lagged(0.3, 0.9) == []


def test_an_answer_that_waits_to_be_read_when_a_timer_is_a_little_late_still_counts():
    watcher = Watcher(B, X)
    watcher.run(0.0, B)
    number = watcher.last["x"]
    assert of(watcher.detector.tick(0.6), Suspect, SelfHealth) == []
    watcher.detector.acked(0.61, X, number)
    assert of(watcher.detector.tick(0.7), Suspect) == []
    late = Watcher(B, X)
    late.run(0.0, B)
    late.detector.tick(0.6)
    assert of(late.detector.tick(0.66), Suspect) == [Suspect(X)]


def test_who_hears_nobody_accuses_nobody_until_a_lease_ran_out_with_the_store_there():
    watcher = Watcher(B, C, X, lease=1.0)
    watcher.run(3.0, B, C, X)
    assert of(watcher.run(11.9), Accuse) == []
    assert set(of(watcher.run(2.0), Accuse)) == {Accuse(B), Accuse(C), Accuse(X)}
    away = Watcher(B, C, X, lease=1.0)
    away.run(10.0, B, C, X)
    away.detector.store(away.now, is_up=False)
    away.detector.store(away.now, is_up=True)
    assert of(away.run(14.9), Accuse) == []


def test_while_the_store_is_away_everybody_is_asked_whether_they_are_there():
    others = [Identity(f"n{number}", 1) for number in range(8)]
    watcher = Watcher(*others)
    watcher.run(5.0, *others)
    assert len(watcher.detector.answering(watcher.now)) == 3
    watcher.do(watcher.detector.store(watcher.now, is_up=False))
    watcher.run(1.0, *others)
    assert watcher.detector.answering(watcher.now) == {who.node for who in others}
    watcher.do(watcher.detector.store(watcher.now, is_up=True))
    watcher.run(5.0, *others)
    assert len(watcher.detector.watching) == 3


def test_who_left_or_came_back_as_another_is_watched_no_longer():
    watcher = Watcher(B, X)
    watcher.run(3.0, B)
    after = watcher.view.burying(X)
    watcher.detector.update(watcher.now, after)
    assert watcher.detector.watching == {B}
    assert of(watcher.run(5.0, B), Accuse) == []
    watcher.detector.update(watcher.now, view_of(A, B, Identity("x", 2)))
    assert watcher.detector.watching == {B, Identity("x", 2)}


def test_one_miss_may_be_enough_and_then_goes_through_others_from_the_first():
    watcher = Watcher(B, C, X, misses=1)
    actions = watcher.run(0.0, B, C)
    assert {ask.intermediary for ask in of(actions, AskProbe) if ask.target == X} == {"b", "c"}
    assert of(watcher.run(0.5, B, C), Accuse) == [Accuse(X)]
    assert watcher.detector.timing.detection == 1.5
