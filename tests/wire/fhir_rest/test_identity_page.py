"""The Identity page and the hourly share of openings, over HTTP."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from harness.exports import cleared_studies, patients
from wire.fhir_rest.hospital import PASSWORD, SECRET, Hospital, open_hospital, serving

from gateway import config
from gateway.domain.ids import StudyId
from gateway.domain.study import Study

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a test that crossed the hour would have two shares


@dataclasses.dataclass(frozen=True)
class Place:
    hospital: Hospital
    base: str
    study: Study
    other: Study


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("identity")
    hospital = open_hospital(folder / "home", sqlite_template)
    studies = cleared_studies(hospital, folder / "in", patients(2), instances=1, settled=False)
    for study_id in studies:
        hospital.analyse(StudyId(study_id))
    hospital.add_client("ehr")
    for name, role in (("o.fficer", "privacy-officer"), ("a.physician", "physician"), ("root", "admin")):
        hospital.add_person(name, role)
    with hospital.database.read() as unit:
        study, other = (unit.studies.get(StudyId(study_id)) for study_id in studies)
    with serving(hospital.services) as base:
        yield Place(hospital, base, study, other)
    hospital.database.close()


@contextmanager
def browser(place: Place, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=place.base, follow_redirects=True, timeout=20) as client:
        token = token_of(client.get("/console/login").text)
        client.post("/console/login", data={"name": name, "password": PASSWORD, "token": token})
        yield client


def token_of(page: str, form: str = "") -> str:
    part = page[page.index(form) :] if form else page
    found = re.search(r'name="token" value="([0-9a-f]{64})"', part)
    assert found is not None
    return found[1]


def ask(client: httpx.Client, name: str, **changes: str) -> httpx.Response:
    page = client.get("/console/identity").text
    fields = {"pseudonym": name, "purpose": "PATSFTY", "reason": "recall", "export": ""}
    fields["token"] = token_of(page, 'action="/console/identity"')
    return client.post("/console/identity", data=fields | changes)


def test_an_officer_opens_an_identity_once(place: Place) -> None:
    """The answer stands in the page that answers the form, is cached nowhere, and is gone with that page."""
    with browser(place, "o.fficer") as client:
        assert ">Identity</a>" in client.get("/console/studies").text
        answer = ask(client, place.study.patient)
        assert answer.status_code == 200
        assert "MRN-0-77182" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert "MRN-0-77182" not in client.get("/console/identity").text
    row = place.hospital.events("identity:release")[0]
    assert (row.actor, row.details["purpose"]) == ("person:o.fficer", "PATSFTY")


def test_the_form_keeps_what_was_typed_when_it_is_refused(place: Place) -> None:
    """An unknown pseudonym is 404 with the form as it was filled in; markup in it stays text."""
    with browser(place, "o.fficer") as client:
        answer = ask(client, "<b>2</b>")
    assert answer.status_code == 404
    assert "no patient or study" in answer.text
    assert "&lt;b&gt;2&lt;/b&gt;" in answer.text
    assert "<b>2" not in answer.text


def test_purposes_are_those_of_the_role(place: Place) -> None:
    """A physician is offered treatment and safety; a purpose that he forges into the form is refused."""
    with browser(place, "a.physician") as client:
        page = client.get("/console/identity").text
        assert 'value="TREAT"' in page
        assert 'value="HLEGAL"' not in page
        answer = ask(client, place.study.patient, purpose="HLEGAL")
    assert answer.status_code == 403
    assert "MRN-0-77182" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_roles_have_no_such_page(place: Place, method: str) -> None:
    """An administrator sees no link and gets 403; who is not signed in is sent to sign in."""
    with browser(place, "root") as client:
        assert ">Identity</a>" not in client.get("/console/studies").text
        fields = {"pseudonym": place.study.patient, "purpose": "TREAT", "reason": "x", "token": "0" * 64}
        assert client.request(method, "/console/identity", data=fields if method == "POST" else None).status_code == 403
    stranger = httpx.request(
        method, f"{place.base}/console/identity", data={"pseudonym": "x"} if method == "POST" else None
    )
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/console/login")


def test_a_forged_form_opens_nothing(place: Place) -> None:
    """Without the token of this session the form is refused, and nothing is asked."""
    before = len(place.hospital.events("identity:release")) + len(place.hospital.events("identity:refuse"))
    with browser(place, "o.fficer") as client:
        for token in ("", "0" * 64, token_of(client.get("/console/studies").text)):
            answer = ask(client, place.study.patient, token=token)
            assert answer.status_code == 403
            assert "MRN-0-77182" not in answer.text
    assert len(place.hospital.events("identity:release")) + len(place.hospital.events("identity:refuse")) == before


@contextmanager
def limited(place: Place, most: int) -> Iterator[str]:
    """The same hospital served with a small share."""
    home = {"DXGATE_GATEWAY_HOME": str(place.hospital.settings.home)}
    settings = config.load(home, web={"port": 0}, privacy={"openings_per_hour": most}).settings
    services = dataclasses.replace(place.hospital.services, settings=settings, clock=lambda: NOON)
    with serving(services) as base:
        yield base


def reports(place: Place) -> list[str]:
    """Paths of one report each of the two patients."""
    found = httpx.get(f"{place.base}/fhir/DiagnosticReport", auth=("ehr", SECRET), timeout=20).json()
    by_patient = {each["resource"]["subject"]["reference"]: each["resource"]["id"] for each in found["entry"]}
    return [f"/fhir/DiagnosticReport/{own_id}" for own_id in by_patient.values()]


def test_a_client_has_a_share_of_patients_for_each_hour(place: Place) -> None:
    """One patient is read as often as asked; one too many gets 429 with an OperationOutcome, audited as a refusal."""
    first, second = reports(place)
    place.hospital.add_client("greedy")
    with limited(place, 1) as base, httpx.Client(base_url=base, auth=("greedy", SECRET), timeout=20) as http:
        assert [http.get(first).status_code for _ in range(3)] == [200, 200, 200]
        refused = http.get(second)
        assert refused.status_code == 429
        assert refused.json()["issue"][0]["code"] == "throttled"
        assert 0 < int(refused.headers["retry-after"]) <= 3601
        assert "77182" not in refused.text
        assert http.get("/fhir/DiagnosticReport").status_code == 429
        assert http.get(first).status_code == 200
        assert http.get("/fhir/metadata").status_code == 200
        assert http.get("/fhir/Device").status_code == 200
    row = place.hospital.events("identity:refuse")[0]
    assert (row.actor, row.details["reason"]) == ("client:greedy", "quota")
    with limited(place, 2) as base:
        assert httpx.get(f"{base}{second}", auth=("ehr", SECRET)).status_code == 200


def test_the_share_is_one_for_all_processes(place: Place) -> None:
    """A second server on the same database goes on counting where the first one stopped."""
    place.hospital.add_client("twofold")
    answers = []
    for path in reports(place):
        with limited(place, 1) as base, httpx.Client(base_url=base, auth=("twofold", SECRET), timeout=20) as http:
            answers += [http.get(path).status_code for _ in range(2)]
    assert answers == [200, 200, 429, 429]


def test_a_person_in_the_console_has_a_share_too(place: Place) -> None:
    """Study pages show identity until the share of patients is used up; then the page says so."""
    with limited(place, 1) as base:
        elsewhere = dataclasses.replace(place, base=base)
        with browser(elsewhere, "root") as client:
            for _ in range(2):
                assert "MRN-0-77182" in client.get(f"/console/studies/{place.study.id}").text
            refused = client.get(f"/console/studies/{place.other.id}")
            assert refused.status_code == 429
            assert "too many patients" in refused.text
            assert "77182" not in refused.text
            assert client.get("/console/studies").status_code == 200
