"""A node behind the server API that keeps what it was asked."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from wsmesh.errors import Disconnect, HookFailure, StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.security.revocation import RevocationsFull
from wsmesh.session.orders import NodeInfo
from wsmesh.store.interface import Position, Published, Stream


class RecordingOperations:
    """Answers plausibly; channels called `unknown:*` and `away:*` fail."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def _note(self, name: str, **facts: Any) -> None:
        self.asked.append((name, facts))
        channel = str(facts.get("channel", ""))
        if channel.startswith("unknown:"):
            raise codes.unknown_channel()
        if channel.startswith("away:"):
            raise StoreUnavailable("the store is away")

    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        self._note("publish", channel=channel, data=data, **options)
        return Published(Position("epoch", 7))

    async def subscribe(self, user: str, channel: str, **options: Any) -> None:
        self._note("subscribe", user=user, channel=channel, **options)

    async def unsubscribe(self, user: str, channel: str, **options: Any) -> None:
        self._note("unsubscribe", user=user, channel=channel, **options)

    async def disconnect(self, user: str, **options: Any) -> None:
        self._note("disconnect", user=user, **options)

    async def refresh(self, user: str, **options: Any) -> None:
        self._note("refresh", user=user, **options)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        self._note("presence", channel=channel)
        return {"c1": ClientInfo(user="u", client="c1")}

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        self._note("presence_stats", channel=channel)
        return 2, 1

    async def history(self, channel: str, **options: Any) -> Stream:
        self._note("history", channel=channel, **options)
        return Stream(Position("epoch", 2), (Publication(data=Raw(b'{"n":1}'), offset=2),))

    async def history_remove(self, channel: str) -> None:
        self._note("history_remove", channel=channel)

    async def channels(self, pattern: str | None) -> dict[str, int]:
        self._note("channels", pattern=pattern)
        return {"a": 1}

    async def revoke(self, user: str, **options: Any) -> None:
        self._note("revoke", user=user, **options)

    async def revoke_token(self, jti: str, **options: Any) -> None:
        self._note("revoke_token", jti=jti, **options)
        if jti == "one too many":
            raise RevocationsFull("3 revocations are in force")

    async def info(self) -> list[NodeInfo]:
        return [
            NodeInfo(
                uid="1", name="n", version="0", num_clients=1, num_users=1, num_subs=1,
                num_channels=1, uptime=3,
            )
        ]

    async def rpc(self, method: str, params: bytes | None) -> bytes | None:
        self._note("rpc", method=method, params=params)
        if method == "broken":
            raise HookFailure("rpc raised ZeroDivisionError")
        if method == "rude":
            raise Disconnect(4000, "go away")
        if method != "known":
            raise codes.method_not_found()
        return params
