"""Proofs of the cluster's secret: only the one who knows it, only for this link and this role."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wsmesh.cluster.mesh import auth
from wsmesh.cluster.mesh.messages import Challenge, Proof

SECRET = b"s" * 32


def exchange(secret: bytes = SECRET) -> tuple[Challenge, Proof]:
    asked = auth.challenge("a", 1, "n1")
    return asked, auth.prove(secret, asked, "b", 2, "n2")


def test_both_sides_accept_each_other_when_they_share_the_secret() -> None:
    asked, proof = exchange()
    assert auth.is_authentic(SECRET, asked, proof)
    auth.check_welcome(SECRET, asked, proof, auth.welcome(SECRET, asked, proof))


def test_a_peer_with_another_secret_is_refused_by_either_side() -> None:
    asked, proof = exchange(b"other")
    assert not auth.is_authentic(SECRET, asked, proof)
    asked, proof = exchange()
    imposter = auth.welcome(b"other", *exchange(b"other"))
    with pytest.raises(auth.NotAuthentic, match="'a'"):
        auth.check_welcome(SECRET, asked, proof, imposter)


def test_a_proof_cannot_be_replayed_reflected_or_used_for_another_identity() -> None:
    asked, proof = exchange()
    later = auth.challenge("a", 1, "another nonce")
    assert not auth.is_authentic(SECRET, later, proof)
    assert not auth.is_authentic(SECRET, asked, replace(proof, node="c"))
    assert not auth.is_authentic(SECRET, asked, replace(proof, incarnation=3))
    reflected = auth.welcome(SECRET, asked, proof)
    with pytest.raises(auth.NotAuthentic):
        auth.check_welcome(SECRET, asked, proof, replace(reflected, mac=proof.mac))


@given(st.text(max_size=64))
def test_no_text_passes_for_a_proof(mac: str) -> None:
    asked, proof = exchange()
    assert auth.is_authentic(SECRET, asked, replace(proof, mac=mac)) == (mac == proof.mac)
