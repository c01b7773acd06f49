"""What clients are placed by: found where `[affinity]` says, never chosen where it is sealed."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.affinity import AffinitySection
from wsmesh.config.sections import Config
from wsmesh.config.values import Secret
from wsmesh.gateway.affinity import Affinity, Claim
from wsmesh.gateway.keys import LONGEST, Seal, cookie, network_of, parameter
from wsmesh.wire.request import Request

SECRET = "a secret of thirty-two bytes at least"
NOW = 1_800_000_000.0


def request(*headers: tuple[str, str], query: str = "") -> Request:
    return Request(
        method="GET", target="/", path="/connection/websocket", query=query, http_version="1.1",
        headers=headers, keep_alive=True, is_upgrade=True,
    )


def claim(
    asked: Request | None, address: str = "192.0.2.7", *, is_secure: bool = False, **options: Any
) -> Claim:
    config = Config(affinity=AffinitySection(**options))
    token = evolve(config.client.token, hmac_secret_key=Secret(SECRET))
    config = evolve(config, client=evolve(config.client, token=token))
    return Affinity(config, b"secret").claim(asked, address, NOW, is_secure=is_secure)


def bearer(secret: str = SECRET, **claims: Any) -> tuple[str, str]:
    token = jwt.encode({"sub": "anna", **claims}, secret, algorithm="HS256")
    return ("authorization", f"Bearer {token}")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ip", b"192.0.2.7"),
        ("header:X-Room", b"red"),
        ("cookie:room", b"blue"),
        ("query:room", b"green hall"),
        ("claim:sub", b"anna"),
        ("claim:tenant", b"12"),
    ],
)
def test_the_key_is_where_the_section_says(key: str, expected: bytes) -> None:
    asked = request(
        ("x-room", "red"), ("cookie", 'a=b; room="blue"; c'), bearer(tenant=12),
        query="a=1&room=green%20hall&room=no",
    )
    assert claim(asked, keys=(key,)).key == expected


@pytest.mark.parametrize(
    "key", ["header:x-room", "cookie:room", "query:room", "claim:sub", "claim:flag"]
)
def test_where_there_is_none_the_next_counts(key: str) -> None:
    asked = request(("cookie", "other=1; room"), query="other=1")
    assert claim(asked, keys=(key, "ip")).key == b"192.0.2.7"
    assert claim(asked, keys=(key,)).key is None
    assert claim(None, keys=(key,)).key is None


@pytest.mark.parametrize(
    "asked",
    [
        request(bearer("another secret of thirty-two bytes at least")),
        request(bearer(exp=int(NOW) - 1000)),
        request(("authorization", "Bearer not.a.token")),
        request(("authorization", "Basic YTpi")),
        request(query="token=x"),
    ],
)
def test_a_claim_counts_only_when_its_token_verifies(asked: Request) -> None:
    assert claim(asked, keys=("claim:sub",)).key is None


def test_without_verification_a_claim_of_any_token_counts() -> None:
    forged = request(bearer("another secret of thirty-two bytes at least", exp=5))
    assert claim(forged, keys=("claim:sub",), verify_token=False).key == b"anna"


def test_a_token_may_stand_in_the_query_or_a_cookie() -> None:
    token = bearer()[1].removeprefix("Bearer ")
    assert claim(request(query=f"token={token}"), keys=("claim:sub",)).key == b"anna"
    kept = request(("cookie", f"jwt={token}"))
    assert claim(kept, keys=("claim:sub",), token_cookie="jwt").key == b"anna"
    assert claim(kept, keys=("claim:sub",)).key is None


@pytest.mark.parametrize("value", [True, None, {"a": 1}, [1], 1.5, ""])
def test_only_texts_and_integers_are_keys(value: object) -> None:
    assert claim(request(bearer(tenant=value)), keys=("claim:tenant",)).key is None


def test_a_key_that_is_too_long_is_none() -> None:
    assert claim(request(("x-room", "r" * LONGEST)), keys=("header:x-room",)).key is not None
    assert claim(request(("x-room", "r" * (LONGEST + 1))), keys=("header:x-room",)).key is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", None),
        ("nowhere", None),
    ],
)
def test_addresses_count_by_their_first_bits(address: str, expected: str | None) -> None:
    assert network_of(address, 24, 64) == expected


def test_a_client_without_a_key_is_given_one_that_it_brings_back() -> None:
    given = claim(request(), keys=(), cookie="where", header="X-Where")
    headers = dict(given.headers)
    sealed = headers["X-Where"]

    assert headers["Set-Cookie"] == f"where={sealed}; Path=/; HttpOnly; SameSite=Lax"
    for asked in (request(("cookie", f"where={sealed}")), request(("x-where", sealed))):
        back = claim(asked, keys=(), cookie="where", header="X-Where")
        assert back == Claim(given.key, is_returning=True)
    assert claim(request(), keys=(), cookie="where").key != given.key


def test_a_key_that_the_cluster_did_not_give_is_replaced() -> None:
    sealed = dict(claim(request(), keys=(), header="X-Where").headers)["X-Where"]
    for forged in (sealed[:-1], f"x{sealed}", sealed.split(".")[0], ".", "é.é", ""):
        got = claim(request(("x-where", forged)), keys=(), header="X-Where")
        assert dict(got.headers)["X-Where"] != sealed


def test_who_has_a_key_is_given_none() -> None:
    assert claim(request(), keys=("ip",), cookie="where").headers == ()


@pytest.mark.parametrize(
    ("options", "is_secure", "end"),
    [
        ({"cookie_max_age": 60.0}, False, "SameSite=Lax; Max-Age=60"),
        ({"cookie_same_site": "strict"}, True, "SameSite=Strict; Secure"),
        ({"cookie_secure": "always", "cookie_same_site": "none"}, False, "SameSite=None; Secure"),
        ({"cookie_secure": "never"}, True, "SameSite=Lax"),
    ],
)
def test_the_cookie_is_as_the_section_says(
    options: dict[str, Any], is_secure: bool, end: str
) -> None:
    given = claim(request(), keys=(), cookie="where", is_secure=is_secure, **options)
    assert dict(given.headers)["Set-Cookie"].endswith(f"; {end}")


texts = st.text(st.characters(codec="latin-1"), max_size=60)


@given(
    headers=st.lists(
        st.tuples(st.sampled_from(["cookie", "authorization", "x-where", "x-room"]), texts),
        max_size=5,
    ),
    query=texts, address=texts,
)
def test_nothing_in_a_request_raises(
    headers: list[tuple[str, str]], query: str, address: str
) -> None:
    got = claim(
        request(*headers, query=query), address, cookie="where", header="X-Where",
        keys=("claim:sub", "cookie:room", "query:room", "header:x-room", "ip"),
        token_cookie="room", verify_token=False,
    )
    assert got.key


@given(name=st.binary(min_size=1, max_size=20), secret=st.binary(max_size=40), text=texts)
def test_only_what_was_sealed_is_opened(name: bytes, secret: bytes, text: str) -> None:
    seal = Seal(secret)
    sealed = seal.sealed(name)
    assert seal.opened(sealed) == sealed.partition(".")[0]
    assert Seal(secret + b"x").opened(sealed) is None
    assert seal.opened(text) is None


def test_absent_cookies_and_parameters_are_none() -> None:
    assert cookie(request(), "a") is None
    assert cookie(request(("cookie", "a=1"), ("cookie", "b=2")), "b") == "2"
    assert parameter(request(query="ab=1"), "a") is None
    assert parameter(request(query="&".join(["a=1"] * 200)), "a") is None
