"""Makes the objects that the C-STORE measurements send: CT slices (526 KB) and small ones (36 KB).

Headers carry about a hundred elements with sequences and private tags, as a scanner writes them, because what
a receiver spends on a header is part of what is measured. All names and numbers are invented.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

CT_SHAPE = (512, 512)
SMALL_SHAPE = (128, 128)
_HEAD_BYTES = 8192

_TEXT = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "InstanceCreationDate": "20260102",
    "InstanceCreationTime": "101112.120000",
    "StudyDate": "20260102",
    "SeriesDate": "20260102",
    "AcquisitionDate": "20260102",
    "ContentDate": "20260102",
    "StudyTime": "100000.000000",
    "SeriesTime": "100500.000000",
    "AcquisitionTime": "100501.000000",
    "ContentTime": "100502.000000",
    "AccessionNumber": "BENCH0001",
    "Modality": "CT",
    "Manufacturer": "BENCH",
    "InstitutionName": "Bench Hospital",
    "InstitutionAddress": "1 Bench Road",
    "ReferringPhysicianName": "Referrer^Bench",
    "StationName": "CT01",
    "StudyDescription": "CT CHEST",
    "SeriesDescription": "AXIAL 1.25",
    "InstitutionalDepartmentName": "Radiology",
    "PhysiciansOfRecord": "Record^Bench",
    "PerformingPhysicianName": "Performer^Bench",
    "NameOfPhysiciansReadingStudy": "Reader^Bench",
    "OperatorsName": "Operator^Bench",
    "ManufacturerModelName": "BENCH CT",
    "PatientName": "Bench^Patient",
    "PatientID": "BENCH-1",
    "IssuerOfPatientID": "BENCH",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "PatientAge": "056Y",
    "PatientSize": "1.75",
    "PatientWeight": "80",
    "AdditionalPatientHistory": "none",
    "ContrastBolusAgent": "none",
    "BodyPartExamined": "CHEST",
    "ScanOptions": "HELICAL MODE",
    "SliceThickness": "1.25",
    "KVP": "120",
    "DataCollectionDiameter": "500",
    "DeviceSerialNumber": "SN-BENCH",
    "SoftwareVersions": "1.0",
    "ProtocolName": "CHEST ROUTINE",
    "ReconstructionDiameter": "360",
    "DistanceSourceToDetector": "949",
    "DistanceSourceToPatient": "541",
    "GantryDetectorTilt": "0",
    "TableHeight": "150",
    "RotationDirection": "CW",
    "ExposureTime": "800",
    "XRayTubeCurrent": "300",
    "Exposure": "240",
    "FilterType": "BODY",
    "GeneratorPower": "36000",
    "FocalSpots": "1.2",
    "ConvolutionKernel": "STANDARD",
    "PatientPosition": "FFS",
    "StudyID": "1",
    "SeriesNumber": "2",
    "AcquisitionNumber": "1",
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "PositionReferenceIndicator": "SN",
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelSpacing": ["0.703125", "0.703125"],
    "WindowCenter": "40",
    "WindowWidth": "400",
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
    "RequestingPhysician": "Requester^Bench",
    "RequestedProcedureDescription": "CT CHEST",
    "PerformedProcedureStepStartDate": "20260102",
    "PerformedProcedureStepStartTime": "100000",
    "PerformedProcedureStepID": "PPS1",
    "PerformedProcedureStepDescription": "CT CHEST",
}


def make_objects(folder: Path, shape: tuple[int, int], count: int) -> list[Path]:
    """Writes `count` instances of one series into a new folder; returns their paths."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1)
    study, series = generate_uid(), generate_uid()
    paths = []
    for index in range(count):
        dataset = _slice(study, series, index, noise.integers(0, 4096, shape, dtype=np.uint16))
        paths.append(folder / f"{index:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


_PREFIX = b"2.25.1000"
_UID_BYTES = 40
_fresh = itertools.count(time.time_ns())


def renew(paths: list[Path]) -> None:
    """Gives every file a new SOPInstanceUID in place, so that no receiver meets an object twice."""
    for path in paths:
        with path.open("r+b") as file:
            head = file.read(_HEAD_BYTES)
            uid = _next_uid().encode("ascii")
            old = head.index(_PREFIX)
            for at in (old, head.index(head[old : old + _UID_BYTES], old + 1)):
                file.seek(at)
                file.write(uid)


def _next_uid() -> str:
    return _PREFIX.decode() + str(next(_fresh)).zfill(_UID_BYTES - len(_PREFIX))


def _slice(study: str, series: str, index: int, pixels: np.ndarray) -> Dataset:
    dataset = Dataset()
    for keyword, value in _TEXT.items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = _next_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.FrameOfReferenceUID = series
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = ["-180", "-180", f"{index * 1.25:.2f}"]
    dataset.SliceLocation = f"{index * 1.25:.2f}"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.ReferencedStudySequence = Sequence([_reference(study)])
    dataset.ProcedureCodeSequence = Sequence([_code("CTCHEST", "CT CHEST")])
    dataset.RequestAttributesSequence = Sequence([_code("RP1", "CT CHEST")])
    block = dataset.private_block(0x0009, "BENCH_IDEN_01", create=True)
    for offset in range(1, 9):
        block.add_new(offset, "LO", f"private value {offset}")
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    item.ReferencedSOPInstanceUID = uid
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99BENCH", meaning
    return item
