"""DIMSE command sets (PS3.7 section 6.3): bounded decoding and encoding, always Implicit VR Little Endian.

A command set is a dozen elements of group 0000; a general data set parser would cost more than the message.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from gateway.servers.dicom.pdu import INVALID_PARAMETER, ProtocolViolation

# elements of group 0000
AFFECTED_SOP_CLASS_UID = 0x0002
REQUESTED_SOP_CLASS_UID = 0x0003
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_RESPONDED_TO = 0x0120
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
REQUESTED_SOP_INSTANCE_UID = 0x1001

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000
NO_DATA_SET = 0x0101
A_DATA_SET = 0x0001

_ELEMENT = struct.Struct("<HHL")
_US = struct.Struct("<H")
_COMMENT_BYTES = 64


def decode_command(encoded: bytes | bytearray) -> dict[int, bytes]:
    """Element number to value; anything but unique, complete elements of group 0000 breaks the protocol."""
    elements: dict[int, bytes] = {}
    position, end = 0, len(encoded)
    while position < end:
        if end - position < _ELEMENT.size:
            raise ProtocolViolation(INVALID_PARAMETER, "command element header is cut short")
        group, element, length = _ELEMENT.unpack_from(encoded, position)
        position += _ELEMENT.size
        if group or element in elements or length > end - position:
            raise ProtocolViolation(INVALID_PARAMETER, "command set is malformed")
        elements[element] = bytes(encoded[position : position + length])
        position += length
    return elements


def number(command: Mapping[int, bytes], element: int) -> int:
    """The unsigned short of an element without which a request cannot even be answered."""
    value = command.get(element, b"")
    if len(value) != _US.size:
        raise ProtocolViolation(INVALID_PARAMETER, f"command element (0000,{element:04X}) is not one US")
    return int(_US.unpack(value)[0])


def encode_command(elements: Mapping[int, bytes]) -> bytes:
    """A command set with its group length; values must be of even length and are written in tag order."""
    body = b"".join(_ELEMENT.pack(0, element, len(value)) + value for element, value in sorted(elements.items()))
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def short(value: int) -> bytes:
    """A US value."""
    return _US.pack(value)


def comment(text: str) -> bytes:
    """An LO value for (0000,0902): ASCII, 64 characters at most, no backslash or control character."""
    clean = "".join(c if c.isascii() and c.isprintable() and c != "\\" else "?" for c in text[:_COMMENT_BYTES])
    return (clean + " " * (len(clean) % 2)).encode("ascii")
