"""ER7 read and written: delimiters and characters of the message itself, bounds, and no crash on anything."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.privacy.hl7.message import Delimiters, escape, parse, split_messages, unescape, write

HEAD = "MSH|^~\\&|A|B|C|D|20240229||ORU^R01|1|P|2.5"
USUAL = Delimiters("|", "^~\\&")
FIELD = st.text(st.characters(exclude_characters="|\r\n\0\x0b\x1c", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["PID", "OBX", "ZZZ"]), st.lists(FIELD, max_size=5)), max_size=6))
def test_what_is_read_is_written_again(segments: list[tuple[str, list[str]]]) -> None:
    """Fields keep their bytes and their places, whatever is in them."""
    lines = [HEAD, *("|".join([name, *fields]) for name, fields in segments)]
    data = "".join(line + "\r" for line in lines).encode()
    assert write(parse(data)) == data.rstrip(b" \0\r\n") + b"\r" or write(parse(data)) == data


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_refused_and_nothing_else_happens(garbage: bytes, headed: bool) -> None:
    """Any bytes give a message or Invalid."""
    with contextlib.suppress(Invalid):
        write(parse((HEAD.encode() if headed else b"") + garbage))


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=60))
def test_escaped_text_comes_back(text: str) -> None:
    """No delimiter stands by itself, and reading gives the same text."""
    written = escape(text, USUAL)
    assert not set("|^~&") & set(written)
    assert unescape(written, USUAL) == text


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("", "utf-8", "Jané"),
        ("", "latin-1", "Jané"),
        ("8859/1", "latin-1", "Müller"),
        ("8859/5", "iso8859_5", "Иванов"),
        ("8859/7", "iso8859_7", "Νίκος"),
        ("8859/6", "iso8859_6", "محمد"),
        ("UNICODE UTF-8", "utf-8", "张伟"),
        ("UTF-8", "utf-8", "김철수"),
        ("GB 18030-2000", "gb18030", "张乾熳"),
        ("GBK", "gbk", "张乾"),
        ("KS X 1001", "euc_kr", "김철수"),
        ("BIG-5", "big5", "陳功"),
        ("~ISO IR87", "iso2022_jp_2", "山田"),
        ("ASCII~ISO IR87", "iso2022_jp_2", "山田"),
    ],
)
def test_characters_are_read_by_msh_18(declared: str, codec: str, name: str) -> None:
    """Multi-byte characters are decoded before delimiters are looked for, and written back in the same set."""
    data = f"{HEAD}||||||{declared}\rPID|||1||{name}^X".encode(codec)
    message = parse(data)
    assert message.segments[1].get(5) == f"{name}^X"
    assert write(message) == data + b"\r"


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n", "\r\r"])
def test_line_ends_of_any_kind(ending: str) -> None:
    """CR, LF and CRLF end a segment; blank lines are none."""
    assert len(parse(ending.join([HEAD, "PID|1", "PV1|1", ""]).encode()).segments) == 3


def test_the_frame_and_a_byte_order_mark_are_ignored() -> None:
    """MLLP's frame bytes may still be there."""
    assert parse(b"\x0b\xef\xbb\xbf".replace(b"\xef\xbb\xbf", b"") + HEAD.encode() + b"\r\x1c\r").version == "2.5"


def test_other_delimiters_are_the_messages_own() -> None:
    """MSH-1 and MSH-2 decide; a fifth character in MSH-2 is the truncation sign."""
    message = parse(b"MSH#*~!%?#A#B#C#D#20240229##ORU*R01#1#P#2.7\rPID###1*2")
    assert message.delimiters.component == "*"
    assert message.segments[0].fields[1] == "*~!%?"
    assert unescape("a!F!b", message.delimiters) == "a#b"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MSH",
        b"MSH|",
        b"MSH|^^^^|A",
        b"PID|1",
        b"MSHA^~\\&A",
        b"MSH|ab&\\|",
        b"MSH|^~\\&|\rMSH|^~\\&|",
        HEAD.encode() + b"||||||EBCDIC\r",
        HEAD.encode() + b"||||||UNICODE UTF-8\rPID|\xff\xfe",
        (HEAD + "\r" + "A" * 1).encode() + b"\rOBX|" + b"^" * 200_001,
        HEAD.encode() + b"\rZ|" * 20_001,
    ],
)
def test_what_cannot_be_read_whole_is_refused(data: bytes) -> None:
    """Delimiters, character set and counts have to be sound."""
    with pytest.raises(Invalid):
        parse(data)


def test_a_batch_is_its_messages() -> None:
    """FHS and BHS and their trailers stay behind."""
    batch = f"FHS|^~\\&|X\rBHS|^~\\&|SECRET\r{HEAD}\rPID|1\r{HEAD}\rPID|2\rBTS|2\rFTS|1\r".encode()
    messages = split_messages(batch)
    assert [parse(one).segments[1].get(1) for one in messages] == ["1", "2"]
    assert b"SECRET" not in b"".join(messages)
