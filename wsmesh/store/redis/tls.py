"""TLS towards Redis: trust, client certificate, the name to expect."""

from __future__ import annotations

import ssl

from attrs import frozen

from wsmesh.config.redis import RedisSection
from wsmesh.errors import ConfigError


@frozen
class TLS:
    """How connections are encrypted.

    :param server_name: what the server's certificate must hold; empty: the host connected to.
    """

    context: ssl.SSLContext
    server_name: str = ""


def tls_of(section: RedisSection) -> TLS:
    """Return the TLS settings of `[redis]`; reads its files.

    :raises ConfigError: a file cannot be used.
    """
    faults = []
    context = ssl.create_default_context()
    if section.tls_ca:
        try:
            context = ssl.create_default_context(cafile=section.tls_ca)
        except (OSError, ssl.SSLError) as error:
            faults.append(f"redis.tls_ca: expected a PEM file, found {_said(error)}")
    if section.tls_certificate:
        try:
            context.load_cert_chain(section.tls_certificate, section.tls_key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            faults.append(
                f"redis.tls_certificate: expected a certificate with its key, found {_said(error)}"
            )
    if faults:
        raise ConfigError("redis", faults)
    return TLS(context, section.tls_server_name)


def _said(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    return ""
