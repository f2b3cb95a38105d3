"""How much one sender may ask for, and that no log line says whom it asked about."""

from __future__ import annotations

import logging
import uuid

import httpx
import pytest
from wire.access.place import Place, served_otherwise
from wire.fhir_rest.hospital import PLANTED, SECRET

from gateway.logging import LineFormatter
from gateway.servers.web.fhir.interactions import INTERACTIONS

NAMED = "Planted-Name"


@pytest.fixture(scope="module", autouse=True)
def registered(place: Place) -> None:
    place.add("busy", "system/*.cruds", secret=SECRET)
    place.add("quiet", "system/*.rs", secret=SECRET)


def test_a_client_that_asks_too_much_waits(place: Place) -> None:
    """One client is told to wait with 429, Retry-After and an OperationOutcome; another goes on."""
    with served_otherwise(place, client_rate=0.2) as base, place.http() as http:
        assert http.get(f"{base}/fhir/Device", auth=("busy", SECRET)).status_code == 200
        refused = http.get(f"{base}/fhir/Device", auth=("busy", SECRET))
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 5
        assert refused.json()["issue"][0]["code"] == "throttled"
        assert http.get(f"{base}/fhir/Device", auth=("quiet", SECRET)).status_code == 200


def test_an_address_that_asks_too_much_waits(place: Place) -> None:
    """Whoever asks from one address shares its rate, before anything else is looked at, at every door."""
    with served_otherwise(place, address_rate=0.4) as base, place.http() as http:
        assert [http.get(f"{base}/fhir/metadata").status_code for _ in range(3)] == [200, 200, 429]
        token = http.post(f"{base}/auth/token", data={"grant_type": "client_credentials"}, auth=("busy", SECRET))
        assert (token.status_code, token.json()["error"]) == (429, "slow_down")
        assert int(token.headers["retry-after"]) > 0
        assert http.get(f"{base}/console/authorize").status_code == 429
        assert http.get(f"{base}/healthz").status_code == 200


def _addresses() -> list[tuple[str, str]]:
    """Every shape that the endpoint knows, by each of its methods, with an identity wherever a client can put one."""
    found = []
    for shape, methods in INTERACTIONS.items():
        path = shape.replace("[base]", "").replace("[type]", "Patient").replace("[id]", NAMED).replace("[vid]", NAMED)
        found += [(method, f"{path}?name={NAMED}&_id={NAMED}") for method in methods]
    return found


ELSEWHERE = [
    ("GET", f"/auth/token?client_id={NAMED}"),
    ("POST", f"/auth/introspect?token={NAMED}"),
    ("GET", f"/console/studies/{NAMED}?subject={NAMED}"),
    ("GET", f"/console/authorize?client_id={NAMED}&state={NAMED}"),
    ("GET", f"/console/elsewhere/return?code={NAMED}"),
    ("GET", f"/{NAMED}"),
    ("GET", f"/fhir/{NAMED}/{NAMED}"),
    ("TRACE", f"/fhir/Patient/{NAMED}"),
]


def test_no_log_line_holds_what_was_asked_for(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands in an address, query or body, every log line names the route alone, in both forms."""
    caplog.set_level(logging.DEBUG)
    with place.http(auth=("busy", SECRET)) as http:
        for method, path in [(method, f"/fhir/{path}") for method, path in _addresses()] + ELSEWHERE:
            answer = http.request(method, path, headers={"X-Request-Id": NAMED, "User-Agent": NAMED})
            assert answer.status_code < 600
        http.get("/fhir/DiagnosticReport", params={"patient.identifier": PLANTED[0].patient_id})
        form = {"patient.identifier": PLANTED[0].patient_id}
        http.post("/fhir/DiagnosticReport/_search", data=form)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert len([record for record in ours if record.getMessage().startswith("web.request")]) >= len(_addresses())
    for formatter in (LineFormatter("text"), LineFormatter("json")):
        lines = "\n".join(formatter.format(record) for record in ours)
        for secret in (NAMED, PLANTED[0].patient_id, PLANTED[0].accession, SECRET):
            assert secret not in lines


def test_a_request_number_is_a_uuid_of_the_client_or_ours(place: Place) -> None:
    """A UUID in X-Request-Id is kept, so that both sides find one request; any other text is replaced."""
    own = str(uuid.uuid4())
    with place.http() as http:
        assert http.get("/healthz", headers={"X-Request-Id": own}).headers["x-request-id"] == own
        given = http.get("/healthz", headers={"X-Request-Id": NAMED}).headers["x-request-id"]
        assert uuid.UUID(given)


def test_bodies_are_bounded_at_the_new_doors(place: Place) -> None:
    """The addresses under /auth take a small form and nothing else."""
    with place.http() as http:
        for path in ("/auth/token", "/auth/introspect", "/auth/revoke"):
            assert http.post(path, content=b"x" * 17_000, headers=_FORM).status_code == 413
            assert http.post(path, json={}).status_code == 415
            assert http.get(path).status_code == 405
            assert http.post(path, data={"client_assertion": "x" * 9000, "grant_type": "a"}).status_code == 400


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_every_write_has_its_row(place: Place) -> None:
    """Create, update, search, history and delete over REST are in the trail with client, address and patient."""
    place.add("trail-reader", "system/AuditEvent.rs", secret=SECRET)
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2.3", "value": "P-77"}]}
    with place.http(auth=("busy", SECRET)) as http:
        made = http.post("/fhir/Patient", json=patient, headers={"Content-Type": "application/fhir+json"})
        assert made.status_code == 201, made.text
        own_id = made.headers["location"].split("/")[-3]
        body = patient | {"id": own_id, "active": True}
        header = {"Content-Type": "application/fhir+json"}
        assert http.put(f"/fhir/Patient/{own_id}", json=body, headers=header).status_code == 200
        assert http.get(f"/fhir/Patient/{own_id}/_history").status_code == 200
        assert http.get(f"/fhir/Patient/{own_id}/_history/1").status_code == 200
        assert http.delete(f"/fhir/Patient/{own_id}").status_code == 204
    with place.http(auth=("trail-reader", SECRET)) as http:
        rows = events(http.get(f"/fhir/AuditEvent?entity=Patient/{own_id}&_count=50"))
        by_patient = events(http.get(f"/fhir/AuditEvent?patient={own_id}&_count=50"))
    assert [row["subtype"][0]["code"] for row in rows] == ["delete", "vread", "history", "update", "create"]
    assert [row["action"] for row in rows] == ["D", "R", "R", "U", "C"]
    assert all(row["agent"][0]["network"]["address"] == "127.0.0.1" for row in rows)
    assert rows[-1]["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientCreate"
    ]
    assert {row["id"] for row in by_patient} >= {row["id"] for row in rows}
    assert "P-77" not in str(rows)


def events(answer: httpx.Response) -> list[dict[str, object]]:
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json()["entry"]]
