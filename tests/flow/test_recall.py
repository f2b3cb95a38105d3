"""A model version is recalled: who has its results, what becomes of them, and the second analysis."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fixtures_report import model
from harness.studies import PLANTED
from wire.fhir_rest.hospital import Hospital, add_study, open_hospital

from gateway import wiring
from gateway.domain.access import Caller, Person
from gateway.domain.errors import Conflict, Forbidden, Invalid, Missing, Unmet
from gateway.domain.ids import ClientId, ModelId, StudyId
from gateway.domain.report import Report, report_id
from gateway.flow.recall import RecallModel
from gateway.flow.review import Decision
from gateway.formats.fhir.bundle import transaction
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.render import render
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.fhir.recall import recall
from gateway.servers.web.fhir.sign import sign
from gateway.servers.web.refusal import Refusal

BETTER = ModelId("better")


@dataclasses.dataclass
class Recall:
    """Two studies of two patients: the report of the first is signed, that of the second waits."""

    hospital: Hospital
    step: RecallModel
    signed: StudyId
    waiting: StudyId
    doctor: Person

    def report(self, study: StudyId) -> Report:
        with self.hospital.database.read() as unit:
            return unit.reports.get(report_id(study))

    def client(self, name: str, person: Person | None = None) -> Caller:
        now = datetime.now(UTC)
        return Caller(ClientId("1"), "fhir", name, None, ("user/*.cruds",), (), True, now, person=person)

    def announce_better(self) -> None:
        with self.hospital.database.begin("worker-1") as unit:
            unit.models.announce(dataclasses.replace(model(), id=BETTER, version="1.0.1", sha256="cd" * 32))
            unit.commit()


@pytest.fixture
def case(tmp_path: Path, sqlite_template: Path) -> Iterator[Recall]:
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    studies = [add_study(hospital, tmp_path / str(n), PLANTED[n], 1) for n in range(2)]
    hospital.add_person("rita", "physician")
    with hospital.database.read() as unit:
        doctor = unit.access.person("rita")
    assert doctor is not None
    assert hospital.services.review is not None
    hospital.services.review(report_id(studies[0]), doctor, Decision("accept", 2))
    yield Recall(hospital, RecallModel(hospital.database, ("ehr",)), studies[0], studies[1], doctor)
    hospital.database.close()


def test_every_report_of_the_model_is_listed(case: Recall) -> None:
    """With pseudonym, signature state and recipients; another model has none, an unknown one is Missing."""
    with case.hospital.database.begin("test") as unit:
        report = case.report(case.signed)
        (delivery,) = unit.deliveries.plan(report, ["ehr"], report.updated_at)
        sending = unit.deliveries.attempt(delivery.id, report.updated_at, report.updated_at)
        assert sending is not None
        unit.deliveries.acknowledge(sending, "transaction: DiagnosticReport/9")
        unit.commit()
    found = {each.report.study_id: each for each in case.step.affected(model().id)}
    assert set(found) == {case.signed, case.waiting}
    assert (found[case.signed].is_signed, found[case.signed].signed_by) == (True, "rita")
    assert [one.acknowledgement for one in found[case.signed].recipients] == ["transaction: DiagnosticReport/9"]
    assert (found[case.waiting].is_signed, found[case.waiting].recipients) == (False, ())
    assert list(case.step.affected(BETTER)) == []
    with pytest.raises(Missing):
        case.step.model("breast-ultrasound", "9.9")


def test_marking_cancels_the_unsigned_and_flags_the_signed(case: Recall) -> None:
    """The signed text and status stay; Flag and Communication go out with a new version. Twice is like once."""
    before = case.report(case.signed)
    done = case.step.mark(model().id, "wrong threshold", "tester")
    assert (done.cancelled, done.flagged, done.conflicts) == (1, 1, 0)
    assert case.report(case.waiting).status == "cancelled"
    flagged = case.report(case.signed)
    assert (flagged.status, flagged.version) == ("final", before.version + 1)
    assert case.step.mark(model().id, "another reason", "tester") == dataclasses.replace(done, cancelled=0, flagged=0)
    with case.hospital.database.begin("test") as unit:
        planned = [
            (each.version, each.state) for each in unit.deliveries.of_report(flagged.id) if each.destination == "ehr"
        ]
        document = case.hospital.services.reports.open(unit, flagged, purpose="delivery", actor="test")
        cancelled = unit.reports.version(report_id(case.waiting), 3).content
    assert planned == [(flagged.version, "pending")]
    assert cancelled is not None
    assert "was recalled: wrong threshold" in cancelled.conclusion
    shown = render(document, "https://gateway.example/fhir", "Hospital")
    (flag,), (told,) = shown.of_type("Flag"), shown.of_type("Communication")
    assert "wrong threshold" in flag["code"]["text"]
    assert told["about"] == [{"reference": f"DiagnosticReport/{flagged.id}"}]
    assert shown.report["resultsInterpreter"]
    assert "was recalled" in _page(shown.report)
    kinds = [entry["resource"]["resourceType"] for entry in transaction(shown)["entry"]]
    assert kinds[-2:] == ["Flag", "Communication"]
    for resource in shown.resources:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(encode(resource))


def test_a_flagged_report_keeps_its_signature_and_is_retracted_by_a_physician(case: Recall) -> None:
    """The signature of the version that was signed still verifies; the physician may take the report back."""
    case.step.mark(model().id, "wrong threshold", "tester")
    verify = wiring.verify_reviews(case.hospital.settings, case.hospital.database)
    assert [each.problem for each in verify(report_id(case.signed), "test")] == [""]
    assert case.hospital.services.review is not None
    retract = Decision("retract", 4, reason="the model was recalled")
    assert case.hospital.services.review(report_id(case.signed), case.doctor, retract).status == "entered-in-error"
    assert [each.problem for each in verify(report_id(case.signed), "test")] == ["", ""]


def test_a_recalled_model_never_becomes_active_again(case: Recall) -> None:
    """Neither a worker that announces it nor a person who activates it brings it back."""
    case.step.mark(model().id, "wrong threshold", "tester")
    with case.hospital.database.begin("worker-1") as unit:
        unit.models.announce(model())
        assert unit.models.get(model().id).state == "retired"
        with pytest.raises(Conflict, match="recalled"):
            unit.models.activate(model().id)
        unit.commit()


def test_the_second_analysis_replaces_what_was_cancelled(case: Recall) -> None:
    """With a corrected version the cancelled report becomes preliminary again; the signed one waits for its signer."""
    with pytest.raises(Conflict, match="still active"):
        case.step.rerun(model().id, "tester")
    case.step.mark(model().id, "wrong threshold", "tester")
    case.announce_better()
    assert case.step.rerun(model().id, "tester").planned_again == 2
    for study in (case.signed, case.waiting):
        case.hospital.analyse(study)
    assert [case.report(study).status for study in (case.signed, case.waiting)] == ["final", "preliminary"]
    with case.hospital.database.read() as unit:
        content = unit.reports.version(report_id(case.waiting), 4).content
    assert content is not None
    assert [finding.made_by.model_id for finding in content.findings] == [BETTER]
    now = {each.report.study_id: each.says_it_now for each in case.step.affected(model().id)}
    assert now == {case.signed: True, case.waiting: False}


def test_a_study_that_waits_for_the_model_is_planned_anew(case: Recall, tmp_path: Path) -> None:
    """Its open task is withdrawn, so that no worker runs what was recalled, and it does not wait for ever."""
    with case.hospital.database.begin("test") as unit:
        unit.studies.reopen(unit.studies.lock(case.waiting))
        study = unit.studies.get(case.waiting)
        unit.studies.settle(study, "operator")
        unit.studies.move(study.id, "settled", "analyse")
        (task,) = unit.tasks.plan(study, [model()], study.last_received_at)
        unit.commit()
    assert case.step.mark(model().id, "wrong threshold", "tester").planned_again == 1
    with case.hospital.database.read() as unit:
        assert unit.tasks.get(task.id).state == "withdrawn"
        assert unit.studies.get(case.waiting).state == "receiving"


def test_a_recall_says_why(case: Recall) -> None:
    """Without a reason nothing is marked."""
    with pytest.raises(Invalid):
        case.step.mark(model().id, " ", "tester")
    assert case.report(case.waiting).status == "preliminary"


def test_the_list_over_fhir_names_pseudonyms_alone(case: Recall) -> None:
    """$recall answers with Parameters that the standard knows, and is audited."""
    query = (("model", "breast-ultrasound"), ("version", "1.0.0"))
    answer = recall(case.hospital.services, case.client("quality"), _request("", fields=query))
    assert answer.resource is not None
    get_fhir_model_class("Parameters").model_validate_json(encode(answer.resource))
    assert len([each for each in answer.resource["parameter"] if each["name"] == "report"]) == 2
    assert b"Quillfeather" not in encode(answer.resource)
    (noted,) = case.hospital.events("fhir:operation")
    assert (noted.details["operation"], noted.details["count"]) == ("recall", 2)
    assert [noted.actor, len(noted.details["patients"])] == ["client:quality", 2]


def _request(own_id: str, asked: dict[str, object] | None = None, if_match: str = "", **more: Any) -> FhirRequest:
    headers = {"if-match": if_match} if if_match else {}
    told = {"interaction": "", "kind": "DiagnosticReport", "version": "", "fields": (), "lenient": False}
    return FhirRequest(id=own_id, headers=headers, resource=asked, **told | {"by_post": False} | more)


def _asked(**values: str) -> dict[str, object]:
    kinds = {"outcome": "valueCode"}
    given = [{"name": name, kinds.get(name, "valueString"): value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": given}


def test_signing_over_fhir_is_the_same_step(case: Recall) -> None:
    """$sign accepts for the present version alone and answers with the new one's ETag."""
    services, number = case.hospital.services, report_id(case.waiting)
    app = case.client("viewer", case.doctor)
    with pytest.raises(Refusal, match="If-Match"):
        sign(services, app, _request(number, _asked(outcome="accept")))
    with pytest.raises(Unmet):
        sign(services, app, _request(number, _asked(outcome="accept"), 'W/"1"'))
    with pytest.raises(Forbidden, match="acts for no person"):
        sign(services, case.client("viewer"), _request(number, _asked(outcome="accept"), 'W/"2"'))
    answer = sign(services, app, _request(number, _asked(outcome="accept", conclusion="Benign."), 'W/"2"'))
    assert (answer.status, answer.headers["ETag"]) == (200, 'W/"3"')
    assert case.report(case.waiting).status == "final"
    with pytest.raises(Invalid, match="needs a reason"):
        sign(services, app, _request(number, _asked(outcome="retract"), 'W/"3"'))


WRONG: list[dict[str, object]] = [
    {"resourceType": "Patient"},
    {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "approve"}]},
    {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueInteger": 1}]},
    {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": 1}]},
    {"resourceType": "Parameters", "parameter": [{"name": "person", "valueString": "x"}]},
    {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "accept"}] * 2},
    {"resourceType": "Parameters", "parameter": ["x"]},
    {"resourceType": "Parameters", "parameter": "x"},
    {"resourceType": "Parameters"},
]


def test_wrong_input_of_sign_is_refused(case: Recall) -> None:
    """What is not in the operation's definition changes nothing."""
    for asked in WRONG:
        request = _request(report_id(case.waiting), asked, 'W/"2"')
        with pytest.raises(Refusal) as caught:
            sign(case.hospital.services, case.client("viewer", case.doctor), request)
        assert caught.value.status == 400
    assert case.report(case.waiting).status == "preliminary"


def _page(report: dict[str, object]) -> str:
    forms = report["presentedForm"]
    assert isinstance(forms, list)
    return base64.b64decode(forms[0]["data"]).decode()
