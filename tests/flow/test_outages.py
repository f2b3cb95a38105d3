"""What breaks around a running gateway: a full or read-only disk, an EHR that is down, an EHR that refuses."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fhirpy import SyncFHIRClient
from harness.ehr_stub import Ehr, serving
from harness.gateway_process import GatewayProcess, wait_for
from harness.ports import free_port
from harness.reports import reported
from harness.send import store, store_until_accepted
from harness.studies import Planted, planted_study
from sqlalchemy import create_engine, func, select

from gateway.storage import tables

OUT_OF_RESOURCES = 0xA700
FULL_AT = "700k"  # of the disk of the blobs; an instance of the demo takes about 80 kB, its heat map as much or less


@dataclass
class Ward:
    """A running gateway whose blobs lie on a small disk of their own, and whose EHR listens on `ehr_port`."""

    gateway: GatewayProcess
    disk: Path
    ehr_port: int

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.disk)], check=True, timeout=10)

    def stored(self) -> int:
        engine = create_engine(f"sqlite:///{self.gateway.home / 'dxgate.sqlite'}")
        with engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(tables.instance)).scalar_one())

    def deliveries(self, accession: str, fhir: SyncFHIRClient) -> list[dict[str, Any]]:
        """The deliveries to the EHR of the one report with this accession number, as `delivery list` shows them."""
        (report,) = reported(fhir, identifier=accession)
        listed = json.loads(self.gateway.command("delivery", "list", "--json"))
        return [one for one in listed if one["report_id"] == report["id"] and one["destination"] != "record"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tmpfs where we may mount one, else a plain folder, which tests about the disk then skip."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True, timeout=10).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[Ward]:
    port = free_port()
    destination = {"name": "ehr", "kind": "fhir", "url": f"http://127.0.0.1:{port}/fhir", "retry_seconds": 0.3}
    settings = {
        "DXGATE_DESTINATIONS": json.dumps([destination]),
        "DXGATE_BLOBS_URL": str(disk / "blobs"),
        "DXGATE_WORKER_MAX_ATTEMPTS": "20",
    }
    running = GatewayProcess(tmp_path_factory.mktemp("outages") / "home", settings).start()
    try:
        yield Ward(running, disk, port)
    finally:
        running.stop()


@pytest.fixture(scope="module")
def fhir(ward: Ward) -> SyncFHIRClient:
    return SyncFHIRClient(ward.gateway.fhir_url, authorization=f"Bearer {ward.gateway.token()}")


@pytest.fixture
def small_disk(ward: Ward) -> Iterator[Ward]:
    if not ward.disk.is_mount():
        pytest.skip("a disk of our own cannot be mounted here: needs root and CAP_SYS_ADMIN")
    yield ward
    ward.remount("rw,size=64m")


def test_a_full_disk_refuses_and_loses_nothing(small_disk: Ward, fhir: SyncFHIRClient, tmp_path: Path) -> None:
    """Where the blobs' disk fills up the sender gets A700, and once there is room all of the study is reported."""
    _send_through(
        small_disk, fhir, tmp_path, f"size={FULL_AT}", Planted("Disk^Full", "M-DF", "ACCDISKFULL", "ISO_IR 100")
    )


def test_a_read_only_disk_refuses_and_loses_nothing(small_disk: Ward, fhir: SyncFHIRClient, tmp_path: Path) -> None:
    """Where the blobs' disk has become read-only it is the same."""
    _send_through(small_disk, fhir, tmp_path, "ro", Planted("Disk^Locked", "M-DR", "ACCDISKRO", "ISO_IR 100"))


def _send_through(ward: Ward, fhir: SyncFHIRClient, folder: Path, trouble: str, planted: Planted) -> None:
    planted_study(folder, planted, 10, declare_count=True)
    before = ward.stored()
    ward.remount(trouble)
    statuses = store(ward.gateway.dicom_port, sorted(folder.glob("*.dcm")))
    assert set(statuses) <= {0, OUT_OF_RESOURCES}
    assert OUT_OF_RESOURCES in statuses
    assert ward.stored() == before + statuses.count(0)
    refused: list[int] = []
    ward.remount("rw,size=64m")
    store_until_accepted(ward.gateway.dicom_port, folder, refused)
    assert refused == []
    assert ward.stored() == before + 10
    (report,) = reported(fhir, identifier=planted.accession)
    study = fhir.reference(*str(report["imagingStudy"][0]["reference"]).split("/")).to_resource()  # type: ignore[index]
    assert (study["numberOfInstances"], report["status"]) == (10, "preliminary")


def test_an_ehr_that_is_down_gets_the_report_when_it_is_back(ward: Ward, fhir: SyncFHIRClient, tmp_path: Path) -> None:
    """Attempts go on while nobody listens, and the first one that is answered is acknowledged."""
    planted = Planted("Ehr^Down", "M-ED", "ACCEHRDOWN", "ISO_IR 100")
    planted_study(tmp_path, planted, 1, declare_count=True)
    assert store(ward.gateway.dicom_port, sorted(tmp_path.glob("*.dcm"))) == [0]
    wait_for(lambda: [one for one in ward.deliveries(planted.accession, fhir) if one["attempt"] > 1], 60, "attempts")
    (waiting,) = ward.deliveries(planted.accession, fhir)
    assert waiting["state"] in ("pending", "sending")
    with serving(ehr := Ehr(), port=ward.ehr_port):
        _wait_until_acknowledged(ward, fhir, planted)
    assert len([one for one in ehr.all("DiagnosticReport") if planted.accession in json.dumps(one)]) == 1


def test_what_an_ehr_refuses_is_a_dead_letter_until_it_is_replayed(
    ward: Ward, fhir: SyncFHIRClient, tmp_path: Path
) -> None:
    """422 ends the attempts in the open, and `dxgate delivery replay` sends the report again."""
    planted = Planted("Ehr^Refuses", "M-ER", "ACCEHRREFUSES", "ISO_IR 100")
    planted_study(tmp_path, planted, 1, declare_count=True)
    with serving(ehr := Ehr(), port=ward.ehr_port):
        wait_for(lambda: _nothing_waits(ward), 60, "deliveries of the other tests to be over")
        ehr.answers.append((422, {}))
        assert store(ward.gateway.dicom_port, sorted(tmp_path.glob("*.dcm"))) == [0]
        (dead,) = wait_for(
            lambda: [one for one in ward.deliveries(planted.accession, fhir) if one["state"] == "dead"],
            20,
            "a dead letter",
        )
        assert "422" in dead["last_error"]
        assert not [one for one in ehr.all("DiagnosticReport") if planted.accession in json.dumps(one)]
        ward.gateway.command("delivery", "replay", dead["id"])
        _wait_until_acknowledged(ward, fhir, planted)
    assert len([one for one in ehr.all("DiagnosticReport") if planted.accession in json.dumps(one)]) == 1


def _wait_until_acknowledged(ward: Ward, fhir: SyncFHIRClient, planted: Planted) -> None:
    def acknowledged() -> bool:
        return {one["state"] for one in ward.deliveries(planted.accession, fhir)} == {"acknowledged"}

    wait_for(acknowledged, 30, "the acknowledgement", pause=0.5)


def _nothing_waits(ward: Ward) -> bool:
    listed = json.loads(ward.gateway.command("delivery", "list", "--limit", "50", "--json"))
    return all(one["state"] not in ("pending", "sending") for one in listed)
