"""Studies for tests: real breast-ultrasound pixels of the demo under any identity, and identity to search for."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from harness.gateway_process import REPOSITORY
from pydicom.uid import generate_uid

Pixels = npt.NDArray[np.uint8]
DEMO = REPOSITORY / "deploy" / "demo" / "study"


@dataclass(frozen=True)
class Planted:
    """Identity in one script, each value unlikely enough to be searched for in whole files."""

    name: str
    patient_id: str
    accession: str
    charset: str


PLANTED = (
    Planted("Quillfeather^Zebulon^Xavier", "MRN-QX-7718201", "ACCQX7718201", "ISO_IR 100"),
    Planted("Überkühn^Jörgß^Ödön", "KH-ÜÖ-5520199", "ACCUO5520199", "ISO_IR 192"),
    Planted("欧阳^娜娜珊", "病历-88127733", "ACCCN8812773", "ISO_IR 192"),
    Planted("Щукинский^Святополк", "КАРТА-44390012", "ACCRU4439001", "ISO_IR 192"),
    Planted("محفوظي^عبدالقيوم", "ملف-90112345", "ACCAR9011234", "ISO_IR 192"),
    Planted("Παπαδόπουλος^Ξενοφών", "ΦΑΚ-33127719", "ACCGR3312771", "ISO_IR 192"),
)


def demo_files() -> list[Path]:
    return sorted(DEMO.glob("*.dcm"))


def suspicious() -> Pixels:
    """A validation image of BUSI (CC BY 4.0) that the active breast pack calls malignant, from its golden vectors."""
    pack = REPOSITORY / "models" / "packs" / "breast-ultrasound-detail-cnn"
    with np.load(pack / "golden.npz", allow_pickle=False) as golden:
        pixels: Pixels = golden["pixels"][int(golden["prob"][:, 0].argmax()), ..., 0]
    return pixels


def planted_study(
    folder: Path, planted: Planted, instances: int, *, declare_count: bool = False, pixels: Pixels | None = None
) -> str:
    """Writes a study of `instances` files, the demo's or `pixels`, into `folder`; returns its StudyInstanceUID."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = [pydicom.dcmread(path) for path in demo_files()]
    study_uid, series_uid = generate_uid(), generate_uid()
    for number in range(instances):
        image = copy.deepcopy(sources[number % len(sources)])
        image.SpecificCharacterSet = planted.charset
        image.PatientName = planted.name
        image.PatientID = planted.patient_id
        image.PatientBirthDate = "19510317"
        image.AccessionNumber = planted.accession
        image.StudyInstanceUID = study_uid
        image.SeriesInstanceUID = series_uid
        image.SOPInstanceUID = generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.InstanceNumber = number + 1
        image.ReferringPhysicianName = planted.name
        image.StudyDescription = f"seen by {planted.name}"
        image.PatientComments = f"{planted.name} {planted.patient_id}"
        if pixels is not None:
            image.Rows, image.Columns = pixels.shape
            image.PixelData = pixels.tobytes()
        image.add_new(0x00091001, "LO", planted.name)
        image.add_new(0x00090010, "LO", "ACME 1.1")
        if declare_count:
            image.NumberOfStudyRelatedInstances = instances
        image.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return str(study_uid)


def traces(planted: Planted) -> set[bytes]:
    """Names and numbers in the encodings in which they could have been left behind."""
    words = [planted.patient_id, planted.accession, *(part for part in planted.name.split("^") if len(part) > 3)]
    words += [part for part in planted.name.split("^") if not part.isascii() and len(part) > 1]
    encodings = ("utf-8", "utf-16-le", "gb18030", "latin-1")
    found = set()
    for word in words:
        for encoding in encodings:
            try:
                found.add(word.encode(encoding))
            except UnicodeEncodeError:
                continue
        found.add(json.dumps(word).strip('"').encode())
    return {needle for needle in found if len(needle) >= 4}
