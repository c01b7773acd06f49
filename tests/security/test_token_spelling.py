"""Tokens have one spelling, and agree with PyJWT about which ones are sound."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsmesh.config.sections import TokenSection
from wsmesh.config.values import Secret
from wsmesh.errors import TokenError
from wsmesh.security.jws import decode_base64url, take_apart
from wsmesh.security.tokens import TokenVerifier

SECRET = "0123456789abcdef0123456789abcdef"
VERIFIER = TokenVerifier(TokenSection(hmac_secret_key=Secret(SECRET)))
TOKEN = jwt.encode({"sub": "42", "info": {"a": "b"}}, SECRET, algorithm="HS256")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def accepts(token: str) -> bool:
    try:
        VERIFIER.verify_connection(token, now=1000.0)
    except TokenError:
        return False
    return True


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=4), st.text(max_size=10))
def test_what_pyjwt_signs_verifies_and_says_the_same(extra, user):
    reserved = TokenSection().user_id_claim, "exp", "nbf", "iat", "aud", "iss", "jti"
    claims = {f"x-{name}": value for name, value in extra.items()} | {"sub": user, "meta": extra}
    assert not set(reserved[1:]) & set(claims)
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    seen = VERIFIER.verify_connection(token, now=1000.0)
    decoded = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert (seen.user, json.loads(seen.meta or b"null")) == (decoded["sub"], decoded["meta"])


@st.composite
def mutilated_tokens(draw):
    token = list(TOKEN)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(token) - 1))
        change = draw(st.sampled_from(["replace", "insert", "delete"]))
        character = draw(st.sampled_from("ABab01-_.=+/ \n\x00é"))
        if change == "replace":
            token[at] = character
        elif change == "insert":
            token.insert(at, character)
        elif len(token) > 1:
            del token[at]
    return "".join(token)


@settings(max_examples=300)
@given(mutilated_tokens() | st.text(max_size=60))
@example("")
@example("..")
@example(TOKEN + ".")
@example(TOKEN + "=")
@example(TOKEN.replace(".", ".."))
def test_a_changed_token_is_never_accepted_unless_it_is_the_original(token):
    assert accepts(token) == (token == TOKEN)


@settings(max_examples=300)
@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x"]), json_values)
)
def test_whatever_is_accepted_pyjwt_accepts_too(forge, header):
    for alg in ({}, {"alg": "HS256"}):
        token = forge.token(header | alg, {"sub": "42"}, forge.hs256())
        if accepts(token):
            assert jwt.decode(token, SECRET, algorithms=["HS256"]) == {"sub": "42"}


def test_the_same_token_spelled_otherwise_is_refused(forge):
    head, payload, signature = TOKEN.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = signature[-1]
    same_bytes = [signature[:-1] + c for c in alphabet if c != last]
    same_bytes = [
        s
        for s in same_bytes
        if base64.urlsafe_b64decode(s + "=") == base64.urlsafe_b64decode(signature + "=")
    ]
    assert same_bytes, "the last character of a 32-byte signature has two unused bits"
    spellings = [f"{head}.{payload}.{other}" for other in same_bytes]
    spellings += [TOKEN + "=", f"{head}=.{payload}.{signature}", f" {TOKEN}", f"{TOKEN}\n"]
    spellings += [f"{head}.{payload}.{signature[:20]}\n{signature[20:]}"]
    for spelling in spellings:
        assert not accepts(spelling)


@given(st.binary(max_size=40))
def test_base64url_round_trips(raw):
    encoded = base64.urlsafe_b64encode(raw).rstrip(b"=")
    assert decode_base64url(encoded) == raw


@given(st.binary(max_size=12))
def test_only_the_canonical_base64url_is_read(text):
    try:
        decoded = decode_base64url(text)
    except TokenError:
        return
    assert base64.urlsafe_b64encode(decoded).rstrip(b"=") == text


@settings(max_examples=200)
@given(st.binary(max_size=80))
@example(b"[" * 3000)
@example(b'{"alg":' + b"[" * 2900)
def test_any_header_bytes_are_a_header_or_refused(forge, header):
    token = forge.token(header, {}, lambda _: b"x")
    try:
        compact = take_apart(token)
    except TokenError:
        return
    assert json.loads(header)["alg"] == compact.algorithm


def test_a_huge_header_is_refused_before_it_is_parsed(forge):
    fitting = {"alg": "HS256", "x": "y" * 3000}
    assert take_apart(forge.token(fitting, {}, forge.hs256())).algorithm == "HS256"
    with pytest.raises(TokenError, match="longer"):
        take_apart(forge.token({"alg": "HS256", "x": "y" * 4000}, {}, forge.hs256()))
