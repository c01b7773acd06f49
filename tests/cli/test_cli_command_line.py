"""The command line as a whole: its help, its failures, its start as a module."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from wsmesh.cli.failing import failures_told
from wsmesh.cli.reaching import base_url
from wsmesh.cli.subscribe import endpoint
from wsmesh.config.sections import Config, Listener
from wsmesh.errors import ConfigError, StoreUnavailable

COMMANDS = [
    [], ["run"], ["config"], ["config", "check"], ["config", "print"], ["config", "default"],
    ["token"], ["publish"], ["subscribe"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(invoke, words):
    result = invoke(*words, "--help")

    assert result.exit_code == 0
    assert "Usage: python -m wsmesh" in result.stdout
    assert "Examples:" in result.stdout or words[:1] == ["config"]
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_help_names_the_commands(invoke):
    listed = invoke("--help").stdout.partition("Commands:")[2]

    assert [name for name in ("run", "config", "token", "publish", "subscribe")
            if f"\n  {name} " not in listed] == []


@pytest.mark.parametrize(
    "words", [["serve"], ["--prot", "1"], ["--port", "65536"], ["config", "x"]]
)
def test_an_unknown_word_is_refused_with_2(invoke, words):
    assert invoke(*words).exit_code == 2


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        (ConfigError("listeners", ["a: expected b", "c"]), 2,
         "wsmesh: listeners: a: expected b\nwsmesh: listeners: c\n"),
        (ConfigError("wsmesh", ["a"]), 2, "wsmesh: a\n"),
        (StoreUnavailable("no store"), 1, "wsmesh: no store\n"),
        (KeyboardInterrupt(), 130, ""),
        (ExceptionGroup("", [StoreUnavailable("x"), ExceptionGroup("", [ConfigError("a", ["b"])])]),
         2, "wsmesh: x\nwsmesh: a: b\n"),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, ""),
    ],
    ids=["faults", "own faults", "failure", "interrupt", "group", "interrupt in a group"],
)
def test_expected_failures_are_lines_and_a_status(capsys, raised, status, told):
    with pytest.raises(click.exceptions.Exit) as caught, failures_told():
        raise raised

    assert caught.value.exit_code == status
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("raised", [KeyError("x"), ExceptionGroup("", [KeyError("x")])])
def test_a_defect_keeps_its_traceback(raised):
    with pytest.raises(type(raised)) as caught, failures_told():
        raise raised

    assert caught.value is raised


@pytest.mark.parametrize(
    ("listeners", "url"),
    [
        ([Listener()], "http://127.0.0.1:8000"),
        ([Listener(address="0.0.0.0:1")], "http://127.0.0.1:1"),
        ([Listener(address="[::]:1", tls=True)], "https://[::1]:1"),
        ([Listener(address="unix:/a"), Listener(address="localhost:2")], "http://localhost:2"),
    ],
)
def test_a_configuration_says_where_its_node_is(listeners, url):
    assert base_url(Config(listeners=tuple(listeners)), "http") == url


@pytest.mark.parametrize("address", ["unix:/a", "127.0.0.1:0"])
def test_without_a_known_port_the_url_must_be_given(address):
    with pytest.raises(click.UsageError, match="give --url"):
        base_url(Config(listeners=(Listener(address=address),)), "http")


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("ws://a:1", "ws://a:1/connection/websocket"),
        ("wss://a/", "wss://a/connection/websocket"),
        ("ws://a/other", "ws://a/other"),
    ],
)
def test_a_url_without_a_path_means_the_websocket_endpoint(url, whole):
    assert endpoint(url) == whole


@pytest.mark.parametrize("url", ["a:1", "http://a", "ws:a", ""])
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(click.BadParameter, match="expected ws://"):
        endpoint(url)


def run_module(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wsmesh", *words], capture_output=True, text=True, timeout=60,
        check=False,
    )


def test_the_module_writes_a_default_file_that_it_then_takes(tmp_path):
    (tmp_path / "wsmesh.toml").write_text(run_module("config", "default").stdout)

    result = run_module("config", "check", "--config", str(tmp_path / "wsmesh.toml"))

    assert (result.returncode, result.stderr) == (0, "")


def test_the_module_tells_faults_without_a_traceback(tmp_path):
    (tmp_path / "wsmesh.toml").write_text("clinet = 5\n[node]\nname = 5")

    result = run_module("--config", str(tmp_path / "wsmesh.toml"))

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2
    assert "Traceback" not in result.stderr


def test_dev_mode_on_a_public_address_is_one_line(tmp_path):
    result = run_module("--dev", "--host", "0.0.0.0")

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "expected a loopback address" in result.stderr


def test_commands_that_need_no_node_do_not_import_one():
    script = (
        "import sys\nfrom wsmesh.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'trio', 'httpx2', 'structlog', 'jwt', 'trio_websocket', 'cryptography'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "config", "check"], capture_output=True, text=True,
        timeout=60, check=False,
    )

    assert result.stderr == "[]\n"
