"""The search for a study's known identity in what was left: scripts, spellings, character sets, and no false alarm."""

from __future__ import annotations

import unicodedata
from dataclasses import fields

import pytest
from harness.checked import clean, identity, judged, part10, problems
from harness.studies import PLANTED, Planted

from gateway.domain.identity import StudyIdentity
from gateway.privacy.checker.residue import Residue

WHO = identity(
    patient_id="MRN-QX-77182",
    patient_name="Müller-Quillfeather^Zebulon^Xavier",
    birth_date="19510317",
    accession_number="0005512877",
    study_id="ST-771",
    study_instance_uid="1.2.826.0.1.77.1",
    referring_physician="Wendehals^Irmgard",
    institution="Nordklinikum Quarz",
    study_date="20260102",
)
KERNEL = 0x00181210
"""Convolution Kernel: a text that the table does not list."""


def left(text: str, charset: bytes = b"ISO_IR 192", codec: str = "utf-8", who: StudyIdentity = WHO) -> bool:
    """Whether the text is found in an unlisted attribute."""
    found = problems({0x00080005: ("CS", charset), KERNEL: ("SH", text.encode(codec))}, None, who)
    assert found in (set(), {"identity at (0018,1210)"})
    return bool(found)


def who_is(planted: Planted) -> StudyIdentity:
    return identity(patient_name=planted.name, patient_id=planted.patient_id, accession_number=planted.accession)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.accession)
def test_names_and_numbers_of_six_scripts_are_found(planted: Planted) -> None:
    """Each part of the name, the identifier and the accession number, alone in a text."""
    words = [*planted.name.split("^"), planted.patient_id, planted.accession]
    assert [word for word in words if not left(f"seen {word} today", who=who_is(planted))] == []


@pytest.mark.parametrize("planted", PLANTED[1:], ids=lambda planted: planted.accession)
@pytest.mark.parametrize("charset", [b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"ISO 2022 IR 87", b""])
def test_a_wrong_character_set_hides_nothing(planted: Planted, charset: bytes) -> None:
    """Bytes in UTF-8 or GB18030 are found whatever the object declares."""
    family = planted.name.split("^")[0]
    for codec in ("utf-8", "gb18030"):
        assert left(family, charset, codec, who_is(planted)), codec


@pytest.mark.parametrize(
    "text",
    [
        "QUILLFEATHER",
        "quillfeather, z.",
        "muller-quillfeather",
        "Mueller",
        unicodedata.normalize("NFD", "Müller"),
        "ＱＵＩＬＬＦＥＡＴＨＥＲ",
        "Xavier",
        "mrn-qx-77182",
        "5512877",
        "0005512877",
        "1951-03-17",
        "17.03.1951",
        "03/17/1951",
        "17 Mar 1951",
        "1951年3月17日",
        "Wendehals",
        "NORDKLINIKUM QUARZ",
        "1.2.826.0.1.77.1",
        "ST-771",
    ],
)
def test_other_spellings_are_found(text: str) -> None:
    """Case, accents, width, leading zeros and orders of a date do not matter."""
    assert left(text)


@pytest.mark.parametrize("text", ["Muellerin", "MRN-QX-771823", "Xaviera", "Quarz", "B30f", "1951", "STANDARD"])
def test_what_only_resembles_is_not_found(text: str) -> None:
    """Words are bounded: a longer word, a part of an institution's name or a year alone is no identifier."""
    assert not left(text)


def test_ideographs_are_found_inside_a_text() -> None:
    """Scripts without blanks have no word boundaries; two characters of a name joined are enough."""
    who = identity(patient_name="王^伟")
    assert left("患者王伟复查", who=who)
    assert not left("王", who=who)


def test_all_component_groups_are_searched() -> None:
    """Ideographic and phonetic writings of a name count like the alphabetic one."""
    who = identity(patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert [text for text in ("Yamada", "山田", "たろう") if not left(text, who=who)] == []


def test_every_depth_is_searched() -> None:
    """An identifier inside a nested item is found with its path."""
    nested = {0x00082218: ("SQ", [{0x00080104: ("LO", b"for Quillfeather")}])}
    assert problems(nested, None, WHO) == {"identity at (0008,2218)[0]/(0008,0104)"}


def test_words_of_the_stamps_are_no_identity() -> None:
    """A patient called like a word of a method's meaning does not condemn every object."""
    who = identity(patient_name="Patient^Basic", patient_id="REMOVED", referring_physician="Inference^Dates")
    assert problems({}, None, who) == set()


def test_a_stamp_of_an_earlier_tool_is_searched() -> None:
    """What stands beside our own sentence is text like any other."""
    method = {0x00120063: ("LO", b"cleaned for Quillfeather\\dxgate PS3.15 2026d inference")}
    assert problems(method, None, WHO) == {"identity at (0012,0063)"}


def test_numbers_are_compared_whole() -> None:
    """An identifier in a number is found, digits inside a longer decimal are not."""
    assert problems({0x00180050: ("DS", b"0005512877")}, None, WHO) == {"identity at (0018,0050)"}
    assert problems({0x00180050: ("DS", b"1.0005512877")}, None, WHO) == set()


def test_bytes_are_searched() -> None:
    """A look-up table that holds a name in any of the usual encodings is found."""
    for codec in ("utf-8", "utf-16-le", "latin-1"):
        table = bytes(64) + "Quillfeather".encode(codec) + bytes(64)
        assert problems({0x00281201: ("OW", table)}, None, WHO) == {"identity at (0028,1201)"}


def test_the_day_of_the_study_is_not_kept() -> None:
    """Where dates are claimed to be modified, the original study date in an acquisition date is found."""
    assert problems({0x00080022: ("DA", b"20260102")}, None, WHO) == {"date-kept at (0008,0022)"}
    assert problems({0x00080022: ("DA", b"20240105")}, None, WHO) == set()


def test_a_search_holds_no_text_form() -> None:
    """Neither it nor the identity can be printed into a log."""
    assert "Quillfeather" not in repr(Residue(WHO)) + str(Residue(WHO))


def test_an_empty_identity_finds_nothing() -> None:
    """A patient without any identifier does not condemn every text."""
    nobody = StudyIdentity(**dict.fromkeys((field.name for field in fields(StudyIdentity)), ""))
    assert judged(part10(clean()), None, nobody).passed
