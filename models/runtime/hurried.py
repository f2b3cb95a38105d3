"""HTTP to an inference server under one deadline for a whole request, whatever the server does with it.

Why: the client's own timeout begins anew with every byte, so that a server that sends its head letter by letter, or
reads a batch as slowly, could hold a model's owner thread for days.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

_PIECE: Final = 1 << 14  # bytes that are written between two looks at the clock


class Deadline(threading.local):
    """Until when the request of this thread has to be over, by the monotonic clock."""

    at: float = math.inf

    def left(self, timeout: float | None) -> float:
        """Seconds for the next step; 0 or less when the time is over."""
        return min(math.inf if timeout is None else timeout, self.at - time.monotonic())


class HurriedTransport(httpx.HTTPTransport):
    """A pool of connections, each of whose steps gets what is left of `deadline`."""

    def __init__(self, deadline: Deadline, verify: ssl.SSLContext, connections: int) -> None:
        super().__init__(verify=verify)
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=connections,
            keepalive_expiry=5.0,
            network_backend=_Backend(deadline),
        )


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline, self._plain = deadline, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, timeout, httpcore.ConnectTimeout)
        return _Stream(self._plain.connect_tcp(host, port, left, local_address, socket_options), self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            left = _left(self._deadline, timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: Deadline, timeout: float | None, kind: type[Exception]) -> float | None:
    left = deadline.left(timeout)
    if left <= 0:
        raise kind("the time for this request is over")
    return None if left == math.inf else left
