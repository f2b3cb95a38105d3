"""Reads PDUs from a connection into one buffer that is allocated once (PS3.8 section 9.3.1).

One read takes whatever the kernel has, often several PDUs; bodies are handed out as views of the buffer, so
the only copy of pixel data on its way in is the one that gathers an object.
"""

from __future__ import annotations

import mmap

from gateway.servers.dicom import pdu
from gateway.servers.dicom.connection import Connection


class PduStream:
    """The reading side of one connection; a view it returns is good until the next call."""

    def __init__(self, connection: Connection, *, buffer_bytes: int, pdu_seconds: float) -> None:
        self._connection = connection
        self._pdu_seconds = pdu_seconds
        # anonymous memory is resident only where it was touched: an idle association costs a page, not a MiB
        size = pdu.HEADER_BYTES + buffer_bytes
        self._buffer = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._start = 0
        self._end = 0

    def next_pdu(self, *, patience: float, most_bytes: int) -> tuple[int, memoryview]:
        """Kind and body of the next PDU; `patience` seconds until its first byte, then the PDU's own time."""
        self._connection.arm(self._pdu_seconds if self._end > self._start else patience)
        self._fill(pdu.HEADER_BYTES)
        kind, length = pdu.header(self._buffer[self._start : self._end])
        if length > most_bytes:
            raise pdu.ProtocolViolation(pdu.INVALID_PARAMETER, "PDU is longer than the maximum")
        self._fill(pdu.HEADER_BYTES + length)
        begin = self._start + pdu.HEADER_BYTES
        self._start = begin + length
        return kind, self._buffer[begin : self._start]

    def _fill(self, needed: int) -> None:
        held = self._end - self._start
        if held >= needed:
            return
        if held == 0 or self._start + needed > len(self._buffer):
            self._buffer[:held] = self._buffer[self._start : self._end]
            self._start, self._end = 0, held
        while held < needed:
            count = self._connection.receive(self._buffer[self._end :])
            if not held:
                self._connection.arm(self._pdu_seconds)
            self._end += count
            held += count
