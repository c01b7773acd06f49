"""Errors reach a Sentry over real HTTP, and nothing that is private goes with them."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import structlog
from attrs import define, field

from wsmesh.config.sections import LogSection
from wsmesh.config.values import Secret
from wsmesh.errors import ConfigError
from wsmesh.logs import open_logs


@define
class Sentry:
    """A server that takes envelopes (Sentry's SDK documentation, "Envelopes")."""

    port: int
    events: list[dict] = field(factory=list)
    raw: list[bytes] = field(factory=list)

    @property
    def dsn(self) -> Secret:
        return Secret(f"http://key@127.0.0.1:{self.port}/7")


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            known.raw.append(body)
            lines = body.split(b"\n")
            known.events += [json.loads(line) for line in lines[2::2] if line.startswith(b"{")]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    known = Sentry(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


def fail(secret: str) -> None:
    local = secret * 2
    raise ValueError(f"it broke {len(local)}")


def test_errors_arrive_with_their_frames_and_without_anything_private(
    sentry: Sentry, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    section = LogSection(file=str(file), sentry_dsn=sentry.dsn, sentry_environment="tests")
    with open_logs(section):
        log = structlog.get_logger()
        log.warning("not.reported", user="anna")
        try:
            fail("hunter2")
        except ValueError:
            log.exception("client.failed", user="anna", address="192.0.2.1", node="n1")
        log.error("config.refused", fault="x", node="n1")
    crash, plain = sentry.events
    assert crash["exception"]["values"][0]["value"] == "it broke 14"
    assert crash["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "fail"
    assert crash["tags"] == plain["tags"] | {"event": "client.failed"}
    assert (plain["message"], plain["environment"]) == ("config.refused", "tests")
    assert plain["release"].startswith("wsmesh@")
    sent = b"".join(sentry.raw)
    for private in (b"anna", b"192.0.2.1", b"hunter2"):
        assert private not in sent
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == [
        "not.reported", "client.failed", "config.refused",
    ]


def test_an_unreachable_sentry_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "log"
    dsn = Secret("http://key@127.0.0.1:9/7")
    with open_logs(LogSection(file=str(file), sentry_dsn=dsn)):
        structlog.get_logger().error("something")
    assert "something" in file.read_text()


@pytest.mark.parametrize("dsn", ["nonsense", "http://127.0.0.1/7"])
def test_a_dsn_that_is_none_is_a_fault(tmp_path: Path, dsn: str) -> None:
    section = LogSection(file=str(tmp_path / "log"), sentry_dsn=Secret(dsn))
    with pytest.raises(ConfigError, match=r"log\.sentry_dsn"), open_logs(section):
        pass


def test_without_the_package_the_fault_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    section = LogSection(file=str(tmp_path / "log"), sentry_dsn=Secret("http://k@h/1"))
    with pytest.raises(ConfigError, match=r"wsmesh\[sentry\]"), open_logs(section):
        pass
