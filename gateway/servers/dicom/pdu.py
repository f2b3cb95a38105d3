"""The small protocol data units of the DICOM upper layer: P-DATA, release, abort and reject (PS3.8 section 9.3).

Lengths come from the peer and are checked against what holds them before a byte is used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gateway.domain.errors import Invalid
from gateway.servers.dicom.policy import Rejection

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ = 0x01, 0x02, 0x03
DATA = 0x04
RELEASE_RQ, RELEASE_RP = 0x05, 0x06
ABORT = 0x07
KINDS = frozenset(range(ASSOCIATE_RQ, ABORT + 1))

HEADER_BYTES = 6
PDV_HEADER_BYTES = 6
COMMAND, LAST = 0x01, 0x02

# A-ABORT reasons of the service provider, PS3.8 Table 9-26
NOT_SPECIFIED = 0
UNRECOGNISED_PDU = 1
UNEXPECTED_PDU = 2
UNEXPECTED_PARAMETER = 5
INVALID_PARAMETER = 6

_HEADER = struct.Struct(">BxL")
_PDV = struct.Struct(">LBB")
_DATA_PDU = struct.Struct(">BxLLBB")


class ProtocolViolation(Invalid):
    """The peer broke the upper-layer protocol; the association is aborted with this reason."""

    def __init__(self, abort_reason: int, rule: str) -> None:
        super().__init__(rule)
        self.abort_reason = abort_reason


def header(buffer: memoryview) -> tuple[int, int]:
    """Kind and body length of a PDU from its first six bytes; the kind is one of `KINDS`."""
    kind, length = _HEADER.unpack_from(buffer)
    if kind not in KINDS:
        raise ProtocolViolation(UNRECOGNISED_PDU, "unrecognised PDU type")
    return kind, length


def values(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """The presentation data values of a P-DATA-TF body: context id, control header and fragment."""
    position, end = 0, len(body)
    if not end:
        raise ProtocolViolation(INVALID_PARAMETER, "P-DATA-TF without a presentation data value")
    while position < end:
        if end - position < PDV_HEADER_BYTES:
            raise ProtocolViolation(INVALID_PARAMETER, "presentation data value header is cut short")
        length, context_id, control = _PDV.unpack_from(body, position)
        following = position + 4 + length
        if length < 2 or following > end:
            raise ProtocolViolation(INVALID_PARAMETER, "presentation data value does not fit its PDU")
        yield context_id, control, body[position + PDV_HEADER_BYTES : following]
        position = following


def data(context_id: int, payload: bytes, *, command: bool, peer_max: int) -> bytes:
    """P-DATA-TF PDUs carrying one whole command set or data set, cut to what the peer takes (0 = any)."""
    room = max(peer_max - PDV_HEADER_BYTES, 2) & ~1 if peer_max else max(len(payload), 2)
    kind = COMMAND if command else 0
    pieces = []
    for start in range(0, len(payload), room):
        piece = payload[start : start + room]
        last = LAST if start + room >= len(payload) else 0
        pieces.append(
            _DATA_PDU.pack(DATA, PDV_HEADER_BYTES + len(piece), 2 + len(piece), context_id, kind | last) + piece
        )
    return b"".join(pieces)


def abort(reason: int, *, by_user: bool = False) -> bytes:
    """An A-ABORT; as service user (a decision of ours, reason not significant) or as service provider."""
    return struct.pack(">BxLxxBB", ABORT, 4, 0 if by_user else 2, 0 if by_user else reason)


def reject(rejection: Rejection) -> bytes:
    """An A-ASSOCIATE-RJ."""
    return struct.pack(">BxLxBBB", ASSOCIATE_RJ, 4, rejection.result, rejection.source, rejection.reason)


RELEASE_REPLY = struct.pack(">BxLL", RELEASE_RP, 4, 0)
