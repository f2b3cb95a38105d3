"""Codes of packs: a mistyped SNOMED CT or LOINC code is found by its own check digit."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.flow.record import final_report
from gateway.formats.fhir import agreement_codes
from models.registry import BUILT_IN
from models.training import exclusions

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
PACKS = {
    "chd-risk": (exclusions.CORONARY,),
    "diabetes-risk": (exclusions.DIABETES, exclusions.BLOOD_SUGAR),
    "incident-diabetes": (exclusions.DIABETES,),
}


def _times(a: int, b: int) -> int:
    """The product of the dihedral group D5, in which Verhoeff's digit is computed."""
    if a < 5:
        return (a + b) % 5 if b < 5 else (a + b) % 5 + 5
    return (a - b) % 5 + 5 if b < 5 else (a - b) % 5


def _snomed_holds(code: str) -> bool:
    """SNOMED CT, Release File Specification 5.5: the Verhoeff digit of the whole identifier is 0."""
    rows = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(rows) < 8:
        rows.append([rows[1][one] for one in rows[-1]])
    found = 0
    for place, digit in enumerate(reversed(code)):
        found = _times(found, rows[place % 8][int(digit)])
    return found == 0


def _loinc_holds(code: str) -> bool:
    """LOINC Users' Guide, appendix: mod 10, every second digit doubled from the right."""
    body, _, digit = code.partition("-")
    doubled = [int(each) * (2 - place % 2) for place, each in enumerate(reversed(body))]
    return -sum(one // 10 + one % 10 for one in doubled) % 10 == int(digit)


def test_every_code_by_which_a_final_report_answers_has_its_check_digit() -> None:
    """The built-in table, and what says yes or no to it."""
    table = {code for question in agreement_codes.read() for label in question.labels for code in label.codes}
    found = table | final_report.YES | final_report.NO | final_report.IMAGING
    snomed = {code for system, code in found if system == SNOMED}
    assert len(snomed) > 15
    assert [code for code in sorted(snomed) if not _snomed_holds(code)] == []


def _codes(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if isinstance(node.get("system"), str) and "value" in node:
            yield node["system"], node["value"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _codes(each)


def test_every_code_of_every_manifest_has_the_check_digit_of_its_system() -> None:
    """All of them; a digit changed or two neighbours exchanged in one of them is found."""
    pages = [tomllib.loads(path.read_text("utf-8")) for path in BUILT_IN.glob("*/manifest.toml")]
    found = {code for page in pages for code in _codes(page)}
    snomed = {code for system, code in found if system == SNOMED}
    loinc = {code for system, code in found if system == LOINC}
    assert len(snomed) > 25
    assert len(loinc) > 30
    assert [code for code in sorted(snomed) if not _snomed_holds(code)] == []
    assert [code for code in sorted(loinc) if not _loinc_holds(code)] == []
    assert not _snomed_holds("73211090")
    assert not _loinc_holds("4584-4")


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_excludes_by_the_codes_of_the_list(pack: str) -> None:
    """The committed manifest and the list with meanings are one: neither has a code that the other lacks."""
    page = tomllib.loads((BUILT_IN / pack / "manifest.toml").read_text("utf-8"))
    listed = {(told["title"], *sorted(_codes(told))) for told in PACKS[pack]}
    assert {(told["title"], *sorted(_codes(told))) for told in page["input"]["excludes"]} == listed
