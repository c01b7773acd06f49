"""Mutations of what clients were told, and of when and by whom they were served."""

from __future__ import annotations

from tests.history import events as ev
from tests.history.tampering import Mutation, Tale, listing

MUTATIONS: list[Mutation] = []
mutation = listing(MUTATIONS)


@mutation("I12")
def deny_a_recovery(tale: Tale) -> bool:
    subs = [
        sub for _, sub in tale.returns() if sub.recovered and (
            sub.offset == tale.position_at(sub)
            or any(deliver.offset <= sub.offset for deliver in tale.of(sub))
        )
    ]
    if (victim := tale.one(subs)) is None:
        return False
    victim.recovered = False
    return True


@mutation("I7")
def claim_recovery_across_epochs(tale: Tale) -> bool:
    subs = [sub for before, sub in tale.subs()
            if before is not None and sub.was_recovering and before.epoch != sub.epoch]
    if (victim := tale.one(subs)) is None:
        return False
    victim.recovered, victim.reason = True, ""
    return True


@mutation("I12")
def claim_recovery_over_a_gap(tale: Tale) -> bool:
    subs = [sub for before, sub in tale.subs()
            if before is not None and sub.was_recovering and not sub.recovered
            and before.epoch == sub.epoch and tale.of(sub)]
    if (victim := tale.one(subs)) is None:
        return False
    victim.recovered, victim.reason = True, ""
    return True


@mutation("I12")
def give_a_wrong_reason(tale: Tale) -> bool:
    subs = [sub for _, sub in tale.subs() if sub.reason == "history_expired"]
    if (victim := tale.one(subs)) is None:
        return False
    victim.reason = tale.rng.choice(["store_failover", "epoch_changed", "bad luck"])
    return True


@mutation("I12")
def expire_what_is_retained(tale: Tale) -> bool:
    subs = [sub for _, sub in tale.returns() if sub.reason == "history_expired"]
    if (victim := tale.one(subs)) is None:
        return False
    victim.first = tale.position_at(victim) + 1
    return True


@mutation("I12")
def send_the_top_back(tale: Tale) -> bool:
    subs = [sub for before, sub in tale.returns()
            if before.epoch == sub.epoch and tale.position_at(sub) > 0]
    if (victim := tale.one(subs)) is None:
        return False
    victim.offset = tale.position_at(victim) - 1
    return True


@mutation("I7")
def return_to_an_abandoned_epoch(tale: Tale) -> bool:
    first: dict[tuple[str, str], str] = {}
    third = [
        sub for before, sub in tale.subs()
        if first.setdefault((sub.cid, sub.ch), sub.epoch) != sub.epoch
        and before is not None and before.epoch != first[sub.cid, sub.ch]
    ]
    if (victim := tale.one(third)) is None:
        return False
    for deliver in tale.of(victim):
        deliver.epoch = first[victim.cid, victim.ch]
    victim.epoch = first[victim.cid, victim.ch]
    return True


@mutation("I7")
def acknowledge_in_an_abandoned_epoch(tale: Tale) -> bool:
    began = {invoke.mid: invoke.t for invoke in tale.all(ev.PubInvoke)}
    oks = [ok for ok in tale.all(ev.PubOk) if ok.offset]
    found = [
        (old, new, last) for old in oks for new in oks for last in oks
        if old.ch == new.ch == last.ch and old.epoch != new.epoch == last.epoch
        and old.t < began[new.mid] and new.t < began[last.mid]
    ]
    if (choice := tale.one(found)) is None:
        return False
    old, _, last = choice
    last.epoch, last.offset = old.epoch, 100_000
    return True


@mutation("I7")
def deliver_from_another_epoch(tale: Tale) -> bool:
    if (victim := tale.one(tale.positioned())) is None:
        return False
    victim.epoch += "x"
    return True


@mutation("I4")
def deliver_outside_of_a_subscription(tale: Tale) -> bool:
    if (victim := tale.one(tale.all(ev.Deliver))) is None:
        return False
    victim.seg = 999
    return True


@mutation("I8")
def let_two_nodes_serve_a_session(tale: Tale) -> bool:
    found = []
    for log in tale.logs.values():
        served: dict[str, list[ev.Deliver]] = {}
        nodes: dict[str, list[str]] = {}
        for event in log:
            if isinstance(event, ev.Conn):
                served[event.cid] = []
                nodes.setdefault(event.cid, []).append(event.node)
            elif isinstance(event, ev.Deliver) and event.cid in served:
                served[event.cid].append(event)
                if len(served[event.cid]) == 3 and len(nodes[event.cid]) > 1:
                    found.append((served[event.cid], nodes[event.cid][-2]))
    if (choice := tale.one(found)) is None:
        return False
    deliveries, old_node = choice
    deliveries[1].node = old_node
    return True


@mutation("I8")
def let_a_generation_return(tale: Tale) -> bool:
    conns = [conn for conn in tale.all(ev.Conn) if conn.gen > 1]
    if (victim := tale.one(conns)) is None:
        return False
    victim.gen = 0
    return True


@mutation("I10")
def come_back_late(tale: Tale) -> bool:
    lost = {(end.cid, end.ch, end.seg): end for end in tale.all(ev.EndSeg) if end.why == "lost"}
    pairs = [sub for before, sub in tale.subs()
             if before is not None and (before.cid, before.ch, before.seg) in lost]
    if (victim := tale.one(pairs)) is None:
        return False
    since = victim.t
    for log in tale.logs.values():
        for event in log:
            event.t += 5_100_000_000 if event.t >= since else 0
    return True


@mutation("I13")
def hear_a_forbidden_channel(tale: Tale) -> bool:
    if (victim := tale.one(tale.all(ev.Deliver))) is None or tale.all(ev.Allow):
        return False
    tale.logs["control"].insert(0, ev.Revoke(cid=victim.cid, ch=victim.ch, never=True))
    return True


@mutation("I14")
def miscount_deliveries(tale: Tale) -> bool:
    counters = tale.one([each for each in tale.all(ev.Counters) if each.delivered])
    if counters is None:
        return False
    counters.delivered -= 1
    return True


@mutation("I14")
def miscount_closes(tale: Tale) -> bool:
    counters = tale.one([each for each in tale.all(ev.Counters) if each.closes["3008"]])
    if counters is None:
        return False
    counters.closes = {"3008": counters.closes["3008"] - 1}
    return True
