"""A node that cannot start says so in one line and ends with status 2: real processes."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.node_process import clean_environment

KEY = ec.generate_private_key(ec.SECP256R1())


def public_key() -> str:
    return KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ).decode()


def start(tmp_path, toml: str) -> tuple[int, list[str]]:
    (tmp_path / "wsmesh.toml").write_text(toml)
    (tmp_path / "raising.py").write_text("raise OSError('no database')")
    (tmp_path / "a.key").write_bytes(
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    ended = subprocess.run(
        [sys.executable, "-m", "wsmesh", "--config", "wsmesh.toml"], cwd=tmp_path,
        capture_output=True, text=True, timeout=30, check=False, env=clean_environment(),
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr.splitlines()


WRONG = {
    "an unknown strategy": (
        "[balancer]\nstrategy = 'p2d'", ["balancer.strategy", "p2d", "did you mean p2c?"],
    ),
    "an unknown failover": ("[failover]\nstrategy = 'none'", ["failover.strategy", "none"]),
    "a key of another family": (
        f"[client.token]\nrsa_public_key = '''{public_key()}'''",
        ["client.token.rsa_public_key"],
    ),
    "a short secret": (
        "[client.token]\nhmac_secret_key = 'short'", ["client.token.hmac_secret_key", "32"],
    ),
    "an unreadable certificate": (
        "[[listeners]]\naddress = '127.0.0.1:0'\ntls = true\n"
        "[tls]\ncertificate = 'none.pem'\nkey = 'a.key'",
        ["tls.certificate", "none.pem", "No such file"],
    ),
    "an address of another machine": (
        "[[listeners]]\naddress = '192.0.2.1:8000'", ["192.0.2.1:8000"],
    ),
    "no TOML": ("[node", ["wsmesh.toml"]),
    "a module that raises": ("[app]\nmodule = 'raising:app'", ["app.module", "no database"]),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_is_one_line_and_status_2(tmp_path, fault):
    toml, told = WRONG[fault]

    status, lines = start(tmp_path, toml)

    assert (status, len(lines)) == (2, 1), lines
    assert lines[0].startswith("wsmesh: ")
    for text in told:
        assert text in lines[0]


def test_a_port_in_use_is_one_line_and_status_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        status, lines = start(tmp_path, f"[[listeners]]\naddress = '{address}'")

    assert (status, len(lines)) == (2, 1), lines
    assert address in lines[0]


def test_a_socket_of_a_running_node_is_not_taken_over(tmp_path):
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()

        status, lines = start(tmp_path, f"[[listeners]]\naddress = 'unix:{path}'")

        assert (status, len(lines)) == (2, 1), lines
        assert path.exists()
