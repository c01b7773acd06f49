"""What strategies promise that place keys: who moves when members come, go or change weight."""

from __future__ import annotations

import random
import subprocess
import sys
from math import ceil

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uhashring import HashRing

from balancers import STRATEGIES, Member, Strategy, View
from balancers.hashing import hash_bytes, mixed
from tests.balancers.fleets import fleet, keys

HASHING = ("maglev", "multi_probe", "rendezvous", "ring_hash")
MINIMAL = ("multi_probe", "rendezvous", "ring_hash")
"""Those that move nothing but what must."""

every_hashing = pytest.mark.parametrize("name", HASHING)
every_minimal = pytest.mark.parametrize("name", MINIMAL)
numbers = st.lists(st.integers(0, 30), unique=True, min_size=2, max_size=7)
weights = st.sampled_from([0.5, 1.0, 2.0, 5.0])
SMALL = {
    "maglev": {"table_size": 251},
    "multi_probe": {"probes": 5, "vnodes": 3},
    "ring_hash": {"vnodes": 20},
}
"""Options with which structures are made quickly."""


def build(name: str, **options: object) -> Strategy:
    options = {**SMALL.get(name, {}), **options}
    return STRATEGIES[name](**options).build(random.Random(0), lambda: 0.0)


@st.composite
def weighted(draw: st.DrawFn) -> View:
    return View(
        1,
        tuple(
            Member(id=f"n{number}/1", weight=draw(weights), capacity=1_000)
            for number in draw(numbers)
        ),
    )


def without(view: View, member: Member) -> View:
    return View(view.version + 1, tuple(each for each in view.members if each is not member))


def ids(ranked: object) -> list[str]:
    return [member.id for member in ranked]  # type: ignore[attr-defined]


@every_minimal
@given(view=weighted(), key=keys, data=st.data())
def test_a_member_that_leaves_moves_its_own_keys_only(
    name: str, view: View, key: int, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(view.members))
    strategy = build(name)
    before = strategy.pick(key, view)
    after = strategy.pick(key, without(view, gone))
    assert before is gone or after is before


@every_minimal
@given(size=st.integers(1, 8), key=keys)
def test_a_member_that_joins_only_takes_keys(name: str, size: int, key: int) -> None:
    strategy = build(name)
    small, large = fleet(*[0] * size), fleet(*[0] * (size + 1))
    before, after = strategy.pick(key, small), strategy.pick(key, large)
    assert before is not None
    assert after is not None
    assert after.id in {before.id, f"n{size}"}


@every_hashing
@given(view=weighted(), key=keys, data=st.data())
def test_a_member_that_returns_has_its_keys_again(
    name: str, view: View, key: int, data: st.DataObject
) -> None:
    strategy = build(name)
    before = strategy.pick(key, view)
    strategy.pick(key, without(view, data.draw(st.sampled_from(view.members))))
    assert strategy.pick(key, attrs.evolve(view, version=9)) is before


@every_minimal
@given(size=st.integers(2, 8), key=keys, data=st.data())
def test_the_rank_without_a_member_is_the_rank_that_was(
    name: str, size: int, key: int, data: st.DataObject
) -> None:
    strategy, view = build(name), fleet(*[0] * size)
    gone = data.draw(st.sampled_from(view.members))
    before = ids(strategy.rank(key, view))
    assert sorted(before) == sorted(view.by_id)
    before.remove(gone.id)
    assert ids(strategy.rank(key, without(view, gone))) == before


@every_hashing
@given(view=weighted(), key=keys, data=st.data())
def test_whoever_drains_is_passed_over_and_nobody_else_moves(
    name: str, view: View, key: int, data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(view.members))
    drained = View(
        2,
        tuple(
            attrs.evolve(each, is_accepting=each is not chosen, report=1) for each in view.members
        ),
    )
    strategy = build(name)
    before = strategy.pick(key, view)
    after = strategy.pick(key, drained)
    assert before is not None
    assert after is not None
    if before is chosen:
        assert after.id != chosen.id
    else:
        assert after.id == before.id


@every_hashing
@given(view=weighted(), key=keys)
def test_a_new_life_of_a_node_has_the_keys_of_the_old(name: str, view: View, key: int) -> None:
    reborn = View(
        2, tuple(attrs.evolve(each, id=each.id.replace("/1", "/2")) for each in view.members)
    )
    strategy = build(name)
    assert ids(strategy.rank(key, reborn)) == [
        each.replace("/1", "/2") for each in ids(strategy.rank(key, view))
    ]


@every_hashing
@given(view=weighted(), key=keys, order=st.randoms(use_true_random=False))
def test_neither_the_order_of_members_nor_the_past_matters(
    name: str, view: View, key: int, order: random.Random
) -> None:
    used = build(name)
    for size in (3, 5):
        used.pick(key, fleet(*[0] * size))
    shuffled = list(view.members)
    order.shuffle(shuffled)
    assert ids(used.rank(key, View(7, tuple(shuffled)))) == ids(build(name).rank(key, view))


@every_minimal
@given(view=weighted(), key=keys, data=st.data())
def test_a_weight_that_grows_only_draws_keys(
    name: str, view: View, key: int, data: st.DataObject
) -> None:
    strategy = build(name)
    chosen = data.draw(st.sampled_from(view.members))
    before = strategy.pick(key, view)
    grown = View(
        2,
        tuple(
            attrs.evolve(each, weight=each.weight * 3) if each is chosen else each
            for each in view.members
        ),
    )
    after = strategy.pick(key, grown)
    assert before is not None
    assert after is not None
    assert after.id in {before.id, chosen.id}


@pytest.mark.parametrize("name", ["maglev", "rendezvous"])
@given(view=weighted(), key=keys, factor=st.sampled_from([0.25, 2.0, 1000.0]))
def test_weights_are_relative(name: str, view: View, key: int, factor: float) -> None:
    strategy = build(name)
    scaled = View(
        3, tuple(attrs.evolve(each, weight=each.weight * factor) for each in view.members)
    )
    assert ids(strategy.rank(key, scaled)) == ids(strategy.rank(key, view))


@every_hashing
def test_shares_follow_the_weights(name: str) -> None:
    view = View(
        1, tuple(Member(id=f"n{each}", weight=each, capacity=10**6) for each in (1.0, 2.0, 5.0))
    )
    strategy = STRATEGIES[name]().build(random.Random(0), lambda: 0.0)
    shares = dict.fromkeys(view.by_id, 0)
    for number in range(8_000):
        member = strategy.pick(mixed(3, number), view)
        assert member is not None
        shares[member.id] += 1
    # 4 sigma of 8,000 throws are 118 to 175. To that, a member's points are off by 1 in
    # sqrt(points): 4 sigma are 32 % for 160 of them; probes make up for having only 10.
    slack = {"ring_hash": 0.4, "multi_probe": 0.3}.get(name, 0.12)
    for each, share in zip((1, 2, 5), shares.values(), strict=True):
        assert abs(share - 1_000 * each) <= slack * 1_000 * each


@given(numbers=numbers, seed=st.binary(max_size=8))
def test_every_member_has_its_share_of_a_maglev_table(numbers: list[int], seed: bytes) -> None:
    size, view = 251, View(1, tuple(Member(id=f"n{number}") for number in numbers))
    strategy = build("maglev", table_size=size, hash_seed=seed.hex())
    slots = [strategy.pick(slot, view) for slot in range(size)]
    counts = [sum(each is member for each in slots) for member in view.members]
    assert sum(counts) == size
    assert max(counts) - min(counts) <= 1


def test_a_maglev_table_moves_few_keys_more_than_it_must() -> None:
    # Measured: at most 0.024 of the keys at this size; 0.03 is what the property allows.
    for size in (5, 20):
        strategy, view = build("maglev", table_size=5003), fleet(*[0] * size)
        less = without(view, view.members[1])
        before = [strategy.pick(slot, view) for slot in range(5003)]
        after = [strategy.pick(slot, less) for slot in range(5003)]
        moved = sum(one is not other for one, other in zip(before, after, strict=True))
        assert moved / 5003 <= 1 / size + 0.03


@given(size=st.integers(1, 8), key=keys)
def test_a_ring_is_the_ring_that_others_make(size: int, key: int) -> None:
    theirs = HashRing(
        nodes={f"n{number}": {"vnodes": 20, "weight": 1} for number in range(size)},
        hash_fn=lambda text: hash_bytes(text.encode()) if text != "key" else key,
    )
    ours = build("ring_hash").pick(key, fleet(*[0] * size))
    assert ours is not None
    assert ours.id == theirs.get_node("key")


GOLDEN = {
    "maglev": [2, 1, 3, 0, 0, 4, 4, 4, 2, 2, 3, 3],
    "multi_probe": [0, 3, 3, 1, 1, 2, 2, 4, 4, 1, 1, 4],
    "rendezvous": [3, 0, 1, 0, 0, 0, 4, 1, 1, 2, 4, 1],
    "ring_hash": [0, 1, 3, 0, 2, 1, 0, 3, 3, 1, 4, 0],
}
"""Where keys 0 to 11, mixed with 7, belong among n0 to n4. A change of these moves every client."""


def golden(name: str) -> list[int]:
    strategy = STRATEGIES[name](hash_seed="seed").build(random.Random(5), lambda: 0.0)
    picked = [strategy.pick(mixed(7, number), fleet(*[0] * 5)) for number in range(12)]
    return [int(member.id[1:]) for member in picked if member is not None]


@every_hashing
def test_keys_stay_where_they_are_between_releases(name: str) -> None:
    assert golden(name) == GOLDEN[name]


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_processes_agree(hash_seed: str) -> None:
    program = (
        "from tests.balancers.test_hash_strategies import HASHING, golden\n"
        "print({name: golden(name) for name in HASHING})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONHASHSEED": hash_seed}, check=True,
        capture_output=True, text=True, timeout=60,
    )
    assert done.stdout.strip() == str(GOLDEN)


@every_hashing
def test_another_seed_is_another_order(name: str) -> None:
    view = fleet(*[0] * 8)
    one, other = build(name, hash_seed="a"), build(name, hash_seed="b")
    # With 8 members 1 in 8 agree by chance: of 64 keys 8, and 24 at 6 sigma.
    agree = sum(one.pick(mixed(1, key), view) is other.pick(mixed(1, key), view)
                for key in range(64))
    assert agree <= 24


@pytest.mark.parametrize("base", HASHING)
@given(
    factor=st.sampled_from([1.0, 1.05, 1.25, 2.0]), size=st.integers(1, 6),
    steps=st.lists(st.tuples(keys, st.booleans()), max_size=40), weighs=st.lists(
        weights, min_size=6, max_size=6),
)
def test_nobody_is_placed_above_the_bound_and_everybody_is_placed(
    base: str, factor: float, size: int, steps: list[tuple[int, bool]], weighs: list[float]
) -> None:
    view = View(
        1,
        tuple(
            Member(id=f"n{number}", weight=weighs[number], capacity=1_000)
            for number in range(size)
        ),
    )
    total = sum(weighs[:size])
    bounded = build("bounded_load", base=base, balance_factor=factor,
                    base_options=SMALL.get(base, {}))
    plain = build(base)
    load = dict.fromkeys(view.by_id, 0)
    open_ones: list[str] = []
    for key, leaves in steps:
        if leaves and open_ones:
            gone = open_ones.pop(key % len(open_ones))
            bounded.closed(gone)
            load[gone] -= 1
            continue
        picked = bounded.pick(key, view)
        assert picked is not None
        bound = {
            each.id: ceil(round(factor * (sum(load.values()) + 1) * each.weight / total, 9))
            for each in view.members
        }
        fits = [each for each in plain.rank(key, view) if load[each.id] < bound[each.id]]
        assert picked is fits[0]
        bounded.opened(picked.id)
        load[picked.id] += 1
        open_ones.append(picked.id)


@pytest.mark.parametrize("base", HASHING)
@given(view=weighted(), key=keys)
def test_a_wide_bound_is_none(base: str, view: View, key: int) -> None:
    bounded = build("bounded_load", base=base, balance_factor=1000.0,
                    base_options=SMALL.get(base, {}))
    assert bounded.pick(key, view) is build(base).pick(key, view)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("maglev", {"table_size": 100}, "table_size: expected a prime number from 3"),
        ("maglev", {"table_size": 5_000_081}, "found 5000081"),
        ("ring_hash", {"vnodes": 10_001}, "vnodes"),
        ("multi_probe", {"probes": 0}, "probes"),
        ("multi_probe", {"vnodes": 0}, "vnodes"),
        ("bounded_load", {"base": "p2c"}, "base: expected one of maglev, "),
        ("bounded_load", {"balance_factor": 0.9}, "balance_factor"),
        ("bounded_load", {"base_options": {"vnodes": 3}}, "rendezvous has no such option"),
        ("bounded_load", {"base": "maglev", "base_options": {"table_size": 4}}, "prime"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        STRATEGIES[name](**options)
