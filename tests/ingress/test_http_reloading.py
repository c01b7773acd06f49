"""A node takes over a new configuration while its clients stay, or none of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import jwt
import structlog
import trio
from attrs import asdict, evolve

from tests.ingress.conftest import OPEN, Opened, open_config, peer, tcp_stream
from wsmesh import logs
from wsmesh.config.channels import Namespace
from wsmesh.config.sections import Config, LogSection, TokenSection
from wsmesh.config.values import ByteSize, Seconds, Secret
from wsmesh.errors import ConfigError
from wsmesh.serving import Node

OLD, NEW = "the old shared secret of 32 bytes", "the new shared secret of 32 bytes"


def giving(node: Node, /, **sections: Any) -> Callable[[], Config]:
    """What reads a configuration with these sections, for a node of `open_config`."""
    return lambda: evolve(open_config(**sections), listeners=node.config.listeners)


async def api_status(node: Node, key: str) -> int:
    async with httpx2.AsyncClient(headers={"X-API-Key": key}) as http:
        answer = await http.post(f"http://{node.addresses[0]}/api/info", json={})
        return answer.status_code


async def connecting(node: Node, token: str) -> dict[str, Any]:
    """Connect with a token; return the reply, or the code of the close."""
    async with peer(node, connect=False) as client:
        await client.ws.send_message(json.dumps({"id": 1, "connect": {"token": token}}))
        try:
            with trio.fail_after(5):
                return dict(json.loads(await client.ws.get_message()))
        except trio.TooSlowError:
            raise
        except Exception as closed:
            return {"closed": closed}


async def upgraded(node: Node, origin: bytes) -> bool:
    async with await tcp_stream(node) as stream:
        await stream.send_all(
            b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: " + origin + b"\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with trio.fail_after(5):
            return b" 101 " in await stream.receive_some()


async def test_keys_origins_and_endpoints_change_for_whoever_comes_next(opened: Opened) -> None:
    def sections(secret: str, key: str, **more: Any) -> dict[str, Any]:
        client = {"token": TokenSection(hmac_secret_key=Secret(secret))} | more.pop("client", {})
        return {"client": client, "http_api": {"key": Secret(key)}, **more}

    old, new = (jwt.encode({"sub": "u"}, secret, "HS256") for secret in (OLD, NEW))
    async with opened(**sections(OLD, "old")) as node, peer(node) as stays:
        assert "connect" in await connecting(node, old)
        assert not await upgraded(node, b"https://a.example")
        client = {"allowed_origins": ("https://a.example",)}
        endpoints = {"raw_websocket": True}

        await node.reload(giving(node, **sections(NEW, "new", client=client, endpoints=endpoints)))

        assert [await api_status(node, key) for key in ("old", "new")] == [401, 200]
        assert "connect" not in await connecting(node, old)
        assert "connect" in await connecting(node, new)
        assert await upgraded(node, b"https://a.example")
        assert not await upgraded(node, b"http://localhost")
        async with peer(node, path="/connection/raw?channel=c", connect=False):
            assert "subscribe" in await stays.ask(subscribe={"channel": "c"})


async def test_new_limits_meet_new_connections_and_spare_the_old(opened: Opened) -> None:
    async with opened() as node, peer(node) as old:
        limits = {
            "message_size": ByteSize(200), "loopback_exempt": False, "max_connections_per_ip": 2,
            "http_path_length": ByteSize(100),
        }
        await node.reload(giving(node, limits=limits, client={
            "allow_anonymous_connect_without_token": True, "channel_limit": 1,
        }))

        assert "publish" in await old.ask(publish={"channel": "c", "data": "x" * 300})
        async with peer(node) as new:
            assert not await upgraded(node, b"http://localhost")
            assert "subscribe" in await new.ask(subscribe={"channel": "c"})
            assert (await new.ask(subscribe={"channel": "d"}))["error"]["code"] == 106
            await new.ws.send_message(json.dumps({"id": 9, "send": {"data": "x" * 300}}))
            assert (await new.closing())[0] == 1009
        async with httpx2.AsyncClient() as http:
            long = await http.get(f"http://{node.addresses[0]}/{'x' * 100}")
        assert long.status_code == 414
        assert "publish" in await old.ask(publish={"channel": "c", "data": "x" * 300})


async def test_namespaces_change_under_live_subscriptions(opened: Opened) -> None:
    def channel(*namespaces: Namespace) -> dict[str, Any]:
        return {"without_namespace": OPEN, "namespaces": namespaces}

    facts = asdict(OPEN)
    quiet = facts | {"allow_publish_for_client": False, "presence": False}
    async with opened(channel=channel(Namespace(name="a", **facts), Namespace(name="b", **facts))
                      ) as node, peer(node) as client:
        for name in ("a:1", "b:1"):
            assert "subscribe" in await client.ask(subscribe={"channel": name})

        await node.reload(giving(
            node, channel=channel(Namespace(name="a", **quiet), Namespace(name="c", **facts))
        ))

        assert (await client.ask(publish={"channel": "a:1", "data": 1}))["error"]["code"] == 103
        assert (await client.ask(presence={"channel": "a:1"}))["error"]["code"] == 108
        assert "subscribe" in await client.ask(subscribe={"channel": "c:1"})
        # The namespace b is gone: who is in it stays, nobody else comes.
        assert "publish" in await client.ask(publish={"channel": "b:1", "data": 1})
        assert (await client.ask(subscribe={"channel": "b:2"}))["error"]["code"] == 102
        await node.operations.publish("a:1", b'"still delivered"')
        data = [(await client.next_push())["pub"]["data"] for _ in range(2)]
        assert sorted(map(str, data)) == ["1", "still delivered"]
        assert "unsubscribe" in await client.ask(unsubscribe={"channel": "b:1"})


def lines_of(path: Path, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


async def test_what_was_read_is_logged_line_by_line(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "log"
    faults = [f"wsmesh.toml: client.x{number}: unknown option" for number in range(30)]

    def refused() -> Config:
        raise ConfigError("wsmesh", faults)

    with logs.open_logs(LogSection(file=str(path), format="json")):
        async with opened() as node:
            before = node.config
            await node.reload(refused)
            assert node.config is before
            await node.reload(giving(
                node, http_api={"key": Secret("not to be seen")}, compression={"enabled": True},
                log={"level": "error"}, batch={"delay": Seconds(0.5)},
            ))
            assert node.config.http_api.key.value == "not to be seen"
            assert not node.config.compression.enabled
            assert node.config.log.level == "error"
            structlog.get_logger("x").warning("not severe enough")
            await node.reload(giving(node, node={"dev": True, "max_connections": 500}))

    refused_line, dev_line = lines_of(path, "config.refused")
    assert [text for name, text in sorted(refused_line.items()) if "fault" in name] == faults
    assert dev_line["fault_01"].startswith("node.dev: cannot change")
    assert lines_of(path, "not severe enough") == []
    assert b"not to be seen" not in path.read_bytes()


async def test_a_warning_names_what_needs_a_restart(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logs.open_logs(LogSection(file=str(path), format="json")):
        async with opened() as node:
            other = giving(
                node, http_api={"key": Secret("k")}, compression={"enabled": True},
                batch={"delay": Seconds(0.5)},
            )
            await node.reload(other)
            await node.reload(other)

    first, second = lines_of(path, "config.reloaded")
    assert first["option_01"] == "http_api.key"
    assert "option_01" not in second
    for warning in lines_of(path, "config.needs_restart"):
        assert warning["level"] == "warning"
        assert [warning["option_01"], warning["option_02"]] == [
            "batch.delay", "compression.enabled",
        ]
