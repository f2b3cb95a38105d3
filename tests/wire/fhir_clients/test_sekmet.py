"""A foreign EHR works with a whole gateway: it orders imaging and gets the report; its own scenarios beside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from conftest import SEKMET
from harness.gateway_process import GatewayProcess, free_port, wait_for
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
    "subscription_roundtrip",
    "bulk_export_group",
)
"""Why each of the other six cannot pass stands in deploy/fhir/README.md."""
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


@pytest.fixture(scope="module")
def secret(gateway: GatewayProcess) -> str:
    told = gateway.command("client", "add", "fhir", "sekmet", "--scope", "system/*.cruds", "--json")
    return str(json.loads(told)["secret"])


@pytest.fixture(scope="module")
def ran(
    gateway: GatewayProcess, secret: str, port: int, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What the EHR said of each step, by scenario; the images are sent once it has ordered them."""
    folder = tmp_path_factory.mktemp("ehr")
    words = [str(SEKMET), "scenario", "run", str(OURS), *SCENARIOS, "--peer", "dxgate"]
    words += ["-c", str(configured(gateway, secret, port, folder))]
    words += ["--var", f"accession={ACCESSION}", "--var", f"mrn={MRN}"]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    with (folder / "said").open("w+") as said:
        running = subprocess.Popen(words, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: running.poll() is not None or ordered(gateway, secret), 60, "the order")
            send_images(gateway, folder / "study")
            running.wait(150)
        finally:
            running.kill()
            running.wait(10)
    found: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, (folder / "said").read_text().splitlines())):
        if line.startswith("▶"):
            found[Path(line.split()[1]).stem] = []
        elif found:
            found[next(reversed(found))].append(line)
    return found


def configured(gateway: GatewayProcess, secret: str, port: int, folder: Path) -> Path:
    """The EHR's settings, with us as its peer."""
    login = {"type": "client_credentials", "client_id": "sekmet", "client_secret": secret}
    login |= {"token_url": f"{gateway.base_url}/auth/token", "scope": "system/*.cruds"}
    own = {"base_url": f"http://127.0.0.1:{port}/fhir", "host": "127.0.0.1", "port": port, "data_dir": str(folder)}
    own |= {"own_private_key_path": str(folder / "key.pem")}
    path = folder / "settings.yaml"
    path.write_text(json.dumps(own | {"peers": {"dxgate": {"base_url": gateway.fhir_url, "auth": login}}}))
    return path


def ordered(gateway: GatewayProcess, secret: str) -> bool:
    url = f"{gateway.fhir_url}/ServiceRequest?identifier={ACCESSION}&_summary=count"
    return bool(httpx.get(url, auth=("sekmet", secret)).json().get("total"))


def send_images(gateway: GatewayProcess, folder: Path) -> None:
    """Two images under the order's accession number, of the patient whom the EHR has registered."""
    planted_study(folder, Planted("Orderby^Ekmet", MRN, ACCESSION, "ISO_IR 100"), 2)
    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.IssuerOfPatientID = ISSUER
        image.save_as(path)
    send_folder(gateway.dicom_port, folder)


def check(said: list[str]) -> None:
    """Every step has passed, none was left out."""
    assert sum(line.startswith("PASSED") for line in said) > 3, said
    assert next(line for line in said if line.startswith("=>")).startswith("=> PASSED"), said
    assert not [line for line in said if line.startswith(("FAILED", "ERROR", "WARNING", "SKIPPED"))], said


@pytest.mark.timeout(240)
def test_an_order_becomes_a_report(ran: dict[str, list[str]]) -> None:
    """It orders imaging; the images come by C-STORE; it reads our report by its order, is told of it and gets it."""
    check(ran[OURS.stem])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_its_own_scenario(ran: dict[str, list[str]], scenario: str) -> None:
    """Orders, results, admissions, notifications, bulk data and its conformance smoke test pass in every step."""
    check(ran[scenario])
