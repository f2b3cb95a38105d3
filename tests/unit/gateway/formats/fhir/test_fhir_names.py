"""Claims about names, identifiers and text from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.formats.fhir.human_name import display_name, human_names
from gateway.formats.fhir.identifier import issuer_system, issuers_of, medical_record_number
from gateway.formats.fhir.text import exact, line, paragraphs


def test_five_components_become_family_given_prefix_and_suffix() -> None:
    """Family^Given^Middle^Prefix^Suffix of PS3.5 6.2.1 go to their places."""
    assert human_names("Quillfeather^Zebulon^Xavier^Dr^Jr") == [
        {
            "use": "official",
            "text": "Dr Zebulon Xavier Quillfeather Jr",
            "family": "Quillfeather",
            "given": ["Zebulon", "Xavier"],
            "prefix": ["Dr"],
            "suffix": ["Jr"],
        }
    ]


def test_each_representation_is_named() -> None:
    """Three groups become three names marked ABC, IDE and SYL, the family first in East Asian ones."""
    names = human_names("Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert [name["extension"][0]["valueCode"] for name in names] == ["ABC", "IDE", "SYL"]
    assert [name["text"] for name in names] == ["Tarou Yamada", "山田 太郎", "やまだ たろう"]


def test_an_empty_first_group_is_skipped() -> None:
    """=山田^太郎 is one ideographic name."""
    (name,) = human_names("=山田^太郎")
    assert name["extension"][0]["valueCode"] == "IDE"


@pytest.mark.parametrize("empty", ["", "^^^^", "==", "\x00", "  ^ "])
def test_a_name_that_says_nothing_is_no_name(empty: str) -> None:
    """Delimiters, blanks and control characters alone give no HumanName."""
    assert human_names(empty) == []
    assert display_name(empty) == ""


@pytest.mark.parametrize(
    ("issuer", "system"),
    [
        ("1.2.36.146.595.217.0.1", "urn:oid:1.2.36.146.595.217.0.1"),
        ("https://hospital.example/mrn", "https://hospital.example/mrn"),
        ("Städtisches Klinikum", "urn:dxgate:issuer:St%C3%A4dtisches%20Klinikum"),
        ("1.02.3", "urn:dxgate:issuer:1.02.3"),
        ("", None),
    ],
)
def test_an_issuer_becomes_a_system(issuer: str, system: str | None) -> None:
    """OID, URI, or a name made into a URI; nothing where there is no issuer."""
    assert issuer_system(issuer) == system


@given(st.text(min_size=1, max_size=64).map(exact).filter(bool))
def test_an_issuer_is_among_those_found_by_its_system(issuer: str) -> None:
    """What `issuer_system` writes, `issuers_of` reads back, so that a search by system finds the patient."""
    system = issuer_system(issuer)
    assert system is not None
    assert issuer in issuers_of(system)


def test_inner_spaces_of_an_identifier_are_kept() -> None:
    """Two numbers that differ by a space are two numbers."""
    found = medical_record_number(" 12  34 ", "")
    assert found is not None
    assert found["value"] == "12  34"


@given(st.text(max_size=400))
def test_cleaned_text_is_bounded_and_has_no_control_character(text: str) -> None:
    """Every cleaning keeps its limit, drops control characters and surrogates, and encodes as UTF-8."""
    for cleaned in (line(text, 50), exact(text, 50), paragraphs(text, 50)):
        assert len(cleaned) <= 50
        assert cleaned == cleaned.strip()
        assert all(each >= " " or each in "\n\t" for each in cleaned)
        cleaned.encode("utf-8")


def test_text_in_any_script_is_kept() -> None:
    """Joiners of Persian, accents and ideographs are not control characters."""
    for text in ("می\u200cخواهم", "Überkühn", "欧阳娜娜", "Ξενοφών"):
        assert line(text) == text
