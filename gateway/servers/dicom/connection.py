"""One accepted TCP or TLS connection: blocking reads, a deadline that is watched elsewhere, and a way to cut it.

A socket's own timeout starts anew with every byte, so a drip feeder outlives it, and it costs a poll() per
read. Here reads block without any timeout; `DeadlineWatch` shuts the socket down when the deadline passes.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable

from gateway.domain.errors import Unavailable
from gateway.servers.dicom.policy import Ending
from gateway.servers.tls_context import subject

_log = logging.getLogger(__name__)


class ConnectionEnded(Unavailable):
    """The connection is over, for the reason given."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Connection:
    """Owned by one association thread; `cut` and `expire` alone may be called from other threads."""

    def __init__(
        self,
        accepted: socket.socket,
        peer: tuple[str, int],
        *,
        linger_seconds: float,
        deadline_moved: Callable[[float], None],
    ) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer_host, self.peer_port = peer
        self.deadline = math.inf
        self.ceiling = math.inf  # no deadline is set later than this
        self.quiet_since = math.inf  # monotonic time since when nothing is under way
        self._socket = accepted
        self._linger_seconds = linger_seconds
        self._deadline_moved = deadline_moved
        self._cut: Ending | None = None
        self._open = True
        self._lock = threading.Lock()

    def secure(self, context: ssl.SSLContext) -> str | None:
        """Makes the TLS handshake, under the deadline in force; the peer certificate's subject or None."""
        with self._lock:
            secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = secured
        try:
            secured.do_handshake()
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            _log.info("dicom.tls-failed peer=%s reason=%s", self.peer_host, reason)
            # whoever ended it: without TLS there is no way to say more
            raise ConnectionEnded(Ending.DISCONNECTED) from None
        return subject(secured)

    def arm(self, seconds: float) -> None:
        """Sets the deadline `seconds` from now, or at the ceiling when that is sooner."""
        self.deadline = deadline = min(time.monotonic() + seconds, self.ceiling)
        self._deadline_moved(deadline)

    def disarm(self) -> None:
        """No deadline: the time that follows is ours, not the peer's."""
        self.deadline = math.inf

    def receive(self, into: memoryview) -> int:
        """Blocks for at least one byte; the count read."""
        try:
            count = self._socket.recv_into(into)
            # Linux forgets this after every read; without it a sender with Nagle waits 40 ms for our ACK
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except (OSError, ValueError):
            count = 0
        if self._cut is not None or not count:
            raise ConnectionEnded(self._cut or Ending.DISCONNECTED)
        return count

    def send(self, data: bytes) -> None:
        """Sends all of it, under the deadline in force."""
        try:
            self._socket.sendall(data)
        except (OSError, ValueError):
            raise ConnectionEnded(self._cut or Ending.DISCONNECTED) from None

    def last_word(self, data: bytes) -> None:
        """Sends a final PDU and gives the peer a moment to read it: closing at once could destroy it."""
        self.ceiling = math.inf
        self.arm(self._linger_seconds)
        scratch = memoryview(bytearray(16 * 1024))
        with contextlib.suppress(ConnectionEnded):
            self.send(data)
            self._shutdown(socket.SHUT_WR)
            while self._cut is None:
                self.receive(scratch)

    def cut(self, ending: Ending) -> None:
        """Ends reading from another thread; the association thread then says why and closes."""
        if self._cut is None:
            self._cut = ending
            self._shutdown(socket.SHUT_RD)
        self.ceiling = math.inf
        self.arm(self._linger_seconds)

    def expire(self) -> None:
        """The deadline has passed: end reading, and on the second time writing too."""
        if self._cut is None:
            self.cut(Ending.TIMEOUT)
        else:
            self.disarm()
            self._shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the socket; later cuts do nothing."""
        with self._lock:
            self._open = False
            self.disarm()
            self._socket.close()

    def _shutdown(self, how: int) -> None:
        # the lock keeps a closed descriptor's number, reused by another peer, from being shut down;
        # SSLSocket.shutdown would drop the TLS state under the reader, hence the plain socket's
        with self._lock:
            if self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, how)
