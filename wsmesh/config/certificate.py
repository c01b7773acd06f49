"""Whether the certificate of [tls] can be used; reads its files."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from wsmesh.config.faults import Fault
from wsmesh.config.sections import Config


def certificate_faults(config: Config) -> Iterator[Fault]:
    """Yield why the certificate or its key cannot be used, when a listener needs them."""
    tls = config.tls
    if not any(listener.tls for listener in config.listeners):
        return
    files = {"tls.certificate": tls.certificate, "tls.key": tls.key}
    readable = True
    for option, name in files.items():
        reason = _unreadable(name) if name else ""
        readable = readable and bool(name) and not reason
        if reason:
            yield Fault(option, f"expected a PEM file, found {name!r}: {reason}")
    if not readable:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An encrypted key would make OpenSSL ask at the terminal; an empty password refuses it.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except (ssl.SSLError, OSError) as exc:
        yield Fault(
            "tls.certificate",
            "expected a certificate chain and its unencrypted key in PEM, found "
            f"{tls.certificate!r} and {tls.key!r}: {_reason(exc)}",
            ("tls.key",),
        )


def _reason(exc: OSError) -> str:
    reason = getattr(exc, "reason", None) or str(exc)
    # What OpenSSL says for a key of another family is the second of these.
    if reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return "the key is not the certificate's"
    return str(reason).lower().replace("_", " ")


def _unreadable(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            file.read(1)
    except OSError as exc:
        return exc.strerror or str(exc)
    except ValueError as exc:
        return str(exc)
    return ""
