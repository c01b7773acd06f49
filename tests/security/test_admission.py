"""Which connections a node takes, against a model and in a storm (table rows 3, 20 and 21)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wsmesh.config.sections import LimitsSection
from wsmesh.security.admission import Admission
from wsmesh.security.rate import SLACK


def limits(**options):
    plenty = {
        "connects_per_ip": 1e6, "connects_per_ip_burst": 10**6, "max_connections_per_ip": 10**6,
        "accept_rate": 1e6, "accept_burst": 10**6, "unauthenticated_share": 1.0,
    }  # fmt: skip
    return LimitsSection(**plenty | options)


def took(admission, address, now=10.0, *, is_returning=False):
    """Admit and open; the name of the limit that refused, or "" when taken."""
    refusal = admission.admit(address, now, is_returning=is_returning)
    if refusal is not None:
        return refusal.limit
    admission.opened(address)
    return ""


def test_the_node_is_full_at_max_connections_and_takes_again_after_one_left():
    admission = Admission(limits(), max_connections=3)
    assert [took(admission, f"10.0.0.{n}") for n in range(4)] == ["", "", "", "max_connections"]
    refusal = admission.admit("127.0.0.1", 10.0)
    assert refusal is not None and refusal.status == 503 and refusal.retry_after > 0
    admission.closed("10.0.0.1", was_authenticated=False)
    assert took(admission, "10.0.0.9") == ""


def test_an_address_has_its_share_of_connections_and_networks_count_as_one():
    admission = Admission(limits(max_connections_per_ip=2), max_connections=100)
    assert [took(admission, "10.0.0.1") for _ in range(3)] == ["", "", "max_connections_per_ip"]
    assert took(admission, "10.0.0.2") == ""
    inside = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"]
    assert [took(admission, a) for a in inside] == ["", "", "max_connections_per_ip"]
    assert took(admission, "2001:db8:0:1::1") == ""
    assert took(admission, "::ffff:10.0.0.1") == "max_connections_per_ip"
    refusal = admission.admit("10.0.0.1", 10.0)
    assert refusal is not None and refusal.status == 429


def test_other_limits_count_the_connections_that_are_open():
    admission = Admission(limits(max_connections_per_ip=2), max_connections=10)
    assert [took(admission, "10.0.0.1") for _ in range(3)] == ["", "", "max_connections_per_ip"]
    admission.reconfigure(limits(max_connections_per_ip=3, unauthenticated_share=0.4))
    assert [took(admission, "10.0.0.1") for _ in range(2)] == ["", "max_connections_per_ip"]
    assert [took(admission, "10.0.0.2") for _ in range(2)] == ["", "unauthenticated_share"]
    assert (admission.connections, admission.unauthenticated) == (4, 4)


@pytest.mark.parametrize("rate", ["connects_per_ip", "accept_rate"])
def test_only_a_rate_that_changed_begins_anew(rate):
    burst = f"{rate}_burst".replace("rate_", "")
    slow = {rate: 1.0, burst: 2}
    admission = Admission(limits(**slow), max_connections=100)
    assert [took(admission, "10.0.0.1") for _ in range(3)] == ["", "", rate]
    admission.reconfigure(limits(**slow, loopback_exempt=False))
    assert took(admission, "10.0.0.1") == rate
    admission.reconfigure(limits(**slow | {burst: 3}))
    assert [took(admission, "10.0.0.1") for _ in range(4)] == ["", "", "", rate]


def test_an_address_connects_at_its_rate():
    admission = Admission(limits(connects_per_ip=2.0, connects_per_ip_burst=3), max_connections=100)
    assert [took(admission, "10.0.0.1") for _ in range(4)] == ["", "", "", "connects_per_ip"]
    refusal = admission.admit("10.0.0.1", 10.0)
    assert refusal is not None and refusal.status == 429 and 0.4 < refusal.retry_after <= 0.5
    assert took(admission, "10.0.0.1", 10.0 + refusal.retry_after) == ""
    assert took(admission, "10.0.0.2") == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.200.0.9", "::1", "::ffff:127.0.0.1", ""])
def test_local_peers_are_exempt_from_limits_per_address_only(address):
    strict = {"connects_per_ip": 0.01, "connects_per_ip_burst": 1, "max_connections_per_ip": 1}
    exempt = Admission(limits(**strict), max_connections=5)
    assert [took(exempt, address) for _ in range(6)] == [""] * 5 + ["max_connections"]
    counted = Admission(limits(**strict, loopback_exempt=False), max_connections=5)
    assert [took(counted, address) for _ in range(2)] == ["", "max_connections_per_ip"]


def test_unauthenticated_connections_have_a_share_of_the_node():
    admission = Admission(limits(unauthenticated_share=0.5), max_connections=10)
    assert [took(admission, "10.0.0.1") for _ in range(6)] == [""] * 5 + ["unauthenticated_share"]
    admission.authenticated("10.0.0.1")
    assert took(admission, "10.0.0.1") == ""
    admission.closed("10.0.0.1", was_authenticated=True)
    assert took(admission, "10.0.0.1") == "unauthenticated_share"
    admission.closed("10.0.0.1", was_authenticated=False)
    assert took(admission, "10.0.0.1") == ""


def test_a_tiny_share_still_lets_one_connect():
    admission = Admission(limits(unauthenticated_share=0.001), max_connections=10)
    assert took(admission, "10.0.0.1") == ""


def test_one_flooding_address_leaves_the_accept_rate_to_others():
    admission = Admission(
        limits(accept_rate=100.0, accept_burst=100, connects_per_ip=1.0, connects_per_ip_burst=5),
        max_connections=10_000,
    )
    flood = Counter(took(admission, "203.0.113.1") for _ in range(1000))
    assert flood == {"": 5, "connects_per_ip": 995}
    assert [took(admission, f"10.0.0.{n}") for n in range(70)] == [""] * 70
    assert took(admission, "10.0.1.1") == "accept_rate", "the last quarter is not for new ones"
    assert took(admission, "10.0.1.1", is_returning=True) == ""


def test_what_was_never_opened_cannot_be_closed_or_authenticated():
    admission = Admission(limits(), max_connections=10)
    admission.opened("10.0.0.1")
    with pytest.raises(ValueError, match="open"):
        admission.closed("10.0.0.2", was_authenticated=False)
    with pytest.raises(ValueError, match="open"):
        admission.authenticated("10.0.0.2")
    admission.authenticated("10.0.0.1")
    with pytest.raises(ValueError, match="open"):
        admission.authenticated("10.0.0.1")
    with pytest.raises(ValueError, match="open"):
        admission.closed("10.0.0.1", was_authenticated=False)
    admission.closed("10.0.0.1", was_authenticated=True)
    assert (admission.connections, admission.unauthenticated, admission.addresses) == (0, 0, 0)


def test_a_storm_from_many_addresses_is_bounded_and_leaves_nothing_behind():
    admission = Admission(LimitsSection(max_connections_per_ip=3), max_connections=5000)
    verdicts: Counter[str] = Counter()
    opened = []
    for n in range(150_000):
        address = f"127.0.{n % 7}.1" if n % 10 == 0 else f"10.{n % 251}.{n // 251 % 256}.{n % 13}"
        verdict = took(admission, address, 100.0 + n / 50_000)
        verdicts[verdict] += 1
        if not verdict:
            opened.append(address)
        assert admission.unauthenticated <= 2500
    assert verdicts[""] == 2500 and verdicts["unauthenticated_share"] > 100_000
    assert max(admission.connections_of(a) for a in opened if not a.startswith("127.")) <= 3
    for address in opened:
        admission.closed(address, was_authenticated=False)
    assert (admission.connections, admission.addresses) == (0, 0)


class AdmissionAgainstModel(RuleBasedStateMachine):
    """Compared with counters of everything open and one token bucket for each rate."""

    addresses = st.sampled_from(
        ["10.0.0.1", "10.0.0.2", "::ffff:10.0.0.2", "2001:db8::1", "127.0.0.1"]
    )

    def __init__(self):
        super().__init__()
        self.now = 100.0
        self.open: list[tuple[str, bool]] = []
        self.buckets: dict[str, tuple[float, float]] = {}
        self.admission = Admission(
            LimitsSection(
                connects_per_ip=1.0, connects_per_ip_burst=3, max_connections_per_ip=3,
                accept_rate=2.0, accept_burst=5, unauthenticated_share=0.5,
            ),
            max_connections=8,
        )  # fmt: skip

    def takes(self, name, rate, burst, kept=0):
        level, at = self.buckets.get(name, (burst + SLACK, self.now))
        level = min(burst + SLACK, level + (self.now - at) * rate)
        admitted = level >= 1.0 + kept
        self.buckets[name] = (level - admitted, self.now)
        return admitted

    def expected(self, address, is_returning):
        key = address.removeprefix("::ffff:")
        if len(self.open) >= 8:
            return "max_connections"
        if address != "127.0.0.1":
            if sum(a == key for a, _ in self.open) >= 3:
                return "max_connections_per_ip"
            if not self.takes(key, 1.0, 3):
                return "connects_per_ip"
        if sum(not done for _, done in self.open) >= 4:
            return "unauthenticated_share"
        kept = 0 if is_returning else 1
        return "" if self.takes("node", 2.0, 5, kept) else "accept_rate"

    @rule(address=addresses, is_returning=st.booleans())
    def connects(self, address, is_returning):
        expected = self.expected(address, is_returning)
        found = took(self.admission, address, self.now, is_returning=is_returning)
        assert found == expected
        if not expected:
            self.open.append((address.removeprefix("::ffff:"), False))

    @rule(data=st.data())
    @precondition(lambda self: any(not done for _, done in self.open))
    def authenticates(self, data):
        at = data.draw(st.sampled_from([i for i, (_, done) in enumerate(self.open) if not done]))
        self.admission.authenticated(self.open[at][0])
        self.open[at] = (self.open[at][0], True)

    @rule(data=st.data())
    @precondition(lambda self: self.open)
    def leaves(self, data):
        address, done = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.admission.closed(address, done)

    @rule(quarters=st.integers(0, 12))
    def time_passes(self, quarters):
        self.now += quarters / 4

    @invariant()
    def the_counts_are_those_of_the_model(self):
        assert self.admission.connections == len(self.open)
        assert self.admission.unauthenticated == sum(not done for _, done in self.open)
        assert self.admission.addresses == len({address for address, _ in self.open})


AdmissionAgainstModel.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestAdmissionAgainstModel = AdmissionAgainstModel.TestCase
