"""The demonstration: a gateway from nothing, a real study through its DICOM port, the report out of its FHIR endpoint.

Everything goes through the doors that a hospital uses: `dxgate up`, C-STORE, OAuth 2 client credentials and FHIR
REST. Progress is read from the gateway's database. `--once` stops after the report, for automatic checks.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pydicom
from compare_identity import compare
from demo_gateway import REPOSITORY, DemoGateway
from send_study import Port, send

from gateway import wiring
from gateway.commands.setup import ADMIN_PASSWORD_FILE
from gateway.config import Settings
from gateway.domain.errors import GatewayError
from gateway.domain.report import report_id
from gateway.domain.study import Study
from gateway.ports import Database

STUDY_FOLDER = Path(__file__).parent / "study"
HOME = REPOSITORY / "var" / "demo"
CLIENT = "demo-ehr"
QUIET_SECONDS = 2.0
STEP_SECONDS = 90.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Starts a gateway, sends it a real study and shows the report.")
    parser.add_argument("--once", action="store_true", help="stop after the report instead of waiting for Ctrl-C")
    parser.add_argument("--home", type=Path, default=HOME, help="folder of the demonstration; it is made anew")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    gateway: DemoGateway | None = None
    try:
        gateway = DemoGateway(arguments.home.absolute(), QUIET_SECONDS)
        run(gateway)
        if not arguments.once:
            tell("", "The gateway keeps running; Ctrl-C stops it.")
            gateway.wait()
    except KeyboardInterrupt:
        tell("", "stopping")
    except (RuntimeError, GatewayError, httpx.HTTPError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    finally:
        if gateway is not None:
            tell("stopped", f"after {gateway.stop():.1f} s")
    return 0


def run(gateway: DemoGateway) -> None:
    settings = gateway.settings
    tell("gateway", f"starting on a fresh home, {settings.home} (its lines: {gateway.log})")
    tell("gateway", f"ready after {gateway.start():.1f} s")
    secret = gateway.add_client(CLIENT)
    files = sorted(STUDY_FOLDER.glob("*.dcm"))
    dicom = settings.dicom
    tell("send", f"{len(files)} instances to {dicom.ae_title} at {dicom.host}:{dicom.port}")
    send(files, Port(dicom.host, dicom.port, dicom.ae_title), lambda said: tell("", said))
    sent_at = time.monotonic()
    database = wiring.database(settings)
    study = follow(settings, database, files)
    token = _token(settings, secret)
    accession = str(pydicom.dcmread(files[0], stop_before_pixels=True).AccessionNumber)
    report = wait_for("the report", lambda: _report(settings, token, accession))
    tell("report", f"readable {time.monotonic() - sent_at:.1f} s after the last C-STORE")
    show_models(database, study)
    show_report(report, study, accession)
    show_addresses(settings, token, accession, secret)


def follow(settings: Settings, database: Database, files: list[Path]) -> Study:
    """Tell of receipt, de-identification and settling as they happen.

    What is stored is compared after the study has settled: until then a worker that searches pixels for text may put
    another object into the place of one that was received.
    """
    study = wait_for("the study", lambda: _study(database, lambda one: one.instance_count == len(files)))
    tell("received", f"{study.instance_count} instances of study {study.id}, patient {study.patient}")
    study = wait_for("the study to settle", lambda: _study(database, lambda one: one.state != "receiving"))
    found = compare(settings, database, study, files)
    tell(
        "identity",
        f"{found.removed} attributes removed and {found.replaced} replaced out of {found.attributes} in "
        f"{found.instances} stored objects; identifying values left: {', '.join(found.kept) or 'none'}",
    )
    tell("settled", f"complete by {study.settled_by}, revision {study.revision}")
    return study


def show_models(database: Database, study: Study) -> None:
    with database.read() as unit:
        for finding in unit.tasks.findings(study.id, study.revision):
            made = finding.made_by
            tell("model", f"{made.model_name} {made.model_version} on {made.provider}: {finding.conclusion}")


def show_report(report: dict[str, Any], study: Study, accession: str) -> None:
    """The words of the report as an EHR got it; it has to be the one of the study that was sent."""
    if report["id"] != report_id(study.id):
        raise RuntimeError("the FHIR search by accession number found another report than this study's")
    tell("report", f"DiagnosticReport/{report['id']}, status {report['status']}, found by accession {accession}")
    tell("", "")
    for line in str(report.get("conclusion", "")).splitlines():
        tell("", line)


def show_addresses(settings: Settings, token: str, accession: str, secret: str) -> None:
    base = settings.base_url
    password = (settings.home / ADMIN_PASSWORD_FILE).read_text("utf-8").strip()
    tell("", "")
    tell("FHIR", f"{base}/fhir, client {CLIENT}, secret {secret}; with a token that lasts an hour:")
    tell("", f"curl -s -H 'Authorization: Bearer {token}' '{base}/fhir/DiagnosticReport?identifier={accession}'")
    tell("console", f"{base}/console, sign in as admin with {password}")


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + STEP_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.1)
    raise RuntimeError(f"waited {STEP_SECONDS:.0f} s in vain for {what}")


def tell(step: str, said: str) -> None:
    sys.stdout.write(f"{step:<9} {said}".rstrip() + "\n")
    sys.stdout.flush()


def _study(database: Database, is_there: Callable[[Study], bool]) -> Study | None:
    with database.read() as unit:
        return next((study for study in unit.studies.newest(1) if is_there(study)), None)


def _report(settings: Settings, token: str, accession: str) -> dict[str, Any] | None:
    """The report as an EHR finds it, by the accession number that the sender gave, once it says something."""
    answer = httpx.get(
        f"{settings.base_url}/fhir/DiagnosticReport",
        params={"identifier": accession},
        headers={"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"},
        timeout=30,
    )
    answer.raise_for_status()
    found = [entry["resource"] for entry in answer.json().get("entry", [])]
    return next((report for report in found if report["status"] != "registered"), None)


def _token(settings: Settings, secret: str) -> str:
    answer = httpx.post(
        f"{settings.base_url}/auth/token", data={"grant_type": "client_credentials"}, auth=(CLIENT, secret), timeout=30
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
