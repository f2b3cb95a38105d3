"""Cleared studies of several patients in a real vault, ready to be exported."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from harness.studies import PLANTED, demo_files
from pydicom.uid import generate_uid
from wire.fhir_rest.hospital import Hospital, received_object

from gateway import wiring
from gateway.domain.clearance import Pixels
from gateway.domain.export import ExportRequest, Selection
from gateway.domain.ids import StudyId
from gateway.flow.settle import SettleStudies
from gateway.storage.group_commit import GroupCommitter

DAY = "20240517"
AGES = ("043Y", "041Y", "044Y", "042Y", "040Y", "067Y")


@dataclass(frozen=True)
class Given:
    """One study: whose, and what of the demo's header is different."""

    patient: str
    changes: dict[str, Any]


def patients(count: int, **changes: Any) -> list[Given]:
    """One study each of `count` patients, aged as in AGES."""
    return [
        Given(f"MRN-{number}-77182", {"PatientAge": AGES[number % len(AGES)], **changes}) for number in range(count)
    ]


def cleared_studies(
    hospital: Hospital,
    folder: Path,
    given: Sequence[Given],
    *,
    pixels: Pixels = "clean",
    instances: int = 2,
    settled: bool = True,
) -> list[StudyId]:
    """Received through the receive step, decided about through the ports, settled."""
    commits = GroupCommitter(hospital.database, "receive")
    receive = wiring.receive(hospital.settings, hospital.database, commits)
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    for one in given:
        study, series = generate_uid(), generate_uid()
        for number in range(instances):
            image = copy.deepcopy(pydicom.dcmread(demo_files()[number % len(demo_files())]))
            image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, series, generate_uid()
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.PatientID, image.PatientName, image.AccessionNumber = one.patient, PLANTED[0].name, one.patient[:16]
            image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = DAY
            image.StudyTime, image.PatientBirthDate, image.PatientSex = "101500", "19801122", "F"
            image.PatientSize, image.BodyPartExamined = "1.71", "BREAST"
            for name, value in one.changes.items():
                setattr(image, name, value)
            image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
            path = folder / f"{image.SOPInstanceUID}.dcm"
            image.save_as(path, enforce_file_format=True)
            receive(received_object(path))
        with hospital.database.read() as unit:
            found.append(unit.studies.newest(1)[0].id)
    commits.stop()
    for study_id in found:
        clear(hospital, study_id, pixels)
        if settled:
            settle(hospital, study_id)
    return found


def clear(hospital: Hospital, study_id: StudyId, pixels: Pixels) -> None:
    """Every object of the study passes as if the checker had decided so."""
    with hospital.database.begin("test") as unit:
        for instance in unit.studies.instances(study_id):
            assert unit.clearances.decide(instance, "clear", pixels=pixels)
        unit.commit()


def settle(hospital: Hospital, study_id: StudyId) -> None:
    with hospital.database.read() as unit:
        study = unit.studies.get(study_id)
    SettleStudies(hospital.database).settle(study, "operator")


def request(studies: Sequence[StudyId], recipient: str = "University A", **changes: Any) -> ExportRequest:
    """An export of these studies with nobody left out for the size of his group."""
    asked: dict[str, Any] = {"purpose": "reader study", "k": 1, **changes}
    return ExportRequest(Selection(studies=tuple(studies)), recipient, **asked)


def export(hospital: Hospital, asked: ExportRequest, target: Path) -> Any:
    """Plan and copy, as the command does it."""
    plan = wiring.choose_studies(hospital.settings, hospital.database)(asked)
    step = wiring.export_studies(hospital.settings, hospital.database)
    return step(plan, wiring.export_folder(target), "cli:test", lambda line: None)
