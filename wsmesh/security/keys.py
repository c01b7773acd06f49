"""Keys that verify tokens; what a key is decides which algorithms it may be used with.

The `alg` of a token only selects among the algorithms that its key is pinned to, so a token can
choose neither "none" nor a symmetric algorithm for a public key (RFC 8725 section 3.1).
The cryptography itself is PyJWT's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import (
    Algorithm,
    ECAlgorithm,
    OKPAlgorithm,
    RSAAlgorithm,
    get_default_algorithms,
)
from jwt.exceptions import PyJWTError

from wsmesh.config.sections import TokenSection
from wsmesh.errors import ConfigError

HMAC_BYTES = 32
"""Shortest shared secret: the output size of SHA-256 (RFC 7518 section 3.2)."""

RSA_BITS = 2048
"""Smallest RSA modulus (RFC 7518 section 3.3)."""

_ALGORITHMS: Mapping[str, Algorithm] = get_default_algorithms()
_SYMMETRIC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512")
_BY_CURVE = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_UNUSABLE = (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError)


class KeyRefused(ValueError):
    """A key cannot be used for what it was given for; the text says why, without the key."""


@frozen(slots=True, eq=False)
class VerifyingKey:
    """A key with the algorithms that it is pinned to."""

    key: Any
    algorithms: Mapping[str, Algorithm]

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether `signature` over `signed` is this key's, by one of its own algorithms."""
        pinned = self.algorithms.get(algorithm)
        return pinned is not None and pinned.verify(signed, self.key, signature)


def _pinned(key: object, names: Iterable[str]) -> VerifyingKey:
    return VerifyingKey(key, {name: _ALGORITHMS[name] for name in names})


def shared_secret(secret: str) -> VerifyingKey:
    """Make the key of HS256, HS384 and HS512.

    :raises KeyRefused: it is shorter than 32 bytes, or is an asymmetric key in some encoding.
    """
    raw = secret.encode()
    if len(raw) < HMAC_BYTES:
        raise KeyRefused(f"expected at least {HMAC_BYTES} bytes, found {len(raw)}")
    try:
        prepared = _ALGORITHMS["HS256"].prepare_key(raw)
    except _UNUSABLE:
        raise KeyRefused("expected a shared secret, found an asymmetric key or a JWK") from None
    return _pinned(prepared, _SYMMETRIC)


def public_key(key: object) -> VerifyingKey:
    """Pin a public key to its algorithms: RS* for RSA, one ES* by curve, EdDSA for Ed25519.

    :raises KeyRefused: any other kind of key, or RSA below 2048 bits.
    """
    if isinstance(key, RSAPublicKey):
        if key.key_size < RSA_BITS:
            raise KeyRefused(f"expected RSA of at least {RSA_BITS} bits, found {key.key_size}")
        return _pinned(key, _RSA)
    if isinstance(key, EllipticCurvePublicKey):
        if key.curve.name not in _BY_CURVE:
            raise KeyRefused(f"expected P-256, P-384 or P-521, found {key.curve.name}")
        return _pinned(key, _BY_CURVE[key.curve.name])
    if isinstance(key, Ed25519PublicKey):
        return _pinned(key, ("EdDSA",))
    raise KeyRefused("expected an RSA, ECDSA or Ed25519 public key, found another kind")


def _from_pem(pem: str, family: type, name: str) -> VerifyingKey:
    try:
        key = load_pem_public_key(pem.encode())
    except _UNUSABLE:
        raise KeyRefused(f"expected a PEM {name} public key, found something else") from None
    if not isinstance(key, family):
        raise KeyRefused(f"expected a PEM {name} public key, found another kind of key")
    return public_key(key)


def static_keys(section: TokenSection, *, path: str) -> dict[str, VerifyingKey]:
    """Collect the configured keys by the algorithm that selects them; no two share one.

    :param path: of the section in the configuration, for messages.
    :raises ConfigError: naming every key that cannot be used.
    """
    keys: dict[str, VerifyingKey] = {}
    faults: list[str] = []
    families = (
        ("rsa_public_key", section.rsa_public_key, RSAPublicKey, "RSA"),
        ("ecdsa_public_key", section.ecdsa_public_key, EllipticCurvePublicKey, "ECDSA"),
        ("eddsa_public_key", section.eddsa_public_key, Ed25519PublicKey, "Ed25519"),
    )
    if section.hmac_secret_key:
        try:
            key = shared_secret(section.hmac_secret_key.value)
            keys.update(dict.fromkeys(key.algorithms, key))
        except KeyRefused as refused:
            faults.append(f"{path}.hmac_secret_key: {refused}")
    for option, pem, family, name in families:
        if pem:
            try:
                key = _from_pem(pem, family, name)
                keys.update(dict.fromkeys(key.algorithms, key))
            except KeyRefused as refused:
                faults.append(f"{path}.{option}: {refused}")
    if faults:
        raise ConfigError("configuration", faults)
    return keys


def key_from_jwk(jwk: Mapping[str, Any]) -> VerifyingKey:
    """Make a key of a JSON Web Key (RFC 7517), pinned by its `alg` where it has one.

    :raises KeyRefused: it is symmetric, private, for encryption, or not understood.
    """
    readers: dict[Any, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in readers:
        raise KeyRefused("expected kty RSA, EC or OKP")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list):
        raise KeyRefused("expected a key for signatures")
    if "verify" not in operations:
        raise KeyRefused("expected a key for signatures")
    try:
        key = public_key(readers[kind].from_jwk(dict(jwk)))
    except KeyRefused:
        raise
    except _UNUSABLE:
        raise KeyRefused("expected a well-formed JSON Web Key") from None
    algorithm = jwk.get("alg")
    if algorithm is None:
        return key
    if not isinstance(algorithm, str) or algorithm not in key.algorithms:
        raise KeyRefused("alg does not fit the kind of key")
    return _pinned(key.key, (algorithm,))
