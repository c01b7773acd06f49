"""Keys of tokens, JWKS and certificates: what the node would refuse, the check refuses."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from wsmesh.security.keys import static_keys


def pem_of(key) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def private_pem_of(key, password: bytes | None = None) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PEMS = {
    "rsa": pem_of(RSA_KEY.public_key()),
    "ecdsa": pem_of(EC_KEY.public_key()),
    "eddsa": pem_of(ed25519.Ed25519PrivateKey.generate().public_key()),
}


@pytest.mark.parametrize("family", PEMS)
@pytest.mark.parametrize("how", ["text", "file"])
def test_a_key_in_its_own_place_is_taken(load_text, tmp_path, family, how):
    (tmp_path / "key.pem").write_text(PEMS[family])
    value = PEMS[family] if how == "text" else f"file:{tmp_path / 'key.pem'}"

    section = load_text(f"client.token.{family}_public_key = '''{value}'''").config.client.token

    assert getattr(section, f"{family}_public_key").strip() == PEMS[family].strip()
    assert static_keys(section, path="client.token")


@pytest.mark.parametrize("slot", PEMS)
@pytest.mark.parametrize("family", PEMS)
def test_a_key_of_another_family_is_refused(faults_of, slot, family):
    if slot != family:
        (told,) = faults_of(f"client.token.{slot}_public_key = '''{PEMS[family]}'''")
        assert told.startswith(f"FILE: client.token.{slot}_public_key: expected a")
        assert "in PEM, found a" in told


@pytest.mark.parametrize(
    ("slot", "pem", "told"),
    [
        ("rsa", "hello", "no readable PEM public key"),
        ("rsa", private_pem_of(RSA_KEY).decode(), "a private key"),
        ("rsa", pem_of(rsa.generate_private_key(65537, 1024).public_key()),
         "an RSA public key of 1024 bits"),
        ("ecdsa", pem_of(ec.generate_private_key(ec.SECP256K1()).public_key()),
         "a public key on secp256k1"),
        ("eddsa", pem_of(ed448.Ed448PrivateKey.generate().public_key()), "another kind of key"),
    ],
)
def test_a_key_that_cannot_verify_is_refused_without_being_shown(faults_of, slot, pem, told):
    (fault,) = faults_of(f"client.token.{slot}_public_key = '''{pem}'''")

    assert fault.endswith(f"in PEM, found {told}")
    assert "BEGIN" not in fault


def test_a_secret_of_32_bytes_is_long_enough(load_text, faults_of):
    assert load_text(f"client.token.hmac_secret_key = '{'x' * 32}'").config
    assert faults_of(f"client.token.hmac_secret_key = '{'x' * 31}'") == [
        "FILE: client.token.hmac_secret_key: expected at least 32 bytes, found 31"
    ]


def test_a_public_key_is_no_shared_secret(faults_of):
    (told,) = faults_of(f"client.token.hmac_secret_key = '''{PEMS['rsa']}'''")

    assert "expected a shared secret, found a PEM key" in told


def test_separate_subscription_keys_need_a_key(faults_of, load_text):
    (told,) = faults_of("client.subscription_token.enabled = true")

    assert "expected a key in client.subscription_token" in told
    assert load_text(f"""
        [client.subscription_token]
        enabled = true
        hmac_secret_key = "{'x' * 32}"
        """).config


@pytest.mark.parametrize(
    ("url", "dev", "told"),
    [
        ("https://keys.example/jwks", False, None),
        ("http://127.0.0.1:8080/jwks", True, None),
        ("http://[::1]/jwks", True, None),
        ("http://localhost/jwks", True, None),
        ("http://localhost/jwks", False, "expected https://"),
        ("http://keys.example/jwks", True, "expected https://"),
        ("http://localhost.example/jwks", True, "expected https://"),
        ("ftp://keys.example/jwks", False, "expected an https:// URL"),
        ("keys.example/jwks", False, "expected an https:// URL"),
        ("https://", False, "expected an https:// URL"),
        ("https://[::1", False, "expected an https:// URL"),
        ("https://keys.example:port/", False, "expected an https:// URL"),
    ],
)
def test_keys_are_fetched_over_https_only(load_text, faults_of, url, dev, told):
    text = f"client.token = {{jwks_public_endpoint = '{url}', issuer = 'me'}}"
    if told is None:
        assert load_text(text, dev=dev).config
    else:
        (fault,) = faults_of(text, dev=dev)
        assert fault.startswith(f"FILE: client.token.jwks_public_endpoint: {told}")


def test_fetched_keys_need_their_issuer(faults_of):
    (told,) = faults_of("client.token.jwks_public_endpoint = 'https://keys.example/jwks'")

    assert told.startswith("client.token.issuer: expected the issuer of the keys")


def certificate_for(key) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1).not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(days=3650)).sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("certificate", "key", "told"),
    [
        (certificate_for(EC_KEY), private_pem_of(EC_KEY), None),
        (certificate_for(EC_KEY), private_pem_of(RSA_KEY), "the key is not the certificate's"),
        (certificate_for(EC_KEY), private_pem_of(EC_KEY, b"secret"), "unencrypted key in PEM"),
        (certificate_for(RSA_KEY), private_pem_of(OTHER_RSA_KEY),
         "the key is not the certificate's"),
        (b"hello", private_pem_of(EC_KEY), "expected a certificate chain"),
        (certificate_for(EC_KEY), None, "No such file or directory"),
    ],
    ids=["fits", "another family", "encrypted", "another key", "no certificate", "no key"],
)
def test_a_listener_with_tls_needs_a_certificate_that_loads(
    load_text, faults_of, tmp_path, certificate, key, told
):
    (tmp_path / "c.pem").write_bytes(certificate)
    if key is not None:
        (tmp_path / "k.pem").write_bytes(key)
    text = (
        f"listeners = [{{tls = true}}]\n[tls]\ncertificate = '{tmp_path / 'c.pem'}'\n"
        f"key = '{tmp_path / 'k.pem'}'"
    )
    if told is None:
        assert load_text(text).config
    else:
        (fault,) = faults_of(text)
        assert told in fault
