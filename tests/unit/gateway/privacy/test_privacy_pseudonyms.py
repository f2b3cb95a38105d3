"""Pseudonyms: keyed, stable, in the formats that DICOM, FHIR and HL7 accept."""

from __future__ import annotations

import re
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser, blind_index

PATIENT = Pseudonymiser(b"s" * 32, b"d" * 32, "A-")
OTHER_PATIENT = Pseudonymiser(b"t" * 32, b"d" * 32, "A-")
OTHER_DOMAIN = Pseudonymiser(b"s" * 32, b"e" * 32, "A-")


def test_values_are_a_wire_law() -> None:
    """Stored objects depend on the derivation: these values never change."""
    assert PATIENT.patient_id() == "A-P676YJ2RSC9TVSZ3"
    assert PATIENT.uid("1.2.3") == "2.25.280786036885348451577301387710524376232"
    assert PATIENT.accession("A1") == "A1N4TEQP05YJHSS1"
    assert PATIENT.date_shift_days == 1169


def test_patients_and_domains_have_nothing_in_common() -> None:
    """Another secret or another domain key changes every value."""
    for other in (OTHER_PATIENT, OTHER_DOMAIN):
        assert PATIENT.patient_id() != other.patient_id()
        assert PATIENT.accession("A1") != other.accession("A1")
        assert PATIENT.uid("1.2.3") != other.uid("1.2.3")
        assert PATIENT.fhir_id("Patient/1") != other.fhir_id("Patient/1")
        assert PATIENT.hl7_id("V1") != other.hl7_id("V1")
        assert PATIENT.vault_key() != other.vault_key()


def test_formats() -> None:
    """Identifiers fit SH, FHIR ids and UID syntax; UIDs are version 8 UUIDs."""
    assert re.fullmatch(r"A-[0-9A-HJKMNP-TV-Z]{16}", PATIENT.patient_id())
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{16}", PATIENT.accession(" a1 "))
    assert re.fullmatch(r"[A-Za-z0-9\-.]{26}", PATIENT.fhir_id("x"))
    uid = PATIENT.uid("1.2.3")
    made = UUID(int=int(uid.removeprefix("2.25.")))
    assert len(uid) <= 44
    assert (made.version, made.variant) == (8, "specified in RFC 4122")


def test_spellings_of_one_identifier_meet() -> None:
    """Case, width and padding do not make another patient or accession number."""
    assert IdentityKey("h", "ｍｒｎ１ ") == IdentityKey("H", "MRN1\0")
    assert PATIENT.accession("acc-1 ") == PATIENT.accession("ACC-1")
    assert IdentityKey("A", "B1").indexed() != IdentityKey("AB", "1").indexed()
    assert blind_index(b"k" * 32, b"v") != blind_index(b"l" * 32, b"v")
    assert len(blind_index(b"k" * 32, b"v")) == 16


def test_uids_of_the_standard_stay() -> None:
    """Well-known UIDs are not replaced, empty ones stay empty."""
    assert PATIENT.uid("1.2.840.10008.15.1.1\0") == "1.2.840.10008.15.1.1"
    assert PATIENT.uid("") == ""
    assert PATIENT.uid("1.2.840.10008.SMITH").startswith("2.25.")


@given(st.binary(min_size=32, max_size=32))
def test_the_shift_is_whole_weeks_of_one_to_five_years(secret: bytes) -> None:
    """Every patient's shift keeps the weekday and lies between 365 and 1825 days."""
    days = Pseudonymiser(secret, b"d" * 32).date_shift_days
    assert days % 7 == 0
    assert 365 <= days <= 1825


@given(st.dates(min_value=date(1900, 1, 1)), st.dates(min_value=date(1900, 1, 1)))
def test_gaps_between_dates_are_kept(one: date, other: date) -> None:
    """The days between two dates of a patient stay, leap years included."""
    moved = [PATIENT.shift_date(day.strftime("%Y%m%d")) or "" for day in (one, other)]
    first, second = (date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in moved)
    assert second - first == other - one
    assert first < one


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20240229", "DAY"),
        ("2024.02.29", "DAY"),
        ("20240229-", "DAY-"),
        ("-20240229", "-DAY"),
        ("20240229-20240229", "DAY-DAY"),
        ("20240229\\20240229", "DAY\\DAY"),
        ("", ""),
    ],
)
def test_date_forms(value: str, expected: str) -> None:
    """Old notation, ranges and several values are shifted value by value."""
    day = PATIENT.shift_date("20240229")
    assert day is not None
    assert PATIENT.shift_date(value) == expected.replace("DAY", day)


@pytest.mark.parametrize("value", ["SMITH", "20241301", "202402290", "00010101", "20240229X", "٢٠٢٤٠٢٢٩"])
def test_what_is_not_a_date_is_not_shifted(value: str) -> None:
    """Anything that is not a date gives None, so that the caller removes it."""
    assert PATIENT.shift_date(value) is None
    assert PATIENT.shift_datetime(value) is None


def test_datetimes_keep_precision_and_lose_their_offset() -> None:
    """A DT keeps as many parts as it had and drops the offset from UTC."""
    day = PATIENT.shift_date("20240229") or ""
    assert PATIENT.shift_datetime("20240229081530.123456+0100") == day + "081530.123456"
    assert PATIENT.shift_datetime("2024022908-0500") == day + "08"
    assert len(PATIENT.shift_datetime("2024") or "") == 4
    assert len(PATIENT.shift_datetime("202402") or "") == 6


def test_secrets_have_no_text_form() -> None:
    """Neither keys nor identity show in a repr."""
    assert repr(PATIENT) == "Pseudonymiser(…)"
    assert repr(IdentityKey("H", "MRN1")) == "IdentityKey(…)"
