"""The memory's sessions keep the contract, and nothing of a session that ended."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.contracts.sessions import ENTRY, SessionContract, Shared
from wsmesh.store.memory_sessions import MemorySessions


class TestMemorySessions(SessionContract):
    @pytest.fixture
    def shared(self, autojump_clock: trio.testing.MockClock) -> Shared:
        sessions = MemorySessions()
        return Shared(sessions, sessions, trio.sleep)


async def test_what_has_ended_takes_no_memory(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    sessions = MemorySessions()
    nursery.start_soon(sessions.run)
    for number in range(50):
        await sessions.save_session(str(number), ENTRY, 3.0)
    await sessions.save_session("kept", ENTRY, 60.0)
    await trio.sleep(20)
    assert len(sessions) == 1
