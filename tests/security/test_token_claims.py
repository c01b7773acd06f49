"""What verified tokens say; missing, mistyped and foreign claims (reliability table row 26)."""

from __future__ import annotations

import pytest

from wsmesh.config.sections import TokenSection
from wsmesh.config.values import Seconds, Secret
from wsmesh.errors import ConfigError, TokenError, TokenExpired
from wsmesh.security.claims import Override, SubscribeOptions
from wsmesh.security.tokens import TokenVerifier

NOW = 1_000_000.0


@pytest.fixture
def verify(forge):
    """Verify a connection token with these claims under these options."""

    def verify(claims, *, now=NOW, **options):
        section = TokenSection(hmac_secret_key=Secret(forge.SECRET), **options)
        token = forge.token({"alg": "HS256"}, claims, forge.hs256())
        return TokenVerifier(section).verify_connection(token, now=now)

    return verify


@pytest.fixture
def verify_subscription(forge):
    """Verify a subscription token with these claims."""

    def verify(claims, *, now=NOW, **options):
        section = TokenSection(hmac_secret_key=Secret(forge.SECRET), **options)
        token = forge.token({"alg": "HS256"}, claims, forge.hs256())
        return TokenVerifier(section).verify_subscription(token, now=now)

    return verify


def test_a_connection_token_with_everything(verify):
    claims = verify(
        b'{"sub": "42", "exp": 1000060, "nbf": 999999, "iat": 999990, "jti": "t", "iss": "app",'
        b'"info": {"name": "Ada"}, "meta": {"role": [1]}, "channels": ["a", "b"],'
        b'"subs": {"c": {"data": {"x": 1}, "b64info": "eyJ5IjoyfQ==",'
        b'"override": {"presence": {"value": true}, "join_leave": {"value": false}}}}}'
    )
    assert claims.user == "42"
    assert claims.expire_at == 1000060
    assert (claims.info, claims.meta) == (b'{"name": "Ada"}', b'{"role": [1]}')
    assert claims.channels == ("a", "b")
    assert claims.subs == {
        "c": SubscribeOptions(
            info=b'{"y":2}',
            data=b'{"x": 1}',
            override=Override(presence=True, join_leave=False),
        )
    }
    assert (claims.jti, claims.iss, claims.issued_at) == ("t", "app", 999990)


@pytest.mark.parametrize(
    ("claims", "expire_at"),
    [
        ({}, None),
        ({"exp": NOW + 60}, NOW + 60),
        ({"exp": NOW + 60, "expire_at": NOW + 5}, NOW + 5),
        ({"exp": NOW + 60, "expire_at": 0}, None),
        ({"exp": NOW + 60, "expire_at": None}, NOW + 60),
        ({"expire_at": NOW + 5}, NOW + 5),
    ],
)
def test_expire_at_stands_in_for_exp(verify, claims, expire_at):
    assert verify({"sub": "42"} | claims).expire_at == expire_at


def test_exp_and_nbf_hold_to_the_leeway_and_not_beyond(verify):
    leeway = Seconds(10.0)
    assert verify({"exp": NOW - 9.99}, leeway=leeway)
    with pytest.raises(TokenExpired):
        verify({"exp": NOW - 10}, leeway=leeway)
    assert verify({"nbf": NOW + 10}, leeway=leeway)
    with pytest.raises(TokenError, match="not valid yet") as caught:
        verify({"nbf": NOW + 10.01}, leeway=leeway)
    assert not isinstance(caught.value, TokenExpired)
    with pytest.raises(TokenExpired):
        verify({"exp": NOW + 60, "expire_at": NOW + 9000}, now=NOW + 3600)


def test_an_expired_token_that_is_otherwise_wrong_is_not_merely_expired(verify):
    with pytest.raises(TokenError, match="issuer") as caught:
        verify({"exp": 1, "iss": "b"}, issuer="a")
    assert not isinstance(caught.value, TokenExpired)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 42},
        {"sub": None},
        {"sub": ["42"]},
        {"exp": "1000060"},
        {"exp": None},
        {"exp": True},
        {"exp": [1000060]},
        {"nbf": "0"},
        {"iat": "yesterday"},
        {"iat": None},
        {"jti": 5},
        {"iss": ["app"]},
        {"aud": 7},
        {"aud": ["a", 7]},
        {"expire_at": "soon"},
        {"channels": "a"},
        {"channels": [1]},
        {"subs": ["a"]},
        {"subs": {"a": {"override": {"presence": True}}}},
        {"b64info": "!"},
        {"b64info": "eyJ5"},
        {"b64info": 5},
        {"channel": "news"},
        [],
        "text",
        b"",
        b"{",
        b"\xff",
        b'{"sub": "\xff"}',
        b'{"exp": 1e999}',
        b'{"exp": NaN}',
        b'{"info": "\xff"}',
        b'{"info": "\\ud800"}',
        b'{"info": 1e999}',
        b'{"info": ' + b"[" * 33 + b"]" * 33 + b"}",
        b"[" * 100_000,
        b'{"info":' + b"[" * 20_000,
    ],
)
def test_mistyped_claims_are_refused(verify, claims):
    with pytest.raises(TokenError) as caught:
        verify(claims)
    assert not isinstance(caught.value, TokenExpired)


def test_absent_and_null_lists_and_an_absent_user_are_fine(verify):
    claims = verify({"channels": None, "subs": None, "info": None, "unknown": {"x": 1}})
    assert (claims.user, claims.channels, claims.subs, claims.info) == ("", (), {}, None)


@pytest.mark.parametrize(
    ("aud", "accepted"),
    [
        ("wsmesh", True),
        (["x", "wsmesh"], True),
        ([], False),
        ("wsmesh2", False),
        ("wsmes", False),
        ("WSMESH", False),
        (["wsmesh "], False),
        ("", False),
    ],
)
def test_the_audience_is_exact(verify, aud, accepted):
    if accepted:
        assert verify({"sub": "42", "aud": aud}, audience="wsmesh").user == "42"
    else:
        with pytest.raises(TokenError):
            verify({"sub": "42", "aud": aud}, audience="wsmesh")


@pytest.mark.parametrize(
    "iss", ["https://id.example", "https://id.example/b", "", "https://ID.example/"]
)
def test_the_issuer_is_exact(verify, iss):
    assert verify({"iss": "https://id.example/"}, issuer="https://id.example/")
    with pytest.raises(TokenError):
        verify({"iss": iss}, issuer="https://id.example/")


def test_required_claims_must_be_there(verify):
    for option in ({"audience": "a"}, {"issuer": "a"}):
        with pytest.raises(TokenError):
            verify({"sub": "42"}, **option)


def test_another_claim_can_name_the_user(verify):
    assert verify({"sub": 5, "uid": "7"}, user_id_claim="uid").user == "7"
    assert verify({"sub": "5"}, user_id_claim="uid").user == ""
    for wrong in (7, None, ["7"]):
        with pytest.raises(TokenError):
            verify({"uid": wrong}, user_id_claim="uid")
    with pytest.raises(ConfigError, match="user_id_claim"):
        verify({}, user_id_claim="a.b")


def test_embedded_json_with_line_breaks_becomes_one_line(verify):
    claims = verify(b'{"info": {\r\n "a": "x\\ny"\n}}')
    assert claims.info == b'{"a":"x\\ny"}'


def test_a_subscription_token_with_everything(verify_subscription):
    claims = verify_subscription(
        {
            "sub": "42", "channel": "news", "client": "c1", "exp": NOW + 60, "iat": NOW,
            "info": 5, "jti": "t", "override": {"force_recovery": {"value": False}},
        }
    )  # fmt: skip
    assert (claims.user, claims.channel, claims.client) == ("42", "news", "c1")
    assert (claims.expire_at, claims.issued_at, claims.jti) == (NOW + 60, NOW, "t")
    assert (claims.info, claims.override) == (b"5", Override(force_recovery=False))


@pytest.mark.parametrize(
    "claims",
    [{}, {"channel": ""}, {"channel": 5}, {"channel": None}, {"channel": "a", "client": 5}],
)
def test_a_subscription_token_must_name_its_channel(verify_subscription, claims):
    with pytest.raises(TokenError):
        verify_subscription({"sub": "42"} | claims)


def test_a_subscription_token_expires_and_can_outlive_its_exp(verify_subscription):
    with pytest.raises(TokenExpired):
        verify_subscription({"channel": "a", "exp": NOW - 10})
    assert verify_subscription({"channel": "a", "exp": NOW, "expire_at": 0}).expire_at is None
