"""How attempts to continue a session ended is counted where they were made."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import define, field

from wsmesh.errors import Disconnect, StoreUnavailable
from wsmesh.session.subscription import Subscription
from wsmesh.session.tenure import OUTCOMES, Tenure, Tenures
from wsmesh.store.memory_sessions import MemorySessions
from wsmesh.store.sessions import Claim


@define(eq=False)
class Someone:
    """A connected client."""

    client: str = "c"
    user: str = "ann"
    subscriptions: dict[str, Subscription] = field(factory=dict)
    tenure: Tenure | None = None
    is_over: bool = False

    def end(self, why: Disconnect) -> None:
        self.is_over = True


class AwaySessions(MemorySessions):
    """A store that cannot be reached."""

    async def claim_session(self, *args: object) -> Claim | None:
        raise StoreUnavailable("away")


def tenures(store: MemorySessions, owner: str) -> Tenures:
    return Tenures(store, lambda: owner, 60.0, lambda who, name, epoch: None)


def outcomes(**counts: int) -> dict[str, int]:
    return dict.fromkeys(OUTCOMES, 0) | counts


async def saved(here: Tenures, nursery: trio.Nursery) -> tuple[str, str]:
    """Begin a session that the store knows; return its name and secret."""
    tenure, secret = here.begin(Someone())
    nursery.start_soon(here.run)
    await trio.testing.wait_all_tasks_blocked()
    return tenure.name, secret


async def test_a_session_is_continued_here_or_taken_over_from_another_node(
    nursery: trio.Nursery,
) -> None:
    store = MemorySessions()
    here, there = tenures(store, "a/1"), tenures(store, "b/1")
    name, secret = await saved(here, nursery)

    resumed = await here.resume(Someone(), "ann", name, secret)
    assert resumed is not None
    assert here.resumptions == outcomes(continued=1)

    assert await there.resume(Someone(), "ann", name, resumed[1]) is not None
    assert there.resumptions == outcomes(taken_over=1)
    assert here.resumptions == outcomes(continued=1)


async def test_a_wrong_secret_is_refused_and_counted(nursery: trio.Nursery) -> None:
    here = tenures(MemorySessions(), "a/1")
    name, _ = await saved(here, nursery)

    assert await here.resume(Someone(), "ann", name, "guessed") is None
    assert here.resumptions == outcomes(refused=1)


async def test_a_store_that_is_away_is_counted_and_still_told() -> None:
    here = tenures(AwaySessions(), "a/1")

    with pytest.raises(StoreUnavailable):
        await here.resume(Someone(), "ann", "name", "secret")

    assert here.resumptions == outcomes(unavailable=1)
