"""A scripted, byte-level DICOM peer, and a recording house behind the listener it is aimed at.

Each test says which bytes are sent and which come back; nothing in between hides a malformed message.
"""

from __future__ import annotations

import queue
import socket
import struct
from collections.abc import Callable, Sequence

from gateway.servers.dicom.policy import AssociationInfo, Ending, Rejection
from gateway.servers.dicom.service import StoreRequest

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
PATIENCE = 20.0  # how long a test waits for what must come; never a measure of speed


class House:
    """A recording store, policy and observer in one."""

    def __init__(self) -> None:
        self.stored: list[StoreRequest] = []
        self.opened_infos: list[AssociationInfo] = []
        self.proposals: list[AssociationInfo] = []
        self.endings: queue.Queue[Ending] = queue.Queue()
        self.rejection: Rejection | None = None
        self.on_store: Callable[[StoreRequest], None] = self.stored.append

    def store(self, request: StoreRequest) -> None:
        self.on_store(request)

    def admit(self, proposal: AssociationInfo) -> Rejection | None:
        self.proposals.append(proposal)
        return self.rejection

    def opened(self, info: AssociationInfo) -> None:
        self.opened_infos.append(info)

    def released(self, info: AssociationInfo, reason: Ending) -> None:
        self.endings.put(reason)

    def ending(self) -> Ending:
        return self.endings.get(timeout=PATIENCE)


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def context(context_id: int, abstract: str | bytes, *transfer: str | bytes) -> bytes:
    def uid(text: str | bytes) -> bytes:
        return text if isinstance(text, bytes) else text.encode()

    subitems = item(0x30, uid(abstract)) + b"".join(item(0x40, uid(t)) for t in transfer)
    return item(0x20, bytes((context_id, 0, 0, 0)) + subitems)


def command(**elements: bytes) -> bytes:
    """A command set from `e0100=b"..."` style keywords."""
    body = b"".join(
        struct.pack("<HHL", 0, int(name[1:], 16), len(value)) + value for name, value in sorted(elements.items())
    )
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def pdv(context_id: int, control: int, value: bytes) -> bytes:
    return struct.pack(">LBB", len(value) + 2, context_id, control) + value


def store_command(instance: bytes = b"1.2.3.4\0", sop_class: bytes = CT_IMAGE.encode() + b"\0") -> bytes:
    return command(e0002=sop_class, e0100=b"\1\0", e0110=b"\7\0", e0700=b"\0\0", e0800=b"\1\0", e1000=instance)


class ScriptedPeer:
    """Writes bytes and reads PDUs; knows no protocol state."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_pdu(self, kind: int, body: bytes) -> None:
        self.send(struct.pack(">BxL", kind, len(body)) + body)

    def send_data(self, *values: bytes) -> None:
        self.send_pdu(4, b"".join(values))

    def receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                break
            data += part
        return data

    def read_pdu(self) -> tuple[int, bytes] | None:
        """Kind and body of the next PDU, or None at the end of the connection."""
        try:
            head = self.receive(6)
            if len(head) < 6:
                return None
            kind, length = struct.unpack(">BxL", head)
            return kind, self.receive(length)
        except ConnectionError:
            return None

    def request(
        self,
        contexts: Sequence[bytes] = (),
        *,
        user: bytes = b"",
        called: bytes = b"DXGATE",
        calling: bytes = b"SCRIPT",
        version: int = 1,
        application: str = "1.2.840.10008.3.1.1.1",
    ) -> None:
        proposed = contexts or (context(1, CT_IMAGE, EXPLICIT), context(3, VERIFICATION, IMPLICIT))
        information = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3") + user
        fixed = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
        body = fixed + item(0x10, application.encode()) + b"".join(proposed) + item(0x50, information)
        self.send_pdu(1, body)

    def associate(self, contexts: Sequence[bytes] = (), *, user: bytes = b"") -> bytes:
        """Associates and returns the A-ASSOCIATE-AC body."""
        self.request(contexts, user=user)
        answer = self.read_pdu()
        assert answer is not None
        assert answer[0] == 2
        return answer[1]

    def read_status(self) -> int:
        """The status of the next response."""
        answer = self.read_pdu()
        assert answer is not None
        assert answer[0] == 4
        elements, position, encoded = {}, 0, answer[1][6:]
        while position < len(encoded):
            _, element, length = struct.unpack_from("<HHL", encoded, position)
            elements[element] = encoded[position + 8 : position + 8 + length]
            position += 8 + length
        assert elements[0x0120] == b"\7\0"
        return int.from_bytes(elements[0x0900], "little")

    def is_over(self) -> bool:
        """True once the far side has closed; fails on time-out."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()


def assert_aborted(peer: ScriptedPeer, reason: int | None = None) -> None:
    """The far side said A-ABORT (as provider with this reason, where given) and closed."""
    answer = peer.read_pdu()
    assert answer is not None
    assert answer[0] == 7
    if reason is not None:
        assert answer[1][2:] == bytes((2, reason))
    assert peer.is_over()
    peer.close()
