"""Dates in texts: moved with the patient's other dates, or removed where they are not certain."""

from __future__ import annotations

import pytest

from gateway.privacy.free_text.clean import FreeText
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.pseudonyms import Pseudonymiser

PATIENT = Pseudonymiser(b"s" * 32, b"d" * 32)
MOVED = PATIENT.shift_date("20240229") or ""
DAY = f"[DATE {MOVED[:4]}-{MOVED[4:6]}-{MOVED[6:]}]"
TEXTS = FreeText(KnownIdentity(), PATIENT.shift_date)


@pytest.mark.parametrize(
    "written",
    [
        "2024-02-29",
        "2024/02/29",
        "20240229",
        "29.02.2024",
        "29/02/2024",
        "02/29/2024",
        "Feb 29, 2024",
        "29 February 2024",
        "29-FEB-2024",
        "29. Februar 2024",
        "29 février 2024",
        "29 de febrero de 2024",
        "29 февраля 2024",
        "29 Φεβρουαρίου 2024",
        "2024年2月29日",
        "2024년 2월 29일",
        "２０２４-０２-２９",
        "29 فبراير 2024",
    ],
)
def test_one_day_in_any_writing_becomes_one_day(written: str) -> None:
    """Orders, signs, month names and scripts meet in the same shifted date."""
    assert TEXTS.clean(f"seen {written} and well").text == f"seen {DAY} and well"


@pytest.mark.parametrize(
    "written", ["2/3/24", "29.02.24", "February 29", "2月29日", "令和6年2月29日", "03/04/2024", "31/31/2024"]
)
def test_what_is_not_certain_is_removed(written: str) -> None:
    """No guess at a century, an order of day and month, or a year."""
    assert TEXTS.clean(f"seen {written} well").text == "seen [DATE] well"


def test_the_order_shown_by_one_date_holds_for_the_others() -> None:
    """29/02/2024 in the same text tells how to read 03/04/2024."""
    april = PATIENT.shift_date("20240403") or ""
    assert f"{april[:4]}-{april[4:6]}-{april[6:]}" in TEXTS.clean("29/02/2024 then 03/04/2024").text


def test_precision_is_kept() -> None:
    """A month stays a month, a year a year."""
    assert TEXTS.clean("since 03/2023.").text.count("-") == 1
    assert TEXTS.clean("operated in 2019").text.startswith("operated in [DATE 20")


def test_numbers_that_only_look_like_years_stay() -> None:
    """Volumes and doses are no dates."""
    assert TEXTS.clean("in 2000 ml saline, 1950 mg").text == "in 2000 ml saline, 1950 mg"


@pytest.mark.parametrize(
    "text",
    ["DOB: 1961-02-03", "geb. 03.02.1961", "Né le 03/02/1961", "出生日期：1961年2月3日", "born on 3 February 1961"],
)
def test_birth_dates_are_removed(text: str) -> None:
    """A shifted birth date would tell the shift."""
    assert "[DATE]" in TEXTS.clean(text).text


def test_an_offset_goes_and_a_clock_time_stays() -> None:
    """The offset from UTC tells the region; the time of day is kept for inference."""
    assert TEXTS.clean("at 2024-02-29T08:15:00+08:00").text == f"at {DAY}"
    assert TEXTS.clean("at 2024-02-29 08:15").text == f"at {DAY} 08:15"


def test_without_a_shift_every_date_goes() -> None:
    """The profile may keep no dates at all."""
    assert FreeText(KnownIdentity()).clean("seen 2024-02-29").text == "seen [DATE]"
