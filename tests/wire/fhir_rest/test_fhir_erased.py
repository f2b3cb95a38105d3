"""What an EHR sees of a patient who was erased: nothing, in the words of FHIR, and of others everything."""

from __future__ import annotations

from pathlib import Path

import httpx
from harness.studies import PLANTED, traces
from wire.fhir_rest.hospital import SECRET, add_study, open_hospital, serving

from gateway import wiring
from gateway.domain.report import report_id


def test_an_erased_report_is_not_found(tmp_path: Path, sqlite_template: Path) -> None:
    """read, vread and search by every means give 404 or nothing; another patient's report is read as before."""
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    hospital.add_client("ehr")
    gone = add_study(hospital, tmp_path / "a", PLANTED[0])
    stays = add_study(hospital, tmp_path / "b", PLANTED[1])
    with hospital.database.read() as unit:
        pseudonym = unit.studies.get(gone).patient
    with serving(hospital.services) as base:
        form = {"grant_type": "client_credentials"}
        token = httpx.post(f"{base}/auth/token", data=form, auth=("ehr", SECRET)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"{base}/fhir", headers=headers, timeout=20) as http:
            assert http.get(f"/DiagnosticReport/{report_id(gone)}").status_code == 200
            wiring.erase_patient(hospital.settings)(pseudonym, "asked", "officer")
            for path in (
                f"/DiagnosticReport/{report_id(gone)}",
                f"/DiagnosticReport/{report_id(gone)}/_history/2",
                f"/Patient/{pseudonym}",
            ):
                answer = http.get(path)
                assert answer.status_code == 404, path
                assert answer.json()["resourceType"] == "OperationOutcome"
            for parameters in (
                {"_id": report_id(gone)},
                {"patient.identifier": PLANTED[0].patient_id},
                {"identifier": PLANTED[0].accession},
            ):
                assert http.get("/DiagnosticReport", params=parameters).json().get("entry", []) == [], parameters
            everything = http.get("/DiagnosticReport")
            assert [one["resource"]["id"] for one in everything.json()["entry"]] == [report_id(stays)]
            assert not any(trace in everything.content for trace in traces(PLANTED[0]))
            assert http.get(f"/DiagnosticReport/{report_id(stays)}").status_code == 200
