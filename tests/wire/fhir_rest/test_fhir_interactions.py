"""read, vread, capabilities, conditional read, negotiation: FHIR R4 3.1.0 over a real socket."""

from __future__ import annotations

import pytest
from wire.fhir_rest.conftest import Ward
from wire.fhir_rest.hospital import PLANTED

from gateway.domain.report import report_id


@pytest.fixture
def report(ward: Ward) -> str:
    return f"DiagnosticReport/{report_id(ward.hospital.studies[0])}"


def test_metadata_is_open_and_true_of_the_server(ward: Ward) -> None:
    """Every type and parameter of the CapabilityStatement answers with 200."""
    statement = ward.http.get("/fhir/metadata", headers={"Authorization": ""}).json()
    assert statement["resourceType"] == "CapabilityStatement"
    examples = {
        "date": "ge2000-01-01",
        "reference": "http://a.example/x",
        "token": "abc",
        "string": "abcde",
        "number": "1",
        "quantity": "1",
        "uri": "http://a.example",
    }
    for resource in statement["rest"][0]["resource"]:
        kind = resource["type"]
        if kind == "AuditEvent":  # tests/wire/access/test_audit_events.py asks each of its parameters
            continue
        names = [(one["name"], examples[one["type"]]) for one in resource["searchParam"] if one["type"] in examples]
        includes = [("_include", one) for one in resource.get("searchInclude", ())]
        includes += [("_revinclude", one) for one in resource.get("searchRevInclude", ())]
        for some in (*batched(names, 25), *batched(includes, 10)):
            answer = ward.get(kind, params=list(some))
            assert answer.status_code == 200, (kind, some, answer.text)


def batched(items: list[tuple[str, str]], size: int) -> list[list[tuple[str, str]]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def test_every_reference_can_be_read(ward: Ward, report: str) -> None:
    """All literal references of a report's resources lead to a resource of the same id."""
    seen, waiting = set(), [report]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = ward.get(path)
        assert answer.status_code == 200, path
        resource = answer.json()
        assert f"{resource['resourceType']}/{resource['id']}" == path
        waiting += references(resource)
    kinds = {path.partition("/")[0] for path in seen}
    assert kinds >= {"DiagnosticReport", "Observation", "ImagingStudy", "Patient", "Device", "Organization"}


def references(value: object) -> list[str]:
    """All literal references in a resource."""
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def test_report_carries_identity_and_printed_form(ward: Ward, report: str) -> None:
    """A read report has the original accession number, is preliminary and whole with its heat maps."""
    resource = ward.get(report).json()
    assert PLANTED[0].accession in [each["value"] for each in resource["identifier"]]
    assert resource["status"] == "preliminary"
    assert resource["presentedForm"][0]["contentType"] == "text/html"
    assert "tag" not in resource["meta"]


def test_read_is_audited_with_ids_alone(ward: Ward, report: str) -> None:
    """A read leaves one row, of the interaction and of the opening, and no identity."""
    ward.get(report)
    entry = ward.hospital.events("fhir:read")[0]
    assert (entry.subject_id, entry.actor) == (report.partition("/")[2], "client:ehr")
    assert (len(entry.details["patients"]), entry.details["purpose"]) == (1, "read")
    told = str([ward.hospital.events(name) for name in ("fhir:read", "fhir:search", "identity:open")])
    assert PLANTED[0].accession not in told
    assert PLANTED[0].patient_id not in told


def test_conditional_read(ward: Ward, report: str) -> None:
    """ETag and Last-Modified save the second transfer: 304 without a body."""
    first = ward.get(report)
    assert first.headers["etag"] == 'W/"2"'
    same = ward.get(report, headers={"If-None-Match": first.headers["etag"]})
    since = ward.get(report, headers={"If-Modified-Since": first.headers["last-modified"]})
    assert (same.status_code, same.content) == (304, b"")
    assert since.status_code == 304
    assert ward.get(report, headers={"If-None-Match": 'W/"1"'}).status_code == 200


def test_vread_gives_each_version(ward: Ward, report: str) -> None:
    """Version 1 is the registered report, version 2 the preliminary one, there is no version 3 or 0."""
    assert ward.get(f"{report}/_history/1").json()["status"] == "registered"
    assert ward.get(f"{report}/_history/2").json()["meta"]["versionId"] == "2"
    for version in ("0", "3", "abc", "99999999999"):
        assert ward.get(f"{report}/_history/{version}").status_code == 404


def test_every_type_has_versions(ward: Ward, report: str) -> None:
    """The Patient of a report is read as it stood at its first version, and has no second."""
    patient = ward.get(report).json()["subject"]["reference"]
    assert ward.get(f"{patient}/_history/1").json() == ward.get(patient).json()
    assert ward.get(f"{patient}/_history/2").status_code == 404


def test_head_has_the_headers_and_no_body(ward: Ward, report: str) -> None:
    """HEAD answers as GET does, without the body."""
    got, head = ward.get(report), ward.http.head(f"/fhir/{report}")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize("path", ["DiagnosticReport", "DiagnosticReport/abc", "metadata"])
def test_options_lists_the_methods(ward: Ward, path: str) -> None:
    """OPTIONS names what an address answers to."""
    answer = ward.http.request("OPTIONS", f"/fhir/{path}")
    assert answer.status_code == 204
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("accept", "parameters", "status"),
    [
        ("application/fhir+json", "", 200),
        ("application/json;q=0.9, text/html", "", 200),
        ("text/html,application/xml;q=0.7,*/*;q=0.8", "", 200),
        ("application/fhir+turtle", "", 406),
        ("application/fhir+json;q=0", "", 406),
        ("application/fhir+json; fhirVersion=5.0", "", 406),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("application/fhir+xml", "?_format=json", 200),
        ("*/*", "?_format=ttl", 406),
        ("*/*", "?_format=application/fhir%2Bjson", 200),
        ("*/*", "?_format=application/fhir+json", 200),
    ],
)
def test_negotiation(ward: Ward, accept: str, parameters: str, status: int) -> None:
    """JSON is spoken where it is wanted, and 406 is said where it is not; _format wins."""
    answer = ward.get(f"DiagnosticReport{parameters}", headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/fhir+json")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("path", ["Patient/x/_history", "Patient/x/_history/1", "_history", "Patient/x/$validate"])
def test_wrong_methods_are_405_with_allow(ward: Ward, path: str, method: str) -> None:
    """A method that an address does not know is refused with those that it knows."""
    if (path, method) == ("Patient/x/$validate", "POST"):
        return
    answer = ward.http.request(method, f"/fhir/{path}", json={})
    assert answer.status_code == 405
    assert "OPTIONS" in answer.headers["allow"]
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["$convert", "Patient/$match", "DiagnosticReport/x/$everything"])
def test_operations_that_we_lack_are_501(ward: Ward, path: str) -> None:
    """Operations that are not served are named as such."""
    answer = ward.http.post(f"/fhir/{path}", json={})
    assert answer.status_code == 501
    assert answer.json()["issue"][0]["code"] == "not-supported"


@pytest.mark.parametrize(
    "path", ["Invoice", "Invoice/1", "Medication/1", "patient", "Patient/x/y", "Patient/nobody", "a/b/c/d/e"]
)
def test_what_is_not_there_is_404(ward: Ward, path: str) -> None:
    """Unknown types, shapes and ids are 404 with an OperationOutcome."""
    answer = ward.get(path)
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_health_needs_no_credentials(ward: Ward) -> None:
    """/healthz and /readyz answer anyone, with the number of active models."""
    assert ward.http.get("/healthz", headers={"Authorization": ""}).json() == {"status": "alive"}
    assert ward.http.get("/readyz").json() == {"status": "ready", "active_models": 1}
