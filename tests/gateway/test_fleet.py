"""What a gateway believes of the nodes."""

from __future__ import annotations

import msgspec

from balancers import Member
from wsmesh.gateway.fleet import Fleet, Route
from wsmesh.protocol.control import Report

REPORT = Report(
    node="a", incarnation=3, name="node-a", pid=1, state="alive", is_ready=True, report=5,
    connections=7, capacity=100, weight=2.0, zone="z", health=0.5,
    listeners=("unix:/x", "127.0.0.1:9001"),
)


def ids(fleet: Fleet, now: float = 0.0) -> dict[str, bool]:
    return {each.id: each.is_eligible for each in fleet.view(now).members}


def test_a_report_makes_a_member_and_a_route() -> None:
    fleet = Fleet()
    fleet.reported("/run/a.sock", REPORT)
    assert fleet.view(0).members == (
        Member(
            id="a/3", address="127.0.0.1:9001", weight=2.0, capacity=100, connections=7, report=5,
            zone="z", score=0.5,
        ),
    )
    assert fleet.route("a/3") == Route(control="/run/a.sock", address="127.0.0.1:9001")
    assert fleet.route("a/2") is None


def test_the_view_is_the_same_object_until_something_changes() -> None:
    fleet = Fleet()
    fleet.reported("/run/a.sock", REPORT)
    first = fleet.view(0)
    fleet.listed(())
    fleet.lost("/run/other.sock")
    assert fleet.view(1) is first
    fleet.reported("/run/a.sock", msgspec.structs.replace(REPORT, report=6))
    assert fleet.view(1) is not first and fleet.view(1).version > first.version


def test_a_node_that_is_lost_or_not_ready_gets_nobody() -> None:
    fleet = Fleet()
    fleet.reported("/run/a.sock", msgspec.structs.replace(REPORT, is_ready=False))
    assert ids(fleet) == {"a/3": False}
    fleet.lost("/run/a.sock")
    assert ids(fleet) == {}
    assert fleet.route("a/3") is None


def test_a_suspect_gets_nobody_for_a_while() -> None:
    fleet = Fleet(suspect_for=2.0)
    fleet.reported("/run/a.sock", REPORT)
    fleet.suspect("a/3", 10.0)
    assert ids(fleet, 10.0) == ids(fleet, 11.9) == {"a/3": False}
    assert ids(fleet, 12.0) == {"a/3": True}
    fleet.suspect("unknown/1", 12.0)
    assert ids(fleet, 12.0) == {"a/3": True}


def test_who_reports_here_is_not_also_taken_from_the_registry_or_by_hand() -> None:
    fleet = Fleet(["127.0.0.1:9001", "10.0.0.9:8000"])
    assert set(ids(fleet)) == {"127.0.0.1:9001", "10.0.0.9:8000"}
    fleet.listed([Member(id="a/3", address="10.0.0.1:9001"), Member(id="b/1", address="b:1")])
    fleet.reported("/run/a.sock", REPORT)
    assert set(ids(fleet)) == {"a/3", "b/1", "10.0.0.9:8000"}
    assert fleet.route("a/3") == Route(control="/run/a.sock", address="127.0.0.1:9001")
    assert fleet.route("b/1") == Route(address="b:1")
    assert fleet.route("10.0.0.9:8000") == Route(address="10.0.0.9:8000")
