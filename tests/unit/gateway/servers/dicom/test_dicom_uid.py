"""UIDs from the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.servers.dicom.uid import encode_uid, parse_uid


@given(st.binary(max_size=80))
def test_whatever_is_a_uid_is_safe(value):
    """Text that passes has digits and dots only, at most 64, and no empty component."""
    uid = parse_uid(value)
    if uid is not None:
        assert set(uid) <= set("0123456789.")
        assert 0 < len(uid) <= 64
        assert "" not in uid.split(".")


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=4))
def test_uids_survive_their_padding(parts):
    """A UID encoded to even length is parsed back."""
    uid = ".".join(map(str, parts))
    assert len(encode_uid(uid)) % 2 == 0
    assert parse_uid(encode_uid(uid)) == uid


@pytest.mark.parametrize("value", [b"", b"\0", b"1.2\0\0", b"1..2", b".1", b"1.", b"1.2\n", b"1" * 65, "１".encode()])
def test_what_is_no_uid(value):
    """Empty, doubly padded, empty components, line ends, 65 digits and wide digits are no UIDs."""
    assert parse_uid(value) is None
