"""The official JavaScript SDK, in Node.js, against a real node."""

from __future__ import annotations

import json

import pytest

from tests.e2e.scripts import run_script, start_script, token
from tests.node_process import OPEN_NODE, running_node

SHORT_HISTORY = OPEN_NODE + """
[[channel.namespaces]]
name = "short"
history_size = 3
history_ttl = "1m"
force_recovery = true
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
"""

HOOKS = """
import msgspec
import trio
from wsmesh.app import App
from wsmesh.errors import ReplyError

app = App()
seen = []

class Typed(msgspec.Struct):
    n: int

app.validate("typed", Typed)

@app.on_message
async def message(context):
    seen.append(msgspec.json.decode(context.data))

@app.on_rpc("add")
async def add(context):
    numbers = msgspec.json.decode(context.data)
    return msgspec.json.encode({"sum": numbers["a"] + numbers["b"], "by": context.client.user})

@app.on_rpc("notes")
async def notes(context):
    return msgspec.json.encode(seen)

@app.on_rpc("refuse")
async def refuse(context):
    raise ReplyError(4242, "not today")

@app.on_rpc("break")
async def breaks(context):
    raise ZeroDivisionError

@app.on_rpc("hang")
async def hang(context):
    await trio.sleep_forever()
"""


def test_a_token_makes_the_client_its_user_with_its_info(node):
    seen = run_script(node, "connect", token=token("alice", info={"name": "Alice"}))

    assert seen["context"]["transport"] == "websocket"
    assert (seen["info"]["client"], seen["info"]["user"]) == (seen["context"]["client"], "alice")
    assert seen["info"]["connInfo"] == {"name": "Alice"}
    assert seen["state"] == "connected"


def test_a_token_signed_with_another_secret_is_final(node):
    forged = token("alice", secret="some other secret that is long enough")

    assert run_script(node, "refused", token=forged) == {"code": 3500, "reason": "invalid token"}


def test_two_clients_talk_and_look_at_history_and_presence(node):
    seen = run_script(node, "conversation")

    numbers = [each["data"]["n"] for each in seen["heardByAlice"]]
    offsets = [each["offset"] for each in seen["heardByAlice"]]
    assert (numbers, offsets) == (list(range(7)), list(range(1, 8)))
    assert seen["heardByBob"] == seen["heardByAlice"][:6]
    assert {each["info"]["client"] for each in seen["heardByBob"][:5]} == {seen["alice"]}
    assert seen["heardByBob"][5]["info"]["client"] == seen["bob"]
    assert seen["heardByAlice"][5]["data"]["text"] == "grüße \N{WAVING HAND SIGN} \u2028"
    assert [each["offset"] for each in seen["all"]["publications"]] == [1, 2, 3, 4, 5, 6]
    assert seen["all"]["offset"] == 6
    assert [each["offset"] for each in seen["newest"]["publications"]] == [6, 5]
    assert [each["offset"] for each in seen["rest"]["publications"]] == [5, 6]
    assert set(seen["present"]) == {seen["alice"], seen["bob"]}
    assert seen["stats"] == {"numClients": 2, "numUsers": 1}
    assert seen["left"] == {"numClients": 1, "numUsers": 1}


@pytest.mark.parametrize("missed", [1, 200])
def test_a_client_whose_connection_was_killed_gets_exactly_what_it_missed(node, missed):
    seen = run_script(node, "recover", channel=f"killed-{missed}", missed=missed)

    assert seen["code"] < 3000, "the connection was not closed by the node"
    assert (seen["wasRecovering"], seen["recovered"]) == (True, True)
    assert seen["states"] == ["connecting", "connected"]
    assert seen["numbers"] == list(range(missed + 2))
    assert seen["offsets"] == list(range(1, missed + 3))


def test_a_client_that_missed_more_than_the_history_keeps_is_told_so(start_node):
    node = start_node(SHORT_HISTORY)

    seen = run_script(node, "recover", channel="short:1", missed=4)

    assert (seen["wasRecovering"], seen["recovered"]) == (True, False)
    assert seen["numbers"][0] == 0
    assert seen["numbers"][-1] == 5
    assert seen["numbers"] != list(range(6))


def test_expiring_tokens_are_renewed_without_a_reconnection(node):
    seen = run_script(
        node, "tokens",
        connection_tokens=[token("alice", expire_in=2), token("alice")],
        subscription_tokens=[
            token("alice", expire_in=2, channel="$private"), token("alice", channel="$private"),
        ],
    )

    assert (seen["connects"], seen["subscribes"]) == (1, 2)
    assert seen["unsubscribed"] is None
    assert (seen["state"], seen["subscription"]) == ("connected", "subscribed")
    assert seen["heard"] == {"after": "refresh"}


def test_a_private_channel_opens_to_its_own_token_only(node):
    seen = run_script(
        node, "private", token=token("alice"),
        subscription_token=token("alice", channel="$secret"),
    )

    assert seen["without"] == {"code": 103, "reason": "permission denied"}
    assert seen["foreign"] == {"code": 103, "reason": "permission denied"}
    assert seen["state"] == "subscribed"


def test_joins_and_leaves_are_heard_whether_said_or_not(node):
    seen = run_script(node, "join_leave")

    kinds = ["join", "leave", "join", "leave"]
    assert seen["seen"] == [[kind, seen["guest"]] for kind in kinds]


def test_the_server_subscribes_unsubscribes_and_disconnects(node):
    seen = run_script(node, "server_side", token=token("alice", channels=["by-token"]))

    assert seen["seen"] == [
        ["subscribed", "by-token", None],
        ["publication", "by-token", {"n": 1}],
        ["subscribed", "by-api", None],
        ["publication", "by-api", {"n": 2}],
        ["unsubscribed", "by-api", None],
    ]
    assert (seen["code"], seen["reason"]) == (4501, "enough")


def test_an_unsubscribe_by_the_server_is_final(node):
    seen = run_script(node, "unsubscribed", token=token("alice"))

    assert seen["state"] == "unsubscribed"
    assert (seen["code"], seen["reason"]) == (2000, "server unsubscribe")
    assert seen["heard"] == 0


def test_commands_in_one_frame_are_all_done_in_order(start_node):
    node = start_node(OPEN_NODE + "\n[compression]\nenabled = true\n")

    seen = run_script(node, "batch")

    assert seen["frames"] == 1
    assert seen["numbers"] == list(range(50))
    assert seen["same"]
    assert "permessage-deflate" in seen["extensions"]


def test_the_application_answers_calls_and_its_faults_stay_its_own(tmp_path):
    (tmp_path / "hooks.py").write_text(HOOKS)
    toml = OPEN_NODE + '\n[app]\nmodule = "hooks:app"\ntimeout = "300ms"\n'
    with running_node(tmp_path, toml, may_log_tracebacks=True) as node:
        seen = run_script(node, "calls", token=token("alice"))

    internal = {"code": 100, "message": "internal server error"}
    assert seen["sum"] == {"sum": 42, "by": "alice"}
    assert seen["notes"] == [{"note": "for the log"}]
    assert seen["refused"] == {"code": 4242, "message": "not today"}
    assert (seen["broken"], seen["hanging"]) == (internal, internal)
    assert seen["unknown"] == {"code": 104, "message": "method not found"}
    assert seen["invalid"]["code"] == 107
    assert seen["still"] == {"sum": 2, "by": "alice"}


def test_a_node_that_stops_sends_its_clients_elsewhere(tmp_path):
    with running_node(tmp_path) as node, start_script(node, "shutdown") as script:
        assert script.stderr.readline() == "connected\n"
        assert node.stop() == 0
        out, error = script.communicate(timeout=10)

    assert script.returncode == 0, error
    assert json.loads(out) == {"code": 3001, "reason": "shutdown"}
