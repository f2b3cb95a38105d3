"""A foreign EHR works with a whole gateway: it orders imaging and gets the report; its own scenarios beside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
import pytest
from conftest import SEKMET
from harness.gateway_process import GatewayProcess, wait_for
from harness.ports import free_port
from harness.send import send_folder
from harness.studies import Planted, planted_study

pytestmark = pytest.mark.peer("sekmet")
OURS = Path(__file__).with_name("order_to_report.yaml")
SCENARIOS = (
    "conformance_smoke",
    "rad_order_imaging_report",
    "lab_order_to_result",
    "clinical_documentation",
    "adt_admit_transfer_discharge",
    "adt_merge_update",
    "medication_order_dispense",
    "lab_order_peer_fills",
    "billing_claim",
    "appointment_book_cancel",
    "subscription_roundtrip",
    "subscription_backport_roundtrip",
    "messaging_adt_orders",
    "bulk_export_group",
)
OTHERS = tuple(Path(__file__).with_name(f"{name}.yaml") for name in ("fill_order", "answer_claim"))
"""What a laboratory and a payer do meanwhile, each a client of the gateway as the EHR is."""
NOT_OURS = {"billing_claim": "Synchronous Claim/$submit"}
"""Steps that are left out, by scenario: a payer's own operation."""
ACCESSION, MRN, ISSUER = "ACC-SEKMET-1", "SEKMET-4711", "1.2.3.4.5.1"


@pytest.fixture(scope="module")
def port() -> int:
    """Where the EHR listens."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[GatewayProcess]:
    """A running gateway that delivers into the EHR and may send notifications to it."""
    ehr = [{"name": "sekmet", "kind": "fhir", "url": f"http://127.0.0.1:{port}/fhir", "retry_seconds": 1}]
    settings = {
        "DXGATE_DESTINATIONS": json.dumps(ehr),
        "DXGATE_SUBSCRIPTIONS_PRIVATE_NETWORKS": '["127.0.0.0/8"]',
        "DXGATE_WORKER_THREADS": "1",
    }
    running = GatewayProcess(tmp_path_factory.mktemp("sekmet") / "home", settings).start()
    try:
        yield running
    finally:
        running.stop()


@dataclass(frozen=True)
class Sekmet:
    """One installation of the simulator, known to the gateway as a client of that name."""

    gateway: GatewayProcess
    name: str
    secret: str
    port: int
    folder: Path

    @contextmanager
    def running(self, *scenarios: str) -> Iterator[subprocess.Popen[bytes]]:
        """Its scenarios one after the other, with us as its peer."""
        topic = f"{self.gateway.fhir_url}/SubscriptionTopic/encounter-complete"
        words = [str(SEKMET), "scenario", "run", *scenarios, "--peer", "dxgate", "-c", str(self.configured())]
        for name, value in {"accession": ACCESSION, "mrn": MRN, "topic": topic}.items():
            words += ["--var", f"{name}={value}"]
        environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
        with (self.folder / "said").open("wb") as said:
            process = subprocess.Popen(words, cwd=self.folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
            try:
                yield process
            finally:
                process.kill()
                process.wait(10)

    def configured(self) -> Path:
        """Its settings; of the peer it may expect that a laboratory and a payer stand behind it."""
        login = {"type": "client_credentials", "client_id": self.name, "client_secret": self.secret}
        login |= {"token_url": f"{self.gateway.base_url}/auth/token", "scope": "system/*.cruds"}
        own = {"base_url": f"http://127.0.0.1:{self.port}/fhir", "host": "127.0.0.1", "port": self.port}
        own |= {"data_dir": str(self.folder), "own_private_key_path": str(self.folder / "key.pem")}
        peer = {"base_url": self.gateway.fhir_url, "auth": login, "roles": ["lab-filler", "payer"]}
        path = self.folder / "settings.yaml"
        path.write_text(json.dumps(own | {"peers": {"dxgate": peer}}))
        return path

    def said(self) -> dict[str, list[str]]:
        """What it said of each step, by scenario."""
        found: dict[str, list[str]] = {}
        for line in filter(None, map(str.strip, (self.folder / "said").read_text().splitlines())):
            if line.startswith("▶"):
                found[Path(line.split()[1]).stem] = []
            elif found:
                found[next(reversed(found))].append(line)
        return found


def installed(gateway: GatewayProcess, name: str, port: int, folder: Path) -> Sekmet:
    told = gateway.command("client", "add", "fhir", name, "--scope", "system/*.cruds", "--json")
    return Sekmet(gateway, name, str(json.loads(told)["secret"]), port, folder)


@pytest.fixture(scope="module")
def ran(gateway: GatewayProcess, port: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What both said of each step, by scenario; the images are sent once the EHR has ordered them."""
    ehr = installed(gateway, "sekmet", port, tmp_path_factory.mktemp("ehr"))
    others = installed(gateway, "laboratory-and-payer", free_port(), tmp_path_factory.mktemp("others"))
    with others.running(*map(str, OTHERS)) as answering, ehr.running(str(OURS), *SCENARIOS) as running:
        wait_for(lambda: running.poll() is not None or ordered(ehr), 60, "the order")
        send_images(gateway, ehr.folder / "study")
        running.wait(150)
        answering.wait(150)
    return ehr.said() | others.said()


def ordered(ehr: Sekmet) -> bool:
    url = f"{ehr.gateway.fhir_url}/ServiceRequest?identifier={ACCESSION}&_summary=count"
    return bool(httpx.get(url, auth=(ehr.name, ehr.secret)).json().get("total"))


def send_images(gateway: GatewayProcess, folder: Path) -> None:
    """Two images under the order's accession number, of the patient whom the EHR has registered."""
    planted_study(folder, Planted("Orderby^Ekmet", MRN, ACCESSION, "ISO_IR 100"), 2)
    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.IssuerOfPatientID = ISSUER
        image.save_as(path)
    send_folder(gateway.dicom_port, folder)


def check(said: list[str], *left_out: str) -> None:
    """Every step has passed, none was left out but those."""
    assert sum(line.startswith("PASSED") for line in said) > 1, said
    assert next(line for line in said if line.startswith("=>")).startswith("=> PASSED"), said
    assert not [line for line in said if line.startswith(("FAILED", "ERROR", "WARNING"))], said
    skipped = [line for line in said if line.startswith("SKIPPED")]
    assert len(skipped) == len(left_out), said
    assert all(any(step in line for line in skipped) for step in left_out), said


@pytest.mark.timeout(240)
def test_an_order_becomes_a_report(ran: dict[str, list[str]]) -> None:
    """It orders imaging; the images come by C-STORE; it reads our report by its order, is told of it and gets it."""
    check(ran[OURS.stem])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_its_own_scenario(ran: dict[str, list[str]], scenario: str) -> None:
    """Each passes in every step, from its conformance smoke test to bulk data; one step is a payer's, not ours."""
    check(ran[scenario], *([NOT_OURS[scenario]] if scenario in NOT_OURS else []))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("other", [path.stem for path in OTHERS])
def test_the_other_side_works_here_too(ran: dict[str, list[str]], other: str) -> None:
    """What one EHR asks for, another client of the gateway finds and answers: laboratory and payer."""
    check(ran[other])
