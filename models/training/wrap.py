"""Grey arrays as DICOM files, so that evaluation and tests take the same road as a hospital's image.

Ultrasound Image Storage with the least that its IOD asks for (PS3.3 A.6); the demonstration study has a
fuller header, made by `deploy/demo/make_demo_study.py`.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage


def ultrasound(pixels: npt.NDArray[np.uint8], body_part: str = "BREAST") -> bytes:
    """(rows, columns) grey levels as an Ultrasound Image Storage instance; its UID derives from the pixels."""
    dataset = Dataset()
    number = int.from_bytes(hashlib.sha256(pixels.tobytes()).digest()[:14], "big")
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, f"2.25.{number}"
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = f"2.25.{number}"
    dataset.Modality, dataset.BodyPartExamined = "US", body_part
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
