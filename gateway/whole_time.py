"""whole time: connections on which everything that one thread does ends at one moment, for every client of ours.

A time limit for each read is none for an answer that comes one byte at a time, or behind endless interim answers.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import httpx

_LEAST: Final = 0.001  # seconds; none at all would mean for ever

_PIECE: Final = 16 << 10


class WholeTime(threading.local):
    """The moment of the thread that asks, on the clock of `time.monotonic`."""

    until: float | None = None

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        self.until = time.monotonic() + seconds
        try:
            yield
        finally:
            self.until = None

    def left(self, timeout: float | None) -> float | None:
        """The time limit of one step; httpcore.ReadTimeout where the time is over."""
        if self.until is None:
            return timeout
        left = self.until - time.monotonic()
        if left < _LEAST:
            raise httpcore.ReadTimeout("the time for the whole answer is over")
        return left if timeout is None else min(timeout, left)


class TimedNetwork(httpcore.NetworkBackend):
    """Connections of the operating system whose steps end with the whole."""

    def __init__(self, whole: WholeTime) -> None:
        self._whole, self._plain = whole, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._whole.left(timeout)
        return _TimedStream(self._whole, self._plain.connect_tcp(host, port, timeout, local_address, socket_options))


class TimedTransport(httpx.HTTPTransport):
    """The same for httpx: a request begun within `whole.of(seconds)` ends with it, as a ReadTimeout."""

    def __init__(self, whole: WholeTime, verify: ssl.SSLContext, connections: int = 10) -> None:
        super().__init__(verify=verify)
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=connections,
            keepalive_expiry=5.0,
            network_backend=TimedNetwork(whole),
        )


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, whole: WholeTime, plain: httpcore.NetworkStream) -> None:
        self._whole, self._plain = whole, plain

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, self._whole.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):  # each send of a piece has the time anew
            self._plain.write(buffer[start : start + _PIECE], self._whole.left(timeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._whole, self._plain.start_tls(ssl_context, server_hostname, self._whole.left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)
