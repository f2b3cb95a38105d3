"""A small server that subscriptions notify: it keeps what came, and can refuse, hang, drip, redirect or be away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def resource(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def parameter(self, name: str) -> Any:
        """The first value of that name in the status entry."""
        for one in self.resource["entry"][0]["resource"]["parameter"]:
            if one["name"] == name:
                return next(value for key, value in one.items() if key.startswith("value"))
        return None

    @property
    def kind(self) -> str:
        return str(self.parameter("type"))

    @property
    def numbers(self) -> list[int]:
        """The numbers of its events."""
        said = self.resource["entry"][0]["resource"]["parameter"]
        parts = [part for one in said if one["name"] == "notification-event" for part in one["part"]]
        return [int(part["valueString"]) for part in parts if part["name"] == "event-number"]


@dataclass
class Receiver:
    """`statuses` answers by path; anything else is answered with `status`. `gate` set: answers at once."""

    port: int = 0
    status: int = 200
    statuses: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    held: str = "/held"
    dripping: str = "/dripping"
    drops: int = 0

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    def events(self, path: str) -> list[int]:
        """Numbers of all events that were accepted at a path, as they came."""
        return [number for one in self.at(path) if one.kind == "event-notification" for number in one.numbers]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = receiver.statuses.get(self.path, receiver.status)
            if self.path == receiver.held:
                receiver.gate.wait(30)
            while self.path == receiver.dripping and not receiver.gate.wait(0.02):
                try:
                    self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                except OSError:  # given up
                    self.close_connection = True
                    return
                receiver.drops += 1
            if status < 300:
                receiver.received.append(Received(self.command, self.path, dict(self.headers.items()), body))
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = do_HEAD = do_GET = _take

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
