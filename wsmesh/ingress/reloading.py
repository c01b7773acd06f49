"""Reloading: a node whose clients stay connected serves as a new configuration says (SIGHUP).

All or nothing: what can be wrong is read, checked and built first, in a thread because it takes
longer than clients should wait. Then everything is exchanged in one turn of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
import trio
from attrs import frozen

from wsmesh import logs
from wsmesh.channels.namespaces import Namespaces
from wsmesh.config.reloading import Reload, plan_reload
from wsmesh.config.sections import Config, LimitsSection
from wsmesh.config.strategies import installed
from wsmesh.errors import ConfigError, ReplyError
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.websocket_phase import Rates
from wsmesh.security.addresses import TrustedProxies
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.origins import OriginPolicy
from wsmesh.security.rate import Rate

SLICE = 100
"""Sessions looked at before others get their turn."""

log = structlog.get_logger("wsmesh.config")


def rates_of(limits: LimitsSection) -> Rates:
    """Return the rates that each new connection gets."""
    return Rates(
        Rate(limits.message_rate, limits.message_burst),
        Rate(limits.control_rate, limits.control_burst),
    )


async def reload(reception: Reception, running: Config, read: Callable[[], Config]) -> Config:
    """Take over what can change of the configuration that `read` gives; return what holds now.

    One that has faults is logged, each of them, and nothing changes. Options that need a restart
    keep their values and are named in a warning.

    :param running: what holds until now.
    :param read: called in a thread; may raise ConfigError.
    """
    try:
        # A file that never comes to its end must not keep the node from stopping.
        parts = await trio.to_thread.run_sync(_prepare, running, read, abandon_on_cancel=True)
    except ConfigError as error:
        # One line: many of the same event would be suppressed, as would the end of a long value.
        log.error("config.refused", **_numbered("fault", error.faults))
        return running
    plan = parts.plan
    _exchange(reception, parts)
    log.info("config.reloaded", **_numbered("option", plan.applied))
    if plan.postponed:
        log.warning("config.needs_restart", **_numbered("option", plan.postponed))
    if parts.namespaces is not None:
        await _renew_subscriptions(reception)
    return plan.config


def _numbered(name: str, texts: Iterable[str]) -> dict[str, str]:
    return {f"{name}_{number:02}": text for number, text in enumerate(texts, 1)}


@frozen(kw_only=True)
class _Parts:
    """What is built anew; None stays, with what it has learned."""

    plan: Reload
    origins: OriginPolicy
    proxies: TrustedProxies
    rates: Rates
    namespaces: Namespaces | None
    authenticator: Authenticator | None


def _prepare(running: Config, read: Callable[[], Config]) -> _Parts:
    plan = plan_reload(running, read(), installed())
    config = plan.config
    has_other_keys = any(path.startswith(("client.token.", "client.subscription_token."))
                         for path in plan.applied)
    return _Parts(
        plan=plan,
        origins=OriginPolicy(config.client.allowed_origins),
        proxies=TrustedProxies(config.proxy.trusted_proxies),
        rates=rates_of(config.limits),
        namespaces=None if config.channel == running.channel else Namespaces(config.channel),
        authenticator=Authenticator(config.client) if has_other_keys else None,
    )


def _exchange(reception: Reception, parts: _Parts) -> None:
    config, services, doorway = parts.plan.config, reception.services, reception.doorway
    reception.config = config
    reception.origins = parts.origins
    reception.proxies = parts.proxies
    reception.rates = parts.rates
    reception.site.reconfigure(config)
    doorway.limits = config.limits
    doorway.admission.reconfigure(config.limits)
    services.client = config.client
    limits = config.limits
    if any(path.startswith("limits.user_message_") for path in parts.plan.applied):
        services.allowances.configure(limits.user_message_rate, limits.user_message_burst)
    services.limits = limits
    services.namespaces = parts.namespaces or services.namespaces
    services.authenticator = parts.authenticator or services.authenticator
    if "log.level" in parts.plan.applied:
        logs.change_level(config.log.level)


async def _renew_subscriptions(reception: Reception) -> None:
    """Let live subscriptions publish and ask by the new options; none of them ends.

    How a subscription delivers (positioned, recoverable, its joins and leaves) was agreed on with
    its client, and stays. So does everything of one whose namespace is gone.
    """
    for number, session in enumerate(reception.registry):
        if number % SLICE == SLICE - 1:
            await trio.lowlevel.checkpoint()
        for channel, subscription in tuple(session.subscriptions.items()):
            try:
                subscription.kind = reception.services.namespaces.resolve(channel)
            except ReplyError:
                continue
