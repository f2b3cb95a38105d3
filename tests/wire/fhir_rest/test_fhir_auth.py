"""Who may use the FHIR endpoint: tokens, HTTP Basic, scopes, limits, and what the audit trail says of it."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from sqlalchemy import create_engine, text
from wire.fhir_rest.conftest import Ward
from wire.fhir_rest.hospital import SECRET

from gateway.domain.report import report_id

FORM = {"grant_type": "client_credentials"}


def test_token_by_basic_and_by_form(ward: Ward) -> None:
    """Client id and secret are taken from the header or from the form, and the answer is not cached."""
    by_form = httpx.post(f"{ward.base}/auth/token", data=FORM | {"client_id": "ehr", "client_secret": SECRET})
    by_header = ward.token("ehr")
    for answer in (by_form, by_header):
        assert answer.status_code == 200
        assert answer.json()["token_type"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
    assert by_form.json()["access_token"] != by_header.json()["access_token"]


def test_token_is_stored_as_hash(ward: Ward) -> None:
    """The database holds SHA-256 of the token and the token nowhere."""
    token = ward.token("ehr").json()["access_token"]
    engine = create_engine(ward.hospital.settings.database_url)
    with engine.connect() as connection:
        hashes = {bytes(row[0]) for row in connection.execute(text("SELECT token_hash FROM access_grant"))}
    engine.dispose()
    assert hashlib.sha256(token.encode()).digest() in hashes
    files = [path for path in ward.hospital.settings.home.glob("dxgate.sqlite*") if path.is_file()]
    assert all(token.encode() not in path.read_bytes() for path in files)


@pytest.mark.parametrize("name", ["nobody", "gone", "elsewhere", "", "x" * 500, "ehr\x00"])
def test_unknown_disabled_and_displaced_clients_are_rejected_alike(ward: Ward, name: str) -> None:
    """An unknown, disabled or misplaced client gets the same 401 as one with a wrong secret."""
    answer = httpx.post(f"{ward.base}/auth/token", data=FORM | {"client_id": name, "client_secret": SECRET})
    assert answer.status_code in (400, 401)
    if answer.status_code == 401:
        assert answer.json()["error"] == "invalid_client"
        assert answer.json()["error_description"] == "unknown client or wrong secret"


def test_rejection_is_audited_without_the_unknown_name(ward: Ward) -> None:
    """A name that nobody has is not written into the trail: it may be a secret typed into the wrong field."""
    httpx.post(f"{ward.base}/auth/token", data=FORM | {"client_id": "hunter2-secret", "client_secret": "x"})
    entry = ward.hospital.events("client:reject")[0]
    assert (entry.subject_id, entry.actor) == ("unknown", "unknown")
    assert entry.details["reason"] == "secret"
    assert "hunter2" not in str(entry.details)


def test_success_is_audited(ward: Ward) -> None:
    """A client that has authenticated is named by the trail."""
    ward.token("reports-only")
    assert ward.hospital.events("client:authenticate")[0].actor == "client:reports-only"


@pytest.mark.parametrize("grant", ["password", "urn:ietf:params:oauth:grant-type:jwt-bearer", ""])
def test_other_grants_are_refused(ward: Ward, grant: str) -> None:
    """Grant types that are not named in smart-configuration are refused."""
    answer = httpx.post(f"{ward.base}/auth/token", data={"grant_type": grant}, auth=("ehr", SECRET))
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_scope_is_narrowed_to_what_is_granted(ward: Ward) -> None:
    """A client that asks for everything gets what it was granted, and told so."""
    told = ward.token("reports-only", "system/*.read system/Patient.rs").json()
    assert told["scope"] == "system/DiagnosticReport.rs"
    refused = ward.token("reports-only", "system/Patient.rs")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


def test_no_credentials_are_challenged(ward: Ward) -> None:
    """Without credentials the answer is 401 with a challenge and an OperationOutcome."""
    answer = httpx.get(f"{ward.base}/fhir/Patient")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["issue"][0]["code"] == "login"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer nonsense", "Basic !!!", "Basic", "Digest x", "Bearer " + "x" * 3000, "Basic OjpA"]
)
def test_malformed_credentials_are_401(ward: Ward, header: str) -> None:
    """Whatever is wrong with the Authorization header, the answer is 401 and never a crash."""
    answer = httpx.get(f"{ward.base}/fhir/Patient", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_basic_works_on_fhir_and_is_remembered(ward: Ward) -> None:
    """HTTP Basic is accepted on /fhir, and a second request is not verified, nor audited, again."""
    with httpx.Client(base_url=ward.base, auth=("searcher", SECRET)) as http:
        assert http.get("/fhir/DiagnosticReport").status_code == 200
        before = len(ward.hospital.events("client:authenticate"))
        assert http.get("/fhir/DiagnosticReport").status_code == 200
    assert len(ward.hospital.events("client:authenticate")) == before


def test_scopes_hold_for_each_type_and_interaction(ward: Ward) -> None:
    """`.s` searches and does not read, v1 `.read` does both, and a type without scope is 403."""
    study = ward.hospital.studies[0]
    with httpx.Client(base_url=f"{ward.base}/fhir/", auth=("searcher", SECRET)) as http:
        assert http.get("DiagnosticReport").status_code == 200
        refused = http.get(f"DiagnosticReport/{report_id(study)}")
        assert refused.status_code == 403
        assert refused.json()["issue"][0]["code"] == "forbidden"
        assert http.get("Patient").status_code == 200
        assert http.get("Observation").status_code == 403


def test_include_needs_its_own_scope(ward: Ward) -> None:
    """A client without a scope for Patient gets the report without the patient and is told."""
    with httpx.Client(base_url=f"{ward.base}/fhir/", auth=("reports-only", SECRET)) as http:
        bundle = http.get("DiagnosticReport?_include=DiagnosticReport:subject").json()
    kinds = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert kinds == {"DiagnosticReport", "OperationOutcome"}


def test_guessing_is_limited(ward: Ward) -> None:
    """After ten failures for a name from an address even the right secret has to wait."""
    wrong = [
        httpx.post(f"{ward.base}/auth/token", data=FORM, auth=("victim", f"guess-{number}")).status_code
        for number in range(11)
    ]
    assert wrong == [401] * 10 + [429]
    answer = httpx.post(f"{ward.base}/auth/token", data=FORM, auth=("victim", SECRET))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_smart_configuration_names_the_token_endpoint(ward: Ward) -> None:
    """The SMART configuration is open, at the FHIR base and at the root."""
    for path in ("/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration"):
        told = httpx.get(f"{ward.base}{path}").json()
        assert told["token_endpoint"].endswith("/auth/token")
        assert "client_credentials" in told["grant_types_supported"]
