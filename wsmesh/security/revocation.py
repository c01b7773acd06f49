"""Revoked users and tokens: a bounded list in which nothing outlives its purpose.

A token is named by (iss, jti), never by its text, which has more than one spelling for some
signatures. Times are Unix times.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from attrs import frozen

from wsmesh.errors import WsmeshError


class RevocationsFull(WsmeshError):
    """A revocation was not taken, because the list is full of ones that still matter."""


@frozen(slots=True)
class _Revoked:
    """Revoked are tokens issued before this; infinity for a single token."""

    issued_before: float
    until: float


class Revocations:
    """What is revoked on this node.

    :param capacity: revocations of users and tokens together that may be in force.
    """

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._entries: dict[tuple[str, str, str], _Revoked] = {}
        self._ends: list[tuple[float, tuple[str, str, str]]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def revoke_user(self, user: str, issued_before: float, until: float, *, now: float) -> None:
        """Refuse a user's tokens issued before a time, and those that do not say when they were.

        Of two revocations of a user the later times hold.

        :param until: when to forget it: no older token is valid any more by then.
        :raises RevocationsFull: nothing was changed.
        """
        self._add(("user", "", user), _Revoked(issued_before, until), now)

    def revoke_token(self, jti: str, until: float, *, now: float, iss: str = "") -> None:
        """Refuse one token.

        :param until: when to forget it, the token's `exp` plus the leeway.
        :param iss: its issuer; "" refuses the jti from every issuer.
        :raises RevocationsFull: nothing was changed.
        :raises ValueError: the jti is empty, which would name all tokens without one.
        """
        if not jti:
            raise ValueError("expected a jti, found none")
        self._add(("token", iss, jti), _Revoked(float("inf"), until), now)

    def is_revoked(
        self, user: str, jti: str, iss: str, issued_at: float | None, now: float
    ) -> bool:
        """Whether a token with these claims is refused. O(1).

        A token without `iat` counts as issued before any revocation of its user.
        """
        if not self._entries:
            return False
        issued = float("-inf") if issued_at is None else issued_at
        if self._refuses(("user", "", user), issued, now):
            return True
        return bool(jti) and (
            self._refuses(("token", iss, jti), issued, now)
            or self._refuses(("token", "", jti), issued, now)
        )

    def _refuses(self, key: tuple[str, str, str], issued: float, now: float) -> bool:
        entry = self._entries.get(key)
        return entry is not None and now < entry.until and issued < entry.issued_before

    def _add(self, key: tuple[str, str, str], entry: _Revoked, now: float) -> None:
        if entry.until <= now:
            return
        self._forget_ended(now)
        known = self._entries.get(key)
        if known is None:
            if len(self._entries) >= self._capacity:
                raise RevocationsFull(f"{self._capacity} revocations are in force")
        else:
            entry = _Revoked(
                max(known.issued_before, entry.issued_before), max(known.until, entry.until)
            )
            if entry == known:
                return
        self._entries[key] = entry
        heappush(self._ends, (entry.until, key))
        if len(self._ends) > 2 * len(self._entries) + 16:
            self._ends = [(held.until, name) for name, held in self._entries.items()]
            heapify(self._ends)

    def _forget_ended(self, now: float) -> None:
        ends = self._ends
        while ends and ends[0][0] <= now:
            _, key = heappop(ends)
            held = self._entries.get(key)
            if held is not None and held.until <= now:
                del self._entries[key]
