"""The official Python SDK (`centrifuge-python`, asyncio) against a real node."""

from __future__ import annotations

from tests.e2e.scripts import run_python, token


def test_the_asyncio_sdk_talks_recovers_and_renews_its_token(node):
    seen = run_python(
        node, "asyncio_client", token=token("bob"),
        tokens=[token("alice", expire_in=3), token("alice"), token("alice")],
    )

    assert seen["numbers"] == list(range(32))
    assert seen["offsets"] == list(range(1, 33))
    assert (seen["was_recovering"], seen["recovered"]) == (True, True)
    assert seen["newest"] == [32, 31, 30, 29, 28]
    assert seen["users"] == ["alice"]
    assert seen["stats"] == [1, 1]
    assert seen["refusal"] == 104
