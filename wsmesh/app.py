"""Application hooks: what a service plugs into a node to decide about its clients.

::

    from wsmesh.app import App, ConnectContext, ConnectGrant

    app = App()

    @app.on_connect
    async def connect(context: ConnectContext) -> ConnectGrant:
        return ConnectGrant(user="alice", channels=("news",))

A hook is a Trio coroutine function. It may raise `wsmesh.errors.ReplyError` to refuse the command
or `wsmesh.errors.Disconnect` to end the connection. Anything else it raises, and overrunning
`[app] timeout`, is answered with "internal server error" to that client alone. A hook must not
block the thread: use `trio.to_thread.run_sync` for blocking work.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from attrs import Factory, define, frozen

from wsmesh.errors import ReplyError


@frozen(kw_only=True)
class Client:
    """The client that a hook is about.

    :param id: connection id.
    :param user: user id, empty for anonymous clients.
    :param address: the client's IP address.
    :param info: JSON that others see, attached by the token or the connect hook.
    :param meta: JSON that nobody else sees.
    """

    id: str
    user: str
    address: str
    info: bytes | None = None
    meta: bytes | None = None


@frozen(kw_only=True)
class ConnectContext:
    """A client that wants to connect; its user comes from its token, if it had a valid one.

    :param data: JSON the client sent with its connect command.
    :param headers: HTTP headers of the handshake, lower-case names.
    """

    client: Client
    data: bytes | None = None
    name: str = ""
    version: str = ""
    headers: Mapping[str, str] = Factory(dict)


@frozen(kw_only=True)
class ConnectGrant:
    """Let the client in.

    :param user: user id; None keeps the token's.
    :param info: JSON for presence, joins and the client's publications.
    :param data: JSON for the connect reply.
    :param expire_at: Unix time at which the connection must be refreshed.
    :param channels: channels to subscribe the client to.
    """

    user: str | None = None
    info: bytes | None = None
    meta: bytes | None = None
    data: bytes | None = None
    expire_at: float | None = None
    channels: tuple[str, ...] = ()


@frozen(kw_only=True)
class SubscribeContext:
    """A client that wants to subscribe; `data` is JSON it sent along."""

    client: Client
    channel: str
    data: bytes | None = None


@frozen(kw_only=True)
class SubscribeGrant:
    """Let the client subscribe.

    :param info: JSON shown with the client in this channel.
    :param data: JSON for the subscribe reply.
    :param expire_at: Unix time at which the subscription must be refreshed.
    """

    info: bytes | None = None
    data: bytes | None = None
    expire_at: float | None = None


@frozen(kw_only=True)
class PublishContext:
    """A client that wants to publish `data` (JSON)."""

    client: Client
    channel: str
    data: bytes


@frozen(kw_only=True)
class RPCContext:
    """A call of `method` with JSON `data`."""

    client: Client
    method: str
    data: bytes | None = None


@frozen(kw_only=True)
class MessageContext:
    """An asynchronous message (`send`) of a client."""

    client: Client
    data: bytes


@frozen(kw_only=True)
class RefreshContext:
    """A connection whose time is up; `token` is what the client brought, if anything."""

    client: Client
    token: str = ""


@frozen(kw_only=True)
class RefreshGrant:
    """Let the connection live on until `expire_at` (Unix time), or drop it."""

    expire_at: float | None = None
    info: bytes | None = None
    expired: bool = False


@frozen(kw_only=True)
class DisconnectContext:
    """A connection that ended."""

    client: Client
    code: int
    reason: str


ConnectHook = Callable[[ConnectContext], Awaitable[ConnectGrant]]
SubscribeHook = Callable[[SubscribeContext], Awaitable[SubscribeGrant]]
PublishHook = Callable[[PublishContext], Awaitable["bytes | None"]]
RPCHook = Callable[[RPCContext], Awaitable["bytes | None"]]
MessageHook = Callable[[MessageContext], Awaitable[None]]
RefreshHook = Callable[[RefreshContext], Awaitable[RefreshGrant]]
DisconnectHook = Callable[[DisconnectContext], Awaitable[None]]
Check = Callable[[bytes], "str | None"]

_H = TypeVar("_H", bound=Callable[..., Awaitable[Any]])


@define
class App:
    """The hooks of a service; each decorator registers one coroutine function."""

    connect: ConnectHook | None = None
    subscribe: SubscribeHook | None = None
    publish: PublishHook | None = None
    message: MessageHook | None = None
    refresh: RefreshHook | None = None
    disconnect: DisconnectHook | None = None
    rpc: dict[str, RPCHook] = Factory(dict)
    checks: list[tuple[str, Check]] = Factory(list)

    def on_connect(self, hook: ConnectHook) -> ConnectHook:
        """Decide who may connect, and as whom."""
        self.connect = hook
        return hook

    def on_subscribe(self, hook: SubscribeHook) -> SubscribeHook:
        """Decide about subscriptions that no token and no namespace option has decided."""
        self.subscribe = hook
        return hook

    def on_publish(self, hook: PublishHook) -> PublishHook:
        """Decide about client publications; return other JSON to rewrite one, None to keep it."""
        self.publish = hook
        return hook

    def on_message(self, hook: MessageHook) -> MessageHook:
        """Take clients' asynchronous messages (`send`)."""
        self.message = hook
        return hook

    def on_refresh(self, hook: RefreshHook) -> RefreshHook:
        """Prolong connections that expire without a token."""
        self.refresh = hook
        return hook

    def on_disconnect(self, hook: DisconnectHook) -> DisconnectHook:
        """Learn that a connection ended."""
        self.disconnect = hook
        return hook

    def on_rpc(self, method: str = "") -> Callable[[RPCHook], RPCHook]:
        """Answer RPC calls of `method`; without a name, of every method nobody else answers."""

        def register(hook: RPCHook) -> RPCHook:
            self.rpc[method] = hook
            return hook

        return register

    def validate(self, channels: str, schema: type[Any] | Mapping[str, Any]) -> None:
        """Check what clients publish into channels that match the glob `channels`.

        :param schema: a type msgspec can decode (a Struct, `dict[str, int]`, ...) or a JSON Schema.
        """
        check = _json_schema(schema) if isinstance(schema, Mapping) else _typed(schema)
        self.checks.append((channels, check))

    def fault_in(self, channel: str, data: bytes) -> ReplyError | None:
        """Return the error to answer a publication with, None when it is valid."""
        for pattern, check in self.checks:
            if fnmatch.fnmatchcase(channel, pattern):
                fault = check(data)
                if fault is not None:
                    return ReplyError(107, f"bad request: {fault}")
        return None


def _typed(schema: type[Any]) -> Check:
    decode = msgspec.json.Decoder(schema).decode

    def check(data: bytes) -> str | None:
        try:
            decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            return str(error)
        return None

    return check


def _json_schema(schema: Mapping[str, Any]) -> Check:
    from jsonschema.validators import validator_for

    kind = validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)

    def check(data: bytes) -> str | None:
        for error in validator.iter_errors(msgspec.json.decode(data)):
            return f"{error.json_path}: {error.message}"[:200]
        return None

    return check
