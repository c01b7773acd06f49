"""What the gateway places a client by: `[affinity]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import attrs
from attrs import frozen

from wsmesh.config.faults import Fault
from wsmesh.config.values import Seconds, at_least, one_of, option, quoted, within

SOURCE = re.compile(r"ip|(?:header|cookie|query|claim):[A-Za-z0-9_.-]+")
"""An entry of `keys`: where, and the name there."""

_TOKEN = re.compile(r"[A-Za-z0-9_.-]*")


@attrs.frozen
class _Name:
    """Validator: the name of a cookie or of a header field, or none.

    Less than RFC 9110 section 5.6.2 allows: what other balancers' configurations can name, too.
    """

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: str) -> None:
        if not _TOKEN.fullmatch(value):
            raise ValueError(f"expected letters, digits, -, _ and ., found {quoted(value)}")


@frozen(kw_only=True)
class AffinitySection:
    """`[affinity]`: what a client is placed by, and how it is known when it returns."""

    keys: tuple[str, ...] = option(
        ("ip",),
        'Where the key is looked for, the first that a request has counts: "ip", "header:NAME", '
        '"cookie:NAME", "query:NAME", or "claim:NAME" of the token in the Authorization field, '
        "the query parameter token, or the cookie that token_cookie names.",
    )
    verify_token: bool = option(
        True,
        "Claims count only of tokens that [client.token] verifies, with keys given there; "
        "otherwise anybody may write what they are placed by.",
    )
    token_cookie: str = option("", "Name of the cookie that has a token.", validator=_Name())
    ipv4_prefix: int = option(
        32, "Bits of an IPv4 address that count.", validator=within(0, 32)
    )
    ipv6_prefix: int = option(
        64, "Bits of an IPv6 address that count; a customer has 64.", validator=within(0, 128)
    )
    cookie: str = option(
        "", "Name of a cookie that is given to clients without a key, and is their key from then "
        "on; it is signed, so nobody can write one. Empty: none.", validator=_Name(),
    )
    cookie_max_age: Seconds = option(
        Seconds(0.0), "How long browsers keep it; 0: until they are closed.",
        validator=at_least(0.0),
    )
    cookie_secure: str = option(
        "auto", "Whether browsers send it over TLS only; auto: when it was given over TLS.",
        validator=one_of("auto", "always", "never"),
    )
    cookie_same_site: str = option(
        "lax", "Whether browsers send it from other sites; none needs TLS.",
        validator=one_of("lax", "strict", "none"),
    )
    header: str = option(
        "", "Name of a header field that does the same for clients without cookies: the answer to "
        "the upgrade has it, and the next request should. Empty: none.", validator=_Name(),
    )


def affinity_faults(affinity: AffinitySection, fetches_keys: bool) -> Iterator[Fault]:
    """Yield what is wrong with `[affinity]`.

    :param fetches_keys: the keys of [client.token] are fetched.
    """
    for position, key in enumerate(affinity.keys):
        path = f"affinity.keys[{position}]"
        if not SOURCE.fullmatch(key):
            yield Fault(
                path, 'expected "ip", "header:NAME", "cookie:NAME", "query:NAME" or "claim:NAME", '
                f"found {quoted(key)}",
            )
        elif key.startswith("claim:") and affinity.verify_token and fetches_keys:
            yield Fault(
                path, "expected affinity.verify_token = false, because the gateway does not fetch "
                "the keys of client.token.jwks_public_endpoint",
                ("affinity.verify_token", "client.token.jwks_public_endpoint"),
            )
    if affinity.cookie_same_site == "none" and affinity.cookie_secure == "never":
        yield Fault(
            "affinity.cookie_secure",
            'expected "auto" or "always" with cookie_same_site = "none": browsers refuse it else',
            ("affinity.cookie_same_site",),
        )
