"""A patient's record as an EHR writes it: FHIR resources in the store, watched, gathered and analysed by real packs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import fixtures_report
from harness.rows import AT, patient_row
from harness.ward import OpenSeal

from gateway.config import load
from gateway.domain.ids import TaskId
from gateway.domain.report import report_id
from gateway.domain.resource import Change, StoredVersion, resource_key
from gateway.domain.study import Study, record_id
from gateway.flow.compose import ComposeReport
from gateway.flow.infer import RunTask
from gateway.flow.read_reports import OpenedReport
from gateway.flow.record.settle import SettleRecords
from gateway.flow.record.watch import WatchRecords
from gateway.formats.fhir.render import RenderedReport, render
from gateway.ports import UnitOfWork
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.database import SqlDatabase
from workers.engine import Engine, Loaded, load_models

LOINC = "http://loinc.org"
BASE = "https://gateway.example/fhir"
_TURN = count()  # keys of one moment have ten random bits only
Resource = dict[str, Any]


@cache
def loaded() -> Loaded:
    """The built-in packs, once for all tests."""
    return load_models(load({}, worker={"device": "cpu"}).settings)


def quantity(own_id: str, code: str, value: float, unit: str, at: datetime) -> Resource:
    said = {"value": value, "system": "http://unitsofmeasure.org", "code": unit, "unit": unit}
    return observation(own_id, code, at, valueQuantity=said)


def worded(own_id: str, code: str, word: str, at: datetime, system: str = LOINC) -> Resource:
    return observation(own_id, code, at, system, valueCodeableConcept={"text": word})


def observation(own_id: str, code: str, at: datetime, system: str = LOINC, **value: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": own_id,
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": at.isoformat(),
        **value,
    }


def person(gender: str = "male", born: str = "1965-05-02") -> Resource:
    name = [{"family": "Quillfeather", "given": ["Zebulon"]}]
    number = [{"system": "urn:oid:1.2.3", "value": "MRN-77"}]
    return {
        "resourceType": "Patient",
        "id": "p1",
        "name": name,
        "identifier": number,
        "gender": gender,
        "birthDate": born,
    }


def seal_identity(study: Study, resources: Sequence[Mapping[str, Any]]) -> bytes:
    return b"sealed identity of " + study.patient.encode()


def open_resource(unit: UnitOfWork, stored: StoredVersion) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(stored.sealed)
    return found


@dataclass
class Clinic:
    """Time stands still at `now` until the test moves it. Only the models named are announced, as active."""

    database: SqlDatabase
    folder: Path
    models: tuple[str, ...]
    shadows: tuple[str, ...] = ()
    now: datetime = AT
    patient: str = field(default_factory=lambda: patient_row("one").pseudonym)

    def __post_init__(self) -> None:
        self.blobs, self.seal = FolderBlobs(self.folder), OpenSeal()
        self.engine = Engine(loaded().shelf, loaded().records)
        self.study_id = record_id(self.patient)
        with self.database.begin("worker") as unit:
            unit.identities.add_patient(patient_row("one"))
            for one in loaded().served:
                if one.name in self.models:
                    unit.models.announce(replace(one, state="shadow" if one.name in self.shadows else "active"))
            unit.commit()

    def clock(self) -> datetime:
        return self.now

    def write(self, *resources: Resource) -> None:
        """As the store does: insert or replace, with the watcher inside the transaction."""
        with self.database.begin("ehr") as unit:
            changes = [self._put(unit, one) for one in resources]
            WatchRecords(timedelta(seconds=20), self.clock)(unit, changes)
            unit.commit()

    def _put(self, unit: UnitOfWork, resource: Resource) -> Change:
        kind, own, body = resource["resourceType"], resource["id"], json.dumps(resource).encode()
        was = unit.resources.find(kind, own)
        key, version = (was.key, was.version + 1) if was else (resource_key(self.now) + (next(_TURN) << 12), 1)
        now = StoredVersion(key, kind, own, version, "PUT", self.now, self.patient, body)
        assert unit.resources.replace(was, now) if was else unit.resources.insert(now)
        return Change(now, resource, json.loads(was.sealed) if was else None)

    def settle(self, seconds: float = 21) -> int:
        self.now += timedelta(seconds=seconds)
        return SettleRecords(self.database, self.blobs, self.seal, open_resource, seal_identity, self.clock)()

    def run(self) -> dict[str, str]:
        """Outcome by model name of every open task."""
        with self.database.read() as unit:
            study = unit.studies.get(self.study_id)
            tasks = unit.tasks.of_study(study.id, study.revision)
            names = {task.id: unit.models.get(task.model_id).name for task in tasks}
        return {names[task.id]: self._runner()(TaskId(task.id)) for task in tasks}

    def _runner(self) -> RunTask:
        return RunTask(
            database=self.database,
            blobs=self.blobs,
            seal=self.seal,
            inference=self.engine,
            compose=ComposeReport(("ehr",)),
            hold=lambda task: nullcontext(),
            worker="worker:1",
            lease=timedelta(seconds=30),
            max_attempts=3,
            now=self.clock,
        )

    @property
    def study(self) -> Study:
        with self.database.read() as unit:
            return unit.studies.get(self.study_id)

    def content(self) -> Any:
        with self.database.read() as unit:
            report = unit.reports.get(report_id(self.study_id))
            return unit.reports.version(report.id, report.version).content

    def document(self, model: str) -> str:
        """What the worker is given for a model, in clear."""
        with self.database.read() as unit:
            chosen = next(one for one in unit.models.all() if one.name == model)
            newest = max(revision for revision in (1, 2, 3) if unit.records.basis(self.study_id, revision))
            given = unit.records.input(self.study_id, newest, chosen.id)
        return self.seal.open(self.patient, given.blob_key, self.blobs.get(given.blob_key)).decode()  # type: ignore[arg-type]


def rendered(clinic: Clinic, number: int | None = None) -> RenderedReport:
    """A version of the record's report, the last one if none is named, as an EHR gets it."""
    with clinic.database.read() as unit:
        report = unit.reports.get(report_id(clinic.study_id))
        version = unit.reports.version(report.id, number or report.version)
        study: Study = unit.studies.get(clinic.study_id)
        document = OpenedReport(
            report=report,
            version=version,
            study=study,
            instances=(),
            identity=replace(fixtures_report.identity(), study_instance_uid="", study_date="", accession_number=""),
            models={one.id: one for one in unit.models.all()},
            original_uids={},
            basis=unit.records.basis(study.id, version.revision),
        )
    return render(document, BASE, "General Hospital AI")
