"""A foreign EHR simulator works with a served gateway: its scenarios, as far as we serve their types."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SEKMET
from harness.gateway_process import free_port
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.writing import Writer, writer

pytestmark = pytest.mark.peer("sekmet")
SCENARIOS = (
    "conformance_smoke",
    "rad_order_imaging_report",
    "lab_order_to_result",
    "clinical_documentation",
    "adt_admit_transfer_discharge",
    "adt_merge_update",
)
"""Not among them: what needs types that are not served (Account, Claim, Schedule, Slot, MedicationDispense), messaging,
and subscriptions."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    port = free_port()
    home = tmp_path_factory.mktemp("sekmet") / "home"
    with writer(home, sqlite_template, port=port, base_url=f"http://127.0.0.1:{port}") as found:
        yield found


def configured(gateway: Writer, folder: Path) -> Path:
    """The simulator's settings, with us as its peer."""
    base, port = gateway.hospital.settings.base_url, free_port()
    login = {"type": "client_credentials", "client_id": "ehr", "client_secret": SECRET}
    login |= {"token_url": f"{base}/auth/token", "scope": "system/*.cruds"}
    own = {"base_url": f"http://127.0.0.1:{port}/fhir", "host": "127.0.0.1", "port": port, "data_dir": str(folder)}
    own |= {"own_private_key_path": str(folder / "key.pem")}
    path = folder / "settings.yaml"
    path.write_text(json.dumps(own | {"peers": {"dxgate": {"base_url": f"{base}/fhir", "auth": login}}}))
    return path


@pytest.mark.timeout(180)
def test_its_scenarios(gateway: Writer, tmp_path: Path) -> None:
    """Orders, results, admissions and the conformance smoke test of the simulator pass, each of their steps."""
    told = [str(SEKMET), "scenario", "run", *SCENARIOS, "--peer", "dxgate", "-c", str(configured(gateway, tmp_path))]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(told, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"{len(SCENARIOS)}/{len(SCENARIOS)} scenarios passed" in lines[-1]
    assert not [line for line in lines if line.strip().startswith(("FAILED", "ERROR", "WARNING", "SKIPPED"))]
