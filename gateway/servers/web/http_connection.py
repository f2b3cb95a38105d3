"""One HTTP connection on uvicorn's httptools parser, with the bounds that uvicorn leaves open.

uvicorn bounds neither the size of a request's head nor the time it may take to arrive; a sender of endless or
very slow headers (RFC 9110 17.5) would hold memory and connections for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.servers.web.client_credentials import PEER_CERTIFICATE

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
HEAD_SECONDS = 15.0


class HeadTooLarge(ValueError):
    """Seen by the parser, which then answers 400 and closes."""


class BoundedConnection(HttpToolsProtocol):
    """HttpToolsProtocol with a bounded head, which tells the application the certificate that its peer has shown."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._in_head = True
        self._begun = False
        self._deadline: asyncio.TimerHandle | None = None
        self._peer_certificate: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        self._peer_certificate = connection.getpeercert(binary_form=True) if connection is not None else None
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and (self._begun or self.cycle is None or self.cycle.response_complete):
            self._start_deadline()  # uvicorn has stopped its own timer, for empty lines too
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > MAX_HEAD_BYTES:
            raise HeadTooLarge
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_HEADERS or len(name) + len(value) > MAX_HEAD_BYTES:
            raise HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = self._begun = False
        self._stop_deadline()
        if self._peer_certificate:  # ASGI has no place for it; the application starts inside super()
            self.scope["extensions"] = {PEER_CERTIFICATE: {"der": self._peer_certificate}}
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
