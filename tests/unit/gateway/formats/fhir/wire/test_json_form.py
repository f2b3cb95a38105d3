"""FHIR JSON in and out: nothing is lost, and what is no bounded JSON object is refused with its place."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.formats.fhir.wire import json_form
from gateway.formats.fhir.wire.decimal_literal import NUMBER
from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import encode_json, parse_json

LITERALS = ["1.20E2", "72.50", "-0.0", "-0", "0.00", "1e3", "1E-11", "0.00000000001", "100e0", "-1.5e+07"]
LITERALS += ["123456789012345678901234567890", "0.1234567890123456789", "18446744073709551616", "7"]


@pytest.mark.parametrize("literal", LITERALS)
def test_a_number_is_written_as_it_came(literal: str) -> None:
    """Digits, sign of zero and exponent survive, also through copying and pickling."""
    body = b'{"resourceType":"Basic","value":' + literal.encode() + b"}"
    parsed = parse_json(body)
    assert encode_json(parsed) == body
    assert encode_json(copy.deepcopy(parsed)) == body
    assert encode_json(pickle.loads(pickle.dumps(parsed))) == body  # noqa: S301


@given(st.from_regex(NUMBER, fullmatch=True))
def test_any_number_is_kept_or_refused(literal: str) -> None:
    """No JSON number comes out changed: it is kept to the letter or refused as out of bounds."""
    body = b'{"a":' + literal.encode() + b"}"
    try:
        parsed = parse_json(body)
    except InvalidResource:
        return
    assert encode_json(parsed) == body


REFUSED = {
    "twice": (b'{"resourceType":"Patient","name":[{"text":"a","text":"b"}]}', "Patient.name[0].text"),
    "twice at the root": (b'{"id":"a","resourceType":"Patient","id":"b"}', "Patient.id"),
    "twice beside an escaped colon": (b'{"resourceType":"Basic","id":"a","id":"b","language":"\\u003a"}', "Basic.id"),
    "twice among colons": (b'{"resourceType":"Basic","a:b":"c:d","a:b":"e"}', "Basic.a:b"),
    "NUL": (b'{"resourceType":"Patient","language":"\\u0000"}', "Patient.language"),
    "half a pair": (b'{"resourceType":"Patient","language":"\\uD83D"}', "Patient.language"),
    "half a pair in a key": (b'{"resourceType":"Patient","\\udc00":1}', "Patient"),
    "a list": (b"[]", ""),
    "a word": (b'"Patient"', ""),
    "nothing": (b"", ""),
    "no UTF-8": (b'{"a":"\xff"}', ""),
    "a raw control character": (b'{"a":"\x01"}', ""),
    "NaN": (b'{"a":NaN}', ""),
    "Infinity": (b'{"a":-Infinity}', ""),
    "a huge exponent": (b'{"a":1e999999999}', ""),
    "a long number": (b'{"a":' + b"9" * 5000 + b"}", ""),
    "two documents": (b"{}{}", ""),
    "deep": (b'{"a":' * 70 + b"1" + b"}" * 70, ""),
    "very deep": (b"[" * 200_000, ""),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_no_bounded_json_object_is_refused(case: str) -> None:
    """Each is refused with one finding, at its element where there is one."""
    body, expression = REFUSED[case]
    with pytest.raises(InvalidResource) as caught:
        parse_json(body)
    assert [issue.expression for issue in caught.value.issues] == [expression]


@pytest.mark.parametrize("depth", [70, 200_000])
def test_depth_is_told_as_depth(depth: int) -> None:
    """What the parser itself cannot follow is too deep, not ill-formed."""
    with pytest.raises(InvalidResource, match="nested deeper than 64") as caught:
        parse_json(b'{"a":' * depth + b"1" + b"}" * depth)
    assert caught.value.issues[0].code == "too-costly"


def test_a_refusal_does_not_echo_a_value() -> None:
    """The text of an error holds nothing of the body, which may be a name."""
    with pytest.raises(InvalidResource) as caught:
        parse_json(b'{"resourceType":"Patient","name":"Quillfeather",}')
    assert "Quillfeather" not in str(caught.value)
    assert "line 1, column" in str(caught.value)


def test_size_and_count_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body over the limit of bytes or of values is refused before it is read."""
    with pytest.raises(InvalidResource, match="longer than 10 bytes"):
        parse_json(b'{"a":"0123456789"}', most_bytes=10)
    monkeypatch.setattr(json_form, "MOST_VALUES", 3)
    with pytest.raises(InvalidResource, match="more than 3 values"):
        parse_json(b'{"a":[1,2,3,4]}')


def test_a_byte_order_mark_is_no_part_of_the_resource() -> None:
    """What some senders put before the text is passed over (RFC 8259 section 8.1)."""
    assert parse_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    """Nothing but InvalidResource ever leaves, and what was parsed can be written."""
    try:
        parsed = parse_json(body)
    except InvalidResource:
        return
    assert parse_json(encode_json(parsed)) == parsed
