"""Time from the last C-STORE answer to the readable report, for studies whose number of instances is declared.

Starts a whole gateway in a temporary home, sends the demonstration study again and again as a new one with STAT
priority, and asks over FHIR until its report is there. What the worker computed meanwhile (search for text in the
pixels, the model) is read from the audit trail and shown apart. Prints a Markdown row for BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pydicom
from pydicom.uid import generate_uid
from pynetdicom import AE

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from harness.gateway_process import GatewayProcess
from harness.studies import demo_files

POLL_SECONDS = 0.05  # every search is audited, so that asking too often slows down what is measured
LONGEST_SECONDS = 30.0


def new_study(number: int) -> list[pydicom.Dataset]:
    """The demonstration images as a study of their own, which says how many instances it has."""
    images = [pydicom.dcmread(path) for path in demo_files()]
    study, series = generate_uid(), generate_uid()
    for image in images:
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.AccessionNumber = f"LATENCY{number}"
        image.NumberOfStudyRelatedInstances = len(images)
        image.RequestedProcedurePriority = "STAT"
    return images


def send(port: int, images: list[pydicom.Dataset]) -> float:
    """Sends in one association; the time at which the last answer came."""
    entity = AE(ae_title="LATENCY")
    entity.add_requested_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="DXGATE")
    statuses = [association.send_c_store(image).Status for image in images]
    answered = time.perf_counter()
    association.release()
    if any(statuses):
        raise SystemExit(f"refused: {statuses}")
    return answered


def readable_after(client: httpx.Client, accession: str, answered: float) -> float:
    """Seconds from `answered` until a search finds the report with its result."""
    while time.perf_counter() - answered < LONGEST_SECONDS:
        found = client.get("/DiagnosticReport", params={"identifier": accession}).json().get("entry", [])
        if any(entry["resource"]["status"] == "preliminary" for entry in found):
            return time.perf_counter() - answered
        time.sleep(POLL_SECONDS)
    raise SystemExit("no report came")


def computed(home: Path, since: float, until: float) -> float:
    """Seconds between these times in which the worker held a task."""
    rows = sqlite3.connect(home / "dxgate.sqlite").execute(
        "SELECT at, event FROM audit WHERE at BETWEEN ? AND ? AND event IN"
        " ('task:claim', 'task:finish', 'pixel-task:claim', 'pixel-task:finish') ORDER BY seq",
        (since * 1e6, until * 1e6),
    )
    busy, held_since, held = 0.0, 0.0, 0
    for at, event in rows:
        if held and event.endswith("finish"):
            held -= 1
            busy += (at / 1e6 - held_since) if held == 0 else 0.0
        elif event.endswith("claim"):
            held_since = held_since if held else at / 1e6
            held += 1
    return busy


def measure(gateway: GatewayProcess, client: httpx.Client, number: int) -> tuple[float, float]:
    """Seconds to the readable report, and how many of them the worker computed."""
    images = new_study(number)
    answered = send(gateway.dicom_port, images)
    began = time.time()
    seconds = readable_after(client, f"LATENCY{number}", answered)
    return seconds, computed(gateway.home, began - 1, time.time())


def main() -> None:
    parser = argparse.ArgumentParser(description="last C-STORE answered to report readable")
    parser.add_argument("--studies", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        gateway = GatewayProcess(
            Path(folder) / "home", {"DXGATE_GATEWAY_LOG_LEVEL": "warning"}, new_interpreter=True
        ).start()
        try:
            headers = {"Authorization": f"Bearer {gateway.token()}"}
            with httpx.Client(base_url=gateway.fhir_url, headers=headers, timeout=10) as client:
                found = [measure(gateway, client, number) for number in range(arguments.studies)]
        finally:
            gateway.stop()
    seconds = sorted(total for total, _ in found)
    rest = statistics.median(total - busy for total, busy in found)
    print("| studies | median s | fastest s | slowest s | median s without the worker's computing |")
    print("|---|---|---|---|---|")
    print(f"| {len(seconds)} | {statistics.median(seconds):.2f} | {seconds[0]:.2f} | {seconds[-1]:.2f} | {rest:.2f} |")


if __name__ == "__main__":
    main()
