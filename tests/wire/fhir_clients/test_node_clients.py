"""FHIR clients for JavaScript, which we did not write, do a whole day's work at a served gateway."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import NODE_CLIENTS
from harness.ports import free_port
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.writing import Writer, writer

HERE = Path(__file__).parent
pytestmark = pytest.mark.peer("node")


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    port = free_port()
    home = tmp_path_factory.mktemp("node") / "home"
    with writer(home, sqlite_template, port=port, base_url=f"http://127.0.0.1:{port}") as found:
        yield found


def works(ehr: Writer, folder: Path, script: str) -> list[str]:
    """The lines that the script printed, one for each thing that worked."""
    for source in HERE.glob("*.mjs"):
        shutil.copy(source, folder)
    (folder / "node_modules").symlink_to(NODE_CLIENTS / "node_modules")
    base = ehr.hospital.settings.base_url
    place = {"DXGATE_FHIR": f"{base}/fhir", "DXGATE_TOKEN_URL": f"{base}/auth/token"}
    environment = os.environ | place | {"DXGATE_CLIENT": "ehr", "DXGATE_SECRET": SECRET}
    done = subprocess.run(
        ["node", "--preserve-symlinks", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"after {done.stdout.split()}: {done.stderr[-3000:]}"
    return done.stdout.splitlines()


def test_fhir_kit_client(ehr: Writer, tmp_path: Path) -> None:
    """fhir-kit-client discovers, writes, reads versions, pages, transacts, validates and deletes."""
    seen = works(ehr, tmp_path, "fhir_kit.mjs")
    expected = ["metadata", "create", "read", "update", "search and pages"]
    assert seen == [*expected, "transaction", "batch", "operation", "delete"]


def test_medplum_client(ehr: Writer, tmp_path: Path) -> None:
    """@medplum/core writes, reads versions, pages, transacts, asks for everything, and deletes."""
    seen = works(ehr, tmp_path, "medplum.mjs")
    expected = ["create", "read", "update", "search and pages"]
    assert seen == [*expected, "transaction", "operation", "everything", "delete"]
