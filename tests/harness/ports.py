"""Ports to listen on that nobody is given meanwhile.

The kernel hands out the ports of its own range to whatever connects: one of those, asked for and closed again, may be
the near end of somebody's connection by the time a server opens it, or while a server that was killed is away.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_LOWEST, _HIGHEST = 15000, 32768
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Never the same one twice in a process of tests, nor in two of one run."""
    for port in _ours:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port is taken")


def _places() -> Iterator[int]:
    """Below the kernel's range, each worker of pytest-xdist its own; by chance, for other runs may be beside us."""
    end = min(_HIGHEST, int(_RANGE.read_text().split()[0])) if _RANGE.exists() else _HIGHEST
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = [port for port in range(_LOWEST, end) if port % 16 == worker % 16]
    random.SystemRandom().shuffle(ours)
    yield from ours
    while True:  # few are left, or none below the kernel's range
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield port


_ours = _places()
