"""Errors of the log sent to Sentry as well; needs `wsmesh[sentry]`.

What is sent: the event's name, the exception with its frames, the node's name and release. Not the
other fields of the line, nor local variables: users, addresses and tokens may be in them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import wsmesh
from wsmesh.config.sections import LogSection
from wsmesh.errors import ConfigError

CLOSE_WITHIN = 2.0
"""Seconds at the end for what is not sent yet."""

Processor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def reporter(section: LogSection) -> Processor | None:
    """Return what sends errors on their way through the log; None when there is no DSN.

    :raises ConfigError: the package is not installed, or the DSN is none.
    """
    if not section.sentry_dsn:
        return None
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError as error:
        fault = "log.sentry_dsn: needs sentry-sdk: pip install 'wsmesh[sentry]'"
        raise ConfigError("configuration", [fault]) from error
    try:
        sentry_sdk.init(
            dsn=section.sentry_dsn.value, release=f"wsmesh@{wsmesh.__version__}",
            environment=section.sentry_environment or None, default_integrations=False,
            auto_enabling_integrations=False, include_local_variables=False,
            include_source_context=False, max_breadcrumbs=0, shutdown_timeout=CLOSE_WITHIN,
        )
    except BadDsn as error:
        raise ConfigError("configuration", [f"log.sentry_dsn: {error}"]) from error
    return _report


def close() -> None:
    """Send what is not sent yet, for `CLOSE_WITHIN`; harmless when nothing was set up."""
    sdk = sys.modules.get("sentry_sdk")
    if sdk is not None:
        sdk.get_client().close(timeout=CLOSE_WITHIN)


def _report(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if event["level"] not in ("error", "critical"):
        return event
    import sentry_sdk
    from sentry_sdk.utils import event_from_exception

    fault = _exception(event.get("exc_info"))
    report: Any = {}
    if fault is not None:
        report, _ = event_from_exception(
            fault, client_options=sentry_sdk.get_client().options, mechanism={"type": "log"}
        )
    report |= {
        "level": event["level"], "logger": "wsmesh", "message": str(event["event"]),
        "tags": {"event": str(event["event"]), "node": str(event.get("node", ""))},
        # One issue for each kind of line, not for each text of an exception.
        "fingerprint": ["{{ default }}", str(event["event"])],
    }
    sentry_sdk.capture_event(report)
    return event


def _exception(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None
