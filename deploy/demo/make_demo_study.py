"""Makes the demonstration study: three breast ultrasound images of one invented patient, and one chest film.

    python deploy/demo/make_demo_study.py --data DIR

Why committed files and a script: `make demo` must work from a fresh clone, and anyone must be able to see
where every pixel and every header value came from. The ultrasound images lie in the test part of the
breast model and have no near-duplicate in its training or validation part. Standard: PS3.3 A.6 (Ultrasound
Image), A.2 (Computed Radiography Image). UIDs are derived, so every run writes the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, UltrasoundImageStorage

HERE = Path(__file__).parent
ROWS = 256
NAMESPACE = uuid.UUID("6f0d2a57-6a2e-5c0b-8e57-1d7f3a6b9c10")
IMPLEMENTATION = "2.25.147593200948394819213318465720915214"
SOURCE = "BUSI breast ultrasound images, Al-Dhabyani et al. 2020, CC BY 4.0"
CHEST_SOURCE = "PneumoniaMNIST (MedMNIST v2, Yang et al. 2023), CC BY 4.0"
CHEST_ROW = 0  # of the PneumoniaMNIST test part


@dataclass(frozen=True)
class Picture:
    """One BUSI image and how its original aspect ratio is restored (width over height)."""

    busi_file: str
    aspect: float


# The first of each kind, by file number, in the model's test part without near-duplicates elsewhere; for
# the normal one the first that the data delivers at 256 pixels. Not chosen by what the model says.
PICTURES = (
    Picture("malignant/malignant (10).png", 1 / 0.86),
    Picture("benign/benign (5).png", 1 / 0.90),
    Picture("normal/normal (20).png", 1 / 0.80),
)


def uid(name: str) -> str:
    """A UID in the 2.25 form (PS3.5 B.2), always the same for one name."""
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def ultrasound_pixels(data: Path, picture: Picture) -> npt.NDArray[np.uint8]:
    """The BUSI image at 256 rows with its own aspect ratio; the delivered copies were stretched to squares."""
    kind, number = picture.busi_file.split("/")[0], picture.busi_file.split("(")[1].split(")")[0]
    whole = data / "busi" / "samples_256" / f"{kind}_{number}.png"
    if whole.is_file():
        image = Image.open(whole).convert("L")
    else:
        stored = np.load(data / "busi" / "busi_128_gray.npz")
        image = Image.fromarray(stored["images"][stored["files"].tolist().index(picture.busi_file)])
    columns = 2 * round(ROWS * picture.aspect / 2)
    return np.asarray(image.resize((columns, ROWS), Image.Resampling.BICUBIC))


def patient_and_study(number: int, study: str) -> Dataset:
    """Patient and General Study modules; every value is invented and says so."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "FICTITIOUS^DEMO^^^"
    dataset.PatientID, dataset.IssuerOfPatientID = f"DEMO-{number:06d}", "DXGATE-DEMO"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19720229", "F", "054Y"
    dataset.PatientComments = "Invented person; no real patient"
    dataset.StudyInstanceUID, dataset.StudyID = uid(study), f"DEMO{number}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20261102"
    dataset.StudyTime = dataset.SeriesTime = "101500"
    dataset.AccessionNumber = f"DEMO-ACC-{number:04d}"
    dataset.ReferringPhysicianName = "FICTITIOUS^REFERRER"
    dataset.InstitutionName = "Fictitious Demo Hospital"
    dataset.Manufacturer, dataset.ManufacturerModelName = "dxgate", "demonstration study"
    dataset.SoftwareVersions = "1"
    return dataset


def grey_image(dataset: Dataset, pixels: npt.NDArray[np.uint8]) -> None:
    """Image Pixel module for eight-bit grey."""
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)


def ultrasound(data: Path, picture: Picture, number: int) -> Dataset:
    """One image of the study."""
    dataset = patient_and_study(42, "study")
    dataset.StudyDescription, dataset.SeriesDescription = "US BREAST RIGHT", "B-mode, still images"
    dataset.Modality, dataset.BodyPartExamined, dataset.Laterality = "US", "BREAST", "R"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = uid("series"), 1
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, uid(f"image {number}")
    dataset.InstanceNumber, dataset.ContentTime = number, f"1015{number:02d}"
    dataset.PatientOrientation = None
    dataset.UltrasoundColorDataPresent = 0
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "76752008", "SCT", "Breast"
    dataset.AnatomicRegionSequence = [region]
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "DEMO-RP-1", "DEMO-SPS-1"
    dataset.RequestAttributesSequence = [request]
    dataset.DerivationDescription = f"Resampled for demonstration from {SOURCE}"
    grey_image(dataset, ultrasound_pixels(data, picture))
    return dataset


def chest_film(data: Path) -> Dataset:
    """Something that the breast model must refuse: a chest film of another invented patient."""
    small = np.load(data / "pneumoniamnist" / "pneumoniamnist.npz")["test_images"][CHEST_ROW]
    dataset = patient_and_study(43, "chest study")
    dataset.StudyDescription, dataset.SeriesDescription = "CHEST AP", "AP"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", "CHEST", "AP"
    dataset.Laterality, dataset.PatientOrientation = "", ["L", "F"]
    dataset.SeriesInstanceUID, dataset.SeriesNumber = uid("chest series"), 1
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, uid("chest image")
    dataset.InstanceNumber, dataset.ContentTime = 1, "101500"
    dataset.DerivationDescription = f"Enlarged for demonstration from {CHEST_SOURCE}"
    grey_image(dataset, np.asarray(Image.fromarray(small).resize((ROWS, ROWS), Image.Resampling.BICUBIC)))
    return dataset


def save(dataset: Dataset, path: Path) -> None:
    """Write a Part 10 file, Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, IMPLEMENTATION
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def main() -> None:
    """Write `study/` and `out-of-scope/` beside this file, and the list of sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with busi and pneumoniamnist")
    data = parser.parse_args().data
    rows = [("file", "source", "source file")]
    for number, picture in enumerate(PICTURES, start=1):
        name = f"study/us-breast-{number}.dcm"
        save(ultrasound(data, picture, number), HERE / name)
        rows.append((name, SOURCE, picture.busi_file))
    save(chest_film(data), HERE / "out-of-scope" / "cr-chest.dcm")
    rows.append(("out-of-scope/cr-chest.dcm", CHEST_SOURCE, f"test part, row {CHEST_ROW}"))
    with (HERE / "sources.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
