"""Claims about bundles."""

from __future__ import annotations

import dataclasses
import json

import fixtures_report as sample
import pytest
from fhir.resources.R4B.bundle import Bundle

from gateway.formats.fhir.bundle import collection, searchset, transaction
from gateway.formats.fhir.element import Resource, encode
from gateway.formats.fhir.render import RenderedReport, render

BASE_URL = "https://gateway.example/fhir"


def shown(name: str = "malignant", who: str = "english") -> RenderedReport:
    return render(sample.SAMPLES[name](who), BASE_URL, "General Hospital AI")


def requests(bundle: Resource) -> dict[str, Resource]:
    return {entry["resource"]["resourceType"]: entry["request"] for entry in bundle["entry"]}


@pytest.mark.parametrize("name", sample.SAMPLES)
def test_bundles_of_every_kind_are_valid(name: str) -> None:
    """fhir.resources accepts transaction, collection and searchset."""
    rendered = shown(name)
    Bundle.model_validate_json(encode(transaction(rendered)))
    Bundle.model_validate_json(encode(collection(rendered, BASE_URL)))
    Bundle.model_validate_json(
        encode(searchset([rendered.report], BASE_URL, BASE_URL, included=rendered.resources[1:]))
    )


def test_what_the_ehr_may_have_is_created_only_if_absent() -> None:
    """Patient, study, model, card, organisation and provenance are created if none matches."""
    sent = requests(transaction(shown()))
    for kind in ("Patient", "ImagingStudy", "Device", "DocumentReference", "Organization", "Provenance"):
        assert sent[kind]["method"] == "POST"
        assert "=" in sent[kind]["ifNoneExist"]
    assert sent["Patient"]["ifNoneExist"] == "identifier=urn:oid:1.2.36.146.595.217.0.1|MRN-7718201"


def test_what_follows_the_report_is_updated_by_its_identifier() -> None:
    """Report and observation are conditional updates, so that a new version lands on the same resource."""
    rendered = shown()
    sent = requests(transaction(rendered))
    assert sent["DiagnosticReport"] == {
        "method": "PUT",
        "url": f"DiagnosticReport?identifier=urn:dxgate:report|{rendered.report['id']}",
    }
    assert sent["Observation"]["url"].startswith("Observation?identifier=urn:dxgate:finding|")


def test_our_ids_and_versions_stay_at_home() -> None:
    """The EHR gives the ids, so no resource of the transaction has one of ours."""
    for entry in transaction(shown())["entry"]:
        assert "id" not in entry["resource"]
        assert not {"versionId", "lastUpdated"} & entry["resource"]["meta"].keys()


def test_every_reference_is_to_an_entry_before_or_after_it() -> None:
    """All literal references are urn:uuid addresses of entries, and those of the report come earlier."""
    entries = transaction(shown())["entry"]
    addresses = [entry["fullUrl"] for entry in entries]
    text = encode(transaction(shown())).decode()
    for address in (part.split('"')[0] for part in text.split('"reference":"')[1:]):
        assert address in addresses
    report = next(entry for entry in entries if entry["resource"]["resourceType"] == "DiagnosticReport")
    assert addresses.index(report["resource"]["subject"]["reference"]) < addresses.index(report["fullUrl"])


def test_a_retry_sends_the_same_bytes() -> None:
    """Two transactions of the same version are equal byte for byte."""
    assert encode(transaction(shown())) == encode(transaction(shown()))


def test_an_identifier_without_issuer_matches_no_other_issuer() -> None:
    """The search asks for identifiers without system, so that another hospital's patient is never taken."""
    assert requests(transaction(shown(who="japanese")))["Patient"]["ifNoneExist"] == "identifier=|JP-000417"


def test_special_characters_of_a_search_are_escaped() -> None:
    """Comma, bar, dollar and backslash by FHIR, ampersand and the rest by percent signs."""
    document = sample.benign()
    identity = dataclasses.replace(document.identity, patient_id="a|b,c&d=é", issuer_of_patient_id="")
    sent = requests(transaction(render(dataclasses.replace(document, identity=identity), BASE_URL, "x")))
    assert sent["Patient"]["ifNoneExist"] == "identifier=|a%5C%7Cb%5C%2Cc%26d%3D%C3%A9"


def test_a_study_without_usable_uid_is_found_by_ours() -> None:
    """Then the gateway's own study number takes the UID's place."""
    document = sample.benign()
    identity = dataclasses.replace(document.identity, study_instance_uid="")
    sent = requests(transaction(render(dataclasses.replace(document, identity=identity), BASE_URL, "x")))
    assert sent["ImagingStudy"]["ifNoneExist"] == f"identifier=urn:dxgate:study|{sample.STUDY}"


def test_a_searchset_has_its_links_modes_and_addresses() -> None:
    """Matches and includes are told apart, each under its full address, with self and next."""
    rendered = shown()
    found = searchset(
        [rendered.report], BASE_URL, "self", included=rendered.of_type("Patient"), next_url="next", total=7
    )
    assert [link["relation"] for link in found["link"]] == ["self", "next"]
    assert [entry["search"]["mode"] for entry in found["entry"]] == ["match", "include"]
    assert found["entry"][0]["fullUrl"] == f"{BASE_URL}/DiagnosticReport/{rendered.report['id']}"
    assert found["total"] == 7


def test_an_empty_searchset_says_zero() -> None:
    """A total of zero stays, and there is no empty list of entries."""
    assert json.loads(encode(searchset([], BASE_URL, "self", total=0))) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": "self"}],
    }
