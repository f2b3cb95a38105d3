"""Claims about the report as HTML and as PDF."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from datetime import timedelta
from importlib.util import find_spec

import fixtures_report as sample
import pytest
from harness.rows import review

from gateway.domain.recall import Recall
from gateway.domain.report import ReportContent
from gateway.flow.read_reports import OpenedReport
from gateway.formats.fhir import pdf_fonts
from gateway.formats.fhir.printed_pdf import printed_pdf
from gateway.formats.fhir.printed_report import printed_report
from gateway.formats.fhir.render import render
from gateway.formats.fhir.report_page import report_page

NAME = "General Hospital AI"


def signed(status: str = "final") -> OpenedReport:
    document = sample.malignant(status=status, version=2)
    return dataclasses.replace(document, reviews=(review(document.report, base_version=1, models=(sample.MODEL,)),))


def test_both_forms_have_size_and_hash() -> None:
    """Attachment.hash is SHA-1 in base64 over the data, as R4 has it."""
    for form in render(sample.malignant(), "https://gateway.example/fhir", NAME).report["presentedForm"]:
        data = base64.b64decode(form["data"])
        assert form["size"] == len(data)
        assert form["hash"] == base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def test_the_frame_says_preliminary_until_somebody_has_signed() -> None:
    """Unsigned, withdrawn and recalled versions carry a frame; a signed one its signer instead."""
    frames = {
        status: [each.text for each in report_page(sample.malignant(status=status), NAME) if each.kind == "frame"]
        for status in ("preliminary", "cancelled", "entered-in-error")
    }
    assert frames["preliminary"][0].startswith("PRELIMINARY – AI ASSISTED")
    assert frames["cancelled"][0].startswith("Withdrawn")
    assert frames["entered-in-error"][0].startswith("Entered in error")
    page = printed_report(signed(), NAME)
    assert 'class="mark"' not in page
    assert "Dr. Rita Reader, Radiologist" in page
    recall = Recall(sample.MODEL, "breast-ultrasound", "1.0.0", "wrong threshold", sample.AT, "x")
    assert "was recalled: wrong threshold" in printed_report(dataclasses.replace(signed(), recalls=(recall,)), NAME)


def test_a_pdf_is_the_same_bytes_for_the_same_version() -> None:
    """A retry sends what was sent before, also after another text with other fonts."""
    first = printed_pdf(sample.malignant("chinese"), NAME)
    printed_pdf(sample.benign("japanese"), NAME)
    assert printed_pdf(sample.malignant("chinese"), NAME) == first
    assert first.startswith(b"%PDF-1.")


@pytest.mark.skipif(find_spec("pylopdf_fonts_zh_cn") is None, reason="the extra cjk is not installed")
def test_chinese_names_are_drawn_with_an_embedded_font() -> None:
    """Two texts after each other get their own characters, and nothing is replaced by boxes."""
    for who, text in (("chinese", "欧阳娜娜"), ("japanese", "山田太郎")):
        with pdf_fonts.typeface(text) as made:
            assert made.others == set(text)
            assert not made.lacks
        assert printed_pdf(sample.benign(who), NAME).count(b"/FontFile2") == 2


def test_what_no_font_has_is_shown_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A box stands for a missing character, with the extra for Hangul, without it for Chinese as well."""
    with pdf_fonts.typeface("한 a") as made:
        assert (made.lacks, made.marked("한 a")) == ({"한"}, "[] a")
    monkeypatch.setattr(pdf_fonts, "_source", lambda: None)
    pdf_fonts._repertoire.cache_clear()
    try:
        with pdf_fonts.typeface("欧阳") as made:
            assert made.lacks == set("欧阳")
        assert printed_pdf(sample.benign("chinese"), NAME).count(b"/FontFile2") == 1
    finally:
        pdf_fonts._repertoire.cache_clear()


@pytest.mark.parametrize("text", ["<b>x &y</b>\x00\u202e'\"", "行\n" * 1500, "x" * 9000, "[] {} % \\ ( )" * 500])
def test_no_text_from_outside_breaks_a_page(text: str) -> None:
    """Markup, control characters, endless words and more than a thousand lines make a PDF all the same."""
    document = sample.hostile(text)
    assert document.version.content is not None
    content = dataclasses.replace(document.version.content, conclusion=text)
    document = dataclasses.replace(document, version=dataclasses.replace(document.version, content=content))
    assert printed_pdf(document, text).rstrip().endswith(b"%%EOF")


def test_a_picture_that_is_none_is_left_out() -> None:
    """A PNG that cannot be decoded costs the picture, not the report."""
    broken = dataclasses.replace(sample.malignant(), pictures={sample.HEAT_MAP: b"\x89PNG\r\n\x1a\nnothing"})
    assert printed_pdf(broken, NAME).startswith(b"%PDF")
    empty = sample.opened(ReportContent((), (), "Nothing."), "cancelled")
    assert printed_pdf(empty, NAME).startswith(b"%PDF")


def test_a_signed_version_is_issued_when_it_was_signed() -> None:
    """A later version that only carries a warning keeps the time of the signature."""
    document = signed()
    later = dataclasses.replace(document.version, version=3, created_at=sample.AT + timedelta(days=3))
    flagged = dataclasses.replace(document, version=later)
    assert render(flagged, "https://gateway.example/fhir", NAME).report["issued"] == "2026-11-03T09:30:15.250Z"
