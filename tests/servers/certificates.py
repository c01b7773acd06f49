"""A certificate authority of one test: certificates for 127.0.0.1 and localhost, as PEM files."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@frozen
class KeyPair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@frozen
class Authority:
    """Who signed: `ca` is what verifies; `server` and `client` are signed by it."""

    ca: Path
    server: KeyPair
    client: KeyPair

    def client_context(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        """Return a context that trusts this authority alone."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if with_certificate:
            context.load_cert_chain(self.client.certificate, self.client.key)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True
        )
    )


def _write(
    directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> KeyPair:
    pair = KeyPair(directory / f"{name}.crt", directory / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return pair


def make_authority(directory: Path, *, hosts: tuple[str, ...] = ("localhost",)) -> Authority:
    """Write a fresh authority with a server's and a client's key pair; valid for a day.

    :param hosts: DNS names of the server's certificate, besides the address 127.0.0.1.
    """
    issuer = "authority of a test"
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _builder(issuer, issuer, ca_key).sign(ca_key, hashes.SHA256())
    names = x509.SubjectAlternativeName(
        [
            *(x509.DNSName(host) for host in hosts),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
    )
    pairs = {}
    for subject in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _builder(subject, issuer, key)
            .add_extension(names, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        pairs[subject] = _write(directory, subject, signed, key)
    return Authority(_write(directory, "ca", ca, ca_key).certificate, **pairs)
