"""Mutations of what was published and delivered."""

from __future__ import annotations

from copy import copy

from tests.history import events as ev
from tests.history.tampering import Mutation, Tale, listing

MUTATIONS: list[Mutation] = []
mutation = listing(MUTATIONS)


@mutation("I4", "I12")
def drop_a_delivery_inside_a_segment(tale: Tale) -> bool:
    inner = [d for _, sub in tale.subs() for d in tale.of(sub)[:-1]]
    if (victim := tale.one(inner)) is None:
        return False
    tale.remove(victim)
    return True


@mutation("I4", "I12")
def drop_the_last_delivery_before_a_recovery(tale: Tale) -> bool:
    seams = [tale.of(before)[-1] for before, sub in tale.subs()
             if before is not None and sub.recovered and tale.of(before) and tale.of(sub)]
    if (victim := tale.one(seams)) is None:
        return False
    tale.remove(victim)
    return True


@mutation("I5")
def drop_the_last_delivery_of_all(tale: Tale) -> bool:
    ends = tale.ends()
    last = [tale.of(sub)[-1] for _, sub in tale.subs()
            if ends.get((sub.cid, sub.ch, sub.seg)) == "closed" and tale.of(sub)]
    if (victim := tale.one(last)) is None:
        return False
    tale.remove(victim)
    return True


@mutation("I3")
def deliver_twice(tale: Tale) -> bool:
    if (victim := tale.one(tale.all(ev.Deliver))) is None:
        return False
    tale.insert_after(victim, copy(victim))
    return True


@mutation("I3")
def deliver_again_after_a_recovery(tale: Tale) -> bool:
    seams = [(before, sub) for before, sub in tale.subs()
             if before is not None and sub.recovered and tale.of(before)]
    if (seam := tale.one(seams)) is None:
        return False
    before, sub = seam
    again = copy(tale.of(before)[-1])
    again.seg = sub.seg
    tale.insert_after(sub, again)
    return True


@mutation("I3")
def swap_two_deliveries(tale: Tale) -> bool:
    pairs = [tale.of(sub)[at:at + 2] for _, sub in tale.subs()
             for at in range(len(tale.of(sub)) - 1)]
    if (pair := tale.one(pairs)) is None:
        return False
    one, other = pair
    for name in ("mid", "crc", "offset"):
        mine, its = getattr(one, name), getattr(other, name)
        setattr(one, name, its)
        setattr(other, name, mine)
    return True


@mutation("I1")
def deliver_what_nobody_published(tale: Tale) -> bool:
    if (victim := tale.one(tale.all(ev.Deliver))) is None:
        return False
    victim.mid = tale.rng.choice(["p7-1", "p0-99999", "garbage", "p0-01"])
    return True


@mutation("I1")
def deliver_what_was_refused(tale: Tale) -> bool:
    refused = {fail.mid: fail for fail in tale.all(ev.PubFail)}
    pairs = [(d, fail) for d in tale.all(ev.Deliver) for fail in refused.values()
             if d.ch == fail.ch]
    if (pair := tale.one(pairs)) is None:
        return False
    victim, fail = pair
    victim.mid = fail.mid
    victim.crc = next(each.crc for each in tale.all(ev.PubInvoke) if each.mid == fail.mid)
    return True


@mutation("I1")
def deliver_another_body(tale: Tale) -> bool:
    if (victim := tale.one(tale.all(ev.Deliver))) is None:
        return False
    victim.crc ^= 1
    return True


@mutation("I1")
def store_what_nobody_published(tale: Tale) -> bool:
    if (victim := tale.one(tale.all(ev.Stored))) is None:
        return False
    victim.mid = "p0-99999"
    return True


@mutation("I2")
def use_an_offset_twice(tale: Tale) -> bool:
    """One client sees another message at a position than others do."""
    claims = [(d.ch, d.epoch, d.offset) for d in tale.positioned()]
    claims += [(ok.ch, ok.epoch, ok.offset) for ok in tale.all(ev.PubOk)]
    victims = [d for d in tale.positioned() if claims.count((d.ch, d.epoch, d.offset)) > 1]
    if (victim := tale.one(victims)) is None:
        return False
    keys = {invoke.mid: invoke.key or invoke.mid for invoke in tale.all(ev.PubInvoke)}
    others = [invoke for invoke in tale.all(ev.PubInvoke)
              if invoke.ch == victim.ch and keys[invoke.mid] != keys[victim.mid]]
    if (other := tale.one(others)) is None:
        return False
    victim.mid, victim.crc = other.mid, other.crc
    return True


@mutation("I2")
def acknowledge_an_offset_twice(tale: Tale) -> bool:
    oks = [ok for ok in tale.all(ev.PubOk) if ok.offset]
    keys = {invoke.mid: invoke.key or invoke.mid for invoke in tale.all(ev.PubInvoke)}
    pairs = [(one, other) for one in oks for other in oks
             if one.ch == other.ch and keys[one.mid] != keys[other.mid]]
    if (pair := tale.one(pairs)) is None:
        return False
    one, other = pair
    one.epoch, one.offset = other.epoch, other.offset
    return True


@mutation("I5")
def acknowledge_what_is_not_stored(tale: Tale) -> bool:
    if (final := tale.one(tale.all(ev.Final))) is None:
        return False
    last = tale.all(ev.PubOk)[-1]
    ok = ev.PubOk(mid="p0-9999", ch=final.ch, epoch=final.epoch, offset=final.top + 1)
    tale.insert_after(last, ok)
    tale.insert_after(last, ev.PubInvoke(mid="p0-9999", ch=final.ch, crc=1))
    return True


@mutation("I5")
def cut_the_stream_at_its_end(tale: Tale) -> bool:
    if (final := tale.one(tale.all(ev.Final))) is None:
        return False
    final.top -= 1
    return True


@mutation("I6")
def exchange_two_messages_everywhere(tale: Tale) -> bool:
    """All agree, and time does not."""
    began = {invoke.mid: invoke.t for invoke in tale.all(ev.PubInvoke)}
    keys = [invoke.key for invoke in tale.all(ev.PubInvoke)]
    alone = {i.mid for i in tale.all(ev.PubInvoke) if not i.key or keys.count(i.key) == 1}
    oks = [ok for ok in tale.all(ev.PubOk) if ok.offset and ok.mid in alone]
    pairs = [(one, other) for one in oks for other in oks
             if (one.ch, one.epoch) == (other.ch, other.epoch) and one.t < began[other.mid]]
    if (pair := tale.one(pairs)) is None:
        return False
    one, other = pair
    one.offset, other.offset = other.offset, one.offset
    sums = {invoke.mid: invoke.crc for invoke in tale.all(ev.PubInvoke)}
    renamed = {one.mid: other.mid, other.mid: one.mid}
    for deliver in tale.all(ev.Deliver):
        if deliver.ch == one.ch and deliver.mid in renamed:
            deliver.mid = renamed[deliver.mid]
            deliver.crc = sums[deliver.mid]
    return True


@mutation("I9")
def acknowledge_what_no_one_gets(tale: Tale) -> bool:
    """Without a position, as clients of the protocol are answered."""
    final = tale.one(tale.all(ev.Final))
    ends = tale.ends()
    if final is None or not any(
        sub.ch == final.ch and ends.get((sub.cid, sub.ch, sub.seg)) == "closed"
        for _, sub in tale.subs()
    ):
        return False
    log = tale.logs["publishers"]
    t = max(event.t for event in log if not isinstance(event, ev.End))
    t = max(t, min(each.t for each in tale.all(ev.Final)) - 1)
    log[-1:-1] = [
        ev.PubInvoke(mid="p0-9999", ch=final.ch, crc=1, t=t),
        ev.PubOk(mid="p0-9999", ch=final.ch, t=t),
    ]
    return True


@mutation("I9")
def hide_the_faults(tale: Tale) -> bool:
    if not tale.lost_for_good():
        return False
    log = tale.logs["control"]
    log[:] = [event for event in log if not isinstance(event, ev.Nemesis)]
    return True


@mutation("I9")
def lose_what_was_replicated(tale: Tale) -> bool:
    if (victim := tale.one(tale.lost_for_good())) is None:
        return False
    victim.durability = "replicated"
    return True


@mutation("I11")
def answer_a_key_with_two_positions(tale: Tale) -> bool:
    first: dict[tuple[str, str], str] = {}
    keys = {invoke.mid: (invoke.ch, invoke.key) for invoke in tale.all(ev.PubInvoke) if invoke.key}
    repeated = [ok for ok in tale.all(ev.PubOk) if ok.offset and ok.mid in keys
                and first.setdefault(keys[ok.mid], ok.mid) != ok.mid]
    if (victim := tale.one(repeated)) is None:
        return False
    victim.offset += 1
    return True


@mutation("I11")
def acknowledge_twice_and_differently(tale: Tale) -> bool:
    if (victim := tale.one([ok for ok in tale.all(ev.PubOk) if ok.offset])) is None:
        return False
    again = copy(victim)
    again.offset += 1
    tale.insert_after(victim, again)
    return True
