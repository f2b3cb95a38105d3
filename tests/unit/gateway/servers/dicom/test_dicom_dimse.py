"""The command set codec, against pydicom and against noise."""

from __future__ import annotations

import contextlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from gateway.servers.dicom.dimse import comment, decode_command, encode_command, number, short
from gateway.servers.dicom.pdu import ProtocolViolation

_ELEMENTS = st.dictionaries(
    st.integers(1, 0xFFFF), st.binary(max_size=20).filter(lambda value: len(value) % 2 == 0), max_size=8
)


@given(_ELEMENTS)
def test_command_sets_survive(elements):
    """What is encoded is decoded to the same elements and the length of the group."""
    encoded = encode_command(elements)
    decoded = decode_command(encoded)
    assert int.from_bytes(decoded.pop(0), "little") == len(encoded) - 12
    assert decoded == elements


@given(st.binary(max_size=200))
def test_noise_is_a_violation_or_a_command(value):
    """Random bytes give elements or a protocol violation, nothing else."""
    with contextlib.suppress(ProtocolViolation):
        decode_command(value)


def test_commands_of_an_independent_encoder_are_read():
    """A command set written by pynetdicom is decoded."""
    dataset = Dataset()
    dataset.CommandField, dataset.MessageID, dataset.AffectedSOPInstanceUID = 1, 77, "1.2.3"
    decoded = decode_command(encode(dataset, True, True))
    assert (number(decoded, 0x0100), number(decoded, 0x0110)) == (1, 77)
    assert decoded[0x1000] == b"1.2.3\0"


def test_commands_are_read_by_an_independent_decoder():
    """A command set written here is decoded by pydicom."""
    encoded = encode_command({0x0100: short(0x8001), 0x0900: short(0xA700), 0x0902: comment("out of room")})
    read = dcmread(BytesIO(encoded), force=True)
    assert read.CommandGroupLength == len(encoded) - 12
    assert (read.CommandField, read.Status, read.ErrorComment) == (0x8001, 0xA700, "out of room")


@given(st.text(max_size=100))
def test_comments_are_legal_text(text):
    """An error comment is printable ASCII without backslash, even in length and 64 bytes at most."""
    value = comment(text)
    assert len(value) % 2 == 0
    assert len(value) <= 64
    assert all(0x20 <= byte < 0x7F and byte != 0x5C for byte in value)


def test_a_number_must_be_there():
    """A missing or longer number is a violation."""
    with pytest.raises(ProtocolViolation):
        number({}, 0x0100)
    with pytest.raises(ProtocolViolation):
        number({0x0100: b"\1\0\2\0"}, 0x0100)
