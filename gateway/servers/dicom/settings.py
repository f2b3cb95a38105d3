"""The settings of one DICOM listener: address, limits and times, each with a bound.

They are handed over by the wiring; defaults suit a hospital's archive sending to one process of a few.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Counts and bytes that no peer can pass."""

    connections: int = 512
    connections_per_peer: int = 256
    refusals: int = 16  # connections over the limits that are told so at one time; others are closed
    associate_bytes: int = 512 * 1024
    command_bytes: int = 16 * 1024
    object_bytes: int = 2048 * MEBIBYTE
    in_flight_bytes: int = 1024 * MEBIBYTE


@dataclass(frozen=True)
class Timeouts:
    """Seconds; `artim` runs from the connection to the whole request, TLS handshake included."""

    artim: float = 30.0
    pdu: float = 30.0  # from a PDU's first byte to its last, and between the PDUs of one message
    message: float = 900.0  # from a message's first fragment to its last
    idle: float = 600.0  # between messages
    evictable: float = 10.0  # a connection idle for so long gives way to a new one at the limit
    linger: float = 2.0  # for the peer to read our last word


@dataclass(frozen=True)
class ListenerSettings:
    """Where to listen and within what bounds; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 11112
    max_pdu: int = MEBIBYTE
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    tls: ssl.SSLContext | None = None
