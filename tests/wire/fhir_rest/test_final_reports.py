"""Final reports of another system, through the FHIR door, beside what a model had said of the same study."""

from __future__ import annotations

import itertools
import json
import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhirpy import SyncFHIRClient
from harness.studies import Planted, planted_study
from wire.fhir_rest.hospital import ISSUER, add_study
from wire.fhir_rest.jobs import Kind
from wire.fhir_rest.test_web_console import sign_in
from wire.fhir_rest.writing import Writer, entry, patient, writer

from gateway import wiring
from gateway.commands import study as study_command
from gateway.config import LoadedSettings
from gateway.domain.agreement import Agreement
from gateway.domain.ids import StudyId
from gateway.flow.erase import ErasePatient
from gateway.formats.fhir.coding import AI_ASSERTED

SCT = "http://snomed.info/sct"
MALIGNANT, BENIGN, OTHER = "254837009", "30807003", "22298006"
NUMBERS = itertools.count()
SITE = f"""
[[question]]
system = "{SCT}"
value = "126926005"
positive = "malignant"
[[question.label]]
name = "malignant"
codes = [["{SCT}", "{MALIGNANT}"]]
absent_means = "benign"
[[question.label]]
name = "benign"
codes = [["{SCT}", "{BENIGN}"]]
"""


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, both_kinds: Kind) -> Iterator[Writer]:
    folder = tmp_path_factory.mktemp("final")
    (folder / "codes.toml").write_text(SITE)
    models = {"agreement_codes": str(folder / "codes.toml")}
    with writer(folder / "home", both_kinds.template, database=both_kinds.url, models=models) as found:
        yield found


@dataclass(frozen=True)
class Case:
    """A patient in the EHR, and a study of that patient that a model calls malignant."""

    ehr: Writer
    patient: str
    study: StudyId
    uid: str

    def report(self, *codes: str, **members: Any) -> dict[str, Any]:
        """A final report on the study, not sent."""
        made: dict[str, Any] = {
            "resourceType": "DiagnosticReport",
            "status": "final",
            "code": {"text": "Ultrasound of the breast"},
            "subject": {"reference": self.patient},
            "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{self.uid}"}}],
        }
        if codes:
            made["conclusionCode"] = [concept(code) for code in codes]
        return {name: value for name, value in (made | members).items() if value is not None}

    def send(self, *codes: str, **members: Any) -> dict[str, Any]:
        return self.ehr.create(self.report(*codes, **members))

    def change(self, report: dict[str, Any], **members: Any) -> dict[str, Any]:
        answer = self.ehr.send("PUT", f"DiagnosticReport/{report['id']}", report | members)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @property
    def found(self) -> list[Agreement]:
        with self.ehr.hospital.database.read() as unit:
            return unit.agreements.of_study(self.study)

    @property
    def outcome(self) -> str:
        """Of the one model; empty where nothing was compared."""
        found = self.found
        return found[0].outcome if found else ""


def concept(code: str, **members: Any) -> dict[str, Any]:
    return {"coding": [{"system": SCT, "code": code}], **members}


def registered(ehr: Writer, number: str) -> str:
    return f"Patient/{ehr.create(patient(number))['id']}"


def study_uid(folder: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(next(folder.glob("*.dcm"))).StudyInstanceUID)


@pytest.fixture
def case(ehr: Writer, tmp_path: Path) -> Case:
    number = f"FINAL-{next(NUMBERS)}"
    subject = registered(ehr, number)
    study = add_study(ehr.hospital, tmp_path / "study", Planted("Final^Fay", number, f"ACC-{number}", "ISO_IR 100"), 1)
    return Case(ehr, subject, study, study_uid(tmp_path / "study"))


def of_another_time(case: Case, folder: Path, accession: str = "") -> tuple[StudyId, str]:
    """Another study of the same patient."""
    with case.ehr.hospital.database.read() as unit:
        study = unit.studies.get(case.study)
    number = str(case.ehr.send("GET", case.patient).json()["identifier"][0]["value"])
    planted = Planted("Final^Fay", number, accession or f"ACC2-{number}", "ISO_IR 100")
    made = add_study(case.ehr.hospital, folder / "other", planted, 1)
    with case.ehr.hospital.database.read() as unit:
        assert unit.studies.get(made).patient == study.patient
    return made, study_uid(folder / "other")


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ((MALIGNANT,), "agreed"),
        ((BENIGN,), "disagreed"),
        ((), "uncoded"),
        ((OTHER,), "uncoded"),
        ((MALIGNANT, BENIGN), "contradictory"),
    ],
)
def test_a_final_report_is_compared_by_its_codes(case: Case, codes: tuple[str, ...], outcome: str) -> None:
    """The same label, another, none, a code that says nothing, and both at once; a text alone is never read."""
    case.send(*codes, conclusion="Malignant neoplasm of breast, no doubt.")
    assert case.outcome == outcome
    (row,) = case.found
    assert (row.said, row.reference) == ("malignant", {"agreed": "malignant", "disagreed": "benign"}.get(outcome, ""))


def test_a_fhir_client_that_we_did_not_write_sends_the_report(case: Case) -> None:
    """fhirpy creates it preliminary, finalises it and changes it: each version is compared in the place of the last,
    and each comparison is in the audit trail."""
    client = SyncFHIRClient(
        f"{str(case.ehr.http.base_url).rstrip('/')}/fhir",
        authorization=case.ehr.http.headers["Authorization"],
    )
    report = client.resource("DiagnosticReport", **case.report(BENIGN, status="preliminary"))
    report.save()
    assert case.found == []
    report["status"] = "final"
    report.save()
    assert case.outcome == "disagreed"
    report["conclusionCode"] = [concept(MALIGNANT)]
    report["status"] = "corrected"
    report.save()
    (row,) = case.found
    assert row.outcome == "agreed"
    told = [one for one in case.ehr.hospital.events("agreement:compare") if one.subject_id == case.study]
    assert [one.details["outcome"] for one in told] == ["agreed", "disagreed"]
    assert set(told[0].details) == {"model", "finding", "outcome"}


def test_the_same_version_sent_again_counts_once(case: Case) -> None:
    """However often it is written, and by however many reports: one row for the study and model, no new audit row."""
    report = case.send(MALIGNANT)
    (before,) = case.found
    for _ in range(5):
        report = case.change(report)
    for _ in range(25):
        case.send(MALIGNANT)
    assert case.found == [before]
    told = [one for one in case.ehr.hospital.events("agreement:compare") if one.subject_id == case.study]
    assert len(told) == 1


@pytest.mark.parametrize("end", ["entered-in-error", "cancelled", "delete"])
def test_a_report_that_is_taken_back_withdraws_the_comparison(case: Case, end: str) -> None:
    """Entered in error, cancelled, deleted: nothing is counted, and the trail says so."""
    report = case.send(MALIGNANT)
    assert case.outcome == "agreed"
    if end == "delete":
        assert case.ehr.send("DELETE", f"DiagnosticReport/{report['id']}").status_code in (200, 204)
    else:
        case.change(report, status=end)
    assert case.found == []
    assert case.ehr.hospital.events("agreement:withdraw")[0].subject_id == case.study


def test_two_reports_that_gainsay_each_other_are_no_reference(case: Case) -> None:
    """A second reader's other word makes it contradictory; taken back, the first stands again."""
    case.send(MALIGNANT)
    second = case.send(BENIGN)
    assert case.outcome == "contradictory"
    case.change(second, status="entered-in-error")
    assert case.outcome == "agreed"


def test_a_report_by_order_and_by_transaction_is_compared(case: Case) -> None:
    """Order, result and report in one transaction: linked by the order's number, answered by the Observation."""
    number = str(case.ehr.send("GET", case.patient).json()["identifier"][0]["value"])
    order = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": case.patient},
    }
    order["identifier"] = [{"system": "urn:oid:1.2.3", "value": f"ACC-{number}"}]
    result = {"resourceType": "Observation", "status": "final", "code": concept(MALIGNANT), "valueBoolean": False}
    result["subject"] = {"reference": case.patient}
    told = {"basedOn": [{"reference": "urn:uuid:7f3c9b1e-6f0e-4a52-9f2a-0000000000a1"}]}
    told["result"] = [{"reference": "urn:uuid:7f3c9b1e-6f0e-4a52-9f2a-0000000000a2"}]
    report = case.report(imagingStudy=None, **told)
    answer = case.ehr.transact(
        entry("POST", "ServiceRequest", order, told["basedOn"][0]["reference"]),
        entry("POST", "Observation", result, told["result"][0]["reference"]),
        entry("POST", "DiagnosticReport", report, "urn:uuid:7f3c9b1e-6f0e-4a52-9f2a-0000000000a3"),
    )
    assert answer.status_code == 200, answer.text
    assert (case.outcome, case.found[0].reference) == ("disagreed", "benign")


def test_a_result_that_changes_later_changes_the_comparison(case: Case) -> None:
    """The Observation alone is corrected, then entered in error: the report's answer follows."""
    told = {"resourceType": "Observation", "status": "final", "code": {"text": "Assessment"}}
    told |= {"subject": {"reference": case.patient}, "valueCodeableConcept": concept(MALIGNANT)}
    result = case.ehr.create(told)
    case.send(result=[{"reference": f"Observation/{result['id']}"}])
    assert case.outcome == "agreed"
    for changed, outcome in (
        ({"valueCodeableConcept": concept(BENIGN)}, "disagreed"),
        ({"status": "entered-in-error"}, "uncoded"),
    ):
        answer = case.ehr.send("PUT", f"Observation/{result['id']}", result | changed)
        assert answer.status_code == 200, answer.text
        assert case.outcome == outcome


def test_a_report_that_came_before_the_images_is_compared_when_the_finding_comes(ehr: Writer, tmp_path: Path) -> None:
    """The report is there before the study is: nothing is compared, and then it is."""
    subject = registered(ehr, "EARLY-1")
    planted_study(tmp_path / "study", Planted("Early^Eve", "EARLY-1", "ACC-EARLY", "ISO_IR 100"), 1)
    uid = study_uid(tmp_path / "study")
    early = Case(ehr, subject, StudyId("none yet"), uid)
    early.send(BENIGN)
    assert early.found == []
    _with_issuer(tmp_path / "study")
    study = ehr.hospital.receive(tmp_path / "study")
    assert Case(ehr, subject, study, uid).found == []
    ehr.hospital.analyse(study)
    assert Case(ehr, subject, study, uid).outcome == "disagreed"


def _with_issuer(folder: Path) -> None:
    import pydicom

    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.IssuerOfPatientID = ISSUER
        image.save_as(path)


def _echo(case: Case) -> dict[str, Any]:
    """Our own report as the endpoint shows it, as if a physician had signed it, under an id of the EHR."""
    (one,) = case.ehr.send("GET", f"DiagnosticReport?imagingStudy=ImagingStudy/{case.study}").json()["entry"]
    ours: dict[str, Any] = one["resource"]
    return {name: value for name, value in ours.items() if name not in ("id", "text")} | {"status": "final"}


def test_our_own_report_that_comes_back_is_never_counted(case: Case) -> None:
    """Whatever an EHR leaves of it: identifier, label, source, the marks in it, or nothing but our result."""
    own = _echo(case)
    bare = {name: value for name, value in own.items() if name not in ("identifier", "meta", "presentedForm")}
    plain = bare | {"code": {"text": "US breast"}, "conclusion": "Suspicious", "conclusionCode": [concept(MALIGNANT)]}
    plain.pop("_conclusion", None)
    marked = plain | {"_conclusion": own["_conclusion"], "result": None}
    labelled = plain | {"result": None, "meta": {"security": [AI_ASSERTED]}}
    named = plain | {"result": None, "identifier": own["identifier"]}
    by_us = plain | {"result": None, "performer": [{"identifier": {"system": "urn:dxgate:organization", "value": "1"}}]}
    for echo in (own, bare, plain, marked, labelled, named, by_us):
        case.ehr.create({name: value for name, value in echo.items() if value is not None})
        assert case.found == []
    case.ehr.create({name: value for name, value in plain.items() if name not in ("result", "performer")})
    assert case.outcome == "agreed"


def test_our_result_in_anothers_report_says_nothing(case: Case) -> None:
    """A radiologist's report that lists our Observation beside an own one is read by its own; so are codes that are
    labelled as an AI's."""
    theirs = {"resourceType": "Observation", "status": "final", "code": {"text": "Assessment"}}
    theirs |= {"subject": {"reference": case.patient}, "valueCodeableConcept": concept(BENIGN)}
    own = case.ehr.create(theirs)
    labelled = concept(MALIGNANT, extension=_echo(case)["conclusionCode"][0]["extension"])
    results = [*_echo(case)["result"], {"reference": f"Observation/{own['id']}"}]
    case.send(result=results, conclusionCode=[labelled])
    assert (case.outcome, case.found[0].reference) == ("disagreed", "benign")


def test_a_report_of_another_patient_is_not_compared(case: Case) -> None:
    """One that names the study of somebody else is about nothing that is known here."""
    somebody = registered(case.ehr, f"ELSE-{case.study[:8]}")
    case.send(BENIGN, subject={"reference": somebody})
    assert case.found == []
    report = case.send(MALIGNANT)
    assert case.outcome == "agreed"
    case.change(report, subject={"reference": somebody})
    assert case.found == []


def test_a_report_about_two_studies_is_not_attributed(case: Case, tmp_path: Path) -> None:
    """Its codes do not say which of them they mean, whether both are named or both bear the number."""
    other, uid = of_another_time(case, tmp_path)
    both = [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{one}"}} for one in (case.uid, uid)]
    report = case.send(BENIGN, imagingStudy=both)
    assert case.outcome == Case(case.ehr, case.patient, other, uid).outcome == "several-studies"
    case.change(report, imagingStudy=both[:1])
    assert (case.outcome, Case(case.ehr, case.patient, other, uid).outcome) == ("disagreed", "")


def test_a_second_study_under_the_number_takes_the_comparison_back(case: Case, tmp_path: Path) -> None:
    """By accession number alone the report meant the one study; when another comes under it, it means neither."""
    number = str(case.ehr.send("GET", case.patient).json()["identifier"][0]["value"])
    order = {"identifier": {"value": f"ACC-{number}"}}
    case.send(MALIGNANT, imagingStudy=None, basedOn=[order])
    assert case.outcome == "agreed"
    other, uid = of_another_time(case, tmp_path, f"ACC-{number}")
    assert Case(case.ehr, case.patient, other, uid).outcome == "several-studies"
    assert case.outcome == "several-studies"
    case.send(MALIGNANT, basedOn=[order])
    assert (case.outcome, Case(case.ehr, case.patient, other, uid).outcome) == ("agreed", "several-studies")


def test_a_laboratory_report_is_none(case: Case) -> None:
    """A section that is no imaging's, under a number that a study has too."""
    number = str(case.ehr.send("GET", case.patient).json()["identifier"][0]["value"])
    section = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}]
    case.send(BENIGN, imagingStudy=None, basedOn=[{"identifier": {"value": f"ACC-{number}"}}], category=section)
    assert case.found == []


def test_an_erased_patient_leaves_no_comparison(case: Case) -> None:
    """With the record go the report, what it named, and what was made of it."""
    report = case.send(MALIGNANT)
    hospital = case.ehr.hospital
    with hospital.database.read() as unit:
        pseudonym = unit.studies.get(case.study).patient
        stored = unit.resources.find("DiagnosticReport", report["id"])
        assert stored is not None
        assert unit.agreements.find(stored.key) is not None
    ErasePatient(hospital.database, wiring.blobs(hospital.settings), lambda: True)(pseudonym, "asked for", "cli:anna")
    with hospital.database.read() as unit:
        assert unit.agreements.find(stored.key) is None
    assert case.found == []


def test_people_see_it_where_they_look_at_studies_and_models(case: Case) -> None:
    """The study's page and the Models page in the console; `dxgate study show` has the same row."""
    case.send(BENIGN)
    hospital = case.ehr.hospital
    hospital.add_person(f"anna-{case.study[:6]}", "admin")
    with httpx.Client(base_url=case.ehr.http.base_url, follow_redirects=True, timeout=20) as browser:
        sign_in(browser, f"anna-{case.study[:6]}")
        page = browser.get(f"/console/studies/{case.study}").text
        assert "Beside the final reports received" in page
        assert ">benign</td>" in page
        models = " ".join(re.sub(r"<[^>]+>", " ", browser.get("/console/models").text).split())
        assert re.search(r"Final reports, 30 days agreed with \d+ of \d+ \(", models)
    found = StringIO()
    with redirect_stdout(found):
        assert study_command.show(LoadedSettings(hospital.settings, {}), Namespace(id=case.study, json=True)) == 0
    (row,) = json.loads(found.getvalue())["final_reports"]
    assert (row["outcome"], row["said"], row["reference"]) == ("disagreed", "malignant", "benign")
