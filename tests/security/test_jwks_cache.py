"""Held keys belong to an issuer, age, and cost at most one fetch a minute (table row 25)."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from wsmesh.errors import TokenError
from wsmesh.security.jwks import JWKSCache, KeyNotHeld, KeysUnavailable
from wsmesh.security.keys import KeyRefused, key_from_jwk

A, B = "https://a.example", "https://b.example"
NOW = 1_700_000_000.0


READERS = {
    rsa.RSAPrivateKey: RSAAlgorithm,
    ec.EllipticCurvePrivateKey: ECAlgorithm,
    ed25519.Ed25519PrivateKey: OKPAlgorithm,
}


def jwk_of(private, **members):
    (algorithm,) = (READERS[kind] for kind in READERS if isinstance(private, kind))
    return json.loads(algorithm.to_jwk(private.public_key())) | members


def key_set(*jwks):
    return json.dumps({"keys": jwks}).encode()


@pytest.fixture
def cache():
    cache = JWKSCache()
    cache.add_source(A, "https://a.example/keys", 3600.0)
    cache.add_source(B, "https://b.example/keys", 3600.0)
    return cache


def outcome(cache, issuer, kid, now):
    try:
        cache.find(issuer, kid, now)
    except KeyNotHeld:
        return "fetch"
    except KeysUnavailable:
        return "unavailable"
    except TokenError:
        return "unknown"
    return "held"


def test_a_key_is_fetched_held_and_then_trusted_for_its_time(cache, ring):
    with pytest.raises(KeyNotHeld) as caught:
        cache.find(A, "k1", NOW)
    assert (caught.value.issuer, caught.value.kid, caught.value.at) == (A, "k1", NOW)
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW)
    assert set(cache.find(A, "k1", NOW).algorithms) == {"RS256", "RS384", "RS512"}
    assert outcome(cache, A, "k1", NOW + 3599) == "held"
    assert outcome(cache, A, "k1", NOW + 3600) == "fetch"


def test_equal_kids_of_two_issuers_are_two_keys(cache, ring):
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k")), NOW)
    assert outcome(cache, B, "k", NOW) == "fetch"
    cache.store(B, key_set(jwk_of(ring.p256, kid="k")), NOW)
    assert set(cache.find(A, "k", NOW).algorithms) == {"RS256", "RS384", "RS512"}
    assert set(cache.find(B, "k", NOW).algorithms) == {"ES256"}


def test_an_unknown_kid_allows_one_fetch_a_minute(cache, ring):
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW)
    assert outcome(cache, A, "k2", NOW) == "unknown"
    assert outcome(cache, A, "k2", NOW + 59.9) == "unknown"
    assert outcome(cache, A, "k2", NOW + 60) == "fetch"
    cache.store(A, key_set(jwk_of(ring.p256, kid="k2")), NOW + 60)
    assert outcome(cache, A, "k2", NOW + 60) == "held"
    assert outcome(cache, A, "k1", NOW + 60) == "unknown", "withdrawn keys are trusted no longer"


def test_a_failed_fetch_gives_no_verdict_and_is_not_repeated_at_once(cache, ring):
    cache.failed(A, NOW)
    assert outcome(cache, A, "k1", NOW + 4.9) == "unavailable"
    assert outcome(cache, A, "k1", NOW + 5) == "fetch"
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW + 5)
    assert outcome(cache, A, "k2", NOW + 6) == "unknown", "the failure is over"


def test_a_failed_refetch_leaves_held_keys_alone(cache, ring):
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW)
    cache.failed(A, NOW + 100)
    assert outcome(cache, A, "k1", NOW + 100) == "held"
    assert outcome(cache, A, "k2", NOW + 159.9) == "unavailable"
    assert outcome(cache, A, "k2", NOW + 160) == "fetch"


def test_a_clock_set_back_does_not_lock_the_issuer_out(cache, ring):
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW)
    assert outcome(cache, A, "k1", NOW - 1) == "held"
    assert outcome(cache, A, "k1", NOW - 86_400) == "fetch"
    cache.failed(A, NOW)
    assert outcome(cache, A, "k1", NOW - 86_400) == "fetch"


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "../../dev/null",
        "' OR 1=1 --",
        "file:///etc/passwd",
        "a/b",
        "a\n",
        "é",
        "x" * 129,
        "a b",
    ],
)
def test_a_malformed_kid_is_refused_without_a_fetch(cache, kid):
    assert outcome(cache, A, kid, NOW) == "unknown"


def test_the_longest_kid_is_looked_for(cache):
    assert outcome(cache, A, "x" * 128, NOW) == "fetch"


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [1]}', b"\xff", b"[" * 100_000, b"<html>"],
)
def test_what_is_no_key_set_changes_nothing(cache, ring, document):
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW)
    with pytest.raises(KeysUnavailable):
        cache.store(A, document, NOW + 1)
    assert outcome(cache, A, "k1", NOW + 1) == "held"


def test_unusable_keys_are_skipped_and_ambiguous_ones_not_taken(cache, ring):
    good = jwk_of(ring.rsa, kid="good")
    cache.store(
        A,
        key_set(
            good,
            {"kid": "odd", "kty": "XYZ"},
            {"kid": "secret", "kty": "oct", "k": "AAAA"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"},
            jwk_of(ring.p256, kid="two"),
            jwk_of(ring.p384, kid="two"),
            jwk_of(ring.p256),
            jwk_of(ring.p256, kid="no/t"),
        ),
        NOW,
    )
    held = [
        kid
        for kid in ("good", "odd", "secret", "tiny", "two")
        if outcome(cache, A, kid, NOW) == "held"
    ]
    assert held == ["good"]


def test_a_set_is_read_up_to_its_hundredth_key(cache, ring):
    jwk = jwk_of(ring.ed25519)
    cache.store(A, key_set(*(jwk | {"kid": f"k{n}"} for n in range(102))), NOW)
    assert outcome(cache, A, "k99", NOW) == "held"
    assert outcome(cache, A, "k100", NOW) == "unknown"


def test_one_issuer_has_one_url_and_the_shorter_trust(cache, ring):
    with pytest.raises(ValueError, match="one key set"):
        cache.add_source(A, "https://a.example/other", 3600.0)
    cache.add_source(A, "https://a.example/keys", 60.0)
    cache.store(A, key_set(jwk_of(ring.rsa, kid="k1")), NOW)
    assert outcome(cache, A, "k1", NOW + 60) == "fetch"


def test_a_jwk_pins_its_own_algorithm(ring):
    assert set(key_from_jwk(jwk_of(ring.rsa, alg="RS384")).algorithms) == {"RS384"}
    assert set(key_from_jwk(jwk_of(ring.p384)).algorithms) == {"ES384"}
    assert set(key_from_jwk(jwk_of(ring.ed25519, use="sig")).algorithms) == {"EdDSA"}


@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"alg": "HS256"},
     {"alg": "ES256"}, {"alg": "none"}, {"alg": ["RS256"]}, {"n": 5},
     {"kty": ["RSA"]}],
)  # fmt: skip
def test_a_jwk_for_anything_else_is_refused(ring, members):
    with pytest.raises(KeyRefused):
        key_from_jwk(jwk_of(ring.rsa) | members)


@pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
def test_a_private_jwk_is_refused(ring, kind):
    private = getattr(ring, kind)
    (algorithm,) = (READERS[known] for known in READERS if isinstance(private, known))
    with pytest.raises(KeyRefused, match="public key"):
        key_from_jwk(json.loads(algorithm.to_jwk(private)) | {"key_ops": ["sign", "verify"]})


def test_a_weak_rsa_jwk_is_refused():
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(KeyRefused, match="2048"):
        key_from_jwk(jwk_of(weak))


members = st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB", "", "!", "sig"])


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "use", "key_ops", "kid"]),
        members | st.integers() | st.none() | st.lists(members, max_size=2),
    )
)
def test_any_members_make_a_key_or_are_refused(jwk):
    with suppress(KeyRefused):
        assert key_from_jwk(jwk).algorithms


def test_keys_of_an_issuer_that_is_configured_no_longer_are_not_fetched():
    assert not JWKSCache().is_missing(KeyNotHeld("https://gone.example", "kid", 0.0))
