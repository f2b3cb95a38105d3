"""A gateway with real keys on a database of either kind: objects through the receive step, keys rotated beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gateway import config, wiring
from gateway.config import Settings
from gateway.domain.ids import StudyId
from gateway.domain.study import Instance
from gateway.flow.receive import ReceivedObject, ReceiveInstance
from gateway.privacy import keyring
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.database import SqlDatabase
from gateway.storage.group_commit import GroupCommitter
from gateway.storage.object_seal import PatientObjectSeal

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class KeyedGateway:
    """`home` holds keys and blobs; rings are as `dxgate keys init` makes them by these settings."""

    home: Path
    database_url: str
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        variables = {"DXGATE_GATEWAY_HOME": str(self.home), "DXGATE_DATABASE_URL": self.database_url}
        self.settings: Settings = config.load(variables, keys=self.keys).settings
        keyring.create(self.settings.key_folder, self.providers)
        self.database: SqlDatabase = wiring.database(self.settings)
        self.blobs = FolderBlobs(Path(self.settings.blob_url))
        self.commits = GroupCommitter(self.database, "receive")

    def providers(self, name: str) -> keyring.KeyProvider:
        from gateway.privacy.providers.choose import provider_for

        return provider_for(self.settings.keys, name)

    def close(self) -> None:
        self.commits.stop()
        self.database.close()

    def receiver(self) -> ReceiveInstance:
        """The step of one process, with that process's memory."""
        return wiring.receive(self.settings, self.database, self.commits)

    def fresh_seal(self) -> PatientObjectSeal:
        """With the rings as their files are now and nothing remembered."""
        ring = keyring.load(self.settings.key_folder, keyring.OBJECTS_FILE, self.providers(keyring.OBJECTS_FILE))
        return PatientObjectSeal(ring, self.database)

    def instances(self) -> list[tuple[str, Instance]]:
        """Every current instance with its patient's pseudonym."""
        found = []
        with self.database.read() as unit:
            for study in unit.studies.newest(10_000):
                found += [(study.patient, instance) for instance in unit.studies.instances(study.id)]
        return found

    def open_all(self) -> int:
        """Opens every stored object with fresh keys; how many there are."""
        seal, found = self.fresh_seal(), self.instances()
        for patient, instance in found:
            assert seal.open(patient, instance.blob_key, self.blobs.get(instance.blob_key))
        return len(found)

    def study_of(self, pseudonym: str) -> StudyId:
        with self.database.read() as unit:
            return unit.studies.ids_by_patient(pseudonym)[0]


def ct_object(patient_id: str, study_uid: str = "", name: str = "Doe^Jane") -> ReceivedObject:
    """A small CT slice of its own SOP Instance UID."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CT_IMAGE_STORAGE, generate_uid()
    image.PatientID, image.PatientName, image.PatientBirthDate = patient_id, name, "19510317"
    image.StudyInstanceUID = study_uid or generate_uid()
    image.SeriesInstanceUID, image.AccessionNumber = generate_uid(), f"ACC{patient_id[-10:]}"
    image.Modality, image.StudyDate, image.ImageType = "CT", "20260102", ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Rows = image.Columns = 16
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.SamplesPerPixel, image.PixelRepresentation = 15, 1, 0
    image.PhotometricInterpretation, image.PixelData = "MONOCHROME2", bytes(512)
    image["PixelData"].VR = "OW"
    written = DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = True, False
    write_dataset(written, image)
    return ReceivedObject(
        CT_IMAGE_STORAGE, str(image.SOPInstanceUID), str(ExplicitVRLittleEndian), written.getvalue(), "MODALITY"
    )
