"""Nodes of a host share one embedded server, whoever of them comes, goes, crashes or is killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.embedded import User, client, server_pid, using
from tests.servers.waiting import until


@contextmanager
def open_users(directory: Path, count: int) -> Iterator[tuple[list[User], int]]:
    """Processes that have the URL, and the server's process id."""
    with using(directory, count) as users:
        assert len({user.wait_open() for user in users}) == 1
        pid = server_pid(directory)
        assert pid is not None
        yield users, pid


def starters(users: list[User]) -> list[User]:
    return [user for user in users if "embedded.started" in user.said()]


def test_of_four_that_race_one_starts_all_join_and_the_last_ends_it(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 4) as (users, pid):
        assert len(starters(users)) == 1
        first, *others, last = sorted(users, key=lambda user: user not in starters(users))
        for user in (first, *others):
            user.leave()
            assert server_pid(place) == pid
            assert "embedded.ended" not in user.said()
        last.leave()
        assert "embedded.ended" in last.said()
        assert server_pid(place) is None


def test_a_killed_starter_leaves_the_server_to_the_others(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 2) as (users, pid):
        (starter,) = starters(users)
        (other,) = {*users} - {starter}
        starter.kill()
        assert server_pid(place) == pid
        other.leave()
        assert server_pid(place) is None


def test_the_last_one_ends_it_though_the_others_were_killed(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 3) as (users, _):
        (starter,) = starters(users)
        for user in {*users} - {starter}:
            user.kill()
        starter.leave()
        assert server_pid(place) is None


def test_when_all_were_killed_the_next_one_joins_what_they_left(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 2) as (users, pid):
        for user in users:
            user.kill()
        assert server_pid(place) == pid
        with open_users(place, 1) as ([user], joined):
            assert joined == pid
            assert not starters([user])
            user.leave()
            assert server_pid(place) is None


def test_data_outlives_the_server(tmp_path: Path) -> None:
    place = tmp_path / "data"
    for expected in (None, "1", "2"):
        with open_users(place, 1) as ([user], _):
            with client(place) as one:
                assert one.get("count") == expected
                one.incr("count")
            user.leave()


def test_a_server_that_crashes_is_started_again_once_with_its_data(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 3) as (users, pid):
        for survived in range(2):
            with client(place) as one:
                assert one.incr("count") == survived + 1
            os.kill(pid, signal.SIGKILL)
            until(lambda: server_pid(place) not in (None, pid), "another server", within=10)
            pid = server_pid(place) or 0
            until(
                lambda: sum(user.said().count("embedded.restarted") for user in users)
                == survived + 1,
                "one of them tells", within=10,
            )
        for user in users:
            user.leave()
        assert server_pid(place) is None


def test_ctrl_c_at_a_node_does_not_reach_the_server(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 2) as (users, pid):
        (starter,) = starters(users)
        assert os.getsid(pid) not in (os.getsid(0), os.getsid(starter.process.pid))
        starter.interrupt()
        assert server_pid(place) == pid


def test_ctrl_c_at_the_last_node_ends_the_server(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with open_users(place, 1) as ([user], _):
        user.interrupt()
        assert server_pid(place) is None


def test_the_server_holds_no_socket_of_the_node(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        with using(place, 1, pass_fds=(listener.fileno(),)) as [user]:
            user.wait_open()
            pid = server_pid(place)
            assert _inode(listener.fileno(), user.process.pid)
            held = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
            assert f"socket:[{os.fstat(listener.fileno()).st_ino}]" not in held
            assert str(place / "server.lock") in held
            assert not any("start.lock" in name or "users.lock" in name for name in held)


def _inode(descriptor: int, pid: int) -> bool:
    """Say whether a process has this process's open file."""
    wanted = os.readlink(f"/proc/self/fd/{descriptor}")
    return wanted in {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
