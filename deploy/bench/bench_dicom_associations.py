"""Measures associations opened per second, and what idle ones cost, with a client that costs next to nothing.

The client writes prepared bytes: 120 storage classes, each in four transfer syntaxes, as an archive proposes.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

from bench_dicom_receivers import Receiver

_CONTEXTS = 120
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90")
_ACCEPT, _RELEASE_REPLY = 2, 6
_SECONDS = 2.0
_IDLE = 200
_IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class IdleLoad:
    """How many of the wanted idle associations were accepted, and the receiver's CPU meanwhile."""

    held: int
    cpu_percent: float


def associations_per_second(receiver: Receiver) -> float:
    """Open and release, one after the other."""
    request = _request()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        peer = _associated(receiver.port, request)
        if peer is None:
            raise SystemExit("an association was not accepted")
        peer.sendall(struct.pack(">BxLL", 5, 4, 0))
        if _read_pdu(peer) != _RELEASE_REPLY:
            raise SystemExit("a release was not answered")
        peer.close()
        count += 1
    return count / (time.perf_counter() - began)


def idle_load(receiver: Receiver) -> IdleLoad:
    """Opens as many associations as are accepted, 200 at most, and watches the receiver do nothing."""
    request = _request()
    peers = []
    while len(peers) < _IDLE and (peer := _associated(receiver.port, request)) is not None:
        peers.append(peer)
    time.sleep(0.5)
    used, began = receiver.cpu_seconds(), time.perf_counter()
    time.sleep(_IDLE_SECONDS)
    percent = 100 * (receiver.cpu_seconds() - used) / (time.perf_counter() - began)
    for peer in peers:
        peer.close()
    return IdleLoad(len(peers), percent)


def _associated(port: int, request: bytes) -> socket.socket | None:
    peer = socket.create_connection(("127.0.0.1", port), timeout=3)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        peer.sendall(request)
        if _read_pdu(peer) == _ACCEPT:
            return peer
    except OSError:
        pass
    peer.close()
    return None


def _read_pdu(peer: socket.socket) -> int:
    head = _receive(peer, 6)
    kind, length = struct.unpack(">BxL", head)
    _receive(peer, length)
    return int(kind)


def _receive(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _request() -> bytes:
    from pynetdicom import AllStoragePresentationContexts

    syntaxes = b"".join(_item(0x40, syntax.encode()) for syntax in _SYNTAXES)
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts[:_CONTEXTS]]
    contexts = b"".join(
        _item(0x20, bytes((2 * index + 1, 0, 0, 0)) + _item(0x30, uid.encode()) + syntaxes)
        for index, uid in enumerate(classes)
    )
    user = _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3"))
    fixed = struct.pack(">HH", 1, 0) + b"ORTHANC".ljust(16) + b"BENCH".ljust(16) + bytes(32)
    body = fixed + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return struct.pack(">BxL", 1, len(body)) + body
