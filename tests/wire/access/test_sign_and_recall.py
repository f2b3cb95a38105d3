"""$sign and $recall over HTTP: for a physician who signed in through an app, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.common.security import generate_token
from fhir.resources.R4B import get_fhir_model_class
from harness.studies import PLANTED
from wire.access.place import Place, open_place, serve
from wire.access.test_apps import REDIRECT, Person, asked, client
from wire.fhir_rest.hospital import SECRET, add_study

from gateway import wiring
from gateway.domain.report import report_id
from gateway.servers.web.fhir import bundle


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Place]:
    """A gateway of its own, because reports change here."""
    folder = tmp_path_factory.mktemp("clinic")
    opened = open_place(folder, sqlite_template)
    add_study(opened.hospital, folder / "second", PLANTED[1], 1)
    opened.add("viewer", "user/*.cruds", redirects=(REDIRECT,))
    opened.add("lis", "system/*.cruds", secret=SECRET)
    for role in ("physician", "admin"):
        opened.hospital.add_person(f"a-{role}", role)
    with serve(opened):
        yield opened


def bearer(clinic: Place, name: str) -> httpx.Client:
    """A client with the token that the app was given for this person."""
    with clinic.http() as browser, client(clinic) as app:
        verifier = generate_token(64)
        back = Person(browser, name).agree(asked(clinic, app, verifier, "user/*.cruds")[0])
        given = app.fetch_token(clinic.token_url, code=back["code"], code_verifier=verifier)
    return clinic.http(headers={"Authorization": f"Bearer {given['access_token']}"})


@pytest.fixture(scope="module")
def doctor(clinic: Place) -> Iterator[httpx.Client]:
    with bearer(clinic, "a-physician") as http:
        yield http


@pytest.fixture(scope="module")
def lis(clinic: Place) -> Iterator[httpx.Client]:
    """A system that acts for itself."""
    with clinic.http(auth=("lis", SECRET)) as http:
        yield http


def sign(http: httpx.Client, report: str, outcome: str, if_match: str | None, **more: str) -> httpx.Response:
    given = [{"name": "outcome", "valueCode": outcome}]
    given += [{"name": name, "valueString": value} for name, value in more.items()]
    headers = {"Content-Type": "application/fhir+json"} | ({"If-Match": if_match} if if_match else {})
    body = {"resourceType": "Parameters", "parameter": given}
    return http.post(f"/fhir/DiagnosticReport/{report}/$sign", json=body, headers=headers)


def said(answer: httpx.Response) -> str:
    return str(answer.json()["issue"][0]["diagnostics"])


def test_who_may_not_sign(clinic: Place, lis: httpx.Client) -> None:
    """A system without a person, and an app of an administrator, get 403 with the reason, and a row in the trail."""
    waiting = str(report_id(clinic.hospital.studies[1]))
    refused = sign(lis, waiting, "accept", 'W/"2"')
    assert (refused.status_code, "acts for no person" in said(refused)) == (403, True)
    with bearer(clinic, "a-admin") as admin:
        assert sign(admin, waiting, "accept", 'W/"2"').status_code == 403
    noted = clinic.hospital.events("fhir:operation")
    assert {(each.actor, each.details["outcome"]) for each in noted} >= {
        ("client:lis", "4"),
        ("person:a-admin", "4"),
    }


def test_a_physician_signs_what_was_read(clinic: Place, doctor: httpx.Client) -> None:
    """ETag read, signed, filed under the new version; a stale ETag is 412, an illegal move 409, none 400."""
    report = str(report_id(clinic.hospital.studies[0]))
    read = doctor.get(f"/fhir/DiagnosticReport/{report}")
    assert read.json()["status"] == "preliminary"
    assert sign(doctor, report, "accept", None).status_code == 400
    assert sign(doctor, report, "append", read.headers["ETag"], conclusion="More.").status_code == 409
    done = sign(doctor, report, "accept", read.headers["ETag"])
    assert (done.status_code, done.headers["ETag"]) == (200, 'W/"3"'), done.text
    get_fhir_model_class("Parameters").model_validate(done.json())
    stale = sign(doctor, report, "retract", read.headers["ETag"], reason="wrong patient")
    assert stale.status_code == 412
    wiring.file_reports(clinic.hospital.settings, clinic.hospital.database)()
    again = doctor.get(f"/fhir/DiagnosticReport/{report}")
    assert (again.json()["status"], again.headers["ETag"]) == ("final", done.headers["ETag"])
    assert sign(doctor, "no-such-report", "accept", 'W/"1"').status_code == 404
    noted = clinic.hospital.events("fhir:operation")
    (row,) = [each for each in noted if each.subject_id == report and each.details["outcome"] == "0"]
    assert (row.actor, row.details["operation"], row.details["client"]) == ("person:a-physician", "sign", "viewer")


def test_no_part_of_a_transaction(clinic: Place, doctor: httpx.Client) -> None:
    """A decision commits by itself: in a transaction it is refused, with its place."""
    waiting = report_id(clinic.hospital.studies[1])
    given = {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "accept"}]}
    asked_for = {"method": "POST", "url": f"DiagnosticReport/{waiting}/$sign", "ifMatch": 'W/"2"'}
    sent: dict[str, Any] = {"resourceType": "Bundle", "entry": [{"resource": given, "request": asked_for}]}

    def post(kind: str) -> httpx.Response:
        return doctor.post("/fhir", json=sent | {"type": kind}, headers={"Content-Type": "application/fhir+json"})

    refused = post("transaction")
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, ["Bundle.entry[0]"])
    assert post("batch").json()["entry"][0]["response"]["status"] == "200 OK"


def test_what_was_signed_is_told_where_the_answer_has_no_room(
    clinic: Place, doctor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch whose answer is full a decision that was taken is told as taken, without its Parameters."""
    waiting = report_id(clinic.hospital.studies[1])
    words = [{"name": "outcome", "valueCode": "append"}, {"name": "conclusion", "valueString": "More."}]
    asked_for = {"method": "POST", "url": f"DiagnosticReport/{waiting}/$sign", "ifMatch": 'W/"3"'}
    one = {"resource": {"resourceType": "Parameters", "parameter": words}, "request": asked_for}
    sent = {"resourceType": "Bundle", "type": "batch", "entry": [one]}
    monkeypatch.setattr(bundle, "MOST_ANSWERED", 10)
    answer = doctor.post("/fhir", json=sent, headers={"Content-Type": "application/fhir+json"})
    (told,) = answer.json()["entry"]
    assert (told["response"]["status"], told["response"]["etag"]) == ("200 OK", 'W/"4"'), told
    assert "resource" not in told


def test_recall_by_get_and_post(clinic: Place, lis: httpx.Client) -> None:
    """Both ways give the same list; an unknown model is 404, a parameter too few or too many 400, no scope 403."""
    query = {"model": "breast-ultrasound", "version": "1.0.0"}
    by_get = lis.get("/fhir/$recall", params=query)
    assert by_get.status_code == 200, by_get.text
    given = [{"name": name, "valueString": value} for name, value in query.items()]
    body = {"resourceType": "Parameters", "parameter": given}
    headers = {"Content-Type": "application/fhir+json"}
    by_post = lis.post("/fhir/$recall", json=body, headers=headers)
    assert by_post.json() == by_get.json()
    listed = [each for each in by_get.json()["parameter"] if each["name"] == "report"]
    assert len(listed) == len(clinic.hospital.studies)
    assert lis.get("/fhir/$recall", params=query | {"version": "9"}).status_code == 404
    assert lis.get("/fhir/$recall", params={"model": "breast-ultrasound"}).status_code == 400
    assert lis.get("/fhir/$recall", params=query | {"patient": "1"}).status_code == 400
    assert lis.put("/fhir/$recall", json=body, headers=headers).status_code == 405
    clinic.add("observer", "system/Observation.rs", secret=SECRET)
    with clinic.http(auth=("observer", SECRET)) as http:
        assert http.get("/fhir/$recall", params=query).status_code == 403


def test_the_statement_leads_to_both_definitions(clinic: Place) -> None:
    """metadata lists them where they are, and the definitions it names can be read without a token."""
    with clinic.http() as http:
        (rest,) = http.get("/fhir/metadata").json()["rest"]
        (report,) = [each for each in rest["resource"] if each["type"] == "DiagnosticReport"]
        others = [one["name"] for each in rest["resource"] for one in each["operation"] if each is not report]
        named = {each["name"]: each["definition"] for each in [*rest["operation"], *report["operation"]]}
        assert "sign" not in others
        for name in ("sign", "recall"):
            found = http.get(named[name])
            assert found.status_code == 200
            get_fhir_model_class("OperationDefinition").model_validate(found.json())
