"""Objects that wait for a person: a synthetic ultrasound image with a made-up name in it, held as a worker holds it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
from harness.studies import Planted, planted_study
from harness.ultrasound import COLUMNS, ROWS, ultrasound
from PIL import Image
from wire.fhir_rest.hospital import Hospital

from gateway import wiring
from gateway.domain.clearance import Box, PixelFinding
from gateway.domain.ids import BlobKey, InstanceId, new_id

DOUBT = "text near the image area was found by one detector only"
BOXES = (
    Box(-1, 14, 12, 200, 24, "text-v4", 0.97),
    Box(-1, 14, 38, 128, 24, "text-v4", 0.91),
    Box(0, 586, 545, 96, 20, "top-hat", 0.54),
)


def png(pixels: np.ndarray, shrink: int = 1) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.resize((picture.width // shrink, picture.height // shrink)).save(stream, "png")
    return stream.getvalue()


NAMED = (
    (18, 14, "DOE^JANE  1951-03-17"),
    (18, 40, "ID 0815-4711"),
    (640, 14, "Dr ROE^RICHARD"),
    (590, 545, "Gain 62 %"),
)


def received(
    hospital: Hospital, folder: Path, planted: Planted, instances: int = 1, frames: int = 1
) -> list[InstanceId]:
    """A study with a made-up name in its pixels, received and passed by the checker; its objects wait for a search."""
    planted_study(folder, planted, instances)
    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.PhotometricInterpretation, image.SamplesPerPixel = "MONOCHROME2", 1
        image.Rows, image.Columns = ROWS, COLUMNS
        image.BitsAllocated = image.BitsStored = 8
        image.HighBit = 7
        image.PixelData = ultrasound(NAMED).tobytes() * frames
        image.NumberOfFrames = frames
        image.save_as(path)
    study = hospital.receive(folder)
    wiring.check(hospital.settings, hospital.database)()
    with hospital.database.read() as unit:
        return [one.id for one in unit.studies.instances(study)]


def hold(
    hospital: Hospital,
    instance_id: InstanceId,
    boxes: tuple[Box, ...] = BOXES,
    doubt: str = DOUBT,
    picture: bytes | None = None,
) -> None:
    """A worker has searched the object's pixels, is in doubt, and leaves the sealed picture for a person."""
    now = datetime.now(UTC)
    preview = BlobKey(new_id())
    with hospital.database.begin("worker-1") as unit:
        instance = unit.clearances.get(instance_id)
        study = unit.studies.get(instance.study_id)
        reports = hospital.services.reports
        shown = picture or png(ultrasound(NAMED), shrink=2)
        reports.blobs.put(preview, reports.seal.seal(study.patient, preview, [shown]))
        task = unit.pixel_tasks.claim(instance_id, "worker-1", now, now + timedelta(seconds=30))
        assert task is not None
        share = sum(box.width * box.height for box in boxes) / (COLUMNS * ROWS)
        finding = PixelFinding(1, 1, boxes, share, doubt, ("text-v4", "top-hat"), "CPUExecutionProvider")
        assert unit.pixel_tasks.finish(task, finding, None, preview)
        unit.commit()


def quarantine(hospital: Hospital, instance_id: InstanceId, reason: str) -> None:
    """The checker has found something left in the object."""
    with hospital.database.begin("check") as unit:
        instance = unit.clearances.get(instance_id)
        assert unit.clearances.decide(instance, "quarantine", reason)
        unit.commit()


def state(hospital: Hospital, instance_id: InstanceId) -> str:
    with hospital.database.read() as unit:
        return unit.clearances.get(instance_id).clearance
