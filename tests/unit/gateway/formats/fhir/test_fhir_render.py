"""Claims about the resources of a report version."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import fixtures_report as sample
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Fault
from gateway.domain.lifecycle import REPORT
from gateway.flow.read_reports import OpenedReport
from gateway.formats.fhir.coding import AI_ASSERTED, AI_CONFIDENCE, INLINE_LABEL, INLINE_LABELLED, SUBSETTED
from gateway.formats.fhir.element import Resource, encode
from gateway.formats.fhir.imaging_study import LISTED_INSTANCES
from gateway.formats.fhir.observation import LISTED_IMAGES
from gateway.formats.fhir.printed_report import PRINTED_IMAGES
from gateway.formats.fhir.render import RenderedReport, render

BASE_URL = "https://gateway.example/fhir"
FINDING_STATUSES = [state for state in REPORT.states if state != "registered"]


def shown(document: OpenedReport) -> RenderedReport:
    return render(document, BASE_URL, "General Hospital AI")


def judge(rendered: RenderedReport) -> None:
    """fhir.resources R4B, which agrees with R4 on these types but for what the tests below check."""
    for resource in rendered.resources:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(encode(resource))


def members(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for inner in value.values():
            yield from members(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner, name)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


@pytest.mark.parametrize("who", sample.IDENTITIES)
@pytest.mark.parametrize("name", sample.SAMPLES)
def test_every_resource_is_valid_for_every_kind_of_report_and_name(name: str, who: str) -> None:
    """fhir.resources accepts each rendered resource."""
    judge(shown(sample.SAMPLES[name](who)))


def test_fhirkit_finds_no_issue_in_any_resource() -> None:
    """The second judge, a validator with another author, finds no issue."""
    fhirkit = pytest.importorskip("fhirkit")
    reports = [*(make() for make in sample.SAMPLES.values()), sample.hostile()]
    for resource in (each for report in reports for each in shown(report).resources):
        assert fhirkit.validate(encode(resource)) == []


@pytest.mark.parametrize("status", FINDING_STATUSES)
def test_every_status_renders_and_observations_follow_the_report(status: str) -> None:
    """An Observation has the report's status, but `final` under an appended report, which R4 has no word for."""
    rendered = shown(sample.malignant(status=status, version=3))
    judge(rendered)
    (observation,) = rendered.of_type("Observation")
    assert rendered.report["status"] == status
    assert observation["status"] == ("final" if status == "appended" else status)


def test_the_report_comes_first_and_carries_its_version() -> None:
    """The first resource is the DiagnosticReport with the version and time of the report version."""
    document = sample.malignant(version=4)
    report = shown(document).report
    assert (report["resourceType"], report["id"]) == ("DiagnosticReport", document.report.id)
    assert report["meta"]["versionId"] == "4"
    assert report["meta"]["lastUpdated"] == report["issued"] == "2026-11-03T09:30:15.250Z"


@pytest.mark.parametrize("name", sample.SAMPLES)
def test_every_reference_leads_to_a_rendered_resource(name: str) -> None:
    """No literal reference dangles."""
    rendered = shown(sample.SAMPLES[name]())
    known = {f"{each['resourceType']}/{each['id']}" for each in rendered.resources}
    assert {link for each in rendered.resources for link in members(each, "reference")} <= known


def test_no_device_performs_and_nobody_interprets_before_a_signature() -> None:
    """R4 keeps performer for people and organisations, and a preliminary AI report has no interpreter."""
    rendered = shown(sample.malignant())
    for resource in (rendered.report, *rendered.of_type("Observation")):
        assert all(each["reference"].startswith("Organization/") for each in resource["performer"])
    assert "resultsInterpreter" not in rendered.report
    assert rendered.of_type("Observation")[0]["device"]["reference"].startswith("Device/")


def test_ai_content_is_labelled_on_resource_and_element() -> None:
    """AIAST on report and observation, PROCESSINLINELABEL and the inline label on conclusion and its codes."""
    rendered = shown(sample.malignant())
    report, (observation,) = rendered.report, rendered.of_type("Observation")
    assert AI_ASSERTED in report["meta"]["security"]
    assert INLINE_LABELLED in report["meta"]["security"]
    assert observation["meta"]["security"] == [AI_ASSERTED]
    label = [{"url": INLINE_LABEL, "valueCoding": AI_ASSERTED}]
    assert report["_conclusion"]["extension"] == label
    assert [code["extension"] for code in report["conclusionCode"]] == [label]


@pytest.mark.parametrize("name", ["refused", "registered"])
def test_a_report_without_ai_content_is_not_labelled_as_such(name: str) -> None:
    """Where no model gave an answer, neither label nor AI profile is claimed."""
    for resource in shown(sample.SAMPLES[name]()).resources:
        assert "security" not in resource["meta"]
        assert not any("aitransparency" in profile for profile in resource["meta"].get("profile", []))


def test_a_preliminary_conclusion_says_that_nobody_has_signed() -> None:
    """The warning stands in conclusion and printed form while preliminary, and no longer when final."""
    preliminary, final = shown(sample.malignant()).report, shown(sample.malignant(status="final", version=2)).report
    assert preliminary["conclusion"].startswith("AI result, not for diagnosis until confirmed by a physician.\n")
    assert "not for diagnosis" not in final["conclusion"]
    assert b"not for diagnosis" in base64.b64decode(preliminary["presentedForm"][0]["data"])
    assert b"not for diagnosis" not in base64.b64decode(final["presentedForm"][0]["data"])


def test_a_refused_study_is_cancelled_with_the_reason() -> None:
    """What could not be analysed is a cancelled report whose conclusion says why."""
    report = shown(sample.refused()).report
    assert report["status"] == "cancelled"
    assert "not analysed (refused)" in report["conclusion"]
    assert "result" not in report


def test_a_registered_report_has_no_content_yet() -> None:
    """Before results there are neither conclusion nor result nor printed form."""
    report = shown(sample.registered()).report
    assert report["status"] == "registered"
    assert not {"conclusion", "_conclusion", "conclusionCode", "result", "presentedForm"} & report.keys()


def test_original_identity_is_restored() -> None:
    """Accession number, study UID, series and instance UIDs and patient identifier are the sender's own."""
    rendered = shown(sample.benign())
    (study,), (patient,) = rendered.of_type("ImagingStudy"), rendered.of_type("Patient")
    assert {"system": "urn:dicom:uid", "value": f"urn:oid:{sample.ORIGINAL_STUDY_UID}"} in study["identifier"]
    assert list(members(study, "uid")) == list(sample.ORIGINAL_UIDS.values())
    assert patient["identifier"][0]["value"] == "MRN-7718201"
    assert patient["identifier"][0]["system"] == "urn:oid:1.2.36.146.595.217.0.1"
    assert rendered.report["basedOn"][0]["identifier"]["value"] == "ACC-2026-0042"
    assert any(each["value"] == "ACC-2026-0042" for each in rendered.report["identifier"])


def test_pseudonymous_uids_never_leave() -> None:
    """An instance whose original UID is unknown is counted, but no 2.25 UID of ours is shown."""
    document = dataclasses.replace(sample.malignant(), original_uids={"2.25.500": "1.2.3.500"})
    rendered = shown(document)
    (study,) = rendered.of_type("ImagingStudy")
    assert study["numberOfInstances"] == 2
    assert "instance" not in study["series"][0]
    assert not [text for each in rendered.resources for text in strings(each) if "2.25." in text]


def test_an_inconclusive_finding_has_no_value() -> None:
    """No value and no confidence, but a reason, an interpretation and its probabilities."""
    rendered = shown(sample.inconclusive())
    (observation,) = rendered.of_type("Observation")
    assert "valueCodeableConcept" not in observation
    assert AI_CONFIDENCE not in [each["url"] for each in observation.get("extension", [])]
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert observation["interpretation"][0]["coding"][0]["code"] == "IND"
    assert len(observation["component"]) == 3
    assert "conclusionCode" not in rendered.report


def test_probabilities_keep_their_digits_on_the_wire() -> None:
    """A probability of one half is written 0.5000, not 0.5."""
    document = sample.opened(sample.ReportContent((sample.finding(None, 0.5),), (), "x"))
    (observation,) = shown(document).of_type("Observation")
    assert b'"value":0.5000' in encode(observation)


@pytest.mark.parametrize("probability", [float("nan"), float("inf")])
def test_a_probability_that_is_no_number_is_a_fault(probability: float) -> None:
    """A broken model result is refused, not written as invalid JSON."""
    document = sample.opened(sample.ReportContent((sample.finding(None, probability),), (), "x"))
    with pytest.raises(Fault):
        shown(document)


def test_printed_form_and_model_card_carry_size_and_hash_of_their_bytes() -> None:
    """Attachment.size counts the bytes before base64, and hash is their SHA-1."""
    rendered = shown(sample.malignant())
    for attached in (rendered.report["presentedForm"][0], rendered.of_type("DocumentReference")[0]["content"][0]):
        part = attached.get("attachment", attached)
        data = base64.b64decode(part["data"], validate=True)
        assert part["size"] == len(data)
        assert base64.b64decode(part["hash"]) == hashlib.sha1(data, usedforsecurity=False).digest()


def test_a_chai_card_is_attached_as_xml() -> None:
    """The card's format decides content type and category."""
    document = dataclasses.replace(sample.benign(), models={sample.MODEL: sample.model('<?xml version="1.0"?><c/>')})
    (card,) = shown(document).of_type("DocumentReference")
    assert card["content"][0]["attachment"]["contentType"] == "application/xml"
    assert card["category"][0]["coding"][0]["code"] == "AImodelCardCHAIformat"


def test_provenance_names_model_card_and_inputs() -> None:
    """Model as AI author, its card as derivation, study and each input digest as source."""
    (provenance,) = shown(sample.malignant()).of_type("Provenance")
    author = provenance["agent"][0]
    assert author["who"]["reference"].startswith("Device/")
    assert author["role"][0]["coding"][0]["code"] == "Artificial-Intelligence"
    assert provenance["reason"] == [{"coding": [AI_ASSERTED]}]
    assert [each["role"] for each in provenance["entity"]] == ["derivation", "source", "source", "source"]
    digests = [each["what"]["identifier"]["value"] for each in provenance["entity"][2:]]
    assert digests == ["01" * 32, "02" * 32]


def test_a_model_that_is_no_longer_announced_still_has_its_device() -> None:
    """Name, version and digest come from the finding itself."""
    rendered = shown(dataclasses.replace(sample.benign(), models={}))
    judge(rendered)
    (device,) = rendered.of_type("Device")
    assert device["version"] == [{"value": "1.0.0"}]
    assert device["identifier"][1]["value"] == "ab" * 32
    assert rendered.of_type("DocumentReference") == []


def test_without_its_heat_map_a_report_says_that_it_is_a_subset() -> None:
    """Read without pictures, the printed form is left out and the report is tagged SUBSETTED."""
    report = shown(dataclasses.replace(sample.malignant(), pictures={})).report
    assert "presentedForm" not in report
    assert report["meta"]["tag"] == [SUBSETTED]
    assert "tag" not in shown(sample.malignant()).report["meta"]


def test_a_long_series_is_bounded_and_says_so() -> None:
    """Only so many images are listed and printed; the rest is counted, and their heat maps are not asked for."""
    document = sample.malignant()
    assert document.version.content is not None
    (found,) = document.version.content.findings
    images = tuple(
        dataclasses.replace(
            found.images[0], sop_instance_uid=f"2.25.7{number}", heat_map=sample.BlobKey(f"heat/{number}")
        )
        for number in range(LISTED_IMAGES + 7)
    )
    content = sample.ReportContent((dataclasses.replace(found, images=images),), (), "x")
    pictures = {f"heat/{number}": sample.png() for number in range(PRINTED_IMAGES)}
    rendered = shown(sample.opened(content, pictures=pictures))
    (observation,) = rendered.of_type("Observation")
    assert len(observation["component"]) == 2 * LISTED_IMAGES + 1
    assert observation["note"][-1]["text"] == "7 more images are not listed here."
    page = base64.b64decode(rendered.report["presentedForm"][0]["data"])
    assert page.count(b"<img ") == PRINTED_IMAGES
    assert b"157 more images are not printed here." in page


def test_a_huge_study_is_counted_whole_and_listed_in_part() -> None:
    """Beyond the limit an instance is counted in its series, but has no entry of its own."""
    document = sample.benign()
    many = [
        dataclasses.replace(document.instances[0], sop_instance_uid=f"2.25.8{number}")
        for number in range(LISTED_INSTANCES + 3)
    ]
    uids = {each.sop_instance_uid: f"1.2.3.{number}" for number, each in enumerate(many)} | sample.ORIGINAL_UIDS
    (study,) = shown(dataclasses.replace(document, instances=many, original_uids=uids)).of_type("ImagingStudy")
    assert study["numberOfInstances"] == study["series"][0]["numberOfInstances"] == LISTED_INSTANCES + 3
    assert len(study["series"][0]["instance"]) == LISTED_INSTANCES


def test_the_same_version_always_renders_to_the_same_bytes() -> None:
    """Neither a later announcement of the model nor a later head of the report changes what a version says."""
    document = sample.malignant()
    announced = dataclasses.replace(sample.model(), state="retired", provider="CUDAExecutionProvider")
    announced = dataclasses.replace(announced, announced_at=sample.AT + timedelta(days=1))
    report = dataclasses.replace(document.report, status="final", version=9, updated_at=sample.AT + timedelta(days=1))
    later = dataclasses.replace(document, report=report, models={sample.MODEL: announced})
    assert [encode(each) for each in shown(document).resources] == [encode(each) for each in shown(later).resources]


@pytest.mark.parametrize("date", ["", "2026", "20261301", "20260230", "not a date", "٢٠٢٦١١٠٣"])
def test_an_impossible_study_date_is_left_out_and_so_is_the_profile_that_needs_it(date: str) -> None:
    """No date is made up: effective and started are absent and us-core-10 is not claimed."""
    document = sample.benign()
    rendered = shown(dataclasses.replace(document, identity=dataclasses.replace(document.identity, study_date=date)))
    judge(rendered)
    assert "effectiveDateTime" not in rendered.report
    assert "profile" not in rendered.report["meta"]
    assert "started" not in rendered.of_type("ImagingStudy")[0]


def test_a_patient_without_identifier_gets_ours() -> None:
    """An EHR can find the nameless patient again by the gateway's own identifier."""
    document = sample.benign()
    rendered = shown(dataclasses.replace(document, identity=dataclasses.replace(document.identity, patient_id="")))
    (patient,) = rendered.of_type("Patient")
    assert [each["system"] for each in patient["identifier"]] == ["urn:dxgate:patient"]


def test_hostile_text_reaches_neither_markup_nor_terminal() -> None:
    """Tags are escaped in the page; control characters, surrogates and direction overrides are gone everywhere."""
    rendered = shown(sample.hostile())
    judge(rendered)
    page = base64.b64decode(rendered.report["presentedForm"][0]["data"]).decode("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for resource in rendered.resources:
        assert not [
            text for text in strings(resource) if re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", text)
        ]


_FIELDS = [field.name for field in dataclasses.fields(sample.identity())]


@settings(max_examples=60, deadline=None)
@given(texts=st.fixed_dictionaries({name: st.text(max_size=80) for name in _FIELDS}))
def test_any_identity_whatever_renders_to_valid_resources(texts: dict[str, str]) -> None:
    """No content of the identity's fields makes a resource that a judge refuses or JSON cannot hold."""
    document = sample.malignant()
    identity = dataclasses.replace(document.identity, **texts)
    rendered = shown(dataclasses.replace(document, identity=identity))
    judge(rendered)
    for resource in rendered.resources:
        assert json.loads(encode(resource))["id"] == resource["id"]


def test_a_rendered_report_has_no_text_form() -> None:
    """Identity cannot reach a log line through the rendered report."""
    assert repr(shown(sample.benign())) == str(shown(sample.benign())) == "<RenderedReport>"


def test_a_resource_is_found_by_type_and_id() -> None:
    """`get` finds what was rendered and nothing else."""
    rendered = shown(sample.benign())
    patient: Resource = rendered.of_type("Patient")[0]
    assert rendered.get("Patient", patient["id"]) is patient
    assert rendered.get("Patient", "other") is None
