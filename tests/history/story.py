"""Short histories for tests, told event by event: times in seconds, offsets as messages."""

from __future__ import annotations

from tests.history import events as ev
from tests.history.check import check_events
from tests.history.events import Event
from tests.history.found import Verdict
from tests.history.limits import NANO, Limits


def at(seconds: float, event: Event) -> Event:
    """Return the event, with its time."""
    event.t = int(seconds * NANO)
    return event


def published(
    mid: str, offset: int, seconds: float, *, epoch: str = "e", key: str = "", lasts: float = 0.1,
    durability: str = "memory",
) -> list[Event]:
    """A message of channel `a` and its acknowledgement, `lasts` seconds later."""
    return [
        at(seconds, ev.PubInvoke(mid=mid, ch="a", crc=7, key=key)),
        at(seconds + lasts, ev.PubOk(
            mid=mid, ch="a", epoch=epoch if offset else "", offset=offset, durability=durability,
        )),
    ]


def subscribed(
    seconds: float, offset: int = 0, *, cid: str = "c", seg: int = 1, epoch: str = "e",
    recovered: bool | None = None, reason: str = "",
) -> Event:
    """A subscription; `recovered` None: it does not try to recover."""
    return at(seconds, ev.Sub(
        cid=cid, ch="a", seg=seg, epoch=epoch, offset=offset,
        was_recovering=recovered is not None, recovered=bool(recovered), reason=reason,
    ))


def delivered(
    seconds: float, mid: str, offset: int, *, cid: str = "c", seg: int = 1, epoch: str = "e"
) -> Event:
    """A delivery in channel `a`."""
    return at(seconds, ev.Deliver(
        cid=cid, ch="a", mid=mid, crc=7, seg=seg, epoch=epoch, offset=offset
    ))


def ended(seconds: float, *, cid: str = "c", seg: int = 1, why: str = "lost") -> Event:
    """The end of a subscription."""
    return at(seconds, ev.EndSeg(cid=cid, ch="a", seg=seg, why=why))


def final(seconds: float, top: int, *, epoch: str = "e") -> Event:
    """The end of channel `a`."""
    return at(seconds, ev.Final(ch="a", epoch=epoch, top=top))


def fault(start: float, heal: float, **of_nemesis: object) -> list[Event]:
    """A fault and its end."""
    words = {"fault": "fault", **of_nemesis}
    return [
        at(start, ev.Nemesis(op="start", **words)),  # type: ignore[arg-type]
        at(heal, ev.Nemesis(op="heal", **words)),  # type: ignore[arg-type]
    ]


def told(*events: Event | list[Event], **of_limits: object) -> Verdict:
    """Judge a history that one process wrote, in the order of its times."""
    flat = [each for item in events for each in (item if isinstance(item, list) else [item])]
    flat.sort(key=lambda event: event.t)
    end = at(flat[-1].t / NANO if flat else 0, ev.End())
    return check_events({"log": [*flat, end]}, Limits(**of_limits))  # type: ignore[arg-type]
