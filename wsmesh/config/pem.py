"""What kind of public key a PEM text holds, and whether it is strong enough to verify tokens."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

RSA = "an RSA public key of at least 2048 bits"
"""RFC 7518 section 3.3 sets the size."""

ELLIPTIC_CURVE = "a public key on P-256, P-384 or P-521"
"""RFC 7518 section 3.4 names the curves."""

ED25519 = "an Ed25519 public key"


def kind_of_pem(pem: str) -> str:
    """Return what `pem` holds: one of the names above, or what else it is."""
    if "PRIVATE KEY-----" in pem:
        return "a private key"
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return "no readable PEM public key"
    if isinstance(key, RSAPublicKey):
        return RSA if key.key_size >= 2048 else f"an RSA public key of {key.key_size} bits"
    if isinstance(key, EllipticCurvePublicKey):
        known = key.curve.name in ("secp256r1", "secp384r1", "secp521r1")
        return ELLIPTIC_CURVE if known else f"a public key on {key.curve.name}"
    return ED25519 if isinstance(key, Ed25519PublicKey) else "another kind of key"
