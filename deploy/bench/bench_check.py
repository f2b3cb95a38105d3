"""Milliseconds per object in the check step: sealed files read from disk, checked, decided and committed.

One thread, SQLite, real engine and vault: CT slices, the demonstration's ultrasound images and one cine of 100 frames,
of which the checker opens only the segments that hold more than pixels. Prints Markdown rows for BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_dicom_objects import CT_SHAPE, make_objects
from harness.intake import Intake
from harness.studies import demo_files

from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.migrate import upgrade


def ultrasound(count: int) -> list[pydicom.Dataset]:
    """Copies of one image of the demonstration, each an object of its own."""
    images = [pydicom.dcmread(demo_files()[0]) for _ in range(count)]
    for image in images:
        image.SOPInstanceUID = generate_uid()
    return images


def cine(frames: int) -> pydicom.Dataset:
    """Native frames one after another, as large as a cine loop is."""
    (image,) = ultrasound(1)
    image.NumberOfFrames = frames
    image.PixelData = bytes(image.Rows * image.Columns * image.SamplesPerPixel) * frames
    return image


def measure(intake: Intake, name: str, images: Iterable[pydicom.Dataset]) -> str:
    sizes = [intake.instance(intake.receive(image)).size for image in images]
    begun = time.perf_counter()
    while intake.check():
        pass
    seconds = time.perf_counter() - begun
    each = seconds / len(sizes)
    return f"| {name} | {len(sizes)} | {sum(sizes) / len(sizes) / 1e3:.0f} | {each * 1e3:.2f} | {1 / each:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="milliseconds per object checked")
    parser.add_argument("--objects", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/dxgate.sqlite"
        upgrade(url)
        intake = Intake(SqlDatabase(url, AuditKey("bench-1", b"k" * 32)), folder)
        slices = map(pydicom.dcmread, make_objects(folder / "ct", CT_SHAPE, arguments.objects))
        sys.stdout.write("| objects | count | KB each | ms each | per second |\n|---|---|---|---|---|\n")
        for told in (
            measure(intake, "CT slice", slices),
            measure(intake, "ultrasound image", ultrasound(arguments.objects)),
            measure(intake, "ultrasound cine, 100 frames", [cine(100) for _ in range(4)]),
        ):
            sys.stdout.write(told + "\n")


if __name__ == "__main__":
    main()
