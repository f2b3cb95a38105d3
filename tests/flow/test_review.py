"""A physician signs, changes, rejects and retracts; everything but the model and the EHR is the product's own."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from harness.studies import PLANTED
from wire.fhir_rest.hospital import Hospital, add_study, open_hospital

from gateway import wiring
from gateway.domain.access import Person
from gateway.domain.errors import Conflict, Forbidden, Invalid
from gateway.domain.lifecycle import REPORT
from gateway.domain.report import Report, report_id
from gateway.domain.review import EVENTS, Outcome, figures, offered
from gateway.flow.read_reports import OpenedReport
from gateway.flow.review import Decision, ReviewReport
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.render import RenderedReport, render
from gateway.formats.fhir.signed_content import content_digest, content_of
from gateway.privacy.signing import public_keys, verified

NPI = "http://hl7.org/fhir/sid/us-npi|1234567893"


@dataclasses.dataclass
class Ward:
    """One preliminary report, and the step that decides about it."""

    hospital: Hospital
    review: ReviewReport
    doctor: Person

    @property
    def report(self) -> Report:
        with self.hospital.database.read() as unit:
            return unit.reports.get(report_id(self.hospital.studies[0]))

    def decide(self, outcome: Outcome, version: int | None = None, **said: Any) -> Report:
        report = self.report
        return self.review(report.id, self.doctor, Decision(outcome, version or report.version, **said))

    def opened(self, version: int | None = None) -> OpenedReport:
        with self.hospital.database.begin("test") as unit:
            return self.review.reports.open(
                unit, unit.reports.get(self.report.id), purpose="delivery", actor="test", version=version
            )

    def shown(self, version: int | None = None) -> RenderedReport:
        return render(self.opened(version), self.review.base_url, self.review.organization_name)


@pytest.fixture
def ward(tmp_path: Path, sqlite_template: Path) -> Iterator[Ward]:
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    add_study(hospital, tmp_path / "study", PLANTED[0], 1)
    hospital.add_person("rita", "physician")
    with hospital.database.read() as unit:
        person = unit.access.person("rita")
    assert person is not None
    doctor = dataclasses.replace(person, display_name="Dr. Rita Reader", qualification="Radiologist", identifier=NPI)
    step = dataclasses.replace(wiring.review(hospital.settings, hospital.database), destinations=("ehr",))
    yield Ward(hospital, step, doctor)
    hospital.database.close()


def test_accepting_makes_a_final_signed_report(ward: Ward) -> None:
    """Accepted as it is: final, issued at the time of signing, interpreted by the physician, Observations final."""
    before = ward.report
    signed = ward.decide("accept")
    assert (signed.status, signed.version) == ("final", before.version + 1)
    shown = ward.shown()
    report, (doctor,) = shown.report, shown.of_type("Practitioner")
    assert report["resultsInterpreter"][0]["reference"] == f"Practitioner/{doctor['id']}"
    assert (doctor["name"][0]["text"], doctor["qualification"][0]["code"]["text"]) == (
        "Dr. Rita Reader",
        "Radiologist",
    )
    assert doctor["identifier"][0] == {"system": NPI.partition("|")[0], "value": "1234567893"}
    assert {each["status"] for each in shown.of_type("Observation")} == {"final"}
    assert not report["conclusion"].startswith("AI result")
    with ward.hospital.database.read() as unit:
        (review,) = unit.reviews.of_report(signed.id)
        planned = [each for each in unit.deliveries.of_report(signed.id) if each.version == signed.version]
    assert (review.verdict, review.base_version, review.waited_seconds >= 0) == ("as-is", before.version, True)
    assert [each.destination for each in planned] == ["ehr", "record"]
    for resource in shown.resources:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(encode(resource))


def test_the_signature_is_over_what_the_report_says(ward: Ward) -> None:
    """The JWS in the Provenance verifies, names who signed, and fits the content; the Provenance of the AI stays."""
    made_by_ai = ward.shown().of_type("Provenance")[0]
    ward.decide("accept")
    shown = ward.shown()
    ai, human = shown.of_type("Provenance")
    assert ai == made_by_ai
    assert human["entity"][0]["what"]["reference"].endswith(f"DiagnosticReport/{ward.report.id}/_history/2")
    (signature,) = human["signature"]
    assert signature["type"][0]["code"] == "ProofOfApproval"
    jwks = public_keys(wiring.all_keys(ward.hospital.settings).keys)
    claims = verified(base64.b64decode(signature["data"]).decode(), jwks)
    assert (claims["sub"], claims["outcome"]) == (f"Practitioner/{ward.doctor.id}", "accept")
    (patient,) = shown.of_type("Patient")
    observations = shown.of_type("Observation")
    assert claims["content_sha256"] == content_digest(content_of(shown.report, patient, observations))
    altered = {**shown.report, "conclusion": "Nothing."}
    assert claims["content_sha256"] != content_digest(content_of(altered, patient, observations))


def test_verifying_finds_a_changed_version(ward: Ward) -> None:
    """`dxgate report verify` is content with what was signed, and says when a stored version was altered."""
    signed = ward.decide("accept")
    verify = wiring.verify_reviews(ward.hospital.settings, ward.hospital.database)
    assert [each.problem for each in verify(signed.id, "test")] == [""]
    from gateway.storage.tables import report_version

    with ward.hospital.database.begin("attacker") as unit:
        content = unit.reports.version(signed.id, signed.version).content
        assert content is not None
        forged = dataclasses.replace(content, conclusion="Nothing.")
        mine = report_version.c.version == signed.version
        unit._transaction.execute(report_version.update().where(mine), {"content": forged})
        unit.commit()
    assert [each.problem for each in verify(signed.id, "test")] == ["the content is not what was signed"]


def test_a_changed_conclusion_is_an_override(ward: Ward) -> None:
    """The physician's words stand without the AI's label and codes, and count against the model."""
    ward.decide("accept", conclusion="No malignancy.\nFollow up in a year.")
    report = ward.shown().report
    assert report["conclusion"] == "No malignancy.\nFollow up in a year."
    assert "_conclusion" not in report
    assert "conclusionCode" not in report
    with ward.hospital.database.read() as unit:
        reviews = unit.reviews.of_report(ward.report.id)
    names = {model: "breast 1" for model in reviews[0].models}
    everything, of_model = figures(reviews, names)
    assert (everything.reviewed, everything.changed, everything.override_rate) == (1, 1, 1.0)
    assert of_model.model == "breast 1"


def test_a_signed_report_is_amended_corrected_and_added_to(ward: Ward) -> None:
    """Each change is a version of its own with its own signature; all who signed stand as interpreters once."""
    ward.decide("accept")
    assert ward.decide("amend", conclusion="Malignant.", reason="second look").status == "amended"
    assert ward.decide("correct", conclusion="Malignant, left.", reason="side was missing").status == "corrected"
    appended = ward.decide("append", conclusion="Discussed by telephone.")
    assert appended.status == "appended"
    shown = ward.shown()
    assert shown.report["conclusion"] == "Malignant, left.\n\nAddendum: Discussed by telephone."
    assert len(shown.report["resultsInterpreter"]) == 1
    assert len(shown.of_type("Provenance")) == 5
    assert {each["status"] for each in shown.of_type("Observation")} == {"final"}
    assert [each["reason"][0]["text"] for each in shown.of_type("Provenance")[2:4]] == [
        "second look",
        "side was missing",
    ]


def test_a_rejected_report_is_cancelled_and_a_retracted_one_in_error(ward: Ward) -> None:
    """Before the signature it is cancelled, after it entered in error; Observations follow, nothing is deleted."""
    ward.decide("accept")
    assert ward.decide("retract", reason="wrong patient").status == "entered-in-error"
    shown = ward.shown()
    assert shown.report["conclusion"].startswith("Entered in error")
    assert {each["status"] for each in shown.of_type("Observation")} == {"entered-in-error"}
    assert offered(ward.report.status) == ()


def test_a_rejected_report_comes_back_when_it_is_analysed_again(ward: Ward) -> None:
    """Rejection cancels; a later analysis makes a preliminary report that nobody has signed."""
    assert ward.decide("reject", reason="artefact").status == "cancelled"
    assert "resultsInterpreter" not in ward.shown().report
    with ward.hospital.database.begin("test") as unit:
        content = unit.reports.version(ward.report.id, 2).content
        assert content is not None
        unit.reports.write(ward.report, "compose", 2, content, ward.review.now())
        unit.commit()
    report = ward.shown().report
    assert (report["status"], "resultsInterpreter" in report) == ("preliminary", False)
    assert len(ward.shown().of_type("Provenance")) == 1


def test_only_a_physician_decides(ward: Ward) -> None:
    """Every other role, and a physician who may not sign in any more, is refused and nothing is written."""
    before = ward.report
    others = [dataclasses.replace(ward.doctor, role=role) for role in ("admin", "auditor", "privacy-officer")]  # type: ignore[arg-type]
    for person in (*others, dataclasses.replace(ward.doctor, active=False)):
        with pytest.raises(Forbidden):
            ward.review(before.id, person, Decision("accept", before.version))
    assert ward.report == before


def test_nobody_decides_about_what_he_has_not_seen(ward: Ward) -> None:
    """A decision names the version that was read; another one is a conflict."""
    before = ward.report
    with pytest.raises(Conflict, match="moved on"):
        ward.decide("accept", version=before.version - 1)
    ward.decide("accept")
    with pytest.raises(Conflict):
        ward.review(before.id, ward.doctor, Decision("accept", before.version))


def test_what_the_state_table_does_not_have_is_refused(ward: Ward) -> None:
    """For every status exactly the moves of the table are offered, and the rest is a conflict."""
    for status in REPORT.states:
        moves = {event for (state, event) in REPORT.moves if state == status}
        assert {EVENTS[outcome] for outcome in offered(status)} <= moves
    for outcome in ("amend", "correct", "append", "retract"):
        said = None if outcome == "retract" else "Text."
        with pytest.raises(Conflict):
            ward.decide(outcome, conclusion=said, reason="because")  # type: ignore[arg-type]
    ward.decide("accept")
    for outcome in ("accept", "reject"):
        with pytest.raises(Conflict):
            ward.decide(outcome, reason="because")  # type: ignore[arg-type]


WRONG: list[tuple[Outcome, dict[str, Any]]] = [
    ("reject", {}),
    ("reject", {"reason": "x", "conclusion": "y"}),
    ("accept", {"conclusion": " "}),
    ("accept", {"conclusion": "a\x00b"}),
    ("accept", {"conclusion": "x" * 20_000}),
    ("amend", {"reason": "x"}),
    ("accept", {"reason": "x" * 600}),
    ("accept", {"take_newer": True}),
]


def test_missing_and_boundless_texts_are_refused(ward: Ward) -> None:
    """What changes or withdraws says why; texts are bounded."""
    before = ward.report
    for outcome, said in WRONG:
        with pytest.raises(Invalid):
            ward.decide(outcome, **said)
    assert ward.report == before


def test_a_text_that_names_the_patient_is_refused(ward: Ward) -> None:
    """Name and number of the patient do not get into what is stored beside the pseudonym; a family name alone may."""
    identity = ward.opened().identity
    family, given = identity.patient_name.split("=")[0].split("^")[:2]
    for text in (f"{given} {family} has nothing.", f"See {identity.patient_id}.", f"({identity.accession_number})"):
        with pytest.raises(Invalid, match="names the patient") as caught:
            ward.decide("accept", conclusion=text)
        assert identity.patient_id not in str(caught.value)
    assert ward.decide("accept", conclusion=f"{family} sign is absent.").status == "final"


def test_a_late_finding_waits_for_the_physician(ward: Ward, tmp_path: Path) -> None:
    """After signing, a new analysis changes nothing by itself; amending takes its findings over where that is asked."""
    ward.decide("accept")
    signed = ward.report
    with ward.hospital.database.begin("test") as unit:
        assert unit.studies.reopen(unit.studies.lock(signed.study_id))
        unit.commit()
    ward.hospital.inference.probability = 0.61
    assert ward.hospital.analyse(signed.study_id) == signed
    with ward.hospital.database.read() as unit:
        assert unit.studies.get(signed.study_id).state == "reported"
    assert ward.decide("amend", conclusion="Less sure now.", reason="new images", take_newer=True).status == "amended"
    (finding,) = ward.opened().version.content.findings  # type: ignore[union-attr]
    assert finding.revision == 2
    assert finding.decided is not None
    assert finding.decided.probability == 0.61


def test_a_multimedia_report_is_claimed_only_when_it_is_one(ward: Ward) -> None:
    """IHE IMR stands in meta.profile when somebody has signed and the images can be reached, never before."""
    imr = "https://profiles.ihe.net/RAD/IMR/StructureDefinition/imr-diagnosticreport"

    def profiles(url: str) -> list[str]:
        document = dataclasses.replace(ward.opened(), dicomweb_url=url)
        return render(document, ward.review.base_url, "Hospital").report["meta"].get("profile", [])  # type: ignore[no-any-return]

    assert imr not in profiles("https://pacs.example/dicomweb")
    ward.decide("accept")
    assert imr not in profiles("")
    assert imr in profiles("https://pacs.example/dicomweb")
    shown = render(
        dataclasses.replace(ward.opened(), dicomweb_url="https://pacs.example/dicomweb/"),
        ward.review.base_url,
        "Hospital",
    )
    (endpoint,) = shown.of_type("Endpoint")
    (study,) = shown.of_type("ImagingStudy")
    assert study["endpoint"][0]["reference"] == f"Endpoint/{endpoint['id']}"
    assert endpoint["address"] == "https://pacs.example/dicomweb"
    forms = [(form["contentType"], form["size"] > 0, len(form["hash"])) for form in shown.report["presentedForm"]]
    assert forms == [("text/html", True, 28), ("application/pdf", True, 28)]
    for resource in shown.resources:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(encode(resource))


def test_the_time_until_signing_is_counted(ward: Ward) -> None:
    """From the version that was read to the decision, by the clock of the step."""
    made_at = ward.opened().version.created_at
    step = dataclasses.replace(ward.review, now=lambda: made_at + timedelta(minutes=7))
    step(ward.report.id, ward.doctor, Decision("accept", ward.report.version))
    with ward.hospital.database.read() as unit:
        found = unit.reviews.since(made_at, 10)
    assert figures(found, {})[0].median_seconds == 420
