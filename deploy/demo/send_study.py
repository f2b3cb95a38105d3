"""Sends DICOM files to a port as any modality would: with DCMTK's storescu where it is installed, else pynetdicom."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pynetdicom import AE

SENDER = "DEMO-US"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Port:
    """Where to send: address and called AE title."""

    host: str
    number: int
    title: str


def send(files: Sequence[Path], port: Port, tell: Tell) -> None:
    """Send all files over one association; RuntimeError where one is not accepted."""
    storescu = shutil.which("storescu")
    if storescu:
        _with_storescu(storescu, files, port, tell)
    else:
        _with_pynetdicom(files, port, tell)


def _with_storescu(program: str, files: Sequence[Path], port: Port, tell: Tell) -> None:
    command = [program, "-v", "-aet", SENDER, "-aec", port.title, port.host, str(port.number), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    answers = [line for line in (done.stdout + done.stderr).splitlines() if "Received Store Response" in line]
    accepted = sum("(Success)" in line or "(0x0000" in line for line in answers)
    tell(f"association accepted, {accepted} of {len(files)} instances answered with success (DCMTK storescu)")
    if done.returncode != 0 or accepted != len(files):
        raise RuntimeError("storescu: " + (done.stdout + done.stderr).strip().splitlines()[-1])


def _with_pynetdicom(files: Sequence[Path], port: Port, tell: Tell) -> None:
    images = [pydicom.dcmread(path) for path in files]
    sender = AE(SENDER)
    for image in images:
        sender.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    association = sender.associate(port.host, port.number, ae_title=port.title)
    if not association.is_established:
        raise RuntimeError("the association was not accepted")
    tell(f"association accepted by {port.title} (pynetdicom)")
    for path, image in zip(files, images, strict=True):
        status = association.send_c_store(image)
        if not status or status.Status != 0:
            raise RuntimeError(f"{path.name} was not accepted")
        tell(f"{path.name}: success")
    association.release()
