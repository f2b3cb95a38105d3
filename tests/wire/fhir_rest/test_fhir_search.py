"""search-type: what an EHR asks for, how pages follow each other, what is refused (FHIR R4 3.1.1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire.fhir_rest.conftest import Ward
from wire.fhir_rest.hospital import ISSUER, PLANTED, SECRET

from gateway.domain.report import report_id
from gateway.formats.fhir import identifier

FIRST, SECOND = PLANTED[0], PLANTED[1]


def found(bundle: dict[str, object], mode: str = "match") -> list[str]:
    """Ids of a Bundle's entries of one mode."""
    entries: list[dict[str, dict[str, str]]] = bundle.get("entry", [])  # type: ignore[assignment]
    return [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == mode]


@pytest.mark.parametrize(
    "parameters",
    [
        {"identifier": FIRST.accession},
        {"identifier": f"|{FIRST.accession}"},
        {"based-on:identifier": FIRST.accession},
        {"patient.identifier": FIRST.patient_id},
        {"patient.identifier": f"urn:oid:{ISSUER}|{FIRST.patient_id}"},
        {"subject:Patient.identifier": FIRST.patient_id},
        {"subject.identifier": f"urn:oid:{ISSUER}|{FIRST.patient_id}"},
        {"patient:Patient.identifier": f"nobody,{FIRST.patient_id}"},
        {"identifier": FIRST.accession, "status": "preliminary", "category": "LP29684-5", "code": "18748-4"},
        {"identifier": FIRST.accession, "date": "2026-11"},
        {"identifier": FIRST.accession, "issued": "ge2020-01-01", "_lastUpdated": "lt2999"},
        {"identifier": FIRST.accession, "_sort": "-_lastUpdated", "_total": "accurate"},
    ],
)
def test_report_is_found(ward: Ward, parameters: dict[str, str]) -> None:
    """A report is found by accession number and by patient identifier, with and without system."""
    bundle = ward.get("DiagnosticReport", params=parameters).json()
    assert found(bundle) == [report_id(ward.hospital.studies[0])]
    assert bundle["total"] == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"identifier": "nothing"},
        {"identifier": f"http://elsewhere.example|{FIRST.accession}"},
        {"patient.identifier": f"urn:oid:9.9|{FIRST.patient_id}"},
        {"identifier": FIRST.accession, "patient.identifier": SECOND.patient_id},
        {"identifier": FIRST.accession, "status": "final"},
        {"identifier": FIRST.accession, "code": "http://loinc.org|1-1"},
        {"identifier": FIRST.accession, "date": "lt2000"},
        {"identifier": FIRST.accession, "issued": "lt2000-01-01"},
        {"patient": "nobody"},
        {"_id": "nobody"},
    ],
)
def test_conditions_are_joined_by_and(ward: Ward, parameters: dict[str, str]) -> None:
    """A condition that does not hold leaves an empty Bundle with total 0, never an unfiltered one."""
    bundle = ward.get("DiagnosticReport", params=parameters).json()
    assert found(bundle) == []
    assert bundle["total"] == 0


def test_post_keeps_parameters_out_of_every_url(ward: Ward) -> None:
    """A search by POST finds the same and its links hold nothing of what was asked."""
    answer = ward.http.post("/fhir/DiagnosticReport/_search", data={"patient.identifier": FIRST.patient_id})
    bundle = answer.json()
    assert found(bundle) == [report_id(ward.hospital.studies[0])]
    assert FIRST.patient_id not in str(bundle["link"])
    again = ward.http.get(local(ward, bundle["link"][0]["url"])).json()
    assert found(again) == found(bundle)


def local(ward: Ward, url: str) -> str:
    """A link of the server as a path: the settings' port is 0 in tests."""
    return url.removeprefix(ward.hospital.settings.base_url)


def pages(ward: Ward, path: str) -> Iterator[list[str]]:
    """The ids of each page, following next."""
    url: str | None = f"/fhir/{path}"
    for _ in range(20):
        bundle = ward.http.get(str(url)).json()
        yield found(bundle)
        url = next((local(ward, link["url"]) for link in bundle["link"] if link["relation"] == "next"), None)
        if url is None:
            return


@pytest.mark.parametrize("kind", ["DiagnosticReport", "Observation", "ImagingStudy", "Patient", "Provenance"])
def test_pages_cover_everything_once(ward: Ward, kind: str) -> None:
    """Pages of one give the same resources in the same order as one page of all."""
    whole = found(ward.get(f"{kind}?_count=100").json())
    parts = list(pages(ward, f"{kind}?_count=1"))
    assert len(whole) >= 2
    assert [own_id for page in parts for own_id in page] == whole
    assert all(len(page) <= 1 for page in parts)


def test_pages_go_newest_first(ward: Ward) -> None:
    """The newest report comes first."""
    ids = found(ward.get("DiagnosticReport").json())
    assert ids == [report_id(study) for study in reversed(ward.hospital.studies)]


def test_page_link_is_bound_to_its_client_and_type(ward: Ward) -> None:
    """Another client, another type, an altered or an added parameter: none can use a page link."""
    bundle = ward.get("DiagnosticReport?_count=1").json()
    token = bundle["link"][1]["url"].partition("_page=")[2]
    assert ward.get(f"Observation?_page={token}").status_code == 400
    assert ward.get(f"DiagnosticReport?_page={token[:-2]}AA").status_code == 400
    assert ward.get(f"DiagnosticReport?_page={token}&status=final").status_code == 400
    basic = ward.http.get(f"/fhir/DiagnosticReport?_page={token}", auth=("searcher", SECRET))
    assert basic.status_code == 400


def test_unknown_parameter_is_named(ward: Ward) -> None:
    """An unknown parameter is 400 and named, so that no one takes an unfiltered list for a filtered one."""
    answer = ward.get("DiagnosticReport?patient=x&colour=blue")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["http.colour"]


@pytest.mark.parametrize(
    "query",
    ["identifier:exact=1", "_include=DiagnosticReport:status", "_summary=some", "_sort=status", "name=x", "code:in=x"],
)
def test_what_is_not_declared_is_refused(ward: Ward, query: str) -> None:
    """Modifiers, includes, summaries and orders that are not declared are refused."""
    assert ward.get(f"DiagnosticReport?{query}").status_code == 400


def test_lenient_drops_and_says_so(ward: Ward) -> None:
    """Under Prefer: handling=lenient the parameter is dropped and an OperationOutcome in the Bundle tells of it."""
    bundle = ward.get("DiagnosticReport?colour=blue", headers={"Prefer": "handling=lenient"}).json()
    assert len(found(bundle)) == 2
    outcome = bundle["entry"][-1]
    assert outcome["search"]["mode"] == "outcome"
    assert "colour" in outcome["resource"]["issue"][0]["diagnostics"]
    assert "colour" not in bundle["link"][0]["url"]


@pytest.mark.parametrize("parameter", ["_summary=count", "_count=0"])
@pytest.mark.parametrize(("kind", "total"), [("DiagnosticReport", 2), ("Provenance", 4), ("Device", 1)])
def test_count_alone(ward: Ward, kind: str, total: int, parameter: str) -> None:
    """_summary=count gives the total and no entries."""
    bundle = ward.get(f"{kind}?{parameter}").json()
    assert (bundle["total"], bundle.get("entry")) == (total, None)


def test_includes(ward: Ward) -> None:
    """_include and _revinclude bring patient, observations and provenance, each once, marked as included."""
    include = "_include=DiagnosticReport:subject&_include=DiagnosticReport:patient&_include=DiagnosticReport:result"
    bundle = ward.get(f"DiagnosticReport?identifier={FIRST.accession}&{include}&_revinclude=Provenance:target").json()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"] if entry["search"]["mode"] == "include"]
    assert sorted(kinds) == ["Observation", "Patient", "Provenance", "Provenance"]
    assert bundle["total"] == 1


def test_recall_of_a_model(ward: Ward) -> None:
    """Every observation and provenance that a model had a part in is found by its Device."""
    device = found(ward.get("Device?device-name=breast").json())[0]
    assert len(found(ward.get(f"Observation?device=Device/{device}").json())) == 2
    assert len(found(ward.get(f"Provenance?agent=Device/{device}").json())) == 2
    assert found(ward.get("Observation?device=Device/unknown").json()) == []


def test_study_by_original_uid(ward: Ward) -> None:
    """An ImagingStudy is found by its original StudyInstanceUID."""
    whole = ward.get("ImagingStudy").json()["entry"][0]["resource"]
    uid = next(each["value"] for each in whole["identifier"] if each.get("system") == identifier.STUDY_UID)
    for value in (uid, f"{identifier.STUDY_UID}|{uid}"):
        assert found(ward.get("ImagingStudy", params={"identifier": value}).json()) == [whole["id"]]


def test_patient_by_each_way(ward: Ward) -> None:
    """A Patient is found by identifier and id, and leads to the reports."""
    (own_id,) = found(ward.get("Patient", params={"identifier": FIRST.patient_id}).json())
    assert found(ward.get(f"Patient?_id={own_id}").json()) == [own_id]
    for reference in (own_id, f"Patient/{own_id}", f"{ward.hospital.services.fhir_base}/Patient/{own_id}"):
        reports = found(ward.get("DiagnosticReport", params={"subject": reference}).json())
        assert reports == [report_id(ward.hospital.studies[0])]


def test_search_is_audited_with_ids_alone(ward: Ward) -> None:
    """A search leaves the names of its parameters and the ids it found, not what was asked for."""
    ward.get("DiagnosticReport", params={"patient.identifier": FIRST.patient_id})
    entry = ward.hospital.events("fhir:search")[0]
    assert entry.details["parameters"] == ["patient.identifier"]
    assert entry.details["found"] == [report_id(ward.hospital.studies[0])]


def test_full_urls_and_self_link(ward: Ward) -> None:
    """fullUrl and links stand on the externally visible base address."""
    bundle = ward.get(f"DiagnosticReport?identifier={FIRST.accession}").json()
    base = ward.hospital.services.fhir_base
    assert bundle["entry"][0]["fullUrl"].startswith(f"{base}/DiagnosticReport/")
    assert bundle["link"][0] == {
        "relation": "self",
        "url": f"{base}/DiagnosticReport?identifier={FIRST.accession}",
    }
