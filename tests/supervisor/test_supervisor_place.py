"""The directory of control sockets, and the public sockets that outlive a gateway."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from wsmesh.config.sections import Listener
from wsmesh.errors import ConfigError
from wsmesh.supervisor.place import Doors, open_directory


@pytest.fixture
def short():
    """A directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="up") as made:
        yield Path(made)


def test_without_a_choice_it_is_private_and_gone_at_the_end(short):
    with open_directory("", {"XDG_RUNTIME_DIR": str(short)}) as made:
        assert Path(made).parent == short
        assert stat.S_IMODE(os.stat(made).st_mode) == 0o700
        assert Path(made, "nodes").is_dir()
    assert list(short.iterdir()) == []


@pytest.mark.parametrize("runtime", ["", "relative", "/no/such/directory"])
def test_without_a_runtime_directory_it_is_a_temporary_one(runtime):
    with open_directory("", {"XDG_RUNTIME_DIR": runtime}) as made:
        assert Path(made).parent == Path(tempfile.gettempdir())


def test_what_killed_processes_left_is_removed_and_nothing_else(short):
    (short / "up" / "nodes").mkdir(parents=True)
    for name in ("nodes/node-9.sock", "gateway.sock", "notes.txt"):
        (short / "up" / name).touch()

    with open_directory(str(short / "up"), {}) as made:
        assert sorted(path.name for path in Path(made).rglob("*")) == [
            "nodes", "notes.txt", "supervisor.lock"
        ]
        Path(made, "nodes", "node-1.sock").touch()
    assert not list(short.rglob("*.sock"))


def test_two_supervisors_do_not_share_a_directory(short):
    with open_directory(str(short / "up"), {}):
        with pytest.raises(ConfigError, match=r"runtime_dir: .*another supervisor"):
            with open_directory(str(short / "up"), {}):
                pass
    with open_directory(str(short / "up"), {}):
        pass


def test_a_directory_that_cannot_be_used_is_named(short):
    (short / "file").touch()
    with pytest.raises(ConfigError, match=r"runtime_dir: .*Not a directory"):
        with open_directory(str(short / "file" / "up"), {}):
            pass
    with pytest.raises(ConfigError, match="choose a shorter one"):
        with open_directory(str(short / ("x" * 90)), {}):
            pass


def test_doors_take_clients_while_nobody_accepts_and_close_for_good(short):
    path = short / "a.sock"
    doors = Doors([Listener(address="127.0.0.1:0"), Listener(address=f"unix:{path}")])
    host, port = doors.addresses[0].split(":")

    assert len(doors.fds) == 2
    socket.create_connection((host, int(port)), timeout=5).close()
    doors.close()
    doors.close()
    assert doors.fds == ()
    assert not path.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_doors_open_all_or_none():
    first = Doors([Listener(address="127.0.0.1:0")])
    taken = first.addresses[0]
    with pytest.raises(ConfigError, match="in use"):
        Doors([Listener(address="127.0.0.1:0"), Listener(address=taken)])
    first.close()


def test_a_door_whose_file_is_gone_closes_all_the_same(short):
    doors = Doors([Listener(address=f"unix:{short / 'a.sock'}")])
    (short / "a.sock").unlink()

    doors.close()
