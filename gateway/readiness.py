"""How a role says that it is ready: a file for the supervisor, a datagram for systemd (sd_notify(3)).

A file named after role and process id cannot be taken for the sign of an earlier start, and an operator sees it.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import socket
from contextlib import suppress
from pathlib import Path


def run_folder(home: Path) -> Path:
    """Where running processes leave their signs: ready files and the lock of `dxgate up`."""
    return home / "run"


def ready_file(home: Path, role: str, pid: int) -> Path:
    """The file that says that process `pid` is ready in its role."""
    return run_folder(home) / f"{role}-{pid}.ready"


def mark_ready(home: Path, role: str) -> None:
    """Say that this process is ready. The file goes away with the process; after SIGKILL its starter removes it."""
    give_back_memory()
    path = ready_file(home, role, os.getpid())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    atexit.register(path.unlink, missing_ok=True)
    notify_systemd("READY=1")


def give_back_memory() -> None:
    """A start reads and checks more than stays: what was freed goes back to the system (malloc_trim(3))."""
    with suppress(OSError, AttributeError, TypeError):  # another C library, or none that can be named so
        ctypes.CDLL(None).malloc_trim(0)


def notify_systemd(state: str) -> None:
    """Send `state` to the service manager where there is one; its absence or deafness is no error."""
    address = os.environ.get("NOTIFY_SOCKET")  # the protocol of sd_notify(3), not a setting
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(1.0)
        sender.connect(name)
        sender.send(state.encode())
