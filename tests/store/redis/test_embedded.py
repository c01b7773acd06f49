"""The embedded server: private, of this user's state, and clear about what it cannot do."""

from __future__ import annotations

import os
import pwd
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from tests.servers.embedded import client, path_of, server_pid
from tests.servers.standalone import redis_binary, valkey_binary
from wsmesh.errors import ConfigError
from wsmesh.store.redis import embedded, embedded_server
from wsmesh.store.redis.embedded import default_directory, open_embedded
from wsmesh.store.redis.embedded_place import prepare
from wsmesh.store.redis.embedded_server import installed_programs


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "data"
    yield directory
    if (pid := server_pid(directory)) is not None:
        os.kill(pid, signal.SIGKILL)
        pytest.fail("a server is left")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_in(directory: Path) -> list[Path]:
    return [*directory.rglob("*")]


def program(directory: Path, script: str, *, version: str = "7.4.0", name: str = "server") -> str:
    """Write an executable that tells a version, and else does what the script says."""
    path = directory / name
    told = f'if [ "$1" = --version ]; then echo "Redis server v={version} sha=0"; exit; fi'
    path.write_text(f"#!/bin/sh\n{told}\n{script}\n")
    path.chmod(0o755)
    return str(path)


async def refusal(directory: Path, *programs: str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        async with open_embedded(directory, programs=lambda: programs):
            raise RuntimeError("unreachable")
    return refused.value


async def test_the_url_leads_to_a_private_server_that_ends_with_the_block(place: Path) -> None:
    async with open_embedded(place) as url:
        assert path_of(url).is_relative_to(place)
        with client(place) as one:
            assert one.set("key", "value")
            assert one.config_get("appendfsync") == {"appendfsync": "everysec"}
            assert one.config_get("port") == {"port": "0"}
        assert mode_of(place) == 0o700
        assert mode_of(path_of(url)) == 0o600
        assert [path for path in files_in(place) if mode_of(path) & 0o077] == []
    assert server_pid(place) is None


async def test_two_users_in_one_process_count_as_two(place: Path) -> None:
    async with open_embedded(place) as url:
        async with open_embedded(place) as same:
            assert same == url
        assert server_pid(place) is not None


async def test_a_failure_or_a_cancellation_ends_it_too(place: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="the node failed")):
        async with open_embedded(place):
            raise RuntimeError("the node failed")
    assert server_pid(place) is None
    with trio.CancelScope() as scope:
        async with open_embedded(place):
            scope.cancel()
            await trio.sleep_forever()
    assert server_pid(place) is None


async def test_being_cancelled_while_it_starts_leaves_nothing(place: Path) -> None:
    for milliseconds in (1, 3, 5, 10, 20):
        with trio.move_on_after(milliseconds / 1000):
            async with open_embedded(place):
                await trio.sleep_forever()
        assert server_pid(place) is None
    async with open_embedded(place):
        assert server_pid(place) is not None


async def test_valkey_will_do(place: Path) -> None:
    with capture_logs() as logs:
        async with open_embedded(place, programs=lambda: [valkey_binary()]):
            with client(place) as one:
                assert "valkey_version" in one.info("server")
                assert one.waitaof(1, 0, 2000)[0] in (0, 1)
    assert [(line["event"], line.get("program")) for line in logs] == [
        ("embedded.started", valkey_binary()), ("embedded.ended", None),
    ]


async def test_without_a_program_the_error_names_the_option_and_the_ways_out(place: Path) -> None:
    error = str(await refusal(place))
    assert error.startswith('redis.url: "embedded" needs redis-server or valkey-server 7')
    assert "found none" in error
    assert "apt install redis-server" in error
    assert "pip install 'wsmesh[embedded]'" in error


async def test_old_and_strange_programs_are_passed_over(place: Path, tmp_path: Path) -> None:
    old = program(tmp_path, "exit 1", version="6.2.14", name="old")
    strange = program(tmp_path, "exit 1", version="", name="strange")
    gone = str(tmp_path / "gone")
    error = str(await refusal(place, old, strange, gone))
    assert f"found only {old} 6.2.14, {strange} of unknown version, {gone} of unknown" in error
    programs = [old, strange, gone, redis_binary()]
    async with open_embedded(place, programs=lambda: programs):
        assert server_pid(place) is not None


async def test_a_program_that_refuses_is_quoted(place: Path, tmp_path: Path) -> None:
    refusing = program(tmp_path, "echo Reading the file >&2; echo 'Bad directive' >&2; exit 1")
    error = str(await refusal(place, refusing))
    assert error == f"redis.url: {refusing} does not start: Bad directive"


async def test_a_program_that_says_nothing_is_told_so(place: Path, tmp_path: Path) -> None:
    error = str(await refusal(place, program(tmp_path, "exit 1")))
    assert error.endswith("does not start: nothing")
    error = str(await refusal(place, program(tmp_path, "exit 0")))
    assert "ended while it started" in error
    assert error.endswith("server.log ends with: nothing")


async def test_data_that_cannot_be_loaded_is_an_error_with_the_servers_words(place: Path) -> None:
    async with open_embedded(place):
        pass
    (manifest,) = (place / "appendonlydir").glob("*.manifest")
    manifest.write_text("nonsense\n")
    error = str(await refusal(place, redis_binary()))
    assert "ended while it started" in error
    assert "manifest file format" in error


async def test_a_server_that_hangs_is_not_joined_and_no_second_one_started(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "ANSWER_WITHIN", 0.1)
    async with open_embedded(place):
        pid = server_pid(place)
        assert pid is not None
        monkeypatch.setattr(embedded_server, "START_WITHIN", 0.3)
        os.kill(pid, signal.SIGSTOP)
        error = str(await refusal(place, redis_binary()))
        assert "does not answer" in error
        os.kill(pid, signal.SIGCONT)
        assert server_pid(place) == pid


async def test_a_server_that_hangs_at_the_end_is_left_and_told(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(embedded_server, "END_WITHIN", 0.3)
    with capture_logs() as logs:
        async with open_embedded(place):
            pid = server_pid(place)
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
    assert logs[-1]["event"] == "embedded.hangs"
    os.kill(pid, signal.SIGCONT)
    async with open_embedded(place):
        pass


async def test_a_node_that_never_stops_joining_is_waited_for_no_longer(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "JOIN_WITHIN", 0.1)
    monkeypatch.setattr(embedded, "LEAVE_WITHIN", 0.1)
    lock = prepare(place).lock("start")
    try:
        assert lock.try_exclusive()
        error = str(await refusal(place, redis_binary()))
    finally:
        lock.close()
    assert error.startswith("redis.embedded_dir: ")
    assert "another node holds start.lock for more than 0.1 s" in error


async def test_a_server_that_cannot_be_started_again_is_told_and_tried_again(
    place: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "redis-server"
    moved.symlink_to(redis_binary())
    with capture_logs() as logs:
        async with open_embedded(place, programs=lambda: [str(moved)]):
            pid = server_pid(place)
            moved.unlink()
            os.kill(pid or 0, signal.SIGKILL)
            with trio.fail_after(10):
                while "embedded.not_restarted" not in [line["event"] for line in logs]:
                    await trio.sleep(0.01)
                moved.symlink_to(redis_binary())
                while "embedded.restarted" not in [line["event"] for line in logs]:
                    await trio.sleep(0.01)
            assert server_pid(place) not in (None, pid)


async def test_a_connection_that_was_cut_is_no_crash(place: Path) -> None:
    with capture_logs() as logs:
        async with open_embedded(place):
            pid = server_pid(place)
            with client(place) as one, trio.fail_after(5):
                while len(one.client_list()) < 2:
                    await trio.sleep(0.01)
                one.client_kill_filter(_type="normal", skipme=True)
                while len(one.client_list()) < 2:
                    await trio.sleep(0.01)
            assert server_pid(place) == pid
    assert [line["event"] for line in logs] == ["embedded.started", "embedded.ended"]


async def test_a_directory_that_vanishes_does_not_fail_the_node(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with capture_logs() as logs:
        async with open_embedded(place):
            pid = server_pid(place)
            place.rename(tmp_path / "moved")
    assert logs[-1]["event"] == "embedded.left_running"
    os.kill(pid or 0, signal.SIGKILL)


async def test_a_name_too_long_for_a_socket_is_refused_and_the_longest_is_not(
    tmp_path: Path,
) -> None:
    name = "n" * (107 - len(str(tmp_path)) - len("//redis.sock"))
    async with open_embedded(tmp_path / name) as url:
        assert len(str(path_of(url))) == 107
    error = str(await refusal(tmp_path / (name + "n")))
    assert error.startswith("redis.embedded_dir: expected a directory whose")
    assert "has 108" in error


async def test_a_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = str(await refusal(tmp_path / "file"))
    assert error.startswith("redis.embedded_dir: expected a directory for")
    assert "File exists" in error


def test_programs_of_path_come_before_the_one_of_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, valkey = (
        program(tmp_path, "exit 1", name=name) for name in ("redis-server", "valkey-server")
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(installed_programs()) == [redis, valkey, valkey_binary()]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ann"}, "/state/wsmesh"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/ann"}, "/home/ann/.local/state/wsmesh"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/ann"}, "/home/ann/.local/state/wsmesh"),
        ({"HOME": "/home/ann"}, "/home/ann/.local/state/wsmesh"),
        ({}, f"{pwd.getpwuid(os.getuid()).pw_dir}/.local/state/wsmesh"),
    ],
)
def test_the_default_directory_is_of_the_users_state(
    environment: dict[str, str], expected: str
) -> None:
    assert default_directory(environment) == Path(expected)
