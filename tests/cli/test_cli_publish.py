"""`publish` speaks the HTTP API and says what came of it."""

from __future__ import annotations

import socket

import pytest


def test_data_is_published_and_its_position_printed(invoke, api):
    result = invoke("publish", "news", '{"text": "hi"}', "--url", api.url)

    assert result.stdout == "published: offset 7, epoch abcd\n"
    assert result.exit_code == 0
    assert api.requests == [
        ("/api/publish", None, {"channel": "news", "data": {"text": "hi"}})
    ]


def test_a_channel_without_history_has_no_position(invoke, api):
    api.body = b'{"result": {}}'

    assert "keeps no history" in invoke("publish", "news", "1", "--url", api.url).stdout


def test_the_node_of_the_configuration_is_asked_with_its_key(invoke, api):
    result = invoke(
        "publish", "news", "1", "--port", str(api.server_port), "--idempotency-key", "k",
        WSMESH_HTTP_API_KEY="env:KEY", KEY="letmein",
    )

    assert result.exit_code == 0
    assert api.requests == [
        ("/api/publish", "letmein", {"channel": "news", "data": 1, "idempotency_key": "k"})
    ]


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_node_on_this_machine_is_reached_without_a_proxy(invoke, api, proxy):
    result = invoke("publish", "news", "1", "--url", api.url, **{proxy: "http://127.0.0.1:9"})

    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "stdin", "data"),
    [
        (["--text", "hello\n"], None, "hello"),
        (["--text", "-"], "from a pipe\n", "from a pipe"),
        (["-"], "[1, 2]\n", [1, 2]),
        (["null"], None, None),
    ],
)
def test_data_may_be_text_or_come_from_standard_input(invoke, api, words, stdin, data):
    assert invoke("publish", "news", *words, "--url", api.url, stdin=stdin).exit_code == 0
    assert api.requests[0][2] == {"channel": "news", "data": data}


def test_data_that_is_not_json_is_refused_before_anything_is_sent(invoke, api):
    result = invoke("publish", "news", "hello", "--url", api.url)

    assert result.exit_code == 2
    assert "expected JSON" in result.stderr
    assert "--text publishes any text" in result.stderr
    assert api.requests == []


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b'{"error": {"code": 102, "message": "unknown channel"}}',
         "error 102: unknown channel"),
        (400, b'{"code": 107, "message": "bad request"}', "error 107: bad request"),
        (413, b'{"error": {"code": 413, "message": "too large"}}', "error 413: too large"),
        (401, b"", "wants another API key"),
        (500, b"", "answered 500, which is no result"),
        (200, b"[]", "answered 200, which is no result"),
        (200, b'{"result": 5}', "answered 200, which is no result"),
    ],
)
def test_what_the_node_refuses_is_told_in_a_line_with_1(invoke, api, status, body, told):
    api.status, api.body = status, body

    result = invoke("publish", "news", "1", "--url", api.url)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_node_that_is_not_there_is_told_in_a_line_with_1(invoke):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        result = invoke("publish", "news", "1", "--port", str(taken.getsockname()[1]))

    assert result.exit_code == 1
    assert "cannot reach http://127.0.0.1:" in result.stderr
