"""Sealing: what is opened is what was sealed, in its place, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.privacy.sealing import (
    WrappingKey,
    column_key_id,
    open_column,
    open_sealed,
    read_range,
    read_sealed_header,
    rewrap,
    seal,
    seal_column,
)

KEY = WrappingKey("patient-1", b"k" * 32)
AAD = b"tenant|object-1"
PLAIN = bytes(range(256)) * 4
STRIDE = 100 + 16


def sealed(plain: bytes = PLAIN, segment: int = 100, aad: bytes = AAD) -> bytes:
    return b"".join(seal([plain[:7], memoryview(plain)[7:]], KEY, aad, segment))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=700), st.integers(1, 300))
def test_what_is_sealed_opens(plain: bytes, segment: int) -> None:
    """Any content in any segment size comes back, the empty one included."""
    blob = sealed(plain, segment)
    assert open_sealed(blob, KEY.unwrap, AAD) == plain
    assert len(plain) < 16 or plain not in blob


@given(st.integers(0, len(PLAIN)), st.integers(0, len(PLAIN)))
def test_any_range_is_read_from_its_segments_only(start: int, length: int) -> None:
    """A range equals the slice and touches no segment outside it."""
    blob, touched = sealed(), []
    header = read_sealed_header(blob)

    def read(offset: int, size: int) -> bytes:
        touched.append((offset, size))
        return blob[offset : offset + size]

    length = min(length, len(PLAIN) - start)
    found = read_range(read, len(blob), KEY.unwrap, AAD, start=start, length=length)
    assert found == PLAIN[start : start + length]
    segments = {(offset - header.size) // STRIDE for offset, _ in touched[1:]}
    assert len(segments) <= length // 100 + 2


def test_a_range_past_the_end_is_invalid() -> None:
    """Reading past the end, or before the start, is refused."""
    blob = sealed()
    for start, length in ((0, len(PLAIN) + 1), (-1, 2), (len(PLAIN) + 1, 0)):
        with pytest.raises(Invalid, match="past the end"):
            read_range(lambda at, n: blob[at : at + n], len(blob), KEY.unwrap, AAD, start=start, length=length)


def refused(blob: bytes, aad: bytes = AAD, key: WrappingKey = KEY) -> None:
    with pytest.raises(Invalid):
        open_sealed(blob, key.unwrap, aad)


def test_every_altered_byte_is_noticed() -> None:
    """Flipping any bit of header or segments makes the object refuse to open."""
    blob = sealed(PLAIN[:250])
    for place in range(len(blob)):
        refused(blob[:place] + bytes((blob[place] ^ 1,)) + blob[place + 1 :])


def test_every_truncation_is_noticed() -> None:
    """Cut anywhere, between segments too, or lengthened, it does not open."""
    blob = sealed(PLAIN[:250])
    for length in range(len(blob)):
        refused(blob[:length])
    refused(blob + b"\0")
    refused(blob + bytes(STRIDE))


def test_segments_cannot_change_places() -> None:
    """Two segments swapped, or one repeated, do not open."""
    blob = sealed()
    start = read_sealed_header(blob).size
    one, two = blob[start : start + STRIDE], blob[start + STRIDE : start + 2 * STRIDE]
    refused(blob[:start] + two + one + blob[start + 2 * STRIDE :])
    refused(blob[:start] + one + one + blob[start + 2 * STRIDE :])


def test_objects_cannot_change_places() -> None:
    """An object under another id, or with another object's segments or wrapped key, does not open."""
    one, two = sealed(), sealed(bytes(len(PLAIN)))
    size = read_sealed_header(one).size
    refused(one, aad=b"tenant|object-2")
    refused(one[:size] + two[size:])
    refused(two[:17] + one[17:])


def test_another_version_or_algorithm_is_refused() -> None:
    """A header that claims an older format or another algorithm is not tried."""
    blob = sealed()
    for place in (4, 5):
        refused(blob[:place] + b"\0" + blob[place + 1 :])
    refused(b"PLAIN" + blob[5:])


def test_another_segment_size_is_refused() -> None:
    """The segment size is authenticated: no other cutting of the same bytes opens."""
    blob = sealed(PLAIN[:90])
    refused(blob[:13] + (50).to_bytes(4, "little") + blob[17:])


def test_another_key_does_not_open() -> None:
    """The wrong key is refused, by its id and by its value."""
    refused(sealed(), key=WrappingKey("patient-2", b"k" * 32))
    refused(sealed(), key=WrappingKey("patient-1", b"x" * 32))


def test_rewrapping_rotates_the_key_and_keeps_the_segments() -> None:
    """After rewrap the new key opens, the old one does not, and no segment has changed."""
    blob, new = sealed(), WrappingKey("patient-1-b", b"n" * 32)
    header = read_sealed_header(blob)
    rotated = rewrap(header, KEY.unwrap, new).to_bytes() + blob[header.size :]
    assert open_sealed(rotated, new.unwrap, AAD) == PLAIN
    refused(rotated)


def test_two_sealings_share_nothing() -> None:
    """The same content sealed twice has another data key and other bytes."""
    one, two = sealed(), sealed()
    assert read_sealed_header(one).wrapped != read_sealed_header(two).wrapped
    assert one[-50:] != two[-50:]


def test_a_cell_opens_in_its_own_place_only() -> None:
    """A sealed column value is bound to table, column, row and key."""
    cell = seal_column(b"value", KEY, "patient", "secret", "7")

    def key_for(kid: str) -> WrappingKey:
        return KEY

    assert column_key_id(cell) == "patient-1"
    assert open_column(cell, key_for, "patient", "secret", "7") == b"value"
    for place in (("study", "secret", "7"), ("patient", "other", "7"), ("patient", "secret", "8")):
        with pytest.raises(Invalid):
            open_column(cell, key_for, *place)
    for byte in range(len(cell)):
        altered = cell[:byte] + bytes((cell[byte] ^ 1,)) + cell[byte + 1 :]
        with pytest.raises(Invalid):
            open_column(altered, key_for, "patient", "secret", "7")
    with pytest.raises(Invalid):
        open_column(cell[:20], key_for, "patient", "secret", "7")


def test_keys_have_no_text_form() -> None:
    """A key's repr shows its id only."""
    assert repr(KEY) == "WrappingKey('patient-1', …)"
