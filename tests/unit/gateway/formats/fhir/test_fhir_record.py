"""What an EHR receives about a patient's record, compared with golden files and judged by the FHIR R4 models."""

from __future__ import annotations

import importlib
from html import unescape

import pytest
from unit.gateway.formats.fhir.write_record_golden import BASE_URL, GOLDEN, ORGANIZATION, document, golden_texts

from gateway.formats.fhir.bundle import transaction
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.printed_report import printed_report
from gateway.formats.fhir.render import render

NAMES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return golden_texts()


def test_every_golden_file_is_rendered(rendered: dict[str, str]) -> None:
    """The folder holds exactly what the writer makes."""
    assert sorted(rendered) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_rendering_equals_its_golden_file(name: str, rendered: dict[str, str]) -> None:
    """A rendered resource is, member for member, what its golden file says."""
    assert rendered[name] == (GOLDEN / name).read_text("utf-8")


def test_every_resource_is_valid_r4() -> None:
    """RiskAssessment, DetectedIssue, CarePlan and what stands beside them pass the R4 models."""
    for resource in render(document(), BASE_URL, ORGANIZATION).resources:
        kind = resource["resourceType"]
        module = importlib.import_module(f"fhir.resources.R4B.{kind.lower()}")
        getattr(module, kind).model_validate_json(encode(resource))


def test_no_study_is_named() -> None:
    """A record has no images: nothing refers to an ImagingStudy, in the resources or in the bundle."""
    shown = render(document(), BASE_URL, ORGANIZATION)
    assert "ImagingStudy" not in "".join(encode(each).decode() for each in shown.resources)
    assert "ImagingStudy" not in encode(transaction(shown)).decode()


def test_the_plan_is_a_proposal() -> None:
    """Draft, proposal, with rule, guideline, reason and caution in each item."""
    (plan,) = render(document(), BASE_URL, ORGANIZATION).of_type("CarePlan")
    assert (plan["status"], plan["intent"]) == ("draft", "proposal")
    (activity,) = plan["activity"]
    said = activity["detail"]["description"]
    assert "Because: finding diabetes-risk=diabetes" in said
    assert "Guideline: USPSTF, 2021" in said
    assert "Caution: Not where diabetes is known." in said
    assert "No medical review of these rules is known" in plan["note"][0]["text"]


def test_the_printed_page_says_it_all() -> None:
    """Probabilities, phenotype, advice and proposal stand on the page for people."""
    page = unescape(printed_report(document(), ORGANIZATION))
    for said in ("a patient's record", "0.3721", "Poor Metabolizer", "Avoid clopidogrel", "HbA1c"):
        assert said in page
