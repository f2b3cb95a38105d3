"""SMART standalone launch with a patient and an identity: by fhirclient and authlib, and what must not work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.jose import JsonWebKey, JsonWebToken
from fhirclient.client import FHIRClient
from fhirclient.models.diagnosticreport import DiagnosticReport
from joserfc import jwt
from joserfc.jwk import KeySet
from wire.access.place import Place
from wire.access.test_apps import REDIRECT, Person, asked, client, token, told
from wire.fhir_rest.hospital import SECRET

from gateway.domain.resource import Change

LAUNCH = "https://app.example/launch?tenant=1"
NUMBERS = ("LAUNCH-1", "LAUNCH-2")
SCOPE = "openid fhirUser launch/patient patient/*.rs offline_access"


@pytest.fixture(scope="module", autouse=True)
def patients(place: Place) -> list[str]:
    """Two Patients with an Observation each; their ids."""
    place.add(
        "launch-growth",
        "openid",
        "fhirUser",
        "launch/patient",
        "patient/*.rs",
        "user/*.rs",
        "offline_access",
        redirects=(REDIRECT,),
    )
    place.add("launch-beside", "openid", "launch", "patient/*.rs", redirects=(REDIRECT,), launch=LAUNCH)
    place.add("launch-other", "launch", "patient/*.rs", redirects=(REDIRECT,), launch=LAUNCH)
    place.add("launch-trail", "launch", "launch/patient", "user/*.rs", "user/AuditEvent.rs", redirects=(REDIRECT,))
    place.hospital.add_person("l-physician", "physician")
    place.hospital.add_person("l-other", "physician")
    place.hospital.add_person("l-auditor", "auditor")
    place.add("launch-writer", "system/*.cruds", secret=SECRET)
    found = []
    with place.http(auth=("launch-writer", SECRET)) as http:
        for number in NUMBERS:
            sent = {"resourceType": "Patient", "identifier": [{"value": number}], "name": [{"family": f"Of{number}"}]}
            found.append(http.post("/fhir/Patient", json=sent).json()["id"])
            observed = {"resourceType": "Observation", "status": "final", "code": {"text": "height"}}
            about = {"subject": {"reference": f"Patient/{found[-1]}"}}
            assert http.post("/fhir/Observation", json=observed | about).status_code == 201
    return found


@pytest.fixture
def physician(place: Place) -> Iterator[Person]:
    with place.http() as browser:
        yield Person(browser, "l-physician")


def pick(who: Person, address: str, number: str, patient: str | None = None) -> httpx.Response:
    """Signs in, finds the patient by number and allows; the answer to that."""
    who.sign_in()
    assert who.browser.get(address).status_code == 200
    page = who.browser.get("/console/authorize/consent")
    form = {"token": token(page.text), "number": number, "answer": "find"}
    page = who.browser.post("/console/authorize/consent", data=form)
    assert page.status_code == 200
    if patient is None:
        return page
    return who.browser.post("/console/authorize/consent", data=form | {"patient": patient, "answer": "allow"})


def launched(place: Place, who: Person, patients: list[str], scope: str = SCOPE, **more: str) -> dict[str, Any]:
    """What an app of authlib is given for the first patient."""
    with client(place, "launch-growth") as app:
        verifier = generate_token(64)
        back = told(pick(who, asked(place, app, verifier, scope, **more)[0], NUMBERS[0], patients[0]))
        given: dict[str, Any] = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
        return given


def test_fhirclient_launches_with_a_patient(
    place: Place, physician: Person, patients: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMART's own Python client finds our addresses, sends the person to choose, and reads that patient as its own."""
    settings = {"app_id": "launch-growth", "api_base": place.fhir, "redirect_uri": REDIRECT, "scope": SCOPE}
    smart = FHIRClient(settings=settings)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place.authority.ca))
    assert smart.prepare() is False
    page = pick(physician, smart.authorize_url, NUMBERS[0])
    assert f"Of{NUMBERS[0]}" in page.text
    form = {"token": token(page.text), "number": NUMBERS[0], "patient": patients[0], "answer": "allow"}
    back = physician.browser.post("/console/authorize/consent", data=form)
    smart.handle_callback(back.headers["location"])
    assert smart.ready
    assert smart.patient_id == patients[0]
    assert smart.patient.name[0].family == f"Of{NUMBERS[0]}"
    assert smart.reauthorize()
    read = place.hospital.events("fhir:read")[0]
    assert (read.actor, read.details["client"]) == ("person:l-physician", "launch-growth")


def test_an_app_learns_who_has_signed_in(place: Place, physician: Person, patients: list[str]) -> None:
    """The ID token verifies against the published keys, is for this app and this request, and fhirUser can be read."""
    given = launched(place, physician, patients, nonce="n-0S6")
    with place.http() as http:
        discovered = http.get("/.well-known/openid-configuration").json()
        smart = http.get("/fhir/.well-known/smart-configuration").json()
        assert discovered["jwks_uri"] == smart["jwks_uri"]
        keys = http.get(discovered["jwks_uri"].removeprefix(place.base)).json()
        assert all("d" not in key for key in keys["keys"])
        algorithms = discovered["id_token_signing_alg_values_supported"]
        claims = jwt.decode(given["id_token"], KeySet.import_key_set(keys), algorithms=algorithms).claims
        jwt.JWTClaimsRegistry(
            iss={"value": discovered["issuer"], "essential": True},
            aud={"value": "launch-growth", "essential": True},
            nonce={"value": "n-0S6", "essential": True},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        header = {"Authorization": f"Bearer {given['access_token']}"}
        who = http.get(claims["fhirUser"].removeprefix(place.base), headers=header)
    assert (who.status_code, who.json()["resourceType"]) == (200, "Practitioner")
    assert who.json()["name"][0]["text"] == "l-physician"
    assert given["patient"] == patients[0]
    with client(place, "launch-growth") as app:
        shown = app.introspect_token(f"{place.base}/auth/introspect", token=given["access_token"])
    assert shown.status_code == 401  # a public app proves nothing


def jwt_claims(place: Place, token_of: str) -> dict[str, Any]:
    """What an ID token says, verified."""
    with place.http() as http:
        keys = http.get("/auth/jwks").json()
    return dict(jwt.decode(token_of, KeySet.import_key_set(keys), algorithms=["ES256"]).claims)


@pytest.mark.parametrize(("option", "algorithm"), [([], "RS256"), (["--id-token-alg", "ES256"], "ES256")])
def test_authlib_verifies_an_id_token(
    place: Place, physician: Person, patients: list[str], option: list[str], algorithm: str
) -> None:
    """An app added on the command line gets RS256, or what it is added with; the key is named, and serves for that."""
    name = f"launch-{algorithm.lower()}"
    scope = "openid launch/patient patient/*.rs"
    made = place.command("client", "add", "fhir", name, "--scope", scope, "--redirect", REDIRECT, *option)
    assert made.returncode == 0, made.stderr
    with client(place, name) as app:
        verifier = generate_token(64)
        back = told(pick(physician, asked(place, app, verifier, scope)[0], NUMBERS[0], patients[0]))
        given = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
    with place.http() as http:
        discovered = http.get("/.well-known/openid-configuration").json()
        keys = http.get("/auth/jwks").json()
    assert discovered["id_token_signing_alg_values_supported"] == ["RS256", "ES256"]
    assert [(key["alg"], key["use"], key["kty"]) for key in keys["keys"]] == [
        ("RS256", "sig", "RSA"),
        ("ES256", "sig", "EC"),
    ]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & {member for key in keys["keys"] for member in key}
    claims = JsonWebToken([algorithm]).decode(given["id_token"], JsonWebKey.import_key_set(keys))
    claims.validate()
    (named,) = [key for key in keys["keys"] if key["kid"] == claims.header["kid"]]
    assert (claims.header["alg"], named["alg"], claims["aud"]) == (algorithm, algorithm, name)


def test_without_openid_there_is_no_id_token(place: Place, physician: Person, patients: list[str]) -> None:
    """What was not asked for is not given."""
    given = launched(place, physician, patients, "launch/patient patient/Observation.rs")
    assert "id_token" not in given
    assert "refresh_token" not in given
    assert given["scope"] == "launch/patient patient/Observation.rs"


def ids_at(http: httpx.Client, path: str) -> list[str]:
    """Of the resources in the Bundle that is answered."""
    answer = http.get(f"/fhir/{path}")
    assert answer.status_code == 200, answer.text
    return [one["resource"]["id"] for one in answer.json().get("entry", [])]


def test_a_token_for_one_patient_shows_no_other(place: Place, physician: Person, patients: list[str]) -> None:
    """Reads, versions, histories, searches, includes and $everything give that record alone; nothing can be written."""
    mine, hers = patients
    given = launched(place, physician, patients)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        ids = partial(ids_at, http)

        def status(path: str, method: str = "GET", **options: Any) -> int:
            return http.request(method, f"/fhir/{path}", **options).status_code

        assert status(f"Patient/{mine}") == 200
        for path in (f"Patient/{hers}", f"Patient/{hers}/_history/1", f"Patient/{hers}/_history"):
            assert status(path) == 404
        assert status(f"Patient/{hers}/$everything") == 404
        assert ids("Patient") == [mine]
        assert ids(f"Patient?_id={hers}") == []
        assert http.get("/fhir/Observation?_summary=count").json()["total"] == 1
        assert ids(f"Observation?subject=Patient/{hers}") == []
        assert mine in ids("Observation?_include=Observation:subject")
        assert ids("DiagnosticReport") == []
        assert status(f"DiagnosticReport/{place.report}") == 404
        assert mine in ids(f"Patient/{mine}/$everything")
        assert mine in ids(f"Patient/{mine}/*")
        assert len(ids(f"Patient/{mine}/Observation")) == 1
        assert status(f"Patient/{hers}/*") == status(f"Patient/{hers}/Observation") == 404
        assert status(f"Patient/{mine}/_history") == 200
        assert status("_history") == status("?_type=Patient") == 403
        assert status("Patient/_history") == 403
        assert status("$export", headers={"Prefer": "respond-async"}) == 403
        assert status("Observation", headers={"Prefer": "respond-async"}) == 200  # at once: nothing waits
        assert status("Patient", "POST", json={"resourceType": "Patient"}) == 403
        assert status(f"Patient/{mine}", "DELETE") == 403
        decision = {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "accept"}]}
        sign = {"json": decision, "headers": {"If-Match": 'W/"2"', "Content-Type": "application/fhir+json"}}
        assert status(f"DiagnosticReport/{place.report}/$sign", "POST", **sign) == 403
        entry = {"request": {"method": "GET", "url": "Patient"}}
        assert status("", "POST", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]}) == 403


def test_a_chain_stays_in_the_record(place: Place, physician: Person, patients: list[str]) -> None:
    """Each step of a chain and of _has looks at what could be read: nothing of another record decides the answer."""
    mine, hers = patients
    seen = {"resourceType": "Observation", "status": "final"}
    with place.http(auth=("launch-writer", SECRET)) as http:

        def made(resource: dict[str, Any]) -> str:
            answer = http.post(f"/fhir/{resource['resourceType']}", json=resource)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

        clinic = f"Organization/{made({'resourceType': 'Organization', 'name': 'Chain Clinic'})}"
        performers = [{"reference": one} for one in (clinic, f"Patient/{hers}")]
        about = {"code": {"text": "m"}, "subject": {"reference": f"Patient/{mine}"}, "performer": performers}
        own_id = made(seen | about)
        made(
            seen
            | {"code": {"coding": [{"code": "hers"}]}, "subject": {"reference": f"Patient/{hers}"}}
            | {"performer": [{"reference": f"Patient/{mine}"}]}
        )
        her = http.get(f"/fhir/Patient/{hers}").json() | {"managingOrganization": {"reference": clinic}}
        assert http.put(f"/fhir/Patient/{hers}", json=her).status_code == 200
        # what somebody finds who may see both
        for asked_of in ("performer:Patient.identifier=LAUNCH-2", "performer:Patient.family=OfLAUNCH"):
            assert http.get(f"/fhir/Observation?_id={own_id}&{asked_of}").json()["total"] == 1
        back = "performer:Organization._has:Patient:organization:identifier=LAUNCH-2"
        assert http.get(f"/fhir/Observation?_id={own_id}&{back}").json()["total"] == 1
        assert http.get(f"/fhir/Patient?_id={mine}&_has:Observation:performer:code=hers").json()["total"] == 1
    given = launched(place, physician, patients)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        found = partial(ids_at, http)

        assert own_id in found("Observation?subject:Patient.identifier=LAUNCH-1")
        assert own_id in found("Observation?subject.family=OfLAUNCH-1")
        assert own_id in found("Observation?performer:Organization.name=Chain")
        assert found(f"Patient?_has:Observation:patient:_id={own_id}") == [mine]
        for nothing in (
            "Observation?subject:Patient.identifier=LAUNCH-2",
            "Observation?performer:Patient.identifier=LAUNCH-2",
            "Observation?performer:Patient.family=OfLAUNCH-2",
            "Observation?performer:Patient.gender:missing=true",
            "Observation?performer:Patient.gender:not=male",
            f"Observation?{back}",
            "Patient?_has:Observation:performer:code=hers",
            "Patient?_has:Observation:performer:code:not=other",
            "Patient?_has:Observation:patient:performer:Patient.identifier=LAUNCH-2",
        ):
            assert found(nothing) == [], nothing
            assert http.get(f"/fhir/{nothing}&_summary=count").json()["total"] == 0
        assert http.get("/fhir/Observation?subject:Group.code=x").status_code == 403
        assert http.get("/fhir/Patient?_has:Group:member:code=x").status_code == 403
    given = launched(place, physician, patients, "launch/patient patient/Observation.rs")
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        for chain in ("subject:Patient.identifier=LAUNCH-1", "performer:Organization.name=Chain"):
            assert http.get(f"/fhir/Observation?{chain}").status_code == 403


def test_a_large_record_is_searched_as_a_whole(place: Place, physician: Person) -> None:
    """More than 5000 resources of a type in the one record are counted and filtered like few."""
    with place.http(auth=("launch-writer", SECRET)) as http:
        sent = {"resourceType": "Patient", "identifier": [{"value": "LAUNCH-LARGE"}]}
        patient = http.post("/fhir/Patient", json=sent).json()["id"]
        about = {"resourceType": "Basic", "code": {"text": "note"}, "subject": {"reference": f"Patient/{patient}"}}
        (written,) = [http.post("/fhir/Basic", json=about).json()["id"]]
    with place.hospital.database.begin("test") as unit:
        one = unit.resources.find("Basic", written)
        assert one is not None
        more = [replace(one, key=one.key - each, id=f"large-{each}") for each in range(1, 5101)]
        assert unit.resources.write([(None, each) for each in more])
        unit.resource_index.put([Change(each, about | {"id": each.id}, None) for each in more])
        unit.commit()
    with client(place, "launch-growth") as app:
        verifier = generate_token(64)
        back = told(pick(physician, asked(place, app, verifier, SCOPE)[0], "LAUNCH-LARGE", patient))
        given = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        assert http.get("/fhir/Basic?_summary=count").json()["total"] == 5101
        one_of_them = http.get(f"/fhir/Basic?_id={written}").json()
    assert [each["resource"]["id"] for each in one_of_them["entry"]] == [written]


def moved(place: Place, first: str, then: str) -> str:
    """A Procedure written under one patient and then put under another; its id."""
    sent = {"resourceType": "Procedure", "status": "completed", "code": {"text": f"secret of {first}"}}
    with place.http(auth=("launch-writer", SECRET)) as http:
        made = http.post("/fhir/Procedure", json=sent | {"subject": {"reference": f"Patient/{first}"}}).json()
        corrected = made | {"code": {"text": "corrected"}, "subject": {"reference": f"Patient/{then}"}}
        assert http.put(f"/fhir/Procedure/{made['id']}", json=corrected).status_code == 200
    return str(made["id"])


def test_a_moved_resource_brings_no_other_record_along(place: Place, physician: Person, patients: list[str]) -> None:
    """Versions from before a resource came into the record are not shown, and what has left it is not there."""
    mine, hers = patients
    came, left = moved(place, hers, mine), moved(place, mine, hers)
    given = launched(place, physician, patients)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        assert http.get(f"/fhir/Procedure/{came}").json()["code"]["text"] == "corrected"
        assert http.get(f"/fhir/Procedure/{came}/_history/2").status_code == 200
        foreign = http.get(f"/fhir/Procedure/{came}/_history/1")
        assert foreign.status_code == 404
        assert http.get(f"/fhir/Procedure/{came}/_history/9").json() == foreign.json()
        versions = http.get(f"/fhir/Procedure/{came}/_history").json()
        assert [one["resource"]["meta"]["versionId"] for one in versions["entry"]] == ["2"]
        for path in (f"Procedure/{left}", f"Procedure/{left}/_history", f"Procedure/{left}/_history/1"):
            assert http.get(f"/fhir/{path}").status_code == 404


def test_the_trail_names_whose_version_was_opened(place: Place, patients: list[str]) -> None:
    """An old version of a moved resource is an opening of the record in which it was written."""
    first, then = patients
    own_id = moved(place, first, then)
    with place.hospital.database.read() as unit:
        records = [found.owner for one in patients if (found := unit.resources.find("Patient", one)) is not None]
    with place.http(auth=("launch-writer", SECRET)) as http:
        assert http.get(f"/fhir/Procedure/{own_id}/_history/1").status_code == 200
        assert place.hospital.events("fhir:vread")[0].details["patients"] == records[:1]
        assert http.get(f"/fhir/Procedure/{own_id}/_history").json()["total"] == 2
    assert set(place.hospital.events("fhir:history")[0].details["patients"]) == set(records)
    assert {one.subject_id for one in place.hospital.events("identity:open")[:2]} == set(records)


@pytest.mark.parametrize("path", ["", "/_history", "/_history?_since=2099-01-01", "/_history?_at=2001", "/_history/1"])
def test_another_record_is_as_if_it_were_not_there(
    place: Place, physician: Person, patients: list[str], path: str
) -> None:
    """The answer about a resource of another patient is that about an id which nobody has."""
    given = launched(place, physician, patients)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        foreign, made_up = (http.get(f"/fhir/Patient/{one}{path}") for one in (patients[1], "made-up"))
    assert (foreign.status_code, foreign.json()) == (404, made_up.json())


def test_an_include_tells_nothing_of_another_record(place: Place, physician: Person, patients: list[str]) -> None:
    """What may not be seen is left out without a word; for a type without a scope it is said, as ever."""
    with place.http(auth=("launch-writer", SECRET)) as http:

        def procedure(patient: str, *whole: str) -> str:
            about = {"subject": {"reference": f"Patient/{patient}"}, "partOf": [{"reference": one} for one in whole]}
            sent = {"resourceType": "Procedure", "status": "completed"} | {
                key: told for key, told in about.items() if told
            }
            return str(http.post("/fhir/Procedure", json=sent).json()["id"])

        mine = procedure(patients[0], f"Procedure/{procedure(patients[1])}")
    for scope, withheld in (("patient/*.rs", []), ("patient/Procedure.rs", ["Patient"])):
        given = launched(place, physician, patients, f"launch/patient {scope}")
        with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
            includes = "_include=Procedure:part-of&_include=Procedure:patient"
            entries = http.get(f"/fhir/Procedure?_id={mine}&{includes}").json()["entry"]
        assert [one["resource"]["id"] for one in entries if one["search"]["mode"] == "match"] == [mine]
        outcomes = [one["resource"]["issue"][0]["diagnostics"] for one in entries if one["search"]["mode"] == "outcome"]
        assert outcomes == [f"{kind} is not included: no scope for it" for kind in withheld]
        included = [one["resource"]["id"] for one in entries if one["search"]["mode"] == "include"]
        assert included == ([] if withheld else patients[:1])


@pytest.mark.parametrize(
    ("kind", "status"), [("Group", 403), ("Practitioner", 403), ("Medication", 403), ("Device", 200)]
)
def test_no_list_of_what_lies_outside(
    place: Place, physician: Person, patients: list[str], kind: str, status: int
) -> None:
    """A search of a type whose members belong to nobody is refused: an empty answer would be untrue."""
    given = launched(place, physician, patients)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        assert http.get(f"/fhir/{kind}").status_code == status


def test_an_app_reads_who_has_signed_in(place: Place, physician: Person, patients: list[str]) -> None:
    """The scope fhirUser is enough for the person's own Practitioner, and for nothing else."""
    scope = "launch/patient patient/Observation.rs offline_access"
    given = launched(place, physician, patients, f"openid fhirUser {scope}")
    own = jwt_claims(place, given["id_token"])["fhirUser"].removeprefix(place.base)
    with client(place, "launch-growth") as app:
        fresh = app.refresh_token(place.token_url, given["refresh_token"])["access_token"]
    for bearer in (given["access_token"], fresh):
        with place.http(headers={"Authorization": f"Bearer {bearer}"}) as http:
            assert http.get(own).json()["name"][0]["text"] == "l-physician"
            other = http.get("/fhir/Practitioner/another")
            assert (other.status_code, http.get(f"{own}/_history").status_code) == (403, 403)
            assert other.json()["issue"][0]["diagnostics"] == "this needs the scope patient/Practitioner.r"
    given = launched(place, physician, patients, scope)
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        assert http.get(own).status_code == 403


def test_a_refreshed_token_stays_with_its_patient(place: Place, physician: Person, patients: list[str]) -> None:
    """The next token is confined as the first one was, and says so."""
    given = launched(place, physician, patients)
    with client(place, "launch-growth") as app:
        fresh = app.refresh_token(place.token_url, given["refresh_token"])
        assert fresh["patient"] == patients[0]
        assert app.get(f"{place.fhir}/Patient/{patients[0]}").status_code == 200
        assert app.get(f"{place.fhir}/Patient/{patients[1]}").status_code == 404


def test_a_user_scope_with_a_patient_in_context_is_not_confined(
    place: Place, physician: Person, patients: list[str]
) -> None:
    """launch/patient beside user/ scopes tells which patient it is about, and restricts nothing."""
    given = launched(place, physician, patients, "launch/patient user/Patient.rs")
    assert given["patient"] == patients[0]
    with place.http(headers={"Authorization": f"Bearer {given['access_token']}"}) as http:
        assert http.get(f"/fhir/Patient/{patients[1]}").status_code == 200


def test_nobody_is_let_in_without_a_patient(place: Place, physician: Person) -> None:
    """Allowing without a choice shows the page again; a Patient who is not there is refused; no code is made."""
    with client(place, "launch-growth") as app:
        address = asked(place, app, generate_token(64), SCOPE)[0]
    page = pick(physician, address, "no such number")
    assert "No patient has this number" in page.text
    form = {"token": token(page.text), "answer": "allow"}
    again = physician.browser.post("/console/authorize/consent", data=form)
    assert (again.status_code, "location" in again.headers) == (200, False)
    wrong = physician.browser.post("/console/authorize/consent", data=form | {"patient": "nobody"})
    assert (wrong.status_code, "location" in wrong.headers) == (400, False)


def test_an_auditor_has_no_patient_to_give(place: Place, patients: list[str]) -> None:
    """The role bounds patient/ scopes as it does user/ scopes."""
    with place.http() as browser, client(place, "launch-growth") as app:
        auditor = Person(browser, "l-auditor")
        auditor.sign_in()
        assert browser.get(asked(place, app, generate_token(64), SCOPE)[0]).status_code == 200
        assert told(browser.get("/console/authorize/consent"))["error"] == "access_denied"


def test_an_auditor_finds_no_patient(place: Place, patients: list[str]) -> None:
    """Who may not see identity gets an app without a patient: no picker, no name, and no report opened in an app."""
    with place.http() as browser, client(place, "launch-trail") as app:
        verifier = generate_token(64)
        auditor = Person(browser, "l-auditor")
        page = pick(auditor, asked(place, app, verifier, "user/AuditEvent.rs launch/patient")[0], NUMBERS[0])
        assert 'name="number"' not in page.text
        assert f"Of{NUMBERS[0]}" not in page.text
        form = {"token": token(page.text), "patient": patients[0], "answer": "allow"}
        back = told(browser.post("/console/authorize/consent", data=form))
        given = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
        assert (given["scope"], "patient" in given) == ("user/AuditEvent.rs", False)
        assert "/console/launch/" not in browser.get(f"/console/reports/{place.report}").text
        assert browser.get(f"/console/launch/{place.report}/launch-beside").status_code == 403


def test_an_answer_is_about_what_was_shown(place: Place, physician: Person) -> None:
    """Another request of the app, put in place of the one on the page, is shown before it can be allowed."""
    with client(place, "launch-beside") as app:
        verifier = generate_token(64)
        first, second = (opened(place, physician)["launch"] for _ in range(2))
        addresses = [
            asked(place, app, verifier, "launch patient/*.rs", launch=launch, state=state)[0]
            for launch, state in ((first, "one"), (second, "one"), (first, "two"))
        ]
    assert physician.browser.get(addresses[0]).status_code == 200
    shown = {"token": token(physician.browser.get("/console/authorize/consent").text), "answer": "allow"}
    for swapped in addresses[1:]:
        assert physician.browser.get(swapped).status_code == 200
        again = physician.browser.post("/console/authorize/consent", data=shown)
        assert (again.status_code, "location" in again.headers) == (200, False)
    assert physician.browser.get(addresses[0]).status_code == 200
    assert "code" in told(physician.browser.post("/console/authorize/consent", data=shown))


@pytest.mark.parametrize("spelled", ["", "!!!!"])
def test_a_launch_serves_once(place: Place, physician: Person, spelled: str) -> None:
    """A second code for the same launch is refused, in whatever form its token is written."""
    launch = opened(place, physician)["launch"]
    with client(place, "launch-beside") as app:
        first, second = (
            physician.agree(asked(place, app, generate_token(64), "launch patient/*.rs", launch=one)[0])
            for one in (launch, launch + spelled)
        )
    assert "code" in first
    assert second["error"] == "invalid_request"


def opened(place: Place, who: Person, app: str = "launch-beside") -> dict[str, str]:
    """What the app hears at its launch address, when a person opens the report in it."""
    who.sign_in()
    assert f"/console/launch/{place.report}/{app}" in who.browser.get(f"/console/reports/{place.report}").text
    sent = who.browser.get(f"/console/launch/{place.report}/{app}")
    assert sent.status_code == 303
    assert sent.headers["location"].startswith(LAUNCH)
    return dict(parse_qsl(urlsplit(sent.headers["location"]).query))


def test_a_report_is_opened_in_an_app(
    place: Place, physician: Person, patients: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """EHR launch by fhirclient: no picker, the report's patient in context, and the report itself can be read."""
    given = opened(place, physician)
    assert given["iss"] == place.fhir
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place.authority.ca))
    settings = {"app_id": "launch-beside", "api_base": given["iss"], "redirect_uri": REDIRECT, "scope": "patient/*.rs"}
    smart = FHIRClient(settings=settings | {"launch_token": given["launch"]})
    assert smart.prepare() is False
    assert physician.browser.get(smart.authorize_url).status_code == 200
    page = physician.browser.get("/console/authorize/consent")
    assert 'name="number"' not in page.text
    assert "It is about" in page.text
    form = {"token": token(page.text), "answer": "allow"}
    back = physician.browser.post("/console/authorize/consent", data=form)
    smart.handle_callback(back.headers["location"])
    report = DiagnosticReport.read(place.report, smart.server)
    assert report.subject.reference == f"Patient/{smart.patient_id}"
    assert smart.launch_context["fhirContext"] == [{"reference": f"DiagnosticReport/{place.report}"}]
    assert smart.patient is not None
    with place.http(headers={"Authorization": f"Bearer {smart.server.auth.access_token}"}) as http:
        assert http.get(f"/fhir/Patient/{patients[0]}").status_code == 404


@pytest.mark.parametrize("wrong", ["forged", "another app", "another person", "too old", "no scope", "no launch"])
def test_a_launch_that_is_not_ours_is_refused(place: Place, physician: Person, wrong: str) -> None:
    """The context serves the app and the person that it was made for, for five minutes, with its scope."""
    token_of = {"launch": opened(place, physician)["launch"]}
    scope = "launch patient/*.rs"
    if wrong == "forged":
        token_of["launch"] = token_of["launch"][:-4] + "AAAA"
    if wrong == "no scope":
        scope = "patient/*.rs"
    if wrong == "no launch":
        token_of = {}
    name = "launch-other" if wrong == "another app" else "launch-beside"
    with client(place, name) as app:
        address = asked(place, app, generate_token(64), scope, **token_of)[0]
    services = place.hospital.services
    with pytest.MonkeyPatch.context() as patched, place.http() as browser:
        if wrong == "too old":
            patched.setitem(vars(services), "clock", lambda: datetime.now(UTC) + timedelta(minutes=6))
        who = Person(browser, "l-other") if wrong == "another person" else physician
        first = who.browser.get(address)
        if wrong == "another person":
            who.sign_in()
            first = who.browser.get("/console/authorize/consent")
        assert told(first)["error"] in ("invalid_request", "access_denied")


def test_what_is_said_to_be_served_is(place: Place) -> None:
    """Capabilities name what these tests do."""
    with place.http() as http:
        told_of = http.get("/fhir/.well-known/smart-configuration").json()
    assert {"launch-standalone", "context-standalone-patient", "sso-openid-connect", "permission-patient"} <= set(
        told_of["capabilities"]
    )
    assert {"launch-ehr", "context-ehr-patient"} <= set(told_of["capabilities"])
    assert {"openid", "fhirUser", "launch/patient", "patient/*.rs"} <= set(told_of["scopes_supported"])
