"""A fault's interruption is the longest silence at the clients that its node had."""

from __future__ import annotations

from tests.chaos.interruptions import silences, table
from tests.history import events as ev
from tests.history.story import at, delivered, fault


def connected(seconds: float, cid: str, node: str) -> ev.Event:
    return at(seconds, ev.Conn(cid=cid, node=node))


def test_only_clients_of_the_node_count_and_only_what_begins_in_its_time() -> None:
    events = [connected(0, "c", "n1"), connected(0, "other", "n2")]
    for tenth in range(300):
        seconds = tenth / 10
        if not (10.0 < seconds < 12.5 or 20.0 < seconds < 29.0):
            events.append(delivered(seconds, f"m{tenth}", tenth + 1, cid="c"))
    events += fault(10.05, 11.0, fault="kill", target="n1")
    [silence] = silences(events)
    assert (silence.fault, silence.cid) == ("kill", "c")
    assert abs(silence.seconds - 2.5) < 0.01


def test_a_client_belongs_to_the_node_it_was_on_when_the_fault_began() -> None:
    events = [connected(0, "c", "n1"), connected(5, "c", "n2")]
    events += [delivered(each / 10, f"m{each}", each + 1, cid="c") for each in range(200)]
    events += [*fault(8, 9, fault="kill", target="n1"), *fault(12, 13, fault="stop", target="n2")]
    found = silences(events)
    assert [each.fault for each in found] == ["stop"]
    [kill, stop] = table(found, {"kill": 1, "stop": 1})
    assert (kill.clients, stop.clients, round(stop.worst, 1)) == (0, 1, 0.1)
