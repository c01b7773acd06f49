"""A token never chooses how it is verified (reliability table rows 24 and 25)."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from wsmesh.config.sections import TokenSection
from wsmesh.config.values import Secret
from wsmesh.errors import ConfigError, TokenError
from wsmesh.security.tokens import TokenVerifier

CLAIMS = {"sub": "42"}


@pytest.fixture
def by_secret(forge):
    return TokenVerifier(TokenSection(hmac_secret_key=Secret(forge.SECRET)))


@pytest.fixture
def by_rsa(forge, ring):
    return TokenVerifier(TokenSection(rsa_public_key=forge.pem(ring.rsa)))


@pytest.fixture
def by_every_key(forge, ring):
    return TokenVerifier(
        TokenSection(
            hmac_secret_key=Secret(forge.SECRET),
            rsa_public_key=forge.pem(ring.rsa),
            ecdsa_public_key=forge.pem(ring.p256),
            eddsa_public_key=forge.pem(ring.ed25519),
        )
    )


def user_of(verifier, token):
    return verifier.verify_connection(token, now=1000.0).user


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_every_hmac_algorithm_verifies_with_the_secret(by_every_key, forge, algorithm):
    with pytest.warns() if algorithm != "HS256" else warnings_as_errors():
        token = jwt.encode(CLAIMS, forge.SECRET, algorithm=algorithm)
    assert user_of(by_every_key, token) == "42"


def warnings_as_errors():
    import warnings

    return warnings.catch_warnings(action="error")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_every_rsa_algorithm_verifies_with_the_rsa_key(by_every_key, ring, algorithm):
    assert user_of(by_every_key, jwt.encode(CLAIMS, ring.rsa, algorithm=algorithm)) == "42"


def test_ecdsa_and_ed25519_tokens_verify_with_their_keys(by_every_key, ring):
    assert user_of(by_every_key, jwt.encode(CLAIMS, ring.p256, algorithm="ES256")) == "42"
    assert user_of(by_every_key, jwt.encode(CLAIMS, ring.ed25519, algorithm="EdDSA")) == "42"


@pytest.mark.parametrize(
    ("curve", "algorithm"), [(ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")]
)
def test_the_curve_of_a_key_selects_its_one_algorithm(forge, curve, algorithm):
    key = ec.generate_private_key(curve)
    verifier = TokenVerifier(TokenSection(ecdsa_public_key=forge.pem(key)))
    assert user_of(verifier, jwt.encode(CLAIMS, key, algorithm=algorithm)) == "42"
    for other in {"ES256", "ES384", "ES512"} - {algorithm}:
        digest = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}
        with pytest.raises(TokenError):
            user_of(
                verifier,
                forge.token({"alg": other}, CLAIMS, forge.ecdsa(key, digest[other])),
            )


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", "hs256", "HS256 "])
@pytest.mark.parametrize("signed", [True, False])
def test_no_spelling_of_none_is_an_algorithm(by_every_key, forge, algorithm, signed):
    sign = forge.hs256() if signed else lambda _: b""
    with pytest.raises(TokenError):
        user_of(by_every_key, forge.token({"alg": algorithm, "typ": "JWT"}, CLAIMS, sign))


@given(st.binary(max_size=300), st.sampled_from(["HS256", "RS256", "ES256", "EdDSA"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_signature_bytes_are_refused(by_every_key, forge, signature, algorithm):
    with pytest.raises(TokenError):
        user_of(by_every_key, forge.token({"alg": algorithm}, CLAIMS, lambda _: signature))


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_an_empty_signature_is_refused(by_every_key, forge, algorithm):
    with pytest.raises(TokenError):
        user_of(by_every_key, forge.token({"alg": algorithm}, CLAIMS, lambda _: b""))


def test_an_rsa_public_key_is_no_shared_secret(by_rsa, by_every_key, forge, ring):
    public = ring.rsa.public_key()
    jwk = RSAAlgorithm.to_jwk(public)
    spellings = [
        forge.pem(ring.rsa).encode(),
        forge.pem(ring.rsa).strip().encode(),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        jwk.encode(),
        json.dumps(json.loads(jwk), separators=(",", ":")).encode(),
        json.loads(jwk)["n"].encode(),
    ]
    for secret in spellings:
        token = forge.token({"alg": "HS256", "typ": "JWT"}, CLAIMS, forge.hs256(secret))
        for verifier in (by_rsa, by_every_key):
            with pytest.raises(TokenError):
                user_of(verifier, token)


def test_a_signature_of_another_family_is_refused(by_every_key, forge, ring):
    for header, sign in [
        ("RS256", forge.hs256()),
        ("ES256", forge.rs256(ring.rsa)),
        ("HS256", forge.rs256(ring.rsa)),
        ("EdDSA", forge.ecdsa(ring.p256, hashes.SHA256())),
        ("ES256", forge.ecdsa(ring.p384, hashes.SHA256())),
        ("PS256", forge.rs256(ring.rsa)),
        ("ES256K", forge.ecdsa(ring.p256, hashes.SHA256())),
    ]:
        with pytest.raises(TokenError):
            user_of(by_every_key, forge.token({"alg": header}, CLAIMS, sign))


def test_another_secret_or_key_does_not_verify(by_secret, by_rsa, forge):
    with pytest.raises(TokenError):
        user_of(by_secret, forge.token({"alg": "HS256"}, CLAIMS, forge.hs256(b"x" * 32)))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(TokenError):
        user_of(by_rsa, forge.token({"alg": "RS256"}, CLAIMS, forge.rs256(other)))


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"crit": ["b64"], "b64": True},
    ],
)
def test_a_token_that_needs_an_extension_is_refused(by_secret, forge, extra):
    with pytest.raises(TokenError, match="extensions"):
        user_of(by_secret, forge.token({"alg": "HS256"} | extra, CLAIMS, forge.hs256()))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+JWT"])
def test_tokens_of_these_types_are_taken(by_secret, forge, kind):
    assert user_of(by_secret, forge.token({"alg": "HS256", "typ": kind}, CLAIMS, forge.hs256()))


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "JWE", "", 7])
def test_tokens_of_other_types_are_refused(by_secret, forge, kind):
    with pytest.raises(TokenError):
        user_of(by_secret, forge.token({"alg": "HS256", "typ": kind}, CLAIMS, forge.hs256()))


def test_keys_inside_the_header_are_ignored(by_rsa, forge, ring):
    attacker = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header = {
        "alg": "RS256",
        "jwk": json.loads(RSAAlgorithm.to_jwk(attacker.public_key())),
        "jku": "https://attacker.example/keys",
        "x5u": "https://attacker.example/chain",
        "kid": "../../dev/null",
    }
    with pytest.raises(TokenError):
        user_of(by_rsa, forge.token(header, CLAIMS, forge.rs256(attacker)))
    assert user_of(by_rsa, forge.token(header, CLAIMS, forge.rs256(ring.rsa))) == "42"


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_without_a_key_or_with_a_short_secret_nothing_verifies(forge, secret):
    section = TokenSection(hmac_secret_key=Secret(secret))
    if secret:
        with pytest.raises(ConfigError, match=r"client\.token\.hmac_secret_key.*at least 32"):
            TokenVerifier(section)
    else:
        verifier = TokenVerifier(section)
        assert not verifier
        with pytest.raises(TokenError):
            user_of(verifier, forge.token({"alg": "HS256"}, CLAIMS, forge.hs256(b"")))


def test_every_unusable_key_is_named_at_once_and_not_shown(forge, ring):
    section = TokenSection(
        hmac_secret_key=Secret(forge.pem(ring.rsa)),
        rsa_public_key=forge.pem(ring.p256),
        ecdsa_public_key="nonsense",
        eddsa_public_key=forge.pem(ring.rsa),
    )
    with pytest.raises(ConfigError) as caught:
        TokenVerifier(section)
    assert len(caught.value.faults) == 4
    assert "BEGIN" not in str(caught.value) and "nonsense" not in str(caught.value)


def test_weak_rsa_and_foreign_curves_are_refused(forge):
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ConfigError, match="2048 bits"):
        TokenVerifier(TokenSection(rsa_public_key=forge.pem(weak)))
    koblitz = ec.generate_private_key(ec.SECP256K1())
    with pytest.raises(ConfigError, match="P-256"):
        TokenVerifier(TokenSection(ecdsa_public_key=forge.pem(koblitz)))
