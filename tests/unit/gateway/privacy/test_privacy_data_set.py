"""The span codec: lossless on what is sound, Invalid on what is not, never a crash and never short."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import GatewayError, Invalid
from gateway.privacy.dataset import (
    EXPLICIT,
    EXPLICIT_BIG,
    IMPLICIT,
    Encoding,
    Limits,
    deflate,
    encode,
    inflate,
    parse,
    write,
)

IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
OPEN = b"\xff\xff\xff\xff"
ITEM_START, ITEM_STOP = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_STOP = b"\xfe\xff\xdd\xe0\0\0\0\0"
SQ = b"\x08\x00\x15\x11SQ\0\0"  # (0008,1115) Referenced Series Sequence


def same(data: bytes, syntax: str) -> bool:
    return b"".join(write(parse(data, syntax))) == data


@pytest.mark.parametrize(
    ("encoding", "syntax"), [(IMPLICIT, IMPLICIT_LE), (EXPLICIT, EXPLICIT_LE), (EXPLICIT_BIG, EXPLICIT_BE)]
)
def test_a_parsed_data_set_is_written_back_byte_for_byte(encoding: Encoding, syntax: str, make: Any) -> None:
    """In every layout, nested sequences included, parse and write give the same bytes."""
    nested = [{0x00081199: ("SQ", [{0x00081155: ("UI", b"1.2.3")}, {}])}, {0x0020000E: ("UI", b"1.2")}]
    data = make({0x00081115: ("SQ", nested), 0x7FE00010: ("OW", bytes(64))}, encoding)
    assert same(data, syntax)


def test_undefined_lengths_are_kept() -> None:
    """Sequences and items of undefined length come back as they were."""
    inner = encode(0x0020000E, "UI", b"1.2.3", EXPLICIT)
    data = SQ + OPEN + ITEM_START + OPEN + inner + ITEM_STOP + ITEM_START + OPEN + ITEM_STOP + SEQUENCE_STOP
    assert same(data, EXPLICIT_LE)
    items = parse(data, EXPLICIT_LE).elements[0].sequence
    assert items is not None
    assert [len(item.elements) for item in items.items] == [1, 0]


def test_unknown_vr_of_undefined_length_holds_implicit_vr() -> None:
    """An explicit UN of undefined length is parsed as Implicit VR Little Endian (PS3.5 6.2.2)."""
    inner = encode(0x0020000E, "UI", b"1.2.3", IMPLICIT)
    data = b"\x08\x00\x15\x11UN\0\0" + OPEN + ITEM_START + OPEN + inner + ITEM_STOP + SEQUENCE_STOP
    element = parse(data, EXPLICIT_LE).elements[0]
    assert element.sequence is not None
    assert element.sequence.items[0].elements[0].tag == 0x0020000E


def test_encapsulated_pixel_data_is_one_span() -> None:
    """Fragments are stepped over, checked and never copied."""
    fragments = ITEM_START + pack("<I", 0) + ITEM_START + pack("<I", 4) + b"\xff\xd8\xff\xd9"
    data = b"\xe0\x7f\x10\x00OB\0\0" + OPEN + fragments + SEQUENCE_STOP
    data_set = parse(data, EXPLICIT_LE)
    value = data_set.value(data_set.elements[0])
    assert bytes(value) == fragments + SEQUENCE_STOP
    assert value.obj is data


def test_a_deflated_data_set_is_inflated_within_bounds(make: Any) -> None:
    """A deflated data set is read; one that inflates past the limit, ends early or trails is Invalid."""
    data = make()
    packed = deflate([data])
    assert len(packed) % 2 == 0
    assert inflate(packed, 1 << 20) == data
    assert parse(packed, DEFLATED).source == data
    bomb = zlib.compress(bytes(1 << 22), 9, -15)
    for wrong, limit in ((bomb, 1 << 20), (packed[:-8], 1 << 20), (packed + b"more", 1 << 20)):
        with pytest.raises(Invalid):
            inflate(wrong, limit)


BROKEN = {
    "length beyond the data": b"\x10\x00\x10\x00PN\xf0\x00AB",
    "huge length": b"\xe0\x7f\x10\x00OW\0\0\xf0\xff\xff\xff" + bytes(100),
    "cut header": b"\x10\x00\x10\x00P",
    "cut long header": b"\xe0\x7f\x10\x00OW\0\0\x01",
    "a VR of nobody": b"\x10\x00\x10\x00XY\x02\x00AB",
    "descending tags": encode(0x00100020, "LO", b"A", EXPLICIT) + encode(0x00100010, "PN", b"A", EXPLICIT),
    "a tag twice": encode(0x00100020, "LO", b"A", EXPLICIT) * 2,
    "group 0002": encode(0x00020010, "UI", b"1.2", EXPLICIT),
    "group 0000": encode(0x00000002, "UI", b"1.2", EXPLICIT),
    "text of undefined length": b"\x08\x00\x30\x10UT\0\0" + OPEN + SEQUENCE_STOP,
    "an item outside a sequence": ITEM_START + pack("<I", 0),
    "a delimiter outside a sequence": SEQUENCE_STOP,
    "undefined past its holder": SQ + pack("<I", 8) + ITEM_START + OPEN + ITEM_STOP,
    "an item past its sequence": SQ + pack("<I", 8) + ITEM_START + pack("<I", 4) + bytes(4),
    "no sequence delimiter": SQ + OPEN + ITEM_START + OPEN + ITEM_STOP,
    "no item delimiter": SQ + OPEN + ITEM_START + OPEN,
    "a delimiter in a defined sequence": SQ + pack("<I", 8) + SEQUENCE_STOP,
    "a broken fragment": b"\xe0\x7f\x10\x00OB\0\0" + OPEN + ITEM_START + pack("<I", 90) + bytes(8),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_does_not_add_up_is_invalid_with_its_place(data: bytes) -> None:
    """A broken data set is refused, naming a tag and an offset."""
    with pytest.raises(Invalid, match=r"\([0-9A-F]{4},[0-9A-F]{4}\) at offset \d+"):
        parse(data, EXPLICIT_LE)


def nested(depth: int) -> bytes:
    """Sequences of undefined length inside each other."""
    return (SQ + OPEN + ITEM_START + OPEN) * depth + (ITEM_STOP + SEQUENCE_STOP) * depth


def test_sixty_levels_are_read_and_ten_thousand_refused() -> None:
    """Nesting is bounded by a limit of ours, not by Python's stack."""
    assert same(nested(60), EXPLICIT_LE)
    with pytest.raises(Invalid, match="deeper than 64"):
        parse(nested(10_000), EXPLICIT_LE)


def test_elements_and_items_are_counted() -> None:
    """More elements or items than the limits allow are refused."""
    many = b"".join(encode(0x00090010 + n, "LO", b"A", EXPLICIT) for n in range(200))
    with pytest.raises(Invalid, match="100 elements"):
        parse(many, EXPLICIT_LE, Limits(elements=100))
    items = SQ + OPEN + (ITEM_START + pack("<I", 0)) * 200 + SEQUENCE_STOP
    with pytest.raises(Invalid, match="100 items"):
        parse(items, EXPLICIT_LE, Limits(items=100))


SEED = (
    encode(0x00080005, "CS", b"ISO_IR 192", EXPLICIT)
    + SQ + OPEN + ITEM_START + OPEN + encode(0x0020000E, "UI", b"1.2", EXPLICIT) + ITEM_STOP + SEQUENCE_STOP
    + encode(0x00100010, "PN", b"A^B", EXPLICIT)
    + encode(0x7FE00010, "OW", bytes(16), EXPLICIT)
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(SEED)),
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=6),
    st.sampled_from([IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED]),
)
def test_mutated_bytes_are_read_whole_or_refused(cut: int, changes: list[tuple[int, int]], syntax: str) -> None:
    """Truncated and mutated bytes either round-trip or raise an error of ours, nothing else."""
    data = bytearray(SEED)
    for place, byte in changes:
        data[place] = byte
    data = data[:cut]
    try:
        data_set = parse(bytes(data), syntax)
    except GatewayError:
        return
    assert b"".join(write(data_set)) == data_set.source


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED]))
def test_random_bytes_are_read_whole_or_refused(data: bytes, syntax: str) -> None:
    """Random bytes either round-trip or raise an error of ours, nothing else."""
    try:
        data_set = parse(data, syntax)
    except GatewayError:
        return
    assert b"".join(write(data_set)) == data_set.source
