"""A server on a bare socket that does what no library's server would: it drips, falls silent or breaks off."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def speaking(say: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server of ours: `say` gets each connection, and its base address is given."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=quietly, args=(connection,), daemon=True).start()

    def quietly(connection: socket.socket) -> None:
        try:
            say(connection)
        except OSError:
            return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for connection in held:
            connection.close()


def drip(text: bytes) -> Callable[[socket.socket], None]:
    """Letter by letter, each well within the time that a single read may take, and far too slow altogether."""

    def say(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        for letter in text * 1000:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)

    return say
