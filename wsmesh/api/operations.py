"""What the server API asks of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from wsmesh.protocol.messages import ClientInfo
from wsmesh.security.claims import Override
from wsmesh.session.orders import ConnectionInfo, NodeInfo
from wsmesh.store.interface import Position, Published, Stream


class Operations(Protocol):
    """Carried out by `wsmesh.session.operations`.

    Each may raise `ReplyError`; `StoreUnavailable` and `HookFailure` are answered as 100.
    """

    async def publish(
        self, channel: str, data: bytes, *, tags: Mapping[str, str] | None = None,
        skip_history: bool = False, idempotency_key: str = "", version: int = 0,
        version_epoch: str = "",
    ) -> Published: ...

    async def subscribe(
        self, user: str, channel: str, *, client: str = "", session: str = "",
        info: bytes | None = None, data: bytes | None = None,
        recover_since: Position | None = None, expire_at: float = 0.0, override: Override = ...,
    ) -> None: ...

    async def unsubscribe(
        self, user: str, channel: str, *, client: str = "", session: str = ""
    ) -> None: ...

    async def disconnect(
        self, user: str, *, client: str = "", session: str = "", whitelist: Sequence[str] = (),
        code: int = 0, reason: str = "",
    ) -> None: ...

    async def refresh(
        self, user: str, *, client: str = "", session: str = "", expired: bool = False,
        expire_at: float = 0.0, info: bytes | None = None,
    ) -> None: ...

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]: ...

    async def presence_stats(self, channel: str) -> tuple[int, int]: ...

    async def history(
        self, channel: str, *, limit: int, since: Position | None, reverse: bool
    ) -> Stream: ...

    async def history_remove(self, channel: str) -> None: ...

    async def revoke(
        self, user: str, *, until: float, issued_before: float | None = None
    ) -> None: ...

    async def revoke_token(self, jti: str, *, iss: str = "", until: float) -> None: ...

    async def channels(self, pattern: str | None) -> Mapping[str, int]: ...

    async def info(self) -> Sequence[NodeInfo]: ...

    async def connections(self, user: str) -> Sequence[ConnectionInfo]: ...

    async def drain(self, node: str) -> None: ...

    async def move(self, node: str, within: float) -> None: ...

    async def rpc(self, method: str, params: bytes | None) -> bytes | None: ...
