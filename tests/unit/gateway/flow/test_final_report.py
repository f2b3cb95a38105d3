"""What of a report of another system can be compared, and in which codes it answers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow.record.final_report import IN_FORCE, is_in_force, is_our_own, said

BASE = "https://gateway.example/fhir"
SCT, HL7 = "http://snomed.info/sct", "http://terminology.hl7.org/CodeSystem"
PNEUMONIA = (SCT, "233604007")


def concept(*codings: tuple[str, str]) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for system, code in codings]}


def result(*about: tuple[str, str], **members: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": concept(*about)} | members


@pytest.mark.parametrize(
    ("value", "is_so"),
    [
        ({"valueBoolean": True}, True),
        ({"valueBoolean": False}, False),
        ({"valueCodeableConcept": concept((SCT, "52101004"))}, True),
        ({"valueCodeableConcept": concept((SCT, "2667000"))}, False),
        ({"valueCodeableConcept": concept(("http://loinc.org", "LA9634-2"))}, False),
        ({"valueCodeableConcept": concept((f"{HL7}/v2-0136", "Y"))}, True),
        ({"valueCodeableConcept": concept((SCT, "52101004"), (SCT, "2667000"))}, None),
        ({"valueString": "present"}, None),
        ({"valueCodeableConcept": {"text": "present"}}, None),
        ({"valueBoolean": True, "status": "preliminary"}, None),
        ({"dataAbsentReason": concept((SCT, "52101004"))}, None),
        ({}, None),
    ],
)
def test_a_result_is_so_or_not_so_by_its_coded_value(value: dict[str, Any], is_so: bool | None) -> None:
    """True or present says what the code names, false or absent denies it; texts, both at once, and what is not final
    say nothing."""
    found = said({}, [result(PNEUMONIA, **value)])
    assert (PNEUMONIA in found.codes, PNEUMONIA in found.denied) == (is_so is True, is_so is False)


def test_parts_of_a_result_and_coded_values_are_read() -> None:
    """A component by its own code, and any other coded value as what is said itself."""
    part = {"code": concept(PNEUMONIA), "valueBoolean": False}
    found = said({}, [result((SCT, "1"), component=[part], valueCodeableConcept=concept((SCT, "397144001")))])
    assert (found.codes, found.denied) == ({(SCT, "397144001")}, {PNEUMONIA})


def test_what_is_more_than_can_be_read_says_nothing() -> None:
    """A code that gainsays the rest could stand where nobody looks: concepts, codings, results and parts."""
    one, many = concept(PNEUMONIA), concept(*[(SCT, str(number)) for number in range(65)])
    assert said({"conclusionCode": [one]}, []).codes
    for report, results in (
        ({"conclusionCode": [one] * 65}, []),
        ({"conclusionCode": [one, many]}, []),
        ({"conclusionCode": [one], "result": [{"reference": "Observation/x"}] * 101}, []),
        ({"conclusionCode": [one]}, [result(PNEUMONIA, component=[{"code": one}] * 65)]),
        ({"conclusionCode": [one]}, [result(PNEUMONIA, valueCodeableConcept=many)]),
    ):
        assert not said(report, results).codes


@pytest.mark.parametrize(
    "status", ["registered", "partial", "preliminary", "cancelled", "entered-in-error", "unknown", ""]
)
def test_only_what_somebody_stands_behind_is_in_force(status: str) -> None:
    """R4 10.3.3: final and what follows it, and nothing else."""
    assert not is_in_force({"status": status})
    assert all(is_in_force({"status": one}) for one in IN_FORCE)


def test_a_section_that_is_no_imagings_is_left_out() -> None:
    """Unless the report names images itself."""
    laboratory = {"status": "final", "category": [concept((f"{HL7}/v2-0074", "LAB"))]}
    assert not is_in_force(laboratory)
    assert is_in_force(laboratory | {"imagingStudy": [{"reference": "ImagingStudy/x"}]})
    assert is_in_force({"status": "final", "category": [concept((f"{HL7}/v2-0074", "RAD"))]})


@pytest.mark.parametrize(
    "mark",
    [
        {"meta": {"source": f"{BASE}#1"}},
        {"meta": {"security": [{"system": f"{HL7}/v3-ObservationValue", "code": "AIAST"}]}},
        {"identifier": [{"system": "urn:dxgate:report", "value": "r"}]},
        {"code": {"text": "AI analysis of an imaging study"}},
        {"conclusion": "AI result, not for diagnosis until confirmed by a physician.\nSuspicious"},
        {"performer": [{"identifier": {"system": "urn:dxgate:organization", "value": "o"}}]},
    ],
)
def test_any_trace_of_ours_makes_it_ours(mark: dict[str, Any]) -> None:
    """One is enough: a report that we had a hand in is never counted as somebody else's."""
    theirs = {"status": "final", "code": {"text": "US"}, "meta": {"source": "https://ris.example"}, "conclusion": "x"}
    assert not is_our_own(theirs, BASE)
    assert is_our_own(theirs | mark, BASE)
