"""A gateway's way in inside one process: real engine, vault, seals, blobs and database, and the check after it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from harness.rows import AT
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gateway.domain.clearance import PixelFinding
from gateway.domain.ids import BlobKey, InstanceId, StudyId, derive_id
from gateway.domain.study import Instance, Study
from gateway.flow.check import CheckInstances
from gateway.flow.clean import CleanInstance
from gateway.flow.receive import ReceivedObject, ReceiveInstance
from gateway.ports import UnitOfWork
from gateway.privacy import keyring
from gateway.privacy.part10 import split
from gateway.privacy.rules import INFERENCE, compile_rules
from gateway.privacy.vault import Vault
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.database import SqlDatabase
from gateway.storage.object_seal import PatientObjectSeal
from gateway.storage.sealed_file import SealedFiles

CT = "1.2.840.10008.5.1.4.1.1.2"
US = "1.2.840.10008.5.1.4.1.1.6.1"


def image(
    study_uid: str = "1.2.826.0.1.99.1", *, sop_class: str = CT, modality: str = "CT", **attributes: Any
) -> Dataset:
    """A small image of one patient, as a modality would send it."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.StudyDate = made.SeriesDate = "20260102"
    made.StudyTime = "101112"
    made.AccessionNumber = "ACC-5512-X"
    made.Modality = modality
    made.Manufacturer = "ACME"
    made.InstitutionName = "Nordklinikum Quarz"
    made.ReferringPhysicianName = "Wendehals^Irmgard"
    made.StudyDescription = "CT CHEST"
    made.PatientName = "Quillfeather^Zebulon"
    made.PatientID = "MRN-QX-77182"
    made.PatientBirthDate = "19510317"
    made.PatientSex = "M"
    made.StudyInstanceUID, made.SeriesInstanceUID = study_uid, study_uid + ".1"
    made.Rows = made.Columns = 4
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = np.arange(16, dtype=np.uint16).tobytes()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def ultrasound() -> Dataset:
    """An image whose pixels may show text."""
    return image(sop_class=US, modality="US")


@dataclass
class _Commits:
    """The GroupCommit port, one transaction for each write."""

    database: SqlDatabase

    def submit(self, write: Callable[[UnitOfWork], Any], *, lingering: bool = False) -> Any:
        with self.database.begin("receive") as unit:
            result = write(unit)
            unit.commit()
        return result


class Intake:
    """Receives images and checks them; time stands still at `now`."""

    def __init__(self, database: SqlDatabase, folder: Path) -> None:
        keyring.create(folder / "keys")
        objects = keyring.load(folder / "keys", keyring.OBJECTS_FILE)
        ring = objects.joined(keyring.load(folder / "keys", keyring.IDENTITY_FILE))
        self.database = database
        self.now = AT
        self.blobs_folder = folder / "blobs"
        self.blobs = FolderBlobs(self.blobs_folder)
        self.vault = Vault(ring, database)
        self.seal = PatientObjectSeal(objects, database)
        self.files = SealedFiles(self.blobs, self.seal)
        self.check = CheckInstances(database, self.vault, self.files, self.clock)
        self._receive = ReceiveInstance(
            clean=CleanInstance(self.vault, compile_rules(INFERENCE)),
            seal=self.seal,
            blobs=self.blobs,
            commits=_Commits(database),
            quiet={"routine": timedelta(seconds=20), "stat": timedelta(seconds=2)},
            now=self.clock,
        )

    def clock(self) -> datetime:
        return self.now

    def receive(self, what: Dataset) -> InstanceId:
        """One image through the engine into the store; the id of its row."""
        known = {one.id for one in self.instances()}
        self.now += timedelta(milliseconds=1)
        self._receive(
            ReceivedObject(
                sop_class_uid=str(what.SOPClassUID),
                sop_instance_uid=str(what.SOPInstanceUID),
                transfer_syntax_uid=str(what.file_meta.TransferSyntaxUID),
                dataset=encoded(what),
                sender="PACS@192.0.2.7",
            )
        )
        (new,) = {one.id for one in self.instances()} - known
        return new

    def instances(self, *states: str) -> list[Instance]:
        with self.database.read() as unit:
            every = ("unchecked", "cleared", "masking", "held", "quarantined", "rejected")
            return unit.clearances.waiting(states or every, 1000)

    def instance(self, instance_id: InstanceId) -> Instance:
        with self.database.read() as unit:
            return unit.clearances.get(instance_id)

    def study(self, study_id: StudyId) -> Study:
        with self.database.read() as unit:
            return unit.studies.get(study_id)

    def plain(self, instance_id: InstanceId) -> bytes:
        """The stored, de-identified file."""
        instance = self.instance(instance_id)
        patient = self.study(instance.study_id).patient
        return self.seal.open(patient, instance.blob_key, self.blobs.get(instance.blob_key))

    def searched(self, instance_id: InstanceId, *, doubt: str | None = None) -> BlobKey | None:
        """Writes what a worker does that has found nothing, or, in doubt, a preview for a person."""
        finding = PixelFinding(1, 1, (), 0.0, doubt, ("top-hat",), "CPUExecutionProvider")
        preview = BlobKey(derive_id("preview", instance_id)) if doubt else None
        if preview:
            self.blobs.put(preview, [b"sealed preview"])
        with self.database.begin("worker:1") as unit:
            task = unit.pixel_tasks.claim(instance_id, "worker:1", self.now, self.now + timedelta(seconds=60))
            assert task is not None
            assert unit.pixel_tasks.finish(task, finding, None, preview)
            unit.commit()
        return preview

    def replace(self, instance_id: InstanceId, old: bytes, new: bytes) -> None:
        """Other bytes of the same length under the same key: what a faulty engine would have left."""
        content = self.plain(instance_id)
        assert len(old) == len(new)
        assert old in content
        instance = self.instance(instance_id)
        patient = self.study(instance.study_id).patient
        self.blobs.delete(instance.blob_key)
        sealed = self.seal.seal(patient, instance.blob_key, [content.replace(old, new)])
        self.blobs.put(instance.blob_key, sealed)


def encoded(what: Dataset) -> bytes:
    """The data set without preamble and group 0002."""
    buffer = io.BytesIO()
    dcmwrite(buffer, what, enforce_file_format=True)
    return bytes(split(buffer.getvalue())[1])
