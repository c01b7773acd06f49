"""The sessions of this node, by client id and by user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Identified(Protocol):
    """What the registry finds a session by."""

    client: str
    user: str
    session_id: str


S = TypeVar("S", bound=Identified)


class Registry(Generic[S]):
    """Finds sessions; holds only those whose connect command succeeded."""

    def __init__(self) -> None:
        self._by_client: dict[str, S] = {}
        self._by_user: dict[str, dict[str, S]] = {}

    def __len__(self) -> int:
        return len(self._by_client)

    def __iter__(self) -> Iterator[S]:
        return iter(tuple(self._by_client.values()))

    @property
    def users(self) -> int:
        """Distinct users; the anonymous one counts as one."""
        return len(self._by_user)

    def add(self, session: S) -> None:
        """Make the session findable."""
        self._by_client[session.client] = session
        self._by_user.setdefault(session.user, {})[session.client] = session

    def discard(self, session: S) -> None:
        """Forget the session; harmless when it is not known."""
        if self._by_client.pop(session.client, None) is None:
            return
        of_user = self._by_user[session.user]
        del of_user[session.client]
        if not of_user:
            del self._by_user[session.user]

    def count(self, user: str) -> int:
        """Return how many connections a user has here."""
        return len(self._by_user.get(user, ()))

    def shrink(self) -> None:
        """Let go of the room of sessions that have left: a dict never does so by itself."""
        self._by_client = dict(self._by_client)
        self._by_user = dict(self._by_user)

    def of_user(self, user: str, client: str = "", session: str = "") -> list[S]:
        """Return the user's sessions, perhaps only the one with this client or session id."""
        found = list(self._by_user.get(user, {}).values())
        if client:
            found = [each for each in found if each.client == client]
        if session:
            found = [each for each in found if each.session_id == session]
        return found
