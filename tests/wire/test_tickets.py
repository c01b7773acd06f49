"""Tickets name a node, for a while, and only those that the cluster signed do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsmesh.protocol import tickets

SECRET = b"of the cluster"
names = st.text(min_size=1, max_size=80)


@given(member=names, lasts=st.floats(0, 1e6), past=st.floats(1.001, 1e6))
def test_a_ticket_names_its_member_until_it_expires(
    member: str, lasts: float, past: float
) -> None:
    ticket = tickets.issue(SECRET, member, 1e9 + lasts)
    assert ticket.isascii() and ticket.isprintable()
    assert tickets.read(SECRET, ticket, 1e9 + lasts) == member
    assert tickets.read(SECRET, ticket, 1e9 + lasts + past) == ""


@given(member=names, at=st.integers(0, 200), other=st.characters())
def test_a_changed_ticket_names_nobody(member: str, at: int, other: str) -> None:
    ticket = tickets.issue(SECRET, member, 1e9)
    place = at % len(ticket)
    changed = ticket[:place] + other + ticket[place + 1 :]
    assert changed == ticket or tickets.read(SECRET, changed, 0) == ""


@given(text=st.text())
def test_no_text_that_is_no_ticket_names_anybody_or_raises(text: str) -> None:
    assert tickets.read(SECRET, text, 0) == ""


def test_another_clusters_ticket_names_nobody() -> None:
    assert tickets.read(b"of another", tickets.issue(SECRET, "a/1", 1e9), 0) == ""
