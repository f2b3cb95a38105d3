"""The engine's files judged by programs of others: dicomqc for what is left of a person, dciodvfy for their validity.

Neither shares a line with the engine. dciodvfy (David Clunie's dicom3tools) is asked before and after: an output may
have no error that its input had not.
"""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomqc.model.results import Severity
from dicomqc.scanner import scan_paths
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.privacy.engine import deidentify
from gateway.privacy.masked_file import replace_pixels
from gateway.privacy.part10 import split
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import BASIC, EXPORT, INFERENCE, Option, Profile, compile_rules

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
DEMO = Path(__file__).resolve().parents[4] / "deploy" / "demo"
FULL = Profile("full", frozenset(Option) - {Option.RETAIN_MODIFIED_DATES})
PROFILES = [BASIC, INFERENCE, EXPORT, FULL]
FILES = {
    "CT": SAMPLES / "CT_small.dcm",
    "MR": SAMPLES / "MR_small.dcm",
    "SEG": SAMPLES / "liver_1frame.dcm",
    "SR": SAMPLES / "test-SR.dcm",
    "SR of a radiologist": SAMPLES / "reportsi.dcm",
    "ECG": SAMPLES / "waveform_ecg.dcm",
    "RT plan": SAMPLES / "rtplan.dcm",
    "US": DEMO / "study" / "us-breast-1.dcm",
    "CR": DEMO / "out-of-scope" / "cr-chest.dcm",
}
IDS = [profile.name for profile in PROFILES]
OUR_PSEUDONYMS = {"pseudonym_format.PatientID", "pseudonym_format.PatientName", "direct_phi.AccessionNumber"}
"""What dicomqc takes for identity because it is not empty; the test looks at the values."""


def mammogram() -> bytes:
    """A digital mammogram for presentation, with every attribute that its IOD asks for, and an identity."""
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.826.0.1.77.31"
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.826.0.1.77.1", "1.2.826.0.1.77.2"
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Doe^Jane", "MRN-4711-X", "19610203", "F"
    one.PatientAge, one.AccessionNumber, one.ReferringPhysicianName, one.StudyID = "063Y", "ACC-99871", "Ref^Rita", "1"
    one.StudyDate = one.SeriesDate = one.ContentDate = one.AcquisitionDate = "20240229"
    one.StudyTime = one.ContentTime = one.AcquisitionTime = "101112"
    one.Modality, one.PresentationIntentType, one.Manufacturer = "MG", "FOR PRESENTATION", "ACME"
    one.ImageType = ["ORIGINAL", "PRIMARY", ""]
    one.SeriesNumber = one.InstanceNumber = "1"
    one.BodyPartExamined, one.ImageLaterality, one.PatientOrientation = "BREAST", "L", ["A", "R"]
    one.PositionerType, one.PixelIntensityRelationship, one.PixelIntensityRelationshipSign = "MAMMOGRAPHIC", "LOG", -1
    one.DetectorType, one.ImagerPixelSpacing, one.OrganExposed = "DIRECT", [0.1, 0.1], "BREAST"
    one.BurnedInAnnotation, one.LossyImageCompression, one.PresentationLUTShape = "NO", "00", "IDENTITY"
    one.RescaleSlope, one.RescaleIntercept, one.RescaleType = "1", "0", "US"
    one.WindowCenter, one.WindowWidth = "2000", "4000"
    one.BreastImplantPresent = "NO"
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.Rows = one.Columns = 8
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.PixelData = np.arange(64, dtype="<u2").tobytes()
    one.AnatomicRegionSequence = [code("76752008", "SCT", "Breast")]
    one.ViewCodeSequence = [code("399162004", "SCT", "cranio-caudal")]
    one.ViewCodeSequence[0].ViewModifierCodeSequence = []
    one.AcquisitionContextSequence = []
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    one.save_as(out, enforce_file_format=True)
    return out.getvalue()


def code(value: str, scheme: str, meaning: str) -> Dataset:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, scheme, meaning
    return one


def content(kind: str) -> bytes:
    return mammogram() if kind == "MG" else FILES[kind].read_bytes()


def cleaned(kind: str, profile: Profile, pseudonymiser: Pseudonymiser) -> bytes:
    syntax, body = split(content(kind))
    return b"".join(deidentify(body, syntax, compile_rules(profile), lambda key: pseudonymiser).parts)


def errors(file: bytes, folder: Path) -> set[str]:
    """What dciodvfy finds wrong, without places in a sequence and without values of UIDs."""
    path = folder / "object.dcm"
    path.write_bytes(file)
    run = subprocess.run(["dciodvfy", "-new", path], capture_output=True, check=False, timeout=60)
    lines = (run.stdout + run.stderr).decode("latin-1").splitlines()
    assert lines, "dciodvfy said nothing"
    return {re.sub(r"\[\d+\]|<[0-9.]+>", "", line) for line in lines if line.startswith("Error")}


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("kind", [*FILES, "MG"])
def test_an_output_has_no_error_that_its_input_had_not(kind: str, pseudonymiser: Pseudonymiser, tmp_path: Path) -> None:
    """Each kind of object stays as valid as it was under every profile of ours and all options."""
    before = errors(content(kind), tmp_path)
    for profile in PROFILES:
        assert errors(cleaned(kind, profile, pseudonymiser), tmp_path) - before == set(), profile.name


@pytest.mark.peer("dciodvfy")
def test_the_mammogram_is_valid_to_begin_with(tmp_path: Path) -> None:
    """The hand-made object has no error, so that the comparison says something."""
    assert errors(mammogram(), tmp_path) == set()


@pytest.mark.peer("dciodvfy")
def test_a_masked_file_has_no_error_that_its_input_had_not(pseudonymiser: Pseudonymiser, tmp_path: Path) -> None:
    """New pixels, the answer to burned-in text and one more method keep an ultrasound image valid."""
    file = cleaned("US", INFERENCE, pseudonymiser)
    pixels = bytearray(pydicom.dcmread(io.BytesIO(file)).PixelData)
    pixels[:5000] = bytes(5000)
    after = b"".join(replace_pixels(file, bytes(pixels)).parts)
    assert errors(after, tmp_path) - errors(file, tmp_path) == set()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("profile", PROFILES[:3], ids=IDS[:3])
def test_dicomqc_finds_no_identity(profile: Profile, pseudonymiser: Pseudonymiser, tmp_path: Path) -> None:
    """No finding on any output but that our pseudonyms are not empty; an export has none but the patient's."""
    for kind in [*FILES, "MG"]:
        (tmp_path / f"{kind}.dcm").write_bytes(cleaned(kind, profile, pseudonymiser))
    result = scan_paths([tmp_path], threads=1)
    assert not result.skipped_files
    assert len(result.records) == len(FILES) + 1
    found = {finding.rule_id.partition(".")[2].partition(".")[2] for finding in result.findings}
    assert found <= OUR_PSEUDONYMS
    if profile is EXPORT:
        assert not [finding for finding in result.findings if finding.severity is Severity.ERROR]
    for path in tmp_path.glob("*.dcm"):
        one = pydicom.dcmread(path)
        assert str(one.PatientName) in ("", pseudonymiser.patient_id())
        assert one.PatientID == pseudonymiser.patient_id()
        assert one.get("AccessionNumber", "") in ("", *accessions(path.stem, pseudonymiser))


def accessions(kind: str, pseudonymiser: Pseudonymiser) -> tuple[str, ...]:
    before: Any = pydicom.dcmread(io.BytesIO(content(kind))).get("AccessionNumber", "")
    return (pseudonymiser.accession(str(before)),)


@pytest.mark.filterwarnings("ignore")
def test_dicomqc_does_find_identity_in_what_came_in(tmp_path: Path) -> None:
    """The same scan of the originals has errors, so that its silence says something."""
    for kind in [*FILES, "MG"]:
        (tmp_path / f"{kind}.dcm").write_bytes(content(kind))
    findings = scan_paths([tmp_path], threads=1).findings
    assert len([finding for finding in findings if finding.severity is Severity.ERROR]) > 5
