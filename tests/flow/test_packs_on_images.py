"""Every pack on images from outside: an image of its own kind is answered, what it is not made for is refused aloud.

One gateway as its users start it, storescu in front, FHIR behind. The expected probabilities are those of the packs'
golden vectors, which were written where the packs were made.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fhirpy import SyncFHIRClient
from harness.built_in import built_in
from harness.gateway_process import GatewayProcess
from harness.reports import reported
from harness.send import send_folder
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

US, CR = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.1"
BREAST = {"SOPClassUID": US, "Modality": "US", "BodyPartExamined": "BREAST", "PatientSex": "F", "PatientAge": "052Y"}
CHEST = {"SOPClassUID": CR, "Modality": "CR", "BodyPartExamined": "CHEST", "PatientSex": "M", "PatientAge": "003Y"}
HEADERS = {
    "breast-ultrasound-cnn": BREAST,
    "breast-ultrasound-detail-cnn": BREAST,
    "chest-film-pneumonia-cnn": CHEST,
}
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def golden(pack: str) -> tuple[Pixels, float]:
    """The image of the golden vectors that speaks most clearly, and its probability of the positive label."""
    with np.load(io.BytesIO(built_in()[pack].content["golden.npz"]), allow_pickle=False) as stored:
        pixels, prob = stored["pixels"][:-4], stored["prob"][:-4, 0]  # the last four are noise
    place = int(np.abs(prob - 0.5).argmax())
    return pixels[place, ..., 0].astype(np.uint8), float(prob[place])


def chest(**changes: str) -> dict[str, str]:
    return CHEST | changes


FILM, BREAST_IMAGE = golden("chest-film-pneumonia-cnn")[0], golden("breast-ultrasound-detail-cnn")[0]
REFUSED: dict[str, tuple[Pixels, dict[str, str], str]] = {
    "a knee": (FILM, chest(BodyPartExamined="KNEE"), "another part of the body"),
    "a film without a body part": (FILM, chest(BodyPartExamined=""), "does not name the part of the body"),
    "an adult": (FILM, chest(PatientAge="045Y"), "for ages 1 to 5 years"),
    "an infant": (FILM, chest(PatientAge="005M"), "for ages 1 to 5 years"),
    "nobody's age": (FILM, chest(PatientAge=""), "does not give the age"),
    "a film, black for white": (255 - FILM, CHEST, "unlike those that the model learnt from"),
    "a breast called a chest": (BREAST_IMAGE, CHEST, "unlike those that the model learnt from"),
    "a man": (BREAST_IMAGE, BREAST | {"PatientSex": "M"}, "of another sex"),
    "a girl": (BREAST_IMAGE, BREAST | {"PatientAge": "012Y"}, "for ages 18 to 120 years"),
    "a breast upside down": (BREAST_IMAGE[::-1], BREAST, "upside down, on its side or inverted"),
    "one grey level": (np.full((128, 128), 90, np.uint8), BREAST, "almost of one grey level"),
    "a photograph": (np.indices((256, 256)).sum(0).astype(np.uint8), BREAST, "unlike those that the model learnt from"),
}


@dataclass(frozen=True)
class Ward:
    gateway: GatewayProcess
    fhir: SyncFHIRClient

    def report(self, accession: str) -> dict[str, Any]:
        (found,) = reported(self.fhir, identifier=accession)
        return found


def write(folder: Path, pixels: Pixels, header: dict[str, str], accession: str) -> None:
    dataset = Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = "Zzyzx^Wilhelmina", f"W-{accession}", accession
    dataset.StudyDate = dataset.StudyTime = dataset.PatientBirthDate = dataset.StudyID = ""
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (generate_uid() for _ in range(3))
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = header["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(folder / f"{accession}.dcm", enforce_file_format=True)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Every image was sent in one association, each as a study of its own."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "in").mkdir()
    for place, pack in enumerate(HEADERS):
        write(folder / "in", golden(pack)[0], HEADERS[pack], f"GOOD{place}")
    for place, (pixels, header, _) in enumerate(REFUSED.values()):
        write(folder / "in", pixels, header, f"BAD{place}")
    gateway = GatewayProcess(folder / "home").start()
    try:
        gateway.command(
            "model", "promote", "breast-ultrasound-cnn", _version("breast-ultrasound-cnn"), "--to", "active"
        )
        send_folder(gateway.dicom_port, folder / "in")
        yield Ward(gateway, SyncFHIRClient(gateway.fhir_url, authorization=f"Bearer {gateway.token()}"))
    finally:
        gateway.stop()


def _version(pack: str) -> str:
    return built_in()[pack].manifest.version


@pytest.mark.parametrize("pack", HEADERS)
def test_an_image_of_its_kind_is_answered(ward: Ward, pack: str) -> None:
    """The report gives the probability of the golden vector, the answer in words, a heat map and a text about it."""
    report = ward.report(f"GOOD{list(HEADERS).index(pack)}")
    assert report["status"] == "preliminary"
    found = [ward.fhir.reference(*one["reference"].split("/")).to_resource() for one in report["result"]]
    (observation,) = [one for one in found if one["method"]["text"].startswith(f"{pack} ")]
    said = {one["code"]["text"].partition(",")[0]: one.get("valueQuantity") for one in observation["component"]}
    positive = built_in()[pack].manifest.labels[0]  # type: ignore[union-attr]
    chance = golden(pack)[1]
    assert float(said[f'Probability of "{positive.name}"']["value"]) == pytest.approx(chance, abs=2e-3)
    decided = observation.get("valueCodeableConcept", {}).get("text")
    assert decided in (None, *(f"{one.title[:1].upper()}{one.title[1:]}" for one in built_in()[pack].manifest.labels))  # type: ignore[union-attr]
    assert "The map has" in observation["note"][1]["text"]
    page = next(one for one in report["presentedForm"] if one["contentType"] == "text/html")
    assert b"data:image/png" in base64.b64decode(page["data"])


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_pack_is_made_for_is_refused_with_its_reason(ward: Ward, what: str) -> None:
    """The sender reads why in a cancelled report, and so does whoever asks `dxgate study show`."""
    _, _, reason = REFUSED[what]
    report = ward.report(f"BAD{list(REFUSED).index(what)}")
    assert report["status"] == "cancelled"
    assert reason in report["conclusion"]
    assert "result" not in report
    study = ward.fhir.reference(*report["imagingStudy"][0]["reference"].split("/")).to_resource()
    assert reason in ward.gateway.command("study", "show", study["id"])
