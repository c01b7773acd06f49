"""Checks across options: the keys that sign tokens."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from wsmesh.config.faults import Fault
from wsmesh.config.sections import Config, TokenSection

SHORTEST_SECRET = 32
"""Bytes: RFC 7518 section 3.2 wants at least the hash's size, 256 bits for HS256."""

_SLOTS = ("rsa_public_key", "ecdsa_public_key", "eddsa_public_key")


def token_faults(config: Config) -> Iterator[Fault]:
    """Yield what is wrong with either section of token keys."""
    sections = {
        "client.token": config.client.token,
        "client.subscription_token": config.client.subscription_token,
    }
    for at, section in sections.items():
        yield from _secret_faults(at, section)
        yield from _public_key_faults(at, section)
        yield from _jwks_faults(at, section, config.node.dev)
    chosen = config.client.subscription_token
    if chosen.enabled and not _has_key(chosen):
        yield Fault("client.subscription_token.enabled",
                    "expected a key in client.subscription_token, because enabled is true, "
                    "found none")


def _has_key(section: TokenSection) -> bool:
    static = (section.hmac_secret_key, *(getattr(section, slot) for slot in _SLOTS))
    return any(static) or bool(section.jwks_public_endpoint)


def _secret_faults(at: str, section: TokenSection) -> Iterator[Fault]:
    secret = section.hmac_secret_key.value
    path = f"{at}.hmac_secret_key"
    size = len(secret.encode())
    if "-----BEGIN " in secret:
        # A public key as shared secret lets everybody who has it sign tokens.
        yield Fault(path, "expected a shared secret, found a PEM key; "
                          "public keys go into rsa_, ecdsa_ or eddsa_public_key")
    elif 0 < size < SHORTEST_SECRET:
        yield Fault(path, f"expected at least {SHORTEST_SECRET} bytes, found {size}")


def _public_key_faults(at: str, section: TokenSection) -> Iterator[Fault]:
    pems = {slot: getattr(section, slot) for slot in _SLOTS if getattr(section, slot)}
    if not pems:
        return
    # Only now: cryptography takes 60 ms to import, and most commands need none of it.
    from wsmesh.config import pem

    wanted = dict(zip(_SLOTS, (pem.RSA, pem.ELLIPTIC_CURVE, pem.ED25519), strict=True))
    for slot, text in pems.items():
        actual = pem.kind_of_pem(text)
        if actual != wanted[slot]:
            yield Fault(f"{at}.{slot}", f"expected {wanted[slot]} in PEM, found {actual}")


def _jwks_faults(at: str, section: TokenSection, dev: bool) -> Iterator[Fault]:
    url = section.jwks_public_endpoint
    if not url:
        return
    path = f"{at}.jwks_public_endpoint"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        yield Fault(path, "expected an https:// URL, found something else")
    elif parts.scheme == "http" and not (dev and _is_loopback(parts)):
        yield Fault(path, "expected https:// (http:// only in dev mode from a loopback address), "
                          f"found http://{parts.hostname}", ("node.dev",))
    if not section.issuer:
        yield Fault(f"{at}.issuer", f"expected the issuer of the keys, because {path} is set, "
                                    "found none", (path,))


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
