"""Publishing by clients: permission, validation, store; without a task where no hook waits."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import UNSET, Raw

from wsmesh.app import PublishContext
from wsmesh.channels.namespaces import ChannelKind
from wsmesh.channels.permissions import may_publish
from wsmesh.errors import ReplyError
from wsmesh.protocol import codes
from wsmesh.protocol.codec import Form
from wsmesh.protocol.messages import Command, Publication
from wsmesh.security.payload import check_payload, compact
from wsmesh.session.services import Services
from wsmesh.session.session import Job, Session
from wsmesh.store.interface import Published

_BIDIRECTIONAL = Form.BIDIRECTIONAL


def publish(session: Session, number: int, command: Command) -> Job | None:
    """Execute a publish command."""
    request = command.publish
    assert request is not None
    if not request.channel or request.data is UNSET:
        raise codes.BAD_REQUEST
    services = session.services
    subscription = session.subscriptions.get(request.channel)
    kind = (
        services.namespaces.resolve(request.channel) if subscription is None else subscription.kind
    )
    data = bytes(request.data)
    fault = fault_in(services, kind, data)
    if fault is not None:
        raise fault
    if services.hooks.app.publish is not None:
        return partial(_publish_by_hook, session, number, kind, data)
    refusal = may_publish(kind, session.user, subscription is not None)
    if refusal is not None:
        raise refusal
    session.unsettled += 1
    services.store.publish_nowait(
        kind.channel,
        Publication(Raw(data), session.client_info()),
        kind.stored,
        partial(_answer, session, number),
    )
    return None


def fault_in(services: Services, kind: ChannelKind, data: bytes) -> ReplyError | None:
    """Return the error to answer with when `data` may not be published in the channel."""
    limits = services.limits
    reason = check_payload(data, limits.json_depth, limits.json_keys)
    if reason is not None:
        services.metrics.limit_hit("invalid_frame")
        return codes.bad_request(reason)
    if kind.options.publication_data_format == "json_object" and not data.lstrip().startswith(b"{"):
        return codes.bad_request("data must be a JSON object")
    app = services.hooks.app
    return app.fault_in(kind.channel, data) if app.checks else None


async def _publish_by_hook(session: Session, number: int, kind: ChannelKind, data: bytes) -> None:
    hooks = session.services.hooks
    assert hooks.app.publish is not None
    context = PublishContext(
        client=session.described(), channel=kind.channel, data=data,
    )
    rewritten = await hooks.call("publish", hooks.app.publish, context)
    session.unsettled += 1
    session.services.store.publish_nowait(
        kind.channel,
        Publication(Raw(data if rewritten is None else checked_json(rewritten)),
                    session.client_info()),
        kind.stored,
        partial(_answer, session, number),
    )


def checked_json(data: bytes) -> bytes:
    """Return `data`, which a hook gave, on one line, if it is JSON: a client must never get less.

    :raises ReplyError: it is not.
    """
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise codes.internal() from error
    return compact(data)


def _answer(session: Session, number: int, outcome: Published | Exception) -> None:
    session.unsettled -= 1
    if session.settled is not None and not session.unsettled:
        session.settled.set()
    if session.is_over:
        return
    if isinstance(outcome, Exception):
        session.refuse(number, codes.internal())
    elif session.form is _BIDIRECTIONAL:
        session.link.send_text(b'{"id":%d,"publish":{}}' % number)
