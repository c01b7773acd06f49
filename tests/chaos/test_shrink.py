"""A long history is cut down to what breaks the promise, and still breaks it."""

from __future__ import annotations

from tests.chaos.shrink import shrunk
from tests.history import events as ev
from tests.history.check import check_events
from tests.history.limits import Limits
from tests.history.story import delivered, final, published, subscribed


def history(*, skipped: int) -> list[ev.Event]:
    """Fifty messages, two clients, of which one never hears the message with this number."""
    events: list[ev.Event] = []
    for cid in ("good", "bad"):
        events.append(subscribed(0.1, cid=cid))
    for number in range(1, 51):
        events += published(f"m{number}", number, number)
        for cid in ("good", "bad"):
            if not (cid == "bad" and number == skipped):
                events.append(delivered(number + 0.2, f"m{number}", number, cid=cid))
    events.append(final(60, 50))
    events.sort(key=lambda event: event.t)
    return [*events, ev.End(t=61_000_000_000)]


def test_what_has_nothing_to_do_with_it_is_cut_away() -> None:
    logs = {"log": history(skipped=30)}
    verdict = check_events(logs, Limits())
    assert verdict.outcome == "invalid"
    found = shrunk(logs, verdict, Limits())["log"]
    again = check_events({"log": found}, Limits())
    assert again.violations[0].invariant == verdict.violations[0].invariant
    assert len(found) < 15 < len(logs["log"])
    assert {event.cid for event in found if isinstance(event, ev.Sub)} == {"bad"}


def test_when_time_is_over_the_best_so_far_is_returned() -> None:
    logs = {"log": history(skipped=30)}
    verdict = check_events(logs, Limits())
    found = shrunk(logs, verdict, Limits(), goes_on=lambda: False)
    assert check_events(found, Limits()).outcome == "invalid"
