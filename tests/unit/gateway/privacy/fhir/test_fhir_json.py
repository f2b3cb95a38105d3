"""JSON keeps its numbers and its order, and nothing deep, double or endless is built."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.privacy.fhir import json_text
from gateway.privacy.fhir.json_text import parse, write

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_what_is_read_is_written_again(value: object) -> None:
    """Every document comes back in its own form."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert write(parse(written)) == written


@pytest.mark.parametrize("number", ["72.50", "1.0E+2", "-0.0", "0.345", "12345678901234567890.10", "1e-7"])
def test_numbers_keep_their_form(number: str) -> None:
    """Precision is part of a measured value (FHIR 2.24.0.1)."""
    assert write(parse(f'{{"value":{number}}}'.encode())) == f'{{"value":{number}}}'.encode()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.text(alphabet='{}[]":,\\1ea ', max_size=60).map(str.encode))
def test_garbage_is_refused_and_nothing_else_happens(data: bytes) -> None:
    """Any bytes give a document or Invalid."""
    with contextlib.suppress(Invalid):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":01}',
        b"\xff",
        b'{"a":"\\ud800"}',
        b"[" * 100 + b"]" * 100,
        b"[" * 100_000,
        b'{"a":"\n"}',
    ],
)
def test_what_is_not_sound_is_refused(data: bytes) -> None:
    """Double keys, other numbers, half characters and depth."""
    with pytest.raises(Invalid):
        parse(data)


def test_size_and_count_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built."""
    monkeypatch.setattr(json_text, "MOST_TOKENS", 10)
    with pytest.raises(Invalid, match="more than 10"):
        parse(b"[" + b"1," * 20 + b"1]")
    monkeypatch.setattr(json_text, "MOST_BYTES", 10)
    with pytest.raises(Invalid, match="longer"):
        parse(b'"aaaaaaaaaaaa"')
