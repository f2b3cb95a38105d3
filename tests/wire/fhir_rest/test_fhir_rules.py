"""Rules of R4's text that an integrator meets in passing: reads in part, empty forms, transactions, canonical URLs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.fhir_rest.writing import Writer, entry, observation, patient, writer


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    with writer(tmp_path_factory.mktemp("rules") / "home", sqlite_template) as found:
        yield found


def test_one_resource_in_part(ehr: Writer) -> None:
    """_summary and _elements shorten a read and a vread too, as R4 3.1.0.1.10 has it for every interaction."""
    own_id = ehr.create(patient("in-part", gender="female", text={"status": "generated", "div": _DIV}))["id"]
    for path in (f"Patient/{own_id}", f"Patient/{own_id}/_history/1"):
        named = ehr.send("GET", f"{path}?_elements=gender")
        assert set(named.json()) == {"resourceType", "id", "meta", "gender"}
        assert named.json()["meta"]["tag"][-1]["code"] == "SUBSETTED"
        assert named.headers["etag"] == 'W/"1"'
        assert "name" not in ehr.send("GET", f"{path}?_summary=text").json()
        assert "text" not in ehr.send("GET", f"{path}?_summary=data").json()
        assert "tag" not in ehr.send("GET", f"{path}?_summary=false").json()["meta"]
        assert "<gender" in ehr.send("GET", f"{path}?_elements=gender&_format=xml").text
        for wrong in ("_summary=count", "_summary=x", "_elements=gender&_summary=true"):
            assert ehr.send("GET", f"{path}?{wrong}").status_code == 400, wrong


_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">a person</div>'


def test_a_search_by_post_needs_no_body(ehr: Writer) -> None:
    """POST _search with everything in the address is a search; a body of no stated kind is refused."""
    own_id = ehr.create(patient("no-body"))["id"]
    found = ehr.http.post(f"/fhir/Patient/_search?_id={own_id}")
    assert (found.status_code, found.json()["total"]) == (200, 1)
    assert ehr.http.request("POST", "/fhir/Patient/_search", content=b"_id=x").status_code == 415


@pytest.mark.parametrize(("version", "status"), [("4.0", 201), ('"4.0"', 201), ("3.0", 415), ("5.0", 415)])
def test_a_body_of_another_version_of_fhir_is_refused(ehr: Writer, version: str, status: int) -> None:
    """The media type's fhirVersion is believed: a resource of STU3 or R5 is not stored as R4."""
    kind = f"application/fhir+json; fhirVersion={version}"
    assert ehr.send("POST", "Patient", patient("versions"), Content_Type=kind).status_code == status


@pytest.mark.parametrize(
    ("sent", "back"),
    [("text/plain; charset=ISO-8859-1", "text/plain; charset=iso-8859-1"), ("text/plain", "text/plain")],
)
def test_a_text_keeps_its_charset(ehr: Writer, sent: str, back: str) -> None:
    """A Binary goes out under the charset that it came with, and under none where none was said."""
    text = "Müller".encode("iso-8859-1")
    made = ehr.http.request("POST", "/fhir/Binary", content=text, headers={"Content-Type": sent})
    for wanted in ("text/plain", "text/*"):
        native = ehr.send("GET", f"Binary/{made.json()['id']}", Accept=wanted)
        assert (native.content, native.headers["content-type"]) == (text, back)
    assert ehr.send("GET", "Binary", Accept="text/*").status_code == 406


@pytest.mark.parametrize("exists", [True, False])
def test_a_transaction_changes_a_resource_once(ehr: Writer, exists: bool) -> None:
    """A DELETE and a PUT of one resource in a transaction overlap, whether or not there is anything to delete."""
    own_id = f"overlap-{exists}".lower()
    if exists:
        assert ehr.send("PUT", f"Patient/{own_id}", patient(own_id, id=own_id)).status_code == 201
    both = (entry("DELETE", f"Patient/{own_id}"), entry("PUT", f"Patient/{own_id}", patient(own_id, id=own_id)))
    assert ehr.transact(*both).status_code == 400
    assert ehr.send("GET", f"Patient/{own_id}").status_code == (200 if exists else 404)


def test_a_patch_that_fails_names_its_entry(ehr: Writer) -> None:
    """In a transaction the outcome of a patch says which entry it stands in, and which operation of it is wrong."""
    own_id = ehr.create(patient("patched"))["id"]
    lost = base64.b64encode(b'[{"op": "remove", "path": "/active"}]').decode()
    wrong = base64.b64encode(b'[{"op": "add", "path": "/gender", "value": "x"}]').decode()
    of_path = [{"name": "operation", "part": [{"name": "type", "valueCode": "explode"}]}]
    for patched, where in (
        ({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": lost}, "Bundle.entry[1]"),
        ({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": wrong}, "Bundle.entry[1]"),
        ({"resourceType": "Parameters", "parameter": of_path}, "Bundle.entry[1].resource.parameter[0]"),
    ):
        fine = entry("POST", "Patient", patient("beside"))
        refused = ehr.transact(fine, entry("PATCH", f"Patient/{own_id}", patched))
        assert refused.status_code in (400, 422)
        assert refused.json()["issue"][0]["expression"] == [where], refused.text


def test_a_relative_reference_means_the_server_of_its_own_entry(ehr: Writer) -> None:
    """Entries of another server refer to each other by its ids: not to whom we happen to know by the same id."""
    ehr.send("PUT", "Patient/common-id", patient("somebody-else", id="common-id"))
    theirs = "https://other.example/fhir"
    said = ehr.transact(
        entry("POST", "Patient", patient("from-there"), f"{theirs}/Patient/common-id"),
        entry("POST", "Observation", observation("Patient/common-id"), f"{theirs}/Observation/7"),
        entry("POST", "Observation", observation("Patient/common-id/_history/3"), f"{theirs}/Observation/8"),
        entry("POST", "Observation", observation("Patient/common-id"), "urn:uuid:3f2a0d2e-65a5-4c3e-9c1f-7d1f3b7c9a11"),
    ).json()
    base = f"{ehr.hospital.services.fhir_base}/"
    paths = [one["response"]["location"].removeprefix(base).partition("/_history")[0] for one in said["entry"]]
    subjects = [ehr.send("GET", path).json()["subject"]["reference"] for path in paths[1:]]
    assert subjects == [paths[0], paths[0], "Patient/common-id"]
    assert paths[0] != "Patient/common-id"


def test_what_only_the_server_of_an_entry_has_is_not_looked_for_here(ehr: Writer) -> None:
    """A relative reference of its entry that leads to no entry is that server's: no record of ours is written to."""
    ehr.send("PUT", "Patient/their-id", patient("ours-by-chance", id="their-id"))
    theirs = "https://other.example/fhir"
    of_theirs = entry("POST", "Observation", observation("Patient/their-id"), f"{theirs}/Observation/9")
    refused = ehr.transact(of_theirs)
    assert refused.status_code == 422, refused.text
    assert refused.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.subject"]
    ours = entry(
        "POST", "Observation", observation("Patient/their-id"), f"{ehr.hospital.services.fhir_base}/Observation/9"
    )
    (made,) = ehr.transact(ours).json()["entry"]
    assert made["response"]["status"].startswith("201")


def test_the_link_of_a_history_is_an_address(ehr: Writer) -> None:
    """The self link has its parameters escaped, so that asking it again asks the same."""
    own_id = ehr.create(patient("escaped"))["id"]
    asked = f"Patient/{own_id}/_history?_since=2020-01-01T00%3A00%3A00%2B02%3A00"
    (link,) = ehr.send("GET", asked).json()["link"]
    assert link["url"] == f"{ehr.hospital.services.fhir_base}/{asked}"


def test_what_a_canonical_url_leads_to_is_not_followed(ehr: Writer) -> None:
    """A chain, _has or _include over a canonical URL is refused, because it would find nothing; the URL is searched."""
    form = {"resourceType": "Questionnaire", "url": "http://forms.example/pain", "version": "2", "status": "active"}
    ehr.create(form)
    subject = {"subject": {"reference": f"Patient/{ehr.create(patient('asked'))['id']}"}}
    answered = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": f"{form['url']}|2"}
    ehr.create(answered | subject)
    for found in (form["url"], f"{form['url']}|2"):
        searched = ehr.http.get("/fhir/QuestionnaireResponse", params={"questionnaire": found})
        assert searched.json()["total"] == 1
    for refused in (
        "QuestionnaireResponse?questionnaire.url=http://forms.example/pain",
        "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire",
        "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed",
        "Questionnaire?_revinclude=QuestionnaireResponse:questionnaire",
    ):
        assert ehr.send("GET", refused).status_code == 400, refused
    stated = {one["type"]: one for one in ehr.send("GET", "metadata").json()["rest"][0]["resource"]}
    assert "QuestionnaireResponse:questionnaire" not in stated["QuestionnaireResponse"]["searchInclude"]
    assert "QuestionnaireResponse:questionnaire" not in stated["Questionnaire"].get("searchRevInclude", [])
