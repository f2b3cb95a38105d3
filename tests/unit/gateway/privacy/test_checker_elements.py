"""The independent checker and everything that no row of the table names: structure, VRs, stamps, file, limits."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from struct import pack
from typing import Any

import pytest
from harness.checked import (
    BASIC_METHODS,
    INFERENCE_METHODS,
    WHO,
    at_depth,
    claim,
    clean,
    code,
    identity,
    judged,
    part10,
    problems,
)

from gateway.privacy.checker.check import check
from gateway.privacy.checker.marks import MEANINGS
from gateway.privacy.checker.read import Limits
from gateway.privacy.checker.residue import Residue
from gateway.privacy.dataset import DEFLATED_SYNTAXES
from gateway.privacy.part10 import file_header
from gateway.privacy.rules import CID_7050

ORIGINAL = b"1.2.826.0.1.77.9"
ABSENT = None

FOUND: dict[str, tuple[int, tuple[str, Any], str]] = {
    "private element": (0x00091001, ("LO", b"ANYTHING"), "private"),
    "private creator": (0x00090010, ("LO", b"ACME 1.1"), "private"),
    "odd group": (0x00071001, ("LO", b"ANYTHING"), "private"),
    "directory record": (0x00041220, ("SQ", [{}]), "group"),
    "file meta in the data set": (0x00020016, ("AE", b"PACS"), "group"),
    "curve": (0x50000022, ("LO", b"ANYTHING"), "group"),
    "overlay": (0x60003000, ("OW", bytes(4)), "group"),
    "unknown attribute": (0x0008FFF0, ("LO", b"ANYTHING"), "unknown"),
    "another VR than the attribute's": (0x00180050, ("LO", b"ANYTHING"), "vr"),
    "unknown VR": (0x00181210, ("UN", b"ANYTHING"), "vr"),
    "original UID": (0x00080058, ("UI", ORIGINAL), "not-replaced"),
    "original UID, unlisted": (0x00200242, ("UI", ORIGINAL), "uid"),
    "UID of a random UUID": (0x00200052, ("UI", b"2.25.24197857161011619468533960706379782844"), "not-replaced"),
    "UID of another variant": (0x00200052, ("UI", b"2.25.24197857161011921690765492326818683580"), "not-replaced"),
    "second of two UIDs": (0x00080058, ("UI", WHO.uid("1.2").encode() + b"\\" + ORIGINAL), "not-replaced"),
    "name, unlisted": (0x0040A123, ("PN", b"Quillfeather^Zebulon"), "not-replaced"),
    "name, unlisted and seldom": (0x00142006, ("PN", b"Quillfeather^Zebulon"), "value"),
    "application entity": (0x00080054, ("AE", b"PACS1"), "not-removed"),
    "age above 90": (0x00101010, ("AS", b"094Y"), "age"),
    "text in a number": (0x00180050, ("DS", b"Quill"), "number"),
    "text in a date": (0x00080020, ("DA", b"Quill"), "not-replaced"),
    "e-mail address": (0x00181210, ("SH", b"z@example.org"), "address"),
    "telephone number in a description": (0x00081030, ("LO", b"CT, call 030-555-1234"), "not-replaced"),
    "date in a description": (0x00081030, ("LO", b"CT 17.03.1951"), "not-replaced"),
    "another patient's pseudonym": (0x00100020, ("LO", b"0123456789ABCDEF"), "not-replaced"),
    "accession number": (0x00080050, ("SH", b"ACC-5512"), "not-replaced"),
    "encapsulated document": (0x00420011, ("OB", b"%PDF-1.7"), "not-replaced"),
    "unlisted binary": (0x00282000, ("OB", b"PROFILE."), "binary"),
}


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("name", FOUND)
def test_what_may_not_stand_there_is_found(name: str, depth: int) -> None:
    """At the root and inside sequences, each kind of remainder is named with its place."""
    tag, value, _ = FOUND[name]
    found = problems(at_depth(depth, {tag: value}))
    assert any(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" in each for each in found), found


@pytest.mark.parametrize("name", FOUND)
def test_a_problem_names_the_rule_and_no_value(name: str) -> None:
    """What is said of an element is its rule and place; the value is not repeated."""
    tag, (vr, value), rule = FOUND[name]
    found = problems({tag: (vr, value)})
    assert any(each.startswith(rule) for each in found), found
    assert not any("Quill" in each or "ANYTHING" in each or "1951" in each for each in found)


def test_dates_pass_only_where_they_are_claimed() -> None:
    """An unlisted date is allowed under an option for dates and refused under the basic profile."""
    dated: dict[int, tuple[str, Any]] = {0x00141020: ("DA", b"20240105")}
    assert problems(dated) == set()
    assert problems(dated, claim(BASIC_METHODS)) == {"date at (0014,1020)"}


STAMPS: dict[str, dict[int, tuple[str, Any] | None]] = {
    "identity not removed": {0x00120062: ("CS", b"NO")},
    "no flag": {0x00120062: ABSENT},
    "no method": {0x00120063: ABSENT},
    "a foreign method alone": {0x00120063: ("LO", b"other tool")},
    "no codes": {0x00120064: ABSENT},
    "a code too few": {0x00120064: ("SQ", [code(value) for value in sorted(INFERENCE_METHODS)[1:]])},
    "a code with words of its own": {
        0x00120064: ("SQ", [code("113100", "for Quillfeather"), *map(code, sorted(INFERENCE_METHODS))])
    },
    "no word on dates": {0x00280303: ABSENT},
    "dates unmodified": {0x00280303: ("CS", b"UNMODIFIED")},
    "pixels cleaned, text burned in": {
        0x00120064: ("SQ", [code(value) for value in sorted(INFERENCE_METHODS | {"113101"})]),
        0x00280301: ("CS", b"YES"),
    },
}


@pytest.mark.parametrize("name", STAMPS)
def test_each_stamp_is_needed(name: str) -> None:
    """Every stamp that lacks or lies is found."""
    elements = {**clean(), **STAMPS[name]}
    file = part10({tag: value for tag, value in elements.items() if value is not None})
    assert any(problem.code.startswith("stamp") for problem in judged(file).problems)


def test_stronger_and_earlier_stamps_pass() -> None:
    """Dates that were removed before, and methods recorded by an earlier tool, are no contradiction."""
    methods = sorted(INFERENCE_METHODS | {"113109"})
    elements = {
        0x00120063: ("LO", b"other tool\\dxgate PS3.15 2026d inference"),
        0x00120064: ("SQ", [code(value) for value in methods]),
        0x00280303: ("CS", b"REMOVED"),
    }
    assert problems(elements) == set()


def test_both_tables_of_methods_are_the_same() -> None:
    """The checker's own copy of CID 7050 agrees with the engine's where the engine has the code."""
    assert dict(CID_7050.values()).items() <= MEANINGS.items()


@pytest.mark.parametrize(
    "name", ["patient", "study_uid", "series_uid", "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid"]
)
def test_an_object_that_is_not_its_row_is_found(name: str) -> None:
    """A file under another's key does not pass."""
    about = replace(claim(), **{name: "1.2.840.10008.1.2"})
    assert not judged(part10(clean()), about).passed


def test_the_file_around_the_data_set_is_checked() -> None:
    """A preamble with content and a foreign element of group 0002 are found."""
    file = part10(clean())
    assert {str(one) for one in judged(b"#!/bin/sh" + file[9:]).problems} == {"preamble at file"}
    title = b"\x02\x00\x16\x00AE\x04\x00PACS"
    length = int.from_bytes(file[140:144], "little")
    spoiled = file[:140] + pack("<I", length + len(title)) + file[144 : 144 + length] + title + file[144 + length :]
    assert {str(one) for one in judged(spoiled).problems} == {"file-meta at (0002,0016)"}


def test_what_follows_the_pixels_is_checked() -> None:
    """Neither native nor encapsulated pixel data hides what stands behind it."""
    behind = {0x7FE11001: ("LO", b"ANYTHING")}
    assert "private at (7FE1,1001)" in problems(behind)
    fragment = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00" * 2  # looks like the end of the sequence, and is data
    frames = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"\xfe\xff\x00\xe0\x10\x00\x00\x00" + fragment
    pixels = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + frames + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    head = part10({tag: value for tag, value in clean().items() if tag != 0x7FE00010})
    assert judged(head + pixels).passed
    hidden = b"\xe1\x7f\x01\x10LO\x08\x00ANYTHING"
    assert [str(one) for one in judged(head + pixels + hidden).problems] == ["private at (7FE1,1001)"]


def test_sequences_of_undefined_length_are_walked() -> None:
    """An identifier inside items without a length is found with its path."""
    inner = b"\x10\x00\x10\x00PN\x04\x00Quil"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\x00\x00\x00\x00"
    sequence = b"\x08\x00\x18\x22SQ\x00\x00\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    before = part10({tag: value for tag, value in clean().items() if tag < 0x00082218})
    rest = part10({tag: value for tag, value in clean().items() if tag > 0x00082218})
    file = before + sequence + rest[len(part10({})) :]
    assert [str(one) for one in judged(file).problems] == ["not-replaced at (0008,2218)[0]/(0010,0010)"]


def test_the_same_tag_twice_is_found() -> None:
    """A second element of one tag, which many readers would not show, is named."""
    file = part10(clean())
    assert "twice at (7FE0,0010)" in {str(one) for one in judged(file + file[-44:]).problems}


@pytest.mark.parametrize("cut", [1, 7, 20, 33])
def test_a_file_that_is_cut_does_not_pass(cut: int) -> None:
    """What cannot be read whole is a problem, wherever the end is."""
    assert not judged(part10(clean())[:-cut]).passed


def test_leftover_bytes_do_not_pass() -> None:
    """Bytes behind the last element belong to nothing and are not overlooked."""
    assert not judged(part10(clean()) + b"Quill").passed


def test_every_byte_counts() -> None:
    """Whatever byte of the header is turned, the checker gives a verdict and raises nothing."""
    file = part10(clean())
    for at in range(128, len(file) - 32, 3):
        judged(file[:at] + bytes([file[at] ^ 0x81]) + file[at + 1 :])


def test_depth_count_and_size_are_bounded() -> None:
    """Beyond its limits the checker refuses instead of reading on."""
    deep: dict[int, tuple[str, Any]] = {0x00080060: ("CS", b"CT")}
    for _ in range(70):
        deep = {0x00082218: ("SQ", [deep])}
    assert any("too deep" in each for each in problems(deep))
    file = part10(clean())
    assert "too many" in judged(file, limits=Limits(elements=5)).reason
    long = part10({**clean(), 0x00281201: ("OW", bytes(1 << 17))})
    assert judged(long).passed
    assert "too large" in judged(long, limits=Limits(value=1 << 16)).reason
    many = part10({**clean(), 0x00082218: ("SQ", [{0x00080060: ("CS", b"CT")}] * 300)})
    assert "too slow" in judged(many, limits=Limits(seconds=-1)).reason


@pytest.mark.parametrize("syntax", sorted(DEFLATED_SYNTAXES))
def test_a_deflated_object_is_inflated_within_bounds(syntax: str) -> None:
    """In every syntax that the engine deflates it is read like any other; beyond the limit it is refused."""
    about = claim(syntax=syntax)
    body = part10(clean())[len(part10({})) :]
    deflate = zlib.compressobj(wbits=-15)
    file = file_header(about.sop_class_uid, about.sop_instance_uid, syntax) + deflate.compress(body) + deflate.flush()
    assert judged(file, about).passed
    assert "too large" in judged(file, about, limits=Limits(inflated=100)).reason


def test_deflated_frames_leave_the_data_set_as_it_is() -> None:
    """Deflated Image Frame Compression (PS3.5 A.4.13) deflates frames of pixel data and nothing else."""
    about = claim(syntax="1.2.840.10008.1.2.8.1")
    body = part10(clean())[len(part10({})) :]
    assert judged(
        file_header(about.sop_class_uid, about.sop_instance_uid, about.transfer_syntax_uid) + body, about
    ).passed


def test_facts_for_the_rule_are_read() -> None:
    """Image type, burned-in annotation and the presence of pixels are told along with the verdict."""
    facts = judged(part10({**clean(), 0x00280301: ("CS", b"YES")})).facts
    assert (facts.image_type, facts.burned_in, facts.has_pixels) == (("ORIGINAL", "PRIMARY"), "YES", True)


def test_no_warning_quotes_the_file(recwarn: pytest.WarningsRecorder) -> None:
    """pydicom's warning about an unknown character set, which repeats it, does not come out."""
    assert judged(part10({**clean(), 0x00080005: ("CS", b"QUILLFEATHER")})).facts.has_pixels
    assert len(recwarn) == 0


def test_what_has_passed_is_remembered_in_its_own_place_only() -> None:
    """A value that passes in one attribute is judged anew in another, under another VR, and for another patient."""
    assert problems({0x00080060: ("CS", b"CT")}) == set()
    assert problems({0x00081030: ("LO", b"CT CHEST")}) == set()
    for _ in range(2):  # nothing is remembered of what did not pass
        assert problems({0x00081010: ("SH", b"CT CHEST")}) == {"not-replaced at (0008,1010)"}
        assert problems({0x00081030: ("PN", b"CT CHEST")}) == {"vr at (0008,1030)"}
    other = replace(claim(), patient="0" * 16)
    assert "not-replaced at (0010,0010)" in problems({0x00100010: ("PN", WHO.patient_id().encode())}, other)


def test_a_study_searched_before_is_still_searched() -> None:
    """What one object's texts have cleared clears no other text, and one that names the patient is found each time."""
    who = identity(patient_name="Quillfeather^Zebulon")
    residue = Residue(who)
    clear, named = ({**clean(), 0x00081030: ("LO", text)} for text in (b"CT CHEST", b"Quillfeather"))
    for _ in range(2):
        assert check(io.BytesIO(part10(clear)), len(part10(clear)), claim(), residue).passed
        verdict = check(io.BytesIO(part10(named)), len(part10(named)), claim(), residue)
        assert [str(problem) for problem in verdict.problems] == ["identity at (0008,1030)"]
