"""What keeps a model from being asked: diagnoses ever made and measurements of late, under the codes of the packs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from harness.built_in import built_in
from harness.clinic import observation, quantity
from harness.rows import AT

from gateway.flow.record.exclusions import excluded
from workers.needs import needs_of

ICD, SNOMED = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"
DAY = timedelta(days=1)


def held(pack: str, *resources: dict[str, Any]) -> bool:
    needs = needs_of(built_in()[pack].manifest, None)
    assert needs is not None
    return bool(excluded(resources, needs.excludes, AT))


def condition(system: str, code: str, clinical: str = "active", verified: str = "confirmed") -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": "c",
        "clinicalStatus": {"coding": [{"code": clinical}]},
        "verificationStatus": {"coding": [{"code": verified}]},
        "code": {"coding": [{"system": system, "code": code}]},
    }


@pytest.mark.parametrize(
    ("pack", "system", "code"),
    [("chd-risk", ICD, "I25.10"), ("chd-risk", ICD, "I21.4"), ("chd-risk", SNOMED, "194828000"),
     ("diabetes-risk", ICD, "E11.9"), ("diabetes-risk", SNOMED, "44054006"), ("incident-diabetes", ICD, "E10")],
)  # fmt: skip
def test_a_diagnosis_bars_even_where_it_is_over(pack: str, system: str, code: str) -> None:
    """Active or resolved it counts; refuted, or of another disease, it does not."""
    assert held(pack, condition(system, code))
    assert held(pack, condition(system, code, clinical="resolved"))
    assert not held(pack, condition(system, code, verified="refuted"))
    assert not held(pack, condition(ICD, "I10"))


def test_a_measurement_bars_for_a_year() -> None:
    """HbA1c of 364 days ago bars, of 366 days ago or of another code does not; nor one that an AI told."""
    assert held("diabetes-risk", quantity("a", "4548-4", 5.4, "%", AT - 364 * DAY))
    assert not held("diabetes-risk", quantity("a", "4548-4", 5.4, "%", AT - 366 * DAY))
    assert not held("diabetes-risk", quantity("a", "2345-7", 100, "mg/dL", AT - DAY))
    by_ai = quantity("a", "4548-4", 5.4, "%", AT - DAY) | {"meta": {"security": [{"code": "AIAST"}]}}
    assert not held("diabetes-risk", by_ai)
    assert not held("diabetes-risk", observation("a", "4548-4", AT - DAY))
