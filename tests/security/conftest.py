"""Keys and a forge: tokens with any header, payload and signature, made without a JWT library."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable

import pytest
from attrs import frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "0123456789abcdef0123456789abcdef"


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: object, payload: object, sign: Callable[[bytes], bytes]) -> str:
    """Make a token; header and payload are values to encode as JSON, or bytes taken as they are."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)
    ]
    signed = ".".join(map(base64url, parts))
    return f"{signed}.{base64url(sign(signed.encode()))}"


def hs256(secret: bytes = SECRET.encode()) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def rs256(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda signed: key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def ecdsa(
    key: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm
) -> Callable[[bytes], bytes]:
    size = (key.curve.key_size + 7) // 8

    def sign(signed: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@frozen
class KeyRing:
    rsa: rsa.RSAPrivateKey
    p256: ec.EllipticCurvePrivateKey
    p384: ec.EllipticCurvePrivateKey
    ed25519: ed25519.Ed25519PrivateKey


@pytest.fixture(scope="session")
def ring() -> KeyRing:
    return KeyRing(
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    )


@frozen
class Forge:
    """What tests need to make tokens, handed out as a fixture."""

    SECRET = SECRET
    token = staticmethod(forged)
    base64url = staticmethod(base64url)
    hs256 = staticmethod(hs256)
    rs256 = staticmethod(rs256)
    ecdsa = staticmethod(ecdsa)
    pem = staticmethod(pem)


@pytest.fixture(scope="session")
def forge() -> Forge:
    return Forge()
