"""The main job from outside: a real C-STORE sender in front, FHIR clients that we did not write behind."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import redis
from fhirclient.client import FHIRClient
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirpy import SyncFHIRClient
from harness.built_in import built_in
from harness.gateway_process import GatewayProcess, wait_for
from harness.reports import reported
from harness.send import send_folder
from harness.studies import PLANTED, Planted, planted_study, traces

from gateway.formats.fhir.identifier import INPUT_DIGEST


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A running gateway that delivers to a folder and has analysed one study for each planted identity."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "delivered").mkdir()
    destination = [{"name": "archive", "kind": "folder", "url": str(folder / "delivered")}]
    running = GatewayProcess(folder / "home", {"DXGATE_DESTINATIONS": json.dumps(destination)}).start()
    try:
        for number, planted in enumerate(PLANTED):
            planted_study(folder / "in" / str(number), planted, 2)
            send_folder(running.dicom_port, folder / "in" / str(number))
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def fhir(gateway: GatewayProcess) -> SyncFHIRClient:
    return SyncFHIRClient(gateway.fhir_url, authorization=f"Bearer {gateway.token()}")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.charset + planted.accession)
def test_a_report_is_found_by_the_original_accession_number(fhir: SyncFHIRClient, planted: Planted) -> None:
    """fhirpy finds exactly one preliminary report by the accession number that the PACS sent."""
    (report,) = reported(fhir, identifier=planted.accession)
    assert report["status"] == "preliminary"
    assert "resultsInterpreter" not in report


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.charset + planted.accession)
def test_a_report_is_found_by_the_original_patient_identifier(fhir: SyncFHIRClient, planted: Planted) -> None:
    """The report of the original patient identifier names the patient as the PACS did."""
    (report,) = reported(fhir, **{"patient.identifier": planted.patient_id})
    reference = str(report["subject"]["reference"])  # type: ignore[index]
    patient = fhir.reference(*reference.split("/")).to_resource()
    family = planted.name.split("^")[0]
    assert any(name.get("family") == family for name in patient["name"])
    assert any(identifier["value"] == planted.patient_id for identifier in patient["identifier"])
    assert patient["birthDate"] == "1951-03-17"


def test_fhirclient_reads_the_same_report(gateway: GatewayProcess, fhir: SyncFHIRClient) -> None:
    """A second client that we did not write searches and reads the report through its own R4 models."""
    (report,) = reported(fhir, identifier=PLANTED[0].accession)
    client = FHIRClient(settings={"app_id": "test", "api_base": gateway.fhir_url + "/"})
    client.server.session.headers["Authorization"] = f"Bearer {gateway.token()}"
    found = DiagnosticReport.where({"identifier": PLANTED[0].accession}).perform_resources(client.server)
    assert [one.id for one in found] == [report["id"]]
    assert DiagnosticReport.read(str(report["id"]), client.server).status == "preliminary"


def test_a_result_names_exactly_what_made_it(fhir: SyncFHIRClient) -> None:
    """Observation, device and provenance name model, version, digest and execution provider, marked as AI."""
    (report,) = reported(fhir, identifier=PLANTED[0].accession)
    observation = fhir.reference(*str(report["result"][0]["reference"]).split("/")).to_resource()  # type: ignore[index]
    device = fhir.reference(*observation["device"]["reference"].split("/")).to_resource()
    provenance = fhir.resources("Provenance").search(target=f"DiagnosticReport/{report['id']}").fetch()
    package = built_in()["breast-ultrasound-detail-cnn"]
    assert "CPUExecutionProvider" in observation["method"]["text"]
    assert package.sha256 in json.dumps(device.serialize())
    assert any(version["value"] == package.manifest.version for version in device["version"])
    made = [entity["what"].get("identifier", {}) for one in provenance for entity in one.serialize()["entity"]]
    inputs = {one["value"] for one in made if one.get("system") == INPUT_DIGEST}
    assert len(inputs) == 2
    assert "AIAST" in json.dumps(report.serialize() if hasattr(report, "serialize") else report)


def test_a_search_is_answered_later(gateway: GatewayProcess, fhir: SyncFHIRClient) -> None:
    """With Prefer: respond-async the running gateway carries a search out by itself; its status leads to the answer."""
    (report,) = reported(fhir, identifier=PLANTED[0].accession)
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    url = f"{gateway.fhir_url}/DiagnosticReport?identifier={PLANTED[0].accession}"
    kicked = httpx.get(url, headers=headers | {"Prefer": "respond-async"})
    assert kicked.status_code == 202
    status = kicked.headers["content-location"]
    wait_for(lambda: httpx.get(status, headers=headers).status_code == 200, 30, "the answer")
    (output,) = httpx.get(status, headers=headers).json()["output"]
    (found,) = json.loads(httpx.get(output["url"], headers=headers).text)["entry"]
    assert found["resource"]["id"] == report["id"]


def test_every_study_is_delivered_once(gateway: GatewayProcess, fhir: SyncFHIRClient) -> None:
    """The configured destination holds one document for each study, with identity restored."""
    for planted in PLANTED:
        reported(fhir, identifier=planted.accession)
    folder = gateway.home.parent / "delivered"
    files = wait_for(
        lambda: len(list(folder.glob("*.json"))) >= len(PLANTED) and list(folder.glob("*.json")), 20, "files"
    )
    assert len(files) == len(PLANTED)
    text = "".join(path.read_text("utf-8") for path in files)
    assert all(planted.accession in text for planted in PLANTED)


def test_the_final_report_of_another_system_is_compared(gateway: GatewayProcess, fhir: SyncFHIRClient) -> None:
    """A radiologist's system sends its final report on the same order, coded by BI-RADS, then corrects it: what the
    model had said stands beside it in `dxgate study show` and in the month."""
    (report,) = reported(fhir, identifier=PLANTED[0].accession)
    told = json.loads(gateway.command("client", "add", "fhir", "ris", "--scope", "system/*.cruds", "--json"))
    form = {"grant_type": "client_credentials"}
    token = httpx.post(f"{gateway.base_url}/auth/token", data=form, auth=("ris", told["secret"])).json()["access_token"]
    theirs = SyncFHIRClient(gateway.fhir_url, authorization=f"Bearer {token}").resource(
        "DiagnosticReport",
        status="final",
        code={"text": "Ultrasound of the breast"},
        subject={"reference": report["subject"]["reference"]},  # type: ignore[index]
        basedOn=[{"identifier": {"value": PLANTED[0].accession}}],
        conclusionCode=[{"coding": [{"system": "http://snomed.info/sct", "code": "397140005"}]}],
        conclusion="BI-RADS 1.",
    )
    theirs.save()
    study = str(report["imagingStudy"][0]["reference"]).split("/")[1]  # type: ignore[index]
    (first,) = json.loads(gateway.command("study", "show", study, "--json"))["final_reports"]
    theirs["status"] = "corrected"
    theirs["conclusionCode"] = [{"coding": [{"system": "http://snomed.info/sct", "code": "397145000"}]}]
    theirs.save()
    (second,) = json.loads(gateway.command("study", "show", study, "--json"))["final_reports"]
    assert (first["reference"], second["reference"]) == ("not-malignant", "malignant")
    decided = {"agreed", "disagreed"} if first["said"] else {"inconclusive"}
    assert {first["outcome"], second["outcome"]} == decided
    month = f"{datetime.now(UTC):%Y-%m}"
    rows = json.loads(gateway.command("model", "report", "--month", month, "--json"))
    (mine,) = (row for row in rows if row["model"] == second["model"])
    assert mine["compared"] == (1 if second["said"] else 0)


def test_no_planted_identity_is_found_outside_the_vault(gateway: GatewayProcess, fhir: SyncFHIRClient) -> None:
    """Blobs, database, WAL, broker memory and files, and logs hold none of the planted names and numbers."""
    for planted in PLANTED:
        reported(fhir, identifier=planted.accession)
    haystack = {path: path.read_bytes() for path in gateway.files()}
    assert any(path.suffix == ".sqlite" for path in haystack)
    haystack[Path("broker memory")] = _broker_memory(gateway)
    for planted in PLANTED:
        for trace in traces(planted):
            for path, content in haystack.items():
                assert trace not in content, f"planted identity in {path.name}"


def test_the_audit_chain_verifies(gateway: GatewayProcess) -> None:
    """`dxgate audit verify` accepts the trail of a whole run."""
    told = json.loads(gateway.command("audit", "verify", "--json"))
    assert told["rows"] > 10 * len(PLANTED)


@pytest.mark.peer("dcmtk")
def test_a_study_from_dcmsend_is_reported(gateway: GatewayProcess, fhir: SyncFHIRClient, tmp_path: Path) -> None:
    """DCMTK's dcmsend gets success for every instance and the study is reported."""
    planted = Planted("Dcmsend^Sender", "MRN-DS-1", "ACCDCMSEND1", "ISO_IR 100")
    planted_study(tmp_path, planted, 3)
    program = shutil.which("dcmsend")
    assert program
    subprocess.run(
        [program, "127.0.0.1", str(gateway.dicom_port), "--scan-directories", str(tmp_path)],
        check=True,
        timeout=60,
        capture_output=True,
    )
    (report,) = reported(fhir, identifier=planted.accession)
    study = fhir.reference(*str(report["imagingStudy"][0]["reference"]).split("/")).to_resource()  # type: ignore[index]
    assert study["numberOfInstances"] == 3


def _broker_memory(gateway: GatewayProcess) -> bytes:
    """Every key and value that the embedded broker holds."""
    sockets = list(gateway.home.rglob("*.sock"))
    client = redis.Redis(unix_socket_path=str(sockets[0]))
    return b"\n".join(bytes(key) + (client.dump(key) or b"") for key in client.scan_iter())
