"""FHIR resources without identity: planted names in every string, references closed, values untouched."""

from __future__ import annotations

import base64
import contextlib
import hmac
import itertools
import json
import re
from datetime import date
from importlib import import_module
from typing import Any

import pytest
from harness.fhir_elements import instance
from harness.fhir_examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Invalid, Unsupported
from gateway.formats.fhir.wire.check import check
from gateway.privacy.documents import EXPORT, INFERENCE, CleanedDocument, DocumentProfile, Issuers, restore
from gateway.privacy.fhir.clean import deidentify
from gateway.privacy.fhir.rules import fhir_rules
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser

TODAY = date(2026, 1, 1)
SCRIPTS = ("Quixley", "Zważyński", "Хворостова", "Παπαγεωργίου", "欧阳娜娜", "عبدالرحمن")
KEY = IdentityKey("1.2.3", "MRN-4711-X")
ELEMENTS = sorted({name for table in fhir_rules().tables.values() for name in table})
COMMON = ["meta", "contained", "extension", "id", "url", "security", "coding", "reference", "display", "value"]
NAMES = st.sampled_from([*ELEMENTS, *COMMON, "resourceType"])
RESOURCES = sorted(fhir_rules().resources - {"Bundle"})


def pseudonymiser_for(key: IdentityKey) -> Pseudonymiser:
    return Pseudonymiser(hmac.digest(b"s" * 32, key.indexed(), "sha256"), b"d" * 32)


OWN = pseudonymiser_for(KEY)


def patient(**more: Any) -> dict[str, Any]:
    """A patient with what every other needs."""
    return {
        "resourceType": "Patient",
        "id": "p-1",
        "identifier": [{"system": "urn:oid:1.2.3", "value": "MRN-4711-X"}],
        "name": [{"family": "Smith", "given": ["John"]}],
        "birthDate": "1961-02-03",
        **more,
    }


def observation(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "Patient/p-1"},
        **more,
    }


def run(document: dict[str, Any], profile: DocumentProfile = INFERENCE, **more: Any) -> CleanedDocument:
    more.setdefault("patients", {"Patient/p-1": KEY})
    return deidentify(json.dumps(document).encode(), pseudonymiser_for, profile, today=TODAY, **more)


def made(document: dict[str, Any], profile: DocumentProfile = INFERENCE, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(document, profile, **more).body)
    return found


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [
        {"fullUrl": f"https://ehr.example/fhir/{one['resourceType']}/{one.get('id')}", "resource": one}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


@pytest.mark.parametrize("profile", [INFERENCE, EXPORT], ids=lambda profile: profile.name)
@pytest.mark.parametrize("kind", RESOURCES)
def test_planted_identity_in_six_scripts_is_found_nowhere(kind: str, profile: DocumentProfile) -> None:
    """Every string of every element of the standard, listed or not, carries a name; none of them stays."""
    scripts = itertools.cycle(SCRIPTS)
    planted = instance(kind, lambda: f"x {next(scripts)}", depth=3)
    planted |= {
        "resourceType": kind,
        "id": f"{SCRIPTS[0]}-1",
        "meta": {"source": SCRIPTS[0], "profile": [f"http://{SCRIPTS[0]}"]},
    }
    planted["extension"] = [
        {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueString": SCRIPTS[4]}
    ]
    planted.pop("modifierExtension", None)
    names = [{"family": name} for name in SCRIPTS]
    own = {"id": "p-1", "identifier": patient()["identifier"], "name": names} if kind == "Patient" else {}
    about = [] if kind == "Patient" else [patient(name=names)]
    document = bundle(*about, {**_without_references(planted), **own})
    body = run(document, profile).body.decode()
    for name in SCRIPTS:
        assert name not in body
        assert name.upper() not in body.upper()


@pytest.mark.parametrize("kind", RESOURCES)
def test_under_export_nothing_that_nobody_knows_stays_either(kind: str) -> None:
    """A name that no structured field tells cannot pass, because no text does."""
    planted = _without_references({**instance(kind, lambda: "Zyxwvutko Qponmlkian", depth=3), "resourceType": kind})
    planted.pop("modifierExtension", None)
    body = run(planted, EXPORT, patient=KEY).body.decode()
    assert "zyxwv" not in body.lower()
    assert "qponm" not in body.lower()


def _without_references(value: Any) -> Any:
    """Modifiers would refuse the resource, and the planted references are of no form; both are tested apart."""
    if isinstance(value, dict):
        return {name: _without_references(one) for name, one in value.items() if name != "modifierExtension"}
    return [_without_references(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_listed_element_that_holds_nothing_personal_stays(kind: str) -> None:
    """The allow-list lets through what it lists: a resource full of codes and numbers keeps those elements."""
    full = _without_references({**instance(kind, lambda: "CT", depth=2), "resourceType": kind})
    kept = made(full, patient=KEY)
    simple = {
        "flag",
        "number",
        "code",
        "date",
        "instant",
        "clock",
        "Quantity",
        "Coding",
        "CodeableConcept",
        "Period",
        "Range",
        "Ratio",
    }
    for element, rule in fhir_rules().tables[kind].items():
        if rule.name in simple and element in full:
            assert element in kept, element


def test_the_patient_becomes_the_pseudonym() -> None:
    """Identifier, year of birth on the moved time line, country; no name, no day."""
    told = made(
        patient(
            gender="male", address=[{"line": ["1 Elm St"], "city": "Town", "country": "CHN"}], telecom=[{"value": "1"}]
        )
    )
    assert told["identifier"] == [{"system": "urn:dxgate:patient", "value": OWN.patient_id()}]
    assert told["birthDate"] == (OWN.shift_date("19610203") or "")[:4]
    assert told["address"] == [{"country": "CHN"}]
    assert told["id"] == OWN.fhir_id("Patient/p-1")
    assert not told.keys() & {"name", "telecom"}
    assert "birthDate" not in made(patient(birthDate="1930-01-01"))


def test_references_stay_closed() -> None:
    """Relative, absolute, versioned, contained and urn references lead to one pseudonym; the server is not told."""
    uuid = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    document = bundle(
        patient(),
        observation(
            id="o-1",
            subject={"reference": "https://ehr.example/fhir/Patient/p-1/_history/2", "display": "Smith"},
            contained=[{"resourceType": "Device", "id": "smith-1"}],
            device={"reference": "#smith-1"},
            hasMember=[{"reference": uuid}, {"reference": "Observation?identifier=MRN"}],
        ),
        observation(id="o-2"),
    )
    document["entry"][2]["fullUrl"] = uuid
    document["entry"][1]["request"] = {
        "method": "PUT",
        "url": "Observation?identifier=MRN-4711-X",
        "ifNoneExist": "identifier=MRN",
    }
    told = made(document)
    one = told["entry"][1]["resource"]
    assert one["subject"] == {"reference": f"Patient/{told['entry'][0]['resource']['id']}"}
    assert told["entry"][0]["fullUrl"] == one["subject"]["reference"]
    assert one["device"]["reference"] == "#" + one["contained"][0]["id"]
    assert one["hasMember"] == [{"reference": told["entry"][2]["fullUrl"]}]
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", told["entry"][2]["fullUrl"])
    assert told["entry"][1]["request"] == {"method": "PUT", "url": "Observation"}
    assert "ehr.example" not in json.dumps(told)


def test_numbers_of_orders_studies_and_others_get_their_own_pseudonyms() -> None:
    """Accession numbers as DICOM's, study UIDs as DICOM's, all else by itself; no issuer is told."""
    acsn = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
    study = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": "Patient/p-1", "identifier": {"system": "urn:oid:1.2.3", "value": "MRN-4711-X"}},
        "identifier": [
            {"system": "urn:dicom:uid", "value": "urn:oid:1.2.826.0.1.77.1"},
            {
                "type": acsn,
                "system": "http://hospital.example/acc",
                "value": "ACC0099871",
                "assigner": {"display": "St. Mary"},
            },
        ],
        "series": [
            {
                "uid": "1.2.826.0.1.77.2",
                "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"},
            }
        ],
    }
    told = made(study)
    assert told["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:" + OWN.uid("1.2.826.0.1.77.1")}
    assert told["identifier"][1] == {
        "type": acsn,
        "system": "urn:dxgate:accession",
        "value": OWN.accession("ACC0099871"),
    }
    assert told["series"][0]["uid"] == OWN.uid("1.2.826.0.1.77.2")
    assert told["subject"]["identifier"]["value"] == OWN.patient_id()
    other = made(observation(identifier=[{"system": "http://x", "value": "77"}]))
    assert other["identifier"] == [{"system": "urn:dxgate:identifier", "value": OWN.hl7_id("77")}]


@pytest.mark.parametrize(
    ("written", "inference", "export"),
    [
        ("2024-02-29T08:15:30.5+08:00", "DAYT08:15:30.5Z", "DAY"),
        ("2024-02-29", "DAY", "DAY"),
        ("2024-02", "MONTH", "MONTH"),
        ("2024-02-30", None, None),
        ("yesterday", None, None),
    ],
)
def test_dates_move_and_keep_their_precision(written: str, inference: str | None, export: str | None) -> None:
    """By the patient's shift; the offset goes, and export has no time of day."""
    day, month = OWN.shift_date("20240229") or "", OWN.shift_date("202402") or ""
    names = {"DAY": f"{day[:4]}-{day[4:6]}-{day[6:]}", "MONTH": f"{month[:4]}-{month[4:]}"}
    for profile, expected in ((INFERENCE, inference), (EXPORT, export)):
        told = made(observation(effectiveDateTime=written), profile).get("effectiveDateTime")
        assert told == (expected and expected.replace("DAY", names["DAY"]).replace("MONTH", names["MONTH"]))


@pytest.mark.parametrize(("dates", "kept"), [("year", True), ("remove", False)])
def test_dates_may_be_cut_or_removed(dates: Any, kept: bool) -> None:
    """A profile may keep the year alone, or nothing; an instant stays a whole one."""
    profile = DocumentProfile("x", dates=dates, times=False, texts="drop")
    told = made(observation(effectiveDateTime="2024-02-29", issued="2024-02-29T08:15:30Z"), profile)
    year = (OWN.shift_date("20240229") or "")[:4]
    assert told.get("effectiveDateTime") == (year if kept else None)
    assert told.get("issued") == (f"{year}-01-01T00:00:00Z" if kept else None)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ({"value": 92, "system": "http://unitsofmeasure.org", "code": "a"}, 90),
        ({"value": 89, "system": "http://unitsofmeasure.org", "code": "a"}, 89),
        ({"value": 1200, "system": "http://unitsofmeasure.org", "code": "mo"}, 1080),
        ({"value": 95, "unit": "years"}, 90),
        ({"value": 95}, None),
    ],
)
def test_nobody_is_older_than_ninety(age: dict[str, Any], expected: int | None) -> None:
    """Great ages become ninety, in their own unit; an age without one cannot be told and goes."""
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/p-1"}, "onsetAge": age}
    assert made(condition).get("onsetAge", {}).get("value") == expected


def test_values_keep_their_form() -> None:
    """72.50 stays 72.50 and elements their order."""
    text = json.dumps(
        observation(valueQuantity={"value": 0, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"})
    )
    body = deidentify(
        text.replace('"value": 0', '"value": 72.50').encode(), pseudonymiser_for, patients={"Patient/p-1": KEY}
    ).body
    assert b'"valueQuantity":{"value":72.50,"unit":"g/L"' in body
    assert body.index(b'"status"') < body.index(b'"code":{') < body.index(b'"subject"')


def test_local_codes_lose_their_system_and_shared_ones_keep_it() -> None:
    """A system may name the hospital; a code without one may be a name."""
    local = {"system": "http://st-mary.example/lab", "code": "GLU", "display": "Glucose"}
    shared = {"system": "http://snomed.info/sct", "code": "422504002", "display": "Ischemic stroke"}
    bare = {"code": "Atchinson", "display": "Christopher"}
    told = made(observation(valueCodeableConcept={"coding": [local, shared, bare]}))
    assert told["valueCodeableConcept"]["coding"] == [{"code": "GLU", "display": "Glucose"}, shared]


def test_what_is_required_and_may_not_stay_says_so() -> None:
    """data-absent-reason masked, in the place of the value."""
    masked = [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
    told = made(observation(code={"text": "Smith"}, status="SMITHSONIAN"), EXPORT)
    assert told["code"] == {"extension": masked}
    assert told["_status"] == {"extension": masked}


def test_narrative_goes_and_a_section_left_empty_says_so() -> None:
    """Text.div is dropped everywhere (its status, too)."""
    div = {"status": "generated", "div": "<div>Smith</div>"}
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11502-2"}]},
        "date": "2024-02-29",
        "author": [{"reference": "Practitioner/1", "display": "Dr Roe"}],
        "title": "Report",
        "subject": {"reference": "Patient/p-1"},
        "text": div,
        "section": [{"title": "Findings", "text": div}],
    }
    told = made(composition)
    assert "text" not in told
    assert told["section"][0]["emptyReason"]["coding"][0]["code"] == "withheld"
    assert "Roe" not in json.dumps(told)


def test_attached_text_is_cleaned_and_other_attachments_are_dropped() -> None:
    """Pictures, documents, URLs and titles go; plain text is a text."""
    attached = {
        "contentType": "text/plain",
        "data": base64.b64encode(b"Dr. Roe saw Mr. Smith").decode(),
        "title": "Smith",
        "url": "http://x/1",
    }
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1"}]},
    }
    pdf = {"contentType": "application/pdf", "data": "AAAA", "hash": "BBBB"}
    document = bundle(patient(), {**report, "subject": {"reference": "Patient/p-1"}, "presentedForm": [attached, pdf]})
    forms = made(document)["entry"][1]["resource"]["presentedForm"]
    assert base64.b64decode(forms[0].pop("data")) == b"Dr. [NAME] saw Mr. [NAME]"
    assert forms == [{"contentType": "text/plain"}, {"contentType": "application/pdf"}]
    assert "data" not in made(document, EXPORT)["entry"][1]["resource"]["presentedForm"][0]


def test_extensions_stay_by_url_and_an_unknown_modifier_refuses() -> None:
    """What is not listed is dropped; what would turn the meaning round may not be."""
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    told = made(
        observation(extension=[{"url": url, "valueCode": "unknown"}, {"url": "http://x/mother", "valueString": "Jane"}])
    )
    assert told["extension"] == [{"url": url, "valueCode": "unknown"}]
    assert made(patient(_gender={"extension": [{"url": url, "valueCode": "unknown"}]}))["_gender"]["extension"]
    with pytest.raises(Unsupported, match="modifier"):
        made(observation(modifierExtension=[{"url": "http://x/not", "valueBoolean": True}]))


def test_every_resource_is_labelled_once() -> None:
    """PSEUDED stands beside other labels and not twice; where it came from does not stand."""
    told = made(
        made(observation(id="o", meta={"source": "http://st-mary", "versionId": "7"})), patients={}, patient=KEY
    )
    assert [label["code"] for label in told["meta"]["security"]] == ["PSEUDED"]
    assert told["meta"].keys() == {"security"}


def test_unknown_resources_are_refused_or_left_out_of_a_bundle() -> None:
    """A type without a table is nobody's business: by itself it is refused, in a bundle its entry goes whole."""
    with pytest.raises(Unsupported):
        made({"resourceType": "Consent", "patient": {"reference": "Patient/p-1"}})
    cleaned = run(bundle(patient(), {"resourceType": "Consent", "status": "active"}))
    assert len(json.loads(cleaned.body)["entry"]) == 1
    assert cleaned.record.counts["resource dropped"] == 1
    with pytest.raises(Unsupported):
        made(observation(contained=[{"resourceType": "Consent", "id": "c"}]))


def test_one_document_is_about_one_patient() -> None:
    """Nobody, or two, is refused."""
    with pytest.raises(Invalid, match="names no patient"):
        made(observation(), patients={})
    with pytest.raises(Invalid, match="more than one"):
        made(bundle(patient(), patient(id="p-2", identifier=[{"value": "2"}])))
    with pytest.raises(Invalid, match="more than one"):
        made(bundle(patient(), observation(subject={"reference": "Patient/p-9"})))
    for data in (b"[]", b"1", b"{}", b'{"resourceType":1}'):
        with pytest.raises((Invalid, Unsupported)):
            deidentify(data, pseudonymiser_for, patient=KEY)


@pytest.mark.parametrize(
    ("system", "issuers", "issuer"),
    [
        ("urn:oid:1.2.3", {}, "1.2.3"),
        ("urn:dxgate:issuer:GENERAL%20HOSPITAL", {}, "GENERAL HOSPITAL"),
        ("http://st-mary/mrn", {"http://st-mary/mrn": "MARY"}, "MARY"),
        ("http://st-mary/mrn", {}, "http://st-mary/mrn"),
        (None, {}, ""),
    ],
)
def test_the_issuer_is_named_as_in_dicom(system: str | None, issuers: dict[str, str], issuer: str) -> None:
    """OIDs without their scheme, our own URIs undone, others by the map."""
    cleaned = run(patient(identifier=[{"system": system, "value": "M1"}]), patients={}, issuers=Issuers(issuers))
    assert cleaned.key == IdentityKey(issuer, "M1")


def test_the_original_comes_back_bit_for_bit() -> None:
    """What is to be sealed is the document itself."""
    data = json.dumps(patient(), indent=3).encode() + b"\n"
    assert restore(deidentify(data, pseudonymiser_for, today=TODAY).removed) == data


@pytest.mark.parametrize("profile", [INFERENCE, EXPORT], ids=lambda profile: profile.name)
def test_what_leaves_is_still_r4b(profile: DocumentProfile) -> None:
    """Another project's models read every resource of a bundle full of them."""
    fhirkit = pytest.importorskip("fhir.resources.R4B.observation")
    assert fhirkit is not None
    acsn = {"coding": [{"code": "ACSN"}]}
    subject = {"reference": "Patient/p-1"}
    concept = {"coding": [{"system": "http://snomed.info/sct", "code": "1"}], "text": "Smith's fever"}
    told = made(
        bundle(
            patient(),
            observation(
                id="1",
                note=[{"text": "Mr. Smith was ill"}],
                valueCodeableConcept=concept,
                issued="2024-02-29T08:00:00Z",
            ),
            {
                "resourceType": "ServiceRequest",
                "id": "2",
                "status": "active",
                "intent": "order",
                "subject": subject,
                "identifier": [{"type": acsn, "value": "A1"}],
                "code": concept,
            },
            {
                "resourceType": "Encounter",
                "id": "3",
                "status": "finished",
                "class": {"code": "IMP"},
                "subject": subject,
            },
            {
                "resourceType": "QuestionnaireResponse",
                "id": "4",
                "status": "completed",
                "subject": subject,
                "item": [{"linkId": "Smith's question", "text": "?", "answer": [{"valueString": "Smith"}]}],
            },
            {
                "resourceType": "Provenance",
                "id": "5",
                "target": [{"reference": "Observation/1"}],
                "recorded": "2024-02-29T08:00:00Z",
                "agent": [{"who": {"reference": "Practitioner/9", "display": "Dr Roe"}}],
            },
        ),
        profile,
    )
    for entry in told["entry"]:
        kind = entry["resource"]["resourceType"]
        getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind).model_validate(entry["resource"])
    assert "Roe" not in json.dumps(told)
    assert "Smith" not in json.dumps(told)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["Patient/p-1", "#x", "2024-02-29"])
)
SHAPES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=25
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(fhir_rules().resources)), st.dictionaries(NAMES, SHAPES, max_size=6))
def test_elements_of_any_shape_are_cleaned_or_refused(kind: str, shapes: dict[str, Any]) -> None:
    """Whatever stands where something else belongs: a document or an error of ours, nothing else."""
    with contextlib.suppress(Invalid, Unsupported):
        run({"resourceType": kind, **shapes}, patient=KEY)


def billing() -> list[dict[str, Any]]:
    """An appointment and its bill, as an EHR writes them, with people in every place that could hold one."""
    me = {"reference": "Patient/p-1", "display": "Anna Zyxwvut"}
    doctor = {"reference": "Practitioner/d", "display": "Dr. Qponmlk"}
    code = {"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}
    money = {"value": 12.50, "currency": "EUR"}
    focal = {"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/c"}}
    claim = {"status": "active", "type": code, "use": "claim", "patient": me, "created": "2024-02-29"}
    when = {"start": "2024-02-29T08:00:00Z", "end": "2024-02-29T08:20:00Z"}
    told: dict[str, dict[str, Any]] = {
        "Account": {"status": "active", "name": "Bills of Anna Zyxwvut", "subject": [me], "owner": doctor},
        "Appointment": {
            "status": "booked",
            "participant": [{"actor": me, "status": "accepted"}, {"actor": doctor, "status": "accepted"}],
            "comment": "Anna Zyxwvut comes with Dr. Qponmlk",
            **when,
        },
        "AppointmentResponse": {
            "appointment": {"reference": "Appointment/Appointment-1"},
            "actor": me,
            "participantStatus": "accepted",
        },
        "ChargeItem": {"status": "billable", "code": code, "subject": me, "enterer": doctor, "priceOverride": money},
        "HealthcareService": {"name": "Praxis Qponmlk", "telecom": [{"system": "phone", "value": "0551 123456"}]},
        "Schedule": {"actor": [doctor], "comment": "Dr. Qponmlk"},
        "Slot": {"schedule": {"reference": "Schedule/s"}, "status": "busy", "comment": "Anna Zyxwvut", **when},
        "Coverage": {
            "status": "active",
            "beneficiary": me,
            "subscriber": {"display": "Berta Zyxwvut"},
            "subscriberId": "A123456780",
            "class": [{"type": code, "value": "Qponmlk Works", "name": "Employees of Qponmlk Works"}],
            "payor": [{"reference": "Organization/o", "display": "Kasse"}],
        },
        "Claim": {
            **claim,
            "provider": doctor,
            "priority": code,
            "insurance": [{**focal, "preAuthRef": ["A123456780"]}],
            "supportingInfo": [{"sequence": 1, "category": code, "valueString": "Berta Zyxwvut pays, A123456780"}],
            "accident": {"date": "2024-02-28", "locationAddress": {"city": "Qponmlk"}},
            "item": [{"sequence": 1, "productOrService": code, "net": money}],
        },
        "ClaimResponse": {
            **claim,
            "insurer": {"reference": "Organization/o"},
            "outcome": "complete",
            "disposition": "paid to Berta Zyxwvut",
            "item": [{"itemSequence": 1, "adjudication": [{"category": code, "amount": money}]}],
            "processNote": [{"number": 1, "text": "Berta Zyxwvut was told"}],
        },
    }
    return [{"resourceType": kind, "id": f"{kind}-1", **members} for kind, members in told.items()]


@pytest.mark.parametrize("profile", [INFERENCE, EXPORT], ids=lambda profile: profile.name)
def test_appointments_and_bills_leave_without_anybody_and_stay_valid(profile: DocumentProfile) -> None:
    """Of ten types of scheduling and billing each keeps its codes, times and amounts, names nobody, and is valid R4."""
    asked = bundle(patient(name=[{"family": "Zyxwvut", "given": ["Anna"]}]), *billing())
    cleaned = run(asked, profile)
    for word in ("zyxwvut", "qponmlk", "anna", "berta", "a123456780", "kasse", "123456"):
        assert word not in cleaned.body.decode().lower(), word
    entries = [one["resource"] for one in json.loads(cleaned.body)["entry"]]
    assert len(entries) == 11
    for one in entries:
        assert [each for each in check(one, kind=one["resourceType"]) if each.severity in ("error", "fatal")] == []
    assert cleaned.body.count(b'"currency"') == 3


NEWER = {kind["resourceType"] for kind in billing()} | {"CarePlan", "CareTeam", "DetectedIssue", "Flag", "Goal"}


@pytest.mark.parametrize("profile", [INFERENCE, EXPORT], ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", sorted(one for one in examples() if one.partition("-")[0] in NEWER))
def test_an_official_example_leaves_as_valid_r4(name: str, profile: DocumentProfile) -> None:
    """What the standard requires is masked where it goes; only a contained Organization is left without its name."""
    left = made(json.loads(examples()[name]), profile, patient=KEY, patients={})
    found = [one for one in check(left, kind=left["resourceType"]) if one.severity in ("error", "fatal")]
    assert {one.text for one in found} <= {"needs one of name, identifier (org-1)"}


@pytest.mark.parametrize(
    ("kind", "element", "told"),
    [
        ("Observation", "note", {"focus": [{"display": "Berta Zyxwvut"}]}),
        ("Condition", "note", {"code": {"text": "x"}, "recorder": {"display": "Zyxwvut, B."}}),
        ("Condition", "note", {"asserter": {"identifier": {"value": "L-1"}, "display": "Berta Zyxwvut"}}),
        ("Procedure", "note", {"status": "completed", "performer": [{"onBehalfOf": {"display": "Clinic Zyxwvut"}}]}),
        ("ChargeItem", "note", {"status": "billable", "enterer": {"display": "Zyxwvut"}}),
        ("Coverage", "costToBeneficiary", {"status": "active", "payor": [{"display": "Berta Zyxwvut"}]}),
        ("ClaimResponse", "processNote", {"requestor": {"display": "Berta Zyxwvut"}}),
        ("ClaimResponse", "processNote", {"preAuthRef": "Zyxwvut-77"}),
        ("Coverage", "costToBeneficiary", {"class": [{"value": "Zyxwvut 77"}]}),
    ],
)
def test_who_has_no_reference_is_looked_for_in_the_texts(kind: str, element: str, told: dict[str, Any]) -> None:
    """A person told of by a display alone, and the numbers of a policy, are found in every text beside them."""
    said = "later Zyxwvut said so, see Zyxwvut-77 and Zyxwvut 77"
    shapes = {
        "note": [{"text": said}],
        "processNote": [{"text": said}],
        "costToBeneficiary": [{"type": {"text": said}, "valueQuantity": {"value": 1}}],
    }
    number = "preAuthRef" in told or "class" in told
    body = run({"resourceType": kind, **told, element: shapes[element]}, patient=KEY).body.decode()
    assert "later" in body
    assert ("Zyxwvut-77" if number else "Zyxwvut said") not in body
    assert "Zyxwvut 77" not in body
