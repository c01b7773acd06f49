"""How two nodes prove to each other that both know the cluster's secret. Pure.

Challenge and response with HMAC-SHA-256 (RFC 2104): each side binds both nonces, both identities
and its own role, so that a proof can be neither replayed nor reflected. The secret never travels.
What is said afterwards is protected only by TLS (`[cluster]` `certificate`).
"""

from __future__ import annotations

import hmac

import msgspec

from wsmesh.cluster.mesh.messages import Challenge, Proof, Welcome
from wsmesh.errors import WsmeshError


class NotAuthentic(WsmeshError):
    """The peer does not know the secret, or is not the node that was expected."""


def challenge(node: str, incarnation: int, nonce: str) -> Challenge:
    """Return the accepting node's first message.

    :param nonce: at least 128 random bits, as text, never used before.
    """
    return Challenge(node, incarnation, nonce)


def prove(secret: bytes, asked: Challenge, node: str, incarnation: int, nonce: str) -> Proof:
    """Answer a challenge as the dialling node."""
    proof = Proof(node, incarnation, nonce, "")
    return Proof(node, incarnation, nonce, _mac(secret, "dial", asked, proof))


def is_authentic(secret: bytes, asked: Challenge, proof: Proof) -> bool:
    """Whether the dialling node knows the secret."""
    return _equal(proof.mac, _mac(secret, "dial", asked, proof))


def welcome(secret: bytes, asked: Challenge, proof: Proof) -> Welcome:
    """Return the accepting node's proof, for a dialling node that is authentic."""
    return Welcome(_mac(secret, "accept", asked, proof))


def check_welcome(secret: bytes, asked: Challenge, proof: Proof, answer: Welcome) -> None:
    """Check the accepting node's proof.

    :raises NotAuthentic: the proof is wrong.
    """
    if not _equal(answer.mac, _mac(secret, "accept", asked, proof)):
        raise NotAuthentic(f"node {asked.node!r} does not know [cluster] secret")


def _mac(secret: bytes, role: str, asked: Challenge, proof: Proof) -> str:
    bound = (
        "wsmesh.mesh.1", role,
        asked.node, asked.incarnation, asked.nonce,
        proof.node, proof.incarnation, proof.nonce,
    )  # fmt: skip
    return hmac.new(secret, msgspec.json.encode(bound), "sha256").hexdigest()


def _equal(found: str, expected: str) -> bool:
    # As bytes: compare_digest raises TypeError for text beyond ASCII, and a stranger wrote it.
    return hmac.compare_digest(found.encode("utf-8", "replace"), expected.encode())
