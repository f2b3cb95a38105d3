"""Domain values as the flow would make them, for suites that write rows: patients, arrivals, models, findings."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.acceptance import Acceptance, Limits, Measured
from gateway.domain.finding import Code, Finding, ImageFinding, Label, Provenance
from gateway.domain.ids import (
    BlobKey,
    FindingId,
    InstanceId,
    ModelId,
    PersonId,
    Pseudonym,
    StudyId,
    TaskId,
    derive_id,
    new_id,
)
from gateway.domain.model import AppliesTo, ServedModel
from gateway.domain.report import Report, ReportContent
from gateway.domain.review import Outcome, Review, Reviewer
from gateway.domain.study import Arrival, Instance, Priority, Study
from gateway.domain.task import Task
from gateway.ports import PatientRow, UnitOfWork

AT = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
QUIET = timedelta(seconds=20)


def derive_uid(kind: str, *parts: str) -> str:
    """The same UID for the same parts, in the 2.25 form of PS3.5 B.2."""
    return f"2.25.{int(derive_id(kind, *parts), 16)}"


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def patient_row(name: str = "one") -> PatientRow:
    """A patient's sealed row; the same name gives the same blind index."""
    return PatientRow(
        index=hashlib.sha256(b"index" + name.encode()).digest(),
        id_index=hashlib.sha256(b"id" + name.encode()).digest(),
        pseudonym=derive_id("pseudonym", name),
        sealed_secret=b"sealed " + name.encode(),
        wrapped_object_key=b"wrapped " + name.encode(),
    )


def arrival(
    study: str = "s1",
    instance: str = "i1",
    content: bytes = b"pixels",
    *,
    patient: str = "one",
    priority: Priority = "routine",
    at: datetime = AT,
    **changes: Any,
) -> Arrival:
    """An instance ready to be committed; equal words mean the same object, other content a changed one."""
    study_uid = derive_uid("study", study)
    instance_id = InstanceId(new_id())
    received = Instance(
        id=instance_id,
        study_id=StudyId(derive_id("study", study_uid)),
        series_uid=derive_uid("series", study),
        sop_instance_uid=derive_uid("instance", study, instance),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality=changes.pop("modality", "US"),
        blob_key=BlobKey(instance_id),
        size=len(content),
        digest=hashlib.sha256(content).digest(),
        header=changes.pop("header", {"Rows": 512, "BodyPartExamined": "BREAST", "ViewPosition": None}),
        received_at=at,
        received_from="PACS@192.0.2.7",
        clearance=changes.pop("clearance", "cleared"),
        pixels=changes.pop("pixels", "exempt"),
    )
    values: dict[str, Any] = {
        "study_uid": study_uid,
        "patient": Pseudonym(patient_row(patient).pseudonym),
        "body_part": "BREAST",
        "study_date": "20261101",
        "expected_count": None,
        "accession_index": hashlib.sha256(b"accession" + study.encode()).digest(),
        "study_uid_index": hashlib.sha256(b"uid" + study.encode()).digest(),
        "sealed_study_identity": b"sealed identity of " + study.encode(),
        "sealed_original_header": b"sealed header of " + instance.encode(),
    }
    return Arrival(instance=received, priority=priority, **(values | changes))


def receive(unit: UnitOfWork, what: Arrival, at: datetime | None = None, patient: str = "one") -> str:
    """Commits nothing; adds the patient where missing, then the instance with the usual quiet time."""
    unit.identities.add_patient(patient_row(patient))
    when = at or what.instance.received_at
    return unit.studies.receive(what, when + QUIET, when)


def model(name: str = "breast", version: str = "1.0.0", **changes: Any) -> ServedModel:
    sha256 = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    values: dict[str, Any] = {
        "id": ModelId(derive_id("model", name, version, sha256)),
        "name": name,
        "version": version,
        "sha256": sha256,
        "title": f"Model {name}",
        "intended_use": "Tests",
        "applies_to": AppliesTo(("US",), ("BREAST",)),
        "card_sha256": "0" * 64,
        "card": "# Card",
        "provider": "CPUExecutionProvider",
        "state": "active",
        "announced_at": AT,
    }
    return ServedModel(**(values | changes))


def finding(task: Task, served: ServedModel | None = None, probability: float = 0.75) -> Finding:
    made_by = served or model()
    question = Code("http://snomed.info/sct", "SCT", "254837009", "Malignant neoplasm of breast")
    label = Label("malignant", question, probability)
    image = ImageFinding(derive_uid("instance", "s1", "i1"), (label,), "malignant", "Bright region", None)
    return Finding(
        id=FindingId(derive_id("finding", task.id)),
        task_id=TaskId(task.id),
        study_id=task.study_id,
        revision=task.revision,
        question=question,
        decided=label,
        conclusion="Suspicious",
        threshold=0.5,
        images=(image,),
        made_by=Provenance(
            made_by.id, made_by.name, made_by.version, made_by.sha256, made_by.provider, "onnxruntime", "w1", ("ab",)
        ),
        created_at=AT,
    )


def accepted(served: ServedModel | None = None, **changes: Any) -> Acceptance:
    """A run that passed."""
    of = served or model()
    values: dict[str, Any] = {
        "id": new_id(),
        "name": of.name,
        "version": of.version,
        "sha256": of.sha256,
        "data_sha256": "d" * 64,
        "scored": 200,
        "positive": 80,
        "refused": 10,
        "auc": Measured(0.93, 0.89, 0.96),
        "sensitivity": Measured(0.9, 0.82, 0.95),
        "specificity": Measured(0.85, 0.78, 0.9),
        "worst_subgroup": "sex: F",
        "worst_auc": 0.91,
        "limits": Limits(auc=0.9),
        "missed": (),
        "verdict": "passed",
        "at": AT,
        "by": "cli:anna",
    }
    return Acceptance(**(values | changes))


def content(*findings: Finding, conclusion: str = "Suspicious") -> ReportContent:
    return ReportContent(findings, (), conclusion)


def review(signed: Report, outcome: Outcome = "accept", **changes: Any) -> Review:
    """A physician's decision that has made `signed` of the version before it."""
    values: dict[str, Any] = {
        "report_id": signed.id,
        "version": signed.version,
        "base_version": signed.version - 1,
        "base_at": AT,
        "outcome": outcome,
        "verdict": "as-is",
        "reviewer": Reviewer(PersonId("p1"), "Dr. Rita Reader", "Radiologist", "http://hl7.org/fhir/sid/us-npi|123"),
        "reason": "",
        "at": signed.updated_at,
        "models": (str(model().id),),
        "signature": "e30.e30.c2ln",
        "key_id": "signing-1",
    }
    return Review(**(values | changes))


def planned_task(unit: UnitOfWork, study: str = "s1", priority: Priority = "routine") -> tuple[Study, Task]:
    """A study with one instance, settled and analysing, and its one task; nothing is committed."""
    what = arrival(study, priority=priority)
    receive(unit, what)
    found = unit.studies.get(what.instance.study_id)
    served = model()
    if not unit.models.active():
        unit.models.announce(served)
    assert unit.studies.settle(found, "quiet-time")
    assert unit.studies.move(found.id, "settled", "analyse")
    (task,) = unit.tasks.plan(found, [served], AT)
    return unit.studies.get(found.id), task
