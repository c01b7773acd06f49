"""CPU per token verification, ours against plain PyJWT, for each algorithm.

Run: `python -m bench.token_verify`. Both decode and check the same token in one process; the
figure is the median of five runs of CPU time, and the ratio is what to compare across machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wsmesh.config.sections import TokenSection
from wsmesh.config.values import PublicKey, Secret
from wsmesh.security.tokens import TokenVerifier

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RUNS = 5
SECONDS_PER_RUN = 0.2
SECRET = "a secret of thirty-two bytes at least"


def cpu_microseconds(call: Callable[[], object]) -> float:
    """CPU time of one call, the median of several runs."""
    began = time.process_time()
    call()
    calls = max(10, int(SECONDS_PER_RUN / max(1e-6, time.process_time() - began)))
    figures = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(calls):
            call()
        figures.append((time.process_time() - began) / calls * 1e6)
    return median(figures)


def main() -> None:
    """Print a line for each algorithm."""
    signing: dict[str, PrivateKey] = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    pem = {
        name: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for name, key in signing.items()
    }
    verifier = TokenVerifier(
        TokenSection(
            hmac_secret_key=Secret(SECRET),
            rsa_public_key=PublicKey(pem["RS256"].decode()),
            ecdsa_public_key=PublicKey(pem["ES256"].decode()),
            eddsa_public_key=PublicKey(pem["EdDSA"].decode()),
        )
    )
    now = time.time()
    claims = {"sub": "42", "exp": int(now) + 3600, "info": {"name": "Ada"}, "jti": "t-1"}
    print(f"{'algorithm':<10}{'wsmesh us':>10}{'PyJWT us':>10}{'ratio':>7}")
    for name in ("HS256", *signing):
        token = jwt.encode(claims, signing.get(name, SECRET), algorithm=name)
        key = signing[name].public_key() if name in signing else SECRET
        ours = cpu_microseconds(partial(verifier.verify_connection, token, now=now))
        plain = cpu_microseconds(partial(jwt.decode, token, key, algorithms=[name]))
        print(f"{name:<10}{ours:>10.1f}{plain:>10.1f}{ours / plain:>7.2f}")


if __name__ == "__main__":
    main()
