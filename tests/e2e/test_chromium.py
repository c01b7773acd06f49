"""The official SDK's browser build in headless Chromium, against a real node."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from attrs import define

from tests.e2e.hop import open_hop
from tests.e2e.scripts import HERE, MODULES
from tests.node_process import OPEN_NODE

PAGES = {
    "/": ("text/html", HERE / "js" / "page.html"),
    "/centrifuge.js": ("text/javascript", MODULES / "centrifuge" / "dist" / "centrifuge.js"),
}
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--no-proxy-server",
)
WITHIN = 40.0


@define(eq=False, kw_only=True)
class Page:
    """A page in a browser, and what its script tells."""

    told: queue.Queue[dict[str, Any]]

    def wait(self, event: str, holds: Callable[[dict[str, Any]], bool] = lambda told: True) -> Any:
        """Return the next such event; others before it are passed over."""
        while True:
            told = self.told.get(timeout=WITHIN)
            if told["event"] == event and holds(told):
                return told


@contextmanager
def served(told: queue.Queue[dict[str, Any]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, path = PAGES.get(self.path.partition("?")[0], ("", None))
            if path is None:
                self.send_error(404)
                return
            self.answer(kind, path.read_bytes())

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer("text/plain", b"")

        def answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def open_page(tmp_path) -> Callable[[str], Any]:
    """Open the page in a new browser."""

    @contextmanager
    def opened(node_url: str) -> Iterator[Page]:
        page = Page(told=queue.Queue())
        with (
            served(page.told) as address,
            (tmp_path / "chromium.log").open("wb") as log,
            subprocess.Popen(
                [
                    "chromium", *FLAGS, f"--user-data-dir={tmp_path / 'profile'}",
                    "--remote-debugging-port=0", f"{address}?node={quote(node_url, safe='')}",
                ],
                stdout=log, stderr=log,
            ) as browser,
        ):
            try:
                yield page
            finally:
                browser.terminate()

    return opened


def test_a_browser_receives_and_recovers_what_it_missed(node, open_page):
    with open_hop(node.url) as hop, open_page(hop.url) as page:
        assert not page.wait("subscribed")["wasRecovering"]
        node.call("publish", channel="page", data={"n": 0})
        page.wait("publication", lambda told: told["numbers"] == [0])

        hop.cut()
        page.wait("lost")
        for n in range(1, 50):
            node.call("publish", channel="page", data={"n": n})
        hop.mend()

        assert page.wait("subscribed")["recovered"]
        node.call("publish", channel="page", data={"n": 50})
        last = page.wait("publication", lambda told: told["numbers"][-1] == 50)
        assert last["numbers"] == list(range(51))


def test_a_page_of_a_foreign_origin_is_not_let_in(start_node, open_page):
    node = start_node(OPEN_NODE.replace('allowed_origins = ["*"]', ""))

    with open_page(node.url) as page:
        told = page.told.get(timeout=WITHIN)

    assert told["event"] == "error"
    refusals = 'wsmesh_handshakes_rejected_total{reason="origin",status="403"}'
    assert refusals in node.get("/metrics")[1]
